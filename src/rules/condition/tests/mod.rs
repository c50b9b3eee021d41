//! What the language means: tables.

mod beside_cel;
mod document;
pub(in crate::rules) mod generate;
mod properties;
mod refused;

use std::sync::Arc;

use jiff::Timestamp;

use super::*;
use crate::event::Event;

const CALL: &str = r#"{
    "id": "evt-1", "event": "call.ended", "timestamp": "2026-04-05T14:04:00Z",
    "data": {
        "id": "inner", "status": "Completed", "duration": 75, "cost": 12.50, "sentiment": null, "callSuccessful": null,
        "answered": true, "declined": false, "summary": "Grüße\nJohn", "big": 18446744073709551616, "hundred": 1e2,
        "phone": "+100", "from": "+100", "zero": -0, "almost": 0.10000000000000001,
        "metadata": {"score": 5, "vip": null, "tags": ["a", "b", 3.0, null], "none": [], "odd key": "x",
            "items": [{"sku": "one"}, {"sku": "two"}], "same": ["a", "b", 3, null], "nested": {"n": 1.0}, "other": {"n": 1}}
    }
}"#;

fn event(body: &str) -> Event {
    Event {
        source: "replicer".into(),
        id: "evt-1".to_owned(),
        kind: "call.ended".to_owned(),
        time: None,
        received: Timestamp::UNIX_EPOCH,
        body: hyper::body::Bytes::copy_from_slice(body.as_bytes()),
    }
}

fn compile(text: &str) -> (Condition, Fields) {
    let mut fields = Fields::default();
    match Condition::compile(text, &mut fields) {
        Ok(condition) => (condition, fields),
        Err(errors) => panic!("{text}: {errors:#?}"),
    }
}

fn eval(text: &str) -> Truth {
    let (condition, fields) = compile(text);
    let event = event(CALL);
    let values = fields.read(&event, Some("data"));
    let truth = condition.eval(&values);
    assert_eq!(condition.trace(&values).value, truth, "trace and eval differ: {text}");
    let blamed = condition.unknown_fields(&values);
    assert_eq!(blamed.is_empty(), truth != Truth::Unknown, "{text}: {blamed:?}");
    truth
}

#[track_caller]
fn all(expected: Truth, texts: &[&str]) {
    for text in texts {
        assert_eq!(eval(text), expected, "{text}");
    }
}

#[test]
fn null_and_missing_are_the_same_and_equal_only_null() {
    all(
        Truth::True,
        &[
            "sentiment == null",
            "nothing == null",
            "metadata.nope == null",
            "metadata.nope.deep == null",
            "duration.below == null",
            "status[0] == null",
            "sentiment != \"negative\"",
            "nothing != 1",
            "sentiment == nothing",
            "sentiment in [\"a\", null]",
            "nothing in [null]",
            "not has(sentiment)",
            "!has(nothing)",
            "not has(metadata.vip)",
            "has(duration)",
            "status != null",
        ],
    );
    all(
        Truth::False,
        &[
            "sentiment == \"negative\"",
            "nothing == 0",
            "nothing == false",
            "sentiment in [\"negative\"]",
            "status == null",
        ],
    );
}

#[test]
fn order_and_text_functions_on_null_or_another_type_are_unknown() {
    all(
        Truth::Unknown,
        &[
            "sentiment > \"a\"",
            "nothing > 5",
            "60 < nothing",
            "duration > \"60\"",
            "status > 5",
            "status >= duration",
            "metadata.tags > 1",
            "sentiment.contains(\"x\")",
            "nothing.startsWith(\"\")",
            "duration.matches(\"7\")",
            "sentiment.endsWith(\"x\")",
            "status.contains(sentiment)",
            "metadata.tags.contains(\"a\")",
            "size(sentiment) > 0",
            "size(duration) == 2",
            "sentiment.lowerAscii() == \"x\"",
            "nothing.lowerAscii() != \"x\"",
            "callSuccessful",
            "not callSuccessful",
            "duration",
            "status",
            "(nothing > 1) == true",
            "\"x\" in [nothing.lowerAscii()]",
        ],
    );
}

