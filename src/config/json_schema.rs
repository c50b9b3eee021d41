//! The JSON Schema of `rules.toml`, for editors: made from [`super::keys`] and from the definitions of sources and
//! providers.
//!
//! It is draft-07, which every TOML language server reads. What stands beside `provider` or `kind` is one branch of a
//! `oneOf` for each definition, told apart by a constant. Its other keys are not required there: tombi chooses the
//! branch that holds, and while a person is still writing, a key is always missing (tried with tombi 1.9: `required`,
//! `patternProperties`, `allOf` and `if` each end the completion of a provider's settings). `check` says what is
//! missing. Values may be `${NAME}`; so this is never stricter than `check`.

use serde_json::{Map, Value, json};

use super::Definitions;
use super::keys::{self, Key, Section, Shape};
use crate::rules::provider::{Kind, SettingDefinition};

/// A duration as [`crate::clock::parse_duration`] reads it.
const DURATION: &str = "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$";
/// A size as [`super::quantity::parse_size`] reads it.
const SIZE: &str = "^[0-9]+ *([KMGkmg][Ii]?)?[Bb]$";
/// The name of a source, a destination or a schedule.
const NAME: &str = "^[a-z0-9][a-z0-9_-]{0,63}$";
/// A reference to a secret stands somewhere in a text.
const REFERENCE: &str = r"|\$\{";

/// Where what every destination has stands once, rather than once for each provider.
const SHARED: &str = "definitions";

/// The schema as a file has it, with what `definitions` say of sources and destinations.
pub fn json_schema(definitions: &Definitions) -> String {
    let mut all = Map::new();
    all.insert("$schema".to_owned(), json!("http://json-schema.org/draft-07/schema#"));
    all.insert("title".to_owned(), json!("Hookbell's rules.toml"));
    let doc = "Which event notifies whom, in which words. `hookbell schema` writes this file.";
    all.insert("description".to_owned(), json!(doc));
    if let Value::Object(root) = table(&keys::ROOT, definitions) {
        all.extend(root);
    }
    let shared = properties(&keys::DESTINATION, definitions)
        .into_iter()
        .filter(|(name, _)| name != "provider");
    all.insert(SHARED.to_owned(), Value::Object(shared.collect()));
    format!("{:#}\n", Value::Object(all))
}

fn table(section: &Section, definitions: &Definitions) -> Value {
    let kind = |key: &&Key| matches!(key.shape, Shape::Kind | Shape::Provider);
    let Some(by) = section.keys.iter().find(kind) else {
        return object(properties(section, definitions), required(section));
    };
    let branches: Vec<Value> = match by.shape {
        Shape::Kind => definitions
            .sources
            .iter()
            .map(|d| source(section, definitions, by, &d.definition))
            .collect(),
        _ => {
            definitions.providers.iter().map(|d| destination(section, by, &d.definition)).collect()
        }
    };
    json!({ "type": "object", "oneOf": branches })
}

fn object(properties: Map<String, Value>, required: Vec<&str>) -> Value {
    let mut object =
        json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

fn properties(section: &Section, definitions: &Definitions) -> Map<String, Value> {
    section.keys.iter().map(|key| (key.name.to_owned(), described(key, definitions))).collect()
}

fn required(section: &Section) -> Vec<&'static str> {
    section.keys.iter().filter(|k| k.required).map(|k| k.name).collect()
}

fn described(key: &Key, definitions: &Definitions) -> Value {
    let mut value = shape(&key.shape, definitions);
    value["description"] = json!(key.doc);
    if let Some(default) = key.default {
        value["default"] = serde_json::from_str(default).unwrap_or_else(|_| json!(default));
    }
    value
}

