//! Requests that no sender makes: the bridge answers them or closes, and goes on.

use std::io::{Read, Write};

use crate::support::events::documented;
use crate::support::http::{self, exchange};
use crate::support::{Bridge, Receiver, SECRET, call, signature};

/// A request head with a right signature, to which a test adds what is wrong.
fn head(body: &[u8], more: &str) -> String {
    let signature = signature(SECRET.as_bytes(), body);
    format!(
        "POST /hooks/replicer HTTP/1.1\r\nhost: bridge\r\ncontent-type: application/json\r\nx-replicer-signature: {signature}\r\n{more}\r\n"
    )
}

/// Asserts that the bridge still takes an event.
fn alive(bridge: &Bridge, id: &str) {
    bridge.accepts(call(id).to_string());
}

#[test]
fn an_absurd_content_length_is_refused_before_a_byte_is_read() {
    let bridge = Bridge::telling(&Receiver::start()).start();
    for length in ["1000000000000000000", "18446744073709551615", "1048577"] {
        let request = head(b"", &format!("content-length: {length}\r\n"));
        let answer = exchange(bridge.events(), request.as_bytes()).expect("an answer");
        // hyper itself refuses what comes near 2^64.
        let refused = if length.starts_with("18") { [413, 431] } else { [413, 413] };
        assert!(refused.contains(&answer.status), "{length}: {}", answer.status);
    }
    alive(&bridge, "after");
}

#[test]
fn a_sender_that_asks_first_gets_its_413_without_sending() {
    let bridge = Bridge::telling(&Receiver::start()).start();
    let request = head(b"", "content-length: 2000000\r\nexpect: 100-continue\r\n");
    let answer = exchange(bridge.events(), request.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 413);
}

#[test]
fn endless_chunks_end_at_the_limit() {
    let bridge = Bridge::telling(&Receiver::start()).start();
    let mut stream = http::connect(bridge.events()).unwrap();
    stream.write_all(head(b"", "transfer-encoding: chunked\r\n").as_bytes()).unwrap();
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let mut sent = 0_u64;
    while sent < 64 * 1024 * 1024 && stream.write_all(chunk.as_bytes()).is_ok() {
        sent += 0x10000;
    }
    assert!(sent < 32 * 1024 * 1024, "{sent} bytes were taken");
    // The answer may be lost to the reset that follows it; if one came, it is a 413.
    if let Ok(answer) = http::read_answer(&mut stream) {
        assert_eq!(answer.status, 413);
    }
    alive(&bridge, "after");
}

