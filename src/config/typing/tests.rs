//! Each finding, in the words that people read.

use std::collections::BTreeMap;

use super::*;
use crate::config::schemas::Known;
use crate::rules::condition::Condition;
use crate::rules::fields::Fields;
use crate::rules::source::schema::json;
use crate::rules::source::{BUILT_IN, Definition};

/// What a rule on `call.ended` sees.
fn calls(complete: bool) -> Seen {
    let (_, text) = BUILT_IN.iter().find(|(name, _)| *name == "replicer").unwrap();
    let definition = Definition::parse(text).unwrap();
    let schema = Schema::of(definition.event_type("call.ended").unwrap()).unwrap();
    let extra = json::read(
        r#"{"properties": {"tags": {"type": "array", "items": {"type": "string"}},
            "customer": {"type": "object", "properties": {"name": {"type": "string"}}}},
            "required": ["tags", "customer"]}"#,
    );
    let known = vec![Known { kind: "call.ended".into(), schema: schema.with(&extra.0.unwrap()) }];
    Seen { known, complete, elsewhere: Vec::new() }
}

/// `code: message (hint)` of each finding.
fn found(text: &str, seen: &Seen) -> Vec<String> {
    let condition = Condition::compile(text, &mut Fields::default())
        .unwrap_or_else(|e| panic!("{text}: {e:?}"));
    let all = check(condition.tree(), seen);
    all.iter()
        .map(|f| {
            assert!(text.get(f.span.clone()).is_some_and(|s| !s.is_empty()), "{text}: {f:?}");
            format!("{}: {} ({})", f.code, f.message, f.hint.as_deref().unwrap_or_default())
        })
        .collect()
}

#[test]
fn sound_conditions_are_fine() {
    let seen = calls(true);
    for text in [
        "callSuccessful == true",
        "callSuccessful",
        "not callSuccessful and duration > 60",
        "sentiment == \"negative\" && duration > 60",
        "sentiment == null or sentiment != \"positive\"",
        "has(summary) and summary.lowerAscii().contains(\"refund\")",
        "duration > 30 and duration < 60",
        "duration == 30 or duration == 60",
        "duration >= 60 and duration <= 60",
        "not (duration > 30) and duration > 10",
        "status in [\"failed\", \"cancelled\"] and direction == \"OUTBOUND\"",
        "status != \"completed\" and status != \"failed\" and status != \"cancelled\"",
        "metadata.campaign_id == \"summer\" and metadata.tier > 5 and metadata[\"a b\"].c",
        "customerPhone == fromNumber",
        "customerName in [customerPhone, \"x\"]",
        "startedAt > \"2026-01-01\" and startedAt < \"2025-01-01\"",
        "\"vip\" in tags and size(tags) > 1 and tags[0] == \"a\"",
        "customer.name == \"x\" and data.customer.name != null",
        "id == \"x\" and event == \"call.ended\" and timestamp > \"2026\"",
        "(duration > 60) == true",
        "tokenCost > 1 and tokenCost < 2",
        "duration > 60 or sentiment == \"negative\" and duration < 30",
    ] {
        assert_eq!(found(text, &seen), [""; 0], "{text}");
        assert_eq!(found(text, &calls(false)), [""; 0], "{text}");
    }
}

