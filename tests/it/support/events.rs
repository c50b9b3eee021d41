//! Events as Replicer sends them, signed by code of our own.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// The signing secret that the test bridges have.
pub(crate) const SECRET: &str = "canary-signing-secret-7f3a";

/// The documented `call.ended`, byte for byte.
pub(crate) fn documented() -> Vec<u8> {
    std::fs::read(super::root().join("tests/events/call.ended.json")).unwrap()
}

/// The documented `call.ended` as a value, with an id and a `callId` of its own.
pub(crate) fn call(id: &str) -> Value {
    let mut value: Value = serde_json::from_slice(&documented()).unwrap();
    value["id"] = json!(id);
    value["data"]["callId"] = json!(format!("call-of-{id}"));
    value
}

/// A small event of any type.
pub(crate) fn event(id: &str, kind: &str, data: &Value) -> Value {
    json!({"id": id, "event": kind, "timestamp": "2026-04-05T14:04:00Z", "data": data})
}

/// `call` with `data.KEY` set to `value`, for each of `changes`.
pub(crate) fn call_with(id: &str, changes: &[(&str, Value)]) -> Vec<u8> {
    let mut value = call(id);
    for (key, change) in changes {
        value["data"][*key] = change.clone();
    }
    serde_json::to_vec(&value).unwrap()
}

/// Lower-case hex HMAC-SHA256.
pub(crate) fn signature(secret: &[u8], body: &[u8]) -> String {
    let mac = mac(secret, body);
    mac.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

/// HMAC-SHA256.
pub(crate) fn mac(secret: &[u8], body: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
    mac.update(body);
    mac.finalize().into_bytes().to_vec()
}
