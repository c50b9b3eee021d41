//! `explain`: why an event notified whom, asked of files and of the running bridge.

use serde_json::{Value, json};

use crate::support::command::{Ran, bare, run};
use crate::support::events::{call_with, documented};
use crate::support::{Bridge, Receiver, SECRET, eventually, root, signature};

/// Runs `explain` in the repository's root, where the shipped rules are, with no variable set.
fn explain(args: &[&str]) -> Ran {
    let mut all = vec!["explain"];
    all.extend_from_slice(args);
    let mut command = bare(&all);
    command.current_dir(root()).env("TZ", "UTC");
    run(command)
}

fn rule<'v>(explanation: &'v Value, name: &str) -> &'v Value {
    let rules = explanation["rules"].as_array().unwrap();
    rules.iter().find(|r| r["rule"] == name).unwrap_or_else(|| panic!("no {name}: {explanation}"))
}

#[test]
fn a_file_is_explained_without_any_secret_set_and_every_named_key_is_there() {
    let ran = explain(&["tests/events/call.ended.unhappy.json", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stderr.contains("shown as ***"), "{}", ran.stderr);
    let told = ran.json();
    assert_eq!(
        told["event"],
        json!({"source": "replicer", "id": "evt-sample-unhappy", "type": "call.ended"})
    );
    let unhappy = rule(&told, "unhappy customer");
    assert_eq!(unhappy["outcome"], "matched");
    assert_eq!(unhappy["when"]["expr"], r#"sentiment == "negative" && duration > 60"#);
    assert_eq!(unhappy["when"]["value"], true);
    assert_eq!(unhappy["when"]["parts"][1]["expr"], "duration > 60");
    assert_eq!(unhappy["when"]["parts"][1]["reads"][0]["value"], 187);
    let to: Vec<_> = unhappy["notifications"].as_array().unwrap().iter().collect();
    let names: Vec<_> = to.iter().map(|n| n["destination"].as_str().unwrap()).collect();
    assert_eq!(names, ["sales", "manager", "office-mail"]);
    for notification in &to {
        assert_eq!(notification["decision"], "send");
        assert!(notification.get("until").is_some_and(Value::is_null), "{notification}");
        for key in ["method", "url", "body"] {
            assert!(notification["request"][key].is_string(), "{key}: {notification}");
        }
    }
    assert_eq!(to[1]["request"]["headers"]["authorization"], "Basic ***");
    assert_eq!(
        to[1]["request"]["url"],
        "https://api.twilio.com/2010-04-01/Accounts/***/Messages.json"
    );
    assert_eq!(to[2]["request"]["headers"]["To"], "office@example.com");
    assert!(!ran.stdout.contains("stand-in"), "{}", ran.stdout);
    assert_eq!(rule(&told, "won deal")["outcome"], "no_match");

    let failed = explain(&["tests/events/call.ended.failed.json", "--json"]).json();
    assert_eq!(rule(&failed, "failed call")["outcome"], "matched");
    let won = rule(&failed, "won deal");
    assert_eq!(won["outcome"], "no_match", "null equals only null");
}

#[test]
fn the_tree_is_readable_and_within_80_columns() {
    for event in ["call.ended.json", "call.ended.unhappy.json", "call.ended.failed.json"] {
        let ran = explain(&[&format!("tests/events/{event}")]);
        assert_eq!(ran.code, 0, "{}", ran.all());
        for line in ran.stdout.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(!ran.stdout.contains('\u{1b}'), "no colour where nobody looks");
    }
    let ran = explain(&["tests/events/call.ended.json", "--rule", "unhappy customer"]);
    assert!(
        ran.stdout.contains("├ sentiment == \"negative\"  false    sentiment = \"positive\""),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("└ duration > 60            true     duration = 240"),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains("won deal"), "{}", ran.stdout);
}

#[test]
fn a_signature_is_checked_where_headers_are_given() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("event.json"), documented()).unwrap();
    let ask = |header: &str, secret: Option<&str>| {
        let mut command = bare(&["explain", "event.json", "--json", "-H", header]);
        command.current_dir(folder.path());
        if let Some(secret) = secret {
            command.env("REPLICER_SIGNING_SECRET", secret);
        }
        run(command)
    };
    let right = format!("X-Replicer-Signature: {}", signature(SECRET.as_bytes(), &documented()));
    let ran = ask(&right, Some(SECRET));
    assert_eq!(
        (ran.code, &ran.json()["signature"]["verified"]),
        (0, &json!(true)),
        "{}",
        ran.all()
    );
    let ran = ask(&right, Some("another-secret-than-that"));
    assert_eq!(
        (ran.code, &ran.json()["signature"]["verified"]),
        (1, &json!(false)),
        "{}",
        ran.all()
    );
    let ran = ask("X-Other: 1", Some(SECRET));
    assert_eq!(
        (ran.code, &ran.json()["signature"]["verified"]),
        (1, &json!(false)),
        "{}",
        ran.all()
    );
    assert!(
        ran.json()["signature"]["reason"].as_str().unwrap().contains("missing"),
        "{}",
        ran.all()
    );
    let ran = ask(&right, None);
    assert_eq!(
        (ran.code, &ran.json()["signature"]["verified"]),
        (0, &Value::Null),
        "{}",
        ran.all()
    );
}

