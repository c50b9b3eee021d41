//! What should happen, decided purely: no I/O, no async, no clock of its own.
//!
//! [`Rules`] is one compiled snapshot of `rules.toml`: sources, destinations, templates and rules, with every name
//! resolved and every condition, template and request built. The bridge takes one snapshot for each event and
//! passes it down; a reload swaps the whole.

use std::sync::Arc;

pub mod condition;
pub mod explain;
pub mod fields;
mod index;
pub mod provider;
pub mod retry;
pub mod rule;
pub mod source;
pub mod template;
pub mod trial;

use crate::event::Event;

/// One compiled snapshot of what `rules.toml` says, apart from what needs a restart ([`crate::config::Settings`]).
#[derive(Debug)]
pub struct Rules {
    /// The SHA-256 of the configuration's text, first 16 bytes in hex: which rules decided an event.
    pub version: Arc<str>,
    /// All that it was compiled from, secrets unresolved, as one JSON object of paths and texts; stored once for each
    /// version, so that a stored event can be explained under the rules of its moment.
    pub text: Arc<str>,
    /// Who may send; by name.
    pub sources: Vec<source::Source>,
    /// Where messages go; by name.
    pub destinations: Vec<Arc<provider::Destination>>,
    /// The rules in the order of the file, over the fields that they read.
    pub rules: rule::RuleSet,
    /// Every message template, by name and channel.
    pub templates: template::Templates,
}

impl Rules {
    /// The source of this name, if there is one.
    pub fn source(&self, name: &str) -> Option<&source::Source> {
        self.sources.iter().find(|s| &*s.name == name)
    }

    /// The destination of this name, if there is one.
    pub fn destination(&self, name: &str) -> Option<&Arc<provider::Destination>> {
        self.destinations.iter().find(|d| &*d.name == name)
    }

    /// `text` with every secret of every destination replaced by `***`: what a provider answers is shown and kept, and
    /// may repeat anything.
    pub fn redact(&self, text: String) -> String {
        self.destinations.iter().fold(text, |text, destination| destination.redact(text))
    }

    /// Decides what `event` causes.
    pub fn decide(&self, event: &Event) -> Decision {
        self.rules.decide(event, &self.destinations)
    }
}

/// What one event causes under one snapshot of the rules.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// The notifications owed, in the order of rules and their `to`.
    pub owed: Vec<Owed>,
    /// The rules whose condition ended unknown, with the fields that made it so. They did not fire.
    pub unknown: Vec<Unknown>,
}

/// One notification that a matching rule owes to one recipient of one destination.
#[derive(Clone, Debug)]
pub struct Owed {
    /// The name of the rule.
    pub rule: Arc<str>,
    /// The name of the destination.
    pub destination: Arc<str>,
    /// One of the destination's recipients (a phone number, an address), where it has any: each recipient gets a
    /// notification of its own, so that one bad number doesn't hold back the others.
    pub recipient: Option<Arc<str>>,
    /// The template's name; none for the built-in text.
    pub template: Option<Arc<str>>,
    /// What to do with it.
    pub plan: Plan,
}

/// What is decided for a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Send it now.
    Send,
    /// The rule is a shadow: record it, send nothing.
    Shadow,
}

/// A rule that could not be decided for an event.
#[derive(Clone, Debug)]
pub struct Unknown {
    /// The name of the rule.
    pub rule: Arc<str>,
    /// The paths (as written in the condition) whose null, absence or type made it unknown.
    pub fields: Vec<Arc<str>>,
}
