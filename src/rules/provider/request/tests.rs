//! Requests: what comes out for what goes in, and that hostile text changes nothing else.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::super::{
    Answer, Common, Definition, Destination, OnAmbiguous, Transport, builtin, builtins, example,
};
use super::*;
use crate::event::Event;
use crate::rules::template::{Context, Message, Style, TemplateFile, Templates};

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

/// The destination of each example of each built-in provider over HTTP: a new one is covered without a line here.
fn destinations() -> Vec<(String, Arc<Definition>, Destination)> {
    let mut found = Vec::new();
    for definition in builtins().iter().filter(|d| d.request.is_some()) {
        assert!(!definition.examples.is_empty(), "{} has no example", definition.name);
        for example in &definition.examples {
            let destination = example.destination(definition).unwrap();
            found.push((definition.name.clone(), Arc::clone(definition), destination));
        }
    }
    found
}

/// What `destination` sends when every text of the event is `value`, through a template as a user would write it.
fn requests(destination: &Destination, value: &str) -> Vec<HttpRequest> {
    requests_with(destination, value, "link: \"https://example.com/{{customerName}}\"\n")
}

/// The same with another line of the template's head.
fn requests_with(destination: &Destination, value: &str, link: &str) -> Vec<HttpRequest> {
    let data = serde_json::json!({ "customerName": value, "n": 1 });
    let body = serde_json::json!({ "id": value, "event": value, "data": data }).to_string();
    let now = Timestamp::from_second(1_775_397_841).unwrap();
    let event = Event {
        source: "replicer".into(),
        id: value.to_owned(),
        kind: value.to_owned(),
        time: None,
        received: now,
        body: Bytes::from(body),
    };
    let head = "subject: Won {{customerName}}\ndedup: \"{{customerName}}\"\nseverity: \"{{customerName}}\"\n";
    let text = format!("---\n{head}{link}---\nx {{{{customerName}}}} y");
    let files = [("t.hbs", text.as_str()), ("t.email.html.hbs", "<p>{{customerName}}</p>")];
    let files =
        files.map(|(file, text)| TemplateFile { file: file.to_owned(), text: text.to_owned() });
    let templates = Templates::compile(&files).unwrap();
    let context = Context { event: &event, rule: "won deal", destination: "office" };
    let message = templates.render(Some("t"), destination.form(), context);
    assert_eq!(message.fallback, None);
    let outgoing = Outgoing {
        message: &message,
        key: Uuid::from_u128(7),
        rule: "won deal",
        destination: "office",
        recipient: destination.recipients.first().map(|r| &**r),
        event: &event,
        now,
    };
    let Transport::Http(target) = &destination.transport else { panic!("not over http") };
    target.requests(&outgoing).unwrap()
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

/// Every text of a JSON value.
fn texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(m) => m.values().for_each(|v| texts(v, into)),
        Value::Array(a) => a.iter().for_each(|v| texts(v, into)),
        Value::String(s) => into.push(s.clone()),
        _ => {}
    }
}

fn form(body: &[u8]) -> Vec<(String, String)> {
    let url = Url::parse(&format!("http://x/?{}", std::str::from_utf8(body).unwrap())).unwrap();
    url.query_pairs().map(|(k, v)| (k.into_owned(), v.into_owned())).collect()
}

/// The body's shape and its texts.
fn read(definition: &Definition, body: &[u8]) -> (Value, Vec<String>) {
    let request = definition.request.as_ref().unwrap();
    let mut found = Vec::new();
    let shape = if request.json.is_some() {
        let value: Value = serde_json::from_slice(body).unwrap();
        texts(&value, &mut found);
        shape(&value)
    } else if request.form.is_some() {
        let pairs = form(body);
        let names: Vec<_> = pairs.iter().map(|(k, _)| Value::from(k.as_str())).collect();
        found.extend(pairs.into_iter().map(|(_, v)| v));
        names.into()
    } else {
        found.push(String::from_utf8(body.to_vec()).unwrap());
        Value::Null
    };
    (shape, found)
}

/// What would ping somebody or be carried out somewhere, if it got through as it is.
const PINGS: [&str; 10] = [
    "<!channel>",
    "<!here>",
    "<@U1>",
    "<users/all>",
    "@everyone",
    "@here",
    "@all",
    "@**all**",
    "<@&1>",
    "[~accountid:1]",
];

