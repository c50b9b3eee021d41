//! The event of a test: a file or a table, changed where the test says so, and read as its source would.

use hyper::HeaderMap;
use hyper::body::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value as Json};
use toml::de::DeValue;

use super::files::Files;
use super::reader::{Table, Value, nearest};
use crate::event::Event;
use crate::rules::condition;
use crate::rules::fields::Step;
use crate::rules::source::{Arrival, Source};

/// What a test changes of its event.
pub(super) struct Changes<'a> {
    /// Values by path.
    pub(super) with: Option<Value<'a>>,
    /// Paths that become null.
    pub(super) null: Option<Value<'a>>,
    /// Paths that are taken out.
    pub(super) without: Option<Value<'a>>,
    /// The moment at which the event comes in.
    pub(super) at: Option<Value<'a>>,
}

impl Changes<'_> {
    fn any(&self) -> bool {
        self.with.is_some() || self.null.is_some() || self.without.is_some()
    }
}

/// Reads the event. None: something is wrong with it, and has been said, or its source isn't known.
pub(super) fn read(
    value: &Value<'_>,
    files: &Files,
    source: Option<&Source>,
    changes: &Changes<'_>,
) -> Option<Event> {
    let at = changes.at.as_ref().map(time);
    let body = body(value, files)?;
    let body = if changes.any() { changed(value, &body, changes)? } else { body };
    let at = match at {
        Some(at) => Some(at?),
        None => None,
    };
    let (headers, body) = (HeaderMap::new(), Bytes::from(body));
    let arrival = Arrival { headers: &headers, body, received: Timestamp::UNIX_EPOCH };
    match source?.unverified(arrival) {
        Ok(mut event) => {
            // Without a moment of its own a test is about that of its event, and so never about today.
            event.received = at.or(event.time).unwrap_or(event.received);
            Some(event)
        }
        Err(refusal) => {
            let hint = "the event is all that the sender sends, not only its data".to_owned();
            let message = format!("this event would not be taken: {}", refusal.message);
            value.error("bad-event", message, Some(hint))
        }
    }
}

fn body(value: &Value<'_>, files: &Files) -> Option<Vec<u8>> {
    if let DeValue::Table(_) = value.value {
        return Some(json(value, value.value)?.to_string().into_bytes());
    }
    if !value.is_text() {
        return value.wrong_type("a file's name or a table");
    }
    let path = value.text()?;
    match files.event(path) {
        Ok(text) => Some(text.into_bytes()),
        Err(why) => {
            let hint = "a path is relative to the folder of rules.toml".to_owned();
            value.error("unreadable-event", format!("{path} can't be read: {why}"), Some(hint))
        }
    }
}

/// A moment: text, or a date of TOML with its offset.
fn time(value: &Value<'_>) -> Option<Timestamp> {
    let text = match super::trials::date(value.value) {
        Some(date) => date,
        None if value.is_text() => value.text()?.to_owned(),
        None => return value.wrong_type("a time such as \"2026-04-05T14:04:00Z\""),
    };
    text.parse().ok().or_else(|| {
        let hint =
            Some("write a time with its offset, such as \"2026-04-05T14:04:00Z\"".to_owned());
        value.error("bad-time", format!("{text:?} is no moment"), hint)
    })
}

/// The value as JSON.
fn json(at: &Value<'_>, value: &DeValue<'_>) -> Option<Json> {
    Some(match value {
        DeValue::String(text) => Json::from(&**text),
        DeValue::Boolean(b) => Json::from(*b),
        DeValue::Datetime(date) => Json::from(date.to_string()),
        DeValue::Integer(i) => {
            let number = i128::from_str_radix(i.as_str(), i.radix()).ok();
            let number = number.and_then(|n| serde_json::from_str(&n.to_string()).ok());
            return number.or_else(|| at.error("out-of-range", "the number is too large", None));
        }
        DeValue::Float(f) => {
            let text = f.as_str().replace('_', "");
            // `+1.5`, which JSON hasn't, and `inf` and `nan`, for which it has nothing.
            let number = serde_json::from_str(text.strip_prefix('+').unwrap_or(&text));
            return number.ok().or_else(|| {
                at.error("out-of-range", format!("an event can't hold the number {text}"), None)
            });
        }
        DeValue::Array(items) => {
            let values: Option<Vec<Json>> =
                items.iter().map(|item| json(at, item.get_ref())).collect();
            Json::from(values?)
        }
        DeValue::Table(members) => {
            let mut object = Map::new();
            for (key, value) in members {
                object.insert(key.get_ref().to_string(), json(at, value.get_ref())?);
            }
            Json::Object(object)
        }
    })
}

