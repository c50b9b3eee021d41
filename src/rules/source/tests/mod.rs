//! Signature mutations and envelopes as tables and properties, over the documented event byte for byte.

use proptest::prelude::*;

use super::*;

mod kinds;

const EVENT: &[u8] = include_bytes!("../../../../tests/events/call.ended.json");
const SECRET: &str = "test-secret";
const HEADER: &str = "x-replicer-signature";
/// Computed apart from this code: HMAC-SHA256 of the file under [`SECRET`].
const SIGNATURE: &str = "fcc4ab5ecb893bf4ef2731554522ee95e8db6a49cbee4b50cae7e1ce3e3255bd";

fn now() -> Timestamp {
    "2026-04-05T14:04:01Z".parse().unwrap()
}

fn source_with(secrets: &[&str], natural_keys: bool) -> Source {
    let definition = Arc::new(Definition::parse(built_in("replicer").unwrap()).unwrap());
    let secrets = secrets.iter().copied().map(Secret::new).collect();
    Source::compile("calls", definition, SourceSettings { secrets, natural_keys, url: None })
        .unwrap()
}

fn source() -> Source {
    source_with(&[SECRET], true)
}

fn signed_with(signatures: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for signature in signatures {
        headers.append(HEADER, HeaderValue::from_bytes(signature).unwrap());
    }
    headers
}

/// An event and its natural keys.
#[derive(Debug)]
struct Taken {
    event: Event,
    natural_keys: Vec<DedupeKey>,
}

fn verify(source: &Source, headers: &HeaderMap, body: &[u8]) -> Result<Taken, Refusal> {
    let body = Bytes::copy_from_slice(body);
    match source.verify(Arrival { headers, body, received: now() })? {
        Verified::Event(event, natural_keys) => Ok(Taken { event, natural_keys }),
        Verified::Challenge(answer) => panic!("a challenge: {answer}"),
    }
}

fn out() -> Outgoing<'static> {
    Outgoing { now: now(), unique: "msg_1", kind: None, private_key: None }
}

fn sign(source: &Source, body: &[u8]) -> Vec<(String, String)> {
    source.sign(body, out()).unwrap()
}

/// Verifies `body` under its right signature.
fn read(body: &[u8]) -> Result<Taken, Refusal> {
    let source = source();
    let signature = signature_of(&source, body);
    verify(&source, &signed_with(&[signature.as_bytes()]), body)
}

fn signature_of(source: &Source, body: &[u8]) -> String {
    sign(source, body).into_iter().find(|(name, _)| name == HEADER).unwrap().1
}

#[test]
fn the_documented_event_verifies_byte_for_byte() {
    let verified = verify(&source(), &signed_with(&[SIGNATURE.as_bytes()]), EVENT).unwrap();
    let event = verified.event;
    assert_eq!(
        (&*event.source, event.id.as_str(), event.kind.as_str()),
        ("calls", "evt-delivery-uuid", "call.ended")
    );
    assert_eq!(event.time, Some("2026-04-05T14:04:00Z".parse().unwrap()));
    assert_eq!((event.received, &event.body[..]), (now(), EVENT));
    assert_eq!(
        verified.natural_keys,
        [DedupeKey::new("calls", "natural call.ended data.callId", "clx-call-001")]
    );
}

#[test]
fn what_is_sent_is_what_replicer_sends() {
    let expected = [
        ("X-Replicer-Delivery-Id", "evt-delivery-uuid"),
        ("X-Replicer-Event", "call.ended"),
        ("X-Replicer-Timestamp", "1775397841"),
        (HEADER, SIGNATURE),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(sign(&source(), EVENT), expected);
}

#[test]
fn a_body_without_envelope_is_signed_all_the_same() {
    let headers = sign(&source(), b"no json");
    let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["X-Replicer-Timestamp", HEADER]);
}

