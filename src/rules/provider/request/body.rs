//! The body: a JSON tree or a form whose leaves are patterns. A value is always inserted as a value; no text of an event
//! is ever parsed as JSON or as a form.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::Outgoing;
use super::super::definition::{LimitDefinition, Overflow, RequestDefinition, Unit};
use super::super::pattern::{Field, Hole, Part, Pattern, Value, Variable};
use super::super::settings::Filled;
use super::{Piece, Settings, join};
use crate::rules::template::{Channel, cut};

/// A compiled body.
pub(super) enum Body {
    Empty,
    Json(Node),
    Form(Vec<(String, Node)>),
}

/// A piece of a body.
pub(super) enum Node {
    /// JSON that is the same for every message.
    Constant(String),
    /// One variable; it keeps its type, and its key is dropped when it is absent.
    Variable(Variable, Option<Limit>),
    /// Text with variables in it.
    Text(Vec<Piece>, Option<Limit>),
    /// Keys as JSON, and the variable that must be there for the object to be.
    Object(Vec<(String, Node)>, Option<Variable>),
    Array(Vec<Node>),
}

/// How long a leaf may be.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    definition: LimitDefinition,
    /// Whether the text has entities such as `&amp;` that must not be cut.
    entities: bool,
}

/// What the application/x-www-form-urlencoded serializer leaves as it is (WHATWG URL, 5.2); a space becomes `+`.
const FORM: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_').remove(b' ');

/// The key that makes a table depend on a placeholder.
const IF: &str = "$if";

impl Body {
    pub(super) fn compile(
        settings: &Settings<'_>,
        request: &RequestDefinition,
    ) -> Result<Self, String> {
        let compiler = Compiler { settings, limits: &request.limits };
        if let Some(json) = &request.json {
            return Ok(compiler.node(json, "")?.map_or(Self::Empty, Self::Json));
        }
        let Some(form) = &request.form else { return Ok(Self::Empty) };
        let mut pairs = Vec::new();
        for (name, value) in form {
            if let Some(node) = compiler.node(value, &format!("/{name}"))? {
                pairs.push((name.clone(), node));
            }
        }
        Ok(Self::Form(pairs))
    }

    pub(super) fn build(&self, outgoing: &Outgoing<'_>) -> Result<Vec<u8>, String> {
        let mut out = Vec::with_capacity(outgoing.message.text.len() + 256);
        match self {
            Self::Empty => {}
            Self::Json(node) => drop(node.write(outgoing, &mut out)?),
            Self::Form(pairs) => {
                for (name, node) in pairs {
                    if let Some(value) = node.text(outgoing)? {
                        if !out.is_empty() {
                            out.push(b'&');
                        }
                        form_encode(name, &mut out);
                        out.push(b'=');
                        form_encode(&value, &mut out);
                    }
                }
            }
        }
        Ok(out)
    }
}

fn form_encode(text: &str, out: &mut Vec<u8>) {
    for piece in utf8_percent_encode(text, FORM) {
        out.extend(piece.bytes().map(|b| if b == b' ' { b'+' } else { b }));
    }
}

struct Compiler<'a> {
    settings: &'a Settings<'a>,
    limits: &'a [LimitDefinition],
}

impl Compiler<'_> {
    /// The node for a value of the file; none if it depends on a setting that is left out.
    fn node(&self, value: &toml::Value, at: &str) -> Result<Option<Node>, String> {
        Ok(match value {
            toml::Value::String(text) => self.leaf(text, at)?,
            toml::Value::Table(table) => self.table(table, at)?,
            toml::Value::Array(list) => {
                let mut nodes = Vec::new();
                for (i, item) in list.iter().enumerate() {
                    nodes.extend(self.node(item, &format!("{at}/{i}"))?);
                }
                Some(Node::Array(nodes))
            }
            toml::Value::Integer(n) => Some(Node::Constant(n.to_string())),
            toml::Value::Float(n) => Some(Node::Constant(json(n)?)),
            toml::Value::Boolean(b) => Some(Node::Constant(b.to_string())),
            toml::Value::Datetime(d) => Some(Node::Constant(json(&d.to_string())?)),
        })
    }

    fn table(&self, table: &toml::Table, at: &str) -> Result<Option<Node>, String> {
        let mut condition = None;
        if let Some(text) = table.get(IF) {
            let pattern =
                Pattern::parse(text.as_str().ok_or("$if is a placeholder such as {html}")?)?;
            match pattern.parts.as_slice() {
                [Part::Hole(Hole::Variable(v))] => condition = Some(*v),
                [Part::Hole(Hole::Setting(name, field))] => {
                    if self.settings.text(name, *field).is_none() {
                        return Ok(None);
                    }
                }
                _ => return Err("$if is one placeholder such as {html}".to_owned()),
            }
        }
        let mut members = Vec::new();
        for (key, value) in table.iter().filter(|(key, _)| *key != IF) {
            if let Some(node) = self.node(value, &format!("{at}/{key}"))? {
                members.push((json(key)?, node));
            }
        }
        Ok(Some(Node::Object(members, condition)))
    }

    fn leaf(&self, text: &str, at: &str) -> Result<Option<Node>, String> {
        let pattern = Pattern::parse(text)?;
        match pattern.parts.as_slice() {
            [Part::Hole(Hole::Variable(v))] => {
                return Ok(Some(Node::Variable(*v, self.limit(at, &pattern))));
            }
            [Part::Hole(Hole::Setting(name, Field::Whole))] => {
                return Ok(match self.settings.filled.get(name) {
                    None => None,
                    Some(Filled::Text(t)) => Some(Node::Constant(json(t)?)),
                    Some(Filled::Integer(n)) => Some(Node::Constant(n.to_string())),
                    Some(Filled::Boolean(b)) => Some(Node::Constant(b.to_string())),
                    Some(Filled::List(list)) => Some(Node::Constant(json(list)?)),
                });
            }
            _ => {}
        }
        let pieces = self.settings.fill(text, |_, value| value.to_owned())?;
        Ok(match pieces.as_deref() {
            None => None,
            Some([Piece::Text(text)]) => Some(Node::Constant(json(text)?)),
            Some(pieces) => Some(Node::Text(pieces.to_vec(), self.limit(at, &pattern))),
        })
    }

    fn limit(&self, at: &str, pattern: &Pattern) -> Option<Limit> {
        let definition = self.limits.iter().find(|l| l.at == at)?.clone();
        let slack = self.settings.definition.channel == Channel::Slack;
        let entities = slack || pattern.holes().any(|h| *h == Hole::Variable(Variable::Html));
        Some(Limit { definition, entities })
    }
}

