//! The public service: `POST /hooks/{source}`, from a request to an event that is on disk.
//!
//! It answers 200 only after the journal has committed. It refuses as early as it can: by path, method, type and
//! announced length before a byte of the body is read ([`screen`]), by length and time while it is read, by signature
//! before it is parsed. What it logs and counts are names from the configuration and reasons, never a value of the
//! request. The accept loop and the time for the head are [`crate::http`]'s.

use std::pin::pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::clock::Clock;
use crate::journal::{Accepted, Duplicate, Journal, JournalError, NewEvent};
use crate::rules::source::Arrival;
use crate::rules::{Decision, Rules};
use crate::telemetry::Metrics;

/// The longest wait for the journal. Replicer gives up after 10 s; a 503 a little before tells it more than silence.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(9);

/// What `Retry-After` says, in seconds. Senders that have a schedule of their own keep to that.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// At most so many refusals are logged in each [`LOG_WINDOW`]; all are counted.
const LOGGED_REFUSALS: u32 = 10;

/// See [`LOGGED_REFUSALS`].
const LOG_WINDOW: Duration = Duration::from_secs(10);

/// The first allocation for a body that comes in several pieces, in bytes, whatever length it announces: memory is
/// taken as bytes come, not as they are promised.
const FIRST_ALLOCATION: usize = 64 * 1024;

/// What a request may take up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The largest body, in bytes.
    pub max_body: usize,
    /// The longest from the head to the body's last byte.
    pub body_timeout: Duration,
}

/// The public service.
#[derive(Debug)]
pub struct Ingest {
    rules: watch::Receiver<Arc<Rules>>,
    journal: Journal,
    metrics: Arc<Metrics>,
    clock: Clock,
    limits: Limits,
    log: RefusalLog,
}

impl Ingest {
    /// Takes events for `journal`, each decided by the rules of its moment.
    pub fn new(
        rules: watch::Receiver<Arc<Rules>>,
        journal: Journal,
        metrics: Arc<Metrics>,
        clock: Clock,
        limits: Limits,
    ) -> Self {
        Self { rules, journal, metrics, clock, limits, log: RefusalLog::default() }
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes>,
    {
        let started = Instant::now();
        // One snapshot for the whole event: a reload meanwhile changes nothing for it.
        let rules = Arc::clone(&self.rules.borrow());
        let (parts, body) = request.into_parts();
        match self.take(&rules, &parts, body, started).await {
            Ok(taken) => taken,
            Err(refused) => {
                self.metrics.refused(refused.source, refused.reason);
                self.log.refused(&refused);
                refused.answer()
            }
        }
    }

    async fn take<'r, B>(
        &self,
        rules: &'r Rules,
        parts: &Parts,
        body: B,
        started: Instant,
    ) -> Result<Response<Full<Bytes>>, Refused<'r>>
    where
        B: Body<Data = Bytes>,
    {
        let name = screen(parts, &self.limits)?;
        let source = rules.source(name).ok_or_else(Refused::not_found)?;
        let at = |refused: Refused<'static>| Refused { source: &source.name, ..refused };
        let body = timeout(self.limits.body_timeout, collect(body, self.limits.max_body))
            .await
            .map_err(|_| {
                at(Refused::closing(
                    StatusCode::REQUEST_TIMEOUT,
                    "body_slow",
                    "the body took too long",
                ))
            })?
            .map_err(at)?;
        let arrival = Arrival { headers: &parts.headers, body, received: self.clock.now() };
        let verified = source.verify(arrival).map_err(|refusal| {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
            at(Refused::new(status, refusal.reason, refusal.message))
        })?;
        let decision = rules.decide(&verified.event);
        self.count_unknown(&decision);
        let matched = matched_rules(&decision);
        let id = verified.event.id.clone();
        let new = NewEvent {
            event: verified.event,
            natural_keys: verified.natural_keys,
            decision,
            rules: Arc::clone(&rules.version),
        };
        // If this wait ends first, the commit may still happen; the sender's repetition is a duplicate then.
        let accepted = timeout(ACCEPT_TIMEOUT, self.journal.accept(new))
            .await
            .map_err(|_| at(Refused::unavailable("journal_slow")))?
            .map_err(|e| at(unavailable(&e)))?;
        self.count(&source.name, accepted, &matched, started.elapsed());
        Ok(received(&id, accepted.duplicate.is_some()))
    }

    fn count_unknown(&self, decision: &Decision) {
        for unknown in &decision.unknown {
            for field in &unknown.fields {
                self.metrics.rule_unknown(&unknown.rule, field);
            }
        }
    }

