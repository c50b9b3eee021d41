//! Providers as data: a message and a destination's settings become an exact request; an answer becomes a verdict.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use hyper::{HeaderMap, Method};
use jiff::Timestamp;
use uuid::Uuid;

use super::retry::RetryPolicy;
use super::template::{Channel, Message};
use crate::event::Event;
use crate::secret::Secret;

/// One named place a message goes: a provider and its settings, compiled.
#[derive(Debug)]
pub struct Destination {
    /// The name in `rules.toml`.
    pub name: Arc<str>,
    /// The provider's name, for example `slack`.
    pub provider: Arc<str>,
    /// Which templates and escaping apply.
    pub channel: Channel,
    /// Phone numbers or addresses; each gets a notification of its own. Empty where the provider has none.
    pub recipients: Vec<Arc<str>>,
    /// How many attempts run at once.
    pub concurrency: usize,
    /// The longest that one attempt may take, from connecting to the answer's last byte.
    pub timeout: Duration,
    /// When to try again.
    pub retry: RetryPolicy,
    /// How a message gets there.
    pub transport: Transport,
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

/// An HTTP API with a destination's settings filled in.
#[derive(Debug)]
pub struct HttpTarget {}

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

impl HttpTarget {
    /// The request for `outgoing`, or the reason why none can be made (such a notification is given up).
    pub fn request(&self, outgoing: &Outgoing<'_>) -> Result<HttpRequest, String> {
        let _ = outgoing;
        todo!()
    }

    /// What the provider's answer means.
    pub fn verdict(&self, answer: &Answer<'_>) -> Verdict {
        let _ = answer;
        todo!()
    }
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
}

/// A provider definition (`providers/NAME.toml`).
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The provider's name, for example `slack`.
    pub name: String,
    /// The provider's settings, by name, in the order of the file.
    pub settings: Vec<SettingDefinition>,
}

/// One setting of a provider.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SettingDefinition {
    /// The key in `[destinations.NAME]`.
    pub name: String,
    /// Whether its value must never be shown.
    #[serde(default)]
    pub secret: bool,
    /// Whether it may be left out.
    #[serde(default)]
    pub optional: bool,
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
#[derive(Clone, Copy, Debug)]
pub struct Common {
    /// `concurrency`, if set.
    pub concurrency: Option<usize>,
    /// `timeout`, if set.
    pub timeout: Option<Duration>,
    /// `retry`, with defaults filled in.
    pub retry: RetryPolicy,
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

impl Destination {
    /// Fills a definition with a destination's settings. Unknown and missing settings are errors too.
    pub fn compile(
        name: &str,
        definition: &Arc<Definition>,
        settings: &std::collections::BTreeMap<String, SettingValue>,
        common: Common,
    ) -> Result<Self, Vec<SettingError>> {
        let mut errors = Vec::new();
        let error = |setting: &str, message: String| SettingError {
            setting: Some(setting.to_owned()),
            message,
            hint: None,
        };
        let mut recipients: Vec<Arc<str>> = Vec::new();
        for setting in &definition.settings {
            let url = |s: &Secret| {
                setting.name != "url"
                    || s.expose().starts_with("https://")
                    || (&*definition.name == "smtp" && s.expose().starts_with("smtp"))
            };
            match settings.get(&setting.name) {
                None if !setting.optional => errors.push(error(
                    &setting.name,
                    format!("the setting `{}` is missing", setting.name),
                )),
                Some(SettingValue::Text(s)) if !url(s) => {
                    errors.push(error(&setting.name, "`url` is no https URL".to_owned()));
                }
                Some(SettingValue::List(all)) if setting.name == "to" => {
                    recipients.extend(all.iter().map(|s| Arc::from(s.expose())));
                }
                _ => {}
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            name: name.into(),
            provider: definition.name.as_str().into(),
            channel: match &*definition.name {
                "slack" => Channel::Slack,
                "twilio" => Channel::Sms,
                "smtp" => Channel::Email,
                _ => Channel::Text,
            },
            recipients,
            concurrency: common.concurrency.unwrap_or(4),
            timeout: common.timeout.unwrap_or(Duration::from_secs(10)),
            retry: common.retry,
            transport: Transport::Console,
        })
    }
}

/// The built-in definition of this name.
pub fn built_in(name: &str) -> Option<Arc<Definition>> {
    let settings = match name {
        "slack" => "url",
        "twilio" => "account_sid auth_token from to",
        "smtp" => "url from to",
        "webhook" => "url secret?",
        "console" | "inbox" => "",
        _ => return None,
    };
    let setting = |s: &str| SettingDefinition {
        name: s.trim_end_matches('?').to_owned(),
        secret: false,
        optional: s.ends_with('?'),
    };
    let settings = settings.split_whitespace().map(setting).collect();
    Some(Arc::new(Definition { name: name.to_owned(), settings }))
}

/// The names of the built-in definitions.
pub fn built_in_names() -> Vec<&'static str> {
    vec!["console", "inbox", "slack", "smtp", "twilio", "webhook"]
}
