//! Every sender's own library signs and this bridge takes it, and mutations of it are refused with nothing stored; what
//! `emit` signs the library takes.

use serde_json::{Value, json};

use crate::support::http::Answer;
use crate::support::signers::Library;
use crate::support::{Bridge, Receiver};

/// A sender, and what its requests are like.
struct Sender {
    kind: &'static str,
    /// The key that signs, as `rules.toml` has it.
    secret: &'static str,
    /// Another key of that shape, configured beside it.
    other: &'static str,
    /// Further keys of the source.
    settings: &'static str,
    body: &'static str,
    content_type: &'static str,
    /// The headers that carry the proof: a change of any is refused.
    signed: &'static [&'static str],
    /// Whether there is a signed time.
    timed: bool,
    /// What `emit` needs beside the file.
    emit: &'static [&'static str],
}

const SENDER: Sender = Sender {
    kind: "",
    secret: "canary-signers-secret-51ce",
    other: "another-secret",
    settings: "",
    body: "",
    content_type: "application/json",
    signed: &[],
    timed: false,
    emit: &[],
};

const WHSEC: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_WHSEC: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
const TWILIO_URL: &str = "https://bell.example.com/hooks/x?tenant=a%20b";

impl Sender {
    fn bridge(&self, secrets: &[&str]) -> Bridge {
        Bridge::with_config(&format!(
            "version = 1\n[server]\nlisten = \"\"\nadmin = \"\"\n[sources.x]\nkind = \"{}\"\nsecret = {}\n{}\n",
            self.kind,
            json!(secrets),
            self.settings
        ))
        .start()
    }

    fn post(&self, bridge: &Bridge, body: &str, headers: &[(String, String)]) -> Answer {
        let mut all = vec![("content-type", self.content_type)];
        all.extend(headers.iter().map(|(n, v)| (n.as_str(), v.as_str())));
        bridge.request("POST", "/hooks/x", &all, body.as_bytes())
    }

    /// What the library signs is taken once; what is changed about it isn't.
    fn is_understood(&self, library: &mut Library) {
        let bridge = self.bridge(&[self.other, self.secret]);
        let now = now();
        let headers = library.sign(self.body, now);
        let mut refused: Vec<(String, Answer)> = Vec::new();
        let mut refuse = |what: String, body: &str, headers: &[(String, String)]| {
            refused.push((what, self.post(&bridge, body, headers)));
        };
        for (at, _) in self.body.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()) {
            let mut body = self.body.as_bytes().to_vec();
            // The next letter or digit. Not its case: in a form, %2b is %2B.
            body[at] = match body[at] {
                b'9' => b'0',
                b'z' => b'a',
                b'Z' => b'A',
                other => other + 1,
            };
            refuse(format!("byte {at} changed"), std::str::from_utf8(&body).unwrap(), &headers);
        }
        refuse("no body".to_owned(), "", &headers);
        for name in self.signed {
            let at = headers.iter().position(|(n, _)| n == name).unwrap();
            let value = headers[at].1.clone();
            let mut without = headers.clone();
            without.remove(at);
            refuse(format!("{name} left out"), self.body, &without);
            let mut twice = headers.clone();
            twice.push(headers[at].clone());
            refuse(format!("{name} twice"), self.body, &twice);
            let last = value.len() - 1;
            for changed in [
                String::new(),
                value[..last].to_owned(),
                format!("{value}0"),
                format!("0{value}"),
                format!("{value},{value}"),
                change_at(&value, last),
                change_at(&value, value.len() / 2),
            ] {
                let mut mutated = headers.clone();
                mutated[at].1.clone_from(&changed);
                refuse(format!("{name}: {changed}"), self.body, &mutated);
            }
        }
        if self.timed {
            for off in [-400, 400, -1_000_000] {
                let headers = library.sign(self.body, now + off);
                refuse(format!("signed {off} s from now"), self.body, &headers);
            }
        }
        assert!(refused.len() > 20, "only {} mutations", refused.len());
        for (what, answer) in &refused {
            assert_eq!(answer.status, 401, "{} {what}: {}", self.kind, answer.text());
            assert_eq!(answer.body, refused[0].1.body, "{} {what}", self.kind);
        }
        assert_eq!(bridge.event_rows(), Vec::<Value>::new(), "{}", self.kind);