/// The body with the test's changes; every one that can't be made is noted.
fn changed(event: &Value<'_>, body: &[u8], changes: &Changes<'_>) -> Option<Vec<u8>> {
    let Ok(mut body) = serde_json::from_slice::<Json>(body) else {
        return event.error("bad-event", "this event is no valid JSON", None);
    };
    let mut sound = true;
    if let Some(with) = &changes.with {
        let table = with.table("`with`");
        sound &= table.is_some();
        for (path, value) in table.iter().flat_map(Table::entries) {
            let at = Value { span: value.key_span.clone(), ..value.clone() };
            let new = json(&value, value.value);
            sound &=
                new.is_some_and(|new| change(&mut body, &at, path, Change::Set(new)).is_some());
        }
    }
    for (paths, null) in [(&changes.null, true), (&changes.without, false)] {
        let Some(paths) = paths else { continue };
        let Some(texts) = paths.texts() else {
            sound = false;
            continue;
        };
        for path in texts {
            let at = Value { span: path.span, ..paths.clone() };
            let how = if null { Change::Set(Json::Null) } else { Change::Remove };
            sound &= change(&mut body, &at, path.value, how).is_some();
        }
    }
    sound.then(|| body.to_string().into_bytes())
}

enum Change {
    Set(Json),
    Remove,
}

/// Changes what stands at `path`. Objects on the way are made; a first name that the body hasn't is a mistake.
fn change(body: &mut Json, at: &Value<'_>, path: &str, how: Change) -> Option<()> {
    let steps = match condition::parse_path(path) {
        Ok(path) => path.steps,
        Err(error) => {
            let message = format!("\"{path}\" is no path: {}", error.message);
            return at.error("bad-path", message, error.hint);
        }
    };
    if let (Some(Step::Key(first)), Json::Object(members)) = (steps.first(), &*body)
        && !members.contains_key(&**first)
    {
        let inside = members.get("data").is_some_and(|data| data.get(&**first).is_some());
        let near = nearest(first, &members.keys().map(String::as_str).collect::<Vec<_>>());
        let hint = match (inside, near) {
            (true, _) => format!("did you mean `data.{path}`?"),
            (false, Some(near)) => format!("did you mean `{near}`?"),
            (false, None) => {
                let keys: Vec<String> = members.keys().map(|k| format!("`{k}`")).collect();
                format!("a path begins at the top of the event, which has {}", keys.join(", "))
            }
        };
        return at.error("bad-path", format!("this event has no `{first}`"), Some(hint));
    }
    let (last, way) = steps.split_last()?;
    let mut here = body;
    let mut walked = String::new();
    for step in way {
        let Some(next) = enter(here, step) else { return no_way(at, path, &walked) };
        here = next;
        match step {
            Step::Key(key) => walked.push_str(&format!(".{key}")),
            Step::Index(index) => walked.push_str(&format!("[{index}]")),
        }
        if here.is_null() {
            *here = Json::Object(Map::new());
        }
    }
    match (last, here) {
        (Step::Key(key), Json::Object(members)) => {
            if !members.contains_key(&**key)
                && let Some(near) =
                    nearest(key, &members.keys().map(String::as_str).collect::<Vec<_>>())
            {
                let message = format!("\"{path}\" is not in this event, which has `{near}`");
                let hint = Some(format!("did you mean `{near}`?"));
                at.report.warning("new-field", at.span.clone(), message, hint);
            }
            match how {
                Change::Set(new) => set(members.entry(key.to_string()).or_insert(Json::Null), new),
                Change::Remove => _ = members.shift_remove(&**key),
            }
        }
        (Step::Index(index), Json::Array(items)) if *index < items.len() => match how {
            Change::Set(new) => set(&mut items[*index], new),
            Change::Remove => _ = items.remove(*index),
        },
        _ => return no_way(at, path, &walked),
    }
    Some(())
}

/// An object changes only the members that it names: `{ data.sentiment = "x" }` is a table in TOML, and must do what
/// `{ "data.sentiment" = "x" }` does.
fn set(here: &mut Json, new: Json) {
    match (here, new) {
        (Json::Object(here), Json::Object(new)) => {
            for (key, value) in new {
                set(here.entry(key).or_insert(Json::Null), value);
            }
        }
        (here, new) => *here = new,
    }
}

fn enter<'j>(here: &'j mut Json, step: &Step) -> Option<&'j mut Json> {
    match step {
        Step::Key(key) => Some(here.as_object_mut()?.entry(key.to_string()).or_insert(Json::Null)),
        Step::Index(index) => here.as_array_mut()?.get_mut(*index),
    }
}

fn no_way(at: &Value<'_>, path: &str, walked: &str) -> Option<()> {
    let walked = walked.trim_start_matches('.');
    let place = if walked.is_empty() { "the event".to_owned() } else { format!("`{walked}`") };
    let message = format!("\"{path}\" leads nowhere: there is no such place in {place}");
    at.error("bad-path", message, Some("look at the event's file".to_owned()))
}
