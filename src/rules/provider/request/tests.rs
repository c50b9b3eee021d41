//! Requests: what comes out for what goes in, and that hostile text changes nothing else.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::super::{
    Answer, Common, Destination, OnAmbiguous, Transport, builtin, builtins, example,
};
use super::*;
use crate::event::Event;
use crate::rules::template::Message;

/// A destination of a built-in provider with these settings.
pub(in super::super) fn target(provider: &str, settings: &str) -> HttpTarget {
    let settings = example::settings_of(&toml::from_str(settings).unwrap());
    let common = Common::default();
    let destination =
        Destination::compile("d", &builtin(provider).unwrap(), &settings, common).unwrap();
    match destination.transport {
        Transport::Http(target) => *target,
        other => panic!("{other:?}"),
    }
}

pub(in super::super) struct Stored {
    status: u16,
    headers: HeaderMap,
    body: Vec<u8>,
}

pub(in super::super) fn answer(status: u16, body: &[u8]) -> Stored {
    Stored { status, headers: HeaderMap::new(), body: body.to_vec() }
}

impl Stored {
    pub(in super::super) fn answer(&self) -> Answer<'_> {
        Answer {
            status: self.status,
            headers: &self.headers,
            body: &self.body,
            at: Timestamp::UNIX_EPOCH,
        }
    }
}

/// What a provider's settings are in the test of hostile values.
const DESTINATIONS: [(&str, &str); 4] = [
    ("slack", r#"url = "https://hooks.slack.com/services/T/B/x""#),
    (
        "twilio",
        "account_sid = \"AC1\"\nauth_token = \"token\"\nfrom = \"+15550001111\"\nto = \"+15552223333\"",
    ),
    (
        "sendgrid",
        "api_key = \"SG.key\"\nfrom = \"Bell <bell@example.com>\"\nto = \"office@example.com\"",
    ),
    (
        "webhook",
        "url = \"https://example.com/hook\"\nheaders = [\"X-Team: a\"]\nsecret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"",
    ),
];

/// The request for a message whose every text is `text`.
fn request(target: &HttpTarget, text: &str) -> HttpRequest {
    let body = serde_json::json!({ "id": text, "event": text, "data": { "customerName": text } })
        .to_string();
    let now = Timestamp::from_second(1_775_397_841).unwrap();
    let event = Event {
        source: "replicer".into(),
        id: text.to_owned(),
        kind: text.to_owned(),
        time: None,
        received: now,
        body: Bytes::from(body),
    };
    let message = Message {
        subject: Some(text.to_owned()),
        text: text.to_owned(),
        html: Some(text.to_owned()),
        fallback: None,
    };
    let outgoing = Outgoing {
        message: &message,
        key: Uuid::from_u128(7),
        rule: "r",
        destination: "d",
        recipient: Some("+15552223333"),
        event: &event,
        now,
    };
    target.request(&outgoing).unwrap()
}

/// A JSON value with every text replaced by its place in the tree only.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(m) => m.iter().map(|(k, v)| (k.clone(), shape(v))).collect(),
        Value::Array(a) => a.iter().map(shape).collect(),
        Value::String(_) => "text".into(),
        other => other.clone(),
    }
}

fn form(body: &[u8]) -> Vec<(String, String)> {
    let url = Url::parse(&format!("http://x/?{}", std::str::from_utf8(body).unwrap())).unwrap();
    url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect()
}

#[test]
fn no_hostile_value_changes_structure_url_headers_or_recipient() {
    let long = "ü\"<&".repeat(25_000);
    let hostile = [
        "<!channel>",
        "<!here> <@U1>",
        "@everyone",
        "\",\"x\":\"y",
        "'}]}",
        "a\r\nBcc: x@example.com",
        "\u{2028}\u{2029}",
        "\u{202e}txt.exe",
        "\u{200b}\u{feff}",
        "{{text}} {text} {event}",
        "%recipient% %0d%0a &To=+1666",
        "a=b&c=d;e+f",
        "../../..",
        "\u{0}\u{7}\u{1b}[31m",
        "",
        &long,
    ];
    let over_http = builtins().iter().filter(|d| d.request.is_some()).count();
    assert_eq!(over_http, DESTINATIONS.len(), "every provider over http is in the table");
    for (provider, settings) in DESTINATIONS {
        let target = target(provider, settings);
        let plain = request(&target, "plain");
        for value in hostile {
            let got = request(&target, value);
            let what = format!("{provider}: {:?}", value.chars().take(20).collect::<String>());
            assert_eq!((&got.method, &got.url), (&plain.method, &plain.url), "{what}");
            let names = |r: &HttpRequest| r.headers.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(&got), names(&plain), "{what}");
            for (name, header) in &plain.headers {
                if name != "webhook-signature" {
                    assert_eq!(got.headers.get(name), Some(header), "{what}");
                }
            }
            if provider == "twilio" {
                let (got, plain) = (form(&got.body), form(&plain.body));
                assert_eq!(got.len(), plain.len(), "{what}");
                assert_eq!(got[..2], plain[..2], "{what}");
                assert!(got[2].1 == value || value.len() > 1600, "{what}");
            } else {
                let read = |r: &HttpRequest| serde_json::from_slice::<Value>(&r.body).unwrap();
                assert_eq!(shape(&read(&got)), shape(&read(&plain)), "{what}");
            }
        }
    }
}