        let answer = self.post(&bridge, self.body, &headers);
        assert_eq!(answer.status, 200, "{}: {}", self.kind, answer.text());
        assert_eq!(answer.json()["received"], true);
        assert!(answer.json().get("duplicate").is_none(), "{}", answer.text());
        let again = self.post(&bridge, self.body, &headers);
        assert_eq!(
            (again.status, &again.json()["duplicate"]),
            (200, &json!(true)),
            "{}",
            self.kind
        );
        assert_eq!(bridge.event_rows().len(), 1);
        drop(bridge);
        // A source that knows other keys only.
        let stranger = self.bridge(&[self.other]);
        assert_eq!(self.post(&stranger, self.body, &headers).status, 401);
    }

    /// What `emit` signs, the library takes, and so does the bridge.
    fn is_spoken(&self, library: &mut Library) {
        let receiver = Receiver::start();
        let bridge = self.bridge(&[self.secret, self.other]);
        std::fs::write(bridge.path().join("event"), self.body).unwrap();
        let url = receiver.url("/hooks/x");
        let mut args = vec!["emit", "event", "--to", &url];
        args.extend_from_slice(self.emit);
        let ran = bridge.run(&args);
        assert_eq!(ran.code, 0, "{}: {}", self.kind, ran.all());
        let request = receiver.received(1).remove(0);
        assert_eq!(request.header("content-type"), Some(self.content_type));
        assert_eq!(request.text(), self.body);
        assert!(library.verifies(&request.text(), &request.headers), "{}: {request:?}", self.kind);
        let changed = request.text().replacen('o', "0", 1);
        assert!(changed != request.text() && !library.verifies(&changed, &request.headers));

        let mut args = vec!["emit"];
        args.extend_from_slice(self.emit);
        for file in [Some("event"), None] {
            let mut args = args.clone();
            args.extend(file);
            let ran = bridge.run(&args);
            assert!(ran.stdout.starts_with("200 "), "{}: {}", self.kind, ran.all());
        }
        assert_eq!(bridge.event_rows().len(), 2, "the file and the sample");
    }
}

/// `text` with another letter at `at`.
fn change_at(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'4' { b'5' } else { b'4' };
    String::from_utf8(bytes).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the bridge under test has the machine's clock")]
fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

#[test]
fn standard_webhooks() {
    let sender = Sender {
        kind: "standard-webhooks",
        secret: WHSEC,
        other: OTHER_WHSEC,
        body: r#"{"type":"order.paid","timestamp":"2026-04-05T14:04:00Z","data":{"name":"Zoë"}}"#,
        signed: &["webhook-id", "webhook-timestamp", "webhook-signature"],
        timed: true,
        ..SENDER
    };
    let common = || json!({"source": "standard-webhooks", "secret": WHSEC});
    for mut library in [Library::python(common()), Library::node(common())] {
        sender.is_understood(&mut library);
        sender.is_spoken(&mut library);
    }
}

#[test]
fn standard_webhooks_with_a_public_key() {
    let sender = Sender {
        kind: "standard-webhooks",
        secret: "whpk_PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=",
        other: OTHER_WHSEC,
        body: r#"{"type":"order.paid","timestamp":"2026-04-05T14:04:00Z","data":{"name":"Zoë"}}"#,
        signed: &["webhook-id", "webhook-timestamp", "webhook-signature"],
        timed: true,
        emit: &["--key", "private"],
        ..SENDER
    };
    let private = "whsk_TM0Imyj/ltqdtsNG7BFOD1uKMZ81q6Yk2oz27U+4pvs=";
    let mut library = Library::python(
        json!({"source": "standard-webhooks-v1a", "secret": sender.secret, "private": private}),
    );
    sender.is_understood(&mut library);
    let bridge = sender.bridge(&[sender.secret]);
    let ran = bridge.run(&["emit"]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    assert!(ran.stderr.contains("--key FILE"), "{}", ran.all());
    // The key's file is looked for where the command runs.
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), format!("{private}\n")).unwrap();
    let path = key.path().display().to_string().leak() as &str;
    Sender { emit: vec!["--key", path].leak(), ..sender }.is_spoken(&mut library);
}

#[test]
fn svix() {
    let sender = Sender {
        kind: "svix",
        secret: WHSEC,
        other: OTHER_WHSEC,
        body: r#"{"eventType":"invoice.paid","amount":12.50,"to":"Zoë"}"#,
        signed: &["svix-id", "svix-timestamp", "svix-signature"],
        timed: true,
        ..SENDER
    };
    let mut library = Library::python(json!({"source": "svix", "secret": WHSEC}));
    sender.is_understood(&mut library);
    sender.is_spoken(&mut library);
}

