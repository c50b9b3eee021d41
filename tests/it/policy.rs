//! Sending that respects the other side: fallbacks, parking, halting, pacing, and a slow start after an outage.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Bridge, Receiver, Reply, call, eventually};

/// Waits of a few hundredths of a second between attempts, and plenty of them.
const FAST: &str = r#"retry = { first = "20ms", longest = "100ms", attempts = 500 }"#;

/// A webhook destination `hook` at `first` with `settings`, a webhook `backup` at `second`, and a rule that tells
/// `hook` of everything.
fn two(first: &Receiver, second: &Receiver, settings: &str) -> Bridge {
    let rules = format!(
        r#"
[destinations.hook]
provider = "webhook"
url = "{}"
{settings}

[destinations.backup]
provider = "webhook"
url = "{}"

[[rules]]
name = "everything"
to = ["hook"]
"#,
        first.url("/hook"),
        second.url("/backup"),
    );
    Bridge::with_rules(&rules).start()
}

fn ids(receiver: &Receiver, n: usize) -> Vec<String> {
    let requests = receiver.received(n);
    requests.iter().map(|r| r.json()["event"]["id"].as_str().unwrap().to_owned()).collect()
}

fn row_of(bridge: &Bridge, destination: &str) -> Value {
    let rows = bridge.notification_rows();
    rows.into_iter().find(|r| r["destination"] == destination).unwrap()
}

#[test]
fn what_is_given_up_goes_to_the_fallback_at_once() {
    let (hook, backup) = (Receiver::answering(Reply::status(400, "no")), Receiver::start());
    let bridge = two(&hook, &backup, "fallback = \"backup\"");
    bridge.accepts(call("evt-1").to_string());
    assert_eq!(ids(&backup, 1), ["evt-1"]);
    let given_up = bridge.settled("hook", "gave_up");
    let taken_over = bridge.settled("backup", "sent");
    assert_eq!(taken_over["fallback_of"], given_up["id"], "{taken_over}");
    assert_eq!(taken_over["rule"], "everything");
    assert!(given_up["fallback_of"].is_null());
    assert_eq!(hook.so_far().len(), 1);
}

#[test]
fn a_fallback_takes_over_what_waits_when_a_destination_has_failed_for_long() {
    let (hook, backup) = (Receiver::answering(Reply::status(500, "oops")), Receiver::start());
    let settings = format!("fallback = {{ to = \"backup\", after = \"300ms\" }}\n{FAST}");
    let bridge = two(&hook, &backup, &settings);
    bridge.accepts(call("evt-1").to_string());
    assert_eq!(ids(&backup, 1), ["evt-1"]);
    let row = bridge.settled("hook", "gave_up");
    let reason = row["reason"].as_str().unwrap();
    assert!(reason.contains("has been failing since") && reason.contains("HTTP 500"), "{reason}");
    // What comes while it fails goes there, too, and is tried at most once before.
    let before = hook.so_far().len();
    bridge.accepts(call("evt-2").to_string());
    assert_eq!(ids(&backup, 2)[1], "evt-2");
    assert!(hook.so_far().len() <= before + 1);
    // When it works again, it is used again.
    hook.now_answers(Reply::ok());
    eventually("the first destination is used again", || {
        bridge.accepts(call(&format!("evt-{}", fastrand::u64(10..))).to_string());
        let newest = bridge.notification_rows().remove(0);
        (newest["destination"] == "hook" && newest["state"] == "sent").then_some(())
    });
    assert!(bridge.log().contains("works again"));
}

