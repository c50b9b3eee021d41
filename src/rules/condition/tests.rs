//! The language's promises: tables for what it means and what it refuses, properties for what can't be listed.

use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;

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

#[track_caller]
fn refused(text: &str) -> Vec<ConditionError> {
    match Condition::compile(text, &mut Fields::default()) {
        Ok(condition) => panic!("{text} was taken as {}", condition.tree()),
        Err(errors) => errors,
    }
}

#[test]
fn what_the_language_leaves_out_is_refused_by_name_with_what_to_write() {
    for (text, code, said) in [
        ("duration / 60 > 1", "unsupported-arithmetic", "compare with the result"),
        (
            "duration > 60 * 2",
            "unsupported-arithmetic",
            "arithmetic is not supported in conditions",
        ),
        ("-duration > 1", "unsupported-arithmetic", "arithmetic"),
        ("metadata.campaign-id == 1", "unsupported-arithmetic", "metadata[\"campaign-id\"]"),
        ("a-b == 1", "unsupported-arithmetic", "data[\"a-b\"]"),
        ("answered ? true : false", "unsupported-ternary", "two rules"),
        ("(sentiment ?? \"x\") == \"x\"", "unsupported-operator", "`??`"),
        ("metadata?.x == 1", "unsupported-operator", "`?.`"),
        ("metadata.?x == 1", "unsupported-operator", "`?.`"),
        ("tags.exists(t, t == \"a\")", "unsupported-macro", "in metadata.tags"),
        ("tags.all(t, t > 1)", "unsupported-macro", "macros"),
        ("status.startswith(\"f\")", "unknown-function", "did you mean `x.startsWith(\"…\")`?"),
        ("status.starts_with(\"f\")", "unknown-function", "x.startsWith"),
        ("status.toLowerCase() == \"x\"", "unknown-function", "x.lowerAscii()"),
        ("status.includes(\"x\")", "unknown-function", "x.contains"),
        ("len(status) > 1", "unknown-function", "size(x)"),
        ("status.upperAscii() == \"X\"", "unknown-function", "lower case"),
        ("status.frobnicate()", "unknown-function", "the functions are"),
        ("contains(status, \"x\")", "wrong-arguments", "x.contains"),
        ("has(status == 1)", "wrong-arguments", "has(x)"),
        ("status.contains()", "wrong-arguments", "x.contains"),
        ("status = \"x\"", "unsupported-operator", "write `==`"),
        ("status === \"x\"", "unsupported-operator", "write `==`"),
        ("status !== \"x\"", "unsupported-operator", "write `!=`"),
        ("status <> \"x\"", "unsupported-operator", "write `!=`"),
        ("status =~ \"x\"", "unsupported-operator", "x.matches"),
        ("duration => 5", "unsupported-operator", "write `>=`"),
        ("duration =< 5", "unsupported-operator", "write `<=`"),
        ("answered & declined", "unsupported-operator", "`and` or `&&`"),
        ("answered | declined", "unsupported-operator", "`or` or `||`"),
        ("answered AND declined", "unsupported-operator", "`and` or `&&`"),
        ("answered OR declined", "unsupported-operator", "`or` or `||`"),
        ("NOT declined", "unsupported-operator", "`not` or `!`"),
        ("answered == True", "unsupported-literal", "write `true`"),
        ("answered == FALSE", "unsupported-literal", "write `false`"),
        ("sentiment == None", "unsupported-literal", "write `null`"),
        ("sentiment == nil", "unsupported-literal", "write `null`"),
        ("sentiment == undefined", "unsupported-literal", "data.undefined"),
        ("sentiment is null", "unsupported-operator", "== null"),
        ("sentiment IS NOT NULL", "unsupported-operator", "!= null"),
        ("status like \"x%\"", "unsupported-operator", "x.contains"),
        ("status contains \"x\"", "unsupported-operator", "x.contains"),
        ("status not in [\"x\"]", "unsupported-operator", "not (x in […])"),
        ("duration between 1 and 5", "unsupported-operator", "x >= 1 and x <= 5"),
        ("1 < duration < 5", "chained-comparison", "1 < x and x < 5"),
        ("not duration > 5", "ambiguous-not", "write `not (duration > 5)`"),
        ("!status == \"x\"", "ambiguous-not", "write `!(status == \"x\")`"),
        ("status == b\"x\"", "unsupported-bytes", "\"text\""),
        ("timestamp(startedAt) > 1", "unsupported-time", "text"),
        ("x > duration(\"1h\")", "unsupported-time", "no time"),
        ("int(status) > 1", "unsupported-conversion", "never converted"),
        ("status == \"x", "unclosed-string", "end it with \""),
        ("status == 'x\n'", "unclosed-string", "end it with '"),
        ("(answered", "unclosed-bracket", "add a `)`"),
        ("status in [\"x\"", "unclosed-bracket", "add a `]`"),
        ("answered)", "unexpected-token", "there is no ("),
        ("status == \"a\" \"b\"", "unexpected-token", "join"),
        ("answered declined", "unexpected-token", "join"),
        ("status ==", "unexpected-end", "ends where a value"),
        ("== 1", "unexpected-token", "before `==`"),
        ("and answered", "unexpected-token", "data[\"and\"]"),
        ("metadata. == 1", "unexpected-token", "behind the dot"),
        ("  ", "empty-condition", "leave `when` out"),
        ("status == “x”", "unexpected-character", "use \" or '"),
        ("duration ≥ 5", "unexpected-character", "write `>=`"),
        ("$.status == 1", "unexpected-character", "name alone"),
        ("duration > 60s", "invalid-number", "`60s`"),
        ("duration > 1_000", "invalid-number", "separators"),
        ("duration > 1.2.3", "invalid-number", "`1.2.3`"),
        ("duration > 1.5u", "invalid-number", "`1.5u`"),
        ("status == \"\\d\"", "invalid-escape", "r\"\\d+\""),
        ("status == \"\\ud800\"", "invalid-escape", "no escape"),
        ("status.matches(\"(\")", "invalid-regex", "unclosed group"),
        ("status.matches(\"(?=x)\")", "invalid-regex", "look-around"),
        ("status.matches(r\"\\w{1000}{1000}\")", "regex-too-big", "smaller"),
        ("status.matches(phone)", "impossible-type", "written out"),
        ("metadata[status] == 1", "unsupported-index", "metadata[\"key\"]"),
        ("metadata[-1] == 1", "unsupported-index", "from 0"),
        ("metadata == {\"a\": 1}", "unsupported-object", "one field at a time"),
        ("event.type == \"x\"", "envelope-field", "data.event.type"),
        ("\"x\"", "impossible-type", "this is a text"),
        ("size(status)", "impossible-type", "this is a number"),
        ("answered and 5", "impossible-type", "this is a number"),
        ("status > null", "impossible-type", "null has no order"),
        ("\"a\" < 5", "impossible-type", "have no order"),
        ("status in \"abc\"", "impossible-type", "x.contains"),
        ("status.contains(5)", "impossible-type", "works on texts"),
        ("size(5) > 1", "impossible-type", "works on texts, lists"),
        ("metadata == [status]", "impossible-type", "can hold only values"),
    ] {
        let errors = refused(text);
        let first = &errors[0];
        let all = format!("{} ({})", first.message, first.hint.as_deref().unwrap_or_default());
        assert_eq!(first.code, code, "{text}: {all}");
        assert!(all.contains(said), "{text}: {all}");
        assert_eq!(errors.len(), 1, "{text} is one mistake: {errors:#?}");
        assert!(!first.message.ends_with('.'), "{all}");
        assert!(text.get(first.span.clone()).is_some(), "{text}: {:?}", first.span);
    }
}

