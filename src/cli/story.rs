//! What `demo` tells: each event, what it caused, and each message as its reader would get it.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::json;

use super::terminal::{self, BAD, FAINT, GOOD, STRONG, WIDTH, line, wrap};
use crate::journal::{InboxMessage, State, UnknownRow};
use crate::rules::template::Channel;

/// One posted event and what became of it.
#[derive(Debug)]
pub(super) struct Told {
    /// What the sample is about.
    pub(super) title: &'static str,
    /// The sender's id.
    pub(super) id: String,
    /// The type.
    pub(super) kind: String,
    /// The bridge's answer to the POST.
    pub(super) status: u16,
    /// From the POST to the answer, which says that the event is on disk.
    pub(super) durable: Duration,
    /// Rules that could not be decided.
    pub(super) unknown: Vec<UnknownRow>,
    /// What the event caused, in the order of the rules.
    pub(super) notices: Vec<Notice>,
}

/// One notification and the message that came of it.
#[derive(Debug)]
pub(super) struct Notice {
    /// The rule's name.
    pub(super) rule: String,
    /// The destination's name.
    pub(super) destination: String,
    /// The provider that the destination has outside the demo.
    pub(super) provider: String,
    /// The kind of place it is.
    pub(super) channel: Channel,
    /// The recipient, where the destination has any.
    pub(super) recipient: Option<String>,
    /// Where the notification stands.
    pub(super) state: State,
    /// Why it stands there.
    pub(super) reason: Option<String>,
    /// The template's error, when the built-in text went out instead.
    pub(super) fallback: Option<String>,
    /// The message, once it came.
    pub(super) message: Option<InboxMessage>,
    /// From the POST to the message's arrival.
    pub(super) took: Option<Duration>,
}

impl Notice {
    /// Whether nothing is missing: the message came, or none was to come.
    pub(super) fn settled_well(&self) -> bool {
        self.arrived() || self.state == State::Shadow
    }

    /// Whether the message came.
    pub(super) fn arrived(&self) -> bool {
        self.state == State::Sent && self.message.is_some()
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "rule": self.rule,
            "destination": self.destination,
            "provider": self.provider,
            "recipient": self.recipient,
            "state": self.state,
            "reason": self.reason,
            "template_error": self.fallback,
            "subject": self.message.as_ref().and_then(|m| m.subject.as_deref()),
            "text": self.message.as_ref().map(|m| &m.text),
            "html": self.message.as_ref().and_then(|m| m.html.as_deref()),
            "milliseconds": self.took.map(milliseconds),
        })
    }
}

impl Told {
    /// One object for scripts.
    pub(super) fn json(&self) -> serde_json::Value {
        json!({
            "id": self.id,
            "type": self.kind,
            "status": self.status,
            "milliseconds": milliseconds(self.durable),
            "unknown": self.unknown,
            "notifications": self.notices.iter().map(Notice::json).collect::<Vec<_>>(),
        })
    }

    /// Tells it to a person; `number` counts the events.
    pub(super) fn print(&self, out: &mut impl Write, number: usize) -> io::Result<()> {
        let event = line(&format!("{} {}", self.kind, self.id));
        writeln!(out, "\n{STRONG}{number}  {}{STRONG:#}", self.title)?;
        let durable = shown(self.durable);
        if self.status == 200 {
            writeln!(
                out,
                "   {FAINT}{event} → 200: signature right, on disk after {durable}{FAINT:#}"
            )?;
        } else {
            writeln!(out, "   {event} → {BAD}{}: not taken{BAD:#}", self.status)?;
        }
        if self.notices.is_empty() && self.status == 200 {
            writeln!(out, "\n   no rule matched: nobody is told")?;
        }
        for notice in &self.notices {
            writeln!(out)?;
            print_notice(out, notice)?;
        }
        for unknown in &self.unknown {
            let fields = unknown.fields.join(", ");
            let text = format!(
                "rule \"{}\" could not be decided, so it did not fire: null, missing or of another type: {fields}",
                unknown.rule
            );
            writeln!(out)?;
            for l in wrap(&text, WIDTH - 3) {
                writeln!(out, "   {FAINT}{l}{FAINT:#}")?;
            }
        }
        Ok(())
    }
}

