//! What comes in: who is believed, what is taken, what is refused and how, and that one event is one event.

use serde_json::json;

use crate::support::events::{call_with, documented, event};
use crate::support::http::Answer;
use crate::support::metrics::names;
use crate::support::{Bridge, Receiver, SECRET, call, eventually, signature};

/// A signed POST with any content type and further headers.
fn post_typed(bridge: &Bridge, body: &[u8], headers: &[(&str, &str)]) -> Answer {
    let signature = signature(SECRET.as_bytes(), body);
    let mut all = vec![("x-replicer-signature", signature.as_str())];
    all.extend_from_slice(headers);
    bridge.request("POST", "/hooks/replicer", &all, body)
}

#[test]
fn an_event_is_answered_with_its_id_and_stored_byte_for_byte() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    let answer = bridge.post("replicer", documented());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json(), json!({"received": true, "id": "evt-delivery-uuid"}));
    receiver.received(1);

    let rows = bridge.event_rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["source"], "replicer");
    assert_eq!(rows[0]["id"], "evt-delivery-uuid");
    assert_eq!(rows[0]["type"], "call.ended");
    assert_eq!(rows[0]["time"], "2026-04-05T14:04:00Z");
    assert!(rows[0].get("body").is_none(), "a list shows no bodies: {}", rows[0]);
    let number = rows[0]["number"].as_i64().unwrap().to_string();
    let one = bridge.run(&["events", &number, "--json"]);
    assert_eq!(one.code, 0, "{}", one.all());
    assert!(one.stdout.contains("12.50"), "the body keeps its digits: {}", one.stdout);
}

