//! Looking in from outside: health, metrics and the JSON API that the commands use.
//!
//! It promises: nobody gets past [`guard`] whose `Host`, origin or token is wrong; every answer but the metrics is
//! JSON and is never cached; nothing here changes what was promised, except making given-up notifications due again.

use std::fmt;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::clock::{self, Clock};
use crate::journal::{Journal, JournalError, RetrySelection};
use crate::rules::Rules;
use crate::telemetry::{EXPOSITION, Metrics, Waiting};

mod explain;
mod guard;
mod query;

pub use explain::Past;
pub use guard::Guard;

/// The largest body that the API takes, in bytes: a list of about 100,000 notification numbers.
const MAX_BODY: usize = 1024 * 1024;

/// How many inbox messages are shown unless the request says otherwise.
const INBOX: u32 = 100;

/// The admin service.
#[derive(Debug)]
pub struct Admin {
    journal: Journal,
    rules: watch::Receiver<Arc<Rules>>,
    metrics: Arc<Metrics>,
    clock: Clock,
    guard: Guard,
    past: Past,
    on_retry: OnRetry,
}

/// Called when a person wants something sent again, with the destination if one is named: whoever was found to be gone
/// gets a new chance.
pub struct OnRetry(Box<Run>);

type Run = dyn Fn(Option<&str>) + Send + Sync;

impl OnRetry {
    /// Calls `run`, which must be quick.
    pub fn new(run: impl Fn(Option<&str>) + Send + Sync + 'static) -> Self {
        Self(Box::new(run))
    }
}

impl fmt::Debug for OnRetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OnRetry")
    }
}

/// What a handler answers, or the status and words of its refusal.
type Answer = Result<Response<Full<Bytes>>, (StatusCode, String)>;

