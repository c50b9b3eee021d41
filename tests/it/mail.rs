//! Mail over SMTP, to a real server.

use serde_json::{Value, json};

use crate::support::events::{call_with, documented};
use crate::support::mail::{LOGIN, MailServer, Security, certificate};
use crate::support::{Bridge, Reply, call, eventually};

const TEMPLATE: &str =
    "---\nsubject: \"{{agentName}} and {{customerName}}\"\n---\nSummary: {{summary}}\n";

/// A bridge that mails every event by `url` to `to`.
fn mailing(url: &str, to: &str, settings: &str) -> crate::support::bridge::Builder {
    Bridge::with_rules(&format!(
        r#"
[destinations.office]
provider = "smtp"
url = "{url}"
from = "Hookbell <bell@example.com>"
to = {to}
{settings}

[[rules]]
name = "everything"
to = ["office"]
template = "mail"
"#
    ))
    .template("mail.email.hbs", TEMPLATE)
}

fn header<'a>(mail: &'a Value, name: &str) -> Vec<&'a str> {
    mail["headers"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case(name))
        .map(|pair| pair[1].as_str().unwrap())
        .collect()
}

#[test]
fn each_recipient_gets_a_mail_of_its_own() {
    let server = MailServer::start(Security::Plain);
    let url = format!("smtp://127.0.0.1:{}", server.port());
    let bridge = mailing(&url, r#"["a@example.com", "b@example.com"]"#, "").start();
    bridge.accepts(documented());
    let mails = server.lines(2);
    let mut recipients: Vec<_> = mails.iter().map(|m| m["recipients"].clone()).collect();
    recipients.sort_by_key(ToString::to_string);
    assert_eq!(recipients, [json!(["a@example.com"]), json!(["b@example.com"])]);
    for mail in &mails {
        assert_eq!(mail["sender"], "bell@example.com");
        assert_eq!(header(mail, "subject"), ["Sales Agent and John Doe"]);
        assert_eq!(header(mail, "from"), ["Hookbell <bell@example.com>"]);
        assert_eq!(header(mail, "message-id").len(), 1);
        assert_eq!(header(mail, "date").len(), 1);
        let text = mail["parts"]["text/plain"].as_str().unwrap();
        assert!(text.contains("Summary: Discussed enterprise pricing."), "{text}");
    }
    assert_ne!(header(&mails[0], "message-id"), header(&mails[1], "message-id"));
}

#[test]
fn event_text_makes_no_header_and_no_second_mail() {
    let server = MailServer::start(Security::Plain);
    let url = format!("smtp://127.0.0.1:{}", server.port());
    let bridge = mailing(&url, r#"["a@example.com"]"#, "").start();
    bridge.accepts(call_with(
        "evt-1",
        &[
            ("customerName", json!("Eve\r\nBcc: victim@example.com\r\n\r\nbody")),
            ("agentName", json!("Zoë 日本\u{202e}")),
            (
                "summary",
                json!("first\r\n.\r\nMAIL FROM:<eve@example.com>\r\nsecond\n.\nthird\r.\rfourth"),
            ),
        ],
    ));
    let mail = server.lines(1).remove(0);
    assert_eq!(mail["recipients"], json!(["a@example.com"]));
    assert!(header(&mail, "bcc").is_empty(), "{mail}");
    assert_eq!(header(&mail, "subject").len(), 1, "{mail}");
    assert!(header(&mail, "subject")[0].contains("Zoë 日本"), "{mail}");
    let text = mail["parts"]["text/plain"].as_str().unwrap();
    assert!(text.contains("second") && text.contains("fourth"), "{text}");
    bridge.accepts(call("evt-2").to_string());
    assert_eq!(server.lines(2).len(), 2);
}

#[test]
fn starttls_and_login_keep_the_password_from_the_wire() {
    let server = MailServer::start(Security::StartTlsAndLogin);
    let url = format!("smtp+starttls://{}:{}@localhost:{}", LOGIN.0, LOGIN.1, server.port());
    let bridge = mailing("${SMTP_URL}", r#"["a@example.com"]"#, "")
        .env("SMTP_URL", &url)
        .env("SSL_CERT_FILE", &certificate().join("ca.pem").display().to_string())
        .start();
    bridge.accepts(documented());
    let mail = server.lines(1).remove(0);
    assert_eq!(mail["tls"], true);
    assert_eq!(mail["login"], true);
    let row = bridge.settled("office", "sent");
    assert!(!row.to_string().contains(LOGIN.1));
}

#[test]
fn tls_from_the_first_byte_works() {
    let server = MailServer::start(Security::Tls);
    let url = format!("smtps://localhost:{}", server.port());
    let bridge = mailing(&url, r#"["a@example.com"]"#, "")
        .env("SSL_CERT_FILE", &certificate().join("ca.pem").display().to_string())
        .start();
    bridge.accepts(documented());
    assert_eq!(server.lines(1)[0]["tls"], true);
}

#[test]
fn a_server_with_an_unknown_certificate_gets_nothing() {
    let server = MailServer::start(Security::StartTlsAndLogin);
    let url = format!("smtp+starttls://{}:{}@localhost:{}", LOGIN.0, LOGIN.1, server.port());
    let bridge = mailing(
        "${SMTP_URL}",
        r#"["a@example.com"]"#,
        r#"retry = { first = "10ms", longest = "20ms", attempts = 2 }"#,
    )
    .env("SMTP_URL", &url)
    .start();
    bridge.accepts(documented());
    let row = bridge.settled("office", "gave_up");
    let text = row.to_string();
    assert!(!text.contains(LOGIN.1), "{text}");
    assert!(
        text.to_lowercase().contains("certificate"),
        "the reason names the certificate: {text}"
    );
}

#[test]
fn a_server_without_starttls_is_not_told_the_password() {
    let server = MailServer::start(Security::Plain);
    let url = format!("smtp+starttls://{}:{}@localhost:{}", LOGIN.0, LOGIN.1, server.port());
    let bridge = mailing(
        "${SMTP_URL}",
        r#"["a@example.com"]"#,
        r#"retry = { first = "10ms", longest = "20ms", attempts = 2 }"#,
    )
    .env("SMTP_URL", &url)
    .start();
    bridge.accepts(documented());
    bridge.settled("office", "gave_up");
}

#[test]
fn an_unknown_mailbox_is_final_and_holds_back_nobody_else() {
    let server = MailServer::start(Security::Plain);
    let url = format!("smtp://127.0.0.1:{}", server.port());
    let bridge = mailing(&url, r#"["unknown@example.com", "b@example.com"]"#, "").start();
    bridge.accepts(documented());
    server.lines(2);
    eventually("one is given up, the other sent", || {
        let rows = bridge.notification_rows();
        let state =
            |to: &str| rows.iter().find(|r| r["recipient"] == to).map(|r| r["state"].clone());
        (state("unknown@example.com")? == "gave_up" && state("b@example.com")? == "sent")
            .then_some(())
    });
    let rows = bridge.notification_rows();
    let row = rows.iter().find(|r| r["recipient"] == "unknown@example.com").unwrap();
    assert_eq!(row["attempts"], 1, "{row}");
    assert!(row["reason"].as_str().unwrap().contains("550"), "{row}");
}

#[test]
fn a_greylisting_server_is_tried_again_under_the_same_message_id() {
    let server = MailServer::start(Security::Plain);
    let url = format!("smtp://127.0.0.1:{}", server.port());
    let bridge = mailing(
        &url,
        r#"["later@example.com"]"#,
        r#"retry = { first = "20ms", longest = "50ms", attempts = 20 }"#,
    )
    .start();
    bridge.accepts(documented());
    let lines = server.lines(3);
    assert_eq!(lines[0]["refused"], "later@example.com");
    assert_eq!(lines[2]["recipients"], json!(["later@example.com"]));
    let row = bridge.settled("office", "sent");
    assert_eq!(row["attempts"], 3, "{row}");
    assert_eq!(row["history"][0]["status"], 450, "{row}");
    let id = header(&lines[2], "message-id")[0].to_owned();
    assert!(
        id.contains(row["key"].as_str().unwrap()),
        "the message id {id} comes from the key: {row}"
    );
}

#[test]
fn a_mail_server_that_hangs_or_speaks_nonsense_is_tried_again() {
    for reply in [Reply::Hang, Reply::Garbage] {
        // A HTTP receiver that first waits for the client to speak: to an SMTP client that is a server that hangs.
        let receiver = crate::support::Receiver::answering(reply);
        let url = receiver.url("").replace("http://", "smtp://");
        let bridge = mailing(
            &url,
            r#"["a@example.com"]"#,
            "timeout = \"300ms\"\nretry = { first = \"10ms\", longest = \"20ms\", attempts = 2 }",
        )
        .start();
        bridge.accepts(documented());
        let row = bridge.settled("office", "gave_up");
        assert_eq!(row["attempts"], 2, "{row}");
    }
}