#[test]
fn each_wrong_signature_is_refused_with_one_answer_and_its_own_reason() {
    let right = SIGNATURE.as_bytes();
    let other_key = signature_of(&source_with(&["another-source's"], true), EVENT);
    let other_body = signature_of(&source(), b"{}");
    let list = format!("{SIGNATURE},{SIGNATURE}");
    let prefixed = format!("sha256={SIGNATURE}");
    let spaced = format!(" {SIGNATURE}");
    let inner_space = format!("{} {}", &SIGNATURE[..31], &SIGNATURE[32..]);
    let no_hex = format!("{}g", &SIGNATURE[..63]);
    let base64 = "/MSrXsuJO/TvJzFVRSLuleTbaknL7ktQyufhzj4yVb0=";
    let zeros = "0".repeat(64);
    let cases: &[(&[&[u8]], &str)] = &[
        (&[], "signature_missing"),
        (&[b""], "signature_empty"),
        (&[right, right], "signature_several"),
        (&[right, b""], "signature_several"),
        (&[other_key.as_bytes(), right], "signature_several"),
        (&[list.as_bytes()], "signature_several"),
        (&[&right[..63]], "signature_length"),
        (&[&right[..62]], "signature_length"),
        (&[&right[..1]], "signature_length"),
        (&[&[right, b"0"].concat()], "signature_length"),
        (&[&[right, right].concat()], "signature_length"),
        (&[prefixed.as_bytes()], "signature_length"),
        (&[spaced.as_bytes()], "signature_length"),
        (&[base64.as_bytes()], "signature_length"),
        (&[inner_space.as_bytes()], "signature_encoding"),
        (&[no_hex.as_bytes()], "signature_encoding"),
        (&[&[0xFF; 64]], "signature_encoding"),
        (&[other_key.as_bytes()], "signature_wrong"),
        (&[other_body.as_bytes()], "signature_wrong"),
        (&[zeros.as_bytes()], "signature_wrong"),
    ];
    for (signatures, reason) in cases {
        let refusal = verify(&source(), &signed_with(signatures), EVENT).unwrap_err();
        let message = UNAUTHORIZED.to_owned();
        assert_eq!(refusal, Refusal { status: 401, reason, message }, "{signatures:?}");
    }
}

/// Found by fuzzing: every signature of such a definition was refused.
#[test]
fn a_prefix_may_hold_a_comma() {
    let text = "name = 'x'\n[signature.hmac]\nalgorithm = 'sha512'\nencoding = 'base64'\nheader = 'X-Sig'\n\
                prefix = 'v1,'\n[envelope]\nid = 'id'\ntype = 'event'\n";
    let definition = std::sync::Arc::new(Definition::parse(text).unwrap());
    let settings =
        SourceSettings { secrets: vec![Secret::new("a secret")], ..SourceSettings::default() };
    let source = Source::compile("x", definition, settings).unwrap();
    let body = br#"{"id":"1","event":"e"}"#;
    let (_, right) = sign(&source, body).pop().unwrap();
    let with = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("x-sig", value.parse().unwrap());
        verify(&source, &headers, body)
    };
    with(&right).unwrap();
    assert_eq!(with(&format!("{right},{right}")).unwrap_err().reason, "signature_several");
}

#[test]
fn upper_case_digits_pass() {
    let upper = SIGNATURE.to_uppercase();
    assert!(verify(&source(), &signed_with(&[upper.as_bytes()]), EVENT).is_ok());
}

#[test]
fn while_rotating_both_secrets_pass_and_the_first_one_signs() {
    let both = source_with(&["new", SECRET], true);
    assert!(verify(&both, &signed_with(&[SIGNATURE.as_bytes()]), EVENT).is_ok());
    let new = signature_of(&both, EVENT);
    assert_eq!(new, signature_of(&source_with(&["new"], true), EVENT));
    assert!(verify(&both, &signed_with(&[new.as_bytes()]), EVENT).is_ok());
    let after = source_with(&["new"], true);
    let refusal = verify(&after, &signed_with(&[SIGNATURE.as_bytes()]), EVENT).unwrap_err();
    assert_eq!(refusal.reason, "signature_wrong");
}

