//! Shortening and dividing text without breaking what a person or a service reads as one thing.

use std::borrow::Cow;

use super::escape::Style;

/// `text` in at most `max` characters.
pub fn chars(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max || text.chars().count() <= max {
        return text.into();
    }
    Measure { max, size: |_| 1, style: Style::Plain }.truncate(text).into()
}

/// How much of a text fits.
#[derive(Clone, Copy, Debug)]
pub struct Measure {
    /// The most.
    pub max: usize,
    /// What one character counts.
    pub size: fn(char) -> usize,
    /// Which escapes and tags are one thing.
    pub style: Style,
}

impl Measure {
    /// What `text` counts.
    pub fn count(&self, text: &str) -> usize {
        text.chars().map(self.size).sum()
    }

    /// Whether all of `text` fits.
    pub fn fits(&self, text: &str) -> bool {
        self.count(text) <= self.max
    }

    /// The longest beginning of `text` that fits with a mark after it, `…` (`...` in text messages, whose alphabet
    /// lacks it). It ends neither inside an accented letter or an emoji of several characters, nor inside an escape or
    /// a tag, and closes the HTML elements that are open.
    pub fn truncate(&self, text: &str) -> String {
        let mark = if self.style == Style::Sms { "..." } else { "…" };
        let Some(room) = self.max.checked_sub(self.count(mark)) else { return String::new() };
        let end = self.fitting(text, room).0;
        let mut cut = text[..end].trim_end().to_owned();
        let closing = closing(&open_elements(&cut, self.style));
        cut.push_str(mark);
        cut.push_str(&closing);
        cut
    }

    /// `text` in at most `most` pieces that fit, each with its number before it, `(1/3) `; one piece without a number
    /// if all of it fits. A piece ends at the end of a line or a word where there is one, and never where
    /// [`Self::truncate`] may not. HTML elements that are open are closed, and opened again in the next piece. The last
    /// piece is truncated where more would be needed.
    pub fn split(&self, text: &str, most: usize) -> Vec<String> {
        if self.fits(text) {
            return vec![text.to_owned()];
        }
        // Room for the longest number that there can be.
        let Some(room) = self.max.checked_sub(self.count(&format!("({most}/{most}) "))) else {
            return vec![self.truncate(text)];
        };
        let mut pieces: Vec<String> = Vec::new();
        let mut rest = text.trim_end().to_owned();
        while self.count(&rest) > room {
            let (hard, soft) = self.fitting(&rest, room);
            // A soft end that is early would make pieces of one word each.
            let end = soft.filter(|s| *s >= hard / 2).unwrap_or(hard);
            let piece = rest[..end].trim_end();
            let open = open_elements(piece, self.style);
            let reopened: String = open.iter().map(|(_, tag)| *tag).collect();
            let next = reopened + rest[end..].trim_start();
            if piece.is_empty() || pieces.len() + 1 == most || next.len() >= rest.len() {
                rest = Self { max: room, ..*self }.truncate(&rest);
                break;
            }
            pieces.push(piece.to_owned() + &closing(&open));
            rest = next;
        }
        pieces.push(rest);
        let all = pieces.len();
        pieces.iter().enumerate().map(|(i, p)| format!("({}/{all}) {p}", i + 1)).collect()
    }

    /// The last place where `text` may end within `room`, its open elements closed; and the last such place at the end
    /// of a line, or else of a word.
    fn fitting(&self, text: &str, room: usize) -> (usize, Option<usize>) {
        let (mut at, mut used, mut end) = (0, 0, 0);
        let (mut line, mut word) = (None, None);
        let mut open: Vec<&str> = Vec::new();
        while at < text.len() {
            let unit = unit(&text[at..], self.style);
            let close = |open: &[&str]| -> usize {
                open.iter().map(|name| self.count(name) + self.count("</>")).sum()
            };
            // What ends before white space may fill the room to the last character.
            if used + close(&open) <= room {
                if unit == "\n" {
                    line = Some(at);
                } else if unit.chars().all(char::is_whitespace) {
                    word = Some(at);
                }
            }
            used += self.count(unit);
            if used > room {
                break;
            }
            track(unit, self.style, &mut open, |name, _| name);
            at += unit.len();
            if used + close(&open) <= room && !joins(&text[..at], &text[at..]) {
                end = at;
            }
        }
        (end, line.filter(|l| *l >= end / 2).or(word))
    }
}

/// What can't be divided at the beginning of `text`: an escape, a tag, or a character.
fn unit(text: &str, style: Style) -> &str {
    let first = text.chars().next().map_or(0, char::len_utf8);
    let special = match (style, &text[..first]) {
        (Style::Slack | Style::Html | Style::TelegramHtml, "&") => entity(text),
        (Style::Html | Style::TelegramHtml, "<") => {
            let tag = text[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
            text.find('>').filter(|_| tag).map(|end| end + 1)
        }
        // A link or a mention of the template's own.
        (Style::Slack, "<") => {
            text.find(['>', '\n']).filter(|e| text[*e..].starts_with('>')).map(|e| e + 1)
        }
        (Style::Markdown | Style::Discord | Style::Teams | Style::MarkdownV2, "\\") => {
            text[first..].chars().next().map(|c| first + c.len_utf8())
        }
        _ => None,
    };
    &text[..special.unwrap_or(first)]
}

/// The length of the entity that `text` begins with.
fn entity(text: &str) -> Option<usize> {
    let end = text.find(';').filter(|end| (2..=10).contains(end))?;
    text[1..end].bytes().all(|b| b.is_ascii_alphanumeric() || b == b'#').then_some(end + 1)
}

/// Notes what a tag opens or closes.
fn track<'a, T>(
    unit: &'a str,
    style: Style,
    open: &mut Vec<T>,
    make: impl Fn(&'a str, &'a str) -> T,
) {
    if !matches!(style, Style::Html | Style::TelegramHtml)
        || unit.len() < 3
        || !unit.starts_with('<')
    {
        return;
    }
    if unit.starts_with("</") {
        open.pop();
        return;
    }
    let name = unit[1..].split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next();
    let name = name.unwrap_or_default();
    const VOID: [&str; 6] = ["br", "hr", "img", "input", "meta", "wbr"];
    if !unit.ends_with("/>") && !VOID.contains(&name.to_ascii_lowercase().as_str()) {
        open.push(make(name, unit));
    }
}

