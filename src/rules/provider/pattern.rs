//! `Bearer {api_key}`: text with placeholders, and what may stand in them.

use std::borrow::Cow;

use jiff::Timestamp;
use uuid::Uuid;

use super::Outgoing;
use crate::rules::template::{Escape, Severity, Style, gsm};

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

/// A placeholder: `{name}` or `{name|filter}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    pub(super) name: Name,
    pub(super) filter: Option<Filter>,
}

/// What a placeholder stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A setting or one of `[values]`, or a part of a setting.
    Own(String, Field),
    /// Something of the message or its event.
    Variable(Variable),
    /// `{rich.blocks}`: a member of the rich message's tree.
    Rich(String),
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

/// What is done to a value where it is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// It is escaped for a markup.
    Escape(Style),
    /// Line breaks become `<br>`.
    Br,
    /// Without the `+` of a phone number.
    Digits,
}

/// What differs from message to message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Variable {
    Text,
    Subject,
    Title,
    Html,
    Severity,
    Dedup,
    Link,
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
    Alphabet,
    Signature,
    Item,
}

/// Every variable by its name.
pub(super) const VARIABLES: [(&str, Variable); 21] = [
    ("text", Variable::Text),
    ("subject", Variable::Subject),
    ("title", Variable::Title),
    ("html", Variable::Html),
    ("severity", Variable::Severity),
    ("dedup", Variable::Dedup),
    ("link", Variable::Link),
    ("recipient", Variable::Recipient),
    ("key", Variable::Key),
    ("rule", Variable::Rule),
    ("destination", Variable::Destination),
    ("event", Variable::Event),
    ("event_id", Variable::EventId),
    ("event_type", Variable::EventType),
    ("source", Variable::Source),
    ("now_unix", Variable::NowUnix),
    ("now_ms", Variable::NowMillis),
    ("now", Variable::Now),
    ("alphabet", Variable::Alphabet),
    ("signature", Variable::Signature),
    ("item", Variable::Item),
];

/// Filters that are not the name of a markup.
const FILTERS: [(&str, Filter); 11] = [
    ("plain", Filter::Escape(Style::Plain)),
    ("slack", Filter::Escape(Style::Slack)),
    ("html", Filter::Escape(Style::Html)),
    ("telegram-html", Filter::Escape(Style::TelegramHtml)),
    ("markdown", Filter::Escape(Style::Markdown)),
    ("markdownv2", Filter::Escape(Style::MarkdownV2)),
    ("discord", Filter::Escape(Style::Discord)),
    ("teams", Filter::Escape(Style::Teams)),
    ("sms", Filter::Escape(Style::Sms)),
    ("br", Filter::Br),
    ("digits", Filter::Digits),
];

/// What a request is made of: the message, and what belongs to this part of it.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) outgoing: &'a Outgoing<'a>,
    /// The text, or the part of it that this request carries.
    pub(super) text: &'a str,
    /// The idempotency key of this request.
    pub(super) key: Uuid,
    /// The signature, once there is one.
    pub(super) signature: Option<&'a str>,
    /// The element of `$each`.
    pub(super) item: Option<&'a str>,
    /// How the definition has values escaped that the filters name.
    pub(super) escape: Escape,
}

/// A variable's value for one message.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Absent,
    Text(Cow<'a, str>),
    Number(i64),
    Boolean(bool),
    /// JSON as it is.
    Raw(Cow<'a, str>),
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

    /// The placeholder, if there is nothing else.
    pub(super) fn single(&self) -> Option<&Hole> {
        match self.parts.as_slice() {
            [Part::Hole(hole)] => Some(hole),
            _ => None,
        }
    }
}

impl Hole {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, filter) = match text.split_once('|') {
            None => (text, None),
            Some((name, filter)) => {
                let known = FILTERS.into_iter().find(|(n, _)| *n == filter);
                let names: Vec<_> = FILTERS.into_iter().map(|(n, _)| n).collect();
                let known = known.ok_or_else(|| {
                    format!("`{filter}` is no filter; there are {}", names.join(", "))
                })?;
                (name, Some(known.1))
            }
        };
        let name = Name::parse(name)?;
        let marked_up = [Variable::Text, Variable::Html].map(Name::Variable);
        if matches!(filter, Some(Filter::Escape(_))) && marked_up.contains(&name) {
            return Err(format!(
                "`{{{text}}}` would escape a message that its template has escaped already"
            ));
        }
        Ok(Self { name, filter })
    }

    /// Whether it is this variable.
    pub(super) fn is(&self, variable: Variable) -> bool {
        self.name == Name::Variable(variable)
    }
}

