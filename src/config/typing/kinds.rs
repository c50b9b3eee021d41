//! The types that a value may have, as a set.

use crate::rules::source::FieldType;
use crate::rules::source::schema::Schema;

/// Some of text, number, boolean, list, object and null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const NONE: Self = Self(0);
    pub(super) const TEXT: Self = Self(1);
    pub(super) const NUMBER: Self = Self(2);
    pub(super) const BOOL: Self = Self(4);
    pub(super) const LIST: Self = Self(8);
    pub(super) const OBJECT: Self = Self(16);
    pub(super) const NULL: Self = Self(32);
    pub(super) const ANY: Self = Self(63);

    /// What a value of this schema may be, null left out.
    pub(super) fn of(schema: &Schema) -> Self {
        if schema.kinds.is_empty() {
            return Self::ANY;
        }
        schema.kinds.iter().fold(Self::NONE, |all, kind| {
            all.or(match kind {
                FieldType::String | FieldType::Time => Self::TEXT,
                FieldType::Integer | FieldType::Number => Self::NUMBER,
                FieldType::Boolean => Self::BOOL,
                FieldType::Object => Self::OBJECT,
                FieldType::List => Self::LIST,
            })
        })
    }

    pub(super) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) fn meets(self, other: Self) -> bool {
        self.and(other) != Self::NONE
    }

    /// `a text`, `a number or a list`; null is never said.
    pub(super) fn words(self) -> String {
        let names = [
            (Self::TEXT, "a text"),
            (Self::NUMBER, "a number"),
            (Self::BOOL, "true or false"),
            (Self::LIST, "a list"),
            (Self::OBJECT, "an object"),
        ];
        let words: Vec<&str> =
            names.iter().filter(|(kind, _)| self.meets(*kind)).map(|(_, word)| *word).collect();
        if words.is_empty() { "null".to_owned() } else { words.join(" or ") }
    }
}
