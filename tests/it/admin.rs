//! Looking in from outside: who may, and what is to be seen.

use serde_json::json;

use crate::support::events::event;
use crate::support::http;
use crate::support::metrics::names;
use crate::support::{Bridge, Receiver, Reply, call};

#[test]
fn health_and_readiness_are_200_once_it_runs() {
    let bridge = Bridge::telling(&Receiver::start()).start();
    assert_eq!(bridge.get("/healthz").status, 200);
    assert_eq!(bridge.get("/readyz").status, 200);
    assert_eq!(bridge.get("/nothing").status, 404);
    let answer = http::request(bridge.admin(), "POST", "/healthz", &[], b"").unwrap();
    assert_eq!(answer.status, 405);
}

#[test]
fn the_metrics_tell_the_whole_way() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    bridge.accepts(call("evt-1").to_string());
    bridge.accepts(call("evt-2").to_string());
    bridge.post("replicer", call("evt-2").to_string());
    bridge.post("replicer", "nonsense");
    bridge.post_with(&[], b"{}");
    receiver.received(2);
    crate::support::eventually("both are counted as sent", || {
        let sent = bridge.metrics().sum(names::NOTIFICATIONS, &["destination=\"sales\"", "sent"]);
        (sent > 1.5).then_some(())
    });
    let answer = bridge.get("/metrics");
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/plain") || kind.contains("openmetrics"), "{kind}");
    let metrics = bridge.metrics();
    let is = |name: &str, labels: &[&str], expected: f64| {
        let value = metrics.sum(name, labels);
        assert!(
            (value - expected).abs() < 0.5,
            "{name}{labels:?} is {value}, not {expected}: {:?}",
            metrics.names()
        );
    };
    is(names::ACCEPTED, &[], 2.0);
    is(names::DUPLICATES, &[], 1.0);
    is(names::REFUSED, &[], 2.0);
    is(names::BACKLOG, &["destination=\"sales\""], 0.0);
    for name in names::HISTOGRAMS {
        assert!(metrics.has(&format!("{name}_count")), "no {name} in {:?}", metrics.names());
        assert!(metrics.sum(&format!("{name}_count"), &[]) > 0.5, "{name} counted nothing");
    }
    assert!(metrics.has(names::OLDEST), "{:?}", metrics.names());
}

#[test]
fn what_waits_shows_in_the_backlog() {
    let receiver = Receiver::answering(Reply::with_header(503, "retry-after", "600"));
    let bridge = Bridge::telling(&receiver).start();
    for i in 0..3 {
        bridge.accepts(call(&format!("evt-{i}")).to_string());
    }
    // The first answer asks all three to wait.
    receiver.received(1);
    let metrics = bridge.metrics();
    let waiting = metrics.sum(names::BACKLOG, &["destination=\"sales\""]);
    assert!((waiting - 3.0).abs() < 0.5, "{waiting}");
}

#[test]
fn labels_hold_no_text_of_events() {
    let bridge = Bridge::telling(&Receiver::start()).start();
    bridge.accepts(event("canary-id", "canary.type", &json!({})).to_string());
    bridge.post("canary-source", "{}");
    let text = bridge.get("/metrics").text();
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn foreign_hosts_are_misdirected() {
    let bridge = Bridge::telling(&Receiver::start()).start();
    let get = |path: &str, host: &str| {
        http::request(bridge.admin(), "GET", path, &[("host", host)], b"").unwrap().status
    };
    let port = bridge.admin().port();
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", ""] {
        for path in ["/metrics", "/api/events", "/readyz"] {
            assert_eq!(get(path, host), 421, "Host: {host} {path}");
        }
    }
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
        "localhost".into(),
    ] {
        assert_eq!(get("/metrics", &host), 200, "Host: {host}");
    }
}

#[test]
fn a_host_that_was_named_is_answered() {
    let bridge =
        Bridge::telling(&Receiver::start()).server("admin_hosts = [\"bell.internal\"]").start();
    let get = |host: &str| {
        http::request(bridge.admin(), "GET", "/metrics", &[("host", host)], b"").unwrap().status
    };
    assert_eq!(get("bell.internal:9090"), 200);
    assert_eq!(get("bell.external:9090"), 421);
}