impl Name {
    fn parse(name: &str) -> Result<Self, String> {
        if let Some(variable) = Variable::named(name) {
            return Ok(Self::Variable(variable));
        }
        let word =
            |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        let (base, field) = match name.split_once('.') {
            Some(("rich", key)) if word(key) => return Ok(Self::Rich(key.to_owned())),
            None => (name, Field::Whole),
            Some((base, "address")) => (base, Field::Address),
            Some((base, "name")) => (base, Field::Name),
            Some(_) => {
                return Err(format!(
                    "`{{{name}}}` asks for an unknown part; there are `.address` and `.name` of a mailbox, and `{{rich.KEY}}`"
                ));
            }
        };
        if word(base) {
            Ok(Self::Own(base.to_owned(), field))
        } else {
            Err(format!("`{{{name}}}` is no placeholder; write `{{{{` for a brace"))
        }
    }
}

impl Variable {
    pub(super) fn named(name: &str) -> Option<Self> {
        VARIABLES.into_iter().find(|(n, _)| *n == name).map(|(_, variable)| variable)
    }

    pub(super) fn value<'a>(self, scope: &Scope<'a>) -> Value<'a> {
        let o = scope.outgoing;
        let text = |t: &'a str| Value::Text(Cow::Borrowed(t));
        let maybe = |t: Option<&'a str>| t.map_or(Value::Absent, text);
        match self {
            Self::Text => text(scope.text),
            Self::Subject => maybe(o.message.subject.as_deref()),
            Self::Title => match &o.message.subject {
                Some(subject) => text(subject),
                None => Value::Text(format!("{}: {}", o.rule, o.event.kind).into()),
            },
            Self::Html => maybe(o.message.html.as_deref()),
            Self::Severity => maybe(o.message.severity.map(Severity::word)),
            Self::Dedup => maybe(o.message.dedup.as_deref()),
            Self::Link => maybe(o.message.link.as_deref()),
            Self::Recipient => maybe(o.recipient),
            Self::Key => Value::Text(scope.key.to_string().into()),
            Self::Rule => text(o.rule),
            Self::Destination => text(o.destination),
            Self::Event => Value::Raw(o.event.text().into()),
            Self::EventId => text(&o.event.id),
            Self::EventType => text(&o.event.kind),
            Self::Source => text(&o.event.source),
            Self::NowUnix => Value::Number(o.now.as_second()),
            Self::NowMillis => Value::Number(o.now.as_millisecond()),
            Self::Now => Value::Text(readable(o.now).into()),
            Self::Alphabet => text(if gsm::is_gsm(scope.text) { "gsm" } else { "unicode" }),
            Self::Signature => maybe(scope.signature),
            Self::Item => maybe(scope.item),
        }
    }
}

/// RFC 3339 without fractions of a second.
fn readable(now: Timestamp) -> String {
    Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

impl Filter {
    pub(super) fn apply(self, value: &str, scope: Option<&Scope<'_>>) -> String {
        match self {
            Self::Escape(style) => {
                let escape = scope.map_or(Escape::new(style), |s| s.escape.with_style(style));
                escape.apply(value)
            }
            Self::Br => value.replace('\n', "<br>"),
            Self::Digits => value.trim_start_matches('+').to_owned(),
        }
    }
}

impl<'a> Value<'a> {
    /// The value as text; none if it is absent.
    pub(super) fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Absent => None,
            Self::Text(t) | Self::Raw(t) => Some(t),
            Self::Number(n) => Some(n.to_string().into()),
            Self::Boolean(b) => Some(b.to_string().into()),
        }
    }

    /// Whether `$if` takes it for nothing: absent, an empty text, or false.
    pub(super) fn is_nothing(&self) -> bool {
        match self {
            Self::Absent | Self::Boolean(false) => true,
            Self::Text(t) => t.is_empty(),
            Self::Number(_) | Self::Boolean(true) | Self::Raw(_) => false,
        }
    }
}
