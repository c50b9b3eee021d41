//! `[[example]]`: a definition proves itself, built in or a user's own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue, USER_AGENT};
use serde::Deserialize;
use uuid::Uuid;

use super::definition::Found;
use super::verdict::Then;
use super::{
    Answer, Common, Definition, Destination, HttpTarget, Meaning, Outgoing, SettingValue, Transport,
};
use crate::event::Event;
use crate::rules::template::{Message, Severity};
use crate::secret::Secret;

/// What must come out for what goes in. The key, the event, the names and the time are always the same (see `docs/providers.md`).
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Example {
    name: String,
    pub(super) settings: toml::Table,
    #[serde(default)]
    text: String,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    html: Option<String>,
    #[serde(default)]
    severity: Option<String>,
    #[serde(default)]
    dedup: Option<String>,
    #[serde(default)]
    link: Option<String>,
    #[serde(default)]
    rich: Option<toml::Table>,
    request: Requests,
    #[serde(default, rename = "answer")]
    answers: Vec<ExpectedAnswer>,
}

/// One request, or those that a long text is split into.
#[derive(Clone, Debug)]
struct Requests(Vec<Expected>);

impl<'de> Deserialize<'de> for Requests {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let request = |v: toml::Value| v.try_into().map_err(serde::de::Error::custom);
        match toml::Value::deserialize(d)? {
            toml::Value::Array(list) => {
                list.into_iter().map(request).collect::<Result<_, _>>().map(Self)
            }
            one => Ok(Self(vec![request(one)?])),
        }
    }
}

/// The request that is expected.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    #[serde(default = "post")]
    method: String,
    url: String,
    /// All headers but `user-agent`, in lower case.
    headers: BTreeMap<String, String>,
    /// The body as text.
    #[serde(default)]
    body: String,
}

fn post() -> String {
    "POST".to_owned()
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

    /// Runs every example; says what came out differently.
    pub(super) fn run_examples(&self) -> Vec<Found> {
        let definition = Arc::new(self.clone());
        let mut found = Vec::new();
        for (i, example) in self.examples.iter().enumerate() {
            if let Err((place, why)) = example.run(&definition) {
                let i = i.to_string();
                let mut path = vec!["example", i.as_str()];
                path.extend(place.iter().map(String::as_str));
                found.push(Found::at(&path, format!("example `{}`: {why}", example.name)));
            }
        }
        found
    }
}

/// The event of every example.
const EVENT: &str = r#"{"id":"evt-1","event":"call.ended","timestamp":"2026-04-05T14:04:00Z","data":{"tokenCost":12.50}}"#;

/// 2026-04-05T14:04:01Z, the time of every example.
const NOW: i64 = 1_775_397_841;

/// Where in the example, and what.
type Wrong = (Vec<String>, String);

fn wrong(place: &[&str], why: impl Into<String>) -> Wrong {
    (place.iter().map(|p| (*p).to_owned()).collect(), why.into())
}

impl Example {
    /// The destination that the example's settings make.
    pub(super) fn destination(&self, definition: &Arc<Definition>) -> Result<Destination, String> {
        let common = Common::default();
        Destination::compile("office", definition, &settings_of(&self.settings), common)
            .map_err(|errors| errors.into_iter().map(|e| e.message).collect::<Vec<_>>().join("; "))
    }

    fn run(&self, definition: &Arc<Definition>) -> Result<(), Wrong> {
        let destination = self.destination(definition).map_err(|why| wrong(&["settings"], why))?;
        let Transport::Http(target) = &destination.transport else {
            return Err(wrong(&[], "only providers over http can have examples"));
        };
        let now = jiff::Timestamp::from_second(NOW).map_err(|e| wrong(&[], e.to_string()))?;
        let event = Event {
            source: "replicer".into(),
            id: "evt-1".to_owned(),
            kind: "call.ended".to_owned(),
            time: Some(now),
            received: now,
            body: Bytes::from_static(EVENT.as_bytes()),
        };
        let severity = match self.severity.as_deref().map(|s| (s, Severity::named(s))) {
            Some((word, None)) => {
                return Err(wrong(&["severity"], format!("`{word}` is no severity")));
            }
            found => found.and_then(|(_, severity)| severity),
        };
        let rich = self.rich.as_ref().map(serde_json::to_value).transpose();
        let message = Message {
            subject: self.subject.clone(),
            text: self.text.clone(),
            html: self.html.clone(),
            severity,
            dedup: self.dedup.clone(),
            link: self.link.clone(),
            rich: rich.map_err(|e| wrong(&["rich"], e.to_string()))?,
            fallback: None,
        };
        let requests = target.requests(&Outgoing {
            message: &message,
            key: Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001),
            rule: "won deal",
            destination: "office",
            recipient: destination.recipients.first().map(|r| &**r),
            event: &event,
            now,
        });
        let requests = requests.map_err(|why| wrong(&["request"], why))?;
        let expected = &self.request.0;
        same("number of requests", &requests.len().to_string(), &expected.len().to_string())
            .map_err(|why| wrong(&["request"], why))?;
        for (request, expected) in requests.iter().zip(expected) {
            let check = |key: &str, got: &str, expected: &str| {
                same(key, got, expected).map_err(|why| wrong(&["request", key], why))
            };
            check("method", request.method.as_str(), &expected.method)?;
            check("url", request.url.as_str(), &expected.url)?;
            let headers: BTreeMap<String, String> = request
                .headers
                .iter()
                .filter(|(name, _)| **name != USER_AGENT)
                .map(|(name, value)| {
                    (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                })
                .collect();
            check("headers", &format!("{headers:?}"), &format!("{:?}", expected.headers))?;
            check("body", &String::from_utf8_lossy(&request.body), expected.body.trim_end())?;
        }
        self.answers.iter().enumerate().try_for_each(|(i, answer)| {
            answer.check(target, now).map_err(|why| wrong(&["answer", &i.to_string()], why))
        })
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
