//! Sources: who may send, how they sign, and where an event's id, type and time stand.

use std::sync::Arc;

use hyper::HeaderMap;
use hyper::body::Bytes;
use jiff::Timestamp;

use crate::event::Event;
use crate::journal::DedupeKey;
use crate::secret::Secret;

/// A source definition (`sources/NAME.toml`): how a kind of sender signs and what its events look like.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// The kind's name, for example `replicer`.
    pub name: String,
}

/// Why a text is no source definition.
#[derive(Clone, Debug)]
pub struct DefinitionError {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Option<std::ops::Range<usize>>,
}

impl Definition {
    /// Reads a definition.
    pub fn parse(text: &str) -> Result<Self, DefinitionError> {
        toml::from_str(text)
            .map_err(|e| DefinitionError { message: e.message().to_owned(), span: e.span() })
    }

    /// The fields of an event type's data, if known.
    pub fn fields(&self, kind: &str) -> Option<Vec<String>> {
        const CALL: &str = "callId organizationId agentId agentName customerName customerPhone fromNumber direction status duration disconnectionReason sentiment summary transcript callSuccessful tokenCost startedAt endedAt metadata";
        (kind == "call.ended").then(|| CALL.split(' ').map(str::to_owned).collect())
    }
}

/// The built-in definition of this name.
pub fn built_in(name: &str) -> Option<Arc<Definition>> {
    (name == "replicer").then(|| Arc::new(Definition { name: name.to_owned() }))
}

/// The names of the built-in definitions.
pub fn built_in_names() -> Vec<&'static str> {
    vec!["replicer"]
}

/// A source of `rules.toml`, compiled.
#[derive(Debug)]
pub struct Source {
    /// The name, and the last part of the path `POST /hooks/{name}`.
    pub name: Arc<str>,
    /// The definition it is an instance of.
    pub definition: Arc<Definition>,
}

/// What a person sets for a source in `rules.toml`, secrets resolved.
#[derive(Clone, Debug)]
pub struct SourceSettings {
    /// One or more while rotating; all are tried.
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
    pub fn compile(
        name: &str,
        definition: Arc<Definition>,
        settings: SourceSettings,
    ) -> Result<Self, String> {
        if settings.secrets.is_empty() {
            return Err("it signs what it sends, so it needs a `secret`".to_owned());
        }
        Ok(Self { name: name.into(), definition })
    }

    /// Verifies the signature over the raw bytes and reads the envelope.
    pub fn verify(&self, arrival: Arrival<'_>) -> Result<Verified, Refusal> {
        let _ = arrival;
        todo!()
    }

    /// The headers that this source would send with `body`: for `emit` and `demo`.
    pub fn sign(&self, body: &[u8], now: Timestamp) -> Vec<(String, String)> {
        let _ = (body, now);
        todo!()
    }
}
