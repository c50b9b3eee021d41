//! No secret and no text of an event shows where nobody asked for it.

use serde_json::json;

use crate::support::events::call_with;
use crate::support::{Bridge, Receiver, Reply, SECRET, call, eventually};

const SLACK_PATH: &str = "canary-slack-path-8d0c";
const TWILIO_TOKEN: &str = "canary-twilio-token-3b7e";
const HOOK_SECRET: &str = "whsec_Y2FuYXJ5LWhvb2sta2V5LTQ0MQ==";
const HOOK_HEADER: &str = "canary-hook-key-441";
const SMTP_PASSWORD: &str = "canary-smtp-password-91c2";
const ADMIN_TOKEN: &str = "canary-admin-token-5e1d";
const EVENT_TEXT: &str = "canary-event-text-0aa9";

const CANARIES: [&str; 7] =
    [SECRET, SLACK_PATH, TWILIO_TOKEN, HOOK_SECRET, SMTP_PASSWORD, ADMIN_TOKEN, HOOK_HEADER];

fn config(
    slack: &str,
    twilio: &str,
    hook: &str,
    smtp_port: u16,
) -> crate::support::bridge::Builder {
    let retry = r#"retry = { first = "10ms", longest = "20ms", attempts = 2 }"#;
    let rules = format!(
        r#"
[destinations.slack]
provider = "slack"
url = "${{SLACK_URL}}"
{retry}

[destinations.twilio]
provider = "twilio"
account_sid = "AC00000000000000000000000000000001"
auth_token = "${{TWILIO_TOKEN}}"
base_url = "{twilio}"
from = "+15550001111"
to = ["+15552223333"]
{retry}

[destinations.hook]
provider = "webhook"
url = "{hook}"
secret = "${{HOOK_SECRET}}"
{retry}

[destinations.mail]
provider = "smtp"
url = "${{SMTP_URL}}"
from = "bell@example.com"
to = ["office@example.com"]
{retry}

[[rules]]
name = "everything"
to = ["slack", "twilio", "hook", "mail"]
template = "text"

[[rules]]
name = "unknown"
when = 'duration > 10'
to = ["slack"]
"#
    );
    Bridge::with_rules(&rules)
        .server("admin_token = \"${ADMIN_TOKEN}\"")
        .template("text.hbs", "{{summary}} {{customerName}}")
        .env("SLACK_URL", slack)
        .env("TWILIO_TOKEN", TWILIO_TOKEN)
        .env("HOOK_SECRET", HOOK_SECRET)
        .env("SMTP_URL", &format!("smtp+starttls://bell:{SMTP_PASSWORD}@127.0.0.1:{smtp_port}"))
        .env("ADMIN_TOKEN", ADMIN_TOKEN)
}

fn clean(what: &str, text: &str, canaries: &[&str]) {
    for canary in canaries {
        assert!(!text.contains(canary), "{canary} shows in {what}:\n{text}");
    }
}

