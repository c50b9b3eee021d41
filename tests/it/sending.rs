//! What goes out, when the other side is well and when it isn't.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::bridge::telling;
use crate::support::events::{documented, mac};
use crate::support::receiver::nobody;
use crate::support::{Bridge, Receiver, Reply, Watch, call};

/// Waits of a few hundredths of a second between attempts, and plenty of them.
const FAST: &str = r#"retry = { first = "20ms", longest = "100ms", attempts = 50 }"#;

/// The key of the signing test, and its text as Standard Webhooks writes it.
const WEBHOOK_KEY: &[u8] = b"a key of twenty-four b..";

fn webhook_secret() -> String {
    format!("whsec_{}", STANDARD.encode(WEBHOOK_KEY))
}

/// A generic webhook destination `hook` that hears of everything.
fn hook(receiver: &Receiver, settings: &str) -> String {
    format!(
        r#"
[destinations.hook]
provider = "webhook"
url = "{}"
{settings}

[[rules]]
name = "everything"
to = ["hook"]
"#,
        receiver.url("/hook")
    )
}

/// A bridge whose `sales` gets `settings`.
fn sales(receiver: &Receiver, settings: &str) -> Bridge {
    let rules = telling(&receiver.url("/slack"), settings);
    Bridge::with_rules(&rules).template("id.hbs", "{{id}}").start()
}

#[test]
fn a_slack_message_is_one_post_of_json() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    bridge.accepts(call("evt-1").to_string());
    let request = receiver.received(1).remove(0);
    assert_eq!(request.method, "POST");
    assert_eq!(request.path, "/slack");
    assert!(request.header("content-type").unwrap().starts_with("application/json"));
    assert_eq!(request.json()["text"], "evt-1");
    let row = bridge.settled("sales", "sent");
    assert_eq!(row["attempts"], 1, "{row}");
    assert_eq!(row["history"][0]["outcome"], "sent", "{row}");
    assert_eq!(row["history"][0]["status"], 200, "{row}");
}

#[test]
fn a_server_error_is_tried_again_until_it_works() {
    let receiver = Receiver::script(
        [Reply::status(500, "oops"), Reply::status(502, ""), Reply::status(503, "")],
        Reply::ok(),
    );
    let bridge = sales(&receiver, FAST);
    bridge.accepts(call("evt-1").to_string());
    let row = bridge.settled("sales", "sent");
    assert_eq!(row["attempts"], 4, "{row}");
    let outcomes: Vec<_> =
        row["history"].as_array().unwrap().iter().map(|a| &a["outcome"]).collect();
    assert_eq!(outcomes, ["retry", "retry", "retry", "sent"], "{row}");
    assert_eq!(row["history"][0]["status"], 500, "{row}");
    assert_eq!(receiver.so_far().len(), 4);
}

#[test]
fn retry_after_in_seconds_is_kept() {
    let receiver = Receiver::script([Reply::with_header(429, "retry-after", "2")], Reply::ok());
    let bridge = sales(&receiver, FAST);
    bridge.accepts(call("evt-1").to_string());
    let requests = receiver.received(2);
    let waited = requests[1].at - requests[0].at;
    // Without the header the wait would be at most 20 ms.
    assert!(waited >= Duration::from_millis(1900), "waited {waited:?}");
    assert_eq!(bridge.settled("sales", "sent")["attempts"], 2);
}

#[test]
fn retry_after_as_a_date_is_kept() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the receiver is another machine with its own clock"
    )]
    let now = std::time::SystemTime::now();
    let date = httpdate::fmt_http_date(now + Duration::from_secs(4));
    let receiver = Receiver::script([Reply::with_header(503, "retry-after", &date)], Reply::ok());
    let bridge = sales(&receiver, FAST);
    bridge.accepts(call("evt-1").to_string());
    let requests = receiver.received(2);
    let waited = requests[1].at - requests[0].at;
    // The date has whole seconds, and some time had passed when the answer was read.
    assert!(waited >= Duration::from_millis(1000), "waited {waited:?}");
}

