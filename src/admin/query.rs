//! Reads the query of a list: which rows, how many, from where on.

use jiff::{SignedDuration, Timestamp};
use percent_encoding::percent_decode_str;

use crate::journal::{EventFilter, NotificationFilter, State};
use crate::rules::explain::Used;

/// How many rows a list has unless the request says otherwise.
const LIMIT: u32 = 100;
/// The most rows in one answer; the journal's own cap.
const MOST: u32 = 1000;

/// How many rows an answer to this limit has at most.
pub(super) fn limit(asked: Option<u32>) -> usize {
    usize::try_from(asked.unwrap_or(LIMIT)).unwrap_or(usize::MAX)
}

/// The filter of `/api/events`.
pub(super) fn events(query: &str, now: Timestamp) -> Result<EventFilter, String> {
    let mut filter = EventFilter { limit: Some(LIMIT), ..EventFilter::default() };
    each(query, |name, value| {
        match name {
            "source" => filter.source = Some(value),
            "type" => filter.kind = Some(value),
            "id" => filter.id = Some(value),
            "since" => filter.since = Some(time(name, &value, now)?),
            "until" => filter.until = Some(time(name, &value, now)?),
            "limit" => filter.limit = Some(count(&value)?),
            "before" => filter.before = Some(number(name, &value)?),
            _ => return Err(unknown(name, "source, type, id, since, until, limit and before")),
        }
        Ok(())
    })?;
    Ok(filter)
}

/// The filter of `/api/notifications`.
pub(super) fn notifications(query: &str, now: Timestamp) -> Result<NotificationFilter, String> {
    let mut filter = NotificationFilter { limit: Some(LIMIT), ..NotificationFilter::default() };
    each(query, |name, value| {
        match name {
            "state" => {
                let known = State::ALL.iter().find(|s| s.word() == value);
                let words = State::ALL.map(State::word).join(", ");
                filter.state = Some(*known.ok_or(format!("`state` is one of {words}"))?);
            }
            "destination" => filter.destination = Some(value),
            "rule" => filter.rule = Some(value),
            "event_number" => filter.event_number = Some(number(name, &value)?),
            "since" => filter.since = Some(time(name, &value, now)?),
            "until" => filter.until = Some(time(name, &value, now)?),
            "limit" => filter.limit = Some(count(&value)?),
            "before" => filter.before = Some(number(name, &value)?),
            _ => {
                let known =
                    "state, destination, rule, event_number, since, until, limit and before";
                return Err(unknown(name, known));
            }
        }
        Ok(())
    })?;
    Ok(filter)
}

/// The limit of `/api/inbox`.
pub(super) fn inbox(query: &str) -> Result<Option<u32>, String> {
    let mut limit = None;
    each(query, |name, value| match name {
        "limit" => count(&value).map(|n| limit = Some(n)),
        _ => Err(unknown(name, "limit")),
    })?;
    Ok(limit)
}

/// Which rules an explanation is about, at which moment, and which one of them.
#[derive(Debug)]
pub(super) struct Explain {
    pub(super) used: Used,
    pub(super) at: Option<Timestamp>,
    pub(super) rule: Option<String>,
}

/// The question of `/api/events/NUMBER/explain`.
pub(super) fn explain(query: &str, now: Timestamp) -> Result<Explain, String> {
    let mut asked = Explain { used: Used::Then, at: None, rule: None };
    each(query, |name, value| {
        match (name, value.as_str()) {
            ("rules", "then") => asked.used = Used::Then,
            ("rules", "now") => asked.used = Used::Now,
            ("rules", _) => return Err("`rules` is `then` or `now`".to_owned()),
            ("at", _) => asked.at = Some(time(name, &value, now)?),
            ("rule", _) => asked.rule = Some(value),
            _ => return Err(unknown(name, "rules, at and rule")),
        }
        Ok(())
    })?;
    Ok(asked)
}

fn each(
    query: &str,
    mut take: impl FnMut(&str, String) -> Result<(), String>,
) -> Result<(), String> {
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            let decoded = percent_decode_str(&spaced).decode_utf8();
            decoded.map(Into::into).map_err(|_| "the query is no UTF-8".to_owned())
        };
        let name: String = decode(name)?;
        take(&name, decode(value)?)?;
    }
    Ok(())
}

fn unknown(name: &str, known: &str) -> String {
    let shown: String = name.chars().take(40).collect();
    format!("there is no parameter `{}`; there are {known}", shown.escape_debug())
}

fn number(name: &str, value: &str) -> Result<i64, String> {
    value.parse().map_err(|_| format!("`{name}` is a whole number"))
}

fn count(value: &str) -> Result<u32, String> {
    let count = value.parse().ok().filter(|n| (1..=MOST).contains(n));
    count.ok_or(format!("`limit` is a whole number from 1 to {MOST}"))
}

/// A moment (RFC 3339), or how long ago, such as `7d` or `2h`.
fn time(name: &str, value: &str, now: Timestamp) -> Result<Timestamp, String> {
    let age = || {
        let (count, unit) = value.split_at(value.find(|c: char| !c.is_ascii_digit())?);
        let seconds: i64 = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            "w" => 604_800,
            _ => return None,
        };
        let age = SignedDuration::from_secs(count.parse::<i64>().ok()?.checked_mul(seconds)?);
        now.checked_sub(age).ok()
    };
    let at = value.parse().ok().or_else(age);
    at.ok_or(format!("`{name}` is a time such as 2026-04-05T14:04:00Z, or an age such as 7d or 2h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_from_the_query() {
        let now: Timestamp = "2026-04-05T14:00:00Z".parse().unwrap();
        let filter = events("type=call%2Eended&since=2h&limit=5&before=9&id=a+b%2Bc", now).unwrap();
        assert_eq!(filter.kind.as_deref(), Some("call.ended"));
        assert_eq!(filter.id.as_deref(), Some("a b+c"));
        assert_eq!(filter.since, Some("2026-04-05T12:00:00Z".parse().unwrap()));
        assert_eq!((filter.limit, filter.before), (Some(5), Some(9)));
        let filter = notifications("state=gave_up&until=2026-04-01T00:00:00Z", now).unwrap();
        assert_eq!(filter.state, Some(State::GaveUp));
        assert_eq!(filter.until, Some("2026-04-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn a_parameter_that_means_nothing_is_named() {
        let now = Timestamp::UNIX_EPOCH;
        for (query, named) in [
            ("sate=gave_up", "sate"),
            ("state=lost", "gave_up"),
            ("limit=0", "limit"),
            ("limit=5000", "limit"),
            ("since=yesterday", "since"),
            ("before=x", "before"),
            ("since=99999999999999999d", "since"),
            ("rule=%ff", "UTF-8"),
        ] {
            let error = notifications(query, now).unwrap_err();
            assert!(error.contains(named), "{query}: {error}");
        }
    }
}
