//! The metrics of one process, in Prometheus' terms.
//!
//! Labels hold only names from the configuration and our own words, never text of events: text of strangers would
//! grow the number of series without end.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// The content type of [`Metrics::exposition`].
pub const EXPOSITION: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds of latencies in seconds: an accept takes about a millisecond, an attempt up to minutes, a notification that
/// waited for its destination up to days.
const SECONDS: [f64; 16] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0, 3600.0,
    86_400.0,
];

/// Bounds of the number of writes in one commit, which is at most 256.
const BATCH: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// What waits for a destination at the moment of a scrape.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting<'a> {
    /// The destination's name.
    pub destination: &'a str,
    /// Notifications due or being sent.
    pub count: u64,
    /// How long the oldest of them has been owed; zero if there is none.
    pub oldest: Duration,
}

/// The metrics of one process.
pub struct Metrics {
    registry: Registry,
    accepted: Counted,
    duplicate: Counted,
    refused: Counted,
    rule_matched: Counted,
    rule_unknown: Counted,
    attempts: Counted,
    fallback: Counted,
    up: Family<Labels, Gauge>,
    accept_seconds: Histogram,
    end_to_end_seconds: Histogram,
    commit_seconds: Histogram,
    commit_events: Histogram,
    /// Filled at a scrape; the lock keeps two scrapes from mixing.
    waiting: Mutex<Gauges>,
}

struct Gauges {
    count: Family<Labels, Gauge>,
    oldest: Family<Labels, Gauge<f64, std::sync::atomic::AtomicU64>>,
}

impl Metrics {
    /// An event became durable; `elapsed` is the time from its request's head to the commit.
    pub fn accepted(&self, source: &str, elapsed: Duration) {
        self.accepted.add(source, "");
        self.accept_seconds.observe(elapsed.as_secs_f64());
    }

    /// An event was known already: `same`, `conflict` or `natural_key`.
    pub fn duplicate(&self, source: &str, kind: &'static str) {
        self.duplicate.add(source, kind);
    }

    /// A request was refused; `source` is empty where it named none of ours.
    pub fn refused(&self, source: &str, reason: &'static str) {
        self.refused.add(source, reason);
    }

    /// A rule matched an event.
    pub fn rule_matched(&self, rule: &str) {
        self.rule_matched.add(rule, "");
    }

    /// A rule could not be decided because of `field`, a path as written in its condition.
    pub fn rule_unknown(&self, rule: &str, field: &str) {
        self.rule_unknown.add(rule, field);
    }

    /// An attempt ended: `sent`, `retry`, `gave_up`, `parked` or `handed_back`.
    pub fn attempt(&self, destination: &str, outcome: &'static str) {
        self.attempts.add(destination, outcome);
    }

    /// The built-in text went out because a template failed.
    pub fn fallback(&self, destination: &str) {
        self.fallback.add(destination, "");
    }

    /// Whether a destination takes what is sent, as far as its last attempts tell; 0 while it is failing or halted.
    pub fn destination_up(&self, destination: &str, up: bool) {
        let labels = vec![("destination", destination.to_owned())];
        self.up.get_or_create(&labels).set(i64::from(up));
    }

    /// A destination is no longer configured.
    pub fn forget_destination(&self, destination: &str) {
        self.up.remove(&vec![("destination", destination.to_owned())]);
    }

    /// A notification was sent so long after its event arrived.
    pub fn end_to_end(&self, elapsed: Duration) {
        self.end_to_end_seconds.observe(elapsed.as_secs_f64());
    }

    /// The journal committed `events` events (or other writes) at once.
    pub fn commit(&self, elapsed: Duration, events: usize) {
        self.commit_seconds.observe(elapsed.as_secs_f64());
        self.commit_events.observe(f64::from(u32::try_from(events).unwrap_or(u32::MAX)));
    }

