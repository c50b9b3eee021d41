//! Logs and metrics: their names, and where they go.

use std::time::Duration;

/// The metrics of one process, in Prometheus' terms. Labels hold only names from the configuration, never text from
/// events.
#[derive(Debug, Default)]
pub struct Metrics {}

impl Metrics {
    /// An event became durable.
    pub fn accepted(&self, source: &str, elapsed: Duration) {
        let _ = (source, elapsed);
    }

    /// An event was known already.
    pub fn duplicate(&self, source: &str, kind: &'static str) {
        let _ = (source, kind);
    }

    /// A request was refused.
    pub fn refused(&self, source: &str, reason: &'static str) {
        let _ = (source, reason);
    }

    /// A rule ended unknown because of a field.
    pub fn rule_unknown(&self, rule: &str, field: &str) {
        let _ = (rule, field);
    }

    /// A rule matched.
    pub fn rule_matched(&self, rule: &str) {
        let _ = rule;
    }
}
