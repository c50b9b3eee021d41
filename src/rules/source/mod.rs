//! Sources: who may send, how they sign, and where an event's id, type and time stand.
//!
//! [`Source::verify`] is the one way to an [`Event`]: first the signature over the raw bytes ([`signature`]), then
//! the envelope ([`envelope`]). Of the head only what the signature covers is looked at; everything else in it can be
//! changed by anybody who holds one signed body, so it decides nothing. The one exception is a type that the sender
//! says in no other place (GitHub): the definition has to give its reason, and such a body still is one event only,
//! because its id is the body's hash.

use std::sync::Arc;

use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::event::Event;
use crate::journal::DedupeKey;
use crate::secret::Secret;

mod body;
mod builtin;
mod definition;
mod envelope;
mod fault;
mod form;
mod place;
pub mod schema;
mod scheme;
mod signature;
#[cfg(test)]
mod tests;

pub use builtin::{BUILT_IN, built_in};
pub use definition::{BodyFormat, Definition, Envelope, EventType, Field, FieldType, Sample};
pub use fault::DefinitionError;
pub use scheme::Signature;

/// What a sender is told when its signature is not right, whatever is wrong with it.
const UNAUTHORIZED: &str = "the signature is missing or wrong";

/// A source of `rules.toml`, compiled.
#[derive(Debug)]
pub struct Source {
    /// The name, and the last part of the path `POST /hooks/{name}`.
    pub name: Arc<str>,
    /// The definition it is an instance of.
    pub definition: Arc<Definition>,
    /// The URL that the sender posts to, where it signs that.
    pub url: Option<String>,
    /// None if it doesn't sign, which the definition had to say.
    schemes: Option<signature::Schemes>,
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
    /// The URL that the sender posts to, for senders that sign it.
    pub url: Option<String>,
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self { secrets: Vec::new(), natural_keys: true, url: None }
    }
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

/// What a verified request is.
#[derive(Debug)]
pub enum Verified {
    /// An event and its natural keys, for the journal.
    Event(Event, Vec<DedupeKey>),
    /// A question whether this is the right place: the body of the answer. Nothing is kept of it.
    Challenge(String),
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

/// What a request that `emit` or `demo` sends says beside its body.
#[derive(Clone, Copy, Debug)]
pub struct Outgoing<'a> {
    /// The time of sending.
    pub now: Timestamp,
    /// An id of the request, in visible ASCII, for senders that sign one.
    pub unique: &'a str,
    /// The type, where the body doesn't say it.
    pub kind: Option<&'a str>,
    /// The sender's private key, where the source's secret is only the public one.
    pub private_key: Option<&'a Secret>,
}

impl Source {
    /// Builds a source.
    ///
    /// # Errors
    ///
    /// There is no secret where the sender signs, one where it doesn't, or an empty one; no URL where the sender signs
    /// it, or one where it doesn't.
    pub fn compile(
        name: &str,
        definition: Arc<Definition>,
        settings: SourceSettings,
    ) -> Result<Self, String> {
        let kind = &definition.name;
        let signature = &definition.signature;
        match (signature.is_none(), settings.secrets.is_empty()) {
            (false, true) => return Err(format!("`{kind}` signs what it sends: set `secret`")),
            (true, false) => {
                return Err(format!("`{kind}` doesn't sign what it sends: remove `secret`"));
            }
            _ => {}
        }
        match (&settings.url, definition.signs_url()) {
            (None, true) => {
                return Err(format!(
                    "`{kind}` signs the URL that it posts to: set `url` to the one that is entered there, for example \
                     \"https://bell.example.com/hooks/{name}\""
                ));
            }
            (Some(_), false) => {
                return Err(format!(
                    "`{kind}` doesn't sign the URL that it posts to: remove `url`"
                ));
            }
            _ => {}
        }
        let url = settings.url.as_deref();
        let schemes = if signature.is_none() {
            None
        } else {
            Some(signature::Schemes::compile(signature, &settings.secrets, url)?)
        };
        let envelope = envelope::Reader::compile(&definition).map_err(|fault| fault.message)?;
        let SourceSettings { natural_keys, url, .. } = settings;
        Ok(Self { name: name.into(), definition, url, schemes, envelope, natural_keys })
    }

    /// Verifies the signature over the raw bytes and reads the envelope.
    ///
    /// # Errors
    ///
    /// 401 for the signature, 400 for the body, with the reason to count and the words for the sender.
    pub fn verify(&self, arrival: Arrival<'_>) -> Result<Verified, Refusal> {
        let form = self.form(&arrival.body);
        let passed = match &self.schemes {
            None => signature::Passed::default(),
            Some(schemes) => {
                let request = signature::Request {
                    headers: arrival.headers,
                    body: &arrival.body,
                    form: form.as_ref(),
                    now: arrival.received,
                };
                schemes.verify(request).map_err(|reason| Refusal {
                    status: 401,
                    reason,
                    message: UNAUTHORIZED.to_owned(),
                })?
            }
        };
        self.read(&arrival, form.as_ref(), passed.id)
    }

