//! The explanation says what the decision did, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::config::Environment;
use crate::event::Event;
use crate::rules::explain::{Explained, Outcome};

/// A configuration with the console as its only destination, and these further lines.
fn rules(lines: &str) -> Arc<Rules> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.toml");
    let head = "version = 1\n[sources.replicer]\nkind = \"replicer\"\nsecret = \"a-signing-secret\"\n\
                [sources.other]\nkind = \"replicer\"\nsecret = \"a-signing-secret\"\n\
                [destinations.log]\nprovider = \"console\"\n";
    std::fs::write(&path, format!("{head}{lines}")).unwrap();
    let nothing = Environment::Only(BTreeMap::new());
    config::load_in(Some(&path), Secrets::Shown, &nothing).unwrap().rules
}

fn event(data: &str) -> Event {
    Event {
        source: "replicer".into(),
        id: "evt-1".to_owned(),
        kind: "x.y".to_owned(),
        time: None,
        received: Timestamp::UNIX_EPOCH,
        body: Bytes::from(format!("{{\"data\":{data}}}")),
    }
}

fn explain(rules: &Rules, data: &str) -> Explanation {
    let ask = Ask { at: Timestamp::UNIX_EPOCH, only: None, used: Used::Now, caused: &[] };
    rules.explain(&event(data), ask)
}

fn one(condition: &str, data: &str) -> Explained {
    let rule = format!("[[rules]]\nname = \"r\"\nto = \"log\"\nwhen = '''{condition}'''\n");
    explain(&rules(&rule), data).rules.remove(0)
}

#[test]
fn the_reason_names_the_part_that_decided_and_what_it_read() {
    let both = r#"sentiment == "negative" && duration > 60"#;
    for (condition, data, outcome, reason) in [
        (
            both,
            r#"{"sentiment":"negative","duration":30}"#,
            Outcome::NoMatch,
            "duration > 60 is false: duration = 30",
        ),
        (
            both,
            r#"{"sentiment":"negative"}"#,
            Outcome::Unknown,
            "duration > 60 is unknown: duration is missing",
        ),
        (
            both,
            r#"{"sentiment":"negative","duration":"75"}"#,
            Outcome::Unknown,
            "duration > 60 is unknown: duration = \"75\", which is text",
        ),
        (
            "answered",
            r#"{"answered":null}"#,
            Outcome::Unknown,
            "answered is unknown: answered is null",
        ),
        (
            "a == 1 and b == 1 and c == 1",
            "{}",
            Outcome::NoMatch,
            "a == 1 is false: a is missing; b == 1 is false: b is missing; and 1 more",
        ),
        (
            "duration > 60",
            r#"{"duration":75}"#,
            Outcome::Matched,
            "duration > 60 is true: duration = 75",
        ),
    ] {
        let rule = one(condition, data);
        assert_eq!((rule.outcome, &*rule.reason), (outcome, reason), "{condition} {data}");
        assert_eq!(rule.notifications.len(), usize::from(outcome == Outcome::Matched));
    }
}

