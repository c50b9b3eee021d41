//! The word everyone uses: a verified webhook.

use std::sync::Arc;

use hyper::body::Bytes;
use jiff::Timestamp;

/// One verified webhook. Outside tests it is made only by [`crate::rules::source::Source::verify`], so to hold one
/// is to know that its signature was right and its envelope readable.
#[derive(Clone, Debug)]
pub struct Event {
    /// The source's name in `rules.toml`, which is also the last part of its path.
    pub source: Arc<str>,
    /// The sender's id of the event, unique within the source.
    pub id: String,
    /// What happened, for example `call.ended`.
    pub kind: String,
    /// When it happened, as the signed envelope says; none if the envelope has no readable time.
    pub time: Option<Timestamp>,
    /// When it arrived here.
    pub received: Timestamp,
    /// The body, byte for byte as received; of a form the JSON object of its fields. Valid UTF-8 and one JSON object no
    /// deeper than 127 levels.
    pub body: Bytes,
}

impl Event {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap_or_default()
    }
}
