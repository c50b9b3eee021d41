//! Any bytes as a signature header: only the one signature is let in, and nothing but a 401 is said of others.
//! The input is the header's value, a line break, the body; before the value may stand `=`, for the right signature
//! with the rest appended.

#![no_main]

use std::sync::Arc;

use hookbell::rules::source::{Arrival, Definition, Outgoing, Source, SourceSettings};
use hookbell::secret::Secret;
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};

const SCHEMES: [(&str, &str, &str); 3] =
    [("sha256", "hex", ""), ("sha1", "hex", "sha1="), ("sha512", "base64", "v1,")];

thread_local! {
    static SOURCES: Vec<Source> = SCHEMES
        .iter()
        .map(|(algorithm, encoding, prefix)| {
            let text = format!(
                "name = 'x'\n[signature.hmac]\nalgorithm = '{algorithm}'\nencoding = '{encoding}'\n\
                 header = 'X-Sig'\nprefix = '{prefix}'\n[envelope]\nid = 'id'\ntype = 'event'\n"
            );
            let definition = Arc::new(Definition::parse(&text).expect("a sound definition"));
            let secrets = vec![Secret::new("one secret"), Secret::new("another secret")];
            let settings = SourceSettings { secrets, ..SourceSettings::default() };
            Source::compile("x", definition, settings).expect("a sound source")
        })
        .collect();
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let at = input.iter().position(|b| *b == b'\n').unwrap_or(input.len());
    let (value, body) = input.split_at(at);
    let body = body.get(1..).unwrap_or_default();
    SOURCES.with(|sources| {
        for (source, (_, encoding, prefix)) in sources.iter().zip(SCHEMES) {
            let now = jiff::Timestamp::UNIX_EPOCH;
            let out = Outgoing { now, unique: "msg_1", kind: None, private_key: None };
            let signed = source.sign(body, out).expect("a secret that signs").pop();
            let (_, right) = signed.expect("a signature");
            let value = match value {
                [b'=', rest @ ..] => [right.as_bytes(), rest].concat(),
                value => value.to_vec(),
            };
            let Ok(header) = HeaderValue::from_bytes(&value) else { continue };
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static("x-sig"), header);
            let arrival = Arrival {
                headers: &headers,
                body: Bytes::copy_from_slice(body),
                received: jiff::Timestamp::UNIX_EPOCH,
            };
            let refused = source.verify(arrival).is_err_and(|r| r.status == 401);
            let hash = |text: &[u8]| text.strip_prefix(prefix.as_bytes()).map(<[u8]>::to_vec);
            let same = match (hash(&value), hash(right.as_bytes())) {
                // Hex digits may be of either case.
                (Some(a), Some(b)) if encoding == "hex" => a.eq_ignore_ascii_case(&b),
                (a, b) => a == b,
            };
            assert_eq!(refused, !same, "{:?}", String::from_utf8_lossy(&value));
        }
    });
});