#[test]
fn stripe() {
    let sender = Sender {
        kind: "stripe",
        secret: "whsec_canary51ce",
        other: "whsec_other",
        body: r#"{"id":"evt_1","object":"event","created":1775397840,"type":"invoice.paid","data":{"object":{"id":"in_1","object":"invoice"}}}"#,
        signed: &["stripe-signature"],
        timed: true,
        ..SENDER
    };
    let mut library = Library::python(json!({"source": "stripe", "secret": sender.secret}));
    sender.is_understood(&mut library);
    sender.is_spoken(&mut library);
}

#[test]
fn slack() {
    let sender = Sender {
        kind: "slack",
        body: r#"{"type":"event_callback","event_id":"Ev1","event_time":1775397840,"event":{"type":"message","text":"hello"}}"#,
        signed: &["x-slack-request-timestamp", "x-slack-signature"],
        timed: true,
        ..SENDER
    };
    let mut library = Library::python(json!({"source": "slack", "secret": sender.secret}));
    sender.is_understood(&mut library);
    sender.is_spoken(&mut library);
    // The question that comes when the URL is entered at Slack.
    let bridge = sender.bridge(&[sender.secret]);
    let body = r#"{"token":"t","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}"#;
    let headers = library.sign(body, now());
    let answer = sender.post(&bridge, body, &headers);
    assert_eq!(answer.status, 200);
    let expected = "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P";
    assert_eq!(answer.json(), json!({ "challenge": expected }));
    let forged = sender.post(&bridge, &body.replace("3eZ", "4eZ"), &headers);
    assert_eq!(forged.status, 401);
    assert!(!forged.text().contains("4eZ"));
    assert_eq!(bridge.event_rows(), Vec::<Value>::new());
}

#[test]
fn github() {
    let sender = Sender {
        kind: "github",
        body: r#"{"action":"opened","issue":{"number":7,"title":"Zoë"},"sender":{"login":"octocat"}}"#,
        signed: &["x-hub-signature-256"],
        emit: &["--type", "issues"],
        ..SENDER
    };
    let mut library = Library::node(json!({"source": "github", "secret": sender.secret}));
    sender.is_understood(&mut library);
    sender.is_spoken(&mut library);
}

#[test]
fn whoever_holds_one_body_of_github_makes_no_second_event_of_it() {
    let sender = Sender { kind: "github", ..SENDER };
    let bridge = sender.bridge(&[sender.secret]);
    let mut library = Library::node(json!({"source": "github", "secret": sender.secret}));
    let body = r#"{"action":"opened","issue":{"number":7}}"#;
    let mut headers = library.sign(body, now());
    let with = |headers: &[(String, String)], kind: &str, id: &str| {
        let mut headers = headers.to_vec();
        headers.retain(|(n, _)| n != "x-github-event" && n != "x-github-delivery");
        headers.push(("x-github-event".to_owned(), kind.to_owned()));
        headers.push(("x-github-delivery".to_owned(), id.to_owned()));
        headers
    };
    // Before the first real one: an event whose body is of another shape.
    let answer = sender.post(&bridge, body, &with(&headers, "push", "1"));
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("no `ref`"), "{}", answer.text());
    assert_eq!(sender.post(&bridge, body, &headers).json()["received"], true);
    for kind in ["issues", "star"] {
        let answer = sender.post(&bridge, body, &with(&headers, kind, "another"));
        assert_eq!(answer.json()["duplicate"], true, "{kind}: {}", answer.text());
    }
    headers.retain(|(n, _)| n != "x-github-event");
    assert_eq!(sender.post(&bridge, body, &headers).status, 400);
    let rows = bridge.event_rows();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["type"], "issues", "{}", rows[0]);
}

#[test]
fn gitlab() {
    let sender = Sender {
        kind: "gitlab",
        secret: WHSEC,
        other: "plain-token",
        body: r#"{"object_kind":"pipeline","object_attributes":{"status":"failed"},"user":{"name":"Zoë"}}"#,
        signed: &["webhook-id", "webhook-timestamp", "webhook-signature"],
        timed: true,
        ..SENDER
    };
    // GitLab signs by Standard Webhooks' scheme and checks itself by that library.
    let mut library = Library::node(json!({"source": "standard-webhooks", "secret": WHSEC}));
    sender.is_understood(&mut library);
    sender.is_spoken(&mut library);
    let bridge = sender.bridge(&["plain-token"]);
    let token = |value: &str| vec![("X-Gitlab-Token".to_owned(), value.to_owned())];
    for wrong in ["plain-toke", "plain-token2", "Plain-token", ""] {
        assert_eq!(sender.post(&bridge, sender.body, &token(wrong)).status, 401, "{wrong}");
    }
    assert_eq!(bridge.event_rows(), Vec::<Value>::new());
    assert_eq!(sender.post(&bridge, sender.body, &token("plain-token")).status, 200);
    // An id that no signature covers doesn't make another event of it.
    let mut headers = token("plain-token");
    headers.push(("webhook-id".to_owned(), "fresh".to_owned()));
    assert_eq!(sender.post(&bridge, sender.body, &headers).json()["duplicate"], true);
}

