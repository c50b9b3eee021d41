//! How dedupe keys are made. They are stored, so what is here can't change without a migration.

use sha2::{Digest, Sha256};

use super::DedupeKey;

impl DedupeKey {
    /// The key for `value` of one `kind` (such as `id`) within `source`. Each part is hashed with its length before
    /// it, so that no two triples run together.
    pub fn new(source: &str, kind: &str, value: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [source, kind, value] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hash.update(part);
        }
        let mut key = [0; 16];
        key.copy_from_slice(&hash.finalize()[..16]);
        Self(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_stays_the_same_over_versions() {
        // Computed apart from this code; stored keys depend on it.
        let hex: String = DedupeKey::new("replicer", "id", "evt-delivery-uuid")
            .0
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        assert_eq!(hex, "611139dba4a3e1d598c4574800195321");
    }

    #[test]
    fn parts_do_not_run_together() {
        let keys = [
            DedupeKey::new("ab", "c", "d"),
            DedupeKey::new("a", "bc", "d"),
            DedupeKey::new("a", "b", "cd"),
            DedupeKey::new("", "abc", "d"),
        ];
        for (i, a) in keys.iter().enumerate() {
            assert!(keys[i + 1..].iter().all(|b| a != b));
        }
    }
}
