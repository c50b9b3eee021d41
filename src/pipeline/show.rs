//! The built-in console: a message as a block of lines on standard output.

use std::io::Write;

use crate::rules::provider::Outgoing;

/// Shows a message. Nobody reading (a closed pipe) is no failure: the console promises nothing.
pub(super) fn on_console(outgoing: &Outgoing<'_>) {
    let Outgoing { message, rule, destination, recipient, .. } = outgoing;
    let mut text = format!("── {rule} → {destination}");
    if let Some(recipient) = recipient {
        text.push_str(&format!(" ({recipient})"));
    }
    text.push('\n');
    if let Some(subject) = &message.subject {
        text.push_str(&format!("   {subject}\n\n"));
    }
    for line in message.text.trim_end().lines() {
        // Event text can't move the cursor or colour the terminal.
        let line: String =
            line.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        text.push_str(&format!("   {line}\n"));
    }
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
