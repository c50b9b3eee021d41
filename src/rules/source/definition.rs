//! Source definitions as data: the typed form of `sources/*.toml`, and those that are built in.
//!
//! A definition that [`Definition::parse`] returned is sound in itself. What needs secrets or a name is
//! [`super::Source::compile`]'s.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;

use super::signature;

/// The definitions in the binary: their names and texts.
pub const BUILT_IN: &[(&str, &str)] =
    &[("replicer", include_str!("../../../sources/replicer.toml"))];

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
    /// How it signs. There is no default: a definition without signatures has to say `signature = "none"`.
    pub signature: Signature,
    /// Where id, type, time and data stand in the body.
    pub envelope: Envelope,
    /// The headers that it sends beside the signature, for `emit` and `demo`; they decide nothing when they come in.
    /// `{type}`, `{id}` and `{unix}` (seconds) are filled in.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The event types that are known, by name. Others are accepted all the same.
    #[serde(default)]
    pub types: BTreeMap<String, EventType>,
}

/// How a kind of sender signs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signature {
    /// Not at all: whoever reaches the listener may send.
    None,
    /// With a keyed hash over what it sends.
    Hmac(Hmac),
}

/// A keyed hash in one header.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hmac {
    /// The hash.
    pub algorithm: Algorithm,
    /// How its bytes are written.
    pub encoding: Encoding,
    /// The header that holds it. It must come exactly once.
    pub header: String,
    /// What stands before it in the header, for example `sha256=`; it is required then.
    #[serde(default)]
    pub prefix: String,
    /// What is signed: text in which `{body}` stands for the raw bytes.
    #[serde(default = "whole_body")]
    pub content: String,
}

fn whole_body() -> String {
    "{body}".to_owned()
}

/// The hash below an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// 20 bytes. Old, yet sound as an HMAC; for senders that know nothing else.
    Sha1,
    /// 32 bytes.
    Sha256,
    /// 64 bytes.
    Sha512,
}

/// How the bytes of a signature are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Two digits a byte; upper case is read as well as lower case.
    Hex,
    /// The standard alphabet with padding.
    Base64,
}

/// Where things stand in the body: names joined by dots, such as `data.id`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The sender's id of the event.
    pub id: String,
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened, RFC 3339.
    #[serde(default)]
    pub time: Option<String>,
    /// The object whose fields rules and templates see directly; none for the whole body.
    #[serde(default)]
    pub data: Option<String>,
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

/// Why a text is no source definition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DefinitionError {
    /// What is wrong; lower case, no full stop.
    pub message: String,
    /// The bytes of the text that are meant; none when it concerns the whole.
    pub span: Option<Range<usize>>,
}

impl Definition {
    /// Reads a definition from TOML.
    ///
    /// # Errors
    ///
    /// The text is no TOML, has unknown or missing keys, or contradicts itself.
    pub fn parse(text: &str) -> Result<Self, DefinitionError> {
        let definition: Self = toml::from_str(text)
            .map_err(|e| DefinitionError { message: e.message().to_owned(), span: e.span() })?;
        definition.check().map_err(|message| DefinitionError { message, span: None })?;
        Ok(definition)
    }

    /// What is known of the type `kind`, if anything.
    pub fn event_type(&self, kind: &str) -> Option<&EventType> {
        self.types.get(kind)
    }

    fn check(&self) -> Result<(), String> {
        if let Signature::Hmac(hmac) = &self.signature {
            signature::Scheme::check(hmac)?;
        }
        super::envelope::Reader::compile(self)?;
        for name in self.headers.keys() {
            hyper::header::HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| format!("`{name}` is no name of a header"))?;
        }
        for (kind, event_type) in &self.types {
            for (name, field) in &event_type.fields {
                if !field.values.is_empty() && field.kind != FieldType::String {
                    return Err(format!(
                        "`{name}` of `{kind}` lists `values`, which only a string can have"
                    ));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_definition_can_be_read_and_bears_its_name() {
        assert!(!BUILT_IN.is_empty());
        for (name, text) in BUILT_IN {
            let definition = Definition::parse(text).unwrap_or_else(|e| panic!("{name}: {e}"));
            assert_eq!(&definition.name, name);
        }
    }

    #[test]
    fn the_documented_event_has_exactly_the_fields_that_the_schema_knows() {
        let definition = Definition::parse(BUILT_IN[0].1).unwrap();
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

    #[test]
    fn a_definition_that_makes_no_sense_is_refused_with_its_reason() {
        let base = "name = 'x'\n[envelope]\nid = 'id'\ntype = 'type'\n";
        let hmac = "[signature.hmac]\nalgorithm = 'sha256'\nencoding = 'hex'\nheader = 'X-Sig'\n";
        assert_eq!(Definition::parse(&format!("{base}{hmac}")).unwrap().title, "");
        assert!(Definition::parse(&format!("signature = 'none'\n{base}")).is_ok());
        for (text, expected) in [
            (base.to_owned(), "missing field `signature`"),
            (format!("{base}{hmac}color = 'red'"), "unknown field `color`"),
            (format!("{base}{hmac}prefix = 1"), "invalid type"),
            (format!("{base}{hmac}content = 'v0'"), "`content` has no `{body}`"),
            (format!("{base}{hmac}content = '{{ts}}.{{body}}'"), "`{ts}` is not known"),
            (format!("{base}{}", hmac.replace("X-Sig", "X Sig")), "is no name of a header"),
            (format!("{base}{}", hmac.replace("sha256", "md5")), "unknown variant `md5`"),
            (format!("{}{hmac}", base.replace("'id'", "'a..b'")), "`a..b` is no path"),
            (format!("{}{hmac}", base.replace("'id'", "'type.id'")), "stands inside"),
            (
                format!("{base}{hmac}[types.a.fields]\nn = {{ type = 'integer', values = ['1'] }}"),
                "only a string",
            ),
            (format!("{base}time = 'id'\n{hmac}"), "is used twice"),
        ] {
            let error = Definition::parse(&text).unwrap_err();
            assert!(error.message.contains(expected), "{text}\n{error}");
        }
    }
}
