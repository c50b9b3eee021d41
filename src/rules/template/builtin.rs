//! The plain text that needs no template: what a rule without one sends, and what replaces a template that failed.

use handlebars::JsonRender;
use serde_json::Value;

use super::{Channel, Context, Form, Message, cut};

/// How many fields are shown, and how long a value may be.
const LINES: usize = 12;
const VALUE: usize = 300;
/// A text message stays within two segments.
const SMS: usize = 300;

/// The built-in message: the rule, the type, and the event's main fields. Never a transcript.
pub(super) fn message(form: Form, context: Context<'_>, data: &Value) -> Message {
    let Form { channel, escape } = form;
    let heading = cut::one_line(&format!("{}: {}", context.rule, context.event.kind));
    let mut text = escape.apply(&heading);
    for (name, value) in fields(data).into_iter().take(LINES) {
        let line = format!("{name}: {}", cut::chars(&cut::one_line(&value), VALUE));
        let line = escape.apply(&line);
        let room = channel != Channel::Sms || text.chars().count() + line.chars().count() < SMS;
        if !room {
            break;
        }
        text.push('\n');
        text.push_str(&line);
    }
    let subject = (channel == Channel::Email).then(|| super::subject_line(&heading));
    Message { subject, text, ..Message::default() }
}

/// Fields with something to read, one level into objects; identifiers last, as nobody reads them first.
fn fields(data: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let Some(members) = data.as_object() else { return found };
    for (name, value) in members {
        match value {
            Value::Object(inner) => {
                found.extend(
                    inner.iter().filter_map(|(k, v)| Some((format!("{name}.{k}"), plain(v)?))),
                );
            }
            _ if name.to_ascii_lowercase().contains("transcript") => {}
            _ => found.extend(plain(value).map(|v| (name.clone(), v))),
        }
    }
    found.sort_by_key(|(name, _)| name.ends_with("Id") || name.ends_with("_id") || name == "id");
    found
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Array(_) | Value::Object(_) => None,
        other => Some(other.render()).filter(|text| !text.trim().is_empty()),
    }
}
