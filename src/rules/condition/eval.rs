//! What a condition says of one event: true, false or unknown.
//!
//! | | |
//! |---|---|
//! | null, missing | the same |
//! | `==` `!=` `in` of fields and constants | always true or false; null equals only null; another type is just unequal |
//! | `<` `<=` `>` `>=` | numbers by value, texts by code points, false before true; anything else unknown |
//! | text functions, `size` | unknown on null and on another type |
//! | a field alone | unknown unless it is true or false |
//! | `and` `or` `not` | Kleene: unknown only where the rest doesn't decide |
//!
//! Nothing is coerced. On the common way nothing is allocated; only lists and objects that are compared as a whole
//! are parsed into a tree.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value as Json;

use super::ast::{Function, Operator};
use super::compile::{Operand, Part, Test};
use super::constant::{Constant, ConstantList};
use crate::rules::fields::{Number, Value, Values};

/// The value of a condition in three-valued logic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Truth {
    /// It holds.
    True,
    /// It doesn't.
    False,
    /// It can't be said: a value is null, missing or of another type.
    Unknown,
}

impl std::ops::Not for Truth {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::True => Self::False,
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::True } else { Self::False }
    }
}

impl Truth {
    /// False if any is, else unknown if any is.
    pub(super) fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        !Self::any(parts.into_iter().map(|part| !part))
    }

    /// True if any is, else unknown if any is.
    pub(super) fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut result = Self::False;
        for part in parts {
            match part {
                Self::True => return Self::True,
                Self::Unknown => result = Self::Unknown,
                Self::False => {}
            }
        }
        result
    }

    /// As people write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::False => "false",
            Self::Unknown => "unknown",
        }
    }
}

/// A value while it is looked at.
#[derive(Clone, Debug)]
pub(super) enum View<'v> {
    Null,
    Bool(bool),
    Number(Number<'v>),
    Text(Cow<'v, str>),
    /// A list or an object of the event.
    Json(&'v str),
    /// A list of the condition.
    List(&'v ConstantList),
}

impl Operand {
    /// None if it has no value, because something in it is unknown.
    pub(super) fn view<'v>(&'v self, values: &'v Values<'_>) -> Option<View<'v>> {
        match self {
            Self::Field { slot, .. } => Some(match values.get(*slot) {
                Value::Missing | Value::Null => View::Null,
                Value::Bool(value) => View::Bool(*value),
                Value::Number(number) => View::Number(*number),
                Value::Text(text) => View::Text(Cow::Borrowed(text)),
                Value::List(json) | Value::Object(json) => View::Json(json),
            }),
            Self::Constant(constant) => Some(constant.view()),
            Self::Size(subject) => size(&subject.view(values)?),
            Self::Lower(subject) => match subject.view(values)? {
                View::Text(text) if text.bytes().any(|b| b.is_ascii_uppercase()) => {
                    Some(View::Text(Cow::Owned(text.to_ascii_lowercase())))
                }
                View::Text(text) => Some(View::Text(text)),
                _ => None,
            },
            Self::Part(part) => match part.eval(values) {
                Truth::True => Some(View::Bool(true)),
                Truth::False => Some(View::Bool(false)),
                Truth::Unknown => None,
            },
        }
    }
}

impl Constant {
    fn view(&self) -> View<'_> {
        match self {
            Self::Null => View::Null,
            Self::Bool(value) => View::Bool(*value),
            Self::Number(number) => View::Number(number.get()),
            Self::Text(text) => View::Text(Cow::Borrowed(text)),
            Self::List(list) => View::List(list),
        }
    }
}

fn size<'v>(view: &View<'_>) -> Option<View<'v>> {
    let size = match view {
        View::Text(text) => text.chars().count(),
        View::List(list) => list.items.len(),
        View::Json(json) => match parsed(json) {
            Json::Array(items) => items.len(),
            Json::Object(members) => members.len(),
            _ => return None,
        },
        _ => return None,
    };
    i64::try_from(size).ok().map(|size| View::Number(Number::Int(size)))
}

impl Part {
    pub(super) fn eval(&self, values: &Values<'_>) -> Truth {
        match &self.test {
            Test::And(parts) => Truth::all(parts.iter().map(|part| part.eval(values))),
            Test::Or(parts) => Truth::any(parts.iter().map(|part| part.eval(values))),
            Test::Not(inner) => !inner.eval(values),
            _ => self.leaf(values).unwrap_or(Truth::Unknown),
        }
    }