#[test]
fn several_mistakes_are_shown_in_one_run() {
    let codes: Vec<_> = refused("status = \"x\" & duration / 60 > 1 AND answered == True")
        .iter()
        .map(|e| e.code)
        .collect();
    assert_eq!(
        codes,
        [
            "unsupported-operator",
            "unsupported-operator",
            "unsupported-arithmetic",
            "unsupported-operator",
            "unsupported-literal"
        ]
    );
    assert_eq!(refused("status.matches(\"(\") or status > null").len(), 2);
}

#[test]
fn length_is_no_depth_and_depth_is_bounded() {
    let long = vec!["a == 1"; 1_400].join(" and ");
    assert_eq!(eval(&long), Truth::False);
    for (open, inner, close) in [
        ("(", "a", ")"),
        ("not ", "a", ""),
        ("[", "", "]"),
        ("x.contains(", "a", ")"),
        ("-", "a", ""),
    ] {
        for times in [MAX_DEPTH + 1, 1_000] {
            let text = format!("{}{inner}{}", open.repeat(times), close.repeat(times));
            let codes: Vec<_> = refused(&text).iter().map(|e| e.code).collect();
            assert!(codes.contains(&"condition-too-deep"), "{open}: {codes:?}");
        }
    }
    assert_eq!(
        refused(&format!("x{}", ".lowerAscii()".repeat(1_000)))[0].code,
        "condition-too-deep"
    );
    assert_eq!(refused(&format!("x{}", ".y".repeat(1_000)))[0].code, "condition-too-deep");
    assert_eq!(eval(&format!("{}answered{}", "(".repeat(60), ")".repeat(60))), Truth::True);
    assert_eq!(refused(&" ".repeat(MAX_LENGTH + 1))[0].code, "condition-too-long");
    let regexes = vec!["a.matches(\"x\")"; 33].join(" or ");
    assert_eq!(refused(&regexes)[0].code, "too-many-regexes");
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

/// Texts that look like conditions more often than chance would have it.
fn soup() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        proptest::sample::select(vec![
            "a",
            "b.c",
            "data",
            "event",
            "==",
            "!=",
            "<",
            ">=",
            "in",
            "and",
            "or",
            "not",
            "&&",
            "||",
            "!",
            "(",
            ")",
            "[",
            "]",
            ",",
            ".",
            "?",
            ":",
            "-",
            "+",
            "=",
            "1",
            "2.5e3",
            "0x1f",
            "1u",
            "\"t\"",
            "'",
            "\"",
            "\\",
            "r\"\\d\"",
            "true",
            "null",
            "has(",
            "size(",
            ".size()",
            ".contains(",
            ".matches(",
            ".lowerAscii()",
            ".exists(",
            "is",
            "like",
            "NOT",
            "True",
            "//",
            "\n",
            "\"\"\"",
            "{",
            "ß",
            "“",
            "timestamp(",
            "[0]",
            "[\"k\"]",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,3}",
    ];
    (proptest::collection::vec(piece, 0..24), any::<bool>())
        .prop_map(|(pieces, spaced)| pieces.join(if spaced { " " } else { "" }))
}

