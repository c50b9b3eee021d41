//! The envelope: one streaming pass over the body that checks it and keeps only id, type, time and natural keys.
//!
//! Whatever is accepted here must be readable for rules and templates too, and read the same. serde_json's ignoring
//! reader, which makes the pass cheap, is laxer than its `Value`: it knows no depth limit and doesn't look into
//! escapes. So a body that could make the difference, which real ones never do, is read a second time in full.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use serde::de::{DeserializeSeed, Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Refusal;
use super::definition::Definition;

/// The longest id, in bytes.
pub(super) const MAX_ID: usize = 256;

/// The longest type, in bytes.
pub(super) const MAX_TYPE: usize = 128;

/// The deepest nesting that serde_json reads into a `Value`.
const MAX_DEPTH: usize = 127;

/// Object keys that start so are serde_json's own: with `arbitrary_precision` and `raw_value`, an object with such a
/// key turns into a number or anything else when it is read into a `Value`.
const PRIVATE_KEY: &str = "$serde_json::private::";

/// Where the wanted things stand, as a tree of names: each leaf has a slot.
#[derive(Debug)]
pub(super) struct Reader {
    root: Vec<Node>,
    slots: usize,
    id: Wanted,
    kind: Wanted,
    time: Option<usize>,
    natural: Vec<NaturalKey>,
}

#[derive(Debug)]
struct Node {
    name: String,
    /// The wanted place, if it is one; it has no children then.
    slot: Option<usize>,
    children: Vec<Node>,
}

/// A wanted place and how the sender is told of it.
#[derive(Debug)]
struct Wanted {
    slot: usize,
    path: String,
}

/// The natural key of one event type.
#[derive(Debug)]
struct NaturalKey {
    event_type: String,
    /// The key's kind in the journal: the type and its paths.
    kind: String,
    slots: Vec<usize>,
}

/// What was found at a wanted place.
#[derive(Clone, Copy, Default)]
struct Found<'a> {
    raw: Option<&'a RawValue>,
    /// Whether the place stood in the body more than once.
    twice: bool,
}

/// A readable envelope.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    pub(super) id: String,
    pub(super) kind: String,
    /// The time's text, unread.
    pub(super) time: Option<&'a str>,
    /// Kind and value of the natural key, if the type has one and all of its fields are there.
    pub(super) natural: Option<(&'a str, String)>,
}

impl Reader {
    /// Builds the tree of wanted places.
    pub(super) fn compile(definition: &Definition) -> Result<Self, String> {
        let mut reader = Self {
            root: Vec::new(),
            slots: 0,
            id: Wanted { slot: 0, path: definition.envelope.id.clone() },
            kind: Wanted { slot: 0, path: definition.envelope.kind.clone() },
            time: None,
            natural: Vec::new(),
        };
        reader.id.slot = reader.place(&definition.envelope.id)?;
        reader.kind.slot = reader.place(&definition.envelope.kind)?;
        if let Some(path) = &definition.envelope.time {
            reader.time = Some(reader.place(path)?);
        }
        let mut used = BTreeSet::from([reader.id.slot, reader.kind.slot]);
        used.extend(reader.time);
        if used.len() < 2 + usize::from(reader.time.is_some()) {
            return Err("one path of the envelope is used twice".to_owned());
        }
        if let Some(path) = &definition.envelope.data {
            check_path(path)?;
        }
        for (event_type, about) in &definition.types {
            if about.natural_key.is_empty() {
                continue;
            }
            let slots =
                about.natural_key.iter().map(|p| reader.place(p)).collect::<Result<_, _>>()?;
            let kind = format!("natural {event_type} {}", about.natural_key.join(" "));
            reader.natural.push(NaturalKey { event_type: event_type.clone(), kind, slots });
        }
        Ok(reader)
    }

