//! How long a leaf of the body may be, and what happens past that.

use std::borrow::Cow;

use super::super::definition::{LimitDefinition, Overflow, Unit};
use crate::rules::template::{Style, cut::Measure, gsm};

/// The limit of one leaf.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    pub(super) definition: LimitDefinition,
    /// The markup of the leaf: what can't be cut.
    pub(super) style: Style,
}

impl Limit {
    fn measure(&self, text: &str) -> Measure {
        let max = self.definition.max;
        let (size, max): (fn(char) -> usize, usize) = match self.definition.unit {
            Unit::Chars => (|_| 1, max),
            Unit::Bytes => (char::len_utf8, max),
            Unit::Utf16 => (char::len_utf16, max),
            Unit::JsonBytes => (json_bytes, max),
            Unit::Segments => gsm::measure(text, max),
        };
        Measure { max, size, style: self.style }
    }

    /// The text within the limit, counted after escaping; none if it is left out.
    pub(super) fn apply<'a>(&self, text: Cow<'a, str>) -> Result<Option<Cow<'a, str>>, String> {
        let measure = self.measure(&text);
        // No unit but JSON's counts more than the bytes, so most texts need no counting.
        let short = text.len() <= measure.max
            && !matches!(self.definition.unit, Unit::JsonBytes | Unit::Segments);
        if short || measure.fits(&text) {
            return Ok(Some(text));
        }
        match self.definition.overflow {
            // What is split has been made to fit already, unless not even its number does.
            Overflow::Truncate | Overflow::Split => Ok(Some(measure.truncate(&text).into())),
            Overflow::Drop => Ok(None),
            Overflow::Refuse => Err(format!(
                "the text is longer than the provider's limit of {}",
                self.definition.max
            )),
        }
    }

    /// The parts that `text` is split into, at most `most`; none if this limit doesn't split.
    pub(super) fn parts(&self, text: &str, most: usize) -> Vec<String> {
        match self.definition.overflow {
            Overflow::Split => self.measure(text).split(text, most),
            _ => Vec::new(),
        }
    }
}

/// The bytes of a character within a JSON string, as serde_json writes it.
fn json_bytes(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        c if u32::from(c) < 0x20 => 6,
        c => c.len_utf8(),
    }
}
