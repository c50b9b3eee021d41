//! What event text must not do in each kind of message. Applied to values only: the template's own markup stays.

use std::borrow::Cow;

use super::Channel;

/// A registry of its own: how values are escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Slack,
    Email,
    EmailHtml,
    Sms,
    Text,
}

impl Part {
    pub(super) const ALL: [Self; 5] =
        [Self::Slack, Self::Email, Self::EmailHtml, Self::Sms, Self::Text];

    pub(super) fn of(channel: Channel) -> Self {
        match channel {
            Channel::Slack => Self::Slack,
            Channel::Email => Self::Email,
            Channel::Sms => Self::Sms,
            Channel::Text => Self::Text,
        }
    }

    /// Escapes one value.
    pub(super) fn escape(self, value: &str) -> String {
        match self {
            Self::Slack => slack(&clean(value)),
            Self::Email | Self::Text => clean(value).into_owned(),
            Self::EmailHtml => handlebars::html_escape(&clean(value)),
            Self::Sms => sms(value),
        }
    }
}

/// Controls that reorder text: with them `exe.txt` reads as `txt.exe`. Plain right-to-left letters need none of them.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

fn is_line_break(c: char) -> bool {
    matches!(c, '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Line breaks become `\n`; other control characters but tab, and bidi controls, go.
pub(super) fn clean(value: &str) -> Cow<'_, str> {
    let plain =
        |c: char| c == '\n' || c == '\t' || !(c.is_control() || is_line_break(c) || is_bidi(c));
    if value.chars().all(plain) {
        return value.into();
    }
    let value = value.replace("\r\n", "\n");
    let kept = value.chars().filter_map(|c| match c {
        c if is_line_break(c) => Some('\n'),
        c => plain(c).then_some(c),
    });
    kept.collect::<String>().into()
}

/// Slack asks for exactly these three (<https://docs.slack.dev/messaging/formatting-message-text/#escaping>); it makes
/// `<!channel>`, `<@U1>` and `<url|text>` plain words.
fn slack(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

/// One line of visible characters, its punctuation plain: one invisible or typographic character would turn the whole
/// message into pieces of 70 characters instead of 160 (GSM 03.38 has neither `…` nor curly quotes).
fn sms(value: &str) -> String {
    let invisible = |c: char| {
        matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{ad}' | '\u{180e}')
            || matches!(c, '\u{e0000}'..='\u{e007f}')
            || is_bidi(c)
            || (c.is_control() && !c.is_whitespace())
    };
    let visible: String = value.chars().filter(|c| !invisible(*c)).collect();
    let mut line = String::with_capacity(visible.len());
    for c in super::cut::one_line(&visible).chars() {
        match c {
            '…' => line.push_str("..."),
            '‘' | '’' | '‚' => line.push('\''),
            '“' | '”' | '„' => line.push('"'),
            '–' | '—' | '‐' | '‑' => line.push('-'),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_made_harmless_for_their_channel() {
        let hostile = "<!channel> A & B\r\n\u{202e}x\u{200b}\u{1b}[31m\u{2028}\"'";
        assert_eq!(Part::Slack.escape(hostile), "&lt;!channel&gt; A &amp; B\nx\u{200b}[31m\n\"'");
        assert_eq!(Part::Text.escape(hostile), "<!channel> A & B\nx\u{200b}[31m\n\"'");
        assert_eq!(Part::Sms.escape(hostile), "<!channel> A & B x[31m \"'");
        assert_eq!(
            Part::EmailHtml.escape("<a href='x'>&"),
            "&lt;a href&#x3D;&#x27;x&#x27;&gt;&amp;"
        );
        assert_eq!(Part::Email.escape("tab\tstays\nhere"), "tab\tstays\nhere");
    }
}