    fn count(&self, source: &str, accepted: Accepted, matched: &[Arc<str>], elapsed: Duration) {
        let Some(duplicate) = accepted.duplicate else {
            self.metrics.accepted(source, elapsed);
            for rule in matched {
                self.metrics.rule_matched(rule);
            }
            return;
        };
        self.metrics.duplicate(
            source,
            match duplicate {
                Duplicate::Same => "same",
                Duplicate::Conflict => "conflict",
                Duplicate::NaturalKey => "natural_key",
            },
        );
        if duplicate == Duplicate::Conflict {
            // Somebody signs two bodies with one id. Which of them was right is for a person to find out.
            tracing::warn!(
                source,
                number = accepted.number,
                "an event's id came again with another body: the first one is kept"
            );
        }
    }
}

/// The rules that owe something, each once. One rule's notifications stand together.
fn matched_rules(decision: &Decision) -> Vec<Arc<str>> {
    let mut rules: Vec<Arc<str>> = Vec::new();
    for owed in &decision.owed {
        if rules.last() != Some(&owed.rule) {
            rules.push(Arc::clone(&owed.rule));
        }
    }
    rules
}

/// Checks what can be checked before a byte of the body is read, and gives the source's name.
fn screen<'p>(parts: &'p Parts, limits: &Limits) -> Result<&'p str, Refused<'static>> {
    let source = parts
        .uri
        .path()
        .strip_prefix("/hooks/")
        .filter(|name| !name.is_empty() && !name.contains('/'))
        .ok_or_else(Refused::not_found)?;
    if parts.method != Method::POST {
        return Err(Refused::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "not_post",
            "only POST is taken here",
        ));
    }
    let unsupported =
        |reason, message| Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason, message));
    if !parts.headers.get_all(header::CONTENT_TYPE).iter().all(is_json) {
        return unsupported("not_json_type", "`Content-Type` must be `application/json`");
    }
    if !parts.headers.get_all(header::CONTENT_ENCODING).iter().all(is_identity) {
        return unsupported("encoded", "`Content-Encoding` is not taken: send the body as it is");
    }
    // hyper has refused heads with lengths that contradict each other or are no numbers.
    let announced = parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok());
    match announced.map(str::parse::<u64>) {
        Some(Ok(length)) if !fits(length, limits.max_body) => {
            Err(Refused::too_large(limits.max_body))
        }
        // A number that needs more than 64 bits.
        Some(Err(_)) => Err(Refused::too_large(limits.max_body)),
        _ => Ok(source),
    }
}

fn fits(length: u64, most: usize) -> bool {
    usize::try_from(length).is_ok_and(|length| length <= most)
}

/// `application/json` or `application/*+json`, with any parameters: the body has to be UTF-8 whatever they say.
fn is_json(value: &HeaderValue) -> bool {
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.split_once('/').is_some_and(|(kind, subtype)| {
        let suffix = subtype.rsplit('+').next().unwrap_or_default();
        kind.eq_ignore_ascii_case("application") && suffix.eq_ignore_ascii_case("json")
    })
}

fn is_identity(value: &HeaderValue) -> bool {
    value.as_bytes().eq_ignore_ascii_case(b"identity") || value.is_empty()
}

/// Reads the body, which usually is one piece and then isn't copied.
async fn collect<B>(body: B, most: usize) -> Result<Bytes, Refused<'static>>
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let mut first = Bytes::new();
    let mut whole: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let broken =
            |_| Refused::closing(StatusCode::BAD_REQUEST, "body_broken_off", "the body broke off");
        // Trailers are nothing to us.
        let Ok(piece) = frame.map_err(broken)?.into_data() else { continue };
        if first.len() + whole.len() + piece.len() > most {
            return Err(Refused::too_large(most));
        }
        if whole.is_empty() && first.is_empty() {
            if body.is_end_stream() {
                return Ok(piece);
            }
            first = piece;
            continue;
        }
        if whole.is_empty() {
            let expected = first.len() + usize::try_from(body.size_hint().lower()).unwrap_or(most);
            whole.reserve((expected + piece.len()).min(FIRST_ALLOCATION.max(first.len())));
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(if whole.is_empty() { first } else { whole.into() })
}

fn unavailable(error: &JournalError) -> Refused<'static> {
    Refused::unavailable(match error {
        JournalError::Overloaded(_) => "journal_busy",
        JournalError::Unwritable(_) => "journal_unwritable",
        JournalError::Fatal(_) => "journal_failed",
        JournalError::Closed => "journal_closed",
    })
}

