//! The one pass over a body: a visitor that keeps wanted leaves as they stand and skips the rest.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::value::{Reading, Value, Values};
use super::{DATA, Fields, NodeId};

pub(super) struct Reader<'f, 'a> {
    pub(super) fields: &'f Fields,
    pub(super) values: Values<'a>,
    /// Which nodes were met already; meeting one again is a duplicate key. One bit each for the first 64, which is
    /// nearly always all of them.
    met: u64,
    met_more: Vec<bool>,
    /// Whether the value at the root is an object.
    pub(super) object: bool,
}

impl<'f, 'a> Reader<'f, 'a> {
    pub(super) fn new(fields: &'f Fields) -> Self {
        Self {
            fields,
            values: Values { slots: vec![Reading::MISSING; fields.slots] },
            met: 0,
            met_more: vec![false; fields.nodes.len().saturating_sub(64)],
            object: false,
        }
    }

    /// The last of two equal keys wins, with nothing left of the first, as a tree of the whole body would have it.
    fn meet(&mut self, node: NodeId) {
        if node == DATA {
            self.object = false;
        }
        let again = match node.0.checked_sub(64) {
            None => {
                let bit = 1 << node.0;
                let again = self.met & bit != 0;
                self.met |= bit;
                again
            }
            Some(at) => std::mem::replace(&mut self.met_more[at], true),
        };
        if again {
            self.forget(node);
        }
    }

    fn forget(&mut self, node: NodeId) {
        let fields = self.fields;
        let node = &fields.nodes[node.0];
        if let Some(slot) = node.slot {
            self.values.slots[slot.0] = Reading::MISSING;
        }
        for (_, child) in &node.keys.entries {
            self.forget(*child);
        }
        for (_, child) in &node.indices {
            self.forget(*child);
        }
    }
}

/// Reads the value at a node of the tree of wanted paths.
pub(super) struct At<'r, 'f, 'a> {
    pub(super) reader: &'r mut Reader<'f, 'a>,
    pub(super) node: NodeId,
}

impl<'de> DeserializeSeed<'de> for At<'_, '_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.reader.meet(self.node);
        let fields = self.reader.fields;
        let node = &fields.nodes[self.node.0];
        let Some(slot) = node.slot else { return deserializer.deserialize_any(self) };
        let raw: &'de RawValue = serde::Deserialize::deserialize(deserializer)?;
        self.reader.values.slots[slot.0] =
            Reading { raw: Some(raw.get()), value: Value::parse(raw.get()) };
        if self.node == DATA {
            self.reader.object = raw.get().starts_with('{');
        }
        // A path that is wanted itself and has wanted paths below it is read twice; such paths are rare and short.
        if node.is_inner() && raw.get().starts_with(['{', '[']) {
            // The text was read as JSON just now, so this can fail only past serde_json's depth limit, where the
            // rest stays missing.
            let _ = serde_json::Deserializer::from_str(raw.get()).deserialize_any(self);
        }
        Ok(())
    }
}

impl<'de> Visitor<'de> for At<'_, '_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let fields = self.reader.fields;
        let mut object = true;
        while let Some(child) = map.next_key_seed(Key { fields, node: self.node })? {
            match child {
                Child::Wanted(node) => {
                    map.next_value_seed(At { reader: &mut *self.reader, node })?;
                }
                Child::Other | Child::Number => {
                    object &= matches!(child, Child::Other);
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        if self.node == DATA {
            self.reader.object = object;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let fields = self.reader.fields;
        let mut wanted = fields.nodes[self.node.0].indices.iter().peekable();
        let mut at = 0;
        loop {
            let more = match wanted.next_if(|(index, _)| *index == at) {
                Some((_, node)) => {
                    seq.next_element_seed(At { reader: &mut *self.reader, node: *node })?.is_some()
                }
                None => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                return Ok(());
            }
            at += 1;
        }
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Finds an object's key among a node's children, without keeping it.
struct Key<'f> {
    fields: &'f Fields,
    node: NodeId,
}

enum Child {
    Wanted(NodeId),
    Other,
    /// It isn't an object: serde_json shows a number as one.
    Number,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Child;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Child, D::Error> {
        // As bytes: a key with a lone surrogate is no text, but must not end the reading.
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Child;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    // With `arbitrary_precision`, a visitor that takes anything gets a number as an object with one private key; only
    // that key comes as text rather than as bytes.
    fn visit_str<E>(self, _: &str) -> Result<Child, E> {
        Ok(Child::Number)
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Child, E> {
        Ok(self.fields.nodes[self.node.0].keys.get(key).map_or(Child::Other, Child::Wanted))
    }
}