/// A message under its heading, with a bar beside it.
pub(super) fn print_notice(out: &mut impl Write, notice: &Notice) -> io::Result<()> {
    let place = place(notice.channel, &notice.provider);
    let to = match &notice.recipient {
        Some(recipient) => format!("{} ({place} to {recipient})", notice.destination),
        None => format!("{} ({place})", notice.destination),
    };
    let heading = line(&format!("rule \"{}\" → {to}", notice.rule));
    let took =
        notice.took.map_or_else(String::new, |took| format!(", {} after the POST", shown(took)));
    let reason = line(notice.reason.as_deref().unwrap_or("no reason is known"));
    match (notice.state, &notice.message) {
        (State::Sent, Some(_)) => writeln!(out, "   {heading}{GOOD}{took}{GOOD:#}")?,
        (State::Shadow, _) => writeln!(out, "   {heading}: a shadow rule: recorded, not sent")?,
        (state, _) => {
            writeln!(out, "   {heading}: {BAD}did not arrive{BAD:#} ({state}: {reason})")?;
        }
    }
    if let Some(why) = &notice.fallback {
        for l in
            wrap(&format!("the template failed, so the built-in text went out: {why}"), WIDTH - 5)
        {
            writeln!(out, "     {BAD}{l}{BAD:#}")?;
        }
    }
    let Some(message) = &notice.message else { return Ok(()) };
    let bar = |out: &mut dyn Write, text: &str| writeln!(out, "   {FAINT}│{FAINT:#} {text}");
    if let Some(subject) = &message.subject {
        for l in wrap(&format!("Subject: {}", line(subject)), WIDTH - 5) {
            bar(out, &format!("{STRONG}{l}{STRONG:#}"))?;
        }
        bar(out, "")?;
    }
    // Slack's three escapes are for the wire; a person sees what they stand for.
    let text = match notice.channel {
        Channel::Slack => {
            message.text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        }
        _ => message.text.clone(),
    };
    for l in wrap(&text, WIDTH - 5) {
        bar(out, &l)?;
    }
    Ok(())
}

/// The end: what was seen, and what to do with it.
pub(super) fn summary(told: &[Told]) -> String {
    let notices = || told.iter().flat_map(|t| &t.notices);
    let arrived = notices().filter(|n| n.arrived()).count();
    let owed = notices().filter(|n| n.state != State::Shadow).count();
    let events = terminal::count(told.len(), "event");
    if notices().next().is_none() {
        return format!("{events}, but your rules match none of them: nobody was told");
    }
    let slowest = notices().filter_map(|n| n.took).max();
    let slowest =
        slowest.map_or_else(String::new, |s| format!(", the slowest {} after its POST", shown(s)));
    let messages = terminal::count(arrived, "message");
    if arrived == owed {
        format!("{events}, {messages}{slowest}")
    } else {
        format!("{events}, {messages} of {owed} arrived{slowest}")
    }
}

fn place(channel: Channel, provider: &str) -> String {
    match (channel, provider) {
        (Channel::Slack, "slack") => "Slack".to_owned(),
        (Channel::Slack, provider) => format!("Slack by {provider}"),
        (Channel::Email, provider) => format!("e-mail by {provider}"),
        (Channel::Sms, provider) => format!("SMS by {provider}"),
        (_, provider) => provider.to_owned(),
    }
}