    /// Everything, in the OpenMetrics text format ([`EXPOSITION`]).
    pub fn exposition<'a>(&self, waiting: impl Iterator<Item = Waiting<'a>>) -> String {
        let gauges = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.count.clear();
        gauges.oldest.clear();
        for w in waiting {
            let labels = vec![("destination", w.destination.to_owned())];
            let count = i64::try_from(w.count).unwrap_or(i64::MAX);
            gauges.count.get_or_create(&labels).set(count);
            gauges.oldest.get_or_create(&labels).set(w.oldest.as_secs_f64());
        }
        let mut text = String::new();
        // Writing to a string can't fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("hookbell");
        let build = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version that runs", build);
        let mut counted = |name, help, first, second| {
            let family = Family::<Labels, Counter>::default();
            registry.register(name, help, family.clone());
            Counted { family, first, second, known: RwLock::default() }
        };
        let accepted = counted("events_accepted", "Events made durable", "source", None);
        let duplicate =
            counted("events_duplicate", "Events that were known already", "source", Some("kind"));
        let refused = counted("events_refused", "Requests refused", "source", Some("reason"));
        let rule_matched = counted("rule_matched", "Events that a rule matched", "rule", None);
        let rule_unknown = counted(
            "rule_unknown",
            "Events for which a rule's condition was neither true nor false, by the field at fault",
            "rule",
            Some("field"),
        );
        let attempts = counted("notifications", "Attempts ended", "destination", Some("outcome"));
        let fallback = counted(
            "template_fallback",
            "Messages in the built-in text because their template failed",
            "destination",
            None,
        );
        let up = Family::<Labels, Gauge>::default();
        registry.register(
            "destination_up",
            "1 if the destination takes what is sent; 0 while it is failing or halted",
            up.clone(),
        );
        let mut histogram = |name, help, bounds: &[f64]| {
            let histogram = Histogram::new(bounds.iter().copied());
            registry.register(name, help, histogram.clone());
            histogram
        };
        let accept_seconds =
            histogram("accept_seconds", "From a request's head to its commit", &SECONDS);
        let end_to_end_seconds = histogram(
            "end_to_end_seconds",
            "From an event's arrival to its message sent",
            &SECONDS,
        );
        let commit_seconds =
            histogram("journal_commit_seconds", "One commit of the journal, with fsync", &SECONDS);
        let commit_events =
            histogram("journal_commit_events", "Writes in one commit of the journal", &BATCH);
        let waiting = Gauges { count: Family::default(), oldest: Family::default() };
        registry.register(
            "notifications_waiting",
            "Notifications due or being sent",
            waiting.count.clone(),
        );
        registry.register(
            "notifications_oldest_seconds",
            "How long the oldest of them has been owed",
            waiting.oldest.clone(),
        );
        Self {
            registry,
            accepted,
            duplicate,
            refused,
            rule_matched,
            rule_unknown,
            attempts,
            fallback,
            up,
            accept_seconds,
            end_to_end_seconds,
            commit_seconds,
            commit_events,
            waiting: Mutex::new(waiting),
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

type Labels = Vec<(&'static str, String)>;

/// A family of counters with one or two labels. A [`Family`] is looked up by owned labels; this is looked up by
/// borrowed ones, so that counting an event allocates nothing.
struct Counted {
    family: Family<Labels, Counter>,
    first: &'static str,
    second: Option<&'static str>,
    /// By the first label; the second has few values.
    known: RwLock<HashMap<Box<str>, BySecond>>,
}

/// Counters by their second label.
type BySecond = Vec<(Box<str>, Counter)>;

impl Counted {
    fn add(&self, first: &str, second: &str) {
        {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            let found = known.get(first).and_then(|all| all.iter().find(|(s, _)| &**s == second));
            if let Some((_, counter)) = found {
                counter.inc();
                return;
            }
        }
        let mut labels = vec![(self.first, first.to_owned())];
        labels.extend(self.second.map(|name| (name, second.to_owned())));
        let counter = self.family.get_or_create_owned(&labels);
        counter.inc();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let all = known.entry(first.into()).or_default();
        if !all.iter().any(|(s, _)| &**s == second) {
            all.push((second.into(), counter));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exposition_has_the_documented_names() {
        let metrics = Metrics::default();
        metrics.accepted("replicer", Duration::from_millis(2));
        metrics.accepted("replicer", Duration::from_millis(2));
        metrics.duplicate("replicer", "conflict");
        metrics.refused("", "not_found");
        metrics.rule_matched("won deal");
        metrics.rule_unknown("won deal", "duration");
        metrics.attempt("sales", "sent");
        metrics.fallback("sales");
        metrics.end_to_end(Duration::from_secs(3));
        metrics.commit(Duration::from_millis(1), 7);
        let waiting = [Waiting { destination: "sales", count: 3, oldest: Duration::from_secs(90) }];
        let text = metrics.exposition(waiting.into_iter());
        for line in [
            "hookbell_events_accepted_total{source=\"replicer\"} 2",
            "hookbell_events_duplicate_total{source=\"replicer\",kind=\"conflict\"} 1",
            "hookbell_events_refused_total{source=\"\",reason=\"not_found\"} 1",
            "hookbell_rule_matched_total{rule=\"won deal\"} 1",
            "hookbell_rule_unknown_total{rule=\"won deal\",field=\"duration\"} 1",
            "hookbell_notifications_total{destination=\"sales\",outcome=\"sent\"} 1",
            "hookbell_template_fallback_total{destination=\"sales\"} 1",
            "hookbell_notifications_waiting{destination=\"sales\"} 3",
            "hookbell_notifications_oldest_seconds{destination=\"sales\"} 90.0",
            "hookbell_end_to_end_seconds_count 1",
            "hookbell_accept_seconds_count 2",
            "hookbell_journal_commit_seconds_count 1",
            "hookbell_journal_commit_events_sum 7.0",
        ] {
            assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
        }
        assert!(text.contains("hookbell_build_info{version="), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn a_destination_without_backlog_leaves_the_next_scrape() {
        let metrics = Metrics::default();
        let waiting = Waiting { destination: "gone", count: 1, oldest: Duration::ZERO };
        assert!(metrics.exposition([waiting].into_iter()).contains("gone"));
        assert!(!metrics.exposition([].into_iter()).contains("gone"));
    }
}
