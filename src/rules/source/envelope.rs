//! The envelope: an event's id, type, time and natural keys, taken from where the definition says they stand.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use hyper::HeaderMap;
use hyper::header::HeaderName;
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::Refusal;
use super::body::{Found, Wanted, check_path, refusal, scalar};
use super::definition::{BodyFormat, Definition};
use super::fault::Fault;
use super::place::{Place, Places, TimeUnit};

/// The longest id, in bytes.
pub(super) const MAX_ID: usize = 256;

/// The longest type, in bytes.
pub(super) const MAX_TYPE: usize = 128;

/// Where everything stands, compiled.
#[derive(Debug)]
pub(super) struct Reader {
    wanted: Wanted,
    id: Vec<At>,
    kind: Vec<At>,
    time: Option<(usize, TimeUnit)>,
    challenge: Option<Challenge>,
    natural: Vec<NaturalKey>,
    needs: Vec<Needs>,
}

/// A place, compiled.
#[derive(Debug)]
enum At {
    Body { slot: usize, path: String, prefix: String },
    Header(HeaderName),
    Hash,
    Text(String),
}

#[derive(Debug)]
struct Challenge {
    kind: String,
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

/// What an event of a type has to hold.
#[derive(Debug)]
struct Needs {
    event_type: String,
    slots: Vec<(usize, String)>,
}

/// What an envelope is read from.
#[derive(Clone, Copy)]
pub(super) struct Input<'a, 'h> {
    /// The JSON.
    pub(super) body: &'a [u8],
    pub(super) headers: &'h HeaderMap,
    /// The header whose value the signature covers, with that value.
    pub(super) signed_id: Option<(&'h HeaderName, &'h str)>,
    /// The SHA-256 of the body in hex, made when it is needed.
    pub(super) hash: &'h dyn Fn() -> String,
}

/// A readable envelope.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    pub(super) id: String,
    pub(super) kind: String,
    pub(super) time: Option<Timestamp>,
    /// Kind and value of the natural key, if the type has one and all of its fields are there.
    pub(super) natural: Option<(&'a str, String)>,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read<'a> {
    Event(Envelope<'a>),
    /// Not an event: the name and the text that the sender wants to see.
    Challenge(&'a str, String),
}

impl Reader {
    /// Builds the tree of wanted places.
    pub(super) fn compile(definition: &Definition) -> Result<Self, Fault> {
        let mut wanted = Wanted::default();
        let flat = definition.body == BodyFormat::Form;
        let mut place = |path: &str, at: &[&str]| {
            if flat && path.contains('.') {
                let message = format!("`{path}` looks into a value, and a form has texts only");
                return Err(Fault::new(at, message));
            }
            wanted.place(path).map_err(|message| Fault::new(at, message))
        };
        let id = places(&definition.envelope.id, "id", &mut place)?;
        let kind = places(&definition.envelope.kind, "type", &mut place)?;
        let time = match &definition.envelope.time {
            Some(time) => Some((place(&time.path, &["envelope", "time"])?, time.unit)),
            None => None,
        };
        let slots: Vec<usize> = id
            .iter()
            .chain(&kind)
            .filter_map(|at| if let At::Body { slot, .. } = at { Some(*slot) } else { None })
            .chain(time.map(|(slot, _)| slot))
            .collect();
        if slots.iter().collect::<BTreeSet<_>>().len() < slots.len() {
            return Err(Fault::new(&["envelope"], "one path of the envelope is used twice"));
        }
        if let Some(path) = &definition.envelope.data {
            check_path(path).map_err(|m| Fault::new(&["envelope", "data"], m))?;
        }
        let challenge = match &definition.challenge {
            Some(challenge) => Some(Challenge {
                kind: challenge.kind.clone(),
                slot: place(&challenge.answer, &["challenge", "answer"])?,
                path: challenge.answer.clone(),
            }),
            None => None,
        };
        let mut natural = Vec::new();
        let mut needs = Vec::new();
        for (event_type, about) in &definition.types {
            let event_type = event_type.clone();
            if !about.natural_key.is_empty() {
                let at = ["types", &event_type, "natural_key"];
                let slots = about.natural_key.iter().map(|p| place(p, &at));
                let slots = slots.collect::<Result<_, _>>()?;
                let kind = format!("natural {event_type} {}", about.natural_key.join(" "));
                natural.push(NaturalKey { event_type: event_type.clone(), kind, slots });
            }
            if !about.needs.is_empty() {
                let at = ["types", &event_type, "needs"];
                let slots = about.needs.iter().map(|p| Ok((place(p, &at)?, p.clone())));
                let slots = slots.collect::<Result<_, Fault>>()?;
                needs.push(Needs { event_type: event_type.clone(), slots });
            }
        }
        Ok(Self { wanted, id, kind, time, challenge, natural, needs })
    }

    /// Checks the body and reads the envelope.
    pub(super) fn read<'a>(&'a self, input: Input<'a, '_>) -> Result<Read<'a>, Refusal> {
        let text = std::str::from_utf8(input.body)
            .map_err(|_| refusal("body_not_utf8", "the body is not valid UTF-8"))?;
        let found = self.wanted.find(text)?;
        // In this order, so that the first thing that is wrong is the one that is named.
        let id = ID.first(&self.id, &found, input);
        let kind = match &self.challenge {
            // A challenge is no event and has no id.
            Some(_) => TYPE.first(&self.kind, &found, input),
            None => return self.event(id?, TYPE.first(&self.kind, &found, input)?, &found),
        };
        match (&self.challenge, &kind) {
            (Some(challenge), Ok(kind)) if *kind == challenge.kind => {
                let name = challenge.path.rsplit('.').next().unwrap_or(&challenge.path);
                let answer = found[challenge.slot].raw.and_then(scalar).ok_or_else(|| {
                    refusal("challenge_missing", format!("the body has no `{}`", challenge.path))
                })?;
                Ok(Read::Challenge(name, answer))
            }
            _ => self.event(id?, kind?, &found),
        }
    }

    fn event<'a>(
        &'a self,
        id: String,
        kind: String,
        found: &[Found<'_>],
    ) -> Result<Read<'a>, Refusal> {
        if let Some(needs) = self.needs.iter().find(|n| n.event_type == kind) {
            let missing = needs
                .slots
                .iter()
                .find(|(slot, _)| found[*slot].raw.is_none_or(|raw| raw.get() == "null"));
            if let Some((_, path)) = missing {
                return Err(refusal(
                    "type_unlikely",
                    format!("the body is none of a `{kind}` event: it has no `{path}`"),
                ));
            }
        }
        // Whoever signs can send any time, so it is kept for people; the time of arrival is what decides.
        let time = self.time.and_then(|(slot, unit)| time(found[slot].raw?, unit));
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
        Ok(Read::Event(Envelope { id, kind, time, natural }))
    }

    /// The header of the signed id, if the id is looked for in one.
    pub(super) fn id_header(&self) -> Option<&HeaderName> {
        self.id.iter().find_map(|at| if let At::Header(name) = at { Some(name) } else { None })
    }

    /// The header that says the type, if one does: `emit` needs the type to be given then.
    pub(super) fn type_header(&self) -> Option<&HeaderName> {
        self.kind.iter().find_map(|at| if let At::Header(name) = at { Some(name) } else { None })
    }
}

fn places(
    places: &Places,
    key: &str,
    place: &mut impl FnMut(&str, &[&str]) -> Result<usize, Fault>,
) -> Result<Vec<At>, Fault> {
    let compiled = places.0.iter().enumerate().map(|(i, this)| {
        let at = ["envelope", key, &i.to_string()];
        Ok(match this {
            Place::Path { path, prefix } => {
                At::Body { slot: place(path, &at)?, path: path.clone(), prefix: prefix.clone() }
            }
            Place::Header { name, .. } => At::Header(
                HeaderName::from_bytes(name.as_bytes())
                    .map_err(|_| Fault::new(&at, format!("`{name}` is no name of a header")))?,
            ),
            Place::HashOfBody => At::Hash,
            Place::Text(text) => At::Text(text.clone()),
        })
    });
    compiled.collect()
}

/// How an id or a type is read, and what is counted if it can't be.
struct Rule {
    longest: usize,
    /// Whether integers count as text, by their digits.
    integer_too: bool,
    /// Whether a header counts only if the signature covers it.
    signed_only: bool,
    missing: &'static str,
    duplicate: &'static str,
    unusable: &'static str,
}

const ID: Rule = Rule {
    longest: MAX_ID,
    integer_too: true,
    signed_only: true,
    missing: "id_missing",
    duplicate: "id_duplicate",
    unusable: "id_unusable",
};

const TYPE: Rule = Rule {
    longest: MAX_TYPE,
    integer_too: false,
    signed_only: false,
    missing: "type_missing",
    duplicate: "type_duplicate",
    unusable: "type_unusable",
};

impl Rule {
    /// The first of `places` that holds something. A place that holds something of another sort is passed over while
    /// there are others.
    fn first(
        &self,
        places: &[At],
        found: &[Found<'_>],
        input: Input<'_, '_>,
    ) -> Result<String, Refusal> {
        let mut problem = None;
        for place in places {
            let text = match place {
                At::Text(text) => return Ok(text.clone()),
                At::Hash => return Ok((input.hash)()),
                At::Header(name) => self.header(name, input),
                At::Body { slot, path, prefix } => self.text(found[*slot], path).and_then(|text| {
                    let text = format!("{prefix}{text}");
                    self.usable(text).map_err(|what| self.refuse(path, what))
                }),
            };
            match text {
                Ok(text) => return Ok(text),
                // Programs differ in which of two they take; there must be nothing to differ about.
                Err(refusal) if refusal.reason == self.duplicate => return Err(refusal),
                Err(refusal) => {
                    problem.get_or_insert(refusal);
                }
            }
        }
        Err(problem.unwrap_or_else(|| refusal(self.missing, "it stands nowhere")))
    }

    fn header(&self, name: &HeaderName, input: Input<'_, '_>) -> Result<String, Refusal> {
        if let Some((_, value)) = input.signed_id.filter(|(signed, _)| *signed == name) {
            return self.usable(value.to_owned()).map_err(|what| self.refuse(name.as_str(), what));
        }
        if self.signed_only {
            // Another scheme passed, which signs no id: it is looked for elsewhere.
            let message = format!("the header `{name}` is not signed");
            return Err(refusal(self.missing, message));
        }
        let mut values = input.headers.get_all(name).iter();
        let value = values
            .next()
            .ok_or_else(|| refusal(self.missing, format!("the request has no header `{name}`")))?;
        if values.next().is_some() {
            return Err(refusal(self.duplicate, format!("the header `{name}` is there twice")));
        }
        let text = value.to_str().unwrap_or("\0").to_owned();
        self.usable(text).map_err(|what| self.refuse(name.as_str(), what))
    }

    fn text(&self, found: Found<'_>, path: &str) -> Result<String, Refusal> {
        if found.twice {
            return Err(refusal(self.duplicate, format!("`{path}` stands in the body twice")));
        }
        let raw =
            found.raw.ok_or_else(|| refusal(self.missing, format!("the body has no `{path}`")))?;
        let is_text = raw.get().starts_with('"');
        let is_integer = raw.get().bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let text = scalar(raw).filter(|_| is_text || (is_integer && self.integer_too));
        let what = if self.integer_too { "must be a text or an integer" } else { "must be a text" };
        let text = text.ok_or_else(|| self.refuse(path, what.to_owned()))?;
        self.usable(text).map_err(|what| self.refuse(path, what))
    }

    fn usable(&self, text: String) -> Result<String, String> {
        if text.is_empty() {
            Err("is empty".to_owned())
        } else if text.len() > self.longest {
            Err(format!("is longer than {} bytes", self.longest))
        } else if text.chars().any(char::is_control) {
            Err("holds a control character".to_owned())
        } else {
            Ok(text)
        }
    }

    fn refuse(&self, place: &str, what: impl std::fmt::Display) -> Refusal {
        refusal(self.unusable, format!("`{place}` {what}"))
    }
}

fn time(raw: &RawValue, unit: TimeUnit) -> Option<Timestamp> {
    let text = scalar(raw)?;
    match unit {
        TimeUnit::Rfc3339 => text.parse().ok().filter(|_| raw.get().starts_with('"')),
        TimeUnit::Seconds => Timestamp::from_second(text.parse().ok()?).ok(),
        TimeUnit::Milliseconds => Timestamp::from_millisecond(text.parse().ok()?).ok(),
    }
}
