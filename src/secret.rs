//! Text that must never be printed, logged, stored or shown.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A resolved secret. Its `Debug` and `Display` show `***`, and it can't be serialized, so it can't slip into a log
/// line or an answer; [`Secret::expose`] is the one way to its text, and easy to search for.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the wire only.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `text` is this secret. The time it takes tells nothing about how much of it was right: what is compared
    /// are tags under a key that nobody knows.
    pub fn is(&self, text: &str) -> bool {
        let key = fastrand::u128(..).to_be_bytes();
        let tag = |text: &str| {
            Hmac::<Sha256>::new_from_slice(&key).ok().map(|mac| mac.chain_update(text.as_bytes()))
        };
        match (tag(text), tag(&self.0)) {
            (Some(given), Some(own)) => given.verify_slice(&own.finalize().into_bytes()).is_ok(),
            _ => false,
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_stars() {
        let s = Secret::new("hunter2");
        assert_eq!(format!("{s} {s:?} {:?}", Some(&s)), "*** *** Some(***)");
    }
}
