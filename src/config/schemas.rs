//! What is known of the events that a rule may see: the schemas of its sources' definitions, and those in `schemas/`.
//!
//! `schemas/TYPE.json` describes the data of the event type TYPE of every source. It adds to what a source's
//! definition knows: a field of both is as the file has it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::files::File;
use super::{Problem, Severity, sources};
use crate::rules::rule::TypePattern;
use crate::rules::source::schema::{Schema, json};
use crate::rules::source::{BUILT_IN, Definition};

/// Every schema of `schemas/`, by event type.
#[derive(Debug, Default)]
pub(super) struct Schemas {
    own: BTreeMap<String, Schema>,
}

/// An event type that a rule may see, with what is known of its data.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) kind: String,
    pub(super) schema: Schema,
}

/// The events that a rule may see.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Each type with a schema.
    pub(super) known: Vec<Known>,
    /// Whether it may see none but those.
    pub(super) complete: bool,
    /// The fields of the types that it doesn't see.
    pub(super) elsewhere: Vec<String>,
}

impl Schemas {
    /// Reads the files of `schemas/`.
    pub(super) fn read(files: &[File], problems: &mut Vec<Problem>) -> Self {
        let mut own = BTreeMap::new();
        for file in files {
            let kind = file.name.strip_suffix(".json").unwrap_or(&file.name);
            let (schema, found) = json::read(&file.text);
            problems.extend(found.into_iter().map(|p| Problem {
                code: p.code,
                severity: if p.error { Severity::Error } else { Severity::Warning },
                file: file.path.clone(),
                span: Some(p.span),
                message: p.message,
                hint: p.hint,
                text: Some(Arc::clone(&file.text)),
            }));
            own.extend(schema.map(|s| (kind.to_owned(), s)));
        }
        Self { own }
    }

    /// What is known of the type `kind` of `source`.
    fn of(&self, source: &sources::Declared, kind: &str) -> Option<Schema> {
        let definition = source.definition.as_ref();
        let built = definition.and_then(|d| d.event_type(kind)).and_then(Schema::of);
        match (built, self.own.get(kind)) {
            (Some(built), Some(own)) => Some(built.with(own)),
            (built, own) => built.or_else(|| own.cloned()),
        }
    }

    /// The types that `sources` are known to send, whether or not they have a schema.
    pub(super) fn kinds<'k>(&'k self, sources: &[&'k sources::Declared]) -> Vec<&'k str> {
        let definitions = sources.iter().filter_map(|s| s.definition.as_ref());
        let built = definitions.flat_map(|d| d.types.keys());
        let mut kinds: Vec<&str> = built.chain(self.own.keys()).map(String::as_str).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// What a rule for the types `on` (none: every type) of `sources` may see.
    pub(super) fn seen(&self, sources: &[&sources::Declared], on: &[String]) -> Seen {
        let complete = !on.is_empty() && !sources.is_empty();
        let mut seen = Seen { known: Vec::new(), complete, elsewhere: Vec::new() };
        for source in sources {
            if source.definition.is_none() {
                // Of a source whose kind is mistyped, too, a bare word is suspicious that no known event has.
                seen.elsewhere.extend(built_in_fields());
            }
            let kinds = self.kinds(&[source]);
            for kind in &kinds {
                let pattern = |p: &String| TypePattern { text: p.as_str().into() }.matches(kind);
                let schema = self.of(source, kind);
                if !(on.is_empty() || on.iter().any(pattern)) {
                    seen.elsewhere.extend(schema.into_iter().flat_map(|s| s.fields.into_keys()));
                    continue;
                }
                match schema {
                    Some(schema) => {
                        let known = Known { kind: (*kind).to_owned(), schema };
                        let same = |k: &Known| k.kind == known.kind && k.schema == known.schema;
                        if !seen.known.iter().any(same) {
                            seen.known.push(known);
                        }
                    }
                    None => seen.complete = false,
                }
            }
            // A family may hold types that nobody knows yet.
            seen.complete &= on.iter().all(|p| kinds.contains(&p.as_str()));
        }
        seen
    }
}

/// The fields of every event that a built-in source is known to send.
fn built_in_fields() -> impl Iterator<Item = String> {
    let definitions = BUILT_IN.iter().filter_map(|(_, text)| Definition::parse(text).ok());
    definitions.flat_map(|d| d.types.into_values()).flat_map(|t| t.fields.into_keys())
}

impl Seen {
    /// Every field of the data, for "did you mean".
    pub(super) fn fields(&self) -> Vec<&str> {
        let mut all: Vec<&str> =
            self.known.iter().flat_map(|k| k.schema.fields.keys().map(String::as_str)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The types' names, as a message has them.
    pub(super) fn names(&self) -> String {
        let mut kinds: Vec<&str> = self.known.iter().map(|k| k.kind.as_str()).collect();
        kinds.dedup();
        match kinds.as_slice() {
            [] => "no event".to_owned(),
            [one] => (*one).to_owned(),
            [some @ .., last] if some.len() < 4 => format!("{} or {last}", some.join(", ")),
            all => format!("any of {} event types", all.len()),
        }
    }
}
