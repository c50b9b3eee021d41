//! Schemas: what is known of an event type's data, for checks at load. Nothing is ever refused by one when an event
//! comes in.
//!
//! Two ways lead here: the `fields` of a source's definition, and a JSON Schema that a person wrote ([`json`]).

use std::collections::BTreeMap;

use super::{EventType, FieldType};
use crate::rules::fields::Step;

pub mod json;

/// What is known of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    /// The types that it may have beside null; empty if nothing is known of them.
    pub kinds: Vec<FieldType>,
    /// Whether it may be null or missing, which mean the same.
    pub nullable: bool,
    /// The texts that it is known to have, where it has a few; there may be others.
    pub values: Vec<String>,
    /// The fields of an object, by name.
    pub fields: BTreeMap<String, Schema>,
    /// Whether an object may have other fields than those.
    pub open: bool,
    /// What is known of a list's items.
    pub items: Option<Box<Schema>>,
    /// What it means.
    pub doc: String,
}

/// What a schema says of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'s> {
    /// It is known; it may be null or missing if `nullable`, be it for its own sake or for that of an object above it.
    Known {
        /// What is known of it.
        schema: &'s Schema,
        /// Whether it may be null or missing.
        nullable: bool,
    },
    /// It may be there; nothing is known of it.
    Open,
    /// It can't be there.
    Missing {
        /// Which of the steps isn't there.
        step: usize,
        /// What that step was looked for in.
        within: &'s Schema,
    },
}

impl Schema {
    /// Of which nothing is known.
    pub fn anything() -> Self {
        Self {
            kinds: Vec::new(),
            nullable: true,
            values: Vec::new(),
            fields: BTreeMap::new(),
            open: true,
            items: None,
            doc: String::new(),
        }
    }

    /// The data of an event type as its source's definition has it; none where that lists no fields.
    pub fn of(event_type: &EventType) -> Option<Self> {
        let fields = event_type.fields.iter().map(|(name, field)| {
            let leaf = Self {
                kinds: vec![field.kind],
                nullable: field.nullable,
                values: field.values.clone(),
                doc: field.doc.clone(),
                ..Self::anything()
            };
            (name.clone(), leaf)
        });
        let fields: BTreeMap<_, _> = fields.collect();
        (!fields.is_empty()).then(|| Self { fields, ..Self::object() })
    }

    /// An object that has no fields.
    fn object() -> Self {
        Self { kinds: vec![FieldType::Object], nullable: false, open: false, ..Self::anything() }
    }

    /// This one with what `own` adds: a field of both is as `own` has it.
    pub fn with(mut self, own: &Self) -> Self {
        self.fields.extend(own.fields.iter().map(|(name, s)| (name.clone(), s.clone())));
        self.open |= own.open;
        self
    }

    /// What it says of the path `steps` below it.
    pub fn at(&self, steps: &[Step]) -> Found<'_> {
        let mut here = self;
        let mut nullable = false;
        for (at, step) in steps.iter().enumerate() {
            let missing = Found::Missing { step: at, within: here };
            let any = here.kinds.is_empty();
            let inner = match step {
                Step::Key(key) => match here.fields.get(&**key) {
                    Some(field) => Some(field),
                    None if here.open && (any || here.is(FieldType::Object)) => None,
                    None => return missing,
                },
                Step::Index(_) if any || here.is(FieldType::List) => {
                    // No list promises how long it is.
                    nullable = true;
                    here.items.as_deref()
                }
                Step::Index(_) => return missing,
            };
            let Some(inner) = inner else { return Found::Open };
            nullable |= inner.nullable;
            here = inner;
        }
        Found::Known { schema: here, nullable }
    }

    /// Whether it may be a `kind`.
    pub fn is(&self, kind: FieldType) -> bool {
        self.kinds.contains(&kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::source::{Definition, built_in};

    fn steps(path: &[&str]) -> Vec<Step> {
        path.iter()
            .map(|s| s.parse().map_or_else(|_| Step::Key((*s).into()), Step::Index))
            .collect()
    }

    #[test]
    fn the_fields_of_a_definition_are_a_closed_object_whose_objects_are_open() {
        let definition = Definition::parse(built_in("replicer").unwrap()).unwrap();
        let schema = Schema::of(definition.event_type("call.ended").unwrap()).unwrap();
        let known = |path: &[&str]| match schema.at(&steps(path)) {
            Found::Known { schema, nullable } => format!("{:?} {nullable}", schema.kinds),
            Found::Open => "open".to_owned(),
            Found::Missing { step, .. } => format!("missing {step}"),
        };
        assert_eq!(known(&["duration"]), "[Integer] false");
        assert_eq!(known(&["sentiment"]), "[String] true");
        assert_eq!(known(&["metadata", "a", "0", "b"]), "open");
        assert_eq!(known(&["duraton"]), "missing 0");
        assert_eq!(known(&["duration", "seconds"]), "missing 1");
        assert_eq!(known(&["duration", "0"]), "missing 1");
        assert!(Schema::of(&EventType::default()).is_none());
    }
}
