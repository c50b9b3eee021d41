//! Shortening text without breaking what a person or a service reads as one thing.

use std::borrow::Cow;

/// The mark at the end of a shortened text.
const MARK: char = '…';

/// `text` in at most `max` characters.
pub fn chars(text: &str, max: usize) -> Cow<'_, str> {
    if text.len() <= max || text.chars().count() <= max {
        return text.into();
    }
    sized(text, max, |_| 1, false).into()
}

/// The longest beginning of `text` that fits `max` with `…` after it, a character counting as `size` says. It doesn't
/// end inside an accented letter or an emoji of several characters, nor, with `entities`, inside `&amp;`.
pub fn sized(text: &str, max: usize, size: fn(char) -> usize, entities: bool) -> String {
    let Some(room) = max.checked_sub(size(MARK)) else { return String::new() };
    let mut end = 0;
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += size(c);
        if used > room {
            break;
        }
        end = at + c.len_utf8();
    }
    while end > 0 && !text[end..].is_empty() && joins(&text[..end], &text[end..]) {
        end = text[..end].char_indices().next_back().map_or(0, |(at, _)| at);
    }
    if entities && let Some(at) = open_entity(&text[..end], &text[end..]) {
        end = at;
    }
    let mut cut = text[..end].trim_end().to_owned();
    cut.push(MARK);
    cut
}

/// Whether the characters on both sides of a cut belong together.
fn joins(before: &str, after: &str) -> bool {
    const JOINER: char = '\u{200d}';
    let (Some(last), Some(next)) = (before.chars().next_back(), after.chars().next()) else {
        return false;
    };
    let flag = |c: char| ('\u{1f1e6}'..='\u{1f1ff}').contains(&c);
    let flags_before = before.chars().rev().take_while(|c| flag(*c)).count();
    last == JOINER
        || next == JOINER
        || (flag(next) && flags_before % 2 == 1)
        || matches!(next,
            '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{64b}'..='\u{65f}'
            | '\u{93c}' | '\u{93e}'..='\u{94d}' | '\u{1ab0}'..='\u{1aff}' | '\u{20d0}'..='\u{20ff}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}')
}

/// Where an entity begins that the cut would break.
fn open_entity(before: &str, after: &str) -> Option<usize> {
    let at = before.rfind('&')?;
    let inside = &before[at + 1..];
    let name = |s: &str| s.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'#');
    let end = after.find(';').filter(|end| end + inside.len() <= 8)?;
    (name(inside) && name(&after[..end])).then_some(at)
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

    #[test]
    fn a_cut_never_breaks_an_entity_or_a_grapheme() {
        let cut = |text, max| sized(text, max, |_| 1, true);
        assert_eq!(cut("ab &amp; cd", 6), "ab…");
        assert_eq!(cut("ab &amp; cd", 9), "ab &amp;…");
        assert_eq!(cut("R & D is long", 8), "R & D i…");
        assert_eq!(cut("cafe\u{301} and more", 5), "caf…");
        assert_eq!(cut("a👨‍👩‍👧 and more", 4), "a…");
        assert_eq!(chars("short", 5), "short");
        assert_eq!(chars("longer", 5), "long…");
        assert_eq!(chars("x", 0), "");
    }

    proptest! {
        #[test]
        fn a_cut_fits(text in "[a-z&;<é👨\u{200d}\u{301} ]{0,40}", max in 0usize..20) {
            prop_assert!(chars(&text, max).chars().count() <= max);
            prop_assert!(sized(&text, max, char::len_utf8, true).len() <= max.max(3) || max < 3);
            prop_assert!(one_line(&text).len() <= text.len());
        }
    }
}
