//! What an answer means: the definition's rows, first match wins, then what HTTP says.

use std::ops::RangeInclusive;
use std::time::Duration;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::{Answer, HttpTarget, Meaning, Verdict, wait};
use crate::rules::template::cut;

/// `[[verdict]]`: every condition that is given must hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    #[serde(default)]
    status: Option<Statuses>,
    /// The whole body, white space at its ends aside.
    #[serde(default)]
    body: Option<String>,
    /// A piece of the body.
    #[serde(default)]
    contains: Option<String>,
    /// What the body must match somewhere.
    #[serde(default)]
    matches: Option<Expression>,
    /// What the JSON of the body must hold; all of them if it is a list.
    #[serde(default)]
    json: Tests,
    #[serde(default)]
    header: Option<HeaderTest>,
    then: Then,
    /// Seconds to wait before the next attempt, where the answer names no time.
    #[serde(default)]
    after: Option<u64>,
}

/// One test of the body's JSON, or a list.
#[derive(Clone, Debug, Default)]
struct Tests(Vec<JsonTest>);

impl<'de> Deserialize<'de> for Tests {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let test = |v: toml::Value| v.try_into().map_err(serde::de::Error::custom);
        match toml::Value::deserialize(d)? {
            toml::Value::Array(list) => {
                list.into_iter().map(test).collect::<Result<_, _>>().map(Self)
            }
            one => Ok(Self(vec![test(one)?])),
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonTest {
    /// A JSON pointer; a step `*` is every element of a list or member of an object.
    at: String,
    /// The values that match; any value but null if nothing else is asked.
    #[serde(default)]
    any_of: Vec<toml::Value>,
    /// A piece of a text.
    #[serde(default)]
    contains: Option<String>,
    /// What a text must match somewhere.
    #[serde(default)]
    matches: Option<Expression>,
    /// Whether everything that a `*` leads to must match, and there must be something; else one is enough.
    #[serde(default)]
    every: bool,
    /// Whether nothing but null may be there.
    #[serde(default)]
    absent: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderTest {
    name: String,
    /// The value that matches; any if left out.
    #[serde(default)]
    equals: Option<String>,
}

/// A regular expression that was compiled with its file.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Expression(Regex);

impl TryFrom<String> for Expression {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let last = |e: regex::Error| e.to_string().lines().last().unwrap_or_default().to_owned();
        Regex::new(&text).map(Self).map_err(|e| format!("it is no regular expression: {}", last(e)))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Then {
    Sent,
    Retry,
    Final,
    /// As final, and the destination is halted.
    Stop,
}

/// `200`, `"4xx"`, `"500-599"`, or a list of those.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(super) struct Statuses(Vec<RangeInclusive<u16>>);

impl TryFrom<toml::Value> for Statuses {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        let list = match value {
            toml::Value::Array(list) => list,
            one => vec![one],
        };
        list.iter().map(range).collect::<Result<_, _>>().map(Self)
    }
}

fn range(value: &toml::Value) -> Result<RangeInclusive<u16>, String> {
    let error = || format!("{value} is no HTTP status; write 200, \"4xx\" or \"500-599\"");
    let status = |text: &str| match text.parse::<u16>() {
        Ok(n) if (100..=599).contains(&n) => Ok(n),
        _ => Err(error()),
    };
    match value {
        toml::Value::Integer(n) => status(&n.to_string()).map(|n| n..=n),
        toml::Value::String(s) => match (s.strip_suffix("xx"), s.split_once('-')) {
            (Some(class), _) => status(&format!("{class}00")).map(|n| n..=n + 99),
            (None, Some((low, high))) => Ok(status(low)?..=status(high)?),
            (None, None) => status(s).map(|n| n..=n),
        },
        _ => Err(error()),
    }
}

impl Statuses {
    pub(super) fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|r| r.contains(&status))
    }
}

impl Row {
    /// The row's JSON pointers, for checking.
    pub(super) fn pointers(&self) -> impl Iterator<Item = &String> {
        self.json.0.iter().map(|j| &j.at)
    }

    /// What is wrong with it.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.after.is_some() && self.then != Then::Retry {
            found.push("`after` is for then = \"retry\"".to_owned());
        }
        for test in &self.json.0 {
            let asks = !test.any_of.is_empty() || test.contains.is_some() || test.matches.is_some();
            if test.absent && asks {
                found.push(format!("`{}` can't be absent and have a value", test.at));
            }
        }
        found
    }

    fn matches(&self, answer: &Answer<'_>, text: &str, json: Option<&Value>) -> bool {
        self.status.as_ref().is_none_or(|s| s.contains(answer.status))
            && self.body.as_ref().is_none_or(|b| text.trim() == b)
            && self.contains.as_ref().is_none_or(|c| text.contains(c.as_str()))
            && self.matches.as_ref().is_none_or(|e| e.0.is_match(text))
            && self.json.0.iter().all(|test| json.is_some_and(|j| test.holds(j)))
            && self.header.as_ref().is_none_or(|test| test.holds(answer))
    }
}

impl JsonTest {
    fn holds(&self, json: &Value) -> bool {
        let mut found = Vec::new();
        follow(json, &self.at, &mut found);
        if self.absent {
            found.is_empty()
        } else if self.every {
            !found.is_empty() && found.iter().all(|v| self.takes(v))
        } else {
            found.iter().any(|v| self.takes(v))
        }
    }

