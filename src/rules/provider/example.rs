//! `[[example]]`: a definition proves itself, built in or a user's own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue, USER_AGENT};
use serde::Deserialize;
use uuid::Uuid;

use super::verdict::Then;
use super::{
    Answer, Common, Definition, Destination, HttpTarget, Meaning, Outgoing, SettingValue, Transport,
};
use crate::event::Event;
use crate::rules::template::Message;
use crate::secret::Secret;

/// What must come out for what goes in. The key, the event, the names and the time are always the same (see `docs/providers.md`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Example {
    name: String,
    settings: toml::Table,
    #[serde(default)]
    text: String,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    html: Option<String>,
    request: Expected,
    #[serde(default, rename = "answer")]
    answers: Vec<ExpectedAnswer>,
}

/// The request that is expected.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    method: String,
    url: String,
    /// All headers but `user-agent`, in lower case.
    headers: BTreeMap<String, String>,
    /// The body as text.
    body: String,
}

/// An answer and what it must mean.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedAnswer {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    then: Then,
    /// The wait in seconds that must be read.
    #[serde(default)]
    after: Option<u64>,
    #[serde(default)]
    detail: Option<String>,
}

impl Definition {
    /// The names of the definition's examples.
    pub fn examples(&self) -> Vec<&str> {
        self.examples.iter().map(|e| e.name.as_str()).collect()
    }

    /// Runs every example; says what came out differently, by the example's name.
    pub fn run_examples(&self) -> Vec<String> {
        let definition = Arc::new(self.clone());
        let run = |e: &Example| {
            e.run(&definition).err().map(|why| format!("example `{}`: {why}", e.name))
        };
        self.examples.iter().filter_map(run).collect()
    }
}

/// The event of every example.
const EVENT: &str = r#"{"id":"evt-1","event":"call.ended","timestamp":"2026-04-05T14:04:00Z","data":{"tokenCost":12.50}}"#;

/// 2026-04-05T14:04:01Z, the time of every example.
const NOW: i64 = 1_775_397_841;

impl Example {
    fn run(&self, definition: &Arc<Definition>) -> Result<(), String> {
        let destination = Destination::compile(
            "office",
            definition,
            &settings_of(&self.settings),
            Common::default(),
        )
        .map_err(|errors| errors.into_iter().map(|e| e.message).collect::<Vec<_>>().join("; "))?;
        let Transport::Http(target) = &destination.transport else {
            return Err("only providers over http can have examples".to_owned());
        };
        let now = jiff::Timestamp::from_second(NOW).map_err(|e| e.to_string())?;
        let event = Event {
            source: "replicer".into(),
            id: "evt-1".to_owned(),
            kind: "call.ended".to_owned(),
            time: Some(now),
            received: now,
            body: Bytes::from_static(EVENT.as_bytes()),
        };
        let message = Message {
            subject: self.subject.clone(),
            text: self.text.clone(),
            html: self.html.clone(),
            fallback: None,
        };
        let request = target.request(&Outgoing {
            message: &message,
            key: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001),
            rule: "won deal",
            destination: "office",
            recipient: destination.recipients.first().map(|r| &**r),
            event: &event,
            now,
        })?;
        same("method", request.method.as_str(), &self.request.method)?;
        same("url", request.url.as_str(), &self.request.url)?;
        let headers: BTreeMap<String, String> = request
            .headers
            .iter()
            .filter(|(name, _)| **name != USER_AGENT)
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect();
        same("headers", &format!("{headers:?}"), &format!("{:?}", self.request.headers))?;
        same("body", &String::from_utf8_lossy(&request.body), self.request.body.trim_end())?;
        self.answers.iter().try_for_each(|answer| answer.check(target, now))
    }
}

impl ExpectedAnswer {
    fn check(&self, target: &HttpTarget, at: jiff::Timestamp) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name).map_err(|e| e.to_string())?;
            headers.insert(name, HeaderValue::from_str(value).map_err(|e| e.to_string())?);
        }
        let answer =
            Answer { status: self.status, headers: &headers, body: self.body.as_bytes(), at };
        let verdict = target.verdict(&answer);
        let meaning = match self.then {
            Then::Sent => Meaning::Sent,
            Then::Final => Meaning::Final,
            Then::Stop => Meaning::Stop,
            Then::Retry => Meaning::Retry { after: self.after.map(Duration::from_secs) },
        };
        let what = format!("answer {} `{}`", self.status, self.body);
        same(&what, &format!("{:?}", verdict.meaning), &format!("{meaning:?}"))?;
        self.detail
            .as_ref()
            .map_or(Ok(()), |d| same(&format!("{what}: detail"), &verdict.detail, d))
    }
}

fn same(what: &str, got: &str, expected: &str) -> Result<(), String> {
    if got == expected {
        Ok(())
    } else {
        Err(format!("{what}\n  expected {expected}\n  got      {got}"))
    }
}

/// Settings of a table as they come from `rules.toml`.
pub(super) fn settings_of(table: &toml::Table) -> BTreeMap<String, SettingValue> {
    let text =
        |v: &toml::Value| Secret::new(v.as_str().map_or_else(|| v.to_string(), str::to_owned));
    let value = |v: &toml::Value| match v {
        toml::Value::Integer(n) => SettingValue::Integer(*n),
        toml::Value::Boolean(b) => SettingValue::Boolean(*b),
        toml::Value::Array(list) => SettingValue::List(list.iter().map(text).collect()),
        other => SettingValue::Text(text(other)),
    };
    table.iter().map(|(k, v)| (k.clone(), value(v))).collect()
}

/// The example's event is JSON; kept beside its text so that a slip shows in a test.
#[cfg(test)]
#[test]
fn the_examples_event_is_json() {
    let event: serde_json::Value = serde_json::from_str(EVENT).unwrap();
    assert_eq!(event["event"], "call.ended");
}
