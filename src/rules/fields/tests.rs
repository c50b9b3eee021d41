//! The reader against `serde_json::Value`, which is what everyone else would read.

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

fn event(body: &str) -> Event {
    Event {
        source: "replicer".into(),
        id: "evt-1".to_owned(),
        kind: "call.ended".to_owned(),
        time: Some(Timestamp::UNIX_EPOCH),
        received: Timestamp::UNIX_EPOCH,
        body: hyper::body::Bytes::copy_from_slice(body.as_bytes()),
    }
}

/// What the value read is, as JSON text; none if it is missing.
fn found(value: &Value<'_>) -> Option<Json> {
    match value {
        Value::Missing => None,
        Value::Null => Some(Json::Null),
        Value::Bool(value) => Some(Json::Bool(*value)),
        Value::Number(_) => Some(Json::String("a number".to_owned())),
        Value::Text(text) => Some(Json::String(text.to_string())),
        Value::List(json) | Value::Object(json) => Some(serde_json::from_str(json).unwrap()),
    }
}

fn at<'j>(json: &'j Json, steps: &[Step]) -> Option<&'j Json> {
    steps.iter().try_fold(json, |json, step| match step {
        Step::Key(key) => json.as_object()?.get(&**key),
        Step::Index(index) => json.as_array()?.get(*index),
    })
}

fn key(name: &str) -> Step {
    Step::Key(name.into())
}