#[test]
fn logs_metrics_lists_and_reasons_show_no_secret_and_no_event_text() {
    // The other sides are as bad as they can be: they repeat what they were told.
    let echo = format!("bad request: /services/{SLACK_PATH} Bearer {TWILIO_TOKEN} {HOOK_SECRET}");
    let slack = Receiver::answering(Reply::status(400, &echo));
    let twilio = Receiver::answering(Reply::status(401, &echo));
    let hook = Receiver::answering(Reply::with_header(
        302,
        "location",
        &format!("http://evil.example/{HOOK_SECRET}"),
    ));
    let nobody_listens = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut bridge = config(
        &slack.url(&format!("/services/{SLACK_PATH}")),
        &twilio.url(""),
        &hook.url("/hook"),
        nobody_listens.port(),
    )
    .env("RUST_LOG", "trace")
    .env("HOOKBELL_LOG", "trace")
    .start();
    bridge.accepts(call_with(
        "evt-1",
        &[
            ("summary", json!(EVENT_TEXT)),
            ("customerName", json!(format!("{EVENT_TEXT}\u{1b}[31m\n{{\"level\":\"ERROR\"}}"))),
            ("duration", json!(EVENT_TEXT)),
        ],
    ));
    // Refused ones, too: a wrong signature over canary text, and a broken body.
    bridge.post_with(&[("x-replicer-signature", "00")], EVENT_TEXT.as_bytes());
    bridge.post("replicer", format!("{{\"id\":\"{EVENT_TEXT}\",\"id\":\"{EVENT_TEXT}\"}}"));
    bridge.post("replicer", format!("{{\"id\":\"a\",\"event\":{EVENT_TEXT}}}"));
    eventually("all four are given up", || {
        let rows = bridge.notification_rows();
        (rows.len() == 4 && rows.iter().all(|r| r["state"] == "gave_up")).then_some(())
    });
    let mut everywhere = CANARIES.to_vec();
    everywhere.push(EVENT_TEXT);
    let lists = format!("{:?}{:?}", bridge.list(&["events"]), bridge.list(&["notifications"]));
    clean("the lists", &lists, &everywhere);
    for row in bridge.notification_rows() {
        let one = bridge.notification(row["id"].as_i64().unwrap());
        clean("a notification", &one.to_string(), &everywhere);
        assert!(row["reason"].as_str().is_some_and(|r| !r.is_empty()), "{row}");
    }
    let scrape = crate::support::http::request(
        bridge.admin(),
        "GET",
        "/metrics",
        &[("authorization", &format!("Bearer {ADMIN_TOKEN}"))],
        b"",
    )
    .unwrap();
    assert_eq!(scrape.status, 200);
    clean("the metrics", &scrape.text(), &everywhere);
    let human = bridge.run(&["notifications"]).all() + &bridge.run(&["events"]).all();
    clean("the tables", &human, &everywhere);
    let sent = bridge.run(&["send", "slack"]);
    assert_eq!(sent.code, 1, "{}", sent.all());
    clean("send", &sent.all(), &everywhere);

    bridge.process().signal("TERM");
    bridge.process().wait();
    let log = bridge.log();
    assert!(log.lines().count() > 3, "{log}");
    clean("the log", &log, &everywhere);
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line)
            .unwrap_or_else(|e| panic!("a log line is not JSON ({e}): {line}"));
    }
    // What is stored is the event and the message's circumstances, but no secret of ours.
    let mut stored = Vec::new();
    for file in std::fs::read_dir(bridge.path()).unwrap().flatten() {
        if file.file_name().to_string_lossy().starts_with("hookbell.db") {
            stored.extend(std::fs::read(file.path()).unwrap());
        }
    }
    clean("the journal", &String::from_utf8_lossy(&stored), &CANARIES);
}

#[test]
fn problems_of_the_configuration_show_no_secret() {
    let broken = [
        format!("http://[{SLACK_PATH}"),
        format!("ftp://hooks.example/{SLACK_PATH}"),
        format!("not a url {SLACK_PATH}"),
        format!("https://user:{SLACK_PATH}@:99999/"),
    ];
    for url in broken {
        let stopped = config(&url, "ftp://x", "nonsense", 1)
            .env("SMTP_URL", &format!("smtp+nonsense://bell:{SMTP_PASSWORD}@:bad"))
            .env("HOOK_SECRET", &format!("whsec_!!{HOOK_HEADER}!!"))
            .prepare();
        for args in [["check"].as_slice(), &["check", "--json"], &["run"]] {
            let mut all = args.to_vec();
            all.extend_from_slice(&["--config", "rules.toml"]);
            let ran = crate::support::command::run(stopped.command(&all));
            assert_ne!(ran.code, 0, "{url}: {}", ran.all());
            clean(&format!("{args:?} of {url}"), &ran.all(), &CANARIES);
        }
    }
}

#[test]
fn secrets_can_come_from_files() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("signing");
    std::fs::write(&file, format!("{SECRET}\n")).unwrap();
    let bridge = Bridge::telling(&receiver)
        .source(&format!("secret = \"${{file:{}}}\"", file.display()))
        .env("REPLICER_SIGNING_SECRET", "another")
        .start();
    bridge.accepts(call("evt-1").to_string());
    assert_eq!(receiver.received(1).len(), 1);
}

#[test]
fn a_secret_in_a_file_is_read_again_at_a_reload() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("signing");
    std::fs::write(&file, "the-first-secret").unwrap();
    let mut bridge = Bridge::telling(&receiver)
        .source(&format!("secret = \"${{file:{}}}\"", file.display()))
        .start();
    let body = call("evt-1").to_string();
    let refused = bridge.post("replicer", &body);
    assert_eq!(refused.status, 401, "the harness signs with another one");
    std::fs::write(&file, SECRET).unwrap();
    bridge.process().signal("HUP");
    bridge.process().wait_log("reloaded").expect("it runs on");
    bridge.accepts(&body);
    // A file that is gone is a bad configuration, and changes nothing.
    std::fs::remove_file(&file).unwrap();
    bridge.process().signal("HUP");
    bridge
        .process()
        .wait_log_for("the reload fails", |line| line.starts_with("reload failed"))
        .expect("it runs on");
    bridge.accepts(call("evt-2").to_string());
}
