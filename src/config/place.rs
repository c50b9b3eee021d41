//! Where a part of a TOML string's value stands in the file: an error inside a condition or a `${…}` points at its
//! own bytes.

use std::ops::Range;

/// The place in `text` of the bytes `part` of a string `value` whose literal (quotes included) stands at `literal`.
/// If the literal can't be followed, all of it is meant.
pub(super) fn inside(
    text: &str,
    literal: &Range<usize>,
    value: &str,
    part: &Range<usize>,
) -> Range<usize> {
    let map = || -> Option<Range<usize>> {
        let offsets = offsets(text.get(literal.clone())?, value)?;
        let start = *offsets.get(part.start)?;
        // The end is where the last byte meant ends, so that an escape that follows isn't swallowed.
        let end = if part.end > part.start { *offsets.get(part.end)? } else { start };
        Some(literal.start + start..literal.start + end.max(start))
    };
    map().unwrap_or_else(|| literal.clone())
}

/// For each byte of `value` (and its end) the offset in `raw`, the literal with its quotes.
fn offsets(raw: &str, value: &str) -> Option<Vec<usize>> {
    let (quote, escapes) = match raw.as_bytes() {
        [b'\'', b'\'', b'\'', ..] if raw.len() >= 6 => ("'''", false),
        [b'"', b'"', b'"', ..] if raw.len() >= 6 => ("\"\"\"", true),
        [b'\'', ..] => ("'", false),
        [b'"', ..] => ("\"", true),
        _ => return None,
    };
    let inner = raw.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut at = quote.len();
    let mut rest = inner;
    if quote.len() == 3 {
        // A line break right after the opening quotes is not part of the value.
        let trimmed = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')).unwrap_or(rest);
        at += rest.len() - trimmed.len();
        rest = trimmed;
    }
    let mut offsets = Vec::with_capacity(value.len() + 1);
    let mut decoded = String::with_capacity(value.len());
    while let Some(c) = rest.chars().next() {
        let (used, meant) =
            if c == '\\' && escapes { escape(rest)? } else { (c.len_utf8(), Some(c)) };
        if let Some(meant) = meant {
            offsets.extend(std::iter::repeat_n(at, meant.len_utf8()));
            decoded.push(meant);
        }
        at += used;
        rest = rest.get(used..)?;
    }
    offsets.push(at);
    (decoded == value).then_some(offsets)
}

/// The length of the escape at the beginning of `rest`, and the character it stands for; none for a line's end.
fn escape(rest: &str) -> Option<(usize, Option<char>)> {
    let digits = |n: usize| {
        let code = u32::from_str_radix(rest.get(2..2 + n)?, 16).ok()?;
        Some((2 + n, Some(char::from_u32(code)?)))
    };
    let short = |c| Some((2, Some(c)));
    match rest.as_bytes().get(1)? {
        b'b' => short('\u{8}'),
        b't' => short('\t'),
        b'n' => short('\n'),
        b'f' => short('\u{c}'),
        b'r' => short('\r'),
        b'e' => short('\u{1b}'),
        b'"' => short('"'),
        b'\\' => short('\\'),
        b'x' => digits(2),
        b'u' => digits(4),
        b'U' => digits(8),
        b' ' | b'\t' | b'\r' | b'\n' => {
            let after = rest[1..].trim_start_matches([' ', '\t', '\r', '\n']);
            Some((rest.len() - after.len(), None))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'t>(text: &'t str, part: &str) -> &'t str {
        let table: toml::Table = text.parse().unwrap();
        let value = table["k"].as_str().unwrap();
        let start = value.find(part).unwrap();
        let literal = text.find('=').unwrap() + 2..text.trim_end().len();
        &text[inside(text, &literal, value, &(start..start + part.len()))]
    }

    #[test]
    fn a_part_of_a_literal_string_is_found_exactly() {
        assert_eq!(found("k = 'sentiment == negative'", "negative"), "negative");
        assert_eq!(found("k = '''\na &&\n  b > 1'''", "b > 1"), "b > 1");
        assert_eq!(found("k = 'größe > 1'", "> 1"), "> 1");
    }

    #[test]
    fn a_part_behind_escapes_is_found_exactly() {
        assert_eq!(found(r#"k = "a == \"x\" && bad""#, "bad"), "bad");
        assert_eq!(found(r#"k = "a == \"x\" && bad""#, "\"x\""), r#"\"x\""#);
        assert_eq!(found(r#"k = "\u00e4 \x41 bad \U0001F600 x""#, "bad"), "bad");
        assert_eq!(found("k = \"\"\"\na \\\n   bad\"\"\"", "bad"), "bad");
    }

    #[test]
    fn a_literal_that_cannot_be_followed_is_meant_as_a_whole() {
        assert_eq!(inside("k = 12", &(4..6), "other", &(0..2)), 4..6);
        assert_eq!(inside("k = 'ab'", &(4..8), "zz", &(0..2)), 4..8);
        assert_eq!(inside("k = 'ab'", &(4..800), "ab", &(0..2)), 4..800);
    }
}
