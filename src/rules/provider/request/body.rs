//! The body: a JSON tree, a form or a text whose leaves are patterns. A value is always inserted as a value; no text of
//! an event is ever parsed as JSON or as a form.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::definition::{LimitDefinition, RequestDefinition};
use super::super::pattern::{Field, Filter, Hole, Name, Pattern, Scope, Value, Variable};
use super::super::settings::Filled;
use super::fill::{Dynamic, Piece, Resolved, Settings, join};
use super::limit::Limit;
use crate::rules::template::Style;

/// A compiled body.
pub(super) struct Body {
    shape: Shape,
    /// The limit that splits the text, if one does.
    split: Option<Limit>,
}

enum Shape {
    Empty,
    Json(Node),
    Form(Vec<(String, Node)>),
    Text(Node),
}

/// A piece of a body.
enum Node {
    /// JSON that is the same for every message.
    Constant(String),
    /// One variable; it keeps its type, and its key is dropped when it is absent.
    Variable(Dynamic, Option<Limit>),
    /// Text with variables in it.
    Text(Vec<Piece>, Option<Limit>),
    /// Keys as JSON, and what decides whether the object is there.
    Object(Vec<(String, Node)>, Vec<Condition>),
    Array(Vec<Node>),
    /// One element of the array around it for each of the items.
    Each(Items, Box<Node>),
}

/// What decides whether an object is there: `$if`, `$unless`.
struct Condition {
    dynamic: Dynamic,
    present: bool,
}

/// What `$each` goes over.
enum Items {
    /// A list that is a setting.
    Constant(Vec<String>),
    /// The lines of a text.
    Lines(Dynamic),
}

/// What the application/x-www-form-urlencoded serializer leaves as it is (WHATWG URL, 5.2); a space becomes `+`.
const FORM: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'*').remove(b'-').remove(b'.').remove(b'_').remove(b' ');

impl Body {
    pub(super) fn compile(
        settings: &Settings<'_>,
        request: &RequestDefinition,
    ) -> Result<Self, String> {
        let compiler = Compiler { settings, limits: &request.limits };
        let mut shape = Shape::Empty;
        if let Some(json) = &request.json {
            shape = compiler.node(json, "")?.map_or(Shape::Empty, Shape::Json);
        } else if let Some(text) = &request.text {
            shape = compiler.leaf(text, "")?.map_or(Shape::Empty, Shape::Text);
        } else if let Some(form) = &request.form {
            let mut pairs = Vec::new();
            for (name, value) in form {
                if let Some(node) = compiler.node(value, &format!("/{name}"))? {
                    pairs.push((name.clone(), node));
                }
            }
            shape = Shape::Form(pairs);
        }
        let text = Pattern::parse("{text}")?;
        let split = request.limits.iter().filter_map(|l| compiler.limit(&l.at, &text));
        let split = split.into_iter().find(|l| !l.parts("", 1).is_empty());
        Ok(Self { shape, split })
    }

    /// What the text is split into; none if the definition doesn't split.
    pub(super) fn parts(&self, text: &str, most: usize) -> Vec<String> {
        self.split.as_ref().map_or_else(Vec::new, |limit| limit.parts(text, most))
    }

