//! What a template sees of an event.

use serde_json::{Map, Value};

use super::Context;

/// The fields of `data`, found as the conditions find them: the envelope's `data`, or the whole body where there is none.
pub(super) fn fields(body: &mut Value) -> Map<String, Value> {
    match body.get_mut("data").map(Value::take) {
        Some(Value::Object(data)) => data,
        _ => std::mem::take(body).as_object_mut().map(std::mem::take).unwrap_or_default(),
    }
}

/// The template's data: every field of `data` directly, and the envelope's names, which win. `data` as a whole is only
/// there `with_data`, as it doubles what must be built.
pub(super) fn build(context: Context<'_>, with_data: bool) -> Value {
    let mut body: Value = serde_json::from_slice(&context.event.body).unwrap_or_default();
    let timestamp = match body.get_mut("timestamp").map(Value::take) {
        Some(Value::Null) | None => {
            context.event.time.map_or(Value::Null, |t| t.to_string().into())
        }
        Some(value) => value,
    };
    let mut all = fields(&mut body);
    if with_data {
        let data = all.clone();
        all.insert("data".to_owned(), Value::Object(data));
    }
    let event = context.event;
    for (name, value) in [
        ("event", Value::from(event.kind.as_str())),
        ("id", event.id.as_str().into()),
        ("timestamp", timestamp),
        ("source", (*event.source).into()),
        ("rule", context.rule.into()),
        ("destination", context.destination.into()),
        ("received", event.received.to_string().into()),
    ] {
        all.insert(name.to_owned(), value);
    }
    Value::Object(all)
}