    fn takes(&self, found: &Value) -> bool {
        let text = found.as_str();
        let is = |wanted: &toml::Value| match (wanted, found) {
            (toml::Value::String(w), Value::String(f)) => w == f,
            (toml::Value::Boolean(w), Value::Bool(f)) => w == f,
            (toml::Value::Integer(w), Value::Number(f)) => w.to_string() == f.to_string(),
            _ => false,
        };
        (self.any_of.is_empty() || self.any_of.iter().any(is))
            && self.contains.as_ref().is_none_or(|c| text.is_some_and(|t| t.contains(c.as_str())))
            && self.matches.as_ref().is_none_or(|e| text.is_some_and(|t| e.0.is_match(t)))
    }
}

/// Every value but null that a JSON pointer leads to, where a step `*` leads to all.
fn follow<'a>(json: &'a Value, pointer: &str, found: &mut Vec<&'a Value>) {
    let Some((before, after)) = pointer.split_once("/*") else {
        found.extend(json.pointer(pointer).filter(|v| !v.is_null()));
        return;
    };
    match json.pointer(before) {
        Some(Value::Array(list)) => list.iter().for_each(|v| follow(v, after, found)),
        Some(Value::Object(map)) => map.values().for_each(|v| follow(v, after, found)),
        _ => {}
    }
}

impl HeaderTest {
    fn holds(&self, answer: &Answer<'_>) -> bool {
        let value = answer.headers.get(&self.name);
        value.is_some_and(|v| self.equals.as_ref().is_none_or(|e| v.as_bytes() == e.as_bytes()))
    }
}

/// What HTTP says where a definition doesn't: 2xx is sent; 408, 425, 429 and 5xx may be tried again; everything else,
/// redirects among it (they are never followed), is final.
fn default(status: u16) -> Then {
    match status {
        200..=299 => Then::Sent,
        408 | 425 | 429 | 500..=599 => Then::Retry,
        _ => Then::Final,
    }
}

impl HttpTarget {
    /// What the provider's answer means.
    pub fn verdict(&self, answer: &Answer<'_>) -> Verdict {
        let definition = self.definition();
        let text = String::from_utf8_lossy(answer.body);
        let json: Option<Value> = serde_json::from_slice(answer.body).ok();
        let row = definition.verdicts.iter().find(|row| row.matches(answer, &text, json.as_ref()));
        let meaning = match row.map_or_else(|| default(answer.status), |row| row.then) {
            Then::Sent => Meaning::Sent,
            Then::Final => Meaning::Final,
            Then::Stop => Meaning::Stop,
            Then::Retry => {
                let asked = wait::hint(&definition.waits, answer, json.as_ref());
                let usual = row.and_then(|row| row.after).map(Duration::from_secs);
                Meaning::Retry { after: asked.or(usual) }
            }
        };
        Verdict { meaning, detail: self.detail(answer.status, &text, json.as_ref()) }
    }

    /// `HTTP 404 channel_not_found`: the provider's own words, without secrets and on one line.
    fn detail(&self, status: u16, text: &str, json: Option<&Value>) -> String {
        let mut words = String::new();
        for pointer in &self.definition().words {
            let mut found = Vec::new();
            json.into_iter().for_each(|j| follow(j, pointer, &mut found));
            for value in found {
                let word = match value {
                    Value::String(s) => s.clone(),
                    Value::Number(n) => n.to_string(),
                    _ => continue,
                };
                if !words.is_empty() {
                    words.push(' ');
                }
                words.push_str(&word);
            }
        }
        // A page of HTML comes from something in between and says nothing in its first 200 characters.
        if words.is_empty() && !text.trim_start().starts_with('<') {
            text.trim().clone_into(&mut words);
        }
        let words = cut::one_line(&self.redact(&words));
        let detail = if words.is_empty() {
            format!("HTTP {status}")
        } else {
            format!("HTTP {status} {words}")
        };
        cut::chars(&detail, 200).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::tests::{answer, target};
    use super::*;

    #[test]
    fn http_decides_where_the_definition_does_not() {
        let target = target("webhook", r#"url = "https://example.com/hook""#);
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(target.verdict(&answer(status, b"").answer()).meaning, Meaning::Sent);
        }
        for status in [408, 425, 429, 500, 502, 503, 504, 599] {
            let meaning = target.verdict(&answer(status, b"").answer()).meaning;
            assert_eq!(meaning, Meaning::Retry { after: None }, "{status}");
        }
        for status in [301, 302, 307, 400, 401, 404, 422] {
            assert_eq!(
                target.verdict(&answer(status, b"").answer()).meaning,
                Meaning::Final,
                "{status}"
            );
        }
        // The generic webhook's own row: Standard Webhooks ends with a 410.
        assert_eq!(target.verdict(&answer(410, b"").answer()).meaning, Meaning::Stop);
    }

    #[test]
    fn the_detail_is_short_and_holds_no_secret_and_no_control_character() {
        let target = target(
            "slack",
            r#"url = "https://hooks.slack.com/services/T0000/B0000/aVerySecretPiece""#,
        );
        let body = format!(
            "no\u{1b}[31m luck\r\nfor https://hooks.slack.com/services/T0000/B0000/aVerySecretPiece aVerySecretPiece {}",
            "x".repeat(900)
        );
        let detail = target.verdict(&answer(404, body.as_bytes()).answer()).detail;
        assert!(detail.starts_with("HTTP 404 no"), "{detail}");
        assert!(!detail.contains("aVerySecretPiece") && detail.contains("***"), "{detail}");
        assert!(detail.chars().count() <= 200 && !detail.chars().any(char::is_control), "{detail}");
        let detail = target.verdict(&answer(502, b"<html><h1>Bad gateway").answer()).detail;
        assert_eq!(detail, "HTTP 502");
    }
}
