//! What was read at a path.

use std::borrow::Cow;

use super::Slot;
use super::number::Number;

/// A value of an event, typed. Lists and objects stay text: they are looked into only where one is compared as a
/// whole.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// There is nothing at the path. For every operator it is the same as null; only explanations tell them apart.
    Missing,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number with all its digits.
    Number(Number<'a>),
    /// A string, unescaped; borrowed where it has no escapes.
    Text(Cow<'a, str>),
    /// An array's JSON.
    List(&'a str),
    /// An object's JSON.
    Object(&'a str),
}

impl<'a> Value<'a> {
    /// Reads one JSON value without white space around it. What is no JSON reads as missing.
    pub(super) fn parse(json: &'a str) -> Self {
        match json.as_bytes() {
            b"null" => Self::Null,
            b"true" => Self::Bool(true),
            b"false" => Self::Bool(false),
            [b'[', ..] => Self::List(json),
            [b'{', ..] => Self::Object(json),
            [b'"', inner @ .., b'"'] => {
                if inner.contains(&b'\\') {
                    // A lone surrogate (`"\ud800"`) is JSON, but no text.
                    serde_json::from_str(json)
                        .map_or(Self::Missing, |text: String| Self::Text(Cow::Owned(text)))
                } else {
                    Self::Text(Cow::Borrowed(&json[1..json.len() - 1]))
                }
            }
            _ => Number::parse(json).map_or(Self::Missing, Self::Number),
        }
    }

    /// Whether it is null or missing.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Missing | Self::Null)
    }

    /// The type's name in explanations.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(_) => "number",
            Self::Text(_) => "text",
            Self::List(_) => "list",
            Self::Object(_) => "object",
        }
    }
}

/// What one event has at every wanted path.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    pub(super) slots: Vec<Reading<'a>>,
}

#[derive(Clone, Debug)]
pub(super) struct Reading<'a> {
    /// The JSON as it stands in the body; none where the value isn't from there.
    pub(super) raw: Option<&'a str>,
    pub(super) value: Value<'a>,
}

impl Reading<'_> {
    pub(super) const MISSING: Self = Self { raw: None, value: Value::Missing };
}

impl<'a> Values<'a> {
    /// The value at a slot; missing if the slot was interned after these values were read.
    pub fn get(&self, slot: Slot) -> &Value<'a> {
        self.slots.get(slot.0).map_or(&Value::Missing, |reading| &reading.value)
    }

    /// The value as JSON, digits and escapes as they stand in the event; none if it is missing.
    pub fn json(&self, slot: Slot) -> Option<Cow<'a, str>> {
        let reading = self.slots.get(slot.0)?;
        match (&reading.raw, &reading.value) {
            (Some(raw), _) => Some(Cow::Borrowed(raw)),
            (None, Value::Text(text)) => serde_json::to_string(text).ok().map(Cow::Owned),
            (None, _) => None,
        }
    }
}
