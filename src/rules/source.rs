//! Sources: who may send, how they sign, and where an event's id, type and time stand.

use std::sync::Arc;

/// A source of `rules.toml`, compiled.
#[derive(Debug)]
pub struct Source {
    /// The name, and the last part of the path `POST /hooks/{name}`.
    pub name: Arc<str>,
}
