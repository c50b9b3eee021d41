//! One attempt: a message goes out over HTTP or SMTP, and what came back becomes a verdict.
//!
//! It promises: an attempt ends within the destination's time-out, whatever the other side does; redirects are not
//! followed; no more of an answer is read than [`ANSWER_LIMIT`]; what it says about an attempt holds no secret and no
//! URL beyond the host.

use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::time::timeout;
use uuid::Uuid;

use super::{show, smtp};
use crate::clock::Clock;
use crate::rules::provider::{
    ANSWER_LIMIT, Answer, Destination, HttpRequest, HttpTarget, Meaning, Outgoing, Transport,
    Verdict,
};

/// The longest to connect; an attempt's own time-out may end it earlier.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// An idle connection is kept so long: shorter than the 60 s after which many servers and balancers close theirs.
const IDLE: Duration = Duration::from_secs(50);

/// What sends. It is made once; connections to a host are kept and used again.
#[derive(Clone, Debug)]
pub struct Sender {
    client: reqwest::Client,
    clock: Clock,
    taken: Taken,
}

/// How many parts of the messages under way have been taken already, by the notification's key.
#[derive(Clone, Debug, Default)]
struct Taken(Arc<Mutex<HashMap<Uuid, usize>>>);

impl Taken {
    /// So many messages are remembered; a part of one that is forgotten may go out twice.
    const MOST: usize = 10_000;

    fn get(&self, key: Uuid) -> usize {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.get(&key).copied().unwrap_or_default()
    }

