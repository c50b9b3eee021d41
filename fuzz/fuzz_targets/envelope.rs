//! Any bytes as the body of each built-in source, its signature right: an event, or a 400 with a reason.

#![no_main]

use std::sync::Arc;

use hookbell::rules::source::{Arrival, BUILT_IN, Definition, Signature, Source, SourceSettings};
use hookbell::secret::Secret;
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};

thread_local! {
    static SOURCES: Vec<Source> = BUILT_IN
        .iter()
        .filter_map(|(name, text)| {
            let definition = Arc::new(Definition::parse(text).expect("a sound definition"));
            let signs = definition.signature != Signature::None;
            let secrets = signs.then(|| Secret::new("whsec_c3RhbmQtaW4tc2lnbmluZy1zZWNyZXQ="));
            let settings = SourceSettings { secrets: secrets.into_iter().collect(), natural_keys: true };
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
            let headers: HeaderMap = source
                .sign(body, now)
                .into_iter()
                .map(|(name, value)| {
                    let name = HeaderName::from_bytes(name.as_bytes()).expect("a header's name");
                    (name, HeaderValue::from_str(&value).expect("a header's value"))
                })
                .collect();
            let arrival =
                Arrival { headers: &headers, body: Bytes::copy_from_slice(body), received: now };
            match source.verify(arrival) {
                Ok(verified) => {
                    let event = &verified.event;
                    assert!(!event.id.is_empty() && !event.kind.is_empty());
                    assert_eq!(event.text().as_bytes(), body);
                }
                Err(refusal) => {
                    assert_eq!(refusal.status, 400, "{refusal:?}");
                    assert!(!refusal.reason.is_empty() && !refusal.message.is_empty());
                }
            }
        }
    });
});