#[test]
fn unknown_follows_kleene() {
    all(
        Truth::False,
        &[
            "false and nothing > 1",
            "nothing > 1 and false",
            "declined && callSuccessful",
            "not (answered or nothing > 1)",
        ],
    );
    all(Truth::True, &["true or nothing > 1", "nothing > 1 || true", "callSuccessful or answered"]);
    all(
        Truth::Unknown,
        &[
            "nothing > 1 and true",
            "false or nothing > 1",
            "not (nothing > 1)",
            "nothing > 1 or nothing < 1",
        ],
    );
}

#[test]
fn numbers_compare_exactly_and_are_never_text() {
    all(
        Truth::True,
        &[
            "duration == 75.0",
            "duration == 7.5e1",
            "duration > 60.5",
            "75u <= duration",
            "0x4B == duration",
            "-1 < duration",
            "cost == 12.5",
            "hundred == 100",
            "zero == 0",
            "zero >= -0.0",
            "big == 18446744073709551616",
            "big != 18446744073709551615",
            "big > 18446744073709551615",
            "big < 18446744073709551616.5",
            "big > 9223372036854775807",
            "almost > 0.1",
            "duration != \"75\"",
            "not (duration == \"75\")",
            "not (duration in [\"75\"])",
            "duration in [1, 75.00]",
            ".5 < 1",
        ],
    );
}

#[test]
fn texts_compare_by_code_points_and_functions_work_on_them() {
    all(
        Truth::True,
        &[
            "status == \"Completed\"",
            "status != 'completed'",
            "status.lowerAscii() == \"completed\"",
            "status.lowerAscii().startsWith(\"comp\")",
            "status < \"a\"",
            "timestamp > \"2026-01-01\"",
            "summary.startsWith(\"Grüße\\n\")",
            "summary.contains('\\u00fc\\u00DF')",
            "summary.endsWith('John')",
            "size(summary) == 10",
            "summary.size() > 9",
            "status.matches(\"^Comp\")",
            "status.matches(r\"p\\w+d$\")",
            "not status.matches(\"^omp\")",
            "phone == from",
            "phone.endsWith(\"00\") and from.contains(phone)",
            "\"call.ended\".startsWith(\"call\")",
            "'''it's \"x\"''' == \"it's \\\"x\\\"\"",
            "'\\x41\\101\\U00000041' == \"AAA\"",
            "declined < answered",
            // Characters of three and four bytes right behind a quote; quotes inside three quotes.
            "'€' < '😀' and \"€\" != '' and status != \"\"",
            "\"\"\"a \"quoted\" €\"\"\" == 'a \"quoted\" €' and r'''\\''' == '\\\\'",
        ],
    );
}

#[test]
fn lists_and_objects_are_searched_and_compared_as_a_whole() {
    all(
        Truth::True,
        &[
            "\"a\" in metadata.tags",
            "3 in metadata.tags",
            "null in metadata.tags",
            "not (\"c\" in metadata.tags)",
            "not (\"c\" in nothing)",
            "not (\"c\" in status)",
            "\"score\" in metadata",
            "metadata.tags == [\"a\", \"b\", 3, null]",
            "metadata.tags != [\"a\", \"b\"]",
            "metadata.tags == metadata.same",
            "metadata.nested == metadata.other",
            "metadata.nested != metadata.tags",
            "metadata.nested in [metadata.other]",
            "size(metadata.tags) == 4",
            "size(metadata.none) == 0 and metadata.none == []",
            "size(metadata.nested) == 1",
            "metadata.items[1].sku == \"two\"",
            "metadata[\"items\"][0][\"sku\"] == \"one\"",
            "metadata.items[2].sku == null",
            "metadata[\"odd key\"] == \"x\"",
            "phone in [from, \"x\"]",
            "[1, 2.0] == [1.0, 2]",
            "[\"a\"] in [[\"b\"], [\"a\"]]",
        ],
    );
}

