//! `Bearer {api_key}`: text with placeholders, and what may stand in them.

use std::borrow::Cow;

use super::Outgoing;

/// A text with placeholders, as a definition has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) parts: Vec<Part>,
}

/// A piece of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Hole(Hole),
}

/// What a placeholder stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Hole {
    /// A setting, or a part of it.
    Setting(String, Field),
    /// Something of the message or its event.
    Variable(Variable),
}

/// Which part of a setting is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Whole,
    /// `{from.address}` of a mailbox.
    Address,
    /// `{from.name}` of a mailbox; absent if it has none.
    Name,
}

/// What differs from message to message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    Text,
    Subject,
    Html,
    Recipient,
    Key,
    Rule,
    Destination,
    Event,
    EventId,
    EventType,
    Source,
    NowUnix,
    NowMillis,
    Now,
}

/// A variable's value for one message.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Absent,
    Text(Cow<'a, str>),
    Number(i64),
    /// JSON as it is.
    Raw(&'a str),
}

impl Pattern {
    /// Reads a pattern; `{{` and `}}` are plain braces.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
            } else if brace == "}" {
                return Err(format!("a lone `}}` in `{text}`; write `}}}}`"));
            } else {
                let end =
                    rest.find('}').ok_or_else(|| format!("`{{` is never closed in `{text}`"))?;
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Hole(Hole::parse(&rest[..end])?));
                rest = &rest[end + 1..];
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() || parts.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// The placeholders.
    pub(super) fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.parts.iter().filter_map(|p| match p {
            Part::Hole(hole) => Some(hole),
            Part::Text(_) => None,
        })
    }
}

impl Hole {
    fn parse(name: &str) -> Result<Self, String> {
        if let Some(variable) = Variable::named(name) {
            return Ok(Self::Variable(variable));
        }
        let (name, field) = match name.split_once('.') {
            None => (name, Field::Whole),
            Some((name, "address")) => (name, Field::Address),
            Some((name, "name")) => (name, Field::Name),
            Some(_) => {
                return Err(format!(
                    "`{{{name}}}` asks for an unknown part; there are `.address` and `.name`"
                ));
            }
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(format!("`{{{name}}}` is no placeholder; write `{{{{` for a brace"));
        }
        Ok(Self::Setting(name.to_owned(), field))
    }
}

impl Variable {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "text" => Self::Text,
            "subject" => Self::Subject,
            "html" => Self::Html,
            "recipient" => Self::Recipient,
            "key" => Self::Key,
            "rule" => Self::Rule,
            "destination" => Self::Destination,
            "event" => Self::Event,
            "event_id" => Self::EventId,
            "event_type" => Self::EventType,
            "source" => Self::Source,
            "now_unix" => Self::NowUnix,
            "now_ms" => Self::NowMillis,
            "now" => Self::Now,
            _ => return None,
        })
    }

    pub(super) fn value<'a>(self, o: &Outgoing<'a>) -> Value<'a> {
        let text = |t: &'a str| Value::Text(Cow::Borrowed(t));
        let maybe = |t: Option<&'a str>| t.map_or(Value::Absent, text);
        match self {
            Self::Text => text(&o.message.text),
            Self::Subject => maybe(o.message.subject.as_deref()),
            Self::Html => maybe(o.message.html.as_deref()),
            Self::Recipient => maybe(o.recipient),
            Self::Key => Value::Text(o.key.to_string().into()),
            Self::Rule => text(o.rule),
            Self::Destination => text(o.destination),
            Self::Event => Value::Raw(o.event.text()),
            Self::EventId => text(&o.event.id),
            Self::EventType => text(&o.event.kind),
            Self::Source => text(&o.event.source),
            Self::NowUnix => Value::Number(o.now.as_second()),
            Self::NowMillis => Value::Number(o.now.as_millisecond()),
            Self::Now => Value::Text(o.now.to_string().into()),
        }
    }
}

impl<'a> Value<'a> {
    /// The value as text; none if it is absent.
    pub(super) fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Absent => None,
            Self::Text(t) => Some(t),
            Self::Number(n) => Some(n.to_string().into()),
            Self::Raw(json) => Some(json.into()),
        }
    }
}