#[test]
fn of_two_equal_keys_the_last_wins_with_nothing_left_of_the_first() {
    let mut fields = Fields::default();
    let b = fields.intern(&Name::Data(vec![key("a"), key("b")]));
    let c = fields.intern(&Name::Data(vec![key("a"), key("c")]));
    let event = event(r#"{"data":{"a":{"b":0}},"data":{"a":{"b":1},"\u0061":{"c":2,"c":3}}}"#);
    let values = fields.read(&event, Some("data"));
    assert!(matches!(values.get(b), Value::Missing));
    assert_eq!(values.json(c).as_deref(), Some("3"));
}

#[test]
fn a_path_can_be_wanted_itself_and_below() {
    let mut fields = Fields::default();
    let whole = fields.intern(&Name::Data(Vec::new()));
    let outer = fields.intern(&Name::Data(vec![key("a")]));
    let inner = fields.intern(&Name::Data(vec![key("a"), Step::Index(1), key("x")]));
    assert_eq!(fields.intern(&Name::Data(vec![key("a")])), outer);
    let event = event(r#"{"data": {"a": [0, {"x": "\u00fc"}]}}"#);
    let values = fields.read(&event, Some("data"));
    assert_eq!(values.json(whole).as_deref(), Some(r#"{"a": [0, {"x": "\u00fc"}]}"#));
    assert_eq!(values.json(outer).as_deref(), Some(r#"[0, {"x": "\u00fc"}]"#));
    assert!(matches!(values.get(inner), Value::Text(text) if text == "ü"));
}

#[test]
fn the_envelope_comes_from_the_event_and_its_time_from_the_body() {
    let mut fields = Fields::default();
    let [kind, id, time, source] =
        [Name::Kind, Name::Id, Name::Timestamp, Name::Source].map(|name| fields.intern(&name));
    let late = fields.intern(&Name::Data(vec![key("x")]));
    for (body, data, expected) in [
        (
            r#"{"id":"other","timestamp":"2026-04-05T14:04:00+02:00","data":{"x":1}}"#,
            Some("data"),
            "\"2026-04-05T14:04:00+02:00\"",
        ),
        (r#"{"timestamp":1775397840,"x":1}"#, None, "1775397840"),
        (r#"{"x":1,"timestamp":null}"#, Some("data"), "\"1970-01-01T00:00:00Z\""),
        (r#"{"x":1}"#, None, "\"1970-01-01T00:00:00Z\""),
    ] {
        let event = event(body);
        let values = fields.read(&event, data);
        assert_eq!(values.json(kind).as_deref(), Some("\"call.ended\""));
        assert_eq!(values.json(id).as_deref(), Some("\"evt-1\""));
        assert_eq!(values.json(source).as_deref(), Some("\"replicer\""));
        assert_eq!(values.json(time).as_deref(), Some(expected));
        assert_eq!(values.json(late).as_deref(), Some("1"), "{body}");
    }
}

#[test]
fn nothing_below_a_number_is_read_and_odd_texts_end_nothing() {
    let mut fields = Fields::default();
    let below = fields.intern(&Name::Data(vec![key("n"), key("$serde_json::private::Number")]));
    let lone = fields.intern(&Name::Data(vec![key("s")]));
    let last = fields.intern(&Name::Data(vec![key("z")]));
    let event = event(r#"{"data":{"n":1.50,"\ud800":0,"s":"\ud800","z":true}}"#);
    let values = fields.read(&event, Some("data"));
    assert!(matches!(values.get(below), Value::Missing));
    assert!(matches!(values.get(lone), Value::Missing));
    assert!(matches!(values.get(last), Value::Bool(true)));
}

#[test]
fn without_an_object_for_the_data_the_whole_body_is_the_data() {
    let mut fields = Fields::default();
    let action = fields.intern(&Name::Data(vec![key("action")]));
    let inner = fields.intern(&Name::Data(vec![key("data")]));
    for data in ["5", "1.5e3", "\"text\"", "[]", "null"] {
        for body in [
            format!(r#"{{"action":"opened","data":{data}}}"#),
            format!(r#"{{"data":{{"action":"no"}},"action":"opened","data":{data}}}"#),
        ] {
            let event = event(&body);
            let values = fields.read(&event, Some("data"));
            assert_eq!(values.json(action).as_deref(), Some("\"opened\""), "{body}");
            assert_eq!(values.json(inner).as_deref(), Some(data), "{body}");
        }
    }
    let event = event(r#"{"action":"opened","data":{}}"#);
    assert!(fields.read(&event, Some("data")).get(action).is_null());
}

#[test]
fn what_is_no_json_reads_as_missing() {
    let mut fields = Fields::default();
    let slot = fields.intern(&Name::Data(vec![key("a")]));
    for body in [
        "",
        "[]",
        "7",
        "{",
        "{\"data\":",
        "{\"data\":{\"a\":}}",
        "{\"data\":[{\"a\":1}]}",
        "{\"data\":null}",
    ] {
        let event = event(body);
        assert!(fields.read(&event, Some("data")).get(slot).is_null(), "{body}");
    }
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(Json::from),
        (-1e9..1e9).prop_map(Json::from),
        "(a|b|\\\\|\"|ü|\n|\u{1}){0,4}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            proptest::collection::vec(("[ab\"ü]{0,2}", inner), 0..4)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

fn path() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => "[ab\"ü]{0,2}".prop_map(|key| Step::Key(key.into())),
        1 => (0_usize..3).prop_map(Step::Index),
    ];
    proptest::collection::vec(step, 0..4)
}

proptest! {
    #[test]
    fn reading_gives_what_a_tree_of_the_whole_body_has(
        data in json(),
        paths in proptest::collection::vec(path(), 1..8),
        pretty in any::<bool>(),
        whole in any::<bool>(),
    ) {
        let tree = if whole { data.clone() } else { serde_json::json!({"before": data, "data": data, "after": [data]}) };
        let text = if pretty { serde_json::to_string_pretty(&tree) } else { serde_json::to_string(&tree) }.unwrap();
        let root = if data.is_object() { &data } else { &tree };
        let mut fields = Fields::default();
        let slots: Vec<_> = paths.iter().map(|path| fields.intern(&Name::Data(path.clone()))).collect();
        let event = event(&text);
        let values = fields.read(&event, if whole { None } else { Some("data") });
        for (path, slot) in paths.iter().zip(slots) {
            let expected = at(root, path);
            if let Some(Json::Number(number)) = expected {
                prop_assert_eq!(values.json(slot).unwrap(), number.as_str());
                prop_assert!(matches!(values.get(slot), Value::Number(_)));
            } else {
                let found = found(values.get(slot));
                prop_assert_eq!(found.as_ref(), expected, "{:?} of {}", path, text);
            }
        }
    }
}
