//! One attempt: a message goes out over HTTP or SMTP, and what came back becomes a verdict.
//!
//! It promises: an attempt ends within the destination's time-out, whatever the other side does; redirects are not
//! followed; no more of an answer is read than [`ANSWER_LIMIT`]; what it says about an attempt holds no secret and no
//! URL beyond the host.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::time::timeout;

use super::smtp;
use crate::clock::Clock;
use crate::rules::provider::{
    ANSWER_LIMIT, Answer, Destination, HttpTarget, Meaning, Outgoing, Transport, Verdict,
};

/// The longest to connect; an attempt's own time-out may end it earlier.
const CONNECT: Duration = Duration::from_secs(5);
/// An idle connection is kept so long: shorter than the 60 s after which many servers and balancers close theirs.
const IDLE: Duration = Duration::from_secs(50);

/// What sends. It is made once; connections to a host are kept and used again.
#[derive(Clone, Debug)]
pub struct Sender {
    client: reqwest::Client,
    clock: Clock,
}

/// How an attempt ended.
#[derive(Clone, Debug)]
pub struct Attempted {
    /// What it means for the notification.
    pub verdict: Verdict,
    /// The HTTP or SMTP status, where an answer came.
    pub status: Option<u16>,
}

impl Attempted {
    /// An attempt that got no answer, but another may.
    pub(super) fn failed(detail: String) -> Self {
        Self { verdict: Verdict { meaning: Meaning::Retry { after: None }, detail }, status: None }
    }

    /// It was taken.
    pub(super) fn sent(detail: &str) -> Self {
        let verdict = Verdict { meaning: Meaning::Sent, detail: detail.to_owned() };
        Self { verdict, status: None }
    }

    /// An attempt that can't be made at all.
    pub(super) fn impossible(detail: String) -> Self {
        Self { verdict: Verdict { meaning: Meaning::Final, detail }, status: None }
    }
}

impl Sender {
    /// A sender with no connections yet.
    pub fn new(clock: Clock) -> anyhow::Result<Self> {
        let client = client_builder()?.build()?;
        Ok(Self { client, clock })
    }

    /// Makes one attempt at `outgoing`. Console and inbox are not its business: they are sent by nobody.
    pub async fn send(&self, destination: &Destination, outgoing: &Outgoing<'_>) -> Attempted {
        let attempt = async {
            match &destination.transport {
                Transport::Http(target) => self.http(target, outgoing).await,
                Transport::Smtp(target) => smtp::send(target, outgoing).await,
                Transport::Console | Transport::Inbox => {
                    Attempted::impossible("this destination is not sent to".to_owned())
                }
            }
        };
        match timeout(destination.timeout, attempt).await {
            Ok(attempted) => attempted,
            Err(_) => Attempted::failed(format!(
                "no answer within {:?}; it may have been sent",
                destination.timeout
            )),
        }
    }

    async fn http(&self, target: &HttpTarget, outgoing: &Outgoing<'_>) -> Attempted {
        let ready = match target.request(outgoing) {
            Ok(ready) => ready,
            Err(reason) => return Attempted::impossible(reason),
        };
        let host = ready.url.host_str().unwrap_or_default().to_owned();
        let mut request = reqwest::Request::new(ready.method, ready.url);
        *request.headers_mut() = ready.headers;
        *request.body_mut() = Some(ready.body.into());
        let mut answer = match self.client.execute(request).await {
            Ok(answer) => answer,
            Err(e) => return Attempted::failed(target.redact(&reason(&e, &host))),
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
            let detail = format!("HTTP {status}, then the answer broke off: {}", reason(&e, &host));
            let mut attempted = Attempted::failed(target.redact(&detail));
            attempted.status = Some(status);
            return attempted;
        }
        let verdict = target.verdict(&Answer {
            status,
            headers: answer.headers(),
            body: &body,
            at: self.clock.now(),
        });
        Attempted { verdict, status: Some(status) }
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
    let builder =
        || ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    Ok(match builder()?.with_platform_verifier() {
        Ok(verified) => verified.with_no_client_auth(),
        Err(e) => {
            tracing::warn!(reason = %e, "this machine has no usable CA certificates: using Mozilla's, built in");
            let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect::<rustls::RootCertStore>();
            builder()?.with_root_certificates(roots).with_no_client_auth()
        }
    })
}

/// Why a request got no answer, for a person: the kind of failure, the host, and the innermost cause.
fn reason(e: &reqwest::Error, host: &str) -> String {
    let mut causes = Vec::new();
    let mut cause = e.source();
    while let Some(error) = cause {
        causes.push(error);
        cause = error.source();
    }
    let io = causes.iter().find_map(|c| c.downcast_ref::<io::Error>());
    let mut text = match io.map(io::Error::kind) {
        Some(io::ErrorKind::ConnectionRefused) => return format!("{host} refused the connection"),
        Some(io::ErrorKind::ConnectionReset) => format!("{host} reset the connection"),
        _ if e.is_connect() && e.is_timeout() => {
            return format!("could not connect to {host} within {CONNECT:?}");
        }
        _ if e.is_connect() => format!("could not connect to {host}"),
        _ if e.is_timeout() => format!("{host} did not answer in time"),
        _ => format!("no usable answer from {host}"),
    };
    if let Some(innermost) = causes.last() {
        let _ = write!(text, ": {innermost}");
    }
    if !e.is_connect() {
        text.push_str("; it may have been sent");
    }
    text
}