fn shape(shape_of: &Shape, definitions: &Definitions) -> Value {
    match shape_of {
        Shape::Version => json!({ "type": "integer", "const": 1 }),
        Shape::Text | Shape::Kind | Shape::Provider => text(None),
        Shape::Matching(pattern) => text(Some(pattern)),
        Shape::Texts => texts(&text(None)),
        Shape::TextsMatching(pattern) => texts(&text(Some(pattern))),
        Shape::Duration => text(Some(DURATION)),
        Shape::Size => json!({ "anyOf": [text(Some(SIZE)), { "type": "integer", "minimum": 1 }] }),
        Shape::Integer(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Choice(words) => json!({ "type": "string", "enum": words }),
        Shape::ListOf(one) => json!({ "type": "array", "items": shape(one, definitions) }),
        // Said although it is the default: strict tools take silence for a no.
        Shape::Anything => json!({ "type": "object", "additionalProperties": true }),
        Shape::Table(section) => table(section, definitions),
        Shape::Tables(section) => json!({ "type": "array", "items": table(section, definitions) }),
        Shape::Named(section) => json!({
            "type": "object",
            "propertyNames": { "pattern": NAME },
            "additionalProperties": table(section, definitions),
        }),
        Shape::Either(shapes) => {
            json!({ "anyOf": shapes.iter().map(|s| shape(s, definitions)).collect::<Vec<_>>() })
        }
    }
}

fn text(pattern: Option<&str>) -> Value {
    match pattern {
        Some(pattern) => json!({ "type": "string", "pattern": pattern }),
        None => json!({ "type": "string" }),
    }
}

/// One of them, or a list of at least one.
fn texts(one: &Value) -> Value {
    json!({ "anyOf": [one, { "type": "array", "items": one, "minItems": 1 }] })
}

/// `[sources.NAME]` of one kind.
fn source(
    section: &Section,
    definitions: &Definitions,
    by: &Key,
    definition: &crate::rules::source::Definition,
) -> Value {
    let mut properties = properties(section, definitions);
    properties.insert(by.name.to_owned(), constant(&definition.name, &definition.title));
    if definition.signature.is_none() {
        properties.remove("secret");
    }
    if !definition.signs_url() {
        properties.remove("url");
    }
    named(object(properties, vec![by.name]), &definition.title)
}

/// `[destinations.NAME]` of one provider: its settings first, then what every destination has.
fn destination(
    section: &Section,
    by: &Key,
    definition: &crate::rules::provider::Definition,
) -> Value {
    let mut all = Map::new();
    all.insert(by.name.to_owned(), constant(&definition.name, &definition.title));
    for s in &definition.settings {
        all.insert(s.name.clone(), setting(s));
    }
    for key in section.keys {
        let shared = || json!({ "$ref": format!("#/{SHARED}/{}", key.name) });
        all.entry(key.name).or_insert_with(shared);
    }
    named(object(all, vec![by.name]), &definition.title)
}

fn constant(name: &str, title: &str) -> Value {
    json!({ "type": "string", "const": name, "description": title })
}

fn named(mut branch: Value, title: &str) -> Value {
    if !title.is_empty() {
        branch["title"] = json!(title);
    }
    branch
}

fn setting(setting: &SettingDefinition) -> Value {
    let one = match setting.kind {
        Kind::Integer => {
            json!({ "anyOf": [{ "type": "integer" }, text(Some(&format!("^ *-?[0-9]+ *${REFERENCE}")))] })
        }
        Kind::Boolean => {
            json!({ "anyOf": [{ "type": "boolean" }, text(Some(&format!("^ *(true|false) *${REFERENCE}")))] })
        }
        // The choices alone, so that an editor offers them; who keeps one in the environment can be told that it's odd.
        Kind::Choice => {
            json!({ "anyOf": [{ "type": "string", "enum": setting.choices }, text(Some(r"\$\{"))] })
        }
        _ => match pattern(setting.kind) {
            Some(pattern) => text(Some(&format!("{pattern}{REFERENCE}"))),
            None => text(None),
        },
    };
    let mut value = if setting.list || setting.recipient { texts(&one) } else { one };
    let mut doc =
        if setting.optional || setting.default.is_some() { "Optional" } else { "Required" }
            .to_owned();
    if !setting.help.is_empty() {
        doc.push_str(": ");
        doc.push_str(&setting.help);
    }
    if setting.secret {
        doc.push_str(&format!("; secret, so write \"${{{}}}\"", setting.name.to_uppercase()));
    }
    value["description"] = json!(doc);
    if let Some(default) = setting.default.as_ref().and_then(|d| serde_json::to_value(d).ok()) {
        value["default"] = default;
    }
    value
}

/// What is easily seen to be wrong with a setting of this kind; the rest is `check`'s.
fn pattern(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Url => "^https?://",
        Kind::SmtpUrl => "^smtps?(\\+starttls)?://",
        Kind::Email | Kind::Mailbox => "@",
        Kind::E164 => "^\\+[1-9][0-9]{6,14}$",
        Kind::Header => "^[^:]+:",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Defined, definitions};

    fn built_in() -> Value {
        serde_json::from_str(&json_schema(&definitions(None).0)).unwrap()
    }

    #[test]
    fn every_provider_has_a_branch_with_its_settings_and_no_others() {
        let schema = built_in();
        let destinations = &schema["properties"]["destinations"]["additionalProperties"];
        let branches = destinations["oneOf"].as_array().unwrap();
        let all = definitions(None).0.providers;
        assert!(all.len() >= 7 && branches.len() == all.len());
        for (branch, Defined { definition, .. }) in branches.iter().zip(&all) {
            let properties = branch["properties"].as_object().unwrap();
            assert_eq!(properties["provider"]["const"], json!(definition.name));
            for s in &definition.settings {
                assert!(properties.contains_key(&s.name), "{}: {}", definition.name, s.name);
            }
            assert_eq!(properties.len(), definition.settings.len() + keys::DESTINATION.keys.len());
        }
    }

    #[test]
    fn every_key_says_what_it_does() {
        fn walk(section: &Section, seen: &mut usize) {
            for key in section.keys {
                *seen += 1;
                assert!(key.doc.ends_with(['.', '…']), "{}", key.name);
                below(&key.shape, seen);
            }
        }
        fn below(shape: &Shape, seen: &mut usize) {
            match shape {
                Shape::Table(s) | Shape::Tables(s) | Shape::Named(s) => walk(s, seen),
                Shape::Either(all) => all.iter().for_each(|shape| below(shape, seen)),
                Shape::ListOf(one) => below(one, seen),
                _ => {}
            }
        }
        let mut seen = 0;
        walk(&keys::ROOT, &mut seen);
        assert!(seen > 50, "{seen}");
    }
}
