//! Conditions beside the `cel` crate: wherever CEL says true or false, a condition says the same.
//!
//! The intended differences, each shown by [`the_intended_differences_are_these`]:
//!
//! - `has(x)` of a null is false here: null and missing are the same. CEL says true.
//! - Numbers compare by their digits. CEL takes fractions, and whole numbers beyond 64 bits, as doubles: to it
//!   `0.1` and `0.10000000000000001` are the same.
//! - Where CEL ends in an error, a condition is unknown, or null and missing make it false or true.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use cel::{Context, Env, Value};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::generate::{body, condition};
use super::*;

static CEL: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut env = Env::stdlib();
    env.add_extension(cel::extensions::strings).unwrap();
    Arc::new(env)
});

/// As other programs hand JSON to CEL: whole numbers as integers, the rest as doubles.
fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Value::Int(int),
            (None, Some(int)) => Value::UInt(int),
            (None, None) => Value::Float(number.as_str().parse().unwrap()),
        },
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::from(items.iter().map(value).collect::<Vec<_>>()),
        Json::Object(members) => {
            let members = members.iter().map(|(key, json)| (key.clone(), value(json)));
            Value::from(members.collect::<HashMap<String, Value>>())
        }
    }
}

/// What CEL says; none for an error and for anything that is no truth value.
fn by_cel(text: &str, body: &str) -> Option<bool> {
    let program = CEL.compile(text).ok()?;
    let body: Json = serde_json::from_str(body).unwrap();
    let mut context = Context::with_env(Arc::clone(&CEL));
    for (name, json) in body["data"].as_object().unwrap() {
        context.add_variable_from_value(name.as_str(), value(json));
    }
    context.add_variable_from_value("data", value(&body["data"]));
    context.add_variable_from_value("id", "evt-1");
    match program.execute(&context) {
        Ok(Value::Bool(value)) => Some(value),
        _ => None,
    }
}

fn by_us(text: &str, body: &str) -> Truth {
    let (condition, fields) = compile(text);
    condition.eval(&fields.read(&event(body), Some("data")))
}

/// In CEL's own words; the generated texts have these words nowhere else.
fn in_cel(text: &str) -> String {
    text.replace(" and ", " && ").replace("not (", "!(")
}

/// Whether the condition asks `has()` of something that is there with null.
fn asks_has_of_a_null(text: &str, body: &str) -> bool {
    let body: Json = serde_json::from_str(body).unwrap();
    text.contains("has(data.id)") && body.pointer("/data/id") == Some(&Json::Null)
        || text.contains("has(m.x)") && body.pointer("/data/m/x") == Some(&Json::Null)
        || text.contains("has(m[\"y z\"])") && body.pointer("/data/m/y z") == Some(&Json::Null)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn where_cel_says_true_or_false_a_condition_says_the_same(text in condition(), body in body()) {
        let text = in_cel(&text);
        if let Some(expected) = by_cel(&text, &body)
            && !asks_has_of_a_null(&text, &body)
        {
            prop_assert_eq!(by_us(&text, &body), Truth::from(expected), "{} of {}", text, body);
        }
    }
}

/// The property above would hold of a CEL that says nothing, too.
#[test]
fn cel_says_true_and_false_and_so_do_conditions() {
    let body = r#"{"data":{"a":1,"b":"abab","c":true,"m":{"x":2.5,"y z":null},"l":[1,"a"]}}"#;
    for (text, expected) in [
        ("a == 1 && b.startsWith(\"ab\")", true),
        ("a > 1 || l[1] == \"a\"", true),
        ("!(m.x >= 2.5)", false),
        ("\"a\" in l && 1.0 in l && !(2 in l)", true),
        ("b.matches(\"^(ab)+$\") && size(b) == 4", true),
        ("m[\"y z\"] == null && has(m.x) && !has(m.z)", true),
        ("nope == 1 || c", true),
        ("c && b.contains(\"aa\")", false),
        ("b.lowerAscii() == \"abab\" && a == 1.0 && a in [2, 1.0]", true),
        ("l == [1.0, \"a\"] && a < 1.5 && b > \"ab\"", true),
    ] {
        assert_eq!(by_cel(text, body), Some(expected), "{text}");
        assert_eq!(by_us(text, body), Truth::from(expected), "{text}");
    }
}

#[test]
fn the_intended_differences_are_these() {
    use Truth::{False, True, Unknown};
    let body = r#"{"data":{"n":null,"d":75,"tiny":0.10000000000000001,"m":{"v":null},"s":"x"}}"#;
    for (text, by, ours) in [
        // Null is as good as missing.
        ("has(m.v)", Some(true), False),
        // Digits rather than doubles.
        ("tiny == 0.1", Some(true), False),
        ("tiny > 0.1", Some(false), True),
        // CEL's errors.
        ("nope == 1", None, False),
        ("m.nope != 1", None, True),
        ("m.nope.deep == null", None, True),
        ("n > 5", None, Unknown),
        ("d > \"60\"", None, Unknown),
        ("n.contains(\"x\")", None, Unknown),
        ("!n", None, Unknown),
        ("\"x\" in s", None, False),
        // What looks like a difference but is none.
        ("d == \"75\"", Some(false), False),
        ("n == null", Some(true), True),
    ] {
        assert_eq!((by_cel(text, body), by_us(text, body)), (by, ours), "{text}");
    }
}
