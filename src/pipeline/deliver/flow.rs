//! How fast a lane may go: pauses that a destination asks for, and a circuit breaker. Pure: the caller brings the time
//! and the chance. The provider's published rate is [`super::pace`]'s.
//!
//! | state | attempts at once |
//! |---|---|
//! | well | all that the destination's concurrency allows |
//! | failing: [`FAILURES`] attempts in a row got no usable answer | none until the wait is over, then one |
//! | recovering: one of those was taken | 1, then twice as many after each that is taken |
//! | halted: the destination is gone or its credentials were revoked | none until a reload or a restart |
//!
//! Nothing is lost by waiting: notifications stay in the journal until they are claimed.

use std::time::Duration;

use tokio::time::Instant;

use crate::rules::retry::{self, RetryPolicy};

/// So many failures in a row, with nothing taken between them, are an outage and not bad luck.
const FAILURES: u32 = 5;
/// While something waits, a failing destination is asked at least this often whether it works again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What an attempt told about the destination, whatever became of the notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answered and can be worked with, also where it refused this one message for good.
    Well,
    /// No usable answer.
    Failure,
    /// It answers, and has too much to do.
    Busy,
    /// It is gone: nothing that is sent there will ever be taken.
    Gone,
}

/// A change that people should hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It began to fail.
    Failing,
    /// It works again.
    Well,
    /// It is gone.
    Halted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Well,
    /// Since its first failure; until when nobody asks; how many failures the length of that wait stands for.
    Failing {
        since: Instant,
        until: Instant,
        failures: u32,
    },
    /// So many attempts at once.
    Recovering {
        most: usize,
    },
    Halted {
        since: Instant,
    },
}

/// One lane's flow.
#[derive(Debug)]
pub(super) struct Flow {
    state: State,
    /// Failures since the last attempt that was taken, and when the first of them was.
    failures: u32,
    first_failure: Option<Instant>,
    paused: Option<Instant>,
}

impl Flow {
    pub(super) fn new() -> Self {
        Self { state: State::Well, failures: 0, first_failure: None, paused: None }
    }

    /// How many attempts may begin now, `busy` being under way and `concurrency` the most at once.
    pub(super) fn room(&self, now: Instant, concurrency: usize, busy: usize) -> usize {
        if self.paused.is_some_and(|until| now < until) {
            return 0;
        }
        let most = match self.state {
            State::Well => concurrency,
            State::Failing { until, .. } if now < until => 0,
            State::Failing { .. } => 1,
            State::Recovering { most } => most.min(concurrency),
            State::Halted { .. } => 0,
        };
        most.saturating_sub(busy)
    }

    /// When a wait is over; none if it isn't time that makes room.
    pub(super) fn opens(&self, now: Instant) -> Option<Instant> {
        let failing = match self.state {
            State::Failing { until, .. } => Some(until),
            State::Halted { .. } => return None,
            State::Well | State::Recovering { .. } => None,
        };
        [failing, self.paused].into_iter().flatten().filter(|at| *at > now).max()
    }

    /// It asks to be left alone for so long.
    pub(super) fn pause(&mut self, now: Instant, wait: Duration) {
        // An absurd wait is for the one notification, not a reason to be silent for a day.
        if wait < retry::LONGEST_HINT {
            let until = now + wait.min(LONGEST_WAIT);
            self.paused = Some(self.paused.map_or(until, |paused| paused.max(until)));
        }
    }

    /// An attempt ended. `random` is a number in `0.0..=1.0`.
    pub(super) fn ended(
        &mut self,
        now: Instant,
        sign: Sign,
        policy: &RetryPolicy,
        random: f64,
    ) -> Option<Turn> {
        if let State::Halted { .. } = self.state {
            return None;
        }
        match sign {
            Sign::Well => self.taken(),
            Sign::Failure => self.failed(now, policy, random),
            Sign::Busy => None,
            Sign::Gone => {
                self.state = State::Halted { since: self.first_failure.unwrap_or(now) };
                Some(Turn::Halted)
            }
        }
    }

    fn taken(&mut self) -> Option<Turn> {
        self.failures = 0;
        self.first_failure = None;
        match self.state {
            State::Well | State::Halted { .. } => None,
            State::Failing { .. } => {
                self.state = State::Recovering { most: 1 };
                Some(Turn::Well)
            }
            State::Recovering { most } => {
                // Past any concurrency there is nothing to grow for.
                self.state =
                    if most >= 1_000 { State::Well } else { State::Recovering { most: most * 2 } };
                None
            }
        }
    }

