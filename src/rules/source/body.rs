//! The body: one streaming pass that checks it and finds the wanted places, of which it keeps the raw JSON.
//!
//! Whatever is accepted here must be readable for rules and templates too, and read the same. serde_json's ignoring
//! reader, which makes the pass cheap, is laxer than its `Value`: it knows no depth limit and doesn't look into
//! escapes. So a body that could make the difference, which real ones never do, is read a second time in full.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Refusal;

/// The deepest nesting that serde_json reads into a `Value`.
const MAX_DEPTH: usize = 127;

/// Object keys that start so are serde_json's own: with `arbitrary_precision` and `raw_value`, an object with such a
/// key turns into a number or anything else when it is read into a `Value`.
const PRIVATE_KEY: &str = "$serde_json::private::";

/// The wanted places, as a tree of names: each leaf has a slot.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    root: Vec<Node>,
    slots: usize,
}

#[derive(Debug)]
struct Node {
    name: String,
    /// The wanted place, if it is one; it has no children then.
    slot: Option<usize>,
    children: Vec<Node>,
}

/// What was found at a wanted place.
#[derive(Clone, Copy, Default)]
pub(super) struct Found<'a> {
    pub(super) raw: Option<&'a RawValue>,
    /// Whether the place stood in the body more than once.
    pub(super) twice: bool,
}

impl Wanted {
    /// The slot of `path`, new or known.
    pub(super) fn place(&mut self, path: &str) -> Result<usize, String> {
        check_path(path)?;
        let mut nodes = &mut self.root;
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            let at = match nodes.iter().position(|n| n.name == part) {
                Some(at) => at,
                None => {
                    nodes.push(Node { name: part.to_owned(), slot: None, children: Vec::new() });
                    nodes.len() - 1
                }
            };
            let node = &mut nodes[at];
            let last = parts.peek().is_none();
            if last && node.children.is_empty() {
                if node.slot.is_none() {
                    node.slot = Some(self.slots);
                    self.slots += 1;
                }
                return node.slot.ok_or_else(|| format!("`{path}` is no path"));
            }
            if last || node.slot.is_some() {
                return Err(format!("`{path}` stands inside or around another wanted value"));
            }
            nodes = &mut node.children;
        }
        Err(format!("`{path}` is no path"))
    }

    /// Checks `text` and gives what stands at each slot.
    pub(super) fn find<'a>(&self, text: &'a str) -> Result<Vec<Found<'a>>, Refusal> {
        let mut found = vec![Found::default(); self.slots];
        let mut json = serde_json::Deserializer::from_str(text);
        let object = Level { nodes: &self.root, found: &mut found };
        object
            .deserialize_top(&mut json)
            .and_then(|()| json.end())
            .map_err(|e| syntax(text, &e))?;
        if needs_a_full_check(text) {
            full_check(text)?;
        }
        Ok(found)
    }
}

/// The text of a string, the digits of a number; nothing else has one.
pub(super) fn scalar(raw: &RawValue) -> Option<String> {
    let json = raw.get();
    match json.as_bytes().first()? {
        b'"' if !json.contains('\\') => Some(json[1..json.len() - 1].to_owned()),
        b'"' => serde_json::from_str(json).ok(),
        b'-' | b'0'..=b'9' => Some(json.to_owned()),
        _ => None,
    }
}

pub(super) fn check_path(path: &str) -> Result<(), String> {
    if path.split('.').any(str::is_empty) {
        return Err(format!("`{path}` is no path: it takes names joined by single dots"));
    }
    Ok(())
}

/// A body that is not taken.
pub(super) fn refusal(reason: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { status: 400, reason, message: message.into() }
}

/// Why `text` could not be read. serde_json's own words may quote the body, so only the place is taken from them.
fn syntax(text: &str, error: &serde_json::Error) -> Refusal {
    if text.starts_with('\u{feff}') {
        return refusal("body_not_json", "the body starts with a byte order mark");
    }
    if error.is_data() && serde_json::from_str::<IgnoredAny>(text).is_ok() {
        return refusal("body_not_object", "the body is no JSON object");
    }
    let (line, column) = (error.line(), error.column());
    refusal("body_not_json", format!("the body is no valid JSON: line {line}, column {column}"))
}

