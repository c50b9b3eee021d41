//! What is wrong with a source definition, and where in its text.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Why a text is no source definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DefinitionError {
    /// What is wrong; lower case, no full stop.
    pub message: String,
    /// The bytes of the text that are meant; none when it concerns the whole.
    pub span: Option<Range<usize>>,
    /// What to write instead.
    pub hint: Option<String>,
}

/// A mistake at a key, before its place in the text is looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The keys from the top, for example `signature`, `hmac`, `content`; an index for an element of a list.
    pub(super) at: Vec<String>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Fault {
    /// A mistake at the keys `at`.
    pub(super) fn new(at: &[&str], message: impl Into<String>) -> Self {
        let at = at.iter().map(|part| (*part).to_owned()).collect();
        Self { at, message: message.into(), hint: None }
    }

    /// With what to write instead.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With its place in `text`: the key's value, or the nearest table around it that is there.
    pub(super) fn locate(self, text: &str) -> DefinitionError {
        let span = DeTable::parse(text).ok().and_then(|root| find(root.get_ref(), &self.at));
        DefinitionError { message: self.message, span, hint: self.hint }
    }
}

fn find(table: &DeTable<'_>, at: &[String]) -> Option<Range<usize>> {
    let (first, rest) = at.split_first()?;
    let value = table.iter().find(|(key, _)| key.get_ref() == first).map(|(_, value)| value)?;
    Some(within(value, rest))
}

fn within(value: &Spanned<DeValue<'_>>, at: &[String]) -> Range<usize> {
    let deeper = match (value.get_ref(), at.split_first()) {
        (DeValue::Table(table), Some(_)) => find(table, at),
        (DeValue::Array(list), Some((index, rest))) => {
            let item = index.parse().ok().and_then(|i: usize| list.get(i));
            item.map(|item| within(item, rest))
        }
        _ => None,
    };
    deeper.unwrap_or_else(|| value.span())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_found_at_its_key_or_at_the_nearest_table() {
        let text = "a = 1\n[b.'c.d']\ne = ['x', { f = 'y' }]\n";
        for (at, expected) in [
            (&["a"][..], Some("1")),
            (&["b", "c.d", "e", "0"], Some("'x'")),
            (&["b", "c.d", "e", "1", "f"], Some("'y'")),
            (&["b", "c.d", "e", "7"], Some("['x', { f = 'y' }]")),
            (&["b", "c.d", "none"], Some("[b.'c.d']")),
            (&["none"], None),
        ] {
            let error = Fault::new(at, "wrong").locate(text);
            assert_eq!(error.span.map(|span| &text[span]), expected, "{at:?}");
        }
    }
}
