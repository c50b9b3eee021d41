//! A rule: a condition on events and whom to notify when it holds.

use std::cell::OnceCell;
use std::sync::Arc;

use super::condition::{Condition, Truth};
use super::fields::{Fields, Values};
use super::index::Index;
use super::provider::Destination;
use super::{Decision, Owed, Plan, Unknown};
use crate::event::Event;

/// The body's key that holds an event's data, where it has one; without it the whole body is the data.
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

/// The rules of a file in order, the fields that their conditions read, and an index over both.
#[derive(Debug, Default)]
pub struct RuleSet {
    /// In the order of the file. The index is made of them, so they must stay as they are.
    pub rules: Vec<Rule>,
    /// Every path that any condition names; one pass over the body reads them all.
    pub fields: Fields,
    index: Index,
}

impl RuleSet {
    /// The rules of a file, whose conditions were compiled with `fields`.
    pub fn new(rules: Vec<Rule>, fields: Fields) -> Self {
        let index = Index::build(&rules);
        Self { rules, fields, index }
    }

    /// What evaluating every rule in order gives; only those are looked at that can be true or unknown.
    pub fn decide(&self, event: &Event, destinations: &[Arc<Destination>]) -> Decision {
        let mut decision = Decision::default();
        // The body is read when it is first asked for, and only once.
        let read = OnceCell::new();
        let facts = || read.get_or_init(|| self.index.facts(self.read(event)));
        let candidates = self.index.candidates(&event.kind, facts);
        for at in candidates.in_order() {
            let rule = &self.rules[at];
            if !rule.takes_from(&event.source) {
                continue;
            }
            match self.index.truth(at, facts) {
                Some(Truth::False) => continue,
                Some(Truth::Unknown) => {
                    let fields = rule.when.as_ref().map(|w| w.unknown_fields(&facts().values));
                    let (rule, fields) = (Arc::clone(&rule.name), fields.unwrap_or_default());
                    decision.unknown.push(Unknown { rule, fields });
                    continue;
                }
                Some(Truth::True) | None => {}
            }
            rule.owe(destinations, &mut decision.owed);
            if rule.stop && !rule.shadow {
                break;
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
            && self.takes_from(&event.source)
    }

    fn takes_from(&self, source: &Arc<str>) -> bool {
        self.sources.is_empty() || self.sources.contains(source)
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

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use hyper::body::Bytes;
    use jiff::Timestamp;

    use super::*;
    use crate::rules::provider::{OnAmbiguous, Transport};
    use crate::rules::retry::RetryPolicy;
    use crate::rules::template::{Channel, Escape};

    pub(in crate::rules) fn destination(name: &str, recipients: &[&str]) -> Arc<Destination> {
        let minute = Duration::from_secs(60);
        Arc::new(Destination {
            name: name.into(),
            provider: "inbox".into(),
            channel: Channel::Text,
            escape: Escape::of(Channel::Text),
            recipients: recipients.iter().map(|r| (*r).into()).collect(),
            concurrency: 1,
            timeout: minute,
            retry: RetryPolicy { first: minute, longest: minute, attempts: 1, age: minute },
            rate: None,
            rate_group: name.into(),
            on_ambiguous: OnAmbiguous::Retry,
            fallback: None,
            transport: Transport::Inbox,
        })
    }

    fn event(kind: &str, data: &str) -> Event {
        Event {
            source: "replicer".into(),
            id: "evt-1".to_owned(),
            kind: kind.to_owned(),
            time: None,
            received: Timestamp::UNIX_EPOCH,
            body: Bytes::from(format!("{{\"data\":{data}}}")),
        }
    }

    /// Rules named `0`, `1`, … with a condition each, to the destinations 0 (no recipients) and 1 (two).
    fn set(conditions: &[&str], change: impl Fn(&mut [Rule])) -> RuleSet {
        let mut fields = Fields::default();
        let mut rules = Vec::new();
        for (at, condition) in conditions.iter().enumerate() {
            let when = Condition::compile(condition, &mut fields).ok();
            assert_eq!(when.is_none(), condition.is_empty(), "{condition}");
            rules.push(Rule {
                name: at.to_string().into(),
                on: Vec::new(),
                sources: Vec::new(),
                when,
                to: vec![0, 1],
                template: None,
                stop: false,
                enabled: true,
                shadow: false,
            });
        }
        change(&mut rules);
        RuleSet::new(rules, fields)
    }

    fn decide(set: &RuleSet, event: &Event) -> (Vec<String>, Vec<String>) {
        let destinations = [destination("sales", &[]), destination("manager", &["+1", "+2"])];
        let decision = set.decide(event, &destinations);
        let owed = decision.owed.iter().map(|owed| {
            let shadow = if owed.plan == Plan::Shadow { " (shadow)" } else { "" };
            format!(
                "{} {}{}{shadow}",
                owed.rule,
                owed.destination,
                owed.recipient.as_deref().unwrap_or_default()
            )
        });
        let unknown =
            decision.unknown.iter().map(|u| format!("{}: {}", u.rule, u.fields.join(" ")));
        (owed.collect(), unknown.collect())
    }

    #[test]
    fn every_matching_rule_owes_each_recipient_one_notification_in_order() {
        let set = set(&["duration > 60", "duration > 600", ""], |_| ());
        let (owed, unknown) = decide(&set, &event("call.ended", r#"{"duration":75}"#));
        let expected =
            ["0 sales", "0 manager+1", "0 manager+2", "2 sales", "2 manager+1", "2 manager+2"];
        assert_eq!(owed, expected);
        assert!(unknown.is_empty());
    }

    #[test]
    fn an_unknown_rule_owes_nothing_names_its_fields_and_stops_nobody() {
        let conditions = ["duration > 60 and sentiment.contains(\"x\")", "answered"];
        let set = set(&conditions, |rules| rules[0].stop = true);
        let (owed, unknown) = decide(&set, &event("call.ended", r#"{"answered":true}"#));
        assert_eq!(owed, ["1 sales", "1 manager+1", "1 manager+2"]);
        assert_eq!(unknown, ["0: duration sentiment"]);
    }

    #[test]
    fn stop_ends_the_walk_only_after_a_match_and_never_from_a_shadow() {
        let with = |shadow: bool, enabled: bool| {
            set(&["a", "b", "c"], |rules| {
                for rule in rules.iter_mut() {
                    rule.stop = true;
                    rule.to = vec![0];
                }
                rules[0].shadow = shadow;
                rules[1].enabled = enabled;
            })
        };
        let all = event("x", r#"{"a":true,"b":true,"c":true}"#);
        let second = event("x", r#"{"a":false,"b":true,"c":true}"#);
        assert_eq!(decide(&with(false, true), &all).0, ["0 sales"]);
        assert_eq!(decide(&with(false, true), &second).0, ["1 sales"]);
        assert_eq!(decide(&with(true, true), &all).0, ["0 sales (shadow)", "1 sales"]);
        assert_eq!(decide(&with(true, false), &all).0, ["0 sales (shadow)", "2 sales"]);
    }

    #[test]
    fn types_and_sources_narrow_a_rule_before_its_condition() {
        let with = |sources: &[&str], on: &[&str]| {
            set(&["nothing > 1", ""], |rules| {
                rules[0].on = vec![TypePattern { text: "sms.*".into() }];
                rules[1].sources = sources.iter().map(|source| (*source).into()).collect();
                rules[1].on = on.iter().map(|text| TypePattern { text: (*text).into() }).collect();
            })
        };
        let event = event("call.ended", "{}");
        let (owed, unknown) = decide(&with(&["other"], &[]), &event);
        assert!(owed.is_empty() && unknown.is_empty());
        let (owed, _) = decide(&with(&["other", "replicer"], &["sms.*", "call.ended"]), &event);
        assert_eq!(owed.len(), 3);
        assert!(decide(&with(&["replicer"], &["sms.*"]), &event).0.is_empty());
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, yes, no) in [
            ("call.ended", &["call.ended"][..], &["call.ended2", "Call.ended", "call", ""][..]),
            (
                "appointment.*",
                &["appointment.created", "appointment.", "appointment.a.b"],
                &["appointment", "x.appointment.a"],
            ),
            ("*", &["", "call.ended"], &[]),
            (
                "*.created",
                &["contact.created", ".created", "a.b.created"],
                &["created", "contact.created.x"],
            ),
            ("a*b*c", &["abc", "axxbxxc", "abbc", "abcbc"], &["ab", "ac", "acb", "xabc"]),
            ("a*a", &["aa", "aba"], &["a"]),
            ("a**b", &["ab", "axb"], &["a"]),
        ] {
            let pattern = TypePattern { text: pattern.into() };
            assert!(yes.iter().all(|kind| pattern.matches(kind)), "{pattern:?} {yes:?}");
            assert!(!no.iter().any(|kind| pattern.matches(kind)), "{pattern:?} {no:?}");
        }
    }
}