#[test]
fn a_senseless_retry_after_neither_crashes_nor_parks_a_notification() {
    let receiver = Receiver::script(
        ["-1", "soon", "1e9", "", "99999999999999999999"]
            .map(|value| Reply::with_header(429, "retry-after", value)),
        Reply::ok(),
    );
    let bridge = sales(&receiver, FAST);
    bridge.accepts(call("evt-1").to_string());
    // Each of the first four is as good as no hint; the fifth is a number, if an absurd one.
    receiver.received(5);
    bridge.accepts(call("evt-2").to_string());
    assert_eq!(receiver.received(6)[5].json()["text"], "evt-2");
    assert_eq!(bridge.get("/healthz").status, 200);
}

#[test]
fn a_final_answer_gives_up_at_once_and_keeps_the_reason() {
    for status in [400, 403, 404, 422] {
        let receiver = Receiver::answering(Reply::status(status, "invalid_payload"));
        let bridge = sales(&receiver, FAST);
        bridge.accepts(call("evt-1").to_string());
        let row = bridge.settled("sales", "gave_up");
        assert_eq!(row["attempts"], 1, "{row}");
        let reason = row["reason"].as_str().unwrap();
        assert!(reason.contains(&status.to_string()), "{reason}");
        assert_eq!(row["history"][0]["outcome"], "gave_up", "{row}");
        assert_eq!(receiver.so_far().len(), 1);
    }
}

#[test]
fn a_given_up_notification_goes_out_after_retry() {
    let receiver = Receiver::answering(Reply::status(400, "invalid_payload"));
    let bridge = sales(&receiver, FAST);
    bridge.accepts(call("evt-1").to_string());
    let row = bridge.settled("sales", "gave_up");
    receiver.now_answers(Reply::ok());
    let id = row["id"].to_string();
    let retried = bridge.json(&["retry", &id]);
    assert!(retried.to_string().contains(&id), "{retried}");
    let row = bridge.settled("sales", "sent");
    assert_eq!(row["attempts"], 2, "{row}");
    assert_eq!(receiver.so_far().len(), 2);
    // What was sent is not sent again: the answer is no.
    let again = bridge.run(&["retry", &id]);
    assert_eq!(again.code, 1, "{}", again.all());
    assert!(again.all().contains("sent"), "{}", again.all());
}