#[test]
fn shopify() {
    let sender = Sender {
        kind: "shopify",
        body: r#"{"id":820982911946154508,"email":"jo@example.com","total_price":"403.00"}"#,
        signed: &["x-shopify-hmac-sha256"],
        emit: &["--type", "orders/paid"],
        ..SENDER
    };
    let mut library = Library::node(json!({"source": "shopify", "secret": sender.secret}));
    sender.is_understood(&mut library);
    sender.is_spoken(&mut library);
}

#[test]
fn twilio() {
    let sender = Sender {
        kind: "twilio",
        settings: "url = \"https://bell.example.com/hooks/x?tenant=a%20b\"",
        body: "To=%2B15552223333&Body=Where+are+you%3F+Zo%C3%AB&SmsStatus=received&MessageSid=SM1&NumMedia=0&From=&Media=b&Media=a",
        content_type: "application/x-www-form-urlencoded",
        signed: &["x-twilio-signature"],
        ..SENDER
    };
    let mut library =
        Library::python(json!({"source": "twilio", "secret": sender.secret, "url": TWILIO_URL}));
    sender.is_understood(&mut library);
    sender.is_spoken(&mut library);
    let bridge = sender.bridge(&[sender.secret]);
    let headers = library.sign(sender.body, now());
    let answer = sender.post(&bridge, sender.body, &headers);
    assert_eq!(answer.json()["received"], true);
    let row = &bridge.event_rows()[0];
    assert_eq!(row["type"], "sms.received", "{row}");
    // The order of fields isn't signed, nor where a name ends: the id is a hash of what is.
    for same in [
        sender
            .body
            .replace("SmsStatus=received&MessageSid=SM1", "MessageSid=SM1&SmsStatus=received"),
        sender.body.replace("NumMedia=0", "NumMedi=a0"),
    ] {
        assert_ne!(same, sender.body);
        let answer = sender.post(&bridge, &same, &headers);
        assert_eq!((answer.status, &answer.json()["duplicate"]), (200, &json!(true)), "{same}");
    }
    assert_eq!(bridge.event_rows().len(), 1);
    let mut json_type = Sender { content_type: "application/json", ..sender };
    assert_eq!(json_type.post(&bridge, json_type.body, &headers).status, 415);
    json_type.content_type = "multipart/form-data";
    assert_eq!(json_type.post(&bridge, json_type.body, &headers).status, 415);
}

#[test]
fn retell() {
    let sender = Sender {
        kind: "retell",
        body: r#"{"event":"call_ended","call":{"call_id":"c1","transcript":"Zoë: hola"}}"#,
        signed: &["x-retell-signature"],
        timed: true,
        ..SENDER
    };
    let mut library = Library::node(json!({"source": "retell", "secret": sender.secret}));
    sender.is_understood(&mut library);
    sender.is_spoken(&mut library);
}

/// Senders without a library: what `emit` sends the bridge takes, and nothing with another secret.
#[test]
fn every_other_source_takes_what_emit_sends_as_it() {
    for (kind, secret, other) in [
        ("replicer", "s", "t"),
        ("hmac", "s", "t"),
        ("bearer", "s", "t"),
        ("vapi", "s", "t"),
        ("basic", "jo:s", "jo:t"),
        ("gitlab", "s", "t"),
    ] {
        let sender = Sender { kind, ..SENDER };
        let (bridge, stranger) = (sender.bridge(&[secret, other]), sender.bridge(&[other]));
        let ran = bridge.run(&["emit"]);
        assert!(ran.stdout.starts_with("200 "), "{kind}: {}", ran.all());
        assert_eq!(bridge.event_rows().len(), 1, "{kind}");
        let url = format!("http://{}/hooks/x", stranger.events());
        let ran = bridge.run(&["emit", "--to", &url]);
        assert!(ran.code == 1 && ran.stdout.starts_with("401 "), "{kind}: {}", ran.all());
        assert_eq!(stranger.event_rows(), Vec::<Value>::new(), "{kind}");
    }
}