impl Admin {
    /// Looks into `journal`; `guard` decides who may, `past` reads rules of another moment.
    pub fn new(
        journal: Journal,
        rules: watch::Receiver<Arc<Rules>>,
        metrics: Arc<Metrics>,
        clock: Clock,
        guard: Guard,
        past: Past,
        on_retry: OnRetry,
    ) -> Self {
        Self { journal, rules, metrics, clock, guard, past, on_retry }
    }

    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let answer = match self.guard.check(&parts) {
            Ok(()) => self.route(&parts, body).await,
            Err(refused) => Err(refused),
        };
        let mut answer = answer
            .unwrap_or_else(|(status, words)| json_answer(status, &json!({ "error": words })));
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if answer.status() == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = if parts.uri.path() == "/api/retry" { "POST" } else { "GET, HEAD" };
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
        }
        if answer.status() == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if parts.method == Method::HEAD {
            *answer.body_mut() = Full::default();
        }
        answer
    }

    async fn route<B>(&self, parts: &Parts, body: B) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let path = parts.uri.path();
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        let posts = parts.method == Method::POST;
        match path {
            "/api/retry" if posts => return self.retry(parts, body).await,
            "/api/retry" => return Err(method(path)),
            _ if !reads && known(path) => return Err(method(path)),
            _ => {}
        }
        let query = parts.uri.query().unwrap_or_default();
        match path {
            "/healthz" => Ok(json_answer(StatusCode::OK, &json!({ "status": "alive" }))),
            "/readyz" => Ok(self.ready().await),
            "/metrics" => self.metrics().await,
            "/api/status" => self.status().await,
            "/api/events" => self.events(query).await,
            "/api/notifications" => self.notifications(query).await,
            "/api/inbox" => self.inbox(query).await,
            _ => match path.strip_prefix("/api/").and_then(|rest| rest.split_once('/')) {
                Some(("events", number)) => match number.split_once('/') {
                    Some((number, "explain")) => self.explain(number, query).await,
                    _ => self.event(number).await,
                },
                Some(("notifications", number)) => self.notification(number).await,
                _ => Err((StatusCode::NOT_FOUND, "there is nothing here".to_owned())),
            },
        }
    }

    async fn ready(&self) -> Response<Full<Bytes>> {
        match self.journal.writable().await {
            Ok(()) => json_answer(StatusCode::OK, &json!({ "status": "ready" })),
            Err(e) => json_answer(
                StatusCode::SERVICE_UNAVAILABLE,
                &json!({ "status": "not ready", "error": e.to_string() }),
            ),
        }
    }

    async fn metrics(&self) -> Answer {
        let backlog = self.journal.backlog().await.map_err(unavailable)?;
        let now = self.clock.now();
        let rules = Arc::clone(&self.rules.borrow());
        // A destination at which nothing waits is shown as zero, so that an alert on it has a series to look at.
        let empty = rules
            .destinations
            .iter()
            .filter(|d| !backlog.iter().any(|b| b.destination == *d.name))
            .map(|d| Waiting { destination: &d.name, count: 0, oldest: std::time::Duration::ZERO });
        let waiting = backlog.iter().map(|b| Waiting {
            destination: &b.destination,
            count: b.waiting,
            oldest: b.oldest.map(|at| clock::elapsed(at, now)).unwrap_or_default(),
        });
        let text = self.metrics.exposition(waiting.chain(empty));
        let mut answer = Response::new(Full::new(text.into()));
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(EXPOSITION));
        Ok(answer)
    }

    async fn status(&self) -> Answer {
        let backlog = self.journal.backlog().await.map_err(unavailable)?;
        let rules = Arc::clone(&self.rules.borrow());
        let names = |all: Vec<&str>| Value::from(all);
        ok(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "rules_version": &*rules.version,
            "sources": names(rules.sources.iter().map(|s| &*s.name).collect()),
            "destinations": names(rules.destinations.iter().map(|d| &*d.name).collect()),
            "rules": names(rules.rules.rules.iter().map(|r| &*r.name).collect()),
            "journal_damaged": self.journal.found().damaged,
            "backlog": backlog,
        }))
    }

    async fn events(&self, query: &str) -> Answer {
        let filter = query::events(query, self.clock.now()).map_err(bad)?;
        let limit = query::limit(filter.limit);
        let rows = self.journal.events(filter).await.map_err(unavailable)?;
        let next = (rows.len() == limit).then(|| rows.last().map(|r| r.number)).flatten();
        ok(&json!({ "events": rows, "next": next }))
    }

    async fn event(&self, number: &str) -> Answer {
        let Ok(number) = number.parse() else { return Err(no_number(number, "event")) };
        match self.journal.event(number).await.map_err(unavailable)? {
            Some(row) => ok(&row),
            None => Err((StatusCode::NOT_FOUND, format!("there is no event {number}"))),
        }
    }

    async fn notifications(&self, query: &str) -> Answer {
        let filter = query::notifications(query, self.clock.now()).map_err(bad)?;
        let limit = query::limit(filter.limit);
        let rows = self.journal.notifications(filter).await.map_err(unavailable)?;
        let next = (rows.len() == limit).then(|| rows.last().map(|r| r.id)).flatten();
        ok(&json!({ "notifications": rows, "next": next }))
    }

    async fn notification(&self, number: &str) -> Answer {
        let Ok(number) = number.parse() else { return Err(no_number(number, "notification")) };
        match self.journal.notification(number).await.map_err(unavailable)? {
            Some(row) => ok(&row),
            None => Err((StatusCode::NOT_FOUND, format!("there is no notification {number}"))),
        }
    }

    async fn inbox(&self, query: &str) -> Answer {
        let limit = query::inbox(query).map_err(bad)?.unwrap_or(INBOX);
        let messages = self.journal.inbox(limit).await.map_err(unavailable)?;
        ok(&json!({ "messages": messages }))
    }

    async fn retry<B>(&self, parts: &Parts, body: B) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        // A form of a foreign page can't send this type without asking first (CORS), so it can't get here.
        let kind = parts.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let kind = kind.and_then(|t| t.split(';').next()).map(str::trim);
        if kind != Some("application/json") {
            let words = "send `content-type: application/json`".to_owned();
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, words));
        }
        let body = Limited::new(body, MAX_BODY)
            .collect()
            .await
            .map_err(|e| (StatusCode::PAYLOAD_TOO_LARGE, format!("the body can't be read: {e}")))?;
        let which: RetrySelection = serde_json::from_slice(&body.to_bytes())
            .map_err(|e| bad(format!("the body is no selection of notifications: {e}")))?;
        let destination = match &which {
            RetrySelection::Ids(_) => None,
            RetrySelection::Matching(filter) => filter.destination.clone(),
        };
        let retried = self.journal.retry(which).await.map_err(unavailable)?;
        (self.on_retry.0)(destination.as_deref());
        tracing::info!(
            retried = retried.retried.len(),
            refused = retried.refused.len(),
            "given-up notifications are due again"
        );
        ok(&retried)
    }
}

fn known(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/metrics") || path.starts_with("/api/")
}

fn method(path: &str) -> (StatusCode, String) {
    let allowed = if path == "/api/retry" { "POST" } else { "GET" };
    (StatusCode::METHOD_NOT_ALLOWED, format!("use {allowed} here"))
}

fn bad(words: String) -> (StatusCode, String) {
    (StatusCode::BAD_REQUEST, words)
}

fn no_number(text: &str, what: &str) -> (StatusCode, String) {
    let shown: String = text.chars().take(40).collect();
    (StatusCode::NOT_FOUND, format!("`{}` is no {what}'s number", shown.escape_debug()))
}

fn unavailable(e: JournalError) -> (StatusCode, String) {
    (StatusCode::SERVICE_UNAVAILABLE, e.to_string())
}

fn ok(value: &impl serde::Serialize) -> Answer {
    Ok(json_answer(StatusCode::OK, value))
}

fn json_answer(status: StatusCode, value: &impl serde::Serialize) -> Response<Full<Bytes>> {
    // What is answered here always serializes: names, numbers, times, and JSON that was parsed before.
    let text = serde_json::to_vec(value).unwrap_or_default();
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
