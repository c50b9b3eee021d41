//! Why an event notifies whom, or nobody: each rule taken apart, and what would be sent.
//!
//! The outcomes are those of [`Rules::decide`], the code that the bridge runs; what is added here only tells how they
//! came about. Nothing is sent, nothing is stored, and no secret gets out: requests are shown masked.
//!
//! An [`Explanation`] is the object that `explain --json` prints and that the API answers. Its named keys are a
//! contract; `null` stands for what there is none of.

mod part;
mod words;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::part::{Found, Part};
use super::provider::{Outgoing, STAND_INS, Shown};
use super::rule::Rule;
use super::template::Context;
use super::{Owed, Plan, Rules};
use crate::event::Event;
use crate::journal::NotificationRow;

/// What the rules make of one event.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The event.
    pub event: About,
    /// Which rules were asked.
    pub rules_used: Used,
    /// Their [`Rules::version`].
    pub rules_version: String,
    /// The moment that was asked about.
    pub at: Timestamp,
    /// Every rule in the order of the file.
    pub rules: Vec<Explained>,
    /// Whether the signature is right; none where nobody asked.
    pub signature: Option<Signed>,
    /// What the journal holds of the event; none if it isn't from there.
    pub stored: Option<Stored>,
}

/// Which event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The source's name.
    pub source: String,
    /// The sender's id.
    pub id: String,
    /// The type.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Which rules an explanation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Used {
    /// Those of this moment.
    Now,
    /// Those that decided the event when it came in.
    Then,
}

/// One rule's part in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// The rule's name.
    pub rule: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Why, in one line.
    pub reason: String,
    /// The condition; none if the rule has none, or doesn't apply to the event.
    pub when: Option<Part>,
    /// What it causes: one for each recipient of each destination.
    pub notifications: Vec<Planned>,
}

/// What came of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It fired.
    Matched,
    /// Its condition is false.
    NoMatch,
    /// Its condition can't be decided: it did not fire.
    Unknown,
    /// It is for other events, or a rule before it ended the walk.
    NotApplicable,
    /// `enabled = false`.
    Disabled,
}

/// One notification, as it would be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planned {
    /// The destination's name.
    pub destination: String,
    /// Its provider.
    pub provider: String,
    /// The recipient, where the destination has any.
    pub recipient: Option<String>,
    /// The template's name; none for the built-in text.
    pub template: Option<String>,
    /// What is done with it.
    pub decision: Decided,
    /// Why.
    pub reason: String,
    /// Until when it is held; none if it isn't.
    pub until: Option<Timestamp>,
    /// The message, rendered.
    pub message: Worded,
    /// The request, secrets masked; none if none can be made.
    pub request: Option<Shown>,
    /// Why no request can be made: such a notification is given up.
    pub problem: Option<String>,
}

/// What is done with a notification. Later versions also say `hold`, `digest`, `drop` and `silenced`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// It is sent at once.
    Send,
    /// A shadow rule's: recorded, not sent.
    Shadow,
}

/// A rendered message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worded {
    /// The subject, on channels that have one.
    pub subject: Option<String>,
    /// The text.
    pub text: String,
    /// The HTML part of a mail.
    pub html: Option<String>,
    /// The template's error, when this is the built-in text in its place.
    pub template_error: Option<String>,
}

/// Whether a signature is right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Whether the bridge would take the event; none if that can't be said here.
    pub verified: Option<bool>,
    /// What a person should know of it.
    pub reason: String,
}

/// A stored event's fate.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stored {
    /// The number in the journal.
    pub number: i64,
    /// When it came in.
    pub received: Timestamp,
    /// How often it came again, and notified nobody again.
    pub duplicates: i64,
    /// How often its id came again with another body, which was not taken.
    pub conflicts: i64,
    /// What it really caused, and how that went.
    pub notifications: Vec<NotificationRow>,
}

/// What is asked beside the event.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The moment.
    pub at: Timestamp,
    /// Only this rule; the others are still looked at, since one of them may stop the walk.
    pub only: Option<&'a str>,
    /// Which rules these are.
    pub used: Used,
    /// What the event really caused, for its idempotency keys.
    pub caused: &'a [NotificationRow],
}

