//! Source definitions as data: the typed form of `sources/*.toml`. `docs/sources.md` tells people what the keys mean.
//!
//! A definition that [`Definition::parse`] returned is sound in itself. What needs secrets or a name is
//! [`super::Source::compile`]'s.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::fault::{DefinitionError, Fault};
use super::place::{Place, Places, TimePlace};
use super::scheme::Signature;
use super::{envelope, signature};

/// A source definition (`sources/NAME.toml`): how a kind of sender signs and what its events look like.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The kind's name, for example `replicer`.
    pub name: String,
    /// The name that people know it by.
    #[serde(default)]
    pub title: String,
    /// Where the facts come from, for example the URL of the sender's documentation.
    #[serde(default)]
    pub docs: Option<String>,
    /// How its bodies are written.
    #[serde(default)]
    pub body: BodyFormat,
    /// How it signs. There is no default: a definition without signatures has to say `signature = "none"`.
    pub signature: Signature,
    /// Where id, type, time and data stand.
    pub envelope: Envelope,
    /// The event that it sends to see whether this is the right place, and how that is answered.
    #[serde(default)]
    pub challenge: Option<Challenge>,
    /// The headers that it sends beside the signature, for `emit` and `demo`; they decide nothing when they come in.
    /// `{type}`, `{id}`, `{unix}` (seconds) and `{unique}` are filled in.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// An event as it comes, for `emit` without a file.
    #[serde(default)]
    pub sample: Option<Sample>,
    /// The event types that are known, by name. Others are accepted all the same.
    #[serde(default)]
    pub types: BTreeMap<String, EventType>,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BodyFormat {
    /// A JSON object.
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`. The event is a JSON object of its fields.
    Form,
}

/// Where things stand.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The sender's id of the event.
    pub id: Places,
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: Places,
    /// When it happened.
    #[serde(default)]
    pub time: Option<TimePlace>,
    /// The object whose fields rules and templates see directly; none for the whole body.
    #[serde(default)]
    pub data: Option<String>,
}

/// An event that asks whether this is the right place. It is answered and not kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The path of the text that is sent back, as a JSON object with the path's last name.
    pub answer: String,
}

/// An event as it comes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// Its type, where the body doesn't say it.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The body; `{unique}` stands for letters and digits that are others each time.
    pub body: String,
}

/// What is known of one event type.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventType {
    /// What it means.
    #[serde(default)]
    pub title: String,
    /// The fields that together make two events the same one whatever their ids; empty if there are none.
    #[serde(default)]
    pub natural_key: Vec<String>,
    /// Paths that the body of such an event has. Where the type stands in a header that isn't signed, the signed body
    /// has to fit it.
    #[serde(default)]
    pub needs: Vec<String>,
    /// The fields of `data`, by name; empty if unknown.
    #[serde(default)]
    pub fields: BTreeMap<String, Field>,
}

/// What is known of one field of an event type.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// Whether it may be null.
    #[serde(default)]
    pub nullable: bool,
    /// The values known so far, for a text that is one of a few. The sender may add some.
    #[serde(default)]
    pub values: Vec<String>,
    /// What it means.
    #[serde(default)]
    pub doc: String,
}

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldType {
    /// Text.
    String,
    /// A number without a fraction.
    Integer,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A time as ISO 8601 text.
    Time,
    /// An object of any shape.
    Object,
    /// A list of anything.
    List,
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Time => "time",
            Self::Object => "object",
            Self::List => "list",
        })
    }
}

impl Definition {
    /// Reads a definition from TOML.
    ///
    /// # Errors
    ///
    /// The text is no TOML, has unknown or missing keys, or contradicts itself: everything that is wrong with it, as
    /// far as it could be read.
    pub fn parse(text: &str) -> Result<Self, Vec<DefinitionError>> {
        let definition: Self = toml::from_str(text).map_err(|e| {
            vec![DefinitionError { message: e.message().to_owned(), span: e.span(), hint: None }]
        })?;
        let faults = definition.check();
        if faults.is_empty() {
            return Ok(definition);
        }
        Err(faults.into_iter().map(|fault| fault.locate(text)).collect())
    }

    /// What is known of the type `kind`, if anything.
    pub fn event_type(&self, kind: &str) -> Option<&EventType> {
        self.types.get(kind)
    }

    /// Whether it signs the URL that it posts to, which the receiver has to know then.
    pub fn signs_url(&self) -> bool {
        self.signature.keyed().any(|(_, keyed)| keyed.content.contains("{url}"))
    }

    fn check(&self) -> Vec<Fault> {
        let mut faults = signature::check(&self.signature, self.body);
        self.check_places(&mut faults);
        if let Err(fault) = envelope::Reader::compile(self) {
            faults.push(fault);
        }
        for (name, template) in &self.headers {
            if hyper::header::HeaderName::from_bytes(name.as_bytes()).is_err() {
                let message = format!("`{name}` is no name of a header");
                faults.push(Fault::new(&["headers", name], message));
            }
            let mut rest = template.clone();
            for known in ["{type}", "{id}", "{unix}", "{unique}"] {
                rest = rest.replace(known, "");
            }
            if rest.contains(['{', '}']) {
                let message = "only `{type}`, `{id}`, `{unix}` and `{unique}` are filled in here";
                faults.push(Fault::new(&["headers", name], message));
            }
        }
        for (kind, event_type) in &self.types {
            for (name, field) in &event_type.fields {
                if !field.values.is_empty() && field.kind != FieldType::String {
                    let message = format!(
                        "`{name}` of `{kind}` lists `values`, which only a string can have"
                    );
                    faults.push(Fault::new(&["types", kind, "fields", name, "values"], message));
                }
            }
        }
        faults
    }

    /// Only what the signature covers may decide; a definition that wants it otherwise has to say why.
    fn check_places(&self, faults: &mut Vec<Fault>) {
        let signed: Vec<&str> =
            self.signature.keyed().filter_map(|(_, k)| Some(&*k.id.as_ref()?.header)).collect();
        for (key, places) in [("id", &self.envelope.id), ("type", &self.envelope.kind)] {
            let last = places.0.len().saturating_sub(1);
            if places.0.is_empty() {
                faults.push(Fault::new(&["envelope", key], format!("`{key}` has no place at all")));
            }
            for (i, place) in places.0.iter().enumerate() {
                let index = i.to_string();
                let at = ["envelope", key, &index];
                match place {
                    Place::Header { name, .. }
                        if hyper::header::HeaderName::from_bytes(name.as_bytes()).is_err() =>
                    {
                        faults.push(Fault::new(&at, format!("`{name}` is no name of a header")));
                    }
                    Place::Header { name, unsigned } => {
                        let covered = signed.iter().any(|s| s.eq_ignore_ascii_case(name));
                        faults.extend(header_fault(&at, key, name, unsigned.as_deref(), covered));
                    }
                    Place::HashOfBody | Place::Text(_) if i < last => {
                        let message =
                            "what stands behind this is never looked at: it always holds something";
                        faults.push(Fault::new(&at, message).hint("make it the last one"));
                    }
                    Place::HashOfBody if key == "type" => {
                        let message = "a hash is an id, not a type: no rule could name it";
                        faults.push(Fault::new(&at, message).hint("write { text = \"…\" }"));
                    }
                    Place::Text(_) if key == "id" => {
                        let message = "one id for all events would make every event but the first a duplicate";
                        faults.push(Fault::new(&at, message).hint("write { hash = \"body\" }"));
                    }
                    Place::Text(text) if text.is_empty() || text.len() > envelope::MAX_TYPE => {
                        let message = format!("a type is 1 to {} bytes long", envelope::MAX_TYPE);
                        faults.push(Fault::new(&at, message));
                    }
                    Place::Path { .. } | Place::HashOfBody | Place::Text(_) => {}
                }
            }
        }
    }
}

fn header_fault(
    at: &[&str],
    key: &str,
    name: &str,
    unsigned: Option<&str>,
    covered: bool,
) -> Option<Fault> {
    match (covered, unsigned, key) {
        (true, None, _) => None,
        (true, Some(_), _) => Some(
            Fault::new(at, format!("the signature covers `{name}`")).hint("remove `unsigned`"),
        ),
        // Whoever holds one signed body could make it a new event again and again, or drop somebody else's.
        (false, _, "id") => Some(
            Fault::new(at, format!("the signature doesn't cover `{name}`, so it can't be the id"))
                .hint("write { hash = \"body\" }, or the path of an id in the body"),
        ),
        (false, None, _) => Some(
            Fault::new(at, format!("the signature doesn't cover `{name}`")).hint(
                "take it from the body; if the sender says it nowhere else, add unsigned = \"why it is believed\"",
            ),
        ),
        (false, Some(why), _) if why.trim().is_empty() => {
            Some(Fault::new(at, "`unsigned` says why the header is believed"))
        }
        (false, Some(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_event_has_exactly_the_fields_that_the_schema_knows() {
        let definition = Definition::parse(super::super::built_in("replicer").unwrap()).unwrap();
        let schema = definition.event_type("call.ended").unwrap();
        let event: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/events/call.ended.json")).unwrap();
        let data = event["data"].as_object().unwrap();
        let mut seen: Vec<_> = data.keys().map(String::as_str).collect();
        seen.sort_unstable();
        let known: Vec<_> = schema.fields.keys().map(String::as_str).collect();
        assert_eq!(seen, known);
        for (name, value) in data {
            let field = &schema.fields[name];
            let fits = match field.kind {
                FieldType::String => value.is_string(),
                FieldType::Integer => value.is_i64(),
                FieldType::Number => value.is_number(),
                FieldType::Boolean => value.is_boolean(),
                FieldType::Time => value.as_str().unwrap().parse::<jiff::Timestamp>().is_ok(),
                FieldType::Object => value.is_object(),
                FieldType::List => value.is_array(),
            };
            assert!(fits, "{name} is no {}", field.kind);
            if let (Some(text), false) = (value.as_str(), field.values.is_empty()) {
                assert!(field.values.iter().any(|v| v == text), "{name}");
            }
        }
        assert!(schema.fields["sentiment"].nullable && !schema.fields["duration"].nullable);
    }
}