    pub(super) fn build(&self, scope: &Scope<'_>) -> Result<Vec<u8>, String> {
        let mut out = Vec::with_capacity(scope.text.len() + 256);
        match &self.shape {
            Shape::Empty => {}
            Shape::Json(node) => drop(node.write(scope, &mut out)?),
            Shape::Text(node) => {
                let text = node.text(scope)?.unwrap_or_default();
                out.extend_from_slice(text.as_bytes());
            }
            Shape::Form(pairs) => {
                for (name, node) in pairs {
                    if let Some(value) = node.text(scope)? {
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
        let mut conditions = Vec::new();
        for (key, present) in [("$if", true), ("$unless", false)] {
            let Some(hole) = directive(table, key)? else { continue };
            match self.settings.resolve(&hole)? {
                Resolved::Dynamic(dynamic) => conditions.push(Condition { dynamic, present }),
                Resolved::Constant(text) => {
                    // A setting that is false is as good as left out.
                    if text.is_some_and(|t| !t.is_empty() && t != "false") != present {
                        return Ok(None);
                    }
                }
            }
        }
        let mut members = Vec::new();
        for (key, value) in table.iter().filter(|(key, _)| !key.starts_with('$')) {
            if let Some(node) = self.node(value, &format!("{at}/{key}"))? {
                members.push((json(key)?, node));
            }
        }
        let object = Node::Object(members, conditions);
        let Some(hole) = directive(table, "$each")? else { return Ok(Some(object)) };
        let items = match (&hole.name, self.settings.resolve(&hole)?) {
            (_, Resolved::Dynamic(dynamic)) => Items::Lines(dynamic),
            (Name::Own(name, _), Resolved::Constant(_)) => {
                let texts = self.settings.filled.get(name).map(Filled::texts).unwrap_or_default();
                Items::Constant(texts.into_iter().map(str::to_owned).collect())
            }
            (_, Resolved::Constant(_)) => Items::Constant(Vec::new()),
        };
        Ok(Some(Node::Each(items, Box::new(object))))
    }

    fn leaf(&self, text: &str, at: &str) -> Result<Option<Node>, String> {
        let pattern = Pattern::parse(text)?;
        if let Some(hole) = pattern.single() {
            if let Resolved::Dynamic(dynamic) = self.settings.resolve(hole)? {
                return Ok(Some(Node::Variable(dynamic, self.limit(at, &pattern))));
            }
            if let Hole { name: Name::Own(name, Field::Whole), filter: None } = hole {
                return Ok(match self.settings.filled.get(name) {
                    None => None,
                    Some(Filled::Text(t)) => Some(Node::Constant(json(t)?)),
                    Some(Filled::Integer(n)) => Some(Node::Constant(n.to_string())),
                    Some(Filled::Boolean(b)) => Some(Node::Constant(b.to_string())),
                    Some(Filled::List(list)) => Some(Node::Constant(json(list)?)),
                });
            }
        }
        let pieces = self.settings.fill(text, |_, value| value.to_owned())?;
        Ok(match pieces.as_deref() {
            None => None,
            Some([Piece::Text(text)]) => Some(Node::Constant(json(text)?)),
            Some(pieces) => Some(Node::Text(pieces.to_vec(), self.limit(at, &pattern))),
        })
    }

    /// The limit of the leaf at `at`. What can't be cut in it depends on what stands in it.
    fn limit(&self, at: &str, pattern: &Pattern) -> Option<Limit> {
        let definition = self.limits.iter().find(|l| l.at == at)?.clone();
        let style = pattern.holes().find_map(|hole| match (hole.filter, &hole.name) {
            (Some(Filter::Escape(style)), _) => Some(style),
            (Some(Filter::Br), _) | (_, Name::Variable(Variable::Html)) => Some(Style::Html),
            (_, Name::Variable(Variable::Text)) => {
                Some(self.settings.definition.form().escape.style)
            }
            _ => None,
        });
        Some(Limit { definition, style: style.unwrap_or(Style::Plain) })
    }
}

fn directive(table: &toml::Table, key: &str) -> Result<Option<Hole>, String> {
    let Some(value) = table.get(key) else { return Ok(None) };
    let error = || format!("{key} is one placeholder such as {{html}}");
    let pattern = Pattern::parse(value.as_str().ok_or_else(error)?)?;
    pattern.single().cloned().map(Some).ok_or_else(error)
}

impl Node {
    /// Writes the node as JSON; false, with nothing written, if it is absent.
    fn write(&self, scope: &Scope<'_>, out: &mut Vec<u8>) -> Result<bool, String> {
        let start = out.len();
        match self {
            Self::Constant(json) => out.extend_from_slice(json.as_bytes()),
            Self::Variable(dynamic, limit) => match dynamic.value(scope) {
                Value::Absent => return Ok(false),
                Value::Raw(json) => out.extend_from_slice(json.trim().as_bytes()),
                Value::Number(n) => out.extend_from_slice(n.to_string().as_bytes()),
                Value::Boolean(b) => out.extend_from_slice(b.to_string().as_bytes()),
                Value::Text(text) => return write_limited(text, limit.as_ref(), out),
            },
            Self::Text(pieces, limit) => match join(pieces, scope, |_, v| v.to_owned()) {
                None => return Ok(false),
                Some(text) => return write_limited(text.into(), limit.as_ref(), out),
            },
            Self::Object(members, conditions) => {
                let holds = |c: &Condition| c.dynamic.value(scope).is_nothing() != c.present;
                if !conditions.iter().all(holds) {
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
                    if !node.write(scope, out)? {
                        out.truncate(before);
                    }
                }
                out.push(b'}');
            }
            Self::Array(nodes) => {
                out.push(b'[');
                for node in nodes {
                    match node {
                        Self::Each(items, node) => {
                            items.each(scope, |scope| write_element(node, scope, start, out))?;
                        }
                        node => write_element(node, scope, start, out)?,
                    }
                }
                out.push(b']');
            }
            // It stands in arrays only, which the definition's check holds.
            Self::Each(..) => return Ok(false),
        }
        Ok(true)
    }

    /// The node as the text of a form's value; none if it is absent.
    fn text<'a>(&'a self, scope: &Scope<'a>) -> Result<Option<Cow<'a, str>>, String> {
        let text = match self {
            Self::Constant(json) => {
                return Ok(Some(match serde_json::from_str::<String>(json) {
                    Ok(text) => text.into(),
                    Err(_) => json.into(),
                }));
            }
            Self::Variable(dynamic, limit) => (dynamic.value(scope).into_text(), limit),
            Self::Text(pieces, limit) => {
                (join(pieces, scope, |_, v| v.to_owned()).map(Cow::from), limit)
            }
            Self::Object(..) | Self::Array(_) | Self::Each(..) => {
                return Err("a form's value is a text".to_owned());
            }
        };
        match text {
            (Some(text), Some(limit)) => limit.apply(text),
            (text, _) => Ok(text),
        }
    }
}

impl Items {
    fn each(
        &self,
        scope: &Scope<'_>,
        mut write: impl FnMut(&Scope<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        match self {
            Self::Constant(list) => {
                list.iter().try_for_each(|item| write(&Scope { item: Some(item), ..*scope }))
            }
            Self::Lines(dynamic) => {
                let text = dynamic.value(scope).into_text().unwrap_or_default();
                text.lines().try_for_each(|item| write(&Scope { item: Some(item), ..*scope }))
            }
        }
    }
}

/// Writes an element of the array that began at `start`.
fn write_element(
    node: &Node,
    scope: &Scope<'_>,
    start: usize,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let before = out.len();
    if before > start + 1 {
        out.push(b',');
    }
    if !node.write(scope, out)? {
        out.truncate(before);
    }
    Ok(())
}

fn write_limited(
    text: Cow<'_, str>,
    limit: Option<&Limit>,
    out: &mut Vec<u8>,
) -> Result<bool, String> {
    let text = match limit {
        Some(limit) => match limit.apply(text)? {
            Some(text) => text,
            None => return Ok(false),
        },
        None => text,
    };
    serde_json::to_writer(out, &text).map_err(|e| e.to_string()).map(|()| true)
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, String> {
    serde_json::to_string(value).map_err(|e| e.to_string())
}
