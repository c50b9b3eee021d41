//! Pacing: no more attempts in any window of time than a provider publishes. What is too much waits in the journal.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::rules::provider::Rate;

/// A pace for each group of destinations that a provider counts together.
#[derive(Debug, Default)]
pub(super) struct Paces {
    groups: Mutex<HashMap<Arc<str>, Arc<Pace>>>,
}

impl Paces {
    /// The pace of a group.
    pub(super) fn of(&self, group: &Arc<str>) -> Arc<Pace> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(groups.entry(Arc::clone(group)).or_default())
    }
}

/// When attempts began. Destinations that a provider counts together share one.
#[derive(Debug, Default)]
pub(super) struct Pace {
    began: Mutex<VecDeque<Instant>>,
}

impl Pace {
    /// How many of `wanted` attempts may begin now; they count as begun.
    pub(super) fn take(&self, now: Instant, rate: Rate, wanted: usize) -> usize {
        let mut began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        while began.front().is_some_and(|first| now.saturating_duration_since(*first) >= rate.per) {
            began.pop_front();
        }
        let taken = rate.max.saturating_sub(began.len()).min(wanted);
        began.extend(std::iter::repeat_n(now, taken));
        taken
    }

    /// So many of the last that were taken did not begin after all.
    pub(super) fn give_back(&self, unused: usize) {
        let mut began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        let left = began.len().saturating_sub(unused);
        began.truncate(left);
    }

    /// When the next may begin; none if it is now.
    pub(super) fn opens(&self, now: Instant, rate: Rate) -> Option<Instant> {
        let began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest_that_counts = began.len().checked_sub(rate.max)?;
        began.get(oldest_that_counts).map(|at| *at + rate.per).filter(|at| *at > now)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_let_through_and_the_rest_waits_for_the_window() {
        let (pace, start) = (Pace::default(), Instant::now());
        let rate = Rate { max: 3, per: Duration::from_secs(60) };
        assert_eq!((pace.take(start, rate, 2), pace.opens(start, rate)), (2, None));
        let later = start + Duration::from_secs(20);
        assert_eq!(pace.take(later, rate, 5), 1);
        assert_eq!(pace.opens(later, rate), Some(start + rate.per));
        assert_eq!(pace.take(start + rate.per, rate, 5), 2);
        pace.give_back(1);
        assert_eq!(pace.take(start + rate.per, rate, 5), 1);
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_the_rate(
            steps in proptest::collection::vec((0u64..3_000, 1usize..8), 1..60), max in 1usize..10,
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let (start, pace) = (runtime.block_on(async { Instant::now() }), Pace::default());
            let rate = Rate { max, per: Duration::from_secs(2) };
            let (mut now, mut all) = (start, Vec::new());
            for (wait, wanted) in steps {
                now += Duration::from_millis(wait);
                let opens = pace.opens(now, rate);
                let taken = pace.take(now, rate, wanted);
                prop_assert_eq!(taken == 0, opens.is_some());
                all.extend(std::iter::repeat_n(now, taken));
            }
            for from in &all {
                let within = all.iter().filter(|at| *at >= from && **at - *from < rate.per).count();
                prop_assert!(within <= max);
            }
        }
    }
}
