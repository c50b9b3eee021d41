//! A condition taken apart for one event: every part with its value, nothing cut short.
//!
//! The same tree says which fields made a condition unknown.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::compile::{Operand, Part, Test};
use super::eval::{Truth, View};
use crate::rules::fields::Values;

/// A longer value is cut for showing.
const SHOWN: usize = 120;

/// One part of a condition and what it came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// The part as written.
    pub expr: String,
    /// What it came to.
    pub value: Truth,
    /// Whether the condition came out as it did because of this part.
    pub decides: bool,
    /// How the parts below are joined; none if this part compares.
    #[serde(skip)]
    pub join: Option<Join>,
    /// The fields that this part itself reads, not those of the parts below.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<Read>,
    /// The parts below.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Trace>,
}

/// How parts are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Join {
    /// All of them.
    And,
    /// Any of them.
    Or,
    /// The opposite of it.
    Not,
}

/// A field as it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Read {
    /// The path as written.
    pub path: Arc<str>,
    /// `missing`, `null`, `boolean`, `number`, `text`, `list` or `object`.
    pub kind: &'static str,
    /// The value as JSON, cut after 120 characters; none if it is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whether this made the part unknown: by being missing or null, or of a type that the part can't use.
    pub blamed: bool,
}

/// What a condition's trace needs beside its parts.
pub(super) struct Tracer<'c> {
    pub(super) text: &'c str,
    pub(super) reads: &'c [(Arc<str>, crate::rules::fields::Slot)],
    pub(super) values: &'c Values<'c>,
}

impl Tracer<'_> {
    /// Bottom up: each part is looked at once.
    pub(super) fn trace(&self, part: &Part) -> Trace {
        let mut parts = Vec::new();
        let mut reads = Vec::new();
        let join = match &part.test {
            Test::And(_) => Some(Join::And),
            Test::Or(_) => Some(Join::Or),
            Test::Not(_) => Some(Join::Not),
            _ => None,
        };
        let value = match &part.test {
            Test::And(inner) => {
                parts.extend(inner.iter().map(|part| self.trace(part)));
                Truth::all(parts.iter().map(|part| part.value))
            }
            Test::Or(inner) => {
                parts.extend(inner.iter().map(|part| self.trace(part)));
                Truth::any(parts.iter().map(|part| part.value))
            }
            Test::Not(inner) => {
                let inner = self.trace(inner);
                let value = !inner.value;
                parts.push(inner);
                value
            }
            _ => {
                let value = part.eval(self.values);
                let blamed = blamed(part, value, self.values);
                for operand in part.operands() {
                    self.look(operand, &blamed, &mut reads, &mut parts);
                }
                value
            }
        };
        let expr = self.text.get(part.span.clone()).unwrap_or_default().to_owned();
        Trace { expr, value, decides: false, join, reads, parts }
    }

    fn look(
        &self,
        operand: &Operand,
        blamed: &[usize],
        reads: &mut Vec<Read>,
        parts: &mut Vec<Trace>,
    ) {
        match operand {
            Operand::Field { slot, read } => {
                let path = Arc::clone(&self.reads[*read].0);
                if reads.iter().any(|known| known.path == path) {
                    return;
                }
                reads.push(Read {
                    path,
                    kind: self.values.get(*slot).kind(),
                    value: self.values.json(*slot).map(|json| cut(&json)),
                    blamed: blamed.contains(read),
                });
            }
            Operand::Size(inner) | Operand::Lower(inner) => self.look(inner, blamed, reads, parts),
            Operand::Part(part) => parts.push(self.trace(part)),
            Operand::Constant(_) => {}
        }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

impl Trace {
    /// Marks what decided: from the top, each part that came to what the part above it needed.
    pub(super) fn mark(&mut self, needed: Truth) {
        self.decides = self.value == needed;
        if !self.decides {
            return;
        }
        // Below `not` and comparisons of parts, every part counts.
        let joins = self.parts.iter().any(|part| part.value == self.value);
        for part in &mut self.parts {
            let needed = if joins { self.value } else { part.value };
            part.mark(needed);
        }
    }
}

/// Reads by their place, each once, in the order in which they were found.
pub(super) struct Blamed {
    pub(super) found: Vec<usize>,
    known: Vec<bool>,
}

impl Blamed {
    pub(super) fn none_of(reads: usize) -> Self {
        Self { found: Vec::new(), known: vec![false; reads] }
    }

    fn add(&mut self, read: usize) {
        if !std::mem::replace(&mut self.known[read], true) {
            self.found.push(read);
        }
    }
}

/// The reads that make `part` and the parts below it unknown.
pub(super) fn unknown_reads(part: &Part, values: &Values<'_>, found: &mut Blamed) {
    let value = part.eval(values);
    if value != Truth::Unknown {
        return;
    }
    match &part.test {
        Test::And(parts) | Test::Or(parts) => {
            for part in parts {
                unknown_reads(part, values, found);
            }
        }
        Test::Not(inner) => unknown_reads(inner, values, found),
        _ => {
            for read in blamed(part, value, values) {
                found.add(read);
            }
            for operand in part.operands() {
                unknown_below(operand, values, found);
            }
        }
    }
}

fn unknown_below(operand: &Operand, values: &Values<'_>, found: &mut Blamed) {
    match operand {
        Operand::Part(part) => unknown_reads(part, values, found),
        Operand::Size(inner) | Operand::Lower(inner) => unknown_below(inner, values, found),
        Operand::Field { .. } | Operand::Constant(_) => {}
    }
}

/// The reads of a leaf that make it unknown.
fn blamed(part: &Part, value: Truth, values: &Values<'_>) -> Vec<usize> {
    let mut found = Vec::new();
    if value != Truth::Unknown {
        return found;
    }
    // What has no value itself (`size(x)` of a number) explains all of it.
    let operands = part.operands();
    for operand in operands.iter().filter(|operand| operand.view(values).is_none()) {
        innermost(operand, &mut found);
    }
    let any_without = operands.iter().any(|operand| operand.view(values).is_none());
    if any_without {
        return found;
    }
    let fits = |view: &View<'_>| match &part.test {
        Test::Order { .. } => matches!(view, View::Number(_) | View::Text(_) | View::Bool(_)),
        Test::Flag(_) => matches!(view, View::Bool(_)),
        _ => matches!(view, View::Text(_)),
    };
    for operand in &operands {
        if operand.view(values).is_some_and(|view| !fits(&view)) {
            innermost(operand, &mut found);
        }
    }
    if found.is_empty() {
        // Each fits, but not with the other: a text and a number.
        operands.iter().for_each(|operand| innermost(operand, &mut found));
    }
    found
}

/// The field at the bottom of an operand. A part that stands as a value answers for itself.
fn innermost(operand: &Operand, found: &mut Vec<usize>) {
    match operand {
        Operand::Field { read, .. } => found.push(*read),
        Operand::Size(inner) | Operand::Lower(inner) => innermost(inner, found),
        Operand::Constant(_) | Operand::Part(_) => {}
    }
}