#[test]
fn names_reach_the_data_and_the_envelope() {
    all(
        Truth::True,
        &[
            "data.duration == duration",
            "data[\"duration\"] == 75",
            "id == \"evt-1\"",
            "data.id == \"inner\"",
            "event == \"call.ended\"",
            "source == \"replicer\"",
            "timestamp == \"2026-04-05T14:04:00Z\"",
            "has(data) and data.event == null and data.data == null",
        ],
    );
    let (condition, _) = compile("data[\"x y\"].a[0] == 1 and sentiment == b");
    let paths: Vec<_> = condition.paths().iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(paths, ["data[\"x y\"].a[0]", "sentiment", "b"]);
    let (_, span) = &condition.paths()[2];
    assert_eq!(&condition.text()[span.clone()], "b");
    assert!(parse_path("metadata.campaign_id").is_ok());
    assert_eq!(parse_path("a == 1").map_err(|e| e.code), Err("not-a-field"));
}

#[test]
fn operators_bind_as_in_cel() {
    all(
        Truth::True,
        &[
            "true or false and false",
            "(true or false) and true",
            "true || false && false",
            "not false and true",
            "!declined and not not answered",
            "true // a comment\n and true",
            "(duration > 60) == true",
            "(has(phone)) != has(nothing)",
            "(!declined) == answered",
        ],
    );
}

#[test]
fn the_fields_that_made_it_unknown_are_named_once() {
    for (text, expected) in [
        ("nothing > 5", &["nothing"][..]),
        ("nothing > 5 and sentiment.contains(\"x\") and answered", &["nothing", "sentiment"]),
        ("nothing > 5 or not callSuccessful or nothing < 3", &["nothing", "callSuccessful"]),
        ("duration > \"60\"", &["duration"]),
        ("status > duration", &["status", "duration"]),
        ("status > nothing", &["nothing"]),
        ("status.contains(duration)", &["duration"]),
        ("size(duration) == declined", &["duration"]),
        ("(metadata.x > 1) == answered", &["metadata.x"]),
        ("phone in [from, nothing.lowerAscii()] and nothing > 1", &["nothing"]),
        ("duration > 1", &[]),
    ] {
        let (condition, fields) = compile(text);
        let event = event(CALL);
        let found = condition.unknown_fields(&fields.read(&event, Some("data")));
        let found: Vec<&str> = found.iter().map(|path| &**path).collect();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn a_trace_shows_every_part_with_what_was_read() {
    let (condition, fields) = compile(
        "sentiment == \"negative\" and (metadata.nope > 60 or status > duration) and answered",
    );
    let event = event(CALL);
    let trace = condition.trace(&fields.read(&event, Some("data")));
    let json = serde_json::to_string(&trace).unwrap();
    let expected = concat!(
        r#"{"expr":"sentiment == \"negative\" and (metadata.nope > 60 or status > duration) and answered","#,
        r#""value":"false","decides":true,"parts":["#,
        r#"{"expr":"sentiment == \"negative\"","value":"false","decides":true,"#,
        r#""reads":[{"path":"sentiment","kind":"null","value":"null","blamed":false}]},"#,
        r#"{"expr":"(metadata.nope > 60 or status > duration)","value":"unknown","decides":false,"parts":["#,
        r#"{"expr":"metadata.nope > 60","value":"unknown","decides":false,"#,
        r#""reads":[{"path":"metadata.nope","kind":"missing","blamed":true}]},"#,
        r#"{"expr":"status > duration","value":"unknown","decides":false,"#,
        r#""reads":[{"path":"status","kind":"text","value":"\"Completed\"","blamed":true},"#,
        r#"{"path":"duration","kind":"number","value":"75","blamed":true}]}]},"#,
        r#"{"expr":"answered","value":"true","decides":false,"#,
        r#""reads":[{"path":"answered","kind":"boolean","value":"true","blamed":false}]}]}"#,
    );
    assert_eq!(json, expected);
}

#[test]
fn a_trace_of_a_negation_marks_what_decided_below_it() {
    let (condition, fields) = compile("not (duration > 60 and declined)");
    let event = event(CALL);
    let trace = condition.trace(&fields.read(&event, Some("data")));
    let and = &trace.parts[0];
    assert_eq!((trace.value, and.value, and.decides), (Truth::True, Truth::False, true));
    assert_eq!(and.parts.iter().map(|part| part.decides).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_condition_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    let (condition, fields) = compile("a == 1");
    shared(&Arc::new((condition, fields)));
}