#[test]
fn a_chunked_body_over_the_limit_is_413_and_one_below_is_taken() {
    let bridge = Bridge::telling(&Receiver::start()).server("max_body = 4096").start();
    let over = "x".repeat(5000);
    let request = format!(
        "{}{:x}\r\n{over}\r\n0\r\n\r\n",
        head(over.as_bytes(), "transfer-encoding: chunked\r\nconnection: close\r\n"),
        over.len()
    );
    assert_eq!(exchange(bridge.events(), request.as_bytes()).expect("an answer").status, 413);
    let body = documented();
    let mut request =
        head(&body, "transfer-encoding: chunked\r\nconnection: close\r\n").into_bytes();
    for part in body.chunks(100) {
        request.extend(format!("{:x};ext=1\r\n", part.len()).into_bytes());
        request.extend(part);
        request.extend(b"\r\n");
    }
    request.extend(b"0\r\n\r\n");
    let answer = exchange(bridge.events(), &request).expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn ambiguous_and_broken_framing_is_refused_and_nothing_is_smuggled() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    let body = String::from_utf8(documented()).unwrap();
    let length = body.len();
    let smuggled = {
        let body = call("smuggled").to_string();
        format!("{}{body}", head(body.as_bytes(), &format!("content-length: {}\r\n", body.len())))
    };
    let chunked = format!("{length:x}\r\n{body}\r\n0\r\n\r\n");
    let with = |more: &str, rest: &str| format!("{}{rest}", head(body.as_bytes(), more));
    let cases: Vec<(&str, String)> = vec![
        (
            "a length and chunks",
            with(&format!("content-length: {length}\r\ntransfer-encoding: chunked\r\n"), &chunked)
                + &smuggled,
        ),
        (
            "chunks and a length of 0",
            with("transfer-encoding: chunked\r\ncontent-length: 0\r\n", &chunked) + &smuggled,
        ),
        (
            "two lengths",
            with(&format!("content-length: {length}\r\ncontent-length: 5\r\n"), &body) + &smuggled,
        ),
        ("a list of lengths", with(&format!("content-length: {length}, 5\r\n"), &body) + &smuggled),
        ("a negative length", with("content-length: -1\r\n", &body)),
        ("a length with a plus", with(&format!("content-length: +{length}\r\n"), &body)),
        ("an unknown encoding", with("transfer-encoding: xchunked\r\n", &chunked)),
        ("chunked, then another", with("transfer-encoding: chunked, gzip\r\n", &chunked)),
        (
            "a folded header",
            with(&format!("x-a: 1\r\n  folded\r\ncontent-length: {length}\r\n"), &body),
        ),
        ("a NUL in a header", with(&format!("x-a: 1\0\r\ncontent-length: {length}\r\n"), &body)),
        (
            "a bare CR in a header",
            with(&format!("x-a: 1\rx-b: 2\r\ncontent-length: {length}\r\n"), &body),
        ),
        ("a space before the colon", with(&format!("content-length : {length}\r\n"), &body)),
        (
            "a chunk size that overflows",
            with("transfer-encoding: chunked\r\n", "fffffffffffffffff\r\nx\r\n0\r\n\r\n"),
        ),
        (
            "a chunk size that isn't hex",
            with("transfer-encoding: chunked\r\n", "zz\r\nx\r\n0\r\n\r\n"),
        ),
        (
            "a chunk extension of 64 KiB",
            with(
                "transfer-encoding: chunked\r\n",
                &format!("{length:x};{}\r\n{body}\r\n0\r\n\r\n", "e".repeat(64 * 1024)),
            ),
        ),
    ];
    for (what, request) in &cases {
        if let Some(answer) = exchange(bridge.events(), request.as_bytes()) {
            // Chunks beside a length are read as chunks (RFC 9112, 6.3), and what follows them never is.
            let read = what.contains("chunks") && answer.status == 200;
            assert!(read || (400..500).contains(&answer.status), "{what}: {}", answer.status);
        }
    }
    let stored = bridge.event_rows();
    let smuggled = stored.iter().filter(|row| row["id"] != "evt-delivery-uuid").count();
    assert_eq!(smuggled, 0, "{stored:?}");
    alive(&bridge, "after");
    let got = receiver.received(stored.len() + 1);
    assert_eq!(got.last().unwrap().json()["text"], "after");
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let bridge = Bridge::telling(&Receiver::start()).start();
    let many: String = (0..20_000).map(|i| format!("x-{i}: 1\r\n")).collect::<Vec<_>>().concat();
    let wide = format!("x-wide: {}\r\n", "w".repeat(4 * 1024 * 1024));
    let path = format!("POST /hooks/{} HTTP/1.1\r\nhost: a\r\n\r\n", "p".repeat(200_000));
    for (what, request) in [
        ("20,000 headers", head(b"", &many)),
        ("a header of 4 MiB", head(b"", &wide)),
        ("a path of 200 kB", path),
    ] {
        // The answer may be lost to the reset when the bridge closes on bytes that it never read.
        if let Some(answer) = exchange(bridge.events(), request.as_bytes()) {
            assert!(matches!(answer.status, 414 | 431), "{what}: {}", answer.status);
        }
    }
    // A head just over the limit fits into the socket's buffers, so its answer must come through.
    let over = head(b"", &format!("x-wide: {}\r\n", "w".repeat(17 * 1024)));
    let answer = exchange(bridge.events(), over.as_bytes()).expect("an answer");
    assert_eq!(answer.status, 431);
    alive(&bridge, "after");
}

