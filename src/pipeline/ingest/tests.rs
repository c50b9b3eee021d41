//! The checks and answers of ingest, without a journal.

use super::*;
use hyper::body::Frame;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

const LIMITS: Limits = Limits { max_body: 100, body_timeout: Duration::from_secs(1) };

fn parts(method: &str, uri: &str, headers: &[(&'static str, &str)]) -> Parts {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

#[test]
fn a_head_is_screened_before_its_body() {
    const JSON: (&str, &str) = ("content-type", "application/json");
    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
    type Case<'c> = (&'c str, &'c str, &'c [(&'static str, &'c str)], Result<&'c str, u16>);
    let cases: &[Case<'_>] = &[
        ("POST", "/hooks/replicer", &[JSON, ("content-length", "100")], Ok("replicer")),
        ("POST", "/hooks/replicer?a=b", &[JSON], Ok("replicer")),
        ("POST", "http://other.example/hooks/a", &[JSON], Ok("a")),
        // Only what says that it is something else is refused for its type.
        ("POST", "/hooks/a", &[], Ok("a")),
        ("POST", "/hooks/a", &[("content-type", "Application/JSON; charset=utf-8")], Ok("a")),
        ("POST", "/hooks/a", &[("content-type", "application/cloudevents+json")], Ok("a")),
        ("POST", "/hooks/a", &[("content-encoding", "identity")], Ok("a")),
        ("POST", "/", &[JSON], Err(404)),
        ("POST", "/hooks", &[JSON], Err(404)),
        ("POST", "/hooks/", &[JSON], Err(404)),
        ("POST", "/hooks/a/", &[JSON], Err(404)),
        ("POST", "/hooks/../hooks/a", &[JSON], Err(404)),
        ("POST", "//hooks/a", &[JSON], Err(404)),
        ("POST", "/Hooks/a", &[JSON], Err(404)),
        ("GET", "/", &[], Err(404)),
        ("GET", "/hooks/a", &[], Err(405)),
        ("PUT", "/hooks/a", &[JSON], Err(405)),
        ("post", "/hooks/a", &[JSON], Err(405)),
        ("OPTIONS", "/hooks/a", &[], Err(405)),
        ("POST", "/hooks/a", &[("content-type", "text/plain")], Err(415)),
        ("POST", "/hooks/a", &[("content-type", "application/jsonx")], Err(415)),
        ("POST", "/hooks/a", &[("content-type", "text/json")], Err(415)),
        ("POST", "/hooks/a", &[("content-type", "")], Err(415)),
        ("POST", "/hooks/a", &[("content-type", "application/x-www-form-urlencoded")], Err(415)),
        ("POST", "/hooks/a", &[JSON, ("content-type", "text/plain")], Err(415)),
        ("POST", "/hooks/form", &[FORM], Ok("form")),
        (
            "POST",
            "/hooks/form",
            &[("content-type", "Application/x-www-form-urlencoded;charset=x")],
            Ok("form"),
        ),
        ("POST", "/hooks/form", &[], Ok("form")),
        ("POST", "/hooks/form", &[JSON], Err(415)),
        ("POST", "/hooks/form", &[("content-type", "multipart/form-data")], Err(415)),
        ("POST", "/hooks/a", &[JSON, ("content-encoding", "gzip")], Err(415)),
        ("POST", "/hooks/a", &[JSON, ("content-encoding", "identity, gzip")], Err(415)),
        ("POST", "/hooks/a", &[JSON, ("content-length", "101")], Err(413)),
        ("POST", "/hooks/a", &[JSON, ("content-length", "1000000000000000000")], Err(413)),
        ("POST", "/hooks/a", &[JSON, ("content-length", "99999999999999999999")], Err(413)),
    ];
    for (method, uri, headers, expected) in cases {
        let parts = parts(method, uri, headers);
        let name = source_name(&parts);
        let got = name
            .and_then(|name| screen(&parts, &LIMITS, name == "form").map(|()| name))
            .map_err(|refused| refused.status.as_u16());
        assert_eq!(got, *expected, "{method} {uri} {headers:?}");
    }
}

/// A body of the given pieces that, like one in chunks, doesn't know its end before it is reached.
struct Pieces(VecDeque<Frame<Bytes>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(Ok))
    }
}

fn pieces(pieces: &[&'static str]) -> Pieces {
    let mut frames: VecDeque<_> =
        pieces.iter().map(|p| Frame::data(Bytes::from_static(p.as_bytes()))).collect();
    frames.push_back(Frame::trailers(hyper::HeaderMap::new()));
    Pieces(frames)
}

#[tokio::test]
async fn a_body_is_put_together_and_ends_at_its_limit() {
    for (body, most, expected) in [
        (&[][..], 4, Ok("")),
        (&["abcd"], 4, Ok("abcd")),
        (&["", "ab", "", "cd", ""], 4, Ok("abcd")),
        (&["a", "b", "c", "d"], 4, Ok("abcd")),
        (&["abcde"], 4, Err(413)),
        (&["abcd", "e"], 4, Err(413)),
        (&["a", "b", "c", "de", "never read"], 4, Err(413)),
    ] {
        let got = collect(pieces(body), most).await.map_err(|r| r.status.as_u16());
        assert_eq!(got.as_deref().map_err(|e| *e), expected.map(str::as_bytes), "{body:?}");
    }
    let whole = Bytes::from_static(b"in one piece");
    let got = collect(Full::new(whole.clone()), 100).await.unwrap();
    assert_eq!(got.as_ptr(), whole.as_ptr(), "a body in one piece is not copied");
}

async fn text(answer: Response<Full<Bytes>>) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn answers_are_json_and_say_what_to_do() {
    let new = received("a\"b", false);
    assert_eq!(new.status(), 200);
    assert_eq!(new.headers()["content-type"], "application/json");
    assert_eq!(text(new).await, r#"{"received":true,"id":"a\"b"}"#);
    let known = received("1", true);
    assert_eq!(text(known).await, r#"{"received":true,"id":"1","duplicate":true}"#);

    let refused = Refused::too_large(100).answer();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["connection"]),
        (413, &"close".parse().unwrap())
    );
    assert_eq!(text(refused).await, r#"{"error":"the body is larger than 100 bytes"}"#);

    let parts = parts("GET", "/hooks/a", &[]);
    assert_eq!(screen(&parts, &LIMITS, false).unwrap_err().answer().headers()["allow"], "POST");

    for error in [
        JournalError::Overloaded(9),
        JournalError::Unwritable("/secret/path is full".to_owned()),
        JournalError::Fatal("fsync".to_owned()),
        JournalError::Closed,
    ] {
        let answer = unavailable(&error).answer();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["retry-after"]),
            (503, &"5".parse().unwrap())
        );
        let expected = r#"{"error":"the event can't be stored now: send it again later"}"#;
        assert_eq!(text(answer).await, expected);
    }
}

#[test]
fn a_rule_with_several_destinations_counts_once() {
    let owed = |rule: &str| crate::rules::Owed {
        rule: rule.into(),
        destination: "d".into(),
        recipient: None,
        template: None,
        plan: crate::rules::Plan::Send,
    };
    let decision = Decision {
        owed: vec![owed("a"), owed("a"), owed("b"), owed("c"), owed("c")],
        unknown: Vec::new(),
    };
    let matched = matched_rules(&decision);
    assert_eq!(matched.iter().map(|r| &**r).collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[test]
fn a_flood_of_refusals_is_logged_a_few_at_a_time_and_none_is_forgotten() {
    let log = RefusalLog::default();
    let start = Instant::now();
    let logged = (0..1000).filter(|_| log.turn(start).is_some()).count();
    assert_eq!(logged, 10);
    assert_eq!(log.turn(start + refusal_log::LOG_WINDOW), Some(990));
    assert_eq!(log.turn(start + refusal_log::LOG_WINDOW), Some(0));
    assert_eq!(log.turn(start + 3 * refusal_log::LOG_WINDOW), Some(0));
}

#[test]
fn the_service_fits_the_accept_loop() {
    fn fits<F, A>(_: F)
    where
        F: Fn(&'static Ingest, Request<hyper::body::Incoming>) -> A,
        A: Future<Output = Response<Full<Bytes>>> + Send,
    {
    }
    fits(Ingest::answer::<hyper::body::Incoming>);
}