impl Node {
    /// Writes the node as JSON; false, with nothing written, if it is absent.
    fn write(&self, outgoing: &Outgoing<'_>, out: &mut Vec<u8>) -> Result<bool, String> {
        let start = out.len();
        match self {
            Self::Constant(json) => out.extend_from_slice(json.as_bytes()),
            Self::Variable(variable, limit) => match variable.value(outgoing) {
                Value::Absent => return Ok(false),
                Value::Raw(json) => out.extend_from_slice(json.trim().as_bytes()),
                Value::Number(n) => out.extend_from_slice(n.to_string().as_bytes()),
                Value::Text(text) => write_text(&limited(text, limit.as_ref())?, out)?,
            },
            Self::Text(pieces, limit) => match join(pieces, outgoing, str::to_owned) {
                None => return Ok(false),
                Some(text) => write_text(&limited(text.into(), limit.as_ref())?, out)?,
            },
            Self::Object(members, condition) => {
                if condition.is_some_and(|v| matches!(v.value(outgoing), Value::Absent)) {
                    return Ok(false);
                }
                out.push(b'{');
                for (key, node) in members {
                    let before = out.len();
                    if before > start + 1 {
                        out.push(b',');
                    }
                    out.extend_from_slice(key.as_bytes());
                    out.push(b':');
                    if !node.write(outgoing, out)? {
                        out.truncate(before);
                    }
                }
                out.push(b'}');
            }
            Self::Array(nodes) => {
                out.push(b'[');
                for node in nodes {
                    let before = out.len();
                    if before > start + 1 {
                        out.push(b',');
                    }
                    if !node.write(outgoing, out)? {
                        out.truncate(before);
                    }
                }
                out.push(b']');
            }
        }
        Ok(true)
    }

    /// The node as the text of a form's value; none if it is absent.
    fn text<'a>(&'a self, outgoing: &Outgoing<'a>) -> Result<Option<Cow<'a, str>>, String> {
        match self {
            Self::Constant(json) => Ok(Some(match serde_json::from_str::<String>(json) {
                Ok(text) => text.into(),
                Err(_) => json.into(),
            })),
            Self::Variable(v, limit) => {
                v.value(outgoing).into_text().map(|t| limited(t, limit.as_ref())).transpose()
            }
            Self::Text(pieces, limit) => {
                let text = join(pieces, outgoing, str::to_owned);
                text.map(|t| limited(t.into(), limit.as_ref())).transpose()
            }
            Self::Object(..) | Self::Array(_) => Err("a form's value is a text".to_owned()),
        }
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) -> Result<(), String> {
    serde_json::to_writer(out, text).map_err(|e| e.to_string())
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, String> {
    serde_json::to_string(value).map_err(|e| e.to_string())
}

/// The text within its limit, counted after escaping.
fn limited<'a>(text: Cow<'a, str>, limit: Option<&Limit>) -> Result<Cow<'a, str>, String> {
    let Some(Limit { definition, entities }) = limit else { return Ok(text) };
    let size: fn(char) -> usize = match definition.unit {
        Unit::Chars => |_| 1,
        Unit::Bytes => char::len_utf8,
        Unit::Utf16 => char::len_utf16,
    };
    // Every unit counts at most the bytes, so most texts need no counting.
    if text.len() <= definition.max || text.chars().map(size).sum::<usize>() <= definition.max {
        return Ok(text);
    }
    match definition.overflow {
        Overflow::Truncate => Ok(cut::sized(&text, definition.max, size, *entities).into()),
        Overflow::Refuse => {
            Err(format!("the text is longer than the provider's limit of {}", definition.max))
        }
    }
}