    fn set(&self, key: Uuid, parts: usize, all: usize) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if parts == all {
            taken.remove(&key);
        } else if taken.len() < Self::MOST {
            taken.insert(key, parts);
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub struct Attempted {
    /// What it means for the notification.
    pub verdict: Verdict,
    /// The HTTP or SMTP status, where an answer came.
    pub status: Option<u16>,
    /// Whether it may have been sent although no whole answer came.
    pub ambiguous: bool,
}

impl Attempted {
    /// An attempt that got no answer, but another may.
    pub(super) fn failed(detail: String) -> Self {
        Self::unanswered(Meaning::Retry { after: None }, detail)
    }

    /// It was taken.
    pub(super) fn sent(detail: &str) -> Self {
        Self::unanswered(Meaning::Sent, detail.to_owned())
    }

    pub(super) fn with_status(self, status: u16) -> Self {
        Self { status: Some(status), ..self }
    }

    /// An attempt that can't be made at all.
    pub(super) fn impossible(detail: String) -> Self {
        Self::unanswered(Meaning::Final, detail)
    }

    fn unanswered(meaning: Meaning, detail: String) -> Self {
        Self { verdict: Verdict { meaning, detail }, status: None, ambiguous: false }
    }
}

/// How far an attempt has got: whoever ends it early must know whether the message may have gone out.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicBool>);

impl Progress {
    /// The message is being written from now on.
    pub(super) fn writing(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it may have been sent.
    pub fn may_be_sent(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// What is added to a failure's words.
    pub(super) fn doubt(&self) -> &'static str {
        if self.may_be_sent() { "; it may have been sent" } else { "" }
    }

    /// What is said when the time is up.
    pub(super) fn timed_out(&self, place: &str, limit: Duration) -> String {
        if self.may_be_sent() {
            format!("timed out: no answer from {place} within {limit:?}; it may have been sent")
        } else {
            format!("timed out: {place} took nothing within {limit:?}")
        }
    }
}

impl Sender {
    /// A sender with no connections yet.
    pub fn new(clock: Clock) -> anyhow::Result<Self> {
        let client = client_builder()?.build()?;
        Ok(Self { client, clock, taken: Taken::default() })
    }

    /// Makes one attempt at `outgoing`. The inbox is not its business: the journal keeps that.
    pub async fn send(&self, destination: &Destination, outgoing: &Outgoing<'_>) -> Attempted {
        self.attempt(destination, outgoing, &Progress::default()).await
    }

    /// Like [`Sender::send`], and notes in `progress` how far it has got, for who may end it early.
    pub async fn attempt(
        &self,
        destination: &Destination,
        outgoing: &Outgoing<'_>,
        progress: &Progress,
    ) -> Attempted {
        let limit = destination.timeout;
        let attempted = match &destination.transport {
            Transport::Http(target) => self.http(target, limit, outgoing, progress).await,
            // On the heap: a mail's conversation takes several kilobytes, which every attempt would carry about.
            Transport::Smtp(target) => {
                Box::pin(smtp::send(target, limit, outgoing, progress)).await
            }
            Transport::Console => {
                show::on_console(outgoing);
                Attempted::sent("shown on the console")
            }
            Transport::Inbox => {
                Attempted::impossible("the inbox is kept by the running bridge".to_owned())
            }
        };
        let unanswered = attempted.status.is_none()
            && matches!(attempted.verdict.meaning, Meaning::Retry { .. });
        let ambiguous = attempted.ambiguous || (unanswered && progress.may_be_sent());
        Attempted { ambiguous, ..attempted }
    }

    async fn http(
        &self,
        target: &HttpTarget,
        limit: Duration,
        outgoing: &Outgoing<'_>,
        progress: &Progress,
    ) -> Attempted {
        let requests = match target.requests(outgoing) {
            Ok(requests) => requests,
            Err(reason) => return Attempted::impossible(target.redact(&reason)),
        };
        let place = requests.first().map(|first| place(&first.url)).unwrap_or_default();
        match timeout(limit, self.parts(target, requests, &place, outgoing.key, progress)).await {
            Ok(attempted) => attempted,
            Err(_) => Attempted::failed(progress.timed_out(&place, limit)),
        }
    }

    /// Sends the parts of a message in their order, until one isn't taken. The next attempt begins with that one, as
    /// long as this process remembers; after a restart it begins with the first again, under the same keys.
    async fn parts(
        &self,
        target: &HttpTarget,
        requests: Vec<HttpRequest>,
        place: &str,
        key: Uuid,
        progress: &Progress,
    ) -> Attempted {
        let all = requests.len();
        let done = if all > 1 { self.taken.get(key) } else { 0 };
        let mut last = Attempted::sent("every part was sent before");
        for (i, ready) in requests.into_iter().enumerate().skip(done) {
            let mut request = reqwest::Request::new(ready.method, ready.url);
            *request.headers_mut() = ready.headers;
            *request.body_mut() = Some(watched(ready.body, progress));
            last = self.exchange(target, request, place, progress).await;
            if all == 1 {
                return last;
            }
            if last.verdict.meaning != Meaning::Sent {
                last.verdict.detail = format!("part {} of {all}: {}", i + 1, last.verdict.detail);
                return last;
            }
            self.taken.set(key, i + 1, all);
        }
        last
    }

    async fn exchange(
        &self,
        target: &HttpTarget,
        request: reqwest::Request,
        place: &str,
        progress: &Progress,
    ) -> Attempted {
        let mut answer = match self.client.execute(request).await {
            Ok(answer) => answer,
            Err(e) => return Attempted::failed(target.redact(&reason(&e, place, progress))),
        };
        let mut body = Vec::new();
        let broken = loop {
            match answer.chunk().await {
                Ok(Some(piece)) => {
                    let room = ANSWER_LIMIT - body.len();
                    body.extend_from_slice(&piece[..piece.len().min(room)]);
                    if body.len() >= ANSWER_LIMIT {
                        break None;
                    }
                }
                Ok(None) => break None,
                Err(e) => break Some(e),
            }
        };
        let status = answer.status().as_u16();
        if let Some(e) = broken {
            let detail = format!("HTTP {status}, then the answer broke off: {}", innermost(&e));
            let failed = Attempted::failed(target.redact(&(detail + progress.doubt())));
            return Attempted { status: Some(status), ambiguous: progress.may_be_sent(), ..failed };
        }
        let verdict = target.verdict(&Answer {
            status,
            headers: answer.headers(),
            body: &body,
            at: self.clock.now(),
        });
        Attempted { verdict, status: Some(status), ambiguous: false }
    }
}

/// A client for the commands, which talk to addresses that a person gave: proxies are not asked.
pub fn client() -> anyhow::Result<reqwest::Client> {
    Ok(client_builder()?.no_proxy().build()?)
}

fn client_builder() -> anyhow::Result<reqwest::ClientBuilder> {
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls()?)
        .user_agent(concat!("hookbell/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .tcp_nodelay(true)
        .http1_only())
}

/// The machine's certificates, or those that the binary carries where the machine has none: an image without a CA
/// store must still reach Slack.
fn tls() -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = || {
        ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
    };
    Ok(match builder()?.with_platform_verifier() {
        Ok(verified) => verified.with_no_client_auth(),
        Err(e) => {
            tracing::warn!(reason = %e, "this machine has no usable CA certificates: using Mozilla's, built in");
            let roots =
                webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect::<rustls::RootCertStore>();
            builder()?.with_root_certificates(roots).with_no_client_auth()
        }
    })
}

/// The host and port: all of a URL that may be shown.
fn place(url: &reqwest::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Why a request got no answer, for a person: the kind of failure, the host, and the innermost cause.
fn reason(e: &reqwest::Error, place: &str, progress: &Progress) -> String {
    let cause = innermost(e);
    let kind = find::<io::Error>(e).map(io::Error::kind);
    if let Some(tls) = find::<rustls::Error>(e) {
        return format!("TLS with {place}: {tls}");
    }
    if e.is_dns() {
        return format!("dns: {place} is not found: {cause}");
    }
    if e.is_connect() {
        return match kind {
            Some(io::ErrorKind::ConnectionRefused) => format!("connection refused by {place}"),
            _ if e.is_timeout() => {
                format!("timed out: no connection to {place} within {CONNECT:?}")
            }
            _ => format!("could not connect to {place}: {cause}"),
        };
    }
    let doubt = progress.doubt();
    let http = find::<hyper::Error>(e);
    if http.is_some_and(hyper::Error::is_parse) {
        return format!("{place} did not answer in HTTP: {cause}{doubt}");
    }
    if http.is_some_and(hyper::Error::is_incomplete_message) {
        return format!("{place} closed the connection without an answer{doubt}");
    }
    match kind {
        Some(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            format!("{place} reset the connection{doubt}")
        }
        _ => format!("no usable answer from {place}: {cause}{doubt}"),
    }
}

/// The first error of this kind in the chain. An [`io::Error`] leaves what it wraps out of the chain, so it is opened.
fn find<'e, E: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|wrapped| find(wrapped)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The words of the last error of the chain. The outermost is reqwest's own, which holds the URL.
fn innermost(e: &reqwest::Error) -> String {
    let mut cause = e.source();
    while let Some(deeper) = cause.and_then(Error::source) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| "the request failed".to_owned(), ToString::to_string)
}

/// A body that notes when it is first asked for: only then is there a connection to write it to.
fn watched(bytes: Bytes, progress: &Progress) -> reqwest::Body {
    if bytes.is_empty() {
        // Nobody asks for an empty body.
        progress.writing();
        return bytes.into();
    }
    reqwest::Body::wrap(Watched { bytes, progress: progress.clone() })
}

struct Watched {
    bytes: Bytes,
    progress: Progress,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.progress.writing();
        let bytes = std::mem::take(&mut self.bytes);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX))
    }
}