#[test]
fn a_body_that_is_no_event_is_refused_with_400_and_nothing_is_kept() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    let deep = format!(
        r#"{{"id":"a","event":"x","data":{}{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let deep_objects = format!(
        r#"{{"id":"a","event":"x","data":{}1{}}}"#,
        r#"{"a":"#.repeat(10_000),
        "}".repeat(10_000)
    );
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", b"".to_vec()),
        ("white space", b" \n ".to_vec()),
        ("no JSON", b"hello".to_vec()),
        ("half an object", br#"{"id":"a","event":"x""#.to_vec()),
        ("a list", br#"[{"id":"a","event":"x"}]"#.to_vec()),
        ("a text", br#""id""#.to_vec()),
        ("null", b"null".to_vec()),
        ("no id", br#"{"event":"x","data":{}}"#.to_vec()),
        ("no type", br#"{"id":"a","data":{}}"#.to_vec()),
        ("a null id", br#"{"id":null,"event":"x","data":{}}"#.to_vec()),
        ("an empty id", br#"{"id":"","event":"x","data":{}}"#.to_vec()),
        ("an object as id", br#"{"id":{},"event":"x","data":{}}"#.to_vec()),
        ("a null type", br#"{"id":"a","event":null,"data":{}}"#.to_vec()),
        ("an empty type", br#"{"id":"a","event":"","data":{}}"#.to_vec()),
        ("a number as type", br#"{"id":"a","event":7,"data":{}}"#.to_vec()),
        ("two ids", br#"{"id":"a","id":"b","event":"x","data":{}}"#.to_vec()),
        ("two ids, one escaped", br#"{"id":"a","\u0069d":"b","event":"x","data":{}}"#.to_vec()),
        ("two types", br#"{"id":"a","event":"x","event":"y","data":{}}"#.to_vec()),
        ("trailing data", br#"{"id":"a","event":"x","data":{}} {}"#.to_vec()),
        ("a trailing comma", br#"{"id":"a","event":"x","data":{},}"#.to_vec()),
        ("NaN", br#"{"id":"a","event":"x","data":{"n":NaN}}"#.to_vec()),
        ("a byte order mark", b"\xef\xbb\xbf{\"id\":\"a\",\"event\":\"x\",\"data\":{}}".to_vec()),
        ("bad UTF-8", b"{\"id\":\"a\",\"event\":\"x\",\"data\":{\"t\":\"\xff\xfe\"}}".to_vec()),
        ("bad UTF-8 in a key", b"{\"id\":\"a\",\"event\":\"x\",\"data\":{\"\xc3\":1}}".to_vec()),
        ("a raw control character", b"{\"id\":\"a\x01\",\"event\":\"x\",\"data\":{}}".to_vec()),
        ("a raw NUL byte", b"{\"id\":\"a\",\"event\":\"x\",\"data\":{}}\0".to_vec()),
        ("100,000 levels of lists", deep.into_bytes()),
        ("10,000 levels of objects", deep_objects.into_bytes()),
    ];
    for (what, body) in &cases {
        let answer = bridge.post("replicer", body);
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    }
    assert_eq!(bridge.event_rows().len(), 0);
    let counted = bridge.metrics().sum(names::REFUSED, &[]);
    assert!((counted - cases.len() as f64).abs() < 0.5, "{counted} of {} are counted", cases.len());
    // The bridge is as alive as before, and no refused body left its id behind.
    bridge.accepts(event("a", "x", &json!({})).to_string());
    assert_eq!(receiver.received(1)[0].json()["text"], "a");
}

#[test]
fn odd_but_valid_text_is_stored_or_refused_and_hurts_nobody() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    let long = format!(r#"{{"id":"{}","event":"x","data":{{}}}}"#, "i".repeat(100_000));
    let wide = format!(r#"{{"id":"wide","event":"x","data":[{}1]}}"#, "1,".repeat(200_000));
    let cases: Vec<(&str, String)> = vec![
        ("a lone surrogate in a value", r#"{"id":"s1","event":"x","data":{"t":"\ud800"}}"#.into()),
        ("a lone surrogate in the id", r#"{"id":"s2\ud800","event":"x","data":{}}"#.into()),
        ("a NUL in a value", r#"{"id":"s3","event":"x","data":{"t":"\u0000"}}"#.into()),
        ("a NUL in the id", r#"{"id":"s4\u0000","event":"x","data":{}}"#.into()),
        ("a line break in the id", r#"{"id":"s5\r\nx: y","event":"x","data":{}}"#.into()),
        ("an id of 100 kB", long),
        ("200,000 numbers", wide),
        ("duplicate keys in data", r#"{"id":"s6","event":"x","data":{"t":1,"t":2}}"#.into()),
        ("no data", r#"{"id":"s7","event":"x"}"#.into()),
        ("data is null", r#"{"id":"s8","event":"x","data":null}"#.into()),
        ("data is text", r#"{"id":"s9","event":"x","data":"text"}"#.into()),
    ];
    for (what, body) in &cases {
        let answer = bridge.post("replicer", body);
        assert!(matches!(answer.status, 200 | 400), "{what}: {} {}", answer.status, answer.text());
        // What is answered is JSON whatever the id holds.
        if answer.status == 200 {
            assert_eq!(answer.json()["received"], true, "{what}");
        }
        assert!(
            answer.headers.iter().all(|(name, _)| name != "x"),
            "{what}: a header came from the id"
        );
    }
    bridge.event_rows();
    bridge.notification_rows();
    bridge.accepts(event("afterwards", "x", &json!({})).to_string());
    eventually("the event after them is told", || {
        receiver.so_far().iter().any(|r| r.json()["text"] == "afterwards").then_some(())
    });
}

#[test]
fn nobody_without_the_secret_gets_in() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver)
        .source("[sources.other]\nkind = \"replicer\"\nsecret = \"the-other-sources-secret\"")
        .start();
    let body = documented();
    let good = signature(SECRET.as_bytes(), &body);
    let flipped = format!("{}{}", if good.starts_with('0') { '1' } else { '0' }, &good[1..]);
    let mut other_body = body.clone();
    other_body.push(b' ');
    let values: Vec<(&str, String)> = vec![
        ("empty", String::new()),
        ("cut", good[..62].to_owned()),
        ("cut by one digit", good[..63].to_owned()),
        ("extended", format!("{good}00")),
        ("doubled", format!("{good}{good}")),
        ("a flipped bit", flipped),
        ("not hex", "z".repeat(64)),
        ("not ASCII", format!("{}é", &good[..62])),
        ("with a prefix", format!("sha256={good}")),
        ("a list", format!("{good},{good}")),
        ("a list with a space", format!("{good}, {good}")),
        ("quoted", format!("\"{good}\"")),
        ("of the wrong key", signature(b"wrong", &body)),
        ("of the empty key", signature(b"", &body)),
        ("of the other source's key", signature(b"the-other-sources-secret", &body)),
        ("of the unresolved secret", signature(b"${REPLICER_SIGNING_SECRET}", &body)),
        ("of another body", signature(SECRET.as_bytes(), &other_body)),
        ("of the empty body", signature(SECRET.as_bytes(), b"")),
        ("zeroes", "0".repeat(64)),
    ];
    let mut refusals = Vec::new();
    for (what, value) in &values {
        let answer = bridge.post_with(&[("x-replicer-signature", value)], &body);
        assert_eq!(answer.status, 401, "a signature that is {what}: {}", answer.text());
        refusals.push(answer.body);
    }
    for headers in [
        vec![],
        vec![("x-replicer-signature", good.as_str()), ("x-replicer-signature", good.as_str())],
        vec![("x-replicer-signature", good.as_str()), ("X-Replicer-Signature", "00")],
        vec![("x-signature", good.as_str())],
        vec![("authorization", good.as_str())],
    ] {
        let answer = bridge.post_with(&headers, &body);
        assert_eq!(answer.status, 401, "{headers:?}: {}", answer.text());
        refusals.push(answer.body);
    }
    let count = refusals.len();
    refusals.dedup();
    assert_eq!(refusals.len(), 1, "one body for every 401");
    let text = String::from_utf8_lossy(&refusals[0]).into_owned();
    assert!(!text.contains(&good) && !text.contains(SECRET), "{text}");

    assert_eq!(bridge.event_rows().len(), 0);
    let refused = bridge.metrics().sum(names::REFUSED, &["source=\"replicer\""]);
    assert!((refused - count as f64).abs() < 0.5, "{refused} of {count} are counted");
    // The very same body with its true signature is new: the refused ones left nothing behind.
    bridge.accepts(&body);
    assert_eq!(receiver.received(1).len(), 1);
}

#[test]
fn every_secret_of_a_list_is_believed_and_no_other() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver)
        .source("secret = [\"${REPLICER_SIGNING_SECRET}\", \"${NEXT_SECRET}\"]")
        .env("NEXT_SECRET", "the-next-secret")
        .start();
    for (id, secret, status) in
        [("old", SECRET, 200), ("new", "the-next-secret", 200), ("neither", "another", 401)]
    {
        let body = call(id).to_string();
        let signature = signature(secret.as_bytes(), body.as_bytes());
        let answer = bridge.post_with(&[("x-replicer-signature", &signature)], body.as_bytes());
        assert_eq!(answer.status, status, "{id}: {}", answer.text());
    }
}

#[test]
fn the_signature_covers_the_bytes_and_not_their_meaning() {
    let bridge = Bridge::telling(&Receiver::start()).start();
    let body = call("bytes").to_string();
    let signature = signature(SECRET.as_bytes(), body.as_bytes());
    for (from, to) in [(":", ": "), ("bytes", "byte5"), ("\"positive\"", "\"negative\"")] {
        let changed = body.replacen(from, to, 1);
        assert_ne!(changed, body);
        let answer = bridge.post_with(&[("x-replicer-signature", &signature)], changed.as_bytes());
        assert_eq!(answer.status, 401, "{from} became {to}");
    }
}

#[test]
fn a_replayed_event_with_fresh_headers_notifies_nobody_again() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    let body = call("evt-1").to_string();
    bridge.accepts(&body);
    // Each post has a delivery id of its own; nothing that the signature doesn't cover counts.
    for _ in 0..5 {
        let answer = bridge.post("replicer", &body);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json(), json!({"received": true, "id": "evt-1", "duplicate": true}));
    }
    bridge.accepts(call("evt-2").to_string());
    let texts: Vec<_> = receiver.received(2).iter().map(|r| r.json()["text"].clone()).collect();
    assert_eq!(bridge.notification_rows().len(), 2);
    assert_eq!(texts.len(), 2, "{texts:?}");
    let rows = bridge.event_rows();
    let first = rows.iter().find(|row| row["id"] == "evt-1").unwrap();
    assert_eq!(first["duplicates"], 5, "{first}");
    assert_eq!(first["conflicts"], 0, "{first}");
    assert!((bridge.metrics().sum(names::DUPLICATES, &[]) - 5.0).abs() < 0.5);
}

#[test]
fn a_repeated_event_is_known_after_a_restart() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    let body = call("evt-1").to_string();
    bridge.accepts(&body);
    receiver.received(1);
    let bridge = bridge.stop().started();
    assert_eq!(bridge.post("replicer", &body).json()["duplicate"], true);
    let bridge = bridge.kill9().started();
    assert_eq!(bridge.post("replicer", &body).json()["duplicate"], true);
    assert_eq!(bridge.notification_rows().len(), 1);
}

#[test]
fn the_same_delivery_id_on_another_event_drops_nothing() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    for id in ["one", "two"] {
        let body = call(id).to_string();
        let signature = signature(SECRET.as_bytes(), body.as_bytes());
        let answer = bridge.post_with(
            &[
                ("x-replicer-signature", &signature),
                ("x-replicer-delivery-id", "always-the-same"),
                ("x-replicer-timestamp", "1"),
            ],
            body.as_bytes(),
        );
        assert_eq!(answer.json(), json!({"received": true, "id": id}));
    }
    assert_eq!(receiver.received(2).len(), 2);
}

#[test]
fn headers_that_nobody_signed_neither_route_nor_date_an_event() {
    let receiver = Receiver::start();
    let rules = crate::support::bridge::telling(&receiver.url("/slack"), "")
        .replace("to = [\"sales\"]", "on = \"call.ended\"\nto = [\"sales\"]");
    let bridge = Bridge::with_rules(&rules).template("id.hbs", "{{event}} {{timestamp}}").start();
    let body = call("evt-1").to_string();
    let signature = signature(SECRET.as_bytes(), body.as_bytes());
    let answer = bridge.post_with(
        &[
            ("x-replicer-signature", &signature),
            ("x-replicer-event", "appointment.created"),
            ("x-replicer-timestamp", "4102444800"),
        ],
        body.as_bytes(),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = receiver.received(1)[0].json()["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("call.ended") && text.contains("2026-04-05"), "{text}");
    assert_eq!(bridge.event_rows()[0]["time"], "2026-04-05T14:04:00Z");
}

#[test]
fn the_same_id_with_another_body_keeps_the_first_and_counts_the_conflict() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).template("id.hbs", "{{agentName}}").start();
    bridge.accepts(call_with("evt-1", &[("agentName", json!("first"))]));
    let answer = bridge.post("replicer", call_with("evt-1", &[("agentName", json!("second"))]));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["duplicate"], true);
    bridge.accepts(call_with("evt-2", &[("agentName", json!("third"))]));
    let texts: Vec<_> = receiver.received(2).iter().map(|r| r.json()["text"].clone()).collect();
    assert!(texts.contains(&json!("first")) && texts.contains(&json!("third")), "{texts:?}");
    let rows = bridge.event_rows();
    let row = rows.iter().find(|row| row["id"] == "evt-1").unwrap();
    assert_eq!(row["conflicts"], 1, "{row}");
    let one = bridge.run(&["events", &row["number"].to_string(), "--json"]);
    assert!(one.stdout.contains("first") && !one.stdout.contains("second"), "{}", one.stdout);
    assert!((bridge.metrics().sum(names::DUPLICATES, &[names::CONFLICT]) - 1.0).abs() < 0.5);
}

#[test]
fn a_call_that_comes_again_under_another_id_is_the_same_call() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    let mut first = call("evt-1");
    first["data"]["callId"] = json!("call-7");
    let mut second = call("evt-2");
    second["data"]["callId"] = json!("call-7");
    bridge.accepts(first.to_string());
    let answer = bridge.post("replicer", second.to_string());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["duplicate"], true, "{}", answer.text());
    // Only for `call.ended`: the same callId in another type is another matter.
    bridge.accepts(event("evt-3", "call.started", &json!({"callId": "call-7"})).to_string());
    assert_eq!(receiver.received(2).len(), 2);
    assert_eq!(bridge.notification_rows().len(), 2);
    assert!((bridge.metrics().sum(names::DUPLICATES, &[]) - 1.0).abs() < 0.5);
}

#[test]
fn the_natural_key_can_be_turned_off() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).source("natural_keys = false").start();
    for id in ["evt-1", "evt-2"] {
        let mut event = call(id);
        event["data"]["callId"] = json!("call-7");
        bridge.accepts(event.to_string());
    }
    assert_eq!(receiver.received(2).len(), 2);
}

#[test]
fn one_event_posted_by_many_at_once_is_one_event() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    let body = call("evt-1").to_string();
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let posts: Vec<_> =
            (0..32).map(|_| scope.spawn(|| bridge.post("replicer", &body))).collect();
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    });
    assert!(answers.iter().all(|answer| answer.status == 200));
    let new = answers.iter().filter(|a| a.json().get("duplicate").is_none()).count();
    assert_eq!(new, 1, "exactly one is new");
    bridge.accepts(call("evt-2").to_string());
    receiver.received(2);
    assert_eq!(bridge.notification_rows().len(), 2);
}

#[test]
fn other_paths_and_methods_are_refused_plainly() {
    let bridge = Bridge::telling(&Receiver::start()).start();
    let body = documented();
    assert_eq!(bridge.post("nobody", &body).status, 404);
    for path in [
        "/",
        "/hooks",
        "/hooks/",
        "/hooks/replicer/",
        "/hooks/replicer/more",
        "/hooks//replicer",
        "/HOOKS/replicer",
        "/hooks/../hooks/nobody",
        "/hooks/..%2f..%2fetc%2fpasswd",
        "/hooks/%2e%2e/%2e%2e/rules.toml",
        "/hooks/replicer%00",
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/events",
    ] {
        let answer = bridge.request("POST", path, &[("content-type", "application/json")], &body);
        assert_eq!(answer.status, 404, "POST {path}: {}", answer.text());
    }
    for path in ["/metrics", "/healthz", "/api/events", "/rules.toml"] {
        let answer = bridge.request("GET", path, &[], b"");
        assert!(matches!(answer.status, 404 | 405), "GET {path}: {}", answer.status);
    }
    for method in ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
        let answer = bridge.request(method, "/hooks/replicer", &[], b"");
        assert_eq!(answer.status, 405, "{method}");
        assert_eq!(answer.header("allow"), Some("POST"), "{method}");
    }
    assert_eq!(bridge.event_rows().len(), 0);
}

#[test]
fn a_query_changes_nothing() {
    let bridge = Bridge::telling(&Receiver::start()).start();
    let body = documented();
    let signature = signature(SECRET.as_bytes(), &body);
    let headers =
        [("content-type", "application/json"), ("x-replicer-signature", signature.as_str())];
    let answer = bridge.request("POST", "/hooks/replicer?source=other&x=1", &headers, &body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(bridge.event_rows()[0]["source"], "replicer");
}

#[test]
fn only_json_is_taken() {
    let bridge = Bridge::telling(&Receiver::start()).start();
    let body = documented();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "jason"]
    {
        let answer = post_typed(&bridge, &body, &[("content-type", kind)]);
        assert_eq!(answer.status, 415, "{kind}: {}", answer.text());
    }
    // They are counted with the source whose sender is set up wrongly.
    let labels = ["source=\"replicer\"", "reason=\"not_json_type\""];
    assert!((bridge.metrics().sum(names::REFUSED, &labels) - 4.0).abs() < 0.5);
    for encoding in ["gzip", "br", "deflate", "zstd", "gzip, gzip"] {
        let answer = post_typed(
            &bridge,
            &body,
            &[("content-type", "application/json"), ("content-encoding", encoding)],
        );
        assert_eq!(answer.status, 415, "{encoding}: {}", answer.text());
    }
    assert_eq!(bridge.event_rows().len(), 0);
    // Only what says that it is something else is refused for its type.
    let json = [("content-type", "Application/JSON; charset=UTF-8")];
    for (id, headers) in [("typed", &json[..]), ("untyped", &[])] {
        let answer = post_typed(&bridge, call(id).to_string().as_bytes(), headers);
        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
    }
}

#[test]
fn a_body_at_the_limit_is_taken_and_one_byte_more_is_not() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    let body = |id: &str, size: usize| {
        let empty = event(id, "x", &json!({"pad": ""})).to_string().len();
        event(id, "x", &json!({"pad": "p".repeat(size - empty)})).to_string()
    };
    let limit = 1024 * 1024;
    let fits = body("fits", limit);
    assert_eq!(fits.len(), limit);
    bridge.accepts(&fits);
    let answer = bridge.post("replicer", body("over", limit + 1));
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert_eq!(bridge.event_rows().len(), 1);
}

#[test]
fn the_limit_of_a_body_can_be_set() {
    let bridge = Bridge::telling(&Receiver::start()).server("max_body = 2048").start();
    let small = event("small", "x", &json!({"pad": "p".repeat(1500)})).to_string();
    let large = event("large", "x", &json!({"pad": "p".repeat(2500)})).to_string();
    bridge.accepts(small);
    assert_eq!(bridge.post("replicer", large).status, 413);
}

#[test]
fn numbers_reach_the_receiver_digit_for_digit() {
    let receiver = Receiver::start();
    let numbers = [
        "18446744073709551616",
        "123456789012345678901234567890",
        "0.1000000000000000055511151231257827",
        "12.50",
        "1.0",
        "-0",
        "9007199254740993",
    ];
    let template: String =
        (0..numbers.len()).map(|i| format!("{{{{n{i}}}}}|")).collect::<Vec<_>>().concat();
    let bridge = Bridge::telling(&receiver).template("id.hbs", &template).start();
    let fields: Vec<String> =
        numbers.iter().enumerate().map(|(i, n)| format!("\"n{i}\":{n}")).collect();
    bridge.accepts(format!(r#"{{"id":"n","event":"x","data":{{{}}}}}"#, fields.join(",")));
    let expected: String = numbers.iter().map(|n| format!("{n}|")).collect::<Vec<_>>().concat();
    assert_eq!(receiver.received(1)[0].json()["text"], expected);
}

#[test]
fn an_event_of_an_unknown_type_is_taken_and_told() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    bridge.accepts(
        event("evt-1", "appointment.created", &json!({"anything": [1, {"a": null}]})).to_string(),
    );
    assert_eq!(receiver.received(1)[0].json()["text"], "evt-1");
    assert_eq!(bridge.event_rows()[0]["type"], "appointment.created");
}

#[test]
fn an_event_that_matches_no_rule_is_kept_too() {
    let bridge = Bridge::with_rules("").start();
    bridge.accepts(documented());
    let rows = bridge.event_rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["notifications"], 0);
    assert_eq!(bridge.notification_rows().len(), 0);
}

#[test]
fn the_secret_of_another_source_is_not_believed() {
    let receiver = Receiver::start();
    let rules = format!(
        "[sources.other]\nkind = \"replicer\"\nsecret = \"the-others-secret\"\n{}",
        crate::support::bridge::telling(&receiver.url("/slack"), "")
    );
    let bridge = Bridge::with_rules(&rules).template("id.hbs", "{{source}} {{id}}").start();
    let body = call("evt-1").to_string();
    let post = |path: &str, secret: &str| {
        let signature = signature(secret.as_bytes(), body.as_bytes());
        let headers =
            [("content-type", "application/json"), ("x-replicer-signature", signature.as_str())];
        bridge.request("POST", path, &headers, body.as_bytes())
    };
    assert_eq!(post("/hooks/other", SECRET).status, 401);
    assert_eq!(post("/hooks/replicer", "the-others-secret").status, 401);
    assert_eq!(bridge.event_rows().len(), 0);
    // One id at two sources is two events.
    for (path, secret) in [("/hooks/other", "the-others-secret"), ("/hooks/replicer", SECRET)] {
        let answer = post(path, secret);
        assert_eq!(answer.json(), json!({"received": true, "id": "evt-1"}), "{path}");
    }
    let texts: Vec<_> = receiver.received(2).iter().map(|r| r.json()["text"].clone()).collect();
    assert!(texts.contains(&json!("other evt-1")) && texts.contains(&json!("replicer evt-1")));
}

#[test]
fn a_secret_is_rotated_by_reloads_without_a_refused_request() {
    let receiver = Receiver::start();
    let mut bridge = Bridge::telling(&receiver)
        .source("secret = [\"${REPLICER_SIGNING_SECRET}\"]")
        .env("NEXT_SECRET", "the-next-secret")
        .start();
    let file = bridge.path().join("rules.toml");
    let first = std::fs::read_to_string(&file).unwrap();
    let post = |bridge: &Bridge, id: &str, secret: &str| {
        let body = call(id).to_string();
        let signature = signature(secret.as_bytes(), body.as_bytes());
        bridge.post_with(&[("x-replicer-signature", &signature)], body.as_bytes()).status
    };
    let reload = |bridge: &mut Bridge, secrets: &str, good: &str| {
        let before = bridge.log().matches("\"reloaded\"").count();
        let text = first.replace("[\"${REPLICER_SIGNING_SECRET}\"]", secrets);
        assert_ne!(text, first);
        std::fs::write(&file, text).unwrap();
        bridge.process().signal("HUP");
        let mut posted = 0;
        // The sender goes on meanwhile.
        eventually("it is reloaded", || {
            posted += 1;
            assert_eq!(post(bridge, &format!("{posted} to {secrets}"), good), 200);
            (bridge.log().matches("\"reloaded\"").count() > before).then_some(())
        });
    };
    assert_eq!(post(&bridge, "too early", "the-next-secret"), 401);
    reload(&mut bridge, "[\"${REPLICER_SIGNING_SECRET}\", \"${NEXT_SECRET}\"]", SECRET);
    assert_eq!(post(&bridge, "new", "the-next-secret"), 200);
    assert_eq!(post(&bridge, "old", SECRET), 200);
    reload(&mut bridge, "\"${NEXT_SECRET}\"", "the-next-secret");
    assert_eq!(post(&bridge, "new, alone", "the-next-secret"), 200);
    assert_eq!(post(&bridge, "old, late", SECRET), 401, "the old one is of no use any more");
}
