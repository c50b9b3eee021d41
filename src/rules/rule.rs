//! A rule: a condition on events and whom to notify when it holds.

use std::sync::Arc;

use super::condition::{Condition, Truth};
use super::fields::{Fields, Values};
use super::provider::Destination;
use super::{Decision, Owed, Plan, Unknown};
use crate::event::Event;

/// The body's key that holds an event's data.
pub const DATA_KEY: &str = "data";

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
    /// Whether a match ends the walk. A shadow rule never ends it: trying a rule out changes nothing for the others.
    pub stop: bool,
    /// A disabled rule is never looked at.
    pub enabled: bool,
    /// Decide and record, send nothing.
    pub shadow: bool,
}

/// `call.ended`, `appointment.*` or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypePattern {
    /// The pattern as written. A `*` stands for any characters, also for none.
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
        let mut decision = Decision::default();
        // The body is read when the first condition asks for it, and only once.
        let mut values = None;
        for rule in self.rules.iter().filter(|rule| rule.applies_to(event)) {
            let truth = match &rule.when {
                None => Truth::True,
                Some(condition) => {
                    let values = values.get_or_insert_with(|| self.read(event));
                    let truth = condition.eval(values);
                    if truth == Truth::Unknown {
                        let fields = condition.unknown_fields(values);
                        decision.unknown.push(Unknown { rule: Arc::clone(&rule.name), fields });
                    }
                    truth
                }
            };
            if truth == Truth::True {
                rule.owe(destinations, &mut decision.owed);
                if rule.stop && !rule.shadow {
                    break;
                }
            }
        }
        decision
    }

    /// Reads what the conditions name: for [`Condition::eval`] and [`Condition::trace`].
    pub fn read<'a>(&self, event: &'a Event) -> Values<'a> {
        self.fields.read(event, Some(DATA_KEY))
    }
}

impl Rule {
    /// Whether the rule is looked at for `event`, whatever its condition says.
    pub fn applies_to(&self, event: &Event) -> bool {
        self.enabled
            && (self.on.is_empty() || self.on.iter().any(|on| on.matches(&event.kind)))
            && (self.sources.is_empty() || self.sources.contains(&event.source))
    }

    /// One notification for each recipient of each destination.
    fn owe(&self, destinations: &[Arc<Destination>], owed: &mut Vec<Owed>) {
        let plan = if self.shadow { Plan::Shadow } else { Plan::Send };
        for destination in self.to.iter().filter_map(|at| destinations.get(*at)) {
            let mut owe = |recipient: Option<&Arc<str>>| {
                owed.push(Owed {
                    rule: Arc::clone(&self.name),
                    destination: Arc::clone(&destination.name),
                    recipient: recipient.map(Arc::clone),
                    template: self.template.clone(),
                    plan,
                });
            };
            if destination.recipients.is_empty() {
                owe(None);
            }
            for recipient in &destination.recipients {
                owe(Some(recipient));
            }
        }
    }
}

impl TypePattern {
    /// Whether an event of type `kind` is meant.
    pub fn matches(&self, kind: &str) -> bool {
        let Some((start, rest)) = self.text.split_once('*') else { return *self.text == *kind };
        let Some(mut kind) = kind.strip_prefix(start) else { return false };
        let (between, end) = rest.rsplit_once('*').unwrap_or(("", rest));
        // The leftmost place of each piece leaves the most room for the next.
        for piece in between.split('*') {
            match kind.split_once(piece) {
                Some((_, after)) => kind = after,
                None => return false,
            }
        }
        kind.ends_with(end)
    }
}
