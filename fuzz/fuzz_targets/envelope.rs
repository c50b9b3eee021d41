//! Any bytes as the body of each built-in source, its signature right: an event, or a 400 with a reason.

#![no_main]

use std::sync::Arc;

use hookbell::rules::source::{
    Arrival, BUILT_IN, Definition, Outgoing, Source, SourceSettings, Verified,
};
use hookbell::secret::Secret;
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};

thread_local! {
    static SOURCES: Vec<Source> = BUILT_IN
        .iter()
        .filter_map(|(name, text)| {
            let definition = Arc::new(Definition::parse(text).expect("a sound definition"));
            let signs = !definition.signature.is_none();
            let secrets = signs.then(|| Secret::new("whsec_c3RhbmQtaW4tc2lnbmluZy1zZWNyZXQ="));
            let url = definition.signs_url().then(|| "https://bell.example/hooks/x".to_owned());
            let settings =
                SourceSettings { secrets: secrets.into_iter().collect(), natural_keys: true, url };
            // A kind whose secret has another shape is left to its own tests.
            Source::compile(name, definition, settings).ok()
        })
        .collect();
}

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    SOURCES.with(|sources| {
        assert!(!sources.is_empty());
        for source in sources {
            let now = jiff::Timestamp::UNIX_EPOCH;
            let out = Outgoing { now, unique: "msg_1", kind: Some("push"), private_key: None };
            let headers: HeaderMap = source
                .sign(body, out)
                .expect("a secret that signs")
                .into_iter()
                .map(|(name, value)| {
                    let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
                    (name, HeaderValue::from_str(&value).expect("a header's value"))
                })
                .collect();
            let arrival =
                Arrival { headers: &headers, body: Bytes::copy_from_slice(body), received: now };
            match source.verify(arrival) {
                Ok(Verified::Event(event, _)) => {
                    assert!(!event.id.is_empty() && !event.kind.is_empty());
                    if !source.takes_forms() {
                        assert_eq!(event.text().as_bytes(), body);
                    }
                }
                Ok(Verified::Challenge(answer)) => assert!(!answer.is_empty()),
                Err(refusal) => {
                    // What a form signs are its fields, so of a broken one nothing is.
                    let form = source.takes_forms() && refusal.reason == "form_unreadable";
                    assert!(refusal.status == 400 || form, "{refusal:?}");
                    assert!(!refusal.reason.is_empty() && !refusal.message.is_empty());
                }
            }
        }
    });
});