/// Whether `text`, which the ignoring reader took, might be refused or read differently as a `Value`: deep nesting,
/// a lone surrogate, or a key of serde_json's own (which may hide behind escapes of ASCII characters).
fn needs_a_full_check(text: &str) -> bool {
    brackets(text) > MAX_DEPTH
        // Looking for a single character first is several times faster.
        || (text.contains('$') && text.contains("$serde_json"))
        || (text.contains('\\') && text.match_indices("\\u").any(|(at, _)| {
            let digits = &text.as_bytes()[at + 2..];
            matches!(digits, [b'd' | b'D', ..] | [b'0', b'0', b'2'..=b'7', ..])
        }))
}

/// How many objects and arrays begin in the text, counting those in strings too. Sums of bytes are added many at once
/// by the processor, where a count in a `usize` is not.
fn brackets(text: &str) -> usize {
    let opens = |byte: &u8| u8::from(matches!(byte, b'{' | b'['));
    text.as_bytes().chunks(255).map(|some| usize::from(some.iter().map(opens).sum::<u8>())).sum()
}

fn full_check(text: &str) -> Result<(), Refusal> {
    if has_private_key(text) {
        let message = format!("a key of the body starts with `{PRIVATE_KEY}`, which is reserved");
        return Err(refusal("body_reserved_key", message));
    }
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(_) => Ok(()),
        // The ignoring reader took it, so it is deep or has a surrogate; the recursion limit has no category of its own.
        Err(e) if e.to_string().starts_with("recursion limit exceeded") => Err(refusal(
            "body_too_deep",
            format!("the body is nested deeper than {MAX_DEPTH} levels"),
        )),
        Err(e) => Err(syntax(text, &e)),
    }
}

/// Looks at every key. `text` is valid JSON, where a string is a key exactly if a colon follows.
fn has_private_key(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(open) = bytes[at..].iter().position(|b| *b == b'"').map(|i| at + i) {
        let mut close = open + 1;
        while bytes.get(close).is_some_and(|b| *b != b'"') {
            close += if bytes[close] == b'\\' { 2 } else { 1 };
        }
        let Some(string) = text.get(open..=close) else { return false };
        at = close + 1;
        let is_key = bytes[at..].iter().find(|b| !b.is_ascii_whitespace()) == Some(&b':');
        // An unreadable string is a lone surrogate's: the caller's other check refuses it.
        if is_key
            && serde_json::from_str::<String>(string).is_ok_and(|k| k.starts_with(PRIVATE_KEY))
        {
            return true;
        }
    }
    false
}

/// Reads one object: wanted leaves into their slots, objects on the way to some, and skips the rest.
struct Level<'n, 'f, 'a> {
    nodes: &'n [Node],
    found: &'f mut [Found<'a>],
}

impl<'a> Level<'_, '_, 'a> {
    /// The top must be an object.
    fn deserialize_top<R: serde_json::de::Read<'a>>(
        self,
        json: &mut serde_json::Deserializer<R>,
    ) -> serde_json::Result<()> {
        json.deserialize_map(self)
    }
}

impl<'a> DeserializeSeed<'a> for Level<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'a>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for Level<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(at) = map.next_key_seed(Name { nodes: self.nodes })? {
            let Some(node) = at.map(|at| &self.nodes[at]) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if let Some(slot) = node.slot {
                let raw = map.next_value::<&'a RawValue>()?;
                let found = &mut self.found[slot];
                *found = Found { raw: Some(raw), twice: found.twice || found.raw.is_some() };
            } else {
                // If it stood here before, `Value` would keep the last one whole.
                forget(&node.children, self.found);
                map.next_value_seed(Level { nodes: &node.children, found: self.found })?;
            }
        }
        Ok(())
    }

    // Where an object was expected on the way, anything else just has no such fields.
    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    // Integers that fit come so; all other numbers as a map with a key of serde_json's own.
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
}

fn forget(nodes: &[Node], found: &mut [Found<'_>]) {
    for node in nodes {
        if let Some(slot) = node.slot {
            let found = &mut found[slot];
            *found = Found { raw: None, twice: found.twice || found.raw.is_some() };
        }
        forget(&node.children, found);
    }
}

/// Finds a key among the wanted names without keeping it.
struct Name<'n> {
    nodes: &'n [Node],
}

impl<'a> DeserializeSeed<'a> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: serde::Deserializer<'a>>(self, from: D) -> Result<Option<usize>, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        Ok(self.nodes.iter().position(|n| n.name == name))
    }
}