#[test]
fn a_missing_key_is_told_with_what_is_there_instead() {
    let near = |path: &str| Some(format!("no such key in this event, did you mean {path}?"));
    let text = |note: &str| Some(note.to_owned());
    for (condition, data, note) in [
        ("metadata.tier == \"gold\"", r#"{"metadata":{"tiers":"gold"}}"#, near("metadata.tiers")),
        (
            "metadata.x == 1",
            r#"{"metadata":{"campaign_id":1,"b":2}}"#,
            text("metadata has campaign_id, b"),
        ),
        ("metadata.x == 1", r#"{"metadata":{}}"#, text("metadata is empty")),
        ("metadata.x == 1", r#"{"metadata":null}"#, text("metadata is null")),
        ("metadata.x == 1", r#"{"metadata":"text"}"#, text("metadata is no object")),
        ("metadata.x == 1", "{}", text("no such key in this event")),
        ("durations > 1", r#"{"duration":1}"#, near("duration")),
        ("ids[3] == 1", r#"{"ids":[1,2]}"#, text("ids has 2 items, counted from 0")),
        ("a.b[0].c == 1", r#"{"a":{"b":[{"cc":1}]}}"#, near("a.b[0].cc")),
        ("sentiment == \"x\"", r#"{"sentiment":null}"#, None),
    ] {
        let part = one(condition, data).when.unwrap();
        assert_eq!(part.reads[0].note, note, "{condition} {data}");
    }
}

#[test]
fn json_has_every_named_key_and_null_for_unknown() {
    let rule = one("a > 1 or not (b == 2)", r#"{"b":2.50}"#);
    let json = serde_json::to_value(&rule).unwrap();
    assert_eq!(json["outcome"], "matched");
    let when = &json["when"];
    assert_eq!((&when["value"], &when["join"]), (&true.into(), &"or".into()));
    let unknown = &when["parts"][0];
    assert!(unknown.get("value").is_some_and(serde_json::Value::is_null), "{unknown}");
    assert_eq!(unknown["decides"], false);
    assert_eq!(when["parts"][1]["join"], "not");
    let read = &when["parts"][1]["parts"][0]["reads"][0];
    assert_eq!(read["value"].to_string(), "2.50", "digits stay");
    let sent = &json["notifications"][0];
    for key in ["destination", "decision", "reason", "until", "request"] {
        assert!(sent.get(key).is_some(), "{key}: {sent}");
    }
    assert!(sent["until"].is_null());
    for key in ["method", "url", "headers", "body"] {
        assert!(sent["request"].get(key).is_some(), "{key}: {sent}");
    }
    let back: Explained = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(&back).unwrap(), json, "what is read is what was written");
}

#[test]
fn other_types_disabled_rules_and_what_a_stop_ends_are_told_apart() {
    let lines = r#"
[[rules]]
name = "type"
on = "sms.*"
to = "log"
[[rules]]
name = "off"
enabled = false
when = 'a == 1'
to = "log"
[[rules]]
name = "source"
source = "other"
to = "log"
[[rules]]
name = "shadow"
shadow = true
stop = true
to = "log"
[[rules]]
name = "stop"
when = 'a == 1'
stop = true
to = "log"
[[rules]]
name = "after"
when = 'a == 1'
to = "log"
"#;
    let told = explain(&rules(lines), r#"{"a":1}"#);
    let told: Vec<_> =
        told.rules.iter().map(|r| (r.outcome, &*r.reason, r.when.is_some())).collect();
    assert_eq!(
        told,
        [
            (Outcome::NotApplicable, "it is for sms.*; this is x.y", false),
            (Outcome::Disabled, "`enabled = false`", true),
            (Outcome::NotApplicable, "it is for events of other; this one is of replicer", false),
            (Outcome::Matched, "it has no condition", false),
            (Outcome::Matched, "a == 1 is true: a = 1", true),
            (Outcome::NotApplicable, "stopped: rule \"stop\" matched and has `stop = true`", true),
        ]
    );
}

#[test]
fn the_notifications_are_those_of_the_decision() {
    let lines = "[[rules]]\nname = \"a\"\nwhen = 'a > 1'\nto = \"log\"\n[[rules]]\nname = \"b\"\nto = \"log\"\nshadow = true\n";
    let rules = rules(lines);
    for data in ["{}", r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":"2"}"#] {
        let told = explain(&rules, data);
        let decided = rules.decide(&event(data));
        let told_of: Vec<_> = told.rules.iter().flat_map(|r| &r.notifications).collect();
        assert_eq!(told_of.len(), decided.owed.len(), "{data}");
        let unknown = told.rules.iter().filter(|r| r.outcome == Outcome::Unknown).count();
        assert_eq!(unknown, decided.unknown.len(), "{data}");
    }
}

#[test]
fn the_tree_stays_within_80_columns_and_obeys_no_event() {
    let condition = "(sentiment == \"negative\" or summary.lowerAscii().contains(\"refund\")) and \
                     metadata.a_rather_long_name_of_a_key.and_another_one_below == \"some longer value\" and not (x > 1)";
    let data = r#"{"sentiment":"\u001b[31mangry","summary":"I want a refund, and I want it today, says the customer who has waited for long","metadata":{"a":"b"}}"#;
    let mut told = explain(&rules(""), data);
    told.rules = vec![one(condition, data)];
    let mut out = Vec::new();
    tree::print(&mut anstream::StripStream::new(&mut out), &told, "rules.toml", false).unwrap();
    let text = String::from_utf8(out).unwrap();
    for l in text.lines() {
        assert!(l.chars().count() <= terminal::WIDTH, "{l}\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text}");
    assert!(text.contains("├ any of") && text.contains("└ not"), "{text}");
}

#[test]
fn headers_are_read_and_nonsense_is_refused() {
    assert_eq!(header("X-Replicer-Signature:  abc ").unwrap().1, "abc");
    for wrong in ["", "abc", ": x", "a b: c", "a: b\nc"] {
        assert!(header(wrong).is_err(), "{wrong:?}");
    }
}