#[test]
fn what_can_never_be_is_told_with_what_to_write() {
    let seen = calls(true);
    let mut wrong = Vec::new();
    for (text, code, said) in [
        ("duration == \"60\"", "impossible-type", "write `duration == 60`"),
        ("duration > \"60\"", "impossible-type", "write `duration > 60`"),
        ("duration in [\"60\"]", "impossible-type", "write `60`"),
        ("callSuccessful == \"true\"", "impossible-type", "write `callSuccessful == true`"),
        ("callSuccessful == 1", "impossible-type", "write `callSuccessful == true`"),
        ("callSuccessful > 1", "impossible-type", "has no order"),
        ("sentiment > 5", "impossible-type", "`sentiment` is a text, 5 is a number"),
        ("customerPhone == 123", "impossible-type", "write `customerPhone == \"123\"`"),
        ("startedAt > 1700000000", "impossible-type", "a time is a text"),
        ("sentiment == duration", "impossible-type", "`duration` is a number"),
        ("duration", "impossible-type", "write `duration > 0`, or `has(duration)`"),
        ("sentiment and duration > 1", "impossible-type", "`sentiment == \"positive\"`"),
        ("duration.contains(\"6\")", "impossible-type", "works on texts"),
        ("tags.contains(\"vip\")", "impossible-type", "write `\"…\" in tags`"),
        ("\"a\" in status", "impossible-type", "`in` needs a list"),
        ("5 in tags", "impossible-type", "are never that but a text"),
        ("size(duration) > 1", "impossible-type", "`size` counts"),
        ("1 == \"a\"", "impossible-type", "never equal"),
        ("sentimnt == \"x\"", "unknown-field", "did you mean `sentiment`?"),
        ("data.duraton > 1", "unknown-field", "did you mean `duration`?"),
        ("sentiment == Negative", "unknown-field", "did you mean \"negative\"?"),
        ("status in [failed]", "unknown-field", "did you mean \"failed\"?"),
        ("duration.seconds > 1", "unknown-field", "`duration` is a number, without fields"),
        ("customer.nme == \"x\"", "unknown-field", "did you mean `name`?"),
        ("duration[0] == 1", "unknown-field", "not a list"),
        ("sentiment == \"Negative\"", "undocumented-value", "did you mean \"negative\"?"),
        ("status in [\"failed\", \"busy\"]", "undocumented-value", "there may be others"),
        ("duration == null", "never-null", "this is always false"),
        ("has(duration)", "never-null", "this is always true"),
        ("id != null", "never-null", "this is always true"),
        ("duration > 60 and duration < 30", "always-false", "did you mean `or`?"),
        (
            "duration > 60 and sentiment == null and duration < 61",
            "always-false",
            "are never both true",
        ),
        ("status == \"failed\" and status == \"cancelled\"", "always-false", "`status in [ … ]`"),
        (
            "sentiment == null and sentiment == \"negative\"",
            "always-false",
            "write `sentiment in [ … ]`",
        ),
        ("callSuccessful and callSuccessful == false", "always-false", "are never both true"),
        ("size(summary) < 0", "always-false", "`size(summary) < 0` is never true"),
        ("summary.lowerAscii() == \"Refund\"", "always-false", "write \"refund\""),
        ("duration > 60 or duration <= 60", "always-true", "whatever `duration` is"),
        ("duration > 5 or duration < 6", "always-true", "did you mean `and`?"),
        ("status != \"failed\" or status != \"cancelled\"", "always-true", "not (status in [ … ])"),
        ("customerName != \"a\" or customerName != \"b\"", "always-true", "whatever"),
        ("callSuccessful or not callSuccessful", "always-true", "null aside"),
        ("direction == \"INBOUND\" or direction == \"OUTBOUND\"", "always-true", "documented"),
        ("duration == duration", "constant-part", "with itself"),
        ("\"status\" == \"failed\"", "constant-part", "names no field"),
        ("true", "constant-part", "leave `when` out"),
        ("duration > 60 or true", "constant-part", "the rest doesn't matter"),
    ] {
        let all = found(text, &seen);
        if !all.iter().any(|f| f.starts_with(&format!("{code}: ")) && f.contains(said)) {
            wrong.push(format!("{text}: {all:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn one_mistake_is_told_once() {
    let seen = calls(true);
    for text in [
        "duration == null and duration != null",
        "duration == \"60\" and duration > 60",
        "sentiment == negative and duration > 60",
        "duration > 60 and duration < 30 and status == \"failed\"",
        "sentiment == \"Negative\" or duration > 60",
    ] {
        let all = found(text, &seen);
        let most = if text.contains("!= null") { 2 } else { 1 };
        assert_eq!(all.len(), most, "{text}\n{all:#?}");
    }
}

#[test]
fn where_other_events_may_come_a_doubt_is_a_warning_at_most() {
    let seen = calls(false);
    for (text, code) in [
        ("sentimnt == \"x\"", "doubtful-field"),
        ("duration == \"60\"", "doubtful-type"),
        ("sentiment == negative", "bare-word"),
        ("sentiment == \"Negative\"", "undocumented-value"),
        ("duration > 60 and duration < 30", "always-false"),
    ] {
        let condition = Condition::compile(text, &mut Fields::default()).unwrap();
        let all = check(condition.tree(), &seen);
        let codes: Vec<_> = all.iter().map(|f| f.code).collect();
        assert_eq!(codes, [code], "{text}");
        assert_eq!(all[0].severity, Severity::Warning);
    }
    for text in ["price > 5", "status == \"busy\"", "duration == null"] {
        assert_eq!(found(text, &seen), [""; 0], "{text}");
    }
    let unknown = Seen::default();
    for text in ["anything == 1", "a > 5 and b.contains(\"x\")", "c"] {
        assert_eq!(found(text, &unknown), [""; 0], "{text}");
    }
}

/// What is called never true is false or unknown of every value tried, and what is called always true never false.
#[test]
fn what_is_said_of_every_event_holds_for_every_event() {
    use crate::rules::condition::Truth;
    let leaves: Vec<String> = ["<", "<=", ">", ">=", "==", "!="]
        .iter()
        .flat_map(|op| ["29", "30", "31", "30.5"].map(|n| format!("duration {op} {n}")))
        .chain(["duration in [29, 31]", "not (duration in [30])"].map(str::to_owned))
        .collect();
    let seen = calls(true);
    let mut told: BTreeMap<&str, usize> = BTreeMap::new();
    for a in &leaves {
        for b in &leaves {
            for word in ["and", "or"] {
                let text = format!("({a}) {word} ({b})");
                let mut fields = Fields::default();
                let condition = Condition::compile(&text, &mut fields).unwrap();
                let codes: Vec<_> = check(condition.tree(), &seen).iter().map(|f| f.code).collect();
                let truths: Vec<Truth> = (27..34)
                    .map(|n| {
                        let body = format!("{{\"data\":{{\"duration\":{n}}}}}");
                        let event = crate::event::Event {
                            source: "replicer".into(),
                            id: "1".into(),
                            kind: "call.ended".into(),
                            time: None,
                            received: jiff::Timestamp::UNIX_EPOCH,
                            body: hyper::body::Bytes::from(body),
                        };
                        condition.eval(&fields.read(&event, Some("data")))
                    })
                    .collect();
                for code in codes {
                    let wrong = if code == "always-false" { Truth::True } else { Truth::False };
                    assert!(!truths.contains(&wrong), "{text}: {code} {truths:?}");
                    *told.entry(code).or_default() += 1;
                }
            }
        }
    }
    assert!(told["always-false"] > 50 && told["always-true"] > 50, "{told:?}");
}