fn milliseconds(duration: Duration) -> f64 {
    // Microseconds are as fine as the clock is worth.
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// `4.2 ms`, `1.3 s`.
fn shown(duration: Duration) -> String {
    if duration < Duration::from_secs(1) {
        format!("{:.1} ms", duration.as_secs_f64() * 1e3)
    } else {
        format!("{:.1} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice() -> Notice {
        Notice {
            rule: "unhappy customer".to_owned(),
            destination: "office-mail".to_owned(),
            provider: "smtp".to_owned(),
            channel: Channel::Email,
            recipient: Some("office@example.com".to_owned()),
            state: State::Sent,
            reason: None,
            fallback: None,
            message: Some(InboxMessage {
                notification: 1,
                destination: "office-mail".to_owned(),
                provider: "smtp".to_owned(),
                rule: "unhappy customer".to_owned(),
                recipient: None,
                subject: Some("Unhappy: Jane\u{1b}[31m".to_owned()),
                text: "one two three ".repeat(12) + "\nnext\u{202e} line",
                html: None,
                at: jiff::Timestamp::UNIX_EPOCH,
            }),
            took: Some(Duration::from_micros(4_240)),
        }
    }

    fn told(notices: Vec<Notice>) -> Told {
        Told {
            title: "a sample",
            id: "evt-1".to_owned(),
            kind: "call.ended".to_owned(),
            status: 200,
            durable: Duration::from_micros(900),
            unknown: Vec::new(),
            notices,
        }
    }

    fn printed(told: &Told) -> String {
        let mut out = Vec::new();
        told.print(&mut anstream::StripStream::new(&mut out), 1).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_message_reads_well_in_80_columns_and_is_clean() {
        let text = printed(&told(vec![notice()]));
        assert!(text.contains("rule \"unhappy customer\" → office-mail (e-mail by smtp to office@example.com), 4.2 ms after the POST"), "{text}");
        assert!(text.contains("│ Subject: Unhappy: Jane\u{fffd}"), "{text}");
        assert!(text.contains("│ next\u{fffd} line"), "{text}");
        let boxed = text.lines().filter(|l| l.starts_with("   │"));
        assert!(boxed.clone().count() >= 5, "{text}");
        for l in boxed {
            assert!(l.chars().count() <= WIDTH, "{l}");
        }
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text}");
    }

    #[test]
    fn what_did_not_arrive_is_said_with_its_reason() {
        let mut late = notice();
        (late.state, late.message, late.took) = (State::GaveUp, None, None);
        late.reason = Some("no recipient".to_owned());
        assert!(!late.settled_well());
        let told = [told(vec![late, notice()])];
        assert!(printed(&told[0]).contains("did not arrive (gave_up: no recipient)"));
        assert_eq!(
            summary(&told),
            "1 event, 1 message of 2 arrived, the slowest 4.2 ms after its POST"
        );
    }

    #[test]
    fn rules_that_match_nothing_are_told_so() {
        let mut quiet = told(Vec::new());
        quiet.unknown =
            vec![UnknownRow { rule: "long".to_owned(), fields: vec!["duration".to_owned()] }];
        let text = printed(&quiet);
        assert!(text.contains("no rule matched"), "{text}");
        assert!(text.contains("rule \"long\" could not be decided"), "{text}");
        assert!(summary(&[quiet]).contains("match none"));
    }

    #[test]
    fn a_shadow_rule_owes_no_message() {
        let mut shadow = notice();
        (shadow.state, shadow.message, shadow.took) = (State::Shadow, None, None);
        assert!(shadow.settled_well() && !shadow.arrived());
        assert_eq!(summary(&[told(vec![shadow])]), "1 event, 0 messages");
    }

    #[test]
    fn json_has_the_message_as_it_is() {
        let json = told(vec![notice()]).json();
        assert_eq!(json["notifications"][0]["subject"], "Unhappy: Jane\u{1b}[31m");
        assert_eq!(json["notifications"][0]["milliseconds"], 4.24);
        assert!(!json.to_string().contains('\u{1b}'));
    }
}