/// Conditions that are right, without impossible types.
fn condition() -> impl Strategy<Value = String> {
    let field = || {
        proptest::sample::select(vec![
            "a",
            "b",
            "c",
            "m.x",
            "m[\"y z\"]",
            "l[1]",
            "l",
            "id",
            "data.id",
        ])
    };
    let literal = || {
        proptest::sample::select(vec![
            "null",
            "true",
            "1",
            "-2.50",
            "1e2",
            "007",
            "\"a\"",
            "'q\\n\"'",
            "r'\\'",
            "[1, \"a\"]",
            "[]",
        ])
    };
    let leaf = prop_oneof![
        field().prop_map(str::to_owned),
        (field(), proptest::sample::select(vec!["==", "!="]), literal())
            .prop_map(|(a, o, b)| format!("{a} {o} {b}")),
        (literal(), field()).prop_map(|(a, b)| format!("{a} == {b}")),
        (
            field(),
            proptest::sample::select(vec!["<", "<=", ">", ">="]),
            proptest::sample::select(vec!["1", "2.5", "\"a\""])
        )
            .prop_map(|(a, o, b)| format!("{a} {o} {b}")),
        (field(), field()).prop_map(|(a, b)| format!("{a} <= {b}")),
        (field(), field(), literal()).prop_map(|(a, b, c)| format!("{a} in [{b}, {c}]")),
        (literal(), field()).prop_map(|(a, b)| format!("{a} in {b}")),
        field().prop_map(|a| format!("has({a})")),
        (field(), proptest::sample::select(vec!["startsWith", "endsWith", "contains", "matches"]))
            .prop_map(|(a, f)| format!("{a}.{f}(\"a\")")),
        field().prop_map(|a| format!("size({a}) > 1")),
        field().prop_map(|a| format!("{a}.lowerAscii() == \"a\"")),
        Just("true".to_owned()),
        Just("false".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) and ({b})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a}) || ({b}) || ({c})")),
            inner.clone().prop_map(|a| format!("not ({a})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("({a}) == ({b})")),
        ]
    })
}

