//! Conditions on what senders really send: nulls, missing fields, other types.

use serde_json::{Value, json};

use crate::support::events::event;
use crate::support::metrics::names;
use crate::support::{Bridge, Receiver, call};

/// Posts `cases` to a bridge whose one rule has `when`; gives the ids of those that matched, and the bridge.
fn matched(when: &str, cases: &[(&str, Value)]) -> (Vec<String>, Bridge) {
    let receiver = Receiver::start();
    let rules = format!(
        r#"
[destinations.sales]
provider = "slack"
url = "{}"

[[rules]]
name = "the rule"
on = "call.ended"
when = '{when}'
to = ["sales"]
template = "id"
"#,
        receiver.url("/slack")
    );
    let bridge = Bridge::with_rules(&rules).template("id.hbs", "{{id}}").start();
    for (id, data) in cases {
        let mut event = call(id);
        for (key, value) in data.as_object().unwrap() {
            if value == "MISSING" {
                event["data"].as_object_mut().unwrap().remove(key);
            } else {
                event["data"][key] = value.clone();
            }
        }
        bridge.accepts(event.to_string());
    }
    // All is decided when an event is answered, so what is owed now is all that will ever be.
    let mut owed: Vec<String> = bridge
        .notification_rows()
        .iter()
        .map(|r| r["event"].as_str().unwrap().to_owned())
        .collect();
    owed.sort();
    let mut told: Vec<String> = receiver
        .received(owed.len())
        .iter()
        .map(|r| r.json()["text"].as_str().unwrap().to_owned())
        .collect();
    told.sort();
    assert_eq!(owed, told, "what is owed is what is told");
    (owed, bridge)
}

#[test]
fn a_won_deal_is_true_and_nothing_else() {
    let (ids, _bridge) = matched(
        "callSuccessful == true",
        &[
            ("a-true", json!({"callSuccessful": true})),
            ("b-false", json!({"callSuccessful": false})),
            ("c-null", json!({"callSuccessful": null})),
            ("d-missing", json!({"callSuccessful": "MISSING"})),
            ("e-text", json!({"callSuccessful": "true"})),
            ("f-number", json!({"callSuccessful": 1})),
            ("g-list", json!({"callSuccessful": [true]})),
        ],
    );
    assert_eq!(ids, ["a-true"]);
}

#[test]
fn an_unhappy_customer_is_negative_and_longer_than_a_minute() {
    let (ids, bridge) = matched(
        r#"sentiment == "negative" && duration > 60"#,
        &[
            ("a-both", json!({"sentiment": "negative", "duration": 61})),
            ("b-at-the-edge", json!({"sentiment": "negative", "duration": 60})),
            ("c-fraction", json!({"sentiment": "negative", "duration": 60.5})),
            ("d-short", json!({"sentiment": "negative", "duration": 5})),
            ("e-positive", json!({"sentiment": "positive", "duration": 100})),
            ("f-upper-case", json!({"sentiment": "NEGATIVE", "duration": 100})),
            ("g-null-sentiment", json!({"sentiment": null, "duration": 100})),
            ("h-no-sentiment", json!({"sentiment": "MISSING", "duration": 100})),
            ("i-null-duration", json!({"sentiment": "negative", "duration": null})),
            ("j-no-duration", json!({"sentiment": "negative", "duration": "MISSING"})),
            ("k-text-duration", json!({"sentiment": "negative", "duration": "100"})),
            // false && unknown is false: nothing was missed here.
            ("l-positive-no-duration", json!({"sentiment": "positive", "duration": null})),
        ],
    );
    assert_eq!(ids, ["a-both", "c-fraction"]);
    let rows = bridge.event_rows();
    let unknown: Vec<&str> = rows
        .iter()
        .rev()
        .filter(|row| row["unknown"].as_array().is_some_and(|u| !u.is_empty()))
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    assert_eq!(unknown, ["i-null-duration", "j-no-duration", "k-text-duration"]);
    let row = rows.iter().find(|row| row["id"] == "i-null-duration").unwrap();
    assert_eq!(row["unknown"], json!([{"rule": "the rule", "fields": ["duration"]}]));
    let counted = bridge.metrics().sum(names::UNKNOWN, &["rule=\"the rule\""]);
    assert!((counted - 3.0).abs() < 0.5, "{counted} are counted");
}

#[test]
fn numbers_compare_exactly() {
    let (ids, _bridge) = matched(
        "metadata.n > 9007199254740992",
        &[
            ("a-equal", json!({"metadata": {"n": 9_007_199_254_740_992_i64}})),
            ("b-one-more", json!({"metadata": {"n": 9_007_199_254_740_993_i64}})),
            ("c-one-less", json!({"metadata": {"n": 9_007_199_254_740_991_i64}})),
        ],
    );
    assert_eq!(ids, ["b-one-more"]);
}

