//! A condition over an event: what is explained is what was decided, and only an unknown one names fields.
//! The input is the condition, a NUL, the event's body.

#![no_main]

use std::sync::Arc;

use hookbell::rules::condition::{Condition, Truth};
use hookbell::rules::fields::Fields;
use hookbell::rules::rule::DATA_KEY;
use hookbell::rules::source::{Arrival, Definition, Source, SourceSettings, Verified};
use hyper::HeaderMap;
use hyper::body::Bytes;

thread_local! {
    static SOURCE: Source = {
        let text = "name = 'open'\nsignature = 'none'\n[envelope]\nid = 'id'\ntype = 'event'\ndata = 'data'\n";
        let definition = Arc::new(Definition::parse(text).expect("a sound definition"));
        let settings = SourceSettings::default();
        Source::compile("open", definition, settings).expect("a sound source")
    };
}

libfuzzer_sys::fuzz_target!(|input: &str| {
    let Some((text, body)) = input.split_once('\0') else { return };
    let mut fields = Fields::default();
    let Ok(condition) = Condition::compile(text, &mut fields) else { return };
    let arrival = Arrival {
        headers: &HeaderMap::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        received: jiff::Timestamp::UNIX_EPOCH,
    };
    let Ok(Verified::Event(event, _)) = SOURCE.with(|source| source.verify(arrival)) else {
        return;
    };
    let values = fields.read(&event, Some(DATA_KEY));
    let truth = condition.eval(&values);
    assert_eq!(condition.trace(&values).value, truth);
    let unknown = condition.unknown_fields(&values);
    assert_eq!(truth == Truth::Unknown, !unknown.is_empty(), "{truth:?}, {unknown:?}");
});
