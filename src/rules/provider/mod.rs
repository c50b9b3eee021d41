//! Providers as data: a message and a destination's settings become an exact request; an answer becomes a verdict.
//!
//! [`Definition`] is a file of `providers/`; [`builtin()`] has those in the binary. [`Destination::compile`] checks a
//! destination's settings and fills them in, so that only what differs between messages is left to do when sending:
//! [`HttpTarget::requests`]. [`HttpTarget::verdict`] reads the answer. Nothing here opens a connection.
//!
//! The promise: event text is data. It ends as a JSON string, a form value, a percent-encoded piece of a path or a
//! query, or a header value without line breaks; no host, key, header name or recipient comes from it.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::{HeaderMap, Method};
use jiff::Timestamp;
use uuid::Uuid;

mod builtin;
mod definition;
mod definition_check;
mod destination;
mod example;
mod pattern;
mod request;
mod settings;
mod shown;
mod sign;
mod smtp;
mod verdict;
mod wait;

pub use builtin::{builtin, builtin_texts, builtins};
pub use definition::{Definition, DefinitionProblem, Kind, Protocol, SettingDefinition};
pub use request::HttpTarget;
pub use shown::{STAND_INS, Shown};

use super::retry::RetryPolicy;
use super::template::{Channel, Escape, Message};
use crate::event::Event;
use crate::secret::Secret;

/// One named place a message goes: a provider and its settings, compiled.
#[derive(Debug)]
pub struct Destination {
    /// The name in `rules.toml`.
    pub name: Arc<str>,
    /// The provider's name, for example `slack`.
    pub provider: Arc<str>,
    /// Which templates apply.
    pub channel: Channel,
    /// How event values are escaped in them.
    pub escape: Escape,
    /// Phone numbers or addresses; each gets a notification of its own. Empty where the provider has none.
    pub recipients: Vec<Arc<str>>,
    /// How many attempts run at once.
    pub concurrency: usize,
    /// The longest that one attempt may take, from connecting to the answer's last byte.
    pub timeout: Duration,
    /// When to try again.
    pub retry: RetryPolicy,
    /// How many attempts may begin in a span of time; none where the provider publishes no rate.
    pub rate: Option<Rate>,
    /// Destinations with an equal one are counted together by the provider, so they share its rate.
    pub rate_group: Arc<str>,
    /// What becomes of an attempt that got no answer although its request may have been read.
    pub on_ambiguous: OnAmbiguous,
    /// Who hears of it when this destination can't be reached.
    pub fallback: Option<Fallback>,
    /// How a message gets there.
    pub transport: Transport,
}

/// At most `max` attempts begin in any window of `per`. What is too much waits; nothing is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At least 1.
    pub max: usize,
    /// Longer than nothing.
    pub per: Duration,
}

/// What becomes of an attempt that got no answer although its request may have been read: nobody knows whether the
/// message was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnAmbiguous {
    /// Try again: rather twice than never. The provider may recognise the idempotency key.
    Retry,
    /// Give it up with that reason, for a person (or the fallback) to decide: rather never than twice.
    Park,
}

/// Another destination that takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// The name of the other destination.
    pub to: Arc<str>,
    /// It takes over what waits when this one has been failing for so long; what is given up it takes at once.
    pub after: Duration,
}

/// How a message gets to a destination.
#[derive(Debug)]
pub enum Transport {
    /// One HTTP request.
    Http(Box<HttpTarget>),
    /// One mail over SMTP.
    Smtp(Box<SmtpTarget>),
    /// Printed on standard output.
    Console,
    /// Kept in the journal, for looking at.
    Inbox,
}

/// A mail server with a destination's settings filled in.
#[derive(Debug)]
pub struct SmtpTarget {
    /// `smtp` (STARTTLS where offered), `smtp` with required STARTTLS, or TLS from the first byte.
    pub security: SmtpSecurity,
    /// The server's name or address.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// User and password, if the server wants them.
    pub credentials: Option<(String, Secret)>,
    /// The sender as written, for example `Hookbell <bell@example.com>`; checked at load.
    pub from: String,
}

/// How an SMTP connection is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// `smtp://`: plain text, refused with credentials unless the host is loopback.
    None,
    /// `smtp+starttls://`: STARTTLS or nothing.
    StartTls,
    /// `smtps://`: TLS from the first byte.
    Tls,
}

/// What is to be sent, to whom, and under which key.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The rendered message.
    pub message: &'a Message,
    /// The idempotency key of the notification.
    pub key: Uuid,
    /// The rule's name.
    pub rule: &'a str,
    /// The destination's name.
    pub destination: &'a str,
    /// The recipient, where the destination has any.
    pub recipient: Option<&'a str>,
    /// The event that caused it.
    pub event: &'a Event,
    /// The time of this attempt.
    pub now: Timestamp,
}

/// An exact request. Its URL and headers may hold secrets, so it has no `Debug`.
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: reqwest::Url,
    /// All headers but those of the connection.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// A provider's answer.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body's beginning, at most [`ANSWER_LIMIT`] bytes.
    pub body: &'a [u8],
    /// When it came.
    pub at: Timestamp,
}

/// No more of an answer's body is read than this.
pub const ANSWER_LIMIT: usize = 64 * 1024;

/// What an answer means for the notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What follows.
    pub meaning: Meaning,
    /// What a person reads: the status and the provider's own words, shortened, without secrets.
    pub detail: String,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It was taken.
    Sent,
    /// Not now; the provider may say how long to wait.
    Retry {
        /// The provider's wait hint.
        after: Option<Duration>,
    },
    /// Never: trying again can't help.
    Final,
    /// Never, and neither will anything else that is sent there: the address is gone, the credentials were revoked.
    Stop,
}

/// A setting's value as read from `rules.toml`, its `${…}` resolved.
#[derive(Clone, Debug)]
pub enum SettingValue {
    /// Text; secret or not, it is handled as a secret until the definition says otherwise.
    Text(Secret),
    /// A list of texts, for example several recipients.
    List(Vec<Secret>),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Boolean(bool),
}

/// What every destination may set beside its provider's own settings.
#[derive(Clone, Debug, Default)]
pub struct Common {
    /// `concurrency`, if set.
    pub concurrency: Option<usize>,
    /// `timeout`, if set.
    pub timeout: Option<Duration>,
    /// `retry`, with defaults filled in.
    pub retry: RetryPolicy,
    /// `rate`, if set.
    pub rate: Option<Rate>,
    /// `on_ambiguous`, if set.
    pub on_ambiguous: Option<OnAmbiguous>,
    /// `fallback`, if set.
    pub fallback: Option<Fallback>,
}

/// A setting that can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    /// The setting's key; none when it concerns the destination as a whole.
    pub setting: Option<String>,
    /// What is wrong, without showing a secret; lower case, no full stop.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}