#[test]
fn what_cannot_be_explained_is_said_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("no-id.json"), r#"{"event":"call.ended"}"#).unwrap();
    std::fs::write(folder.path().join("no-json.json"), "{").unwrap();
    std::fs::write(folder.path().join("fine.json"), r#"{"id":"1","event":"x.y"}"#).unwrap();
    for (args, code, words) in [
        (&["no-id.json"][..], 1, "would answer 400: the body has no `id`"),
        (&["no-json.json"], 1, "no valid JSON"),
        (&["nowhere.json"], 1, "there is no file nowhere.json"),
        (&["fine.json", "--rule", "won deel"], 2, "did you mean `won deal`?"),
        (&["fine.json", "--source", "replicr"], 2, "did you mean `replicer`?"),
        (&["fine.json", "--current"], 2, "--current is for stored events"),
        (&["fine.json", "--at", "soon"], 2, "write a time such as"),
        (&["fine.json", "-H", "nonsense"], 2, "NAME: VALUE"),
        (&["1", "-H", "a: b"], 2, "are for files"),
    ] {
        let mut all = vec!["explain"];
        all.extend_from_slice(args);
        let mut command = bare(&all);
        command.current_dir(folder.path());
        let ran = run(command);
        assert_eq!(ran.code, code, "{args:?}: {}", ran.all());
        assert!(ran.stderr.contains(words), "{args:?}: {}", ran.stderr);
    }
}

/// The destination `sales`, and one rule of this name and condition.
fn rules(receiver: &Receiver, name: &str, when: &str) -> String {
    let url = receiver.url("/services/canary-path-4711");
    format!(
        "[destinations.sales]\nprovider = \"slack\"\nurl = \"{url}\"\n\n\
         [[rules]]\nname = \"{name}\"\nwhen = '{when}'\nto = [\"sales\"]\ntemplate = \"note\"\n"
    )
}

