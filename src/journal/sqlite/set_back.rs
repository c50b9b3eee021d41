//! A clock that was set back: what is planned by the wall clock would wait for that much longer.
//!
//! Due times must be wall-clock times, since they outlive the process. So when the clock shows less than it did (by
//! more than what NTP corrects unnoticed), what waits and was planned in the future of today's clock keeps only the
//! length of its wait.

use super::store::Store;

/// A step back smaller than this one is waited out: 10 s, in microseconds.
const UNNOTICED: i64 = 10_000_000;

impl Store {
    /// Compares `now` with the latest time seen, and replans what waits if the clock was set back.
    pub(super) fn follow_clock(&mut self, now: i64) -> rusqlite::Result<()> {
        if now >= self.latest - UNNOTICED {
            self.latest = self.latest.max(now);
            return Ok(());
        }
        if self.set_back.is_some() {
            return Ok(());
        }
        // How long a wait is: from the last attempt, or else from when it became owed.
        let notifications = self.change(
            "UPDATE notifications SET due = ?1 + max(0, due - max(owed_since, coalesce(started, 0))), \
             owed_since = min(owed_since, ?1), started = min(started, ?1) \
             WHERE state = 0 AND due > ?1 AND max(owed_since, coalesce(started, 0)) > ?1",
            [now],
        )?;
        tracing::warn!(
            seconds = (self.latest - now) / 1_000_000,
            notifications,
            "the clock was set back: what waits is planned anew"
        );
        self.set_back = Some(now);
        Ok(())
    }
}