    /// The value of a part that joins no others; none for unknown.
    fn leaf(&self, values: &Values<'_>) -> Option<Truth> {
        let holds = match &self.test {
            Test::And(_) | Test::Or(_) | Test::Not(_) => return Some(self.eval(values)),
            Test::Constant(value) => *value,
            Test::Flag(operand) => match operand.view(values)? {
                View::Bool(value) => value,
                _ => return None,
            },
            Test::Equal { left, right, negated } => {
                equal(&left.view(values)?, &right.view(values)?) != *negated
            }
            Test::Order { left, right, operator } => {
                let order = order(&left.view(values)?, &right.view(values)?)?;
                match operator {
                    Operator::Less => order.is_lt(),
                    Operator::LessOrEqual => order.is_le(),
                    Operator::Greater => order.is_gt(),
                    Operator::GreaterOrEqual => order.is_ge(),
                    Operator::Equal | Operator::NotEqual | Operator::In => return None,
                }
            }
            Test::In { item, list } => holds(&list.view(values)?, &item.view(values)?),
            Test::OneOf { item, list } => {
                let item = item.view(values)?;
                return Some(Truth::any(list.iter().map(|one| {
                    one.view(values).map_or(Truth::Unknown, |one| equal(&item, &one).into())
                })));
            }
            Test::Has(operand) => !matches!(operand.view(values)?, View::Null),
            Test::Text { function, subject, argument } => {
                let (View::Text(subject), View::Text(argument)) =
                    (subject.view(values)?, argument.view(values)?)
                else {
                    return None;
                };
                match function {
                    Function::StartsWith => subject.starts_with(&*argument),
                    Function::EndsWith => subject.ends_with(&*argument),
                    _ => subject.contains(&*argument),
                }
            }
            Test::Matches { subject, regex } => match subject.view(values)? {
                View::Text(subject) => regex.is_match(&subject),
                _ => return None,
            },
        };
        Some(holds.into())
    }
}

/// The order of two values that have one.
fn order(left: &View<'_>, right: &View<'_>) -> Option<Ordering> {
    match (left, right) {
        (View::Number(a), View::Number(b)) => Some(a.cmp(b)),
        // UTF-8 keeps the order of code points.
        (View::Text(a), View::Text(b)) => Some(a.cmp(b)),
        (View::Bool(a), View::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn equal(left: &View<'_>, right: &View<'_>) -> bool {
    match (left, right) {
        (View::Null, View::Null) => true,
        (View::Json(a), View::Json(b)) => same_json(&parsed(a), &parsed(b)),
        (View::Json(json), View::List(list)) | (View::List(list), View::Json(json)) => {
            same_list(list, &parsed(json))
        }
        (View::List(a), View::List(b)) => {
            a.items.len() == b.items.len()
                && a.items.iter().zip(&b.items).all(|(a, b)| equal(&a.view(), &b.view()))
        }
        _ => order(left, right) == Some(Ordering::Equal),
    }
}

/// Whether `list` has `item` in it: an item of a list, a key of an object.
fn holds(list: &View<'_>, item: &View<'_>) -> bool {
    match (list, item) {
        (View::List(list), View::Text(text)) => list.holds_text(text),
        (View::List(list), item) => list.items.iter().any(|one| equal(&one.view(), item)),
        (View::Json(json), item) => match (parsed(json), item) {
            (Json::Array(items), item) => items.iter().any(|one| same_view(item, one)),
            (Json::Object(members), View::Text(key)) => members.contains_key(&**key),
            _ => false,
        },
        _ => false,
    }
}

/// A list or an object of the event; null if it is not JSON or deeper than serde_json goes.
fn parsed(json: &str) -> Json {
    serde_json::from_str(json).unwrap_or(Json::Null)
}

/// Inside a list or an object a null is a value like any other, and numbers are compared as everywhere.
fn same_json(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => {
            Number::parse(a.as_str()) == Number::parse(b.as_str())
        }
        (Json::Array(a), Json::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_json(a, b))
        }
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same_json(a, b)))
        }
        (a, b) => a == b,
    }
}

fn same_list(list: &ConstantList, json: &Json) -> bool {
    let Json::Array(items) = json else { return false };
    items.len() == list.items.len()
        && list.items.iter().zip(items).all(|(one, json)| same_view(&one.view(), json))
}

fn same_view(view: &View<'_>, json: &Json) -> bool {
    match (view, json) {
        (View::Null, Json::Null) => true,
        (View::Bool(a), Json::Bool(b)) => a == b,
        (View::Number(a), Json::Number(b)) => Number::parse(b.as_str()).as_ref() == Some(a),
        (View::Text(a), Json::String(b)) => *a == **b,
        (View::List(list), json) => same_list(list, json),
        (View::Json(text), json @ (Json::Array(_) | Json::Object(_))) => {
            same_json(&parsed(text), json)
        }
        _ => false,
    }
}