#[test]
fn words_and_signs_mean_the_same() {
    for when in [
        r#"sentiment in ["negative", "angry"] and not (status == "failed")"#,
        r#"sentiment in ["negative", "angry"] && !(status == "failed")"#,
        r#"(sentiment == "negative" || sentiment == "angry") && status != "failed""#,
    ] {
        let (ids, _bridge) = matched(
            when,
            &[
                ("a", json!({"sentiment": "angry", "status": "completed"})),
                ("b", json!({"sentiment": "negative", "status": null})),
                ("c", json!({"sentiment": "negative", "status": "failed"})),
                ("d", json!({"sentiment": null, "status": "completed"})),
            ],
        );
        assert_eq!(ids, ["a", "b"], "{when}");
    }
}

#[test]
fn text_functions_read_nested_fields() {
    let (ids, _bridge) = matched(
        r#"has(metadata.campaign_id) && metadata.campaign_id.startsWith("summer")"#,
        &[
            ("a", json!({})),
            ("b", json!({"metadata": {"campaign_id": "winter"}})),
            ("c", json!({"metadata": null})),
            ("d", json!({"metadata": "MISSING"})),
            ("e", json!({"metadata": {"campaign_id": 7}})),
            ("f", json!({"metadata": []})),
        ],
    );
    assert_eq!(ids, ["a"]);
}

#[test]
fn an_unknown_rule_stops_no_other() {
    let receiver = Receiver::start();
    let rules = format!(
        r#"
[destinations.sales]
provider = "slack"
url = "{}"

[[rules]]
name = "unknown"
when = 'duration > 60'
to = ["sales"]

[[rules]]
name = "everything"
to = ["sales"]
template = "id"
"#,
        receiver.url("/slack")
    );
    let bridge = Bridge::with_rules(&rules).template("id.hbs", "{{id}}").start();
    let sent = event("evt-1", "sms.received", &json!({"text": "hi"})).to_string();
    bridge.accepts(sent.clone());
    assert_eq!(receiver.received(1)[0].json()["text"], "evt-1");
    assert_eq!(bridge.event_rows()[0]["unknown"][0]["rule"], "unknown");
    assert_eq!(bridge.notification_rows().len(), 1);
    // A repetition is the same event: nothing is unknown once more.
    assert_eq!(bridge.post("replicer", sent.as_bytes()).json()["duplicate"], true);
    let counted = bridge.metrics().sum(names::UNKNOWN, &["rule=\"unknown\"", "field=\"duration\""]);
    assert!((counted - 1.0).abs() < 0.5, "{counted} are counted");
}

#[test]
fn types_patterns_stop_shadow_and_enabled_are_kept() {
    let receiver = Receiver::start();
    let rule = |name: &str, more: &str| {
        format!("[[rules]]\nname = \"{name}\"\nto = [\"sales\"]\n{more}\n")
    };
    let rules = format!(
        "[destinations.sales]\nprovider = \"slack\"\nurl = \"{}\"\n{}{}{}{}{}{}",
        receiver.url("/slack"),
        rule("appointments", "on = \"appointment.*\""),
        rule("a list", "on = [\"sms.received\", \"appointment.created\"]"),
        rule("disabled", "enabled = false"),
        rule("shadow", "on = \"sms.received\"\nshadow = true"),
        rule("last", "on = \"sms.received\"\nstop = true"),
        rule("after", ""),
    );
    let bridge = Bridge::with_rules(&rules).start();
    for kind in ["appointment.created", "appointment.cancelled", "sms.received", "appointments"] {
        bridge.accepts(event(kind, kind, &json!({})).to_string());
    }
    let rows = bridge.notification_rows();
    let rules_of = |id: &str| {
        let mut names: Vec<String> = rows
            .iter()
            .filter(|row| row["event"] == id)
            .map(|row| format!("{} {}", row["rule"].as_str().unwrap(), row["state"] == "shadow"))
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        rules_of("appointment.created"),
        ["a list false", "after false", "appointments false"]
    );
    assert_eq!(rules_of("appointment.cancelled"), ["after false", "appointments false"]);
    assert_eq!(rules_of("sms.received"), ["a list false", "last false", "shadow true"]);
    assert_eq!(rules_of("appointments"), ["after false"]);
    receiver.received(8);
    crate::support::eventually("all but the shadow are sent", || {
        let rows = bridge.notification_rows();
        let sent = rows.iter().filter(|row| row["state"] == "sent").count();
        (sent == 8).then_some(())
    });
}