    /// The event that `arrival` would be if its signature were right: for explanations and tests of rules, which decide
    /// nothing and send nothing. What came over the network goes through [`Source::verify`]. Without the header of a
    /// signed id, the id is `unsigned`.
    ///
    /// # Errors
    ///
    /// 400 with what is wrong with the body; 200 for a challenge, which is answered and is no event.
    pub fn unverified(&self, arrival: Arrival<'_>) -> Result<Event, Refusal> {
        let form = self.form(&arrival.body);
        let id = self.envelope.id_header().map(|name| {
            let value = arrival.headers.get(name).and_then(|value| value.to_str().ok());
            (name, value.unwrap_or("unsigned"))
        });
        match self.read(&arrival, form.as_ref(), id)? {
            Verified::Event(event, _) => Ok(event),
            Verified::Challenge(_) => Err(Refusal {
                status: 200,
                reason: "challenge",
                message: "a question whether this is the right place, which is no event".to_owned(),
            }),
        }
    }

    fn read(
        &self,
        arrival: &Arrival<'_>,
        form: Option<&form::Form>,
        signed_id: Option<(&HeaderName, &str)>,
    ) -> Result<Verified, Refusal> {
        let body = match (self.definition.body, form) {
            (BodyFormat::Json, _) => arrival.body.clone(),
            (BodyFormat::Form, Some(form)) => form.to_json().into(),
            (BodyFormat::Form, None) => {
                return Err(body::refusal("body_not_form", "the body is no form in UTF-8"));
            }
        };
        let hash = || hash(&arrival.body, form);
        let input =
            envelope::Input { body: &body, headers: arrival.headers, signed_id, hash: &hash };
        let envelope = match self.envelope.read(input)? {
            envelope::Read::Event(envelope) => envelope,
            envelope::Read::Challenge(name, answer) => {
                let answer = serde_json::json!({ name: answer }).to_string();
                return Ok(Verified::Challenge(answer));
            }
        };
        let natural_keys = envelope
            .natural
            .filter(|_| self.natural_keys)
            .map(|(kind, value)| DedupeKey::new(&self.name, kind, &value));
        let event = Event {
            source: Arc::clone(&self.name),
            time: envelope.time,
            id: envelope.id,
            kind: envelope.kind,
            received: arrival.received,
            body: body.clone(),
        };
        Ok(Verified::Event(event, natural_keys.into_iter().collect()))
    }

    /// Whether bodies are forms rather than JSON.
    pub fn takes_forms(&self) -> bool {
        self.definition.body == BodyFormat::Form
    }

    /// The `Content-Type` of a body.
    pub fn content_type(&self) -> &'static str {
        if self.takes_forms() { "application/x-www-form-urlencoded" } else { "application/json" }
    }

    /// Whether [`Self::sign`] needs [`Outgoing::private_key`].
    pub fn needs_private_key(&self) -> bool {
        self.schemes.as_ref().is_some_and(signature::Schemes::needs_private_key)
    }

    /// The header that says the type, if the body doesn't: then [`Self::sign`] needs [`Outgoing::kind`].
    pub fn type_header(&self) -> Option<&str> {
        self.envelope.type_header().map(HeaderName::as_str)
    }

    /// The headers that this source would send with `body`, apart from `Content-Type`: for `emit` and `demo`. The
    /// first secret signs. A header whose value is not known (or not in ASCII) is left out.
    ///
    /// # Errors
    ///
    /// It takes a private key to sign, and there is none or it can't be read.
    pub fn sign(&self, body: &[u8], out: Outgoing<'_>) -> Result<Vec<(String, String)>, String> {
        let form = self.form(body);
        let (id, kind) = self.described(body, form.as_ref(), out);
        let unix = out.now.as_second().to_string();
        let values = [
            ("{id}", id.as_deref()),
            ("{type}", kind.as_deref()),
            ("{unix}", Some(&*unix)),
            ("{unique}", Some(out.unique)),
        ];
        let fill = |template: &str| {
            let mut text = template.to_owned();
            for (name, value) in values {
                if text.contains(name) {
                    text = text.replace(name, value?);
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
        if let Some(schemes) = &self.schemes {
            let stamp = signature::Stamp { now: out.now, id: out.unique, private: out.private_key };
            headers.extend(schemes.sign(body, form.as_ref(), stamp)?);
        }
        Ok(headers)
    }

    /// Id and type of `body` as a sender would say them.
    fn described(
        &self,
        body: &[u8],
        form: Option<&form::Form>,
        out: Outgoing<'_>,
    ) -> (Option<String>, Option<String>) {
        let mut headers = HeaderMap::new();
        let kind = out.kind.and_then(|kind| HeaderValue::from_str(kind).ok());
        if let Some((name, kind)) = self.envelope.type_header().zip(kind) {
            headers.insert(name, kind);
        }
        let json = form.map(form::Form::to_json);
        let hash = || hash(body, form);
        let input = envelope::Input {
            body: json.as_ref().map_or(body, String::as_bytes),
            headers: &headers,
            signed_id: None,
            hash: &hash,
        };
        match self.envelope.read(input) {
            Ok(envelope::Read::Event(envelope)) => (Some(envelope.id), Some(envelope.kind)),
            _ => (None, out.kind.map(str::to_owned)),
        }
    }

    fn form(&self, body: &[u8]) -> Option<form::Form> {
        self.takes_forms().then(|| form::Form::read(body)).flatten()
    }
}

/// The SHA-256 of the body in hex; of a form what a signature over its fields covers, so that another order of them
/// is no other event.
fn hash(body: &[u8], form: Option<&form::Form>) -> String {
    let digest = match form {
        Some(form) => Sha256::digest(form.signed().as_bytes()),
        None => Sha256::digest(body),
    };
    signature::hex(&digest)
}
