//! Every code that a problem can have, with what it means and how it is mended.
//!
//! The one table is `docs/problems.md`, which is built in: people read it there, and `hookbell check --explain CODE`
//! prints a part of it. Each entry is a heading `## code (severity)`, a line that says what it means, and more.

use std::sync::LazyLock;

use super::Severity;

/// A code and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// In kebab case; it never changes its meaning.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One line, lower case, no full stop.
    pub title: &'static str,
    /// Why it is a problem, an example of the mistake, and the mend.
    pub text: &'static str,
}

const TABLE: &str = include_str!("../../docs/problems.md");

static CODES: LazyLock<Vec<Code>> = LazyLock::new(|| read(TABLE));

/// Every code, in the order of the alphabet.
pub fn all() -> &'static [Code] {
    &CODES
}

/// The code of this name.
pub fn find(code: &str) -> Option<&'static Code> {
    let at = CODES.binary_search_by(|c| c.code.cmp(code)).ok()?;
    CODES.get(at)
}

fn read(table: &'static str) -> Vec<Code> {
    let mut codes: Vec<Code> = table.split("\n## ").skip(1).filter_map(entry).collect();
    codes.sort_by_key(|c| c.code);
    codes
}

fn entry(entry: &'static str) -> Option<Code> {
    let (heading, rest) = entry.split_once('\n')?;
    let (code, severity) = heading.trim().strip_suffix(')')?.split_once(" (")?;
    let severity = match severity {
        "error" => Severity::Error,
        "warning" => Severity::Warning,
        _ => return None,
    };
    let (title, text) = rest.trim().split_once("\n\n").unwrap_or((rest.trim(), ""));
    Some(Code { code, severity, title: title.trim(), text: text.trim_matches('\n').trim_end() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_read_and_says_something() {
        let codes = all();
        assert!(codes.len() > 60, "found only {}", codes.len());
        assert_eq!(codes.len(), TABLE.matches("\n## ").count(), "a heading can't be read");
        for pair in codes.windows(2) {
            assert!(pair[0].code < pair[1].code, "{} stands there twice", pair[0].code);
        }
        for code in codes {
            assert!(!code.title.contains('\n') && code.title.len() > 10, "{code:?}");
            assert!(!code.title.ends_with('.'), "{code:?}");
            assert!(code.text.len() > 20, "{} explains nothing", code.code);
            for line in code.text.lines().chain([code.title]) {
                assert!(line.chars().count() <= 78, "{}: too wide: {line}", code.code);
            }
            assert_eq!(find(code.code), Some(code));
        }
        assert_eq!(find("no-such-code"), None);
    }
}
