//! Logs and metrics: their names, and where they go.

/// The metrics of one process, in Prometheus' terms. Labels hold only names from the configuration, never text from
/// events.
#[derive(Debug, Default)]
pub struct Metrics {}