/// The elements that are open at the end of `text`: their names and their tags.
fn open_elements(text: &str, style: Style) -> Vec<(&str, &str)> {
    let mut open = Vec::new();
    let mut at = 0;
    while matches!(style, Style::Html | Style::TelegramHtml) && at < text.len() {
        let unit = unit(&text[at..], style);
        track(unit, style, &mut open, |name, tag| (name, tag));
        at += unit.len();
    }
    open
}

fn closing(open: &[(&str, &str)]) -> String {
    open.iter().rev().map(|(name, _)| format!("</{name}>")).collect()
}

/// Whether the characters on both sides of a cut belong together.
fn joins(before: &str, after: &str) -> bool {
    const JOINER: char = '\u{200d}';
    let (Some(last), Some(next)) = (before.chars().next_back(), after.chars().next()) else {
        return false;
    };
    let flag = |c: char| ('\u{1f1e6}'..='\u{1f1ff}').contains(&c);
    let flags_before =
        if flag(next) { before.chars().rev().take_while(|c| flag(*c)).count() } else { 0 };
    last == JOINER
        || next == JOINER
        || flags_before % 2 == 1
        || matches!(next,
            '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{64b}'..='\u{65f}'
            | '\u{93c}' | '\u{93e}'..='\u{94d}' | '\u{1ab0}'..='\u{1aff}' | '\u{20d0}'..='\u{20ff}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}')
}

/// `text` on one line: each run of white space and control characters becomes one space.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty())
    {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn measure(max: usize, style: Style) -> Measure {
        Measure { max, size: |_| 1, style }
    }

    #[test]
    fn a_cut_never_breaks_an_escape_a_tag_or_a_grapheme() {
        let cases = [
            ("ab &amp; cd", 6, Style::Slack, "ab…"),
            ("ab &amp; cd", 9, Style::Slack, "ab &amp;…"),
            ("R & D is long", 8, Style::Slack, "R & D i…"),
            ("see <https://x.example|the page> now", 20, Style::Slack, "see…"),
            ("cafe\u{301} and more", 5, Style::Plain, "caf…"),
            ("a👨‍👩‍👧 and more", 4, Style::Plain, "a…"),
            ("a\\*b and more", 3, Style::Markdown, "a…"),
            ("a\\*b and more", 4, Style::Markdown, "a\\*…"),
            ("x <b>bold text</b> end", 16, Style::TelegramHtml, "x <b>bold t…</b>"),
            ("<a href=\"x\">abc</a> 12345", 15, Style::Html, "<a href=\"x\">…</a>"),
            ("a long message", 8, Style::Sms, "a lon..."),
        ];
        for (text, max, style, expected) in cases {
            // The link's tags alone are longer than what is left: what can't be fitted stays out.
            let got = measure(max, style).truncate(text);
            if expected.chars().count() <= max {
                assert_eq!(got, expected, "{text}");
            } else {
                assert_eq!(got, "…", "{text}");
            }
        }
        assert_eq!(chars("short", 5), "short");
        assert_eq!(chars("longer", 5), "long…");
        assert_eq!(chars("x", 0), "");
    }

    #[test]
    fn a_long_text_is_split_at_lines_and_words_with_a_counter() {
        let split = |text: &str, max, style| measure(max, style).split(text, 9);
        assert_eq!(split("short", 5, Style::Plain), ["short"]);
        assert_eq!(
            split("one two three four five", 16, Style::Plain),
            ["(1/3) one two", "(2/3) three four", "(3/3) five"]
        );
        assert_eq!(
            split("first line\nsecond line", 18, Style::Plain),
            ["(1/2) first line", "(2/2) second line"]
        );
        assert_eq!(
            split("<b>bold and long</b> end", 21, Style::TelegramHtml),
            ["(1/2) <b>bold and</b>", "(2/2) <b>long</b> end"]
        );
        assert_eq!(
            measure(12, Style::Plain).split(&"x".repeat(100), 3),
            ["(1/3) xxxxxx", "(2/3) xxxxxx", "(3/3) xxxxx…"]
        );
    }

    proptest! {
        #[test]
        fn a_cut_fits(text in "[a-z&;<>b/é👨\u{200d}\u{301} \\\\]{0,40}", max in 0usize..40) {
            prop_assert!(chars(&text, max).chars().count() <= max);
            for style in [Style::Plain, Style::Slack, Style::Html, Style::MarkdownV2, Style::Sms] {
                let bytes = Measure { max, size: char::len_utf8, style };
                prop_assert!(bytes.truncate(&text).len() <= max);
                for piece in bytes.split(&text, 9) {
                    prop_assert!(piece.len() <= max);
                }
            }
            prop_assert!(one_line(&text).len() <= text.len());
        }
    }
}
