//! Text on a terminal: cleaned, clipped, wrapped, in tables.
//!
//! What events say is data, on a terminal too: no escape sequence, bidi override or line break of theirs gets out
//! ([`line()`], [`lines`]). Colours come from us and only where someone sees them (`anstream` takes them out of pipes).

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Headings and what the eye should find first.
pub(crate) const STRONG: Style = Style::new().bold();
/// What is there if one looks for it.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// It went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// It did not.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();

/// Nothing that is printed for people is wider.
pub(crate) const WIDTH: usize = 80;

/// Whether a terminal might obey `c`, or show what follows out of order or not at all.
fn hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` on one line: line breaks and tabs become a space, what a terminal might obey becomes `�`.
pub(crate) fn line(text: &str) -> String {
    let text = text.trim_end_matches(['\r', '\n']);
    let clean = |c| match c {
        '\n' | '\t' => ' ',
        c if hostile(c) => '\u{fffd}',
        c => c,
    };
    text.replace("\r\n", "\n").chars().map(clean).collect()
}

/// `text` with its line breaks, each line cleaned.
pub(crate) fn lines(text: &str) -> Vec<String> {
    text.replace("\r\n", "\n").split('\n').map(line).collect()
}

/// At most `most` columns of `text`; `…` stands for the rest.
pub(crate) fn clip(text: &str, most: usize) -> String {
    if text.width() <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > most {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// Cleans `text` and breaks it into lines of at most `width` columns, between words where it can.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut out = Vec::new();
    for paragraph in lines(text.trim_end()) {
        let words = paragraph.trim_start_matches(' ');
        let indent = (paragraph.len() - words.len()).min(width / 2);
        let mut current = " ".repeat(indent);
        let mut joint = 0;
        for word in words.split(' ') {
            if current.width() + joint + word.width() <= width {
                current.push_str(&" ".repeat(joint));
                current.push_str(word);
                joint = 1;
                continue;
            }
            if joint == 1 {
                out.push(std::mem::take(&mut current));
            }
            for c in word.chars() {
                if current.width() + c.width().unwrap_or(0) > width {
                    out.push(std::mem::take(&mut current));
                }
                current.push(c);
            }
            joint = 1;
        }
        out.push(current);
    }
    out
}

/// `text` and as many spaces as fill `width` columns.
pub(crate) fn pad(text: &str, width: usize) -> String {
    let missing = width.saturating_sub(text.width());
    format!("{text}{}", " ".repeat(missing))
}

/// Rows under titles; each column is as wide as it must be, and no wider than it may.
#[derive(Debug)]
pub(crate) struct Table {
    /// Title and greatest width.
    columns: Vec<(&'static str, usize)>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    cells: Vec<String>,
    style: Style,
    /// A line of its own below the row.
    note: Option<String>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(columns: impl Into<Vec<(&'static str, usize)>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row of untrusted cells; a note goes below it.
    pub(crate) fn row(
        &mut self,
        cells: impl IntoIterator<Item = String>,
        style: Style,
        note: Option<&str>,
    ) {
        let cells = cells.into_iter().zip(&self.columns);
        let cells = cells.map(|(cell, (_, most))| clip(&line(&cell), *most)).collect();
        self.rows.push(Row { cells, style, note: note.map(line) });
    }

    /// Prints it.
    pub(crate) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        let widest = |i: usize, title: &str| {
            let cells = self.rows.iter().filter_map(|row| row.cells.get(i)).map(|c| c.width());
            cells.max().unwrap_or(0).max(title.width())
        };
        let widths: Vec<_> =
            self.columns.iter().enumerate().map(|(i, (title, _))| widest(i, title)).collect();
        let join = |cells: &mut dyn Iterator<Item = &str>| {
            let padded: Vec<_> = cells.zip(&widths).map(|(cell, w)| pad(cell, *w)).collect();
            padded.join("  ").trim_end().to_owned()
        };
        let titles = join(&mut self.columns.iter().map(|(title, _)| *title));
        writeln!(out, "{STRONG}{titles}{STRONG:#}")?;
        for row in &self.rows {
            let style = row.style;
            let cells = join(&mut row.cells.iter().map(String::as_str));
            writeln!(out, "{style}{cells}{style:#}")?;
            for note in row.note.iter().flat_map(|note| wrap(note, WIDTH - 8)) {
                writeln!(out, "        {FAINT}{note}{FAINT:#}")?;
            }
        }
        Ok(())
    }
}

/// `1 message`, `2 messages`.
pub(crate) fn count(n: usize, thing: &str) -> String {
    if n == 1 { format!("1 {thing}") } else { format!("{n} {thing}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_gets_out() {
        let text = "a\u{1b}[31mred\u{7}\u{9b}2J\u{202e}gpj.exe\u{200b}\r\nb\tc\n";
        let clean = line(text);
        assert_eq!(clean, "a\u{fffd}[31mred\u{fffd}\u{fffd}2J\u{fffd}gpj.exe\u{fffd} b c");
        for c in clean.chars() {
            assert!(!hostile(c), "{c:?}");
        }
        assert_eq!(lines("a\r\nb\rc"), ["a", "b\u{fffd}c"]);
        assert!(wrap(text, 10).iter().all(|l| !l.chars().any(hostile)));
    }

    #[test]
    fn text_is_clipped_and_wrapped_by_what_it_shows() {
        assert_eq!(clip("日本語", 6), "日本語");
        assert_eq!(clip("日本語", 5), "日本…");
        assert_eq!(clip("abc", 2), "a…");
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("0123456789", 4), ["0123", "4567", "89"]);
        assert_eq!(wrap("a\n\n  b\n", 10), ["a", "", "  b"]);
        assert_eq!(wrap("", 10), [""]);
        for width in 2..20 {
            for l in wrap("日本 and some words, a-very-long-one-too", width) {
                assert!(l.width() <= width, "{l:?} in {width}");
            }
        }
    }

    #[test]
    fn a_table_is_as_wide_as_its_cells() {
        let mut table = Table::new([("NO", 3), ("WHAT", 6)]);
        table.row(["1".to_owned(), "short".to_owned()], Style::new(), None);
        table.row(["20".to_owned(), "a longer\x1b one".to_owned()], Style::new(), Some("why"));
        let mut out = Vec::new();
        table.print(&mut anstream::StripStream::new(&mut out)).unwrap();
        let expected = "NO  WHAT\n1   short\n20  a lon…\n        why\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn one_thing_has_no_plural() {
        assert_eq!(count(1, "message"), "1 message");
        assert_eq!(count(0, "message"), "0 messages");
    }
}
