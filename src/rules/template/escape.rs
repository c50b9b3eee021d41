//! What event text must not do in each kind of message. Applied to values only: the template's own markup stays.

use std::borrow::Cow;
use std::cell::Cell;

use serde::Deserialize;

use super::Channel;

/// How event values are made harmless: the markup that they can't write, and the characters that can't ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Escape {
    /// The markup.
    pub style: Style,
    /// A bit for each ASCII character that a zero-width space follows.
    mentions: u128,
}

/// A markup that values must not be able to write. Its name in a definition is in kebab case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// No markup. Control characters and those that reorder text go.
    Plain,
    /// Slack's mrkdwn: `&`, `<` and `>` as entities.
    Slack,
    /// HTML, in text and in quoted attributes.
    Html,
    /// The HTML of Telegram's `parse_mode`: `&`, `<` and `>` as entities.
    TelegramHtml,
    /// CommonMark and its kin: a backslash before what is markup.
    Markdown,
    /// Discord's Markdown.
    Discord,
    /// The Markdown of Teams' adaptive cards.
    Teams,
    /// Telegram's `parse_mode` of that name, which refuses a message over one bare `.`.
    #[serde(rename = "markdownv2")]
    MarkdownV2,
    /// Text messages: one line of visible characters, its punctuation plain.
    Sms,
}

/// What breaks a mention: it is invisible, and no word goes on over it.
const BREAK: char = '\u{200b}';

thread_local! {
    /// A render runs on one thread from beginning to end, and the renderer's escape function gets only the value.
    static CURRENT: Cell<Escape> = const { Cell::new(Escape::new(Style::Plain)) };
}

/// Values are escaped in this way from now on.
pub(super) fn set(escape: Escape) {
    CURRENT.set(escape);
}

/// Escapes one value in the way of the moment.
pub(super) fn current(value: &str) -> String {
    CURRENT.get().apply(value)
}

impl Escape {
    /// The markup of `style`, nothing about mentions.
    pub const fn new(style: Style) -> Self {
        Self { style, mentions: 0 }
    }

    /// How a channel's values are escaped unless a definition says otherwise.
    pub fn of(channel: Channel) -> Self {
        let (style, mentions) = match channel {
            Channel::Slack => (Style::Slack, ""),
            Channel::Discord => (Style::Discord, "@"),
            Channel::Teams => (Style::Teams, "@"),
            Channel::Telegram => (Style::TelegramHtml, "@"),
            Channel::Markdown => (Style::Markdown, "@"),
            Channel::Html => (Style::Html, ""),
            Channel::Sms => (Style::Sms, ""),
            Channel::Email | Channel::Text => (Style::Plain, ""),
        };
        Self::new(style).breaking(mentions)
    }

    /// The same, with exactly these ASCII characters unable to begin a mention.
    #[must_use]
    pub fn breaking(self, characters: &str) -> Self {
        let mentions = characters.bytes().filter(u8::is_ascii).fold(0, |bits, b| bits | 1u128 << b);
        Self { mentions, ..self }
    }

    /// The same mentions, with another markup.
    #[must_use]
    pub const fn with_style(self, style: Style) -> Self {
        Self { style, ..self }
    }

    /// Escapes one value.
    pub fn apply(self, value: &str) -> String {
        let value = match self.style {
            Style::Sms => return sms(value),
            _ => clean(value),
        };
        let value = if self.mentions == 0 { value } else { self.broken(&value) };
        match self.style {
            Style::Plain | Style::Sms => value.into_owned(),
            Style::Slack | Style::TelegramHtml => entities(&value),
            Style::Html => handlebars::html_escape(&value),
            Style::Markdown => backslashes(&value, "\\`*_~|<[]&", "#+-=>"),
            Style::Discord => backslashes(&value, "\\`*_~|<[]", "#+-=>"),
            Style::Teams => backslashes(&value, "\\*_[]()#", "+-"),
            Style::MarkdownV2 => backslashes(&value, "\\_*[]()~`>#+-=|{}.!", ""),
        }
    }

