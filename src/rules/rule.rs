//! A rule: a condition on events and whom to notify when it holds.

use std::sync::Arc;

use super::Decision;
use super::condition::Condition;
use super::fields::Fields;
use super::provider::Destination;
use crate::event::Event;

/// One `[[rules]]` entry, compiled.
#[derive(Debug)]
pub struct Rule {
    /// Unique within the file.
    pub name: Arc<str>,
    /// The event types it applies to; empty means every type.
    pub on: Vec<TypePattern>,
    /// The sources it applies to; empty means every source.
    pub sources: Vec<Arc<str>>,
    /// The condition; none means always.
    pub when: Option<Condition>,
    /// Destinations, as indices into [`super::Rules::destinations`].
    pub to: Vec<usize>,
    /// The template's name; none for the built-in text.
    pub template: Option<Arc<str>>,
    /// Whether a match ends the walk.
    pub stop: bool,
    /// A disabled rule is never looked at.
    pub enabled: bool,
    /// Decide and record, send nothing.
    pub shadow: bool,
}

/// `call.ended`, `appointment.*` or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypePattern {
    /// The pattern as written.
    pub text: Arc<str>,
}

/// The rules of a file in order, and the fields that their conditions read.
#[derive(Debug, Default)]
pub struct RuleSet {
    /// In the order of the file.
    pub rules: Vec<Rule>,
    /// Every path that any condition names; one pass over the body reads them all.
    pub fields: Fields,
}

impl RuleSet {
    /// Walks the rules in order.
    pub fn decide(&self, event: &Event, destinations: &[Arc<Destination>]) -> Decision {
        let _ = (event, destinations);
        todo!()
    }
}