#[test]
fn a_stored_event_is_explained_under_the_rules_of_its_moment_and_under_todays() {
    let receiver = Receiver::start();
    let mut bridge = Bridge::with_rules(&rules(&receiver, "old", "duration > 60"))
        .template("note.hbs", "old words for {{id}}")
        .start();
    bridge.accepts(call_with("evt-1", &[("duration", json!(75))]));
    let sent = bridge.settled("sales", "sent");
    // The same event again: a repetition, which notifies nobody.
    let again = bridge.post("replicer", call_with("evt-1", &[("duration", json!(75))]));
    assert_eq!(again.json()["duplicate"], true);

    let told = bridge.json(&["explain", "1"]);
    assert_eq!(told["rules_used"], "then");
    let old = rule(&told, "old");
    assert_eq!(old["outcome"], "matched");
    assert_eq!(old["notifications"][0]["message"]["text"], "old words for evt-1");
    assert_eq!(told["stored"]["duplicates"], 1);
    assert_eq!(told["stored"]["notifications"][0]["state"], "sent");
    assert_eq!(told["stored"]["notifications"][0]["id"], sent["id"]);

    // Other rules and other words, from a reload on.
    let text = std::fs::read_to_string(bridge.path().join("rules.toml")).unwrap();
    let text =
        text.replace("\"old\"", "\"new\"").replace("duration > 60", "metadata.campaign == \"x\"");
    std::fs::write(bridge.path().join("rules.toml"), text).unwrap();
    std::fs::write(bridge.path().join("templates/note.hbs"), "new words").unwrap();
    bridge.process().signal("HUP");
    eventually("the new rules are there", || {
        (bridge.get("/api/status").json()["rules"] == json!(["new"])).then_some(())
    });
    for which in ["1", "evt-1"] {
        let told = bridge.json(&["explain", which]);
        let old = rule(&told, "old");
        assert_eq!(old["outcome"], "matched", "{told}");
        assert_eq!(old["notifications"][0]["message"]["text"], "old words for evt-1");
    }
    let told = bridge.json(&["explain", "evt-1", "--current"]);
    assert_eq!(told["rules_used"], "now");
    let new = rule(&told, "new");
    assert_eq!((&new["outcome"], &new["notifications"]), (&json!("no_match"), &json!([])));
    let note = new["when"]["reads"][0]["note"].as_str().unwrap();
    assert_eq!(note, "no such key in this event, did you mean metadata.campaign_id?");

    let ran = bridge.run(&["explain", "evt-1"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stdout.contains("those that decided it when it came in"), "{}", ran.stdout);
    assert!(ran.stdout.contains("once: a repetition notifies nobody"), "{}", ran.stdout);
    let ran = bridge.run(&["explain", "evt-1", "--current"]);
    assert!(ran.stdout.contains("those of the running bridge"), "{}", ran.stdout);

    let ran = bridge.run(&["explain", "evt-2"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.stderr.contains("no stored event evt-2"), "{}", ran.stderr);
    let ran = bridge.run(&["explain", "1", "--rule", "new"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.stderr.contains("there is no rule"), "{}", ran.stderr);
}

#[test]
fn no_explanation_shows_a_secret() {
    let receiver = Receiver::start();
    let destinations = format!(
        r#"
[destinations.sales]
provider = "slack"
url = "{}"
[destinations.manager]
provider = "twilio"
account_sid = "AC00000000000000000000000000000001"
auth_token = "canary-token/with+signs"
from = "+15550001111"
to = ["+15552223333"]
[destinations.mail]
provider = "smtp"
url = "smtps://bell:canary-password@mail.example.com:465"
from = "bell@example.com"
to = ["office@example.com"]
[[rules]]
name = "all"
shadow = true
to = ["sales", "manager", "mail"]
"#,
        receiver.url("/services/T0/B0/canary-path-4711")
    );
    let bridge = Bridge::with_rules(&destinations).start();
    bridge.accepts(call_with("evt-1", &[]));
    let told = bridge.get("/api/events/1/explain").text();
    let shown = bridge.run(&["explain", "1"]);
    std::fs::write(bridge.path().join("event.json"), documented()).unwrap();
    let file = bridge.run(&["explain", "event.json", "--json"]);
    assert_eq!((shown.code, file.code), (0, 0), "{}{}", shown.all(), file.all());
    for text in [&told, &shown.stdout, &file.stdout] {
        assert!(!text.contains("canary"), "{text}");
        assert!(!text.contains(SECRET), "{text}");
        assert!(text.contains("***"), "{text}");
        assert!(text.contains("shadow"), "{text}");
    }
}

#[test]
fn the_api_says_what_is_wrong_with_a_question() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    bridge.accepts(call_with("evt-1", &[]));
    for (path, status, words) in [
        ("/api/events/1/explain?rules=then", 200, "everything"),
        ("/api/events/2/explain", 404, "no event 2"),
        ("/api/events/x/explain", 404, "no event's number"),
        ("/api/events/1/explain?rules=soon", 400, "`then` or `now`"),
        ("/api/events/1/explain?rule=x", 400, "no rule"),
        ("/api/events/1/explain?what=x", 400, "rules, at and rule"),
        ("/api/events/1/nonsense", 404, "number"),
    ] {
        let answer = bridge.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(answer.text().contains(words), "{path}: {}", answer.text());
    }
}
