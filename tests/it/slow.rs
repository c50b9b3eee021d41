//! Connections that take their time: each is closed, and nobody else waits for them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::events::documented;
use crate::support::{Bridge, PATIENCE, Receiver, SECRET, Watch, call, http, signature};

/// Short limits, so that the tests don't last.
const SHORT: &str = "head_timeout = \"1s\"\nbody_timeout = \"1s\"";

fn head(body: &[u8]) -> Vec<u8> {
    let signature = signature(SECRET.as_bytes(), body);
    format!(
        "POST /hooks/replicer HTTP/1.1\r\nhost: bridge\r\ncontent-type: application/json\r\nx-replicer-signature: {signature}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes()
}

/// Feeds `bytes` one by one every 50 ms until the bridge closes; gives what it answered and how long it took.
fn drip(mut stream: TcpStream, bytes: &[u8]) -> (String, Duration) {
    let watch = Watch::start();
    let mut answer = Vec::new();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut rest = bytes.iter();
    let mut buffer = [0; 1024];
    while watch.elapsed() < PATIENCE {
        if let Some(byte) = rest.next()
            && stream.write_all(&[*byte]).is_err()
        {
            break;
        }
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => answer.extend_from_slice(&buffer[..n]),
            Err(e)
                if matches!(
                    e.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            Err(_) => break,
        }
    }
    (String::from_utf8_lossy(&answer).into_owned(), watch.elapsed())
}

#[test]
fn every_kind_of_slow_connection_is_closed_in_time() {
    let bridge = Bridge::telling(&Receiver::start()).server(SHORT).start();
    let body = documented();
    let head_bytes = head(&body);
    let mut half_head = head_bytes.clone();
    half_head.truncate(60);
    let mut no_body = head_bytes.clone();
    no_body.extend(&body[..1]);
    let connect = || http::connect(bridge.events()).unwrap();
    let begun = |bytes: &[u8]| {
        let mut stream = connect();
        stream.write_all(bytes).unwrap();
        stream
    };
    std::thread::scope(|scope| {
        let cases: Vec<(&str, TcpStream, Vec<u8>, bool)> = vec![
            ("silent", connect(), vec![], false),
            ("one byte", begun(b"P"), vec![], true),
            ("a preface of HTTP/2", begun(b"PRI * HTTP/2.0\r\n"), vec![], true),
            ("half a head", begun(&half_head), vec![], true),
            ("a slow head", connect(), head_bytes.clone(), true),
            (
                "an endless head",
                begun(&head_bytes[..head_bytes.len() - 2]),
                b"x: y\r\n".repeat(1000),
                true,
            ),
            ("no body", begun(&no_body), vec![], true),
            ("a slow body", begun(&head_bytes), body.clone(), true),
        ];
        let runs: Vec<_> = cases
            .into_iter()
            .map(|(what, stream, bytes, _)| (what, scope.spawn(move || drip(stream, &bytes))))
            .collect();
        for (what, run) in runs {
            let (answer, took) = run.join().unwrap();
            assert!(took < Duration::from_secs(15), "{what}: open for {took:?}");
            assert!(
                answer.is_empty()
                    || answer.starts_with("HTTP/1.1 408")
                    || answer.starts_with("HTTP/1.1 4"),
                "{what}: {answer}"
            );
        }
    });
    assert_eq!(bridge.event_rows().len(), 0);
}

#[test]
fn a_slow_body_is_told_408() {
    let bridge = Bridge::telling(&Receiver::start()).server(SHORT).start();
    let body = documented();
    let mut request = head(&body);
    request.extend(&body[..10]);
    let answer = http::exchange(bridge.events(), &request).expect("an answer");
    assert_eq!(answer.status, 408);
    assert_eq!(bridge.event_rows().len(), 0);
}

#[test]
fn an_idle_connection_is_closed_after_its_answer() {
    let bridge = Bridge::telling(&Receiver::start()).server(SHORT).start();
    let body = documented();
    let mut request = head(&body);
    request.extend(&body);
    let mut stream = http::connect(bridge.events()).unwrap();
    stream.write_all(&request).unwrap();
    assert_eq!(http::read_answer(&mut stream).unwrap().status, 200);
    let watch = Watch::start();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(watch.elapsed() < Duration::from_secs(15), "open for {:?}", watch.elapsed());
    assert!(!String::from_utf8_lossy(&rest).contains("200"));
}

#[test]
fn a_thousand_idle_connections_keep_nobody_out() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).server("max_connections = 1200").start();
    let idle: Vec<TcpStream> = (0..1000)
        .map(|i| {
            let mut stream = http::connect(bridge.events()).unwrap();
            if i % 2 == 0 {
                stream.write_all(b"POST /hooks/replicer HTTP/1.1\r\nhost: a\r\n").unwrap();
            }
            stream
        })
        .collect();
    for i in 0..20 {
        let watch = Watch::start();
        bridge.accepts(call(&format!("evt-{i}")).to_string());
        assert!(watch.elapsed() < Duration::from_secs(5), "took {:?}", watch.elapsed());
    }
    receiver.received(20);
    drop(idle);
}

#[test]
fn over_the_cap_of_connections_the_bridge_stays_in_order_and_recovers() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver)
        .server("max_connections = 8\nhead_timeout = \"2s\"\nbody_timeout = \"2s\"")
        .start();
    let idle: Vec<TcpStream> = (0..50).map(|_| http::connect(bridge.events()).unwrap()).collect();
    // Whoever holds the places is closed in time; then the event is taken, by the next try at the latest.
    crate::support::eventually("an event is taken while 50 idle connections come and go", || {
        let answer = bridge.try_post("replicer", call("evt-1").to_string()).ok()?;
        assert!(matches!(answer.status, 200 | 503), "{}", answer.status);
        (answer.status == 200).then_some(())
    });
    assert_eq!(receiver.received(1).len(), 1);
    // The admin listener has places of its own.
    assert_eq!(bridge.get("/healthz").status, 200);
    drop(idle);
}

#[test]
fn without_file_descriptors_it_makes_room_and_goes_on() {
    let receiver = Receiver::start();
    let mut bridge = Bridge::telling(&receiver).server("head_timeout = \"60s\"").start();
    bridge.accepts(call("evt-1").to_string());
    receiver.received(1);
    let id = bridge.process().id().to_string();
    let open = std::fs::read_dir(format!("/proc/{id}/fd")).unwrap().count();
    let limit = format!("--nofile={0}:{0}", open + 20);
    let limited = std::process::Command::new("prlimit").args(["--pid", &id, &limit]).status();
    assert!(limited.unwrap().success());
    let idle: Vec<TcpStream> = (0..200).map(|_| http::connect(bridge.events()).unwrap()).collect();
    bridge
        .process()
        .wait_log_for("accept fails", |line| line.contains("can't accept connections"))
        .expect("it lives");
    // Silent connections make room for one that speaks, long before their time is over.
    let watch = Watch::start();
    for i in 2..5 {
        bridge.accepts(call(&format!("evt-{i}")).to_string());
    }
    assert!(watch.elapsed() < Duration::from_secs(30), "took {:?}", watch.elapsed());
    drop(idle);
    receiver.received(4);
    assert!(bridge.process().ended().is_none());
}