/// A request that is not taken: the answer, and what is counted and logged.
#[derive(Debug, PartialEq, Eq)]
struct Refused<'r> {
    /// The source's name, empty while it isn't known to be one.
    source: &'r str,
    status: StatusCode,
    reason: &'static str,
    message: String,
    /// Whether the connection has to end, because the rest of the body isn't read.
    close: bool,
}

impl Refused<'static> {
    fn new(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { source: "", status, reason, message: message.into(), close: false }
    }

    fn closing(status: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { close: true, ..Self::new(status, reason, message) }
    }

    fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such source")
    }

    fn too_large(most: usize) -> Self {
        let message = format!("the body is larger than {most} bytes");
        Self::closing(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    fn unavailable(reason: &'static str) -> Self {
        let message = "the event can't be stored now: send it again later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason, message)
    }
}

impl Refused<'_> {
    fn answer(&self) -> Response<Full<Bytes>> {
        let body = format!("{{\"error\":{}}}", json_text(&self.message));
        let mut answer = json(self.status, body);
        let headers = answer.headers_mut();
        match self.status {
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER);
            }
            _ => {}
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

/// The answer to an event that is on disk.
fn received(id: &str, duplicate: bool) -> Response<Full<Bytes>> {
    let known = if duplicate { ",\"duplicate\":true" } else { "" };
    json(StatusCode::OK, format!("{{\"received\":true,\"id\":{}{known}}}", json_text(id)))
}

fn json(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

/// `text` as a JSON string.
fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Logs refusals, a few of many: a flood of them must not fill a disk or hide everything else.
#[derive(Debug, Default)]
struct RefusalLog {
    window: Mutex<Option<Window>>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    start: Instant,
    seen: u32,
}

impl RefusalLog {
    fn refused(&self, refused: &Refused<'_>) {
        let Some(left_out) = self.turn(Instant::now()) else { return };
        let (source, reason) = (refused.source, refused.reason);
        let status = refused.status.as_u16();
        if left_out > 0 {
            tracing::warn!(
                source,
                reason,
                status,
                left_out,
                "a request was refused, others before it"
            );
        } else {
            tracing::warn!(source, reason, status, "a request was refused");
        }
    }

    /// Whether one may be logged at `now`, and how many were left out since the last one.
    fn turn(&self, now: Instant) -> Option<u32> {
        // What is behind the lock is right even if a panic came while it was held.
        let mut window = self.window.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match &mut *window {
            Some(Window { start, seen }) if now.duration_since(*start) < LOG_WINDOW => {
                *seen = seen.saturating_add(1);
                (*seen <= LOGGED_REFUSALS).then_some(0)
            }
            past => {
                let left_out = past.map_or(0, |w| w.seen.saturating_sub(LOGGED_REFUSALS));
                *past = Some(Window { start: now, seen: 1 });
                Some(left_out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
            (
                "POST",
                "/hooks/a",
                &[("content-type", "application/x-www-form-urlencoded")],
                Err(415),
            ),
            ("POST", "/hooks/a", &[JSON, ("content-type", "text/plain")], Err(415)),
            ("POST", "/hooks/a", &[JSON, ("content-encoding", "gzip")], Err(415)),
            ("POST", "/hooks/a", &[JSON, ("content-encoding", "identity, gzip")], Err(415)),
            ("POST", "/hooks/a", &[JSON, ("content-length", "101")], Err(413)),
            ("POST", "/hooks/a", &[JSON, ("content-length", "1000000000000000000")], Err(413)),
            ("POST", "/hooks/a", &[JSON, ("content-length", "99999999999999999999")], Err(413)),
        ];
        for (method, uri, headers, expected) in cases {
            let parts = parts(method, uri, headers);
            let got = screen(&parts, &LIMITS).map_err(|r| r.status.as_u16());
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
        assert_eq!(screen(&parts, &LIMITS).unwrap_err().answer().headers()["allow"], "POST");

        for error in [
            JournalError::Overloaded(9),
            JournalError::Unwritable("/secret/path is full".to_owned()),
            JournalError::Fatal("fsync".to_owned()),
            JournalError::Closed,
        ] {
            let answer = unavailable(&error).answer();
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["retry-after"]),
                (503, &RETRY_AFTER)
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
        assert_eq!(log.turn(start + LOG_WINDOW), Some(990));
        assert_eq!(log.turn(start + LOG_WINDOW), Some(0));
        assert_eq!(log.turn(start + 3 * LOG_WINDOW), Some(0));
    }
}