#[test]
fn other_sites_pages_can_do_nothing() {
    let receiver = Receiver::answering(Reply::status(404, ""));
    let bridge = Bridge::telling(&receiver).start();
    bridge.accepts(call("evt-1").to_string());
    bridge.settled("sales", "gave_up");
    let host = bridge.admin().to_string();
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        for (method, path) in [("GET", "/api/events"), ("POST", "/api/retry"), ("GET", "/metrics")]
        {
            let headers =
                [("host", host.as_str()), (name, value), ("content-type", "application/json")];
            let answer =
                http::request(bridge.admin(), method, path, &headers, b"{\"ids\":[1]}").unwrap();
            assert_eq!(answer.status, 403, "{name}: {value}, {method} {path}");
        }
    }
    // A form can be posted from anywhere without asking; JSON can't.
    let answer = http::request(
        bridge.admin(),
        "POST",
        "/api/retry",
        &[("content-type", "text/plain")],
        b"{\"ids\":[1]}",
    )
    .unwrap();
    assert!(matches!(answer.status, 403 | 415), "{}", answer.status);
    assert_eq!(receiver.so_far().len(), 1);
}

#[test]
fn off_loopback_it_does_not_start_without_a_token() {
    let stopped = Bridge::telling(&Receiver::start()).server("admin = \"0.0.0.0:0\"").prepare();
    let ran = stopped.spawn_to_end();
    assert_eq!(ran.code, 78, "{}", ran.all());
    assert!(ran.stderr.contains("admin_token"), "it says what to set: {}", ran.stderr);
    // `check` says the same before it comes to that.
    let checked =
        crate::support::command::run(stopped.command(&["check", "--config", "rules.toml"]));
    assert_eq!(checked.code, 1, "{}", checked.all());
    assert!(checked.all().contains("admin_token"), "{}", checked.all());
}

#[test]
fn with_a_token_only_the_token_opens() {
    let bridge = Bridge::telling(&Receiver::start())
        .server("admin_token = \"${ADMIN_TOKEN}\"")
        .env("ADMIN_TOKEN", "canary-admin-token-5e1d")
        .start();
    let get = |path: &str, token: Option<&str>| {
        let value = token.map(|t| format!("Bearer {t}")).unwrap_or_default();
        let headers = [("authorization", value.as_str())];
        let headers = if token.is_some() { &headers[..] } else { &[] };
        http::request(bridge.admin(), "GET", path, headers, b"").unwrap()
    };
    for path in ["/metrics", "/api/events", "/api/notifications"] {
        for token in [
            None,
            Some(""),
            Some("wrong"),
            Some("canary-admin-token-5e1"),
            Some("canary-admin-token-5e1d0"),
        ] {
            let answer = get(path, token);
            assert_eq!(answer.status, 401, "{path} {token:?}");
            assert!(answer.header("www-authenticate").is_some(), "{path}");
            assert!(!answer.text().contains("5e1d"));
        }
        assert_eq!(get(path, Some("canary-admin-token-5e1d")).status, 200, "{path}");
    }
    // A probe has no token, and learns nothing but that it is alive.
    assert_eq!(get("/healthz", None).status, 200);
    // The commands find the token where the bridge found it.
    assert!(bridge.event_rows().is_empty());
}

#[test]
fn one_event_is_shown_with_its_body_only_where_it_is_asked_for() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    bridge.accepts(call("evt-1").to_string());
    receiver.received(1);
    let list = bridge.get("/api/events");
    assert_eq!(list.status, 200);
    assert!(list.text().contains("evt-1") && !list.text().contains("John Doe"), "{}", list.text());
    assert_eq!(list.header("content-type"), Some("application/json"));
    let one = bridge.get("/api/events/1");
    assert!(one.text().contains("John Doe"), "{}", one.text());
    assert_eq!(bridge.get("/api/events/999").status, 404);
    assert_eq!(bridge.get("/api/notifications/999").status, 404);
    for path in ["/api/events?limit=x", "/api/notifications?state=nonsense", "/api/events/abc"] {
        let status = bridge.get(path).status;
        assert!(matches!(status, 400 | 404), "{path}: {status}");
    }
}
