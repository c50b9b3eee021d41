//! Why, in one line.

use super::part::{Found, Part};
use crate::event::Event;
use crate::rules::rule::Rule;

/// So many parts are named as the reason; the tree shows the rest.
const NAMED: usize = 2;

/// Why `rule` isn't for `event`; none if it is.
pub(super) fn not_for(rule: &Rule, event: &Event) -> Option<String> {
    if !rule.on.is_empty() && !rule.on.iter().any(|on| on.matches(&event.kind)) {
        let types: Vec<&str> = rule.on.iter().map(|on| &*on.text).collect();
        return Some(format!("it is for {}; this is {}", types.join(", "), event.kind));
    }
    if !rule.sources.is_empty() && !rule.sources.contains(&event.source) {
        let sources: Vec<&str> = rule.sources.iter().map(|s| &**s).collect();
        let (sources, source) = (sources.join(", "), &event.source);
        return Some(format!("it is for events of {sources}; this one is of {source}"));
    }
    None
}

/// The parts that decided.
pub(super) fn because(when: Option<&Part>) -> String {
    let Some(when) = when else { return "it has no condition".to_owned() };
    let mut leaves = Vec::new();
    deciding(when, &mut leaves);
    let named: Vec<String> = leaves.iter().take(NAMED).map(|leaf| leaf.told()).collect();
    let more = leaves.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{more}", named.join("; "))
}

/// The lowest parts that made the condition what it is.
fn deciding<'p>(part: &'p Part, leaves: &mut Vec<&'p Part>) {
    if !part.decides {
        return;
    }
    if part.parts.is_empty() {
        leaves.push(part);
    }
    for below in &part.parts {
        deciding(below, leaves);
    }
}

impl Part {
    /// `duration > 60 is false: duration = 30`.
    fn told(&self) -> String {
        let reads: Vec<String> = self.reads.iter().map(Found::told).collect();
        let (value, joint) = (self.value.word(), if reads.is_empty() { "" } else { ": " });
        format!("{} is {value}{joint}{}", self.expr, reads.join(", "))
    }
}

impl Found {
    /// `duration = 30`, `sentiment is null`, `metadata.tier is missing`.
    pub fn told(&self) -> String {
        let wrong =
            if self.blamed { format!(", which is {}", article(&self.kind)) } else { String::new() };
        match self.kind.as_str() {
            "missing" => format!("{} is missing", self.path),
            "null" => format!("{} is null", self.path),
            _ => format!("{} = {}{wrong}", self.path, self.value),
        }
    }
}

fn article(kind: &str) -> String {
    match kind {
        "text" => "text".to_owned(),
        "object" => "an object".to_owned(),
        kind => format!("a {kind}"),
    }
}
