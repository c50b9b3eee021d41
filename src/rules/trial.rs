//! A test of the rules: an event, and what must be sent because of it. That nothing else is sent is always a part of it.
//!
//! It is run on the very decision that the bridge would make, and sends nothing. A sequence of events, with what limits
//! and digests remember between them, would be several of these one after another.

use serde::Serialize;

use super::Rules;
use super::explain::{Ask, Decided, Explained, Outcome, Planned, Used};
use crate::event::Event;

/// So many rules are asked why nothing was sent to a destination.
const ASKED: usize = 3;

/// One test.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Its name.
    pub name: String,
    /// The file that it stands in.
    pub file: String,
    /// Its line there.
    pub line: usize,
    /// The event; it has been received at the moment that the test is about.
    pub event: Event,
    /// What must be decided; nothing else may be sent.
    pub expect: Vec<Expected>,
    /// The rules that must end unknown, all of them; none if the test doesn't say.
    pub unknown: Option<Vec<String>>,
}

/// One notification that is expected; for a destination with several recipients, all of theirs.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The destination's name.
    pub to: String,
    /// The rule's name; none for any rule.
    pub rule: Option<String>,
    /// What must be decided.
    pub decision: Decided,
    /// The whole text of the message.
    pub text: Option<String>,
    /// What stands somewhere in the text.
    pub contains: Vec<String>,
    /// The whole subject.
    pub subject: Option<String>,
}

/// One thing that is not as expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What kind of thing.
    pub kind: Kind,
    /// The rule, where one is meant.
    pub rule: Option<String>,
    /// The destination, where one is meant.
    pub destination: Option<String>,
    /// What was expected.
    pub expected: Option<String>,
    /// What came of it.
    pub actual: Option<String>,
    /// Why it came so.
    pub why: Option<String>,
}

/// What is not as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It is expected, and doesn't happen.
    Missing,
    /// It is sent, and not expected.
    Unexpected,
    /// Another decision.
    Decision,
    /// Another text.
    Text,
    /// The text lacks something.
    Contains,
    /// Another subject.
    Subject,
    /// The template fails: the built-in text would go out.
    Template,
    /// A rule can't be decided, or can although it should not.
    Unknown,
}

/// The notifications of one rule to one destination: one message, whoever gets it.
struct Group<'e> {
    rule: &'e Explained,
    planned: &'e Planned,
    used: bool,
}

impl Rules {
    /// Runs a test; empty if all is as expected.
    pub fn try_out(&self, trial: &Trial) -> Vec<Difference> {
        let at = trial.event.received;
        let ask = Ask { at, only: None, used: Used::Now, caused: &[] };
        let told = self.explain(&trial.event, ask);
        let mut groups = groups(&told.rules);
        let mut found = Vec::new();
        // Those that name a rule choose first.
        let named = trial.expect.iter().filter(|e| e.rule.is_some());
        let unnamed = trial.expect.iter().filter(|e| e.rule.is_none());
        for expected in named.chain(unnamed) {
            let open = || groups.iter().enumerate().filter(|(_, g)| !g.used && expected.means(g));
            let best =
                open().find(|(_, g)| expected.differs(g).is_empty()).or_else(|| open().next());
            match best.map(|(at, _)| at) {
                Some(at) => {
                    groups[at].used = true;
                    found.extend(expected.differs(&groups[at]));
                }
                None => found.push(self.missing(expected, &told.rules)),
            }
        }
        let sent = |g: &&Group<'_>| !g.used && g.planned.decision == Decided::Send;
        found.extend(groups.iter().filter(sent).map(unexpected));
        if let Some(unknown) = &trial.unknown {
            found.extend(told.rules.iter().filter_map(|rule| undecided(rule, unknown)));
        }
        found
    }

