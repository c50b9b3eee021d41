//! The index gives exactly what evaluating every rule by its tree gives.

use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;

use crate::event::Event;
use crate::rules::condition::tests::generate::{body, condition};
use crate::rules::condition::{Code, Condition, Truth};
use crate::rules::fields::{Fields, Interner};
use crate::rules::rule::tests::destination;
use crate::rules::rule::{Rule, RuleSet, TypePattern};

fn event(kind: &str, source: &str, body: &str) -> Event {
    Event {
        source: source.into(),
        id: "evt-1".to_owned(),
        kind: kind.to_owned(),
        time: None,
        received: Timestamp::UNIX_EPOCH,
        body: hyper::body::Bytes::copy_from_slice(body.as_bytes()),
    }
}

/// What a rule came to: the ones that fired, and the unknown ones with their fields.
type Outcome = (Vec<String>, Vec<(String, Vec<Arc<str>>)>);

fn by_index(set: &RuleSet, event: &Event) -> Outcome {
    let decision = set.decide(event, &[destination("sales", &[])]);
    let owed = decision.owed.iter().map(|owed| format!("{} {:?}", owed.rule, owed.plan));
    let unknown = decision.unknown.iter().map(|u| (u.rule.to_string(), u.fields.clone()));
    (owed.collect(), unknown.collect())
}

fn by_every_rule(set: &RuleSet, event: &Event) -> Outcome {
    let values = set.read(event);
    let (mut owed, mut unknown) = (Vec::new(), Vec::new());
    for rule in set.rules.iter().filter(|rule| rule.applies_to(event)) {
        match rule.when.as_ref().map_or(Truth::True, |when| when.eval(&values)) {
            Truth::False => {}
            Truth::Unknown => {
                let fields = rule.when.as_ref().unwrap().unknown_fields(&values);
                unknown.push((rule.name.to_string(), fields));
            }
            Truth::True => {
                owed.push(format!("{} {}", rule.name, if rule.shadow { "Shadow" } else { "Send" }));
                if rule.stop && !rule.shadow {
                    break;
                }
            }
        }
    }
    (owed, unknown)
}

#[derive(Clone, Debug)]
struct Draft {
    when: Option<String>,
    on: Vec<&'static str>,
    sources: Vec<&'static str>,
    flags: u8,
}

fn draft() -> impl Strategy<Value = Draft> {
    let on =
        proptest::sample::select(vec!["call.ended", "call.*", "*", "*.ended", "sms.received", ""]);
    let source = proptest::sample::select(vec!["replicer", "other"]);
    (
        proptest::option::weighted(0.9, condition()),
        proptest::collection::vec(on, 0..3),
        proptest::collection::vec(source, 0..2),
        any::<u8>(),
    )
        .prop_map(|(when, on, sources, flags)| Draft { when, on, sources, flags })
}

fn rules(drafts: &[Draft]) -> RuleSet {
    let mut fields = Fields::default();
    let rules = drafts.iter().enumerate().map(|(at, draft)| Rule {
        name: at.to_string().into(),
        on: draft.on.iter().map(|text| TypePattern { text: (*text).into() }).collect(),
        sources: draft.sources.iter().map(|source| (*source).into()).collect(),
        when: draft.when.as_ref().map(|when| Condition::compile(when, &mut fields).unwrap()),
        to: vec![0],
        template: None,
        stop: draft.flags.is_multiple_of(11),
        enabled: draft.flags % 7 != 1,
        shadow: draft.flags % 5 == 2,
    });
    let rules = rules.collect();
    RuleSet::new(rules, fields)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_index_gives_what_evaluating_every_rule_gives(
        drafts in proptest::collection::vec(draft(), 0..25),
        bodies in proptest::collection::vec(body(), 1..6),
        kind in proptest::sample::select(vec!["call.ended", "call.started", "sms.received", "x", ""]),
    ) {
        let set = rules(&drafts);
        for body in bodies {
            let event = event(kind, "replicer", &body);
            prop_assert_eq!(by_index(&set, &event), by_every_rule(&set, &event), "{}", body);
        }
    }

    #[test]
    fn code_and_tree_say_the_same(text in condition(), bodies in proptest::collection::vec(body(), 1..6)) {
        let mut fields = Fields::default();
        let condition = Condition::compile(&text, &mut fields).unwrap();
        let (mut code, mut interner) = (Code::default(), Interner::default());
        let entry = code.add(&condition, &mut interner);
        let symbols = interner.finish();
        for body in bodies {
            let event = event("call.ended", "replicer", &body);
            let values = fields.read(&event, Some("data"));
            let found = symbols.of(&values);
            prop_assert_eq!(code.run(entry, &values, &found), condition.eval(&values), "{}", body);
        }
    }
}

/// A rule of each kind that the index tells apart, many times over, so that postings, thresholds, prefixes and
/// needles hold more than one rule each.
#[test]
fn many_rules_of_every_kind_are_found() {
    let mut conditions = Vec::new();
    for at in 0..200 {
        conditions.extend([
            format!("agentId == \"agent-{at}\" and duration > {}", at * 3),
            format!("duration >= {at} and duration < {}.5", at + 1),
            format!("phone.startsWith(\"+49{at}\")"),
            format!("summary.contains(\"word{at}\")"),
            format!("agentId in [\"agent-{at}\", \"agent-{}\", null]", at + 1),
            format!("duration < {at} or agentId == \"agent-{}\"", at / 2),
            format!("not (done or duration != {at})"),
            format!("not (phone.contains(\"{at}\") and duration > 5)"),
        ]);
    }
    let drafts: Vec<Draft> = conditions
        .into_iter()
        .map(|when| Draft {
            when: Some(when),
            on: vec!["call.ended"],
            sources: Vec::new(),
            flags: 3,
        })
        .collect();
    let set = rules(&drafts);
    let mut fired = 0;
    for (agent, duration, phone, summary, done) in [
        ("\"agent-7\"", "120", "\"+4912345\"", "\"no word12 nor word199 here, word1\"", "false"),
        ("\"agent-100\"", "100", "\"+49\"", "\"\"", "true"),
        ("null", "null", "null", "null", "null"),
        ("5", "\"100\"", "[]", "{}", "1"),
        ("\"agent-199\"", "1e3", "\"5\"", "\"word1word2word3\"", "false"),
        ("\"\"", "-0.5", "\"+491\"", "\"word\"", "\"false\""),
    ] {
        let body = format!(
            r#"{{"data":{{"agentId":{agent},"duration":{duration},"phone":{phone},"summary":{summary},"done":{done}}}}}"#
        );
        let event = event("call.ended", "replicer", &body);
        let expected = by_every_rule(&set, &event);
        assert_eq!(by_index(&set, &event), expected, "{body}");
        fired += expected.0.len();
    }
    assert!(fired > 500, "{fired}");
}

#[test]
fn needles_in_each_other_take_no_more_than_looking_at_every_rule() {
    let drafts: Vec<Draft> = (1..=500)
        .map(|length| Draft {
            when: Some(format!("text.contains(\"{}\")", "a".repeat(length))),
            on: Vec::new(),
            sources: Vec::new(),
            flags: 3,
        })
        .collect();
    let set = rules(&drafts);
    let body = format!(r#"{{"data":{{"text":"{}"}}}}"#, "a".repeat(200_000));
    let event = event("x", "replicer", &body);
    assert_eq!(by_index(&set, &event).0.len(), 500);
}
