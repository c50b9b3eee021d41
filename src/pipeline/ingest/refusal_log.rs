//! Logs refusals, a few of many: a flood of them must not fill a disk or hide everything else.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::answer::Refused;

/// At most so many refusals are logged in each [`LOG_WINDOW`]; all are counted.
const LOGGED_REFUSALS: u32 = 10;

/// See [`LOGGED_REFUSALS`].
pub(super) const LOG_WINDOW: Duration = Duration::from_secs(10);

/// Decides which refusals are logged.
#[derive(Debug, Default)]
pub(super) struct RefusalLog {
    window: Mutex<Option<Window>>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    start: Instant,
    seen: u32,
}

impl RefusalLog {
    /// Logs `refused`, if it is its turn.
    pub(super) fn refused(&self, refused: &Refused<'_>) {
        let Some(left_out) = self.turn(Instant::now()) else { return };
        let (source, reason) = (refused.source, refused.reason);
        let status = refused.status.as_u16();
        if left_out > 0 {
            tracing::warn!(
                source,
                reason,
                status,
                left_out,
                "a request was refused, others before it"
            );
        } else {
            tracing::warn!(source, reason, status, "a request was refused");
        }
    }

    /// Whether one may be logged at `now`, and how many were left out since the last one.
    pub(super) fn turn(&self, now: Instant) -> Option<u32> {
        // What is behind the lock is right even if a panic came while it was held.
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *window {
            Some(Window { start, seen }) if now.duration_since(*start) < LOG_WINDOW => {
                *seen = seen.saturating_add(1);
                (*seen <= LOGGED_REFUSALS).then_some(0)
            }
            past => {
                let left_out = past.map_or(0, |w| w.seen.saturating_sub(LOGGED_REFUSALS));
                *past = Some(Window { start: now, seen: 1 });
                Some(left_out)
            }
        }
    }
}