#[test]
fn what_may_have_been_sent_is_parked_where_that_is_wanted() {
    let (hook, backup) = (Receiver::answering(Reply::Hang), Receiver::start());
    let bridge = two(&hook, &backup, "on_ambiguous = \"park\"\ntimeout = \"300ms\"");
    bridge.accepts(call("evt-1").to_string());
    let row = bridge.settled("hook", "gave_up");
    let reason = row["reason"].as_str().unwrap();
    assert!(reason.contains("may have been sent") && reason.contains("on_ambiguous"), "{reason}");
    assert_eq!(row["history"][0]["outcome"], "parked", "{row}");
    assert_eq!(hook.so_far().len(), 1);
    let counted = bridge.metrics().sum("hookbell_notifications_total", &["outcome=\"parked\""]);
    assert!((counted - 1.0).abs() < f64::EPSILON);
    // A person may risk it.
    hook.now_answers(Reply::ok());
    let ran = bridge.run(&["retry", &row["id"].to_string()]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert_eq!(bridge.settled("hook", "sent")["attempts"], 2);
}

#[test]
fn what_was_surely_not_sent_is_not_parked() {
    let (hook, backup) = (
        Receiver::script([Reply::status(503, ""), Reply::status(500, "oops")], Reply::ok()),
        Receiver::start(),
    );
    let bridge = two(&hook, &backup, &format!("on_ambiguous = \"park\"\n{FAST}"));
    bridge.accepts(call("evt-1").to_string());
    assert_eq!(bridge.settled("hook", "sent")["attempts"], 3);
}

#[test]
fn an_attempt_that_kill_9_cut_off_is_parked_where_that_is_wanted() {
    let (hook, backup) = (Receiver::answering(Reply::Hang), Receiver::start());
    let bridge = two(&hook, &backup, "on_ambiguous = \"park\"\nfallback = \"backup\"");
    bridge.accepts(call("evt-1").to_string());
    hook.received(1);
    let bridge = bridge.kill9().started();
    let row = bridge.settled("hook", "gave_up");
    assert!(row["reason"].as_str().unwrap().contains("may have been sent"), "{row}");
    assert_eq!(row["history"][0]["outcome"], "interrupted", "{row}");
    bridge.settled("backup", "sent");
    assert_eq!(hook.so_far().len(), 1, "it was not sent again");
}

#[test]
fn a_webhook_that_did_not_answer_is_asked_again_under_the_same_key() {
    let receiver = Receiver::script([Reply::Hang, Reply::Hang], Reply::ok());
    let config = format!(
        "[destinations.hook]\nprovider = \"webhook\"\nurl = \"{}\"\ntimeout = \"300ms\"\n{FAST}\n\
         [[rules]]\nname = \"everything\"\nto = [\"hook\"]\n",
        receiver.url("/hook")
    );
    let bridge = Bridge::with_rules(&config).start();
    bridge.accepts(call("evt-1").to_string());
    assert_eq!(bridge.settled("hook", "sent")["attempts"], 3);
    let keys: std::collections::BTreeSet<_> =
        receiver.so_far().iter().map(|r| r.json()["key"].to_string()).collect();
    assert_eq!(keys.len(), 1);
}

#[test]
fn a_destination_that_is_gone_is_halted_and_told_of_until_a_person_acts() {
    let (hook, backup) = (Receiver::answering(Reply::status(410, "gone")), Receiver::start());
    let bridge = two(&hook, &backup, "");
    bridge.accepts(call("evt-1").to_string());
    hook.received(1);
    eventually("it is told", || bridge.log().contains("is gone").then_some(()));
    let up = || bridge.metrics().sum("hookbell_destination_up", &["destination=\"hook\""]);
    assert!(up() < 0.5);
    bridge.accepts(call("evt-2").to_string());
    // Both wait; nothing is sent while it is halted. Another destination's message passes in the meantime.
    assert_eq!(row_of(&bridge, "hook")["state"], "due");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(hook.so_far().len(), 1);
    hook.now_answers(Reply::ok());
    // Nothing was given up, so the answer is no; the destination gets its chance all the same.
    bridge.run(&["retry", "--all", "--destination", "hook"]);
    assert_eq!(hook.received(3).len(), 3);
    eventually("both are sent", || {
        bridge.notification_rows().iter().all(|r| r["state"] == "sent").then_some(())
    });
    assert!(up() > 0.5);
}

#[test]
fn a_halted_destinations_fallback_takes_over_at_once() {
    let (hook, backup) = (Receiver::answering(Reply::status(410, "gone")), Receiver::start());
    let bridge = two(&hook, &backup, "fallback = \"backup\"");
    bridge.accepts(call("evt-1").to_string());
    assert_eq!(ids(&backup, 1), ["evt-1"]);
    bridge.accepts(call("evt-2").to_string());
    assert_eq!(ids(&backup, 2), ["evt-1", "evt-2"]);
    assert_eq!(hook.so_far().len(), 1);
    assert!(row_of(&bridge, "hook")["reason"].as_str().unwrap().contains("has been halted since"));
}

#[test]
fn what_waits_too_long_for_a_halted_destination_is_given_up() {
    let (hook, backup) = (Receiver::answering(Reply::status(410, "gone")), Receiver::start());
    let bridge = two(&hook, &backup, "retry = { age = \"1s\" }");
    bridge.accepts(call("evt-1").to_string());
    let row = bridge.settled("hook", "gave_up");
    assert!(row["reason"].as_str().unwrap().contains("has been halted since"), "{row}");
    assert_eq!(hook.so_far().len(), 1);
}

#[test]
fn a_rate_is_kept_and_loses_nothing() {
    let (hook, backup) = (Receiver::start(), Receiver::start());
    let bridge = two(&hook, &backup, "rate = { max = 2, per = \"500ms\" }\nconcurrency = 8");
    for n in 0..7 {
        bridge.accepts(call(&format!("evt-{n}")).to_string());
    }
    let requests = hook.received(7);
    for pair in requests.windows(3) {
        let span = pair[2].at - pair[0].at;
        // The receiver sees the beginnings with its own delays.
        assert!(span >= Duration::from_millis(400), "three within {span:?}");
    }
    eventually("all are sent", || {
        bridge.notification_rows().iter().all(|r| r["state"] == "sent").then_some(())
    });
}

#[test]
fn a_provider_that_asks_to_wait_is_left_alone_by_all() {
    let (hook, backup) = (
        Receiver::script([Reply::with_header(429, "retry-after", "2")], Reply::ok()),
        Receiver::start(),
    );
    let bridge = two(&hook, &backup, FAST);
    bridge.accepts(call("evt-1").to_string());
    hook.received(1);
    eventually("the answer was read", || (row_of(&bridge, "hook")["state"] == "due").then_some(()));
    bridge.accepts(call("evt-2").to_string());
    let requests = hook.received(3);
    let waited = requests[1].at - requests[0].at;
    assert!(waited >= Duration::from_millis(1_900), "the other came after {waited:?}");
}

#[test]
fn an_outage_costs_few_attempts_and_ends_with_the_oldest_first() {
    let (hook, backup) = (Receiver::answering(Reply::status(500, "oops")), Receiver::start());
    let settings =
        "concurrency = 4\nretry = { first = \"200ms\", longest = \"400ms\", attempts = 500 }";
    let bridge = two(&hook, &backup, settings);
    for n in 0..40 {
        bridge.accepts(call(&format!("evt-{n:02}")).to_string());
    }
    eventually("it is found to fail", || bridge.log().contains("is failing").then_some(()));
    let up = || bridge.metrics().sum("hookbell_destination_up", &["destination=\"hook\""]);
    assert!(up() < 0.5);
    // Four at once until the fifth failure, then one at a time.
    let during = hook.so_far().len();
    assert!(during < 20, "{during} attempts for 40 messages");
    hook.now_answers(Reply::ok());
    eventually("all are sent", || {
        bridge.notification_rows().iter().all(|r| r["state"] == "sent").then_some(())
    });
    assert!(up() > 0.5);
    assert!(bridge.log().contains("works again"));
    // The slow start sends the oldest by itself, so the first dozen after the outage are older than the last dozen.
    let all = hook.so_far();
    let order: Vec<usize> = all[all.len() - 40..]
        .iter()
        .map(|r| r.json()["event"]["id"].as_str().unwrap()[4..].parse().unwrap())
        .collect();
    let mean = |part: &[usize]| part.iter().sum::<usize>() / part.len();
    assert!(mean(&order[1..13]) < mean(&order[28..]), "{order:?}");
}
