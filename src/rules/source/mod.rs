//! Sources: who may send, how they sign, and where an event's id, type and time stand.
//!
//! [`Source::verify`] is the one way to an [`Event`]: first the signature over the raw bytes ([`signature`]), then
//! the envelope ([`envelope`]). Of the head only the signature's header is looked at; everything else in it can be
//! changed by anybody who holds one signed body, so it decides nothing.

use std::sync::Arc;

use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::HeaderValue;
use jiff::Timestamp;

use crate::event::Event;
use crate::journal::DedupeKey;
use crate::secret::Secret;

mod definition;
mod envelope;
pub mod schema;
mod signature;
#[cfg(test)]
mod tests;

pub use definition::{
    Algorithm, BUILT_IN, Definition, DefinitionError, Encoding, Envelope, EventType, Field,
    FieldType, Hmac, Signature,
};

/// What a sender is told when its signature is not right, whatever is wrong with it.
const UNAUTHORIZED: &str = "the signature is missing or wrong";

/// A source of `rules.toml`, compiled.
#[derive(Debug)]
pub struct Source {
    /// The name, and the last part of the path `POST /hooks/{name}`.
    pub name: Arc<str>,
    /// The definition it is an instance of.
    pub definition: Arc<Definition>,
    /// None if it doesn't sign, which the definition had to say.
    scheme: Option<signature::Scheme>,
    envelope: envelope::Reader,
    natural_keys: bool,
}

/// What a person sets for a source in `rules.toml`, secrets resolved.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// One or more while rotating; all are tried, the first one signs.
    pub secrets: Vec<Secret>,
    /// Whether natural keys (such as `call.ended` + `data.callId`) make another id the same event. Default true.
    pub natural_keys: bool,
}

/// A request as it arrived, nothing verified.
#[derive(Clone, Debug)]
pub struct Arrival<'a> {
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The body, byte for byte.
    pub body: Bytes,
    /// When it arrived.
    pub received: Timestamp,
}

/// A verified event and its natural keys.
#[derive(Debug)]
pub struct Verified {
    /// The event.
    pub event: Event,
    /// Its natural keys, for the journal.
    pub natural_keys: Vec<DedupeKey>,
}

/// Why an arrival is not taken: the answer's status and what is counted and logged, never a value of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 400 or 401.
    pub status: u16,
    /// A short stable word for metrics and logs, for example `signature_wrong`.
    pub reason: &'static str,
    /// What the sender is told; for 401 always the same words.
    pub message: String,
}

impl Source {
    /// Builds a source.
    ///
    /// # Errors
    ///
    /// There is no secret where the sender signs, one where it doesn't, or an empty one.
    pub fn compile(
        name: &str,
        definition: Arc<Definition>,
        settings: SourceSettings,
    ) -> Result<Self, String> {
        let kind = &definition.name;
        let scheme = match &definition.signature {
            Signature::Hmac(_) if settings.secrets.is_empty() => {
                return Err(format!("`{kind}` signs what it sends: set `secret`"));
            }
            Signature::Hmac(hmac) => Some(signature::Scheme::compile(hmac, &settings.secrets)?),
            Signature::None if !settings.secrets.is_empty() => {
                return Err(format!("`{kind}` doesn't sign what it sends: remove `secret`"));
            }
            Signature::None => None,
        };
        let envelope = envelope::Reader::compile(&definition)?;
        let natural_keys = settings.natural_keys;
        Ok(Self { name: name.into(), definition, scheme, envelope, natural_keys })
    }

    /// Verifies the signature over the raw bytes and reads the envelope.
    ///
    /// # Errors
    ///
    /// 401 for the signature, 400 for the body, with the reason to count and the words for the sender.
    pub fn verify(&self, arrival: Arrival<'_>) -> Result<Verified, Refusal> {
        if let Some(scheme) = &self.scheme {
            scheme.verify(arrival.headers, &arrival.body).map_err(|reason| Refusal {
                status: 401,
                reason,
                message: UNAUTHORIZED.to_owned(),
            })?;
        }
        self.unverified(arrival.body, arrival.received)
    }

    /// The event that `body` would be if its signature were right: for explanations and tests of rules, which decide
    /// nothing and send nothing. What came over the network goes through [`Source::verify`].
    ///
    /// # Errors
    ///
    /// 400 with what is wrong with the body.
    pub fn unverified(&self, body: Bytes, received: Timestamp) -> Result<Verified, Refusal> {
        let envelope = self.envelope.read(&body)?;
        let natural_keys = envelope
            .natural
            .filter(|_| self.natural_keys)
            .map(|(kind, value)| DedupeKey::new(&self.name, kind, &value));
        let event = Event {
            source: Arc::clone(&self.name),
            time: envelope.time.and_then(|t| t.parse().ok()),
            id: envelope.id,
            kind: envelope.kind,
            received,
            body: body.clone(),
        };
        Ok(Verified { event, natural_keys: natural_keys.into_iter().collect() })
    }

    /// The headers that this source would send with `body`, apart from `Content-Type`: for `emit` and `demo`. The
    /// first secret signs. A header whose value the body doesn't give (or not in ASCII) is left out.
    pub fn sign(&self, body: &[u8], now: Timestamp) -> Vec<(String, String)> {
        let envelope = self.envelope.read(body).ok();
        let (id, kind) = envelope.map(|e| (Some(e.id), Some(e.kind))).unwrap_or_default();
        let unix = Some(now.as_second().to_string());
        let fill = |template: &str| {
            let mut text = template.to_owned();
            for (name, value) in [("{id}", &id), ("{type}", &kind), ("{unix}", &unix)] {
                if text.contains(name) {
                    text = text.replace(name, value.as_deref()?);
                }
            }
            HeaderValue::from_str(&text).ok()?.to_str().ok().map(str::to_owned)
        };
        let mut headers: Vec<_> = self
            .definition
            .headers
            .iter()
            .filter_map(|(name, template)| Some((name.clone(), fill(template)?)))
            .collect();
        headers.extend(self.scheme.as_ref().and_then(|s| s.sign(body)));
        headers
    }
}
