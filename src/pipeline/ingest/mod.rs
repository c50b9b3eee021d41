//! The public service: `POST /hooks/{source}`, from a request to an event that is on disk.
//!
//! It answers 200 only after the journal has committed. It refuses as early as it can: by path, method, type and
//! announced length before a byte of the body is read ([`screen`]), by length and time while it is read, by signature
//! before it is parsed. What it logs and counts are names from the configuration and reasons, never a value of the
//! request. The accept loop and the time for the head are [`crate::http`]'s.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use self::answer::{Refused, challenged, received};
use self::refusal_log::RefusalLog;
use crate::clock::Clock;
use crate::journal::{Accepted, Duplicate, Journal, JournalError, NewEvent};
use crate::rules::source::{Arrival, Source, Verified};
use crate::rules::{Decision, Rules, Unknown};
use crate::telemetry::Metrics;

mod answer;
mod refusal_log;
#[cfg(test)]
mod tests;

/// The longest wait for the journal. Replicer gives up after 10 s; a 503 a little before tells it more than silence.
const ACCEPT_TIMEOUT: Duration = Duration::from_secs(9);

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
        let mut answer = match self.take(&rules, &parts, body, started).await {
            Ok(taken) => taken,
            Err(refused) => {
                self.metrics.refused(refused.source, refused.reason);
                self.log.refused(&refused);
                refused.answer()
            }
        };
        // Chunks and a length in one head are how requests are smuggled past a proxy. hyper reads the chunks and hides
        // the length, so the connection ends after any chunked request, as RFC 9112, 6.1 asks.
        if parts.headers.contains_key(header::TRANSFER_ENCODING) {
            answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        answer
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
        let known = rules.source(source_name(parts)?);
        screen(parts, &self.limits, known.is_some_and(Source::takes_forms))
            .map_err(|refused| refused.of(known.map_or("", |source| &source.name)))?;
        let source = known.ok_or_else(Refused::not_found)?;
        let at = |refused: Refused<'static>| refused.of(&source.name);
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
        let (event, natural_keys) = match verified {
            Verified::Event(event, natural_keys) => (event, natural_keys),
            Verified::Challenge(answer) => return Ok(challenged(answer)),
        };
        let decision = rules.decide(&event);
        let matched = matched_rules(&decision);
        let unknown = decision.unknown.clone();
        let id = event.id.clone();
        let new = NewEvent { event, natural_keys, decision, rules: Arc::clone(&rules.version) };
        // If this wait ends first, the commit may still happen; the sender's repetition is a duplicate then.
        let accepted = timeout(ACCEPT_TIMEOUT, self.journal.accept(new))
            .await
            .map_err(|_| at(Refused::unavailable("journal_slow")))?
            .map_err(|e| at(unavailable(&e)))?;
        self.count(&source.name, accepted, &matched, started.elapsed());
        // A repetition brings nothing new: it was counted with the event that is kept.
        if accepted.duplicate.is_none() {
            self.count_unknown(&unknown);
        }
        Ok(received(&id, accepted.duplicate.is_some()))
    }

    fn count_unknown(&self, unknown: &[Unknown]) {
        for unknown in unknown {
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

/// The name in `/hooks/NAME`.
fn source_name(parts: &Parts) -> Result<&str, Refused<'static>> {
    let name = parts.uri.path().strip_prefix("/hooks/");
    name.filter(|name| !name.is_empty() && !name.contains('/')).ok_or_else(Refused::not_found)
}

/// Checks what can be checked before a byte of the body is read. `forms`: whether the source takes forms, not JSON.
fn screen(parts: &Parts, limits: &Limits, forms: bool) -> Result<(), Refused<'static>> {
    if parts.method != Method::POST {
        return Err(Refused::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "not_post",
            "only POST is taken here",
        ));
    }
    let unsupported =
        |reason, message| Err(Refused::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason, message));
    let mut types = parts.headers.get_all(header::CONTENT_TYPE).iter();
    if forms {
        if !types.all(is_form) {
            let message = "`Content-Type` must be `application/x-www-form-urlencoded`";
            return unsupported("not_form_type", message);
        }
    } else if !types.all(is_json) {
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
        _ => Ok(()),
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

/// `application/x-www-form-urlencoded`, with any parameters.
fn is_form(value: &HeaderValue) -> bool {
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/x-www-form-urlencoded")
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
