//! Where a provider says how long to wait.

use std::time::Duration;

use hyper::header::RETRY_AFTER;
use jiff::Timestamp;
use serde::Deserialize;

use super::Answer;
use super::verdict::Statuses;
use crate::rules::retry::{LONGEST_HINT, retry_after, seconds};

/// `[[wait]]`: a place beside `Retry-After`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WaitSource {
    /// Only for these statuses; for all if left out.
    #[serde(default)]
    status: Option<Statuses>,
    /// A header.
    #[serde(default)]
    header: Option<String>,
    /// A JSON pointer into the body.
    #[serde(default)]
    json: Option<String>,
    /// What the number means.
    #[serde(default)]
    unit: WaitUnit,
}

/// What a wait hint's number means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WaitUnit {
    #[default]
    Seconds,
    Milliseconds,
    /// Seconds since 1970: when to come back.
    EpochSeconds,
    /// Milliseconds since 1970.
    EpochMilliseconds,
}

/// The wait that an answer asks for: `Retry-After` first, then `sources` in their order.
pub(super) fn hint(
    sources: &[WaitSource],
    answer: &Answer<'_>,
    json: Option<&serde_json::Value>,
) -> Option<Duration> {
    let header = answer.headers.get(RETRY_AFTER).and_then(|v| v.to_str().ok());
    header.and_then(|v| retry_after(v, answer.at)).map(|d| d.min(LONGEST_HINT)).or_else(|| {
        sources
            .iter()
            .filter(|s| s.status.as_ref().is_none_or(|st| st.contains(answer.status)))
            .find_map(|s| s.read(answer, json))
    })
}

impl WaitSource {
    /// What is wrong with it.
    pub(super) fn problem(&self) -> Option<String> {
        match (&self.header, &self.json) {
            (Some(_), None) => None,
            (None, Some(pointer)) if pointer.starts_with('/') => None,
            (None, Some(pointer)) => {
                Some(format!("`{pointer}` is no JSON pointer such as `/retry_after`"))
            }
            _ => Some("a wait is read from either header or json".to_owned()),
        }
    }

    fn read(&self, answer: &Answer<'_>, json: Option<&serde_json::Value>) -> Option<Duration> {
        let from_header =
            || Some(answer.headers.get(self.header.as_deref()?)?.to_str().ok()?.to_owned());
        let from_json = || match json?.pointer(self.json.as_deref()?)? {
            serde_json::Value::Number(n) => Some(n.to_string()),
            serde_json::Value::String(s) => Some(s.clone()),
            _ => None,
        };
        let number = from_header().or_else(from_json)?;
        let wait = match self.unit {
            WaitUnit::Seconds => seconds(&number)?,
            WaitUnit::Milliseconds => Duration::from_millis(number.trim().parse().ok()?),
            WaitUnit::EpochSeconds => {
                until(Timestamp::from_second(number.trim().parse().ok()?).ok()?, answer.at)
            }
            WaitUnit::EpochMilliseconds => {
                until(Timestamp::from_millisecond(number.trim().parse().ok()?).ok()?, answer.at)
            }
        };
        Some(wait.min(LONGEST_HINT))
    }
}

fn until(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or(Duration::ZERO)
}