fn body() -> impl Strategy<Value = String> {
    let value = || {
        proptest::sample::select(vec![
            "null",
            "true",
            "false",
            "1",
            "2.5",
            "100",
            "-2.5",
            "1e400",
            "\"a\"",
            "\"A\"",
            "\"\\u0061\"",
            "[1,\"a\"]",
            "[]",
            "{\"x\":1}",
            "{\"x\":\"a\",\"y z\":null}",
        ])
    };
    let key = proptest::sample::select(vec!["a", "b", "c", "m", "l", "id"]);
    proptest::collection::vec((key, value()), 0..7).prop_map(|members| {
        let members: Vec<_> =
            members.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
        format!("{{\"data\": {{{}}}}}", members.join(", "))
    })
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in soup()) {
        match Condition::compile(&text, &mut Fields::default()) {
            Ok(condition) => prop_assert!(condition.tree().height <= MAX_DEPTH),
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                for error in errors {
                    prop_assert!(text.get(error.span.clone()).is_some(), "{:?}", error);
                    prop_assert!(error.message.len() < 300 && error.hint.is_some(), "{:?}", error);
                }
            }
        }
    }

    #[test]
    fn what_is_printed_parses_to_the_same(text in prop_oneof![soup(), condition()]) {
        if let Ok(condition) = Condition::compile(&text, &mut Fields::default()) {
            let printed = condition.tree().to_string();
            let (again, _) = compile(&printed);
            prop_assert_eq!(again.tree().to_string(), printed);
        }
    }

    #[test]
    fn evaluation_trace_and_blame_agree_and_printing_keeps_the_meaning(text in condition(), body in body()) {
        let (condition, fields) = compile(&text);
        let event = event(&body);
        let values = fields.read(&event, Some("data"));
        let truth = condition.eval(&values);
        let trace = condition.trace(&values);
        prop_assert_eq!(trace.value, truth);
        prop_assert!(trace.decides);
        prop_assert_eq!(condition.unknown_fields(&values).is_empty(), truth != Truth::Unknown);
        let (printed, fields) = compile(&condition.tree().to_string());
        prop_assert_eq!(printed.eval(&fields.read(&event, Some("data"))), truth);
    }

    #[test]
    fn the_laws_of_kleene_hold(a in condition(), b in condition(), c in condition(), body in body()) {
        let event = event(&body);
        let eval = |text: String| {
            let (condition, fields) = compile(&text);
            condition.eval(&fields.read(&event, Some("data")))
        };
        prop_assert_eq!(eval(format!("not (({a}) and ({b}))")), eval(format!("not ({a}) or not ({b})")));
        prop_assert_eq!(eval(format!("not (({a}) or ({b}))")), eval(format!("not ({a}) and not ({b})")));
        prop_assert_eq!(eval(format!("({a}) and ({b})")), eval(format!("({b}) and ({a})")));
        prop_assert_eq!(eval(format!("not not ({a})")), eval(a.clone()));
        prop_assert_eq!(
            eval(format!("({a}) and (({b}) or ({c}))")),
            eval(format!("(({a}) and ({b})) or (({a}) and ({c}))"))
        );
    }

    #[test]
    fn equality_is_never_unknown_and_has_its_opposite(
        a in proptest::sample::select(vec!["a", "m.x", "l[0]", "nope"]),
        b in proptest::sample::select(vec!["b", "1", "\"a\"", "null", "[1, \"a\"]", "m"]),
        body in body(),
    ) {
        let event = event(&body);
        let eval = |text: String| {
            let (condition, fields) = compile(&text);
            condition.eval(&fields.read(&event, Some("data")))
        };
        let equal = eval(format!("{a} == {b}"));
        prop_assert_ne!(equal, Truth::Unknown);
        prop_assert_eq!(eval(format!("{b} == {a}")), equal);
        prop_assert_eq!(eval(format!("{a} != {b}")), !equal);
        prop_assert_eq!(eval(format!("{a} in [{b}]")), equal);
    }
}

#[test]
fn a_condition_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    let (condition, fields) = compile("a == 1");
    shared(&Arc::new((condition, fields)));
}
