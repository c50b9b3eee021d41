//! Form bodies (`application/x-www-form-urlencoded`), read into the JSON object that rules and templates see.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// A form's names, each with its different values, all sorted: the order in which they came is not signed by
/// senders that sign a form's fields, so it must not make a difference.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Form(BTreeMap<String, BTreeSet<String>>);

impl Form {
    /// Reads a form. None if it is not valid UTF-8 once decoded.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let mut fields: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            fields.entry(decode(name)?).or_default().insert(decode(value)?);
        }
        Some(Self(fields))
    }

    /// What Twilio signs after the URL: each name with each of its different values, sorted, with nothing between.
    pub(super) fn signed(&self) -> String {
        let pairs = self.0.iter().flat_map(|(name, values)| values.iter().map(move |v| [name, v]));
        pairs.flatten().map(String::as_str).collect()
    }

    /// As a JSON object: a text for each name, a list of texts where it has several values.
    pub(super) fn to_json(&self) -> String {
        let text = |value: &String| Value::String(value.clone());
        let object: Map<String, Value> = self
            .0
            .iter()
            .map(|(name, values)| {
                let value = match values.first() {
                    Some(only) if values.len() == 1 => text(only),
                    _ => values.iter().map(text).collect(),
                };
                (name.clone(), value)
            })
            .collect();
        Value::Object(object).to_string()
    }
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_becomes_an_object_whatever_its_order() {
        for body in [
            "To=%2B1555&Body=a+b%26c%3D%C3%A9&From=&Media=y&Media=x&Media=y",
            "Media=x&From&Body=a%20b%26c%3d%c3%a9&&Media=y&To=%2B1555",
        ] {
            let form = Form::read(body.as_bytes()).unwrap();
            assert_eq!(
                form.to_json(),
                r#"{"Body":"a b&c=é","From":"","Media":["x","y"],"To":"+1555"}"#
            );
            assert_eq!(form.signed(), "Bodya b&c=éFromMediaxMediayTo+1555");
        }
        assert_eq!(Form::read(b"").unwrap().to_json(), "{}");
        assert_eq!(Form::read(b"a=%ff"), None);
        assert_eq!(Form::read(b"a=\xff"), None);
    }
}