#[test]
fn a_long_text_is_cut_after_escaping_and_never_inside_an_entity() {
    let (provider, settings) = DESTINATIONS[0];
    let body = request(&target(provider, settings), &"&amp;".repeat(9_000)).body;
    let value: Value = serde_json::from_slice(&body).unwrap();
    let text = value["text"].as_str().unwrap();
    assert!(text.ends_with("&amp;…") && text.chars().count() <= 12_000, "{}", text.len());
    let (provider, settings) = DESTINATIONS[1];
    let body = request(&target(provider, settings), &"👍".repeat(900)).body;
    assert_eq!(form(&body)[2].1.encode_utf16().count(), 1_599);
}

#[test]
fn data_in_a_url_is_encoded_by_position_and_can_not_climb() {
    let text = "name = \"x\"\nchannel = \"text\"\n[[settings]]\nname = \"base\"\nkind = \"url\"\n[[settings]]\nname = \"room\"\n[request]\nurl = \"{base}/rooms/{room}/{event_id}?topic={event_type}\"\nheaders = { X-Type = \"t {event_type}\" }";
    let definition = Arc::new(Definition::parse(text).unwrap());
    let settings =
        toml::from_str("base = \"https://chat.example.com:8443/\"\nroom = \"!a/b:c\"").unwrap();
    let common = Common::default();
    let destination =
        Destination::compile("d", &definition, &example::settings_of(&settings), common).unwrap();
    let Transport::Http(target) = destination.transport else { panic!("not over http") };
    let url = request(&target, "a/../b?c#d@evil.com &").url;
    let encoded = "a%2F..%2Fb%3Fc%23d%40evil.com%20%26";
    assert_eq!(
        url.as_str(),
        format!("https://chat.example.com:8443/rooms/%21a%2Fb%3Ac/{encoded}?topic={encoded}")
    );

    let event = |kind: &str| Event {
        source: "s".into(),
        id: "..".to_owned(),
        kind: kind.to_owned(),
        time: None,
        received: Timestamp::UNIX_EPOCH,
        body: Bytes::from_static(b"{}"),
    };
    let message = Message { subject: None, text: String::new(), html: None, fallback: None };
    let error = |event: &Event| {
        let (key, now) = (Uuid::nil(), Timestamp::UNIX_EPOCH);
        let outgoing = Outgoing {
            message: &message,
            key,
            rule: "r",
            destination: "d",
            recipient: None,
            event,
            now,
        };
        target.request(&outgoing).err().unwrap()
    };
    assert!(error(&event("x")).contains("`..`"));
    let lines = Event { id: "1".to_owned(), ..event("a\r\nX-Evil: 1") };
    assert!(error(&lines).contains("line break"), "{}", error(&lines));
}

#[test]
fn debug_shows_no_secret() {
    for (provider, settings) in DESTINATIONS {
        let shown = format!("{:?}", target(provider, settings));
        assert!(
            !["token", "SG.key", "whsec_", "hooks.slack"].iter().any(|s| shown.contains(s)),
            "{shown}"
        );
    }
}

#[test]
fn a_text_message_is_rather_parked_than_sent_twice() {
    let of = |provider: &str, settings: &str| {
        let table: toml::Table = settings.parse().unwrap();
        let definition = crate::rules::provider::builtin(provider).unwrap();
        let settings = super::super::example::settings_of(&table);
        Destination::compile("office", &definition, &settings, Common::default()).unwrap()
    };
    let sms = of(
        "twilio",
        "account_sid = \"AC00000000000000000000000000000000\"\nauth_token = \"t\"\nfrom = \"+15550001111\"\nto = [\"+15552223333\"]",
    );
    assert_eq!(sms.on_ambiguous, OnAmbiguous::Park);
    let hook = of("webhook", "url = \"https://example.com/\"");
    assert_eq!(hook.on_ambiguous, OnAmbiguous::Retry);
}
