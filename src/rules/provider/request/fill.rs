//! Patterns with a destination's settings filled in: what is left is what differs from message to message.

use std::collections::BTreeMap;
use std::sync::Arc;

use lettre::message::Mailbox;

use super::super::definition::Definition;
use super::super::pattern::{Field, Filter, Hole, Name, Part, Pattern, Scope, Value, Variable};
use super::super::settings::Filled;

/// A piece of a pattern whose settings are filled in.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Text(String),
    Dynamic(Dynamic),
}

/// What differs from message to message.
#[derive(Clone, Debug)]
pub(super) struct Dynamic {
    what: What,
    filter: Option<Filter>,
}

#[derive(Clone, Debug)]
enum What {
    Variable(Variable),
    Rich(String),
    Derived(Arc<Derived>),
}

/// One of `[values]`.
#[derive(Debug)]
struct Derived {
    from: Vec<Vec<Piece>>,
    map: Option<toml::Table>,
    otherwise: Option<toml::Value>,
}

/// A placeholder whose settings are filled in.
pub(super) enum Resolved {
    /// It is the same for every message; none if its setting is left out.
    Constant(Option<String>),
    Dynamic(Dynamic),
}

/// Definition and checked settings, while a target is compiled.
pub(super) struct Settings<'a> {
    pub(super) definition: &'a Definition,
    pub(super) filled: &'a BTreeMap<String, Filled>,
}

impl Settings<'_> {
    pub(super) fn resolve(&self, hole: &Hole) -> Result<Resolved, String> {
        let filter = hole.filter;
        let what = match &hole.name {
            Name::Variable(variable) => What::Variable(*variable),
            Name::Rich(key) => What::Rich(key.clone()),
            Name::Own(name, field) => match self.definition.values.get(name) {
                Some(value) => {
                    let mut from = Vec::new();
                    for text in &value.from {
                        from.extend(self.fill(text, |_, v| v.to_owned())?);
                    }
                    let (map, otherwise) = (value.map.clone(), value.otherwise.clone());
                    What::Derived(Arc::new(Derived { from, map, otherwise }))
                }
                None => {
                    let text = self.text(name, *field);
                    let text = text.map(|t| filter.map_or(t.clone(), |f| f.apply(&t, None)));
                    return Ok(Resolved::Constant(text));
                }
            },
        };
        Ok(Resolved::Dynamic(Dynamic { what, filter }))
    }

    /// A pattern with its settings filled in, each value put through `encode` with what stands before it; none if one
    /// of its settings is optional and left out.
    pub(super) fn fill(
        &self,
        text: &str,
        mut encode: impl FnMut(&str, &str) -> String,
    ) -> Result<Option<Vec<Piece>>, String> {
        let mut pieces = Vec::new();
        let mut before = String::new();
        for part in Pattern::parse(text)?.parts {
            let piece = match part {
                Part::Text(text) => text,
                Part::Hole(hole) => match self.resolve(&hole)? {
                    Resolved::Constant(Some(value)) => encode(&before, &value),
                    Resolved::Constant(None) => return Ok(None),
                    Resolved::Dynamic(dynamic) => {
                        pieces.push(Piece::Dynamic(dynamic));
                        continue;
                    }
                },
            };
            before.push_str(&piece);
            match pieces.last_mut() {
                Some(Piece::Text(last)) => last.push_str(&piece),
                _ => pieces.push(Piece::Text(piece)),
            }
        }
        Ok(Some(pieces))
    }

    pub(super) fn text(&self, name: &str, field: Field) -> Option<String> {
        let value = match self.filled.get(name)? {
            Filled::Text(text) => text.clone(),
            Filled::Integer(n) => n.to_string(),
            Filled::Boolean(b) => b.to_string(),
            Filled::List(list) => list.join(","),
        };
        match field {
            Field::Whole => Some(value),
            Field::Address => value.parse::<Mailbox>().ok().map(|m| m.email.to_string()),
            Field::Name => value.parse::<Mailbox>().ok()?.name,
        }
    }

    /// A pattern without variables as text; none if an optional setting of it is left out.
    pub(super) fn constant(&self, text: &str) -> Result<Option<String>, String> {
        match self.fill(text, |_, value| value.to_owned())?.as_deref() {
            None => Ok(None),
            Some([]) => Ok(Some(String::new())),
            Some([Piece::Text(text)]) => Ok(Some(text.clone())),
            Some(_) => Err(format!("`{text}` can't hold a variable")),
        }
    }
}

impl Dynamic {
    pub(super) fn value<'a>(&'a self, scope: &Scope<'a>) -> Value<'a> {
        let value = match &self.what {
            What::Variable(variable) => variable.value(scope),
            What::Rich(key) => {
                match scope.outgoing.message.rich.as_ref().and_then(|r| r.get(key)) {
                    Some(tree) => Value::Raw(tree.to_string().into()),
                    None => Value::Absent,
                }
            }
            What::Derived(derived) => derived.value(scope),
        };
        match self.filter {
            None => value,
            Some(filter) => match value.into_text() {
                Some(text) => Value::Text(filter.apply(&text, Some(scope)).into()),
                None => Value::Absent,
            },
        }
    }
}

impl Derived {
    fn value<'a>(&'a self, scope: &Scope<'a>) -> Value<'a> {
        let mut found =
            self.from.iter().filter_map(|pieces| join(pieces, scope, |_, v| v.to_owned()));
        let found = found.find(|text| !text.is_empty());
        match (found, &self.map) {
            (Some(text), None) => Value::Text(text.into()),
            (Some(text), Some(map)) => scalar(map.get(&text).or(self.otherwise.as_ref())),
            (None, _) => scalar(self.otherwise.as_ref()),
        }
    }
}

fn scalar(value: Option<&toml::Value>) -> Value<'_> {
    match value {
        None => Value::Absent,
        Some(toml::Value::String(text)) => Value::Text(text.into()),
        Some(toml::Value::Integer(n)) => Value::Number(*n),
        Some(toml::Value::Boolean(b)) => Value::Boolean(*b),
        Some(other) => Value::Raw(other.to_string().into()),
    }
}

/// The pieces as one text, each variable put through `encode` with what stands before it; none if one is absent.
pub(super) fn join(
    pieces: &[Piece],
    scope: &Scope<'_>,
    encode: impl Fn(&str, &str) -> String,
) -> Option<String> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(t) => text.push_str(t),
            Piece::Dynamic(d) => {
                let value = encode(&text, &d.value(scope).into_text()?);
                text.push_str(&value);
            }
        }
    }
    Some(text)
}