#[test]
fn no_hostile_value_changes_structure_url_headers_or_recipient_or_pings() {
    let long = "üü\"<& \n".repeat(11_500);
    let many = format!("{}{}", "@everyone ".repeat(1_000), "<!channel>".repeat(1_000));
    let others = [
        "\",\"x\":\"y",
        "'}]}",
        "a\r\nBcc: x@example.com",
        "\u{2028}\u{2029}",
        "\u{202e}txt.exe",
        "\u{200b}\u{feff}",
        "{{text}} {text} {event} ${x}",
        "%recipient% %0d%0a &To=+1666 *|X|*",
        "a=b&c=d;e+f",
        "../../..",
        "..",
        "a@example.com, b@example.com; <c@example.com>",
        "+15550001111<+15550002222",
        "1e400",
        "-0",
        "\u{0}\u{7}\u{1b}[31m",
        &long,
        &many,
    ];
    let destinations = destinations();
    assert!(destinations.len() >= 7, "only {} examples", destinations.len());
    for (provider, definition, destination) in &destinations {
        let plain = requests(destination, "plain");
        let plain_body = read(definition, &plain[0].body).0;
        // A link that is none, with a line break in it, is left out, and what the body has for it.
        let without_link = requests_with(destination, "plain", "");
        let without_link = shape_of_long(&read(definition, &without_link[0].body).0);
        for value in PINGS.iter().chain(&others) {
            let what = format!("{provider}: {:?}", value.chars().take(20).collect::<String>());
            for got in requests(destination, value) {
                assert_eq!(got.method, plain[0].method, "{what}");
                assert_eq!(authority(&got.url), authority(&plain[0].url), "{what}");
                let pieces = |u: &Url| u.path_segments().map(Iterator::count);
                assert_eq!(pieces(&got.url), pieces(&plain[0].url), "{what}");
                let names =
                    |u: &Url| -> Vec<_> { u.query_pairs().map(|(k, _)| k.into_owned()).collect() };
                assert_eq!(names(&got.url), names(&plain[0].url), "{what}");
                let names = |r: &HttpRequest| r.headers.keys().cloned().collect::<Vec<_>>();
                assert_eq!(names(&got), names(&plain[0]), "{what}");
                for value in got.headers.values() {
                    assert!(!value.as_bytes().iter().any(u8::is_ascii_control), "{what}");
                }
                let (shape, texts) = read(definition, &got.body);
                let shape = shape_of_long(&shape);
                if shape != without_link {
                    assert_eq!(shape, shape_of_long(&plain_body), "{what}");
                }
                if let Some(recipient) = destination.recipients.first() {
                    let whole = texts
                        .iter()
                        .any(|t| t.trim_start_matches('+') == recipient.trim_start_matches('+'));
                    let url = percent_encoding::percent_decode_str(got.url.as_str());
                    let url = url.decode_utf8_lossy();
                    let in_url = url.contains(recipient.trim_start_matches('+'));
                    assert!(
                        whole || in_url,
                        "{what}: {recipient} is not the recipient as it is: {texts:?}"
                    );
                }
                // What the channel's escaping changes may nowhere come through as it is: a placeholder without a
                // filter in a leaf with markup would show here. A leaf that is the link, as it was checked, is an
                // address and no text; one that is said to be plain, beside a text with markup, has no markup.
                let json = definition.request.as_ref().and_then(|r| r.json.as_ref());
                let some_plain = json.is_some_and(|j| j.to_string().contains("|plain}"));
                for text in &texts {
                    let plain = some_plain && !text.starts_with("x ");
                    let style = if plain { Style::Plain } else { destination.escape.style };
                    let escape = destination.escape.with_style(style);
                    let link = text.starts_with("https://example.com/") && !text.contains('<');
                    let through = PINGS.iter().find(|p| {
                        escape.apply(p) != **p && value.contains(**p) && unescaped(text, p)
                    });
                    assert!(through.is_none() || link, "{what}: {through:?} came through: {text}");
                }
            }
        }
    }
}

/// Whether `ping` stands in `text` with nothing before it that makes it plain.
fn unescaped(text: &str, ping: &str) -> bool {
    text.match_indices(ping).any(|(at, _)| !text[..at].ends_with('\\'))
}

/// Lists of lines (`$each`) may differ in their length, and what is optional in their elements.
fn shape_of_long(shape: &Value) -> Value {
    match shape {
        Value::Object(m) => m.iter().map(|(k, v)| (k.clone(), shape_of_long(v))).collect(),
        Value::Array(a) => a.iter().take(1).map(shape_of_long).collect(),
        other => other.clone(),
    }
}

#[test]
fn a_long_text_is_cut_after_escaping_and_never_inside_an_entity() {
    let of = |provider: &str| destinations().into_iter().find(|(p, ..)| p == provider).unwrap();
    let (_, _, slack) = of("slack");
    let value: Value =
        serde_json::from_slice(&requests(&slack, &"&".repeat(9_000))[0].body).unwrap();
    let text = value["text"].as_str().unwrap();
    assert!(text.ends_with("&amp;…") && text.chars().count() <= 12_000, "{}", text.len());
    let (_, _, twilio) = of("twilio");
    let body = &requests(&twilio, &"👍".repeat(900))[0].body;
    let (_, text) = form(body).into_iter().find(|(k, _)| k == "Body").unwrap();
    assert!((1_590..=1_600).contains(&text.encode_utf16().count()) && text.ends_with("👍..."));
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
    let url = requests(&destination, "a/../b?c#d@evil.com &").remove(0).url;
    let Transport::Http(target) = destination.transport else { panic!("not over http") };
    let encoded = "a%2F..%2Fb%3Fc%23d%40evil.com%20%26";
    assert_eq!(
        url.as_str(),
        format!("https://chat.example.com:8443/rooms/%21a%2Fb:c/{encoded}?topic={encoded}")
    );

    let event = |kind: &str| Event {
        source: "s".into(),
        id: "..".to_owned(),
        kind: kind.to_owned(),
        time: None,
        received: Timestamp::UNIX_EPOCH,
        body: Bytes::from_static(b"{}"),
    };
    let message = Message::default();
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
        target.requests(&outgoing).err().unwrap()
    };
    assert!(error(&event("x")).contains("`..`"));
    let lines = Event { id: "1".to_owned(), ..event("a\r\nX-Evil: 1") };
    assert!(error(&lines).contains("line break"), "{}", error(&lines));
}

#[test]
fn debug_shows_no_secret() {
    for (provider, definition, destination) in destinations() {
        let shown = format!("{destination:?}");
        for setting in definition.settings.iter().filter(|s| s.secret) {
            for example in &definition.examples {
                if let Some(secret) =
                    example.settings.get(&setting.name).and_then(toml::Value::as_str)
                {
                    assert!(!shown.contains(secret), "{provider}: {shown}");
                }
            }
        }
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