impl Rules {
    /// Takes the decision about `event` apart.
    pub fn explain(&self, event: &Event, ask: Ask<'_>) -> Explanation {
        let decision = self.decide(event);
        let values = self.rules.read(event);
        let body = serde_json::from_slice(&event.body).unwrap_or_default();
        let mut stopped: Option<&Rule> = None;
        let mut rules = Vec::new();
        for rule in &self.rules.rules {
            let owed: Vec<&Owed> = decision.owed.iter().filter(|o| o.rule == rule.name).collect();
            let trace = || rule.when.as_ref().map(|when| part::look(when.trace(&values), &body));
            let (outcome, reason, when) = if !rule.enabled {
                (Outcome::Disabled, "`enabled = false`".to_owned(), trace())
            } else if let Some(other) = words::not_for(rule, event) {
                (Outcome::NotApplicable, other, None)
            } else if let Some(before) = stopped {
                let reason =
                    format!("stopped: rule \"{}\" matched and has `stop = true`", before.name);
                (Outcome::NotApplicable, reason, trace())
            } else {
                let unknown = decision.unknown.iter().any(|u| u.rule == rule.name);
                let outcome = match (owed.is_empty(), unknown) {
                    (false, _) => Outcome::Matched,
                    (true, true) => Outcome::Unknown,
                    (true, false) => Outcome::NoMatch,
                };
                let when = trace();
                let reason = words::because(when.as_ref());
                if outcome == Outcome::Matched && rule.stop && !rule.shadow {
                    stopped = Some(rule);
                }
                (outcome, reason, when)
            };
            if ask.only.is_some_and(|only| only != &*rule.name) {
                continue;
            }
            let notifications =
                owed.into_iter().map(|owed| self.planned(event, owed, ask)).collect();
            let rule = rule.name.to_string();
            rules.push(Explained { rule, outcome, reason, when, notifications });
        }
        Explanation {
            event: About {
                source: event.source.to_string(),
                id: event.id.clone(),
                kind: event.kind.clone(),
            },
            rules_used: ask.used,
            rules_version: self.version.to_string(),
            at: ask.at,
            rules,
            signature: None,
            stored: None,
        }
    }

    fn planned(&self, event: &Event, owed: &Owed, ask: Ask<'_>) -> Planned {
        let (decision, reason) = plan(owed.plan);
        let recipient = owed.recipient.as_deref();
        let mut planned = Planned {
            destination: owed.destination.to_string(),
            provider: String::new(),
            recipient: recipient.map(|r| if STAND_INS.contains(&r) { "***" } else { r }.to_owned()),
            template: owed.template.as_deref().map(str::to_owned),
            decision,
            reason: reason.to_owned(),
            until: None,
            message: Worded {
                subject: None,
                text: String::new(),
                html: None,
                template_error: None,
            },
            request: None,
            problem: None,
        };
        // What is owed names destinations of the same rules.
        let Some(destination) = self.destination(&owed.destination) else { return planned };
        planned.provider = destination.provider.to_string();
        let context = Context { event, rule: &owed.rule, destination: &owed.destination };
        let message = self.templates.render(owed.template.as_deref(), destination.form(), context);
        let real = ask.caused.iter().find(|row| {
            row.rule == *owed.rule
                && row.destination == *owed.destination
                && row.recipient.as_deref() == recipient
        });
        let shown = destination.show(&Outgoing {
            message: &message,
            key: real.map_or(Uuid::nil(), |row| row.key),
            rule: &owed.rule,
            destination: &owed.destination,
            recipient,
            event,
            now: ask.at,
        });
        match shown {
            Ok(request) => planned.request = Some(request),
            Err(why) => planned.problem = Some(self.redact(why)),
        }
        planned.message = Worded {
            subject: message.subject,
            text: message.text,
            html: message.html,
            template_error: message.fallback,
        };
        planned
    }
}

/// What a plan is called, and why it was made. Limits, digests and quiet hours add theirs here.
fn plan(plan: Plan) -> (Decided, &'static str) {
    match plan {
        Plan::Send => (Decided::Send, "the rule matched"),
        Plan::Shadow => (Decided::Shadow, "the rule has `shadow = true`: recorded, not sent"),
    }
}

impl Outcome {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::NoMatch => "no match",
            Self::Unknown => "unknown",
            Self::NotApplicable => "not applicable",
            Self::Disabled => "disabled",
        }
    }
}

impl Decided {
    /// The word in JSON and in `[[tests]]`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Shadow => "shadow",
        }
    }

    /// Every decision, by its word.
    pub const ALL: [Self; 2] = [Self::Send, Self::Shadow];
}

/// The most similar of `known` to `name`, if one is similar enough to be what was meant.
pub(crate) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let name = name.to_lowercase();
    known
        .map(|k| (strsim::jaro_winkler(&name, &k.to_lowercase()), k))
        .filter(|(likeness, _)| *likeness > 0.84)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}
