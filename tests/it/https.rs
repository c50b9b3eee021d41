//! Sending over TLS: to a server whose certificate is good, and to nobody else.

use crate::support::bridge::telling;
use crate::support::https::HttpsServer;
use crate::support::mail::certificate;
use crate::support::{Bridge, call};

const FAST: &str = r#"retry = { first = "10ms", longest = "20ms", attempts = 2 }"#;

#[test]
fn a_certificate_of_a_trusted_authority_is_believed() {
    let server = HttpsServer::start();
    let url = format!("https://localhost:{}/services/T0/B0/x", server.port());
    let bridge = Bridge::with_rules(&telling(&url, FAST))
        .template("id.hbs", "{{id}}")
        .env("SSL_CERT_FILE", &certificate().join("ca.pem").display().to_string())
        .start();
    bridge.accepts(call("evt-1").to_string());
    let request = server.lines(1).remove(0);
    assert_eq!(request["path"], "/services/T0/B0/x");
    assert_eq!(request["body"], r#"{"text":"evt-1","mrkdwn":true}"#);
    bridge.settled("sales", "sent");
}

#[test]
fn a_certificate_that_nobody_vouches_for_or_for_another_name_gets_nothing() {
    let server = HttpsServer::start();
    for (host, trusted) in [("localhost", false), ("127.0.0.2", true)] {
        let url = format!("https://{host}:{}/services/T0/B0/canary-path", server.port());
        let mut bridge = Bridge::with_rules(&telling(&url, FAST)).template("id.hbs", "{{id}}");
        if trusted {
            let authority = certificate().join("ca.pem").display().to_string();
            bridge = bridge.env("SSL_CERT_FILE", &authority);
        }
        let bridge = bridge.start();
        bridge.accepts(call("evt-1").to_string());
        let row = bridge.settled("sales", "gave_up");
        let reason = row["reason"].as_str().unwrap().to_lowercase();
        assert!(reason.contains("certificate"), "{host}: the reason names it: {row}");
        assert!(!reason.contains("canary-path"), "{row}");
    }
    assert!(server.so_far().is_empty(), "{:?}", server.so_far());
}