    fn failed(&mut self, now: Instant, policy: &RetryPolicy, random: f64) -> Option<Turn> {
        self.failures = self.failures.saturating_add(1);
        let since = *self.first_failure.get_or_insert(now);
        let open = |failures: u32| {
            // Half of the wait is chance: replicas and destinations at one host shouldn't ask together.
            let bound = retry::bound(policy, failures).min(LONGEST_WAIT);
            State::Failing { since, until: now + bound.mul_f64(0.5 + random / 2.0), failures }
        };
        match self.state {
            // These began before it was found to fail.
            State::Failing { until, .. } if now < until => None,
            State::Failing { failures, .. } => {
                self.state = open(failures.saturating_add(1));
                None
            }
            State::Recovering { .. } => {
                self.state = open(FAILURES);
                Some(Turn::Failing)
            }
            State::Well if self.failures >= FAILURES => {
                self.state = open(FAILURES);
                Some(Turn::Failing)
            }
            State::Well | State::Halted { .. } => None,
        }
    }

    /// How long it has been failing or halted; none while it is well.
    pub(super) fn broken_for(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Failing { since, .. } | State::Halted { since } => {
                Some(now.saturating_duration_since(since))
            }
            State::Well | State::Recovering { .. } => None,
        }
    }

    pub(super) fn halted(&self) -> bool {
        matches!(self.state, State::Halted { .. })
    }

    /// A person changed something: it gets a new chance.
    pub(super) fn resume(&mut self) {
        if self.halted() {
            *self = Self::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn failing(flow: &mut Flow, now: Instant, times: u32) -> Vec<Turn> {
        let policy = RetryPolicy::default();
        (0..times).filter_map(|_| flow.ended(now, Sign::Failure, &policy, 1.0)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn five_failures_in_a_row_open_it_and_one_probe_decides() {
        let (mut flow, start) = (Flow::new(), Instant::now());
        let policy = RetryPolicy::default();
        assert!(failing(&mut flow, start, 4).is_empty());
        assert_eq!(flow.room(start, 8, 2), 6);
        flow.ended(start, Sign::Well, &policy, 0.5);
        assert!(failing(&mut flow, start, 4).is_empty(), "what was taken starts the count anew");
        assert_eq!(failing(&mut flow, start, 9), [Turn::Failing], "said once");
        assert_eq!((flow.room(start, 8, 0), flow.opens(start)), (0, Some(start + 32 * SECOND)));
        let later = start + 32 * SECOND;
        assert_eq!((flow.room(later, 8, 0), flow.room(later, 8, 1)), (1, 0), "one probe");
        assert_eq!(failing(&mut flow, later, 1), [], "the probe failed");
        assert_eq!(flow.opens(later), Some(later + 60 * SECOND), "bounded by a minute");
        assert_eq!(flow.broken_for(later), Some(32 * SECOND));
        let much_later = later + 60 * SECOND;
        assert_eq!(flow.ended(much_later, Sign::Well, &policy, 0.5), Some(Turn::Well));
        let mut room = Vec::new();
        for _ in 0..5 {
            room.push(flow.room(much_later, 10, 0));
            flow.ended(much_later, Sign::Well, &policy, 0.5);
        }
        assert_eq!(room, [1, 2, 4, 8, 10], "a slow start");
        assert_eq!(flow.broken_for(much_later), None);
    }

    #[tokio::test(start_paused = true)]
    async fn one_failure_while_it_recovers_opens_it_again() {
        let (mut flow, start) = (Flow::new(), Instant::now());
        failing(&mut flow, start, 5);
        let later = start + 60 * SECOND;
        flow.ended(later, Sign::Well, &RetryPolicy::default(), 0.5);
        assert_eq!(failing(&mut flow, later, 1), [Turn::Failing]);
        assert_eq!(flow.room(later, 8, 0), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_asked_for_pauses_all_but_not_for_a_day() {
        let (mut flow, start) = (Flow::new(), Instant::now());
        flow.pause(start, 30 * SECOND);
        flow.pause(start, 10 * SECOND);
        assert_eq!((flow.room(start, 8, 0), flow.opens(start)), (0, Some(start + 30 * SECOND)));
        assert_eq!(flow.room(start + 30 * SECOND, 8, 0), 8);
        let mut flow = Flow::new();
        flow.pause(start, 3_600 * SECOND);
        assert_eq!(flow.opens(start), Some(start + 60 * SECOND));
        let mut flow = Flow::new();
        flow.pause(start, retry::LONGEST_HINT);
        assert_eq!(flow.room(start, 8, 0), 8, "nobody means that");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_gone_stays_halted_until_a_person_acts() {
        let (mut flow, start) = (Flow::new(), Instant::now());
        let policy = RetryPolicy::default();
        assert_eq!(flow.ended(start, Sign::Gone, &policy, 0.5), Some(Turn::Halted));
        assert_eq!(flow.ended(start, Sign::Gone, &policy, 0.5), None);
        flow.ended(start, Sign::Well, &policy, 0.5);
        let later = start + 86_400 * SECOND;
        assert_eq!((flow.room(later, 8, 0), flow.opens(later)), (0, None));
        flow.resume();
        assert_eq!(flow.room(later, 8, 0), 8);
    }
}