    /// The slot of `path`, new or known.
    fn place(&mut self, path: &str) -> Result<usize, String> {
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

    /// Checks `body` and reads its envelope.
    pub(super) fn read<'a>(&'a self, body: &'a [u8]) -> Result<Envelope<'a>, Refusal> {
        let text = std::str::from_utf8(body)
            .map_err(|_| refusal("body_not_utf8", "the body is not valid UTF-8"))?;
        let found = self.find(text)?;
        let id = self.id.text(found[self.id.slot], MAX_ID, IntegerToo::Yes, &ID_WORDS)?;
        let kind = self.kind.text(found[self.kind.slot], MAX_TYPE, IntegerToo::No, &TYPE_WORDS)?;
        // Whoever signs can send any time, so it is kept for people; the time of arrival is what decides.
        let time = self
            .time
            .and_then(|slot| found[slot].raw)
            .and_then(|raw| raw.get().strip_prefix('"')?.strip_suffix('"'));
        let natural = self.natural.iter().find(|n| n.event_type == kind).and_then(|key| {
            let mut value = String::new();
            for slot in &key.slots {
                let part = scalar(found[*slot].raw?)?;
                // An empty value names nothing: it would make all such events the same one.
                if part.is_empty() {
                    return None;
                }
                if key.slots.len() > 1 {
                    // Their lengths keep them apart. Writing to a string can't fail.
                    let _ = write!(value, "{}:", part.len());
                }
                value.push_str(&part);
            }
            Some((key.kind.as_str(), value))
        });
        Ok(Envelope { id, kind, time, natural })
    }

    fn find<'a>(&self, text: &'a str) -> Result<Vec<Found<'a>>, Refusal> {
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

/// Whether integers count as text, by their digits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IntegerToo {
    Yes,
    No,
}

/// What is counted for an unusable id or type.
struct Words {
    missing: &'static str,
    duplicate: &'static str,
    unusable: &'static str,
}

const ID_WORDS: Words =
    Words { missing: "id_missing", duplicate: "id_duplicate", unusable: "id_unusable" };
const TYPE_WORDS: Words =
    Words { missing: "type_missing", duplicate: "type_duplicate", unusable: "type_unusable" };

impl Wanted {
    fn text(
        &self,
        found: Found<'_>,
        longest: usize,
        integer: IntegerToo,
        words: &Words,
    ) -> Result<String, Refusal> {
        let path = &self.path;
        if found.twice {
            // Programs differ in which one they take; there must be nothing to differ about.
            return Err(refusal(words.duplicate, format!("`{path}` stands in the body twice")));
        }
        let raw =
            found.raw.ok_or_else(|| refusal(words.missing, format!("the body has no `{path}`")))?;
        let is_text = raw.get().starts_with('"');
        let is_integer = raw.get().bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let text = scalar(raw).filter(|_| is_text || (is_integer && integer == IntegerToo::Yes));
        let problem = match text {
            Some(text) if text.is_empty() => "is empty".to_owned(),
            Some(text) if text.len() > longest => format!("is longer than {longest} bytes"),
            Some(text) if text.chars().any(char::is_control) => {
                "holds a control character".to_owned()
            }
            Some(text) => return Ok(text),
            None if integer == IntegerToo::Yes => "must be a text or an integer".to_owned(),
            None => "must be a text".to_owned(),
        };
        Err(refusal(words.unusable, format!("`{path}` {problem}")))
    }
}

/// The text of a string, the digits of a number; nothing else has one.
fn scalar(raw: &RawValue) -> Option<String> {
    let json = raw.get();
    match json.as_bytes().first()? {
        b'"' if !json.contains('\\') => Some(json[1..json.len() - 1].to_owned()),
        b'"' => serde_json::from_str(json).ok(),
        b'-' | b'0'..=b'9' => Some(json.to_owned()),
        _ => None,
    }
}

fn check_path(path: &str) -> Result<(), String> {
    if path.split('.').any(str::is_empty) {
        return Err(format!("`{path}` is no path: it takes names joined by single dots"));
    }
    Ok(())
}

fn refusal(reason: &'static str, message: impl Into<String>) -> Refusal {
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
