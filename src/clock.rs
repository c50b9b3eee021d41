//! The one source of wall-clock time.
//!
//! Every time that is stored, compared or shown comes from a [`Clock`], so that a test can live through three days
//! at once. Durations inside the process (time-outs, sleeping until something is due) come from `tokio::time`.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// The units of durations, with their milliseconds.
const TIMES: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// No duration is longer: about a hundred years, so that a sum with a time of day can't overflow.
const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

/// Tells the wall-clock time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock {
    simulated: Option<Simulated>,
}

#[derive(Clone, Debug)]
struct Simulated {
    start: Timestamp,
    origin: Instant,
}

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Self {
        Self { simulated: None }
    }

    /// A clock that stands at `start` now and moves as tokio's time does; with tokio's time paused, a test moves
    /// it by sleeping.
    pub fn simulated(start: Timestamp) -> Self {
        Self { simulated: Some(Simulated { start, origin: Instant::now() }) }
    }

    /// The time now.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the machine's clock"
    )]
    pub fn now(&self) -> Timestamp {
        match &self.simulated {
            None => Timestamp::now(),
            Some(s) => {
                s.start.saturating_add(duration(s.origin.elapsed())).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// Whether time stands still unless a test moves it. What then works on other threads must not let tokio believe
    /// that nothing is going on, or its paused time jumps ahead.
    pub fn is_simulated(&self) -> bool {
        self.simulated.is_some()
    }

    /// How long from now until `at`; zero when it has passed.
    pub fn until(&self, at: Timestamp) -> Duration {
        elapsed(self.now(), at)
    }
}

/// A standard duration as jiff's, clamped to what jiff can hold.
pub fn duration(d: Duration) -> SignedDuration {
    SignedDuration::try_from(d).unwrap_or(SignedDuration::MAX)
}

/// How long it is from `from` to `to`; zero if `to` is earlier.
pub fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or(Duration::ZERO)
}

/// `10s`, `250ms`, `1h30m`, `7d`: whole numbers, each with its unit, the larger unit first.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total: u64 = 0;
    let mut last = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?;
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = TIMES.iter().find(|(name, _)| Some(*name) == rest.get(..end))?.1;
        if unit >= last {
            return None;
        }
        last = unit;
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = rest.get(end..)?;
    }
    let total = Duration::from_millis(total);
    (!text.is_empty() && total <= LONGEST).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_simulated_clock_follows_paused_time() {
        let start: Timestamp = "2026-03-29T00:59:59Z".parse().unwrap();
        let clock = Clock::simulated(start);
        tokio::time::sleep(Duration::from_secs(3 * 86_400)).await;
        assert_eq!(clock.now().duration_since(start).as_secs(), 3 * 86_400);
        assert_eq!(clock.until(start), Duration::ZERO);
    }
}
