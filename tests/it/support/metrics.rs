//! Reads Prometheus' text format.

/// One scrape.
#[derive(Debug)]
pub(crate) struct Metrics(Vec<(String, String, f64)>);

impl Metrics {
    /// Reads a scrape; every line must be a comment or a sample.
    pub(crate) fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(
            samples
                .map(|line| {
                    let (series, value) =
                        line.rsplit_once(' ').unwrap_or_else(|| panic!("not a sample: {line}"));
                    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
                    let value = value.parse().unwrap_or_else(|_| panic!("not a number: {line}"));
                    (name.to_owned(), labels.trim_end_matches('}').to_owned(), value)
                })
                .collect(),
        )
    }

    /// The sum of all series of `name` whose labels hold every one of `labels`, for example `reason="too_large"`.
    /// Zero when there is none.
    pub(crate) fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        self.0
            .iter()
            .filter(|(n, l, _)| n == name && labels.iter().all(|label| l.contains(label)))
            .map(|(_, _, value)| value)
            .sum()
    }

    /// Whether there is a series of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _, _)| n == name)
    }

    /// Every name, once.
    pub(crate) fn names(&self) -> std::collections::BTreeSet<&str> {
        self.0.iter().map(|(name, _, _)| name.as_str()).collect()
    }
}

/// The names that dashboards and alerts rely on.
pub(crate) mod names {
    pub(crate) const ACCEPTED: &str = "hookbell_events_accepted_total";
    pub(crate) const REFUSED: &str = "hookbell_events_refused_total";
    pub(crate) const DUPLICATES: &str = "hookbell_events_duplicate_total";
    /// What a duplicate with another body is counted as, among the duplicates.
    pub(crate) const CONFLICT: &str = "kind=\"conflict\"";
    pub(crate) const UNKNOWN: &str = "hookbell_rule_unknown_total";
    pub(crate) const BACKLOG: &str = "hookbell_notifications_waiting";
    pub(crate) const OLDEST: &str = "hookbell_notifications_oldest_seconds";
    pub(crate) const HISTOGRAMS: [&str; 4] = [
        "hookbell_accept_seconds",
        "hookbell_end_to_end_seconds",
        "hookbell_journal_commit_seconds",
        "hookbell_journal_commit_events",
    ];
    pub(crate) const NOTIFICATIONS: &str = "hookbell_notifications_total";
}
