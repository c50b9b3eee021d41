//! The built-in kinds and the one of the documents: their samples, and where ids and types are found.

use super::*;

/// A source of a built-in kind, with a secret of its shape.
fn of_kind(kind: &str) -> Source {
    let definition = Arc::new(Definition::parse(built_in(kind).unwrap()).unwrap());
    let url = definition.signs_url().then(|| "https://bell.example/hooks/x".to_owned());
    let secrets = match kind {
        "none" => vec![],
        "standard-webhooks" | "svix" => vec![Secret::new("whsec_c2VjcmV0")],
        _ => vec![Secret::new("user:password")],
    };
    Source::compile("x", definition, SourceSettings { secrets, url, natural_keys: true }).unwrap()
}

/// `body` as `kind` sends it, taken.
fn sent(source: &Source, body: &str, kind: Option<&str>) -> Result<Taken, Refusal> {
    let headers = source.sign(body.as_bytes(), Outgoing { kind, ..out() }).unwrap();
    let headers: HeaderMap = headers
        .into_iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
        .collect();
    verify(source, &headers, body.as_bytes())
}

#[test]
fn each_built_in_sample_is_an_event_of_its_source() {
    let seen: Vec<_> = BUILT_IN
        .iter()
        .map(|(kind, _)| {
            let source = of_kind(kind);
            let sample = source.definition.sample.clone().unwrap();
            let body = sample.body.replace("{unique}", "u1");
            let taken = sent(&source, &body, sample.kind.as_deref())
                .unwrap_or_else(|refusal| panic!("{kind}: {refusal:?}"));
            let id = if taken.event.id.len() == 64 { "a hash".to_owned() } else { taken.event.id };
            (*kind, id, taken.event.kind, taken.event.time.map(Timestamp::as_second))
        })
        .collect();
    let expected = [
        ("basic", "evt-u1", "order.paid", Some(1_775_397_840)),
        ("bearer", "evt-u1", "order.paid", Some(1_775_397_840)),
        ("github", "a hash", "issues", None),
        ("gitlab", "a hash", "pipeline", None),
        ("hmac", "evt-u1", "order.paid", Some(1_775_397_840)),
        ("none", "evt-u1", "order.paid", None),
        ("replicer", "evt-u1", "call.ended", Some(1_775_397_840)),
        ("retell", "a hash", "call_ended", None),
        ("shopify", "a hash", "orders/paid", None),
        ("slack", "Evu1", "app_mention", Some(1_775_397_840)),
        ("standard-webhooks", "msg_1", "user.created", Some(1_775_397_840)),
        ("stripe", "evt_u1", "invoice.payment_failed", Some(1_775_397_840)),
        ("svix", "msg_1", "invoice.paid", Some(1_775_397_840)),
        ("twilio", "a hash", "sms.received", None),
        ("vapi", "a hash", "end-of-call-report", Some(1_775_397_840)),
    ]
    .map(|(kind, id, event, time)| (kind, id.to_owned(), event.to_owned(), time));
    assert_eq!(seen, expected);
}

#[test]
fn of_several_places_the_first_that_holds_something_counts() {
    let source = of_kind("hmac");
    for (body, id, kind) in [
        (r#"{"id":"1","event_id":"2","type":"a","event":"b"}"#, "1", "a"),
        (r#"{"event_id":2,"event":"b"}"#, "2", "b"),
        (r#"{"id":null,"event_id":"2","type":{"no":"text"},"event":"b"}"#, "2", "b"),
        (r#"{"id":"","event_id":"2","type":7}"#, "2", "event"),
    ] {
        let event = sent(&source, body, None).unwrap().event;
        assert_eq!((event.id.as_str(), event.kind.as_str()), (id, kind), "{body}");
    }
    let hashed = sent(&source, "{}", None).unwrap().event;
    // SHA-256 of `{}`.
    let expected = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    assert_eq!((hashed.id.as_str(), hashed.kind.as_str()), (expected, "event"));
    let twice = sent(&source, r#"{"id":"1","id":"2"}"#, None).unwrap_err();
    assert_eq!(twice.reason, "id_duplicate");
}

#[test]
fn the_sender_of_the_documents_is_read_as_they_say() {
    let text = include_str!("../../../../docs/sources.md");
    let block = text.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let definition = Arc::new(Definition::parse(block).unwrap());
    assert_eq!(definition.name, "shop");
    let secrets = vec![Secret::new("new"), Secret::new("old")];
    let settings = SourceSettings { secrets, ..SourceSettings::default() };
    let source = Source::compile("shop", definition, settings).unwrap();
    let body = r#"{"order":{"no":17,"total":12.5},"what":"order.paid","at":1775397840}"#;
    assert!(text.contains(body));
    let taken = sent(&source, body, None).unwrap();
    assert_eq!(taken.event.kind, "order.paid");
    assert_eq!(taken.event.time, Some(Timestamp::from_second(1_775_397_840).unwrap()));
    let key = DedupeKey::new("shop", "natural order.paid order.no", "17");
    assert_eq!(taken.natural_keys, [key]);
    for (kind, _) in BUILT_IN {
        assert!(text.contains(&format!("`{kind}`")), "{kind} is in docs/sources.md");
    }
}