#[test]
fn after_the_last_attempt_it_is_given_up() {
    let receiver = Receiver::answering(Reply::status(500, "no"));
    let bridge = sales(&receiver, r#"retry = { first = "10ms", longest = "20ms", attempts = 3 }"#);
    bridge.accepts(call("evt-1").to_string());
    let row = bridge.settled("sales", "gave_up");
    assert_eq!(row["attempts"], 3, "{row}");
    assert_eq!(receiver.so_far().len(), 3);
}

#[test]
fn past_its_age_it_is_given_up() {
    let receiver = Receiver::answering(Reply::status(500, "no"));
    let bridge = sales(
        &receiver,
        r#"retry = { first = "10ms", longest = "50ms", attempts = 100000, age = "1s" }"#,
    );
    bridge.accepts(call("evt-1").to_string());
    let row = bridge.settled("sales", "gave_up");
    assert!(row["attempts"].as_i64().unwrap() >= 2, "{row}");
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::start();
    for status in [301, 302, 307, 308] {
        let receiver =
            Receiver::answering(Reply::with_header(status, "location", &elsewhere.url("/stolen")));
        let bridge =
            sales(&receiver, r#"retry = { first = "10ms", longest = "10ms", attempts = 2 }"#);
        bridge.accepts(call("evt-1").to_string());
        let row = bridge.settled("sales", "gave_up");
        assert!(row["reason"].as_str().unwrap().contains(&status.to_string()), "{row}");
    }
    assert!(elsewhere.so_far().is_empty(), "a redirect was followed");
}

#[test]
fn slack_saying_anything_but_ok_is_no_success() {
    for body in ["no_text", "invalid_payload", "", "<html>Log in to the network</html>"] {
        let receiver = Receiver::script([Reply::status(200, body)], Reply::ok());
        let bridge = sales(&receiver, FAST);
        bridge.accepts(call("evt-1").to_string());
        let row = crate::support::eventually("the first attempt is settled", || {
            let rows = bridge.notification_rows();
            let row = bridge.notification(rows[0]["id"].as_i64().unwrap());
            row["history"].get(0).is_some().then_some(row)
        });
        assert_ne!(row["history"][0]["outcome"], "sent", "200 {body:?}: {row}");
    }
}

#[test]
fn connections_that_break_are_tried_again() {
    for (what, reply) in [
        ("a reset", Reply::Reset),
        ("a close in the middle of the answer", Reply::CloseMidAnswer),
        ("an answer that is no HTTP", Reply::Garbage),
    ] {
        let receiver = Receiver::script([reply], Reply::ok());
        let bridge = sales(&receiver, FAST);
        bridge.accepts(call("evt-1").to_string());
        let row = bridge.settled("sales", "sent");
        receiver.begun(2);
        assert_eq!(row["attempts"], 2, "{what}: {row}");
        assert_eq!(row["history"][0]["outcome"], "retry", "{what}: {row}");
    }
}

#[test]
fn a_destination_that_does_not_listen_is_tried_again() {
    let rules = telling(&nobody(), r#"retry = { first = "10ms", longest = "20ms", attempts = 3 }"#);
    let bridge = Bridge::with_rules(&rules).template("id.hbs", "{{id}}").start();
    bridge.accepts(call("evt-1").to_string());
    let row = bridge.settled("sales", "gave_up");
    assert_eq!(row["attempts"], 3, "{row}");
}

#[test]
fn an_endless_answer_is_cut_off() {
    let receiver = Receiver::script([Reply::Endless], Reply::ok());
    let bridge = sales(&receiver, &format!("{FAST}\ntimeout = \"5s\""));
    bridge.accepts(call("evt-1").to_string());
    // 200, but never a whole `ok`: whether it is final or tried again, it is no success and it ends.
    let row = crate::support::eventually("the first attempt is settled", || {
        let rows = bridge.notification_rows();
        let row = bridge.notification(rows[0]["id"].as_i64().unwrap());
        row["history"].get(0).is_some().then_some(row)
    });
    assert_ne!(row["history"][0]["outcome"], "sent", "{row}");
    assert!(receiver.poured() < 16 * 1024 * 1024, "{} bytes were read", receiver.poured());
}

#[test]
fn a_hanging_destination_times_out_and_delays_nobody() {
    let hanging = Receiver::answering(Reply::Hang);
    let well = Receiver::start();
    let rules = format!(
        r#"
[destinations.hanging]
provider = "slack"
url = "{}"
timeout = "30s"

[destinations.well]
provider = "slack"
url = "{}"

[[rules]]
name = "everything"
to = ["hanging", "well"]
template = "id"
"#,
        hanging.url("/slack"),
        well.url("/slack")
    );
    let bridge = Bridge::with_rules(&rules).template("id.hbs", "{{id}}").start();
    let watch = Watch::start();
    for i in 0..50 {
        bridge.accepts(call(&format!("evt-{i}")).to_string());
    }
    well.received(50);
    // The first of the hanging attempts ends after 30 s.
    assert!(watch.elapsed() < Duration::from_secs(25), "took {:?}", watch.elapsed());
    hanging.begun(1);
}

#[test]
fn an_attempt_that_hangs_ends_at_its_timeout() {
    let receiver = Receiver::script([Reply::Hang], Reply::ok());
    let bridge = sales(&receiver, &format!("{FAST}\ntimeout = \"300ms\""));
    bridge.accepts(call("evt-1").to_string());
    let row = bridge.settled("sales", "sent");
    assert_eq!(row["attempts"], 2, "{row}");
    let detail = row["history"][0]["detail"].as_str().unwrap();
    assert!(detail.contains("time"), "{detail}");
}

#[test]
fn concurrency_is_bounded_by_the_destination() {
    let receiver = Receiver::answering(Reply::Hang);
    let bridge = sales(&receiver, "concurrency = 3\ntimeout = \"60s\"");
    for i in 0..20 {
        bridge.accepts(call(&format!("evt-{i}")).to_string());
    }
    receiver.begun(3);
    // A scrape comes after every claim that could be made at once.
    for _ in 0..20 {
        bridge.metrics();
    }
    assert_eq!(receiver.so_far().len(), 3);
}

#[test]
fn every_attempt_of_a_notification_has_the_same_key() {
    let receiver = Receiver::script(
        [Reply::status(500, ""), Reply::Reset, Reply::CloseMidAnswer],
        Reply::status(204, ""),
    );
    let settings = format!("secret = \"${{HOOK_SECRET}}\"\n{FAST}");
    let bridge = Bridge::with_rules(&hook(&receiver, &settings))
        .env("HOOK_SECRET", &webhook_secret())
        .start();
    bridge.accepts(call("evt-1").to_string());
    let row = bridge.settled("hook", "sent");
    bridge.accepts(call("evt-2").to_string());
    let requests = receiver.received(4);
    let keys: Vec<_> = requests.iter().map(|r| r.header("webhook-id").unwrap()).collect();
    assert_eq!(keys[0], keys[1]);
    assert_eq!(keys[1], keys[2]);
    assert_ne!(keys[2], keys[3], "another notification has another key");
    assert!(
        requests.iter().zip(&keys).all(|(r, key)| r.json()["key"] == **key),
        "the body says the same"
    );
    assert!(keys[0].contains(row["key"].as_str().unwrap()), "{} and {row}", keys[0]);
}

#[test]
fn a_generic_webhook_is_signed_by_standard_webhooks() {
    let receiver = Receiver::script([Reply::status(500, "")], Reply::status(200, ""));
    let bridge =
        Bridge::with_rules(&hook(&receiver, &format!("secret = \"${{HOOK_SECRET}}\"\n{FAST}")))
            .env("HOOK_SECRET", &webhook_secret())
            .start();
    bridge.accepts(documented());
    for request in receiver.received(2) {
        let id = request.header("webhook-id").unwrap();
        let timestamp = request.header("webhook-timestamp").unwrap();
        let seconds: i64 = timestamp.parse().unwrap();
        assert!(seconds > 1_700_000_000, "{timestamp}");
        let mut signed = format!("{id}.{timestamp}.").into_bytes();
        signed.extend(&request.body);
        let expected = format!("v1,{}", STANDARD.encode(mac(WEBHOOK_KEY, &signed)));
        assert_eq!(request.header("webhook-signature"), Some(expected.as_str()));
        assert_eq!(request.json()["event"]["id"], "evt-delivery-uuid");
        assert!(request.text().contains("12.50"), "the event keeps its digits: {}", request.text());
    }
}

#[test]
fn event_text_breaks_out_of_nothing() {
    let slack = Receiver::start();
    let hook_receiver = Receiver::start();
    let rules = format!(
        "{}\n[destinations.hook]\nprovider = \"webhook\"\nurl = \"{}\"\n",
        telling(&slack.url("/slack"), "").replace("[\"sales\"]", "[\"sales\", \"hook\"]"),
        hook_receiver.url("/hook")
    );
    let bridge = Bridge::with_rules(&rules)
        .template("id.hbs", "*bold* {{customerName}} & <https://example.com|a link>")
        .start();
    let hostile = "\",\"x\":\"</a> <!channel> <@U1> <http://evil.example|click> & {{agentName}} \r\n\u{2028}\\";
    let mut event = call("evt-1");
    event["data"]["customerName"] = json!(hostile);
    bridge.accepts(event.to_string());
    let request = slack.received(1).remove(0).json();
    let text = request["text"].as_str().unwrap();
    assert!(text.starts_with("*bold* "), "{text}");
    assert!(
        text.ends_with(" & <https://example.com|a link>"),
        "the template's own markup stays: {text}"
    );
    assert!(
        !text.contains("<!channel>") && !text.contains("<@U1>") && !text.contains("<http://evil"),
        "{text}"
    );
    assert!(text.contains("&lt;!channel&gt;") && text.contains("{{agentName}}"), "{text}");
    assert!(request.get("x").is_none(), "{request}");
    let request = hook_receiver.received(1).remove(0).json();
    assert!(request.get("x").is_none(), "{request}");
}

#[test]
fn the_schedule_of_retries_survives_a_restart() {
    let receiver = Receiver::script([Reply::with_header(503, "retry-after", "3600")], Reply::ok());
    let bridge = sales(&receiver, FAST);
    bridge.accepts(call("evt-1").to_string());
    let before = crate::support::eventually("the first attempt is settled", || {
        let rows = bridge.notification_rows();
        (rows[0]["state"] == "due" && rows[0]["attempts"] == 1).then(|| rows[0].clone())
    });
    let bridge = bridge.kill9().started();
    bridge.accepts(call("evt-2").to_string());
    receiver.received(2);
    let rows = bridge.notification_rows();
    let after = rows.iter().find(|row| row["event"] == "evt-1").unwrap();
    assert_eq!(after["due"], before["due"], "it is due when it was due before");
    assert_eq!(after["attempts"], 1);
    assert_eq!(after["key"], before["key"]);
}

#[test]
fn a_short_wait_goes_on_after_a_restart() {
    let receiver = Receiver::script([Reply::with_header(503, "retry-after", "3")], Reply::ok());
    let bridge = sales(&receiver, FAST);
    bridge.accepts(call("evt-1").to_string());
    receiver.received(1);
    crate::support::eventually("the first attempt is settled", || {
        (bridge.notification_rows()[0]["state"] == "due").then_some(())
    });
    let bridge = bridge.stop().started();
    receiver.received(2);
    bridge.settled("sales", "sent");
}

#[test]
fn an_hour_of_age_in_the_answer_is_longer_than_the_age_of_the_notification() {
    // The provider asks for more time than the notification may grow old: it ends as given up, not in limbo.
    let receiver = Receiver::answering(Reply::with_header(429, "retry-after", "86400"));
    let bridge = sales(
        &receiver,
        r#"retry = { first = "10ms", longest = "50ms", attempts = 5, age = "1s" }"#,
    );
    bridge.accepts(call("evt-1").to_string());
    let row = bridge.settled("sales", "gave_up");
    assert!(row["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{row}");
}

#[test]
fn a_reload_while_a_destination_hangs_is_taken_at_once() {
    let hanging = Receiver::answering(Reply::Hang);
    let mut bridge = sales(&hanging, "timeout = \"300s\"\nconcurrency = 1");
    bridge.accepts(call("evt-1").to_string());
    hanging.begun(1);
    let works = Receiver::start();
    let file = bridge.path().join("rules.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let moved = text.replace(&hanging.url(""), &works.url(""));
    assert_ne!(moved, text);
    let moved = moved.replace("concurrency = 1", "concurrency = 2");
    std::fs::write(&file, moved).unwrap();
    bridge.process().signal("HUP");
    bridge.process().wait_log("reloaded").expect("it runs on");
    bridge.accepts(call("evt-2").to_string());
    assert_eq!(works.received(1)[0].json()["text"], "evt-2");
}
