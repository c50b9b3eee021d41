//! Reads just the wanted fields out of an event's JSON, in one pass and without building a tree.
//!
//! [`Fields`] interns the paths that conditions name: each gets a [`Slot`]. [`Fields::read`] gives the [`Values`] of
//! one event. Names are resolved here: what belongs to the envelope, what to the event's data.
//!
//! It promises to read what `serde_json::Value` would have at the same path (of two equal keys the last wins), to
//! take time linear in the body, and never to fail: what isn't there is missing.

mod keys;
mod number;
mod read;
mod symbol;
#[cfg(test)]
mod tests;
mod value;

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use self::keys::Keys;
pub use self::number::{Decimal, Number, OwnedNumber};
pub use self::symbol::{Found, Interner, Scalar, Symbol, Symbols};
pub use self::value::{Value, Values};
use crate::event::Event;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// An object's key.
    Key(Box<str>),
    /// A place in an array, from 0.
    Index(usize),
}

/// What a path in a condition means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Name {
    /// `event`: the event's type.
    Kind,
    /// `id`: the sender's id of the event.
    Id,
    /// `timestamp`: when it happened, as the envelope writes it.
    Timestamp,
    /// `source`: the source's name in `rules.toml`; never something from the body.
    Source,
    /// A path below the event's data; empty for the data itself.
    Data(Vec<Step>),
}

/// The words that mean the envelope. A field of the data that is called the same is reached as `data.id`.
pub const ENVELOPE: [&str; 4] = ["event", "id", "timestamp", "source"];

impl Name {
    /// Resolves a path. None if it goes below a word of the envelope (`event.type`): those are texts.
    pub fn resolve(steps: &[Step]) -> Option<Self> {
        let Some(Step::Key(first)) = steps.first() else {
            return Some(Self::Data(steps.to_vec()));
        };
        let word = match &**first {
            "data" => return Some(Self::Data(steps[1..].to_vec())),
            "event" => Self::Kind,
            "id" => Self::Id,
            "timestamp" => Self::Timestamp,
            "source" => Self::Source,
            _ => return Some(Self::Data(steps.to_vec())),
        };
        (steps.len() == 1).then_some(word)
    }
}

/// The place of a wanted path's value in [`Values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NodeId(usize);

/// The root of the tree of wanted paths: the event's data.
const DATA: NodeId = NodeId(0);

/// A place in the tree of wanted paths.
#[derive(Debug, Default)]
struct Node {
    slot: Option<Slot>,
    keys: Keys,
    /// In ascending order.
    indices: Vec<(usize, NodeId)>,
}

impl Node {
    fn is_inner(&self) -> bool {
        !self.keys.entries.is_empty() || !self.indices.is_empty()
    }
}

/// The wanted paths, interned: each has a slot.
#[derive(Debug)]
pub struct Fields {
    nodes: Vec<Node>,
    slots: usize,
    kind: Option<Slot>,
    id: Option<Slot>,
    timestamp: Option<Slot>,
    source: Option<Slot>,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            slots: 0,
            kind: None,
            id: None,
            timestamp: None,
            source: None,
        }
    }
}

impl Fields {
    /// The slot of a name; the same name has the same slot.
    pub fn intern(&mut self, name: &Name) -> Slot {
        let next = Slot(self.slots);
        let slot = match name {
            Name::Kind => &mut self.kind,
            Name::Id => &mut self.id,
            Name::Timestamp => &mut self.timestamp,
            Name::Source => &mut self.source,
            Name::Data(steps) => {
                let node = steps.iter().fold(DATA, |node, step| self.step(node, step));
                &mut self.nodes[node.0].slot
            }
        };
        let slot = *slot.get_or_insert(next);
        if slot == next {
            self.slots += 1;
        }
        slot
    }

    fn step(&mut self, node: NodeId, step: &Step) -> NodeId {
        let new = NodeId(self.nodes.len());
        let parent = &mut self.nodes[node.0];
        match step {
            Step::Key(key) => match parent.keys.get(key.as_bytes()) {
                Some(known) => return known,
                None => parent.keys.insert(key.clone(), new),
            },
            Step::Index(index) => match parent.indices.binary_search_by_key(index, |(i, _)| *i) {
                Ok(at) => return parent.indices[at].1,
                Err(at) => parent.indices.insert(at, (*index, new)),
            },
        }
        self.nodes.push(Node::default());
        new
    }

    /// Reads every wanted path of `event`. `data` is the body's key that holds the event's data; where there is none,
    /// or no object under it, the whole body is the data. Templates find fields in the same way.
    pub fn read<'a>(&self, event: &'a Event, data: Option<&str>) -> Values<'a> {
        let mut reader = read::Reader::new(self);
        let mut timestamp = None;
        // The body is known to be JSON; if it weren't, what was not read stays missing. As text rather than as bytes:
        // looking once through all of it takes less than looking at each value that is kept.
        if data.is_some() || self.timestamp.is_some() {
            let body = Body { reader: &mut reader, data, timestamp: &mut timestamp };
            let _ = serde_json::Deserializer::from_str(event.text()).deserialize_any(body);
        }
        if !reader.object {
            let whole = read::At { reader: &mut reader, node: DATA };
            let _ = whole.deserialize(&mut serde_json::Deserializer::from_str(event.text()));
        }
        let mut values = reader.values;
        let mut set = |slot: Option<Slot>, value: Value<'a>| {
            if let Some(slot) = slot {
                values.slots[slot.0].value = value;
            }
        };
        set(self.kind, Value::Text(Cow::Borrowed(&event.kind)));
        set(self.id, Value::Text(Cow::Borrowed(&event.id)));
        set(self.source, Value::Text(Cow::Borrowed(&event.source)));
        if let Some(slot) = self.timestamp {
            values.slots[slot.0] = match (timestamp.filter(|raw| *raw != "null"), event.time) {
                (Some(raw), _) => value::Reading { raw: Some(raw), value: Value::parse(raw) },
                (None, Some(time)) => {
                    let value = Value::Text(Cow::Owned(time.to_string()));
                    value::Reading { raw: None, value }
                }
                (None, None) => value::Reading::MISSING,
            };
        }
        values
    }
}

/// The outermost object: the data and the envelope's time are in it.
struct Body<'r, 'f, 'a, 'd> {
    reader: &'r mut read::Reader<'f, 'a>,
    /// The data's key; none if the data is read otherwise.
    data: Option<&'d str>,
    /// Where to put the envelope's time, as JSON.
    timestamp: &'r mut Option<&'a str>,
}

impl<'de> Visitor<'de> for Body<'_, '_, 'de, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(part) = map.next_key_seed(PartKey { data: self.data })? {
            match part {
                Part::Data => {
                    map.next_value_seed(read::At { reader: &mut *self.reader, node: DATA })?;
                }
                Part::Timestamp => {
                    *self.timestamp = Some(map.next_value::<&'de RawValue>()?.get());
                }
                Part::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

enum Part {
    Data,
    Timestamp,
    Other,
}

struct PartKey<'d> {
    data: Option<&'d str>,
}

impl<'de> DeserializeSeed<'de> for PartKey<'_> {
    type Value = Part;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Part, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for PartKey<'_> {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, _: &str) -> Result<Part, E> {
        Ok(Part::Other)
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Part, E> {
        Ok(if self.data.is_some_and(|data| data.as_bytes() == key) {
            Part::Data
        } else if key == b"timestamp" {
            Part::Timestamp
        } else {
            Part::Other
        })
    }
}
