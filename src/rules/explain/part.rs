//! A condition's trace, with what a person asks next: what was there instead of a field that is missing.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::nearest;
use crate::rules::condition::{self, Join, Read, Trace, Truth};
use crate::rules::fields::{Name, Step};
use crate::rules::rule::DATA_KEY;

/// So many keys of an object are listed where none is near.
const LISTED: usize = 6;

/// One part of a condition and what it came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The part as written.
    pub expr: String,
    /// True, false, or null for unknown: whoever asks `if value` gets what the rule does.
    #[serde(serialize_with = "truth", deserialize_with = "read_truth")]
    pub value: Truth,
    /// Whether the condition came out as it did because of this part.
    pub decides: bool,
    /// How the parts below are joined; none if this part compares.
    pub join: Option<Join>,
    /// The fields that this part itself reads.
    pub reads: Vec<Found>,
    /// The parts below.
    pub parts: Vec<Part>,
}

/// A field as it was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The path as written.
    pub path: String,
    /// `missing`, `null`, `boolean`, `number`, `text`, `list` or `object`.
    pub kind: String,
    /// The value; a long one is the beginning of its JSON as text. Null if it is missing.
    pub value: Value,
    /// Whether this made the part unknown.
    pub blamed: bool,
    /// Of a missing field: what is there instead.
    pub note: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn truth<S: Serializer>(value: &Truth, to: S) -> Result<S::Ok, S::Error> {
    match value {
        Truth::True => to.serialize_bool(true),
        Truth::False => to.serialize_bool(false),
        Truth::Unknown => to.serialize_none(),
    }
}

fn read_truth<'de, D: Deserializer<'de>>(from: D) -> Result<Truth, D::Error> {
    Ok(Option::<bool>::deserialize(from)?.map_or(Truth::Unknown, Truth::from))
}

/// The trace with notes about what is missing in `body`.
pub(super) fn look(trace: Trace, body: &Value) -> Part {
    Part {
        expr: trace.expr,
        value: trace.value,
        decides: trace.decides,
        join: trace.join,
        reads: trace.reads.into_iter().map(|read| found(read, body)).collect(),
        parts: trace.parts.into_iter().map(|part| look(part, body)).collect(),
    }
}

fn found(read: Read, body: &Value) -> Found {
    let value = match &read.value {
        // What was cut is no JSON any more.
        Some(json) => serde_json::from_str(json).unwrap_or_else(|_| Value::from(json.as_str())),
        None => Value::Null,
    };
    let note = (read.kind == "missing").then(|| instead(&read.path, body)).flatten();
    Found {
        path: read.path.to_string(),
        kind: read.kind.to_owned(),
        value,
        blamed: read.blamed,
        note,
    }
}

/// What the event has where `path` leads nowhere.
fn instead(path: &str, body: &Value) -> Option<String> {
    let steps = condition::parse_path(path).ok()?.steps;
    let Some(Name::Data(steps)) = Name::resolve(&steps) else { return None };
    let mut here = body.get(DATA_KEY).filter(|data| data.is_object()).unwrap_or(body);
    let mut walked = String::new();
    for step in &steps {
        let next = match step {
            Step::Key(key) => here.get(&**key),
            Step::Index(index) => here.get(index),
        };
        let Some(next) = next else { return no_such(step, here, &walked) };
        here = next;
        match step {
            Step::Key(key) if walked.is_empty() => walked.push_str(key),
            Step::Key(key) => walked.push_str(&format!(".{key}")),
            Step::Index(index) => walked.push_str(&format!("[{index}]")),
        }
    }
    None
}

fn no_such(step: &Step, here: &Value, walked: &str) -> Option<String> {
    let inside = if walked.is_empty() { "this event" } else { walked };
    match (step, here) {
        (Step::Key(key), Value::Object(members)) => {
            let keys = || members.keys().map(String::as_str);
            if let Some(near) = nearest(key, keys()) {
                let joint = if walked.is_empty() { "" } else { "." };
                return Some(format!(
                    "no such key in this event, did you mean {walked}{joint}{near}?"
                ));
            }
            // The top's keys are many; what is below often holds the sender's own few.
            if walked.is_empty() {
                return Some("no such key in this event".to_owned());
            }
            if members.is_empty() {
                return Some(format!("{inside} is empty"));
            }
            let more = if members.len() > LISTED { ", …" } else { "" };
            let listed: Vec<&str> = keys().take(LISTED).collect();
            Some(format!("{inside} has {}{more}", listed.join(", ")))
        }
        (Step::Index(_), Value::Array(items)) => {
            Some(format!("{inside} has {} items, counted from 0", items.len()))
        }
        (_, Value::Null) => Some(format!("{inside} is null")),
        (Step::Key(_), _) => Some(format!("{inside} is no object")),
        (Step::Index(_), _) => Some(format!("{inside} is no list")),
    }
}