#[test]
fn what_is_not_http_gets_a_4xx_or_a_close() {
    let bridge = Bridge::telling(&Receiver::start()).start();
    let cases: [&[u8]; 9] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello \r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /hooks/replicer\r\n\r\n",
        b"POST /hooks/replicer HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\r\n\r\nnonsense\r\n\r\n",
        b"POST http://[::bad/hooks/replicer HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST /hooks/\x80\xff HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n",
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
    ];
    for request in cases {
        let mut stream = http::connect(bridge.events()).unwrap();
        let _ = stream.write_all(request);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            text.is_empty()
                || text.starts_with("HTTP/1.1 4")
                || text.starts_with("HTTP/1.0 4")
                || text.starts_with("HTTP/1.1 505"),
            "{:?}: {text}",
            String::from_utf8_lossy(request)
        );
    }
    alive(&bridge, "after");
}

#[test]
fn absolute_targets_mean_the_same_path() {
    let bridge = Bridge::telling(&Receiver::start()).start();
    let body = documented();
    let signature = signature(SECRET.as_bytes(), &body);
    let mut request = format!(
        "POST http://elsewhere.example/hooks/nobody HTTP/1.1\r\nhost: elsewhere.example\r\ncontent-type: application/json\r\nx-replicer-signature: {signature}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend(&body);
    assert_eq!(exchange(bridge.events(), &request).expect("an answer").status, 404);
}

#[test]
fn a_sender_that_leaves_in_the_middle_stores_nothing() {
    let bridge = Bridge::telling(&Receiver::start()).start();
    let body = documented();
    for part in [1, body.len() / 2, body.len() - 1] {
        let mut stream = http::connect(bridge.events()).unwrap();
        let head = head(&body, &format!("content-length: {}\r\n", body.len()));
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(&body[..part]).unwrap();
    }
    alive(&bridge, "after");
    assert_eq!(bridge.event_rows().len(), 1);
}

#[test]
fn requests_one_after_another_on_one_connection_are_all_taken() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    let mut stream = http::connect(bridge.events()).unwrap();
    let mut pipelined = Vec::new();
    for i in 0..10 {
        let body = call(&format!("evt-{i}")).to_string();
        pipelined.extend(
            head(body.as_bytes(), &format!("content-length: {}\r\n", body.len())).into_bytes(),
        );
        pipelined.extend(body.into_bytes());
    }
    stream.write_all(&pipelined).unwrap();
    let mut answers = String::new();
    let mut buffer = [0; 4096];
    while answers.matches("\"received\":true").count() < 10 {
        let n = stream.read(&mut buffer).unwrap();
        assert_ne!(n, 0, "closed after {answers}");
        answers.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    assert_eq!(answers.matches("HTTP/1.1 200").count(), 10);
    receiver.received(10);
}

#[test]
fn hostile_bodies_are_never_all_in_memory() {
    let mut bridge = Bridge::telling(&Receiver::start()).start();
    alive(&bridge, "before");
    let id = bridge.process().id();
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = resident();
    std::thread::scope(|scope| {
        for i in 0..32 {
            let bridge = &bridge;
            scope.spawn(move || {
                // Announced as small or in chunks without end, and 8 MiB all the same.
                let more = ["content-length: 1000000000\r\n", "transfer-encoding: chunked\r\n"];
                let mut stream = http::connect(bridge.events()).unwrap();
                let _ = stream.write_all(head(b"", more[i % 2]).as_bytes());
                let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
                for _ in 0..128 {
                    if stream.write_all(chunk.as_bytes()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    let grown = resident().saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} kB more than before");
    alive(&bridge, "after");
}