    fn missing(&self, expected: &Expected, told: &[Explained]) -> Difference {
        let sends_there = |name: &str| {
            let rule = self.rules.rules.iter().find(|r| &*r.name == name);
            let to = rule.map(|r| r.to.as_slice()).unwrap_or_default();
            to.iter().any(|at| self.destinations.get(*at).is_some_and(|d| *d.name == *expected.to))
        };
        let asked = told.iter().filter(|rule| match &expected.rule {
            Some(name) => rule.rule == *name,
            None => sends_there(&rule.rule),
        });
        let reasons: Vec<String> = asked
            .take(ASKED)
            .map(|rule| match rule.outcome {
                Outcome::Matched if !sends_there(&rule.rule) => {
                    format!("rule \"{}\" matched, but is not for {}", rule.rule, expected.to)
                }
                outcome => format!("rule \"{}\": {}: {}", rule.rule, outcome.word(), rule.reason),
            })
            .collect();
        let why = if reasons.is_empty() {
            format!("no rule sends to {}", expected.to)
        } else {
            reasons.join("; ")
        };
        Difference {
            kind: Kind::Missing,
            rule: expected.rule.clone(),
            destination: Some(expected.to.clone()),
            expected: Some(expected.decision.word().to_owned()),
            actual: None,
            why: Some(why),
        }
    }
}

fn groups(rules: &[Explained]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for rule in rules {
        for planned in &rule.notifications {
            let known = groups.last().is_some_and(|last| {
                last.rule.rule == rule.rule && last.planned.destination == planned.destination
            });
            if !known {
                groups.push(Group { rule, planned, used: false });
            }
        }
    }
    groups
}

fn unexpected(group: &Group<'_>) -> Difference {
    Difference {
        kind: Kind::Unexpected,
        rule: Some(group.rule.rule.clone()),
        destination: Some(group.planned.destination.clone()),
        expected: None,
        actual: Some(group.planned.decision.word().to_owned()),
        why: Some(group.rule.reason.clone()),
    }
}

fn undecided(rule: &Explained, expected: &[String]) -> Option<Difference> {
    let is = rule.outcome == Outcome::Unknown;
    let should_be = expected.contains(&rule.rule);
    (is != should_be).then(|| Difference {
        kind: Kind::Unknown,
        rule: Some(rule.rule.clone()),
        destination: None,
        expected: Some(if should_be { "unknown" } else { "decided" }.to_owned()),
        actual: Some(rule.outcome.word().to_owned()),
        why: Some(rule.reason.clone()),
    })
}

impl Expected {
    fn means(&self, group: &Group<'_>) -> bool {
        group.planned.destination == self.to
            && self.rule.as_ref().is_none_or(|rule| *rule == group.rule.rule)
    }

    fn differs(&self, group: &Group<'_>) -> Vec<Difference> {
        let planned = group.planned;
        let message = &planned.message;
        let mut found = Vec::new();
        let mut differs = |kind, expected: Option<String>, actual: Option<String>, why| {
            found.push(Difference {
                kind,
                rule: Some(group.rule.rule.clone()),
                destination: Some(self.to.clone()),
                expected,
                actual,
                why,
            });
        };
        if planned.decision != self.decision {
            let (expected, actual) = (self.decision.word(), planned.decision.word());
            let why = Some(planned.reason.clone());
            differs(Kind::Decision, Some(expected.to_owned()), Some(actual.to_owned()), why);
        }
        if message.template_error.is_some() {
            differs(Kind::Template, None, None, message.template_error.clone());
        }
        if let Some(text) = &self.text
            && text.trim_end() != message.text.trim_end()
        {
            differs(Kind::Text, Some(text.clone()), Some(message.text.clone()), None);
        }
        for piece in self.contains.iter().filter(|piece| !message.text.contains(piece.as_str())) {
            differs(Kind::Contains, Some(piece.clone()), Some(message.text.clone()), None);
        }
        if let Some(subject) = &self.subject
            && Some(subject) != message.subject.as_ref()
        {
            differs(Kind::Subject, Some(subject.clone()), message.subject.clone(), None);
        }
        found
    }
}
