//! The answers of the public listener, as JSON.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};

/// What `Retry-After` says, in seconds. Senders that have a schedule of their own keep to that.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// A request that is not taken: the answer, and what is counted and logged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused<'r> {
    /// The source's name, empty while it isn't known to be one.
    pub(super) source: &'r str,
    pub(super) status: StatusCode,
    pub(super) reason: &'static str,
    message: String,
    /// Whether the connection has to end, because the rest of the body isn't read.
    close: bool,
}

impl Refused<'static> {
    pub(super) fn new(
        status: StatusCode,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { source: "", status, reason, message: message.into(), close: false }
    }

    pub(super) fn closing(
        status: StatusCode,
        reason: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { close: true, ..Self::new(status, reason, message) }
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such source")
    }

    pub(super) fn too_large(most: usize) -> Self {
        let message = format!("the body is larger than {most} bytes");
        Self::closing(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
    }

    pub(super) fn unavailable(reason: &'static str) -> Self {
        let message = "the event can't be stored now: send it again later";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, reason, message)
    }
}

impl Refused<'_> {
    /// The same, of the source that is known by now.
    pub(super) fn of(self, source: &str) -> Refused<'_> {
        Refused { source, ..self }
    }

    pub(super) fn answer(&self) -> Response<Full<Bytes>> {
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
pub(super) fn received(id: &str, duplicate: bool) -> Response<Full<Bytes>> {
    let known = if duplicate { ",\"duplicate\":true" } else { "" };
    json(StatusCode::OK, format!("{{\"received\":true,\"id\":{}{known}}}", json_text(id)))
}

/// The answer to a sender that asks whether this is the right place.
pub(super) fn challenged(answer: String) -> Response<Full<Bytes>> {
    json(StatusCode::OK, answer)
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