#[test]
fn no_other_header_decides_anything() {
    let mut headers = signed_with(&[SIGNATURE.as_bytes()]);
    for (name, value) in [
        ("x-replicer-event", "appointment.created"),
        ("x-replicer-delivery-id", "forged"),
        ("x-replicer-timestamp", "0"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let event = verify(&source(), &headers, EVENT).unwrap().event;
    assert_eq!((event.id.as_str(), event.kind.as_str()), ("evt-delivery-uuid", "call.ended"));
    assert_eq!(event.time, Some("2026-04-05T14:04:00Z".parse().unwrap()));
}

#[test]
fn secrets_must_be_there_exactly_where_the_sender_signs() {
    let replicer = Arc::new(Definition::parse(built_in("replicer").unwrap()).unwrap());
    let open = "name = 'open'\nsignature = 'none'\nenvelope = { id = 'id', type = 'type' }";
    let open = Arc::new(Definition::parse(open).unwrap());
    let compile = |definition: &Arc<Definition>, secrets: &[&str]| {
        let secrets = secrets.iter().copied().map(Secret::new).collect();
        let settings = SourceSettings { secrets, ..SourceSettings::default() };
        Source::compile("x", Arc::clone(definition), settings)
    };
    assert_eq!(
        compile(&replicer, &[]).unwrap_err(),
        "`replicer` signs what it sends: set `secret`"
    );
    assert_eq!(compile(&replicer, &["a", ""]).unwrap_err(), "a secret is empty");
    assert!(compile(&open, &["a"]).unwrap_err().contains("remove `secret`"));
    let open = compile(&open, &[]).unwrap();
    assert_eq!(sign(&open, b"{}"), []);
    let event = verify(&open, &HeaderMap::new(), br#"{"id":"1","type":"t"}"#).unwrap().event;
    assert_eq!((event.id.as_str(), event.time), ("1", None));
}

#[test]
fn an_unusable_body_is_refused_and_the_key_is_named() {
    let long = "x".repeat(257);
    let long_id = format!(r#"{{"id":"{long}","event":"e"}}"#);
    let long_type = format!(r#"{{"id":"1","event":"{}"}}"#, "x".repeat(129));
    let deep =
        format!(r#"{{"id":"1","event":"e","data":{}1{}}}"#, "[".repeat(127), "]".repeat(127));
    let cases: &[(&[u8], &str, &str)] = &[
        (b"", "body_not_json", "line 1, column 0"),
        (b"{", "body_not_json", "line 1, column 1"),
        (b"nonsense", "body_not_json", ""),
        (b"[]", "body_not_object", "no JSON object"),
        (b"null", "body_not_object", ""),
        (b" 12.5 ", "body_not_object", ""),
        (b"\"text\"", "body_not_object", ""),
        (b"\xEF\xBB\xBF{}", "body_not_json", "byte order mark"),
        (b"{\"id\":\"\xFF\"}", "body_not_utf8", "UTF-8"),
        (b"{\"id\":\"1\",\"event\":\"e\",\"x\":\"\xED\xA0\x80\"}", "body_not_utf8", ""),
        (br#"{"id":"1","event":"e"} x"#, "body_not_json", "column 24"),
        (br#"{"id":"1","event":"e"}{}"#, "body_not_json", ""),
        (br#"{"id":"1","event":"e",}"#, "body_not_json", ""),
        (br#"{"id":"1","event":"e","x":NaN}"#, "body_not_json", ""),
        (br#"{"id":"1","event":"e","x":01}"#, "body_not_json", ""),
        (b"{\"id\":\"1\",\"event\":\"e\",\"x\":\"\n\"}", "body_not_json", ""),
        (br#"{"event":"e"}"#, "id_missing", "no `id`"),
        (br#"{"data":{"id":"1"},"event":"e"}"#, "id_missing", ""),
        (br#"{"ID":"1","event":"e"}"#, "id_missing", ""),
        (br#"{"id":null,"event":"e"}"#, "id_unusable", "`id` must be"),
        (br#"{"id":1.5,"event":"e"}"#, "id_unusable", ""),
        (br#"{"id":1e3,"event":"e"}"#, "id_unusable", ""),
        (br#"{"id":true,"event":"e"}"#, "id_unusable", ""),
        (br#"{"id":["1"],"event":"e"}"#, "id_unusable", ""),
        (br#"{"id":"","event":"e"}"#, "id_unusable", "`id` is empty"),
        (br#"{"id":"a\u0000b","event":"e"}"#, "id_unusable", "control character"),
        (br#"{"id":"a\nb","event":"e"}"#, "id_unusable", "control character"),
        (br#"{"id":"a\u009bb","event":"e"}"#, "id_unusable", "control character"),
        (long_id.as_bytes(), "id_unusable", "longer than 256 bytes"),
        (br#"{"id":"1","event":"e","id":"2"}"#, "id_duplicate", "`id` stands"),
        (br#"{"id":"1","event":"e","id":"1"}"#, "id_duplicate", ""),
        (br#"{"id":"1","event":"e","\u0069d":"1"}"#, "id_duplicate", ""),
        (br#"{"id":"1"}"#, "type_missing", "no `event`"),
        (br#"{"id":"1","event":5}"#, "type_unusable", "`event` must be a text"),
        (br#"{"id":"1","event":""}"#, "type_unusable", "`event` is empty"),
        (long_type.as_bytes(), "type_unusable", "128"),
        (br#"{"id":"1","event":"e","event":"f"}"#, "type_duplicate", "`event` stands"),
        (deep.as_bytes(), "body_too_deep", "127 levels"),
        (br#"{"id":"1","event":"e","x":"\ud800"}"#, "body_not_json", ""),
        (br#"{"id":"1","event":"e","x":"\uDC00\uD800"}"#, "body_not_json", ""),
        (br#"{"id":"1","event":"e","\udfff":1}"#, "body_not_json", ""),
        (br#"{"id":"1","event":"e","x":"\u12"}"#, "body_not_json", ""),
        (
            br#"{"id":"1","event":"e","x":{"$serde_json::private::Number":"5"}}"#,
            "body_reserved_key",
            "",
        ),
        (
            br#"{"id":"1","event":"e","x":{"\u0024serde_json::private::RawValue" :"5"}}"#,
            "body_reserved_key",
            "",
        ),
        (
            br#"{"id":"1","event":"e","x":{"$serde_json\u003a:private::X":"5"}}"#,
            "body_reserved_key",
            "",
        ),
    ];
    for (body, reason, part) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(120)]);
        let refusal = read(body).expect_err(&shown);
        assert_eq!(
            (refusal.status, refusal.reason),
            (400, *reason),
            "{shown}: {}",
            refusal.message
        );
        assert!(refusal.message.contains(part), "{shown}: {}", refusal.message);
        assert!(!refusal.message.contains(&long), "{shown}");
    }
}

#[test]
fn a_usable_body_is_taken_as_it_is() {
    let id_256 = "é".repeat(128);
    let long = format!(r#"{{"id":"{id_256}","event":"e"}}"#);
    let deep =
        format!(r#"{{"id":"1","event":"e","data":{}1{}}}"#, "[".repeat(126), "]".repeat(126));
    let wide = format!(r#"{{"id":"1","event":"e","data":[{}1]}}"#, "[],".repeat(500));
    let cases: &[(&str, &str, &str)] = &[
        (r#" {"id":"1","event":"e"} "#, "1", "e"),
        (r#"{"id":"a\"\\\/\u00e9\u4e2d\ud83d\ude00","event":"e"}"#, "a\"\\/é中😀", "e"),
        (r#"{"id":42,"event":"e"}"#, "42", "e"),
        (r#"{"id":-0,"event":"e"}"#, "-0", "e"),
        (
            r#"{"id":340282366920938463463374607431768211456,"event":"e"}"#,
            "340282366920938463463374607431768211456",
            "e",
        ),
        (r#"{"event":"something.new","id":"1","data":"no object"}"#, "1", "something.new"),
        (r#"{"id":"1","event":"e","x":"$serde_json::private::Number"}"#, "1", "e"),
        (r#"{"id":"1","event":"e","x":"\"$serde_json::private::Number\": "}"#, "1", "e"),
        (
            r#"{"id":"1","event":"e","x":[1e400,-0,1.0,0.1e-9999,123456789012345678901234567890.5]}"#,
            "1",
            "e",
        ),
        (r#"{"id":"1","event":"e","x":"\u0000 \ud83d\ude00 \\ud800"}"#, "1", "e"),
        (r#"{"id":"1","event":"e","x":1,"x":2}"#, "1", "e"),
        (&long, &id_256, "e"),
        (&deep, "1", "e"),
        (&wide, "1", "e"),
    ];
    for (body, id, kind) in cases {
        let event = read(body.as_bytes()).unwrap_or_else(|r| panic!("{body}: {r:?}")).event;
        assert_eq!((event.id.as_str(), event.kind.as_str()), (*id, *kind), "{body}");
        // What is accepted can be read in full later on.
        assert!(serde_json::from_str::<serde_json::Value>(event.text()).is_ok(), "{body}");
    }
}

#[test]
fn a_time_is_read_where_it_can_be_and_never_a_reason_to_refuse() {
    for (time, expected) in [
        (r#""2026-04-05T14:04:00Z""#, Some("2026-04-05T14:04:00Z")),
        (r#""2026-04-05T16:04:00.25+02:00""#, Some("2026-04-05T14:04:00.25Z")),
        (r#""yesterday""#, None),
        (r#""""#, None),
        ("1775397841", None),
        ("null", None),
        ("{}", None),
    ] {
        let body = format!(r#"{{"id":"1","event":"e","timestamp":{time}}}"#);
        let expected = expected.map(|t| t.parse().unwrap());
        assert_eq!(read(body.as_bytes()).unwrap().event.time, expected, "{time}");
    }
}

#[test]
fn a_natural_key_is_its_type_and_value_and_nothing_else() {
    let key = |value: &str| Some(DedupeKey::new("calls", "natural call.ended data.callId", value));
    for (kind, rest, expected) in [
        ("call.ended", r#""data":{"callId":"c1"}"#, key("c1")),
        ("call.ended", r#""data":{"x":{"callId":"no"},"callId":"c1","y":2}"#, key("c1")),
        ("call.ended", r#""data":{"callId":"\u00631"}"#, key("c1")),
        ("call.ended", r#""data":{"callId":17}"#, key("17")),
        // As a reader into `Value` would have it: the last one, whole.
        ("call.ended", r#""data":{"callId":"c1","callId":"c2"}"#, key("c2")),
        ("call.ended", r#""data":{"callId":"c1"},"data":{}"#, None),
        ("call.ended", r#""data":{"callId":"c1"},"data":7"#, None),
        ("call.ended", r#""data":{"callId":""}"#, None),
        ("call.ended", r#""data":{"callId":null}"#, None),
        ("call.ended", r#""data":{"callId":{"a":1}}"#, None),
        ("call.ended", r#""data":{}"#, None),
        ("call.ended", r#""data":12.5"#, None),
        ("call.ended", r#""data":-7"#, None),
        ("call.ended", r#""data":["callId","c1"]"#, None),
        ("call.ended", r#""data":null"#, None),
        ("call.ended", r#""data":true"#, None),
        ("call.ended", r#""callId":"c1""#, None),
        ("call.started", r#""data":{"callId":"c1"}"#, None),
    ] {
        let body = format!(r#"{{"id":"1","event":"{kind}",{rest}}}"#);
        let verified = read(body.as_bytes()).unwrap();
        assert_eq!(verified.natural_keys.first().copied(), expected, "{body}");
    }
    let off = source_with(&[SECRET], false);
    let headers = signed_with(&[SIGNATURE.as_bytes()]);
    assert_eq!(verify(&off, &headers, EVENT).unwrap().natural_keys, []);
}

#[test]
fn several_fields_of_one_natural_key_do_not_run_together() {
    let definition = "name = 'x'\nsignature = 'none'\nenvelope = { id = 'id', type = 'type' }\n\
        [types.t]\nnatural_key = ['a', 'b.c']";
    let definition = Arc::new(Definition::parse(definition).unwrap());
    let settings = SourceSettings::default();
    let source = Source::compile("x", definition, settings).unwrap();
    let key = |a: &str, c: &str| {
        let body = format!(r#"{{"id":"1","type":"t","a":"{a}","b":{{"c":"{c}"}}}}"#);
        verify(&source, &HeaderMap::new(), body.as_bytes()).unwrap().natural_keys
    };
    assert_eq!(key("ab", "c").len(), 1);
    assert_eq!(key("ab", "c"), key("ab", "c"));
    assert_ne!(key("ab", "c"), key("a", "bc"));
    assert_eq!(key("", "c"), []);
}

/// JSON-like text: broken pieces of JSON in any order, more often valid than plain noise is.
fn json_pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"id\"",
        "\"event\"",
        "\"data\"",
        "\"callId\"",
        "\"x\"",
        "\"\\ud83d",
        "\\ude00\"",
        "\"\\u0024serde_json::private::Number\"",
        "1",
        "-1.5e3",
        "null",
        "true",
        " ",
        "\\",
        "\"",
        "é",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_flipped_bit_of_the_body_is_refused(bit in 0..EVENT.len() * 8) {
        let mut body = EVENT.to_vec();
        body[bit / 8] ^= 1 << (bit % 8);
        let headers = signed_with(&[SIGNATURE.as_bytes()]);
        let refusal = verify(&source(), &headers, &body).unwrap_err();
        prop_assert_eq!((refusal.status, refusal.reason), (401, "signature_wrong"));
    }

    #[test]
    fn a_cut_or_extended_body_is_refused(at in 0..EVENT.len(), more in "[ -~]{1,9}") {
        let headers = signed_with(&[SIGNATURE.as_bytes()]);
        prop_assert_eq!(verify(&source(), &headers, &EVENT[..at]).unwrap_err().status, 401);
        let longer = [EVENT, more.as_bytes()].concat();
        prop_assert_eq!(verify(&source(), &headers, &longer).unwrap_err().status, 401);
    }

    #[test]
    fn arbitrary_signatures_and_bodies_never_panic_nor_pass(
        signature in prop::collection::vec(prop_oneof![0x20..0x7Fu8, 0x80..=0xFFu8], 0..140),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let refusal = verify(&source(), &signed_with(&[&signature]), &body).unwrap_err();
        prop_assert_eq!(refusal.status, 401);
    }

    #[test]
    fn arbitrary_signed_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = read(&body);
    }

    #[test]
    fn what_is_accepted_is_exactly_what_a_full_reader_accepts(value in json_pieces(), key in json_pieces()) {
        for body in [
            format!(r#"{{"id":"1","event":"e","x":{value}}}"#),
            format!(r#"{{"id":"1","event":"e",{key}:{value}}}"#),
            value.clone(),
        ] {
            let full = serde_json::from_str::<serde_json::Value>(&body);
            match read(body.as_bytes()) {
                Ok(verified) => {
                    let full = full.expect("accepted, so it can be read in full");
                    let id = &full["id"];
                    let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
                    prop_assert_eq!(id, verified.event.id);
                    prop_assert_eq!(full["event"].as_str(), Some(verified.event.kind.as_str()));
                }
                Err(refusal) if refusal.reason.starts_with("body_not_json") => {
                    prop_assert!(full.is_err(), "{body}");
                }
                Err(_) => {}
            }
        }
    }
}

#[test]
fn every_flipped_bit_of_the_signature_is_refused() {
    let source = source();
    let bytes: Vec<u8> =
        (0..32).map(|i| u8::from_str_radix(&SIGNATURE[2 * i..2 * i + 2], 16).unwrap()).collect();
    for bit in 0..256 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let hex: String = flipped.iter().map(|b| format!("{b:02x}")).collect();
        let refusal = verify(&source, &signed_with(&[hex.as_bytes()]), EVENT).unwrap_err();
        assert_eq!((refusal.status, refusal.reason), (401, "signature_wrong"));
    }
}
