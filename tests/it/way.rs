//! The whole way with the shipped `rules.toml` and templates, as a team would start with them: the documented event,
//! byte for byte, becomes messages that one would want to receive.

use serde_json::{Value, json};

use crate::support::events::{call_with, documented};
use crate::support::mail::{MailServer, Security};
use crate::support::receiver::Request;
use crate::support::{Bridge, Receiver, Reply, root};

/// The shipped example with every destination on loopback.
struct Office {
    bridge: Bridge,
    slack: Receiver,
    twilio: Receiver,
    mail: MailServer,
}

const SID: &str = "AC00000000000000000000000000000001";
const TOKEN: &str = "canary-twilio-token-3b7e";

fn office() -> Office {
    let slack = Receiver::start();
    let twilio = Receiver::answering(Reply::status(201, r#"{"sid":"SM1","status":"queued"}"#));
    let mail = MailServer::start(Security::Plain);
    let shipped = std::fs::read_to_string(root().join("rules.toml")).unwrap();
    let text = shipped
        .replace("= \"twilio\"\n", &format!("= \"twilio\"\nbase_url = \"{}\"\n", twilio.url("")));
    assert_ne!(text, shipped, "the shipped rules have a Twilio destination");
    let mut builder = Bridge::with_config(&text)
        .env("SALES_SLACK_URL", &slack.url("/services/T000/B000/canary-slack-path-8d0c"))
        .env("TWILIO_ACCOUNT_SID", SID)
        .env("TWILIO_AUTH_TOKEN", TOKEN)
        .env("SMTP_URL", &format!("smtp://127.0.0.1:{}", mail.port()));
    let templates: Vec<_> =
        std::fs::read_dir(root().join("templates")).unwrap().flatten().collect();
    assert!(templates.len() >= 3, "the shipped templates are there");
    for file in templates {
        let text = std::fs::read_to_string(file.path()).unwrap();
        builder = builder.template(&file.file_name().to_string_lossy(), &text);
    }
    Office { bridge: builder.start(), slack, twilio, mail }
}

fn text_of(request: &Request) -> String {
    request.json()["text"].as_str().unwrap().to_owned()
}

fn mail_text(mail: &Value) -> String {
    mail["parts"]["text/plain"].as_str().unwrap().to_owned()
}

fn subject(mail: &Value) -> String {
    let headers = mail["headers"].as_array().unwrap();
    headers.iter().find(|pair| pair[0] == "Subject").unwrap()[1].as_str().unwrap().to_owned()
}

fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
    for part in ["{{", "}}", "null", "undefined", "[object", "\"metadata\""] {
        assert!(!text.contains(part), "`{part}` is in:\n{text}");
    }
}

#[test]
fn the_documented_event_byte_for_byte_is_a_won_deal_on_slack() {
    let office = office();
    office.bridge.accepts(documented());
    let request = office.slack.received(1).remove(0);
    assert_eq!(request.path, "/services/T000/B000/canary-slack-path-8d0c");
    let text = text_of(&request);
    says(&text, &["Sales Agent", "John Doe", "4m 0s", "Discussed enterprise pricing."]);
    assert!(
        !text.contains("Hello John, this is"),
        "the transcript only where it is asked for: {text}"
    );
    office.bridge.settled("sales", "sent");
    let rows = office.bridge.notification_rows();
    assert_eq!(rows.len(), 1, "a won deal disturbs nobody else: {rows:?}");
    assert!(office.twilio.so_far().is_empty());
}

#[test]
fn an_unhappy_customer_reaches_slack_the_manager_and_the_office() {
    let office = office();
    office.bridge.accepts(call_with(
        "evt-unhappy",
        &[
            ("sentiment", json!("negative")),
            ("callSuccessful", json!(false)),
            ("duration", json!(95)),
            ("agentName", json!("Zoë & <Co>")),
            ("customerName", json!("Jane \"JJ\" Roe")),
            ("summary", json!("Wants a refund.\nWas put on hold twice.")),
        ],
    ));
    let slack = text_of(&office.slack.received(1)[0]);
    says(&slack, &["Zoë &amp; &lt;Co&gt;", "Jane \"JJ\" Roe", "1m 35s", "Wants a refund."]);

    let request = office.twilio.received(1).remove(0);
    assert_eq!(request.method, "POST");
    assert_eq!(request.path, format!("/2010-04-01/Accounts/{SID}/Messages.json"));
    use base64::Engine as _;
    let login = base64::engine::general_purpose::STANDARD.encode(format!("{SID}:{TOKEN}"));
    assert_eq!(request.header("authorization"), Some(format!("Basic {login}").as_str()));
    assert!(
        request.header("content-type").unwrap().starts_with("application/x-www-form-urlencoded")
    );
    let form = request.form();
    let value = |key: &str| form.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str());
    assert!(value("To").is_some_and(|to| to.starts_with('+')), "{form:?}");
    assert!(value("From").is_some_and(|from| from.starts_with('+')), "{form:?}");
    let sms = value("Body").unwrap();
    says(sms, &["Zoë & <Co>", "Jane \"JJ\" Roe", "1m 35s"]);
    assert!(sms.chars().count() <= 480, "a text message is short: {sms}");

    let mail = office.mail.lines(1).remove(0);
    says(&subject(&mail), &["Jane \"JJ\" Roe"]);
    says(
        &mail_text(&mail),
        &["Zoë & <Co>", "Jane \"JJ\" Roe", "1m 35s", "Wants a refund.", "Was put on hold twice."],
    );
    if let Some(html) = mail["parts"]["text/html"].as_str() {
        assert!(html.contains("Zoë &amp; &lt;Co&gt;"), "{html}");
    }
    crate::support::eventually("all three are sent", || {
        let rows = office.bridge.notification_rows();
        (rows.len() == 3 && rows.iter().all(|row| row["state"] == "sent")).then_some(())
    });
}