    /// A mention begins with one of the characters where a word may begin. `@` within a word is an e-mail address,
    /// which must stay whole for whoever copies it.
    fn broken(self, value: &str) -> Cow<'static, str> {
        let mut out = String::with_capacity(value.len() + 8);
        let mut before = None;
        let mut rest = value.chars().peekable();
        while let Some(c) = rest.next() {
            out.push(c);
            let marked = c.is_ascii() && self.mentions & 1u128 << u32::from(c) != 0;
            let within = c == '@'
                && before.is_some_and(char::is_alphanumeric)
                && rest.peek().is_some_and(|c| c.is_alphanumeric());
            if marked && !within {
                out.push(BREAK);
            }
            before = Some(c);
        }
        out.into()
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

/// Slack asks for exactly these three (<https://docs.slack.dev/messaging/formatting-message-text/#escaping>), which
/// makes `<!channel>`, `<@U1>` and `<url|text>` plain words. So does Telegram
/// (<https://core.telegram.org/bots/api#html-style>).
fn entities(value: &str) -> String {
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

/// A backslash before each character of `anywhere`, and before one of `at_line` that begins a line as a heading, a
/// list, a quotation or a rule does: alone, doubled or before a space. So `-5` and `+1555…` stay as they are.
fn backslashes(value: &str, anywhere: &str, at_line: &str) -> String {
    let mut out = String::with_capacity(value.len() + value.len() / 8);
    let mut line_start = true;
    let mut rest = value.chars().peekable();
    while let Some(c) = rest.next() {
        let block = line_start
            && at_line.contains(c)
            && (c == '>' || rest.peek().is_none_or(|n| n.is_whitespace() || *n == c));
        if anywhere.contains(c) || block {
            out.push('\\');
        }
        out.push(c);
        line_start = c == '\n' || (line_start && c.is_whitespace());
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

    fn escaped(channel: Channel, value: &str) -> String {
        Escape::of(channel).apply(value)
    }

    #[test]
    fn values_are_made_harmless_for_their_channel() {
        let hostile = "<!channel> A & B\r\n\u{202e}x\u{200b}\u{1b}[31m\u{2028}\"'";
        let cases = [
            (Channel::Slack, "&lt;!channel&gt; A &amp; B\nx\u{200b}[31m\n\"'"),
            (Channel::Telegram, "&lt;!channel&gt; A &amp; B\nx\u{200b}[31m\n\"'"),
            (Channel::Text, "<!channel> A & B\nx\u{200b}[31m\n\"'"),
            (Channel::Sms, "<!channel> A & B x[31m \"'"),
            (Channel::Markdown, "\\<!channel> A \\& B\nx\u{200b}\\[31m\n\"'"),
            (Channel::Discord, "\\<!channel> A & B\nx\u{200b}\\[31m\n\"'"),
            (Channel::Teams, "<!channel> A & B\nx\u{200b}\\[31m\n\"'"),
        ];
        for (channel, expected) in cases {
            assert_eq!(escaped(channel, hostile), expected, "{channel:?}");
        }
        assert_eq!(
            escaped(Channel::Html, "<a href='x'>&"),
            "&lt;a href&#x3D;&#x27;x&#x27;&gt;&amp;"
        );
        assert_eq!(escaped(Channel::Email, "tab\tstays\nhere"), "tab\tstays\nhere");
        assert_eq!(Escape::new(Style::MarkdownV2).apply("1. (a) \\"), "1\\. \\(a\\) \\\\");
    }

    #[test]
    fn only_what_begins_a_block_is_escaped_at_the_beginning_of_a_line() {
        let cases = [
            ("# head\n- item\n> quote", "\\# head\n\\- item\n\\> quote"),
            ("+15552223333", "+15552223333"),
            ("-5", "-5"),
            ("---", "\\---"),
            ("a - b # c", "a - b # c"),
        ];
        for (value, expected) in cases {
            assert_eq!(escaped(Channel::Markdown, value), expected);
        }
    }

    #[test]
    fn a_mention_is_broken_and_an_address_is_not() {
        let cases = [
            ("@everyone", "@\u{200b}everyone"),
            ("hi (@here)", "hi (@\u{200b}here)"),
            ("ann@example.com", "ann@example.com"),
            ("@@all", "@\u{200b}@\u{200b}all"),
            // The other half may come from the next value.
            ("mail@", "mail@\u{200b}"),
        ];
        for (value, expected) in cases {
            assert_eq!(escaped(Channel::Discord, value), expected);
        }
        let chat = Escape::new(Style::Plain).breaking("@<");
        assert_eq!(chat.apply("<users/all>"), "<\u{200b}users/all>");
    }
}