#[test]
fn a_failed_call_is_a_mail_with_the_reason() {
    let office = office();
    office.bridge.accepts(call_with(
        "evt-failed",
        &[
            ("status", json!("failed")),
            ("callSuccessful", json!(null)),
            ("sentiment", json!(null)),
            ("summary", json!(null)),
            ("transcript", json!(null)),
            ("customerName", json!(null)),
            ("duration", json!(0)),
            ("disconnectionReason", json!("dial_no_answer")),
            ("endedAt", json!(null)),
            ("startedAt", json!(null)),
            ("metadata", json!(null)),
        ],
    ));
    let mail = office.mail.lines(1).remove(0);
    let text = mail_text(&mail);
    says(&text, &["Sales Agent", "+1234567890"]);
    assert!(
        text.contains("dial_no_answer") || text.contains("dial no answer"),
        "the reason stands there: {text}"
    );
    assert!(!subject(&mail).is_empty());
    office.bridge.settled("office-mail", "sent");
    assert_eq!(office.bridge.notification_rows().len(), 1);
}

#[test]
fn a_call_that_is_nothing_special_disturbs_nobody() {
    let office = office();
    office.bridge.accepts(call_with(
        "evt-plain",
        &[("callSuccessful", json!(false)), ("sentiment", json!("neutral"))],
    ));
    assert_eq!(office.bridge.event_rows()[0]["notifications"], 0);
    assert!(office.bridge.notification_rows().is_empty());
}

#[test]
fn the_message_is_there_within_moments_of_the_post() {
    // No budget in milliseconds here (benches/ has that), but a lane that polled by the second would show.
    let office = office();
    office.bridge.accepts(documented());
    office.slack.received(1);
    let mut took = Vec::new();
    for i in 0..20 {
        let body = call_with(&format!("evt-{i}"), &[("callId", json!(format!("call-{i}")))]);
        let watch = crate::support::Watch::start();
        office.bridge.accepts(&body);
        office.slack.received(i + 2);
        took.push(watch.elapsed());
    }
    took.sort();
    assert!(took[10] < std::time::Duration::from_millis(500), "the median took {:?}", took[10]);
}
