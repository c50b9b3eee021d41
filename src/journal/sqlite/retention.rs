//! Removing what is old, a little at a time, so that accepts never wait long.
//!
//! An event older than `keep` goes with its notifications and attempts, unless something of it still waits or was
//! given up less than `keep` ago. If `keep` is shorter than the dedupe window, the body goes first; the row and its
//! dedupe keys follow when the window is over. Free pages are used again, so the file stops growing.

use std::time::Duration;

use rusqlite::{OptionalExtension, params};

use super::super::Swept;
use super::accept::digest;
use super::store::{Store, rows, timestamp};

/// Events removed in one operation.
const CHUNK: usize = 100;
/// Events looked at in one operation: some may still be owed.
const LOOK: usize = 1_000;
/// A repetition is known for at least this long (DESIGN.md, promise 3).
const DEDUPE_WINDOW: Duration = Duration::from_secs(7 * 86_400);

/// What is being removed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    /// Events that are whole.
    Kept,
    /// Events without a body, whose dedupe window may be over.
    Removed,
}

impl Store {
    /// Removes a chunk of what is old.
    pub(super) fn sweep(&mut self) -> rusqlite::Result<Swept> {
        self.keep_numbers()?;
        let mut swept = self.pass(Pass::Kept)?;
        if !swept.more {
            let second = self.pass(Pass::Removed)?;
            swept.more = second.more;
            swept.next = swept.next.into_iter().chain(second.next).min();
        }
        if !swept.more {
            self.sweep_rest()?;
        }
        Ok(swept)
    }

    fn pass(&mut self, pass: Pass) -> rusqlite::Result<Swept> {
        let window = match pass {
            Pass::Kept => self.keep,
            Pass::Removed => self.keep.max(DEDUPE_WINDOW),
        };
        let window = i64::try_from(window.as_micros()).unwrap_or(i64::MAX);
        let cutoff = self.now().saturating_sub(window);
        let slot = usize::from(pass == Pass::Removed);
        let (look, after) = match pass {
            Pass::Kept => (
                "SELECT received, number FROM events WHERE removed = 0 AND (received, number) > (?1, ?2) \
                 AND received < ?3 ORDER BY received, number LIMIT ?4",
                "SELECT min(received) FROM events WHERE removed = 0 AND received >= ?1",
            ),
            Pass::Removed => (
                "SELECT received, number FROM events WHERE removed = 1 AND (received, number) > (?1, ?2) \
                 AND received < ?3 ORDER BY received, number LIMIT ?4",
                "SELECT min(received) FROM events WHERE removed = 1 AND received >= ?1",
            ),
        };
        let at = self.swept[slot];
        let old: Vec<(i64, i64)> = self
            .connection()
            .prepare_cached(look)?
            .query_map(params![at.0, at.1, cutoff, rows(LOOK)], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<rusqlite::Result<_>>()?;
        let mut swept = Swept::default();
        let mut looked = 0;
        for &(received, number) in &old {
            if pass == Pass::Removed {
                self.remove(number)?;
                swept.events += 1;
            } else if !self.still_wanted(number, cutoff)? {
                self.strip(number, received)?;
                swept.events += 1;
            }
            looked += 1;
            self.swept[slot] = (received, number);
            if swept.events >= u64::try_from(CHUNK).unwrap_or(u64::MAX) {
                break;
            }
        }
        swept.more = looked < old.len() || old.len() == LOOK;
        if !swept.more {
            // The next pass looks again at what was still wanted.
            self.swept[slot] = (i64::MIN, 0);
            let next: Option<i64> =
                self.connection().prepare_cached(after)?.query_row([cutoff], |r| r.get(0))?;
            // At `received + window` exactly it is not yet older than the window.
            swept.next = next.map(|n| timestamp(n.saturating_add(window).saturating_add(1)));
        }
        if pass == Pass::Removed {
            // Counted when the body went.
            swept.events = 0;
        }
        Ok(swept)
    }

    /// Whether something of this event still waits, or was given up lately.
    fn still_wanted(&self, number: i64, cutoff: i64) -> rusqlite::Result<bool> {
        self.connection()
            .prepare_cached(
                "SELECT 1 FROM notifications WHERE event_number = ?1 \
                 AND (state < 2 OR (state = 3 AND settled >= ?2)) LIMIT 1",
            )?
            .exists([number, cutoff])
    }

    /// Removes the notifications, and the event itself or, within the dedupe window, its body.
    fn strip(&mut self, number: i64, received: i64) -> rusqlite::Result<()> {
        self.execute(
            "DELETE FROM attempts WHERE notification IN (SELECT id FROM notifications WHERE event_number = ?1)",
            [number],
        )?;
        self.execute("DELETE FROM notifications WHERE event_number = ?1", [number])?;
        let window = i64::try_from(DEDUPE_WINDOW.as_micros()).unwrap_or(i64::MAX);
        if received < self.now().saturating_sub(window) {
            return self.remove(number);
        }
        let body: Option<Vec<u8>> = self
            .connection()
            .prepare_cached("SELECT body FROM events WHERE number = ?1")?
            .query_row([number], |row| row.get(0))?;
        self.execute(
            "UPDATE events SET removed = 1, digest = ?2, body = NULL, unknown = NULL WHERE number = ?1",
            params![number, digest(&body.unwrap_or_default())],
        )
    }

    fn remove(&mut self, number: i64) -> rusqlite::Result<()> {
        let keys: Option<Vec<u8>> = self
            .connection()
            .prepare_cached("DELETE FROM events WHERE number = ?1 RETURNING keys")?
            .query_row([number], |row| row.get(0))
            .optional()?;
        self.remove_keys(&keys.unwrap_or_default(), number)
    }

    /// At the end of a pass: old inbox messages, rules that decided no event any more, and the highest numbers.
    fn sweep_rest(&mut self) -> rusqlite::Result<()> {
        let keep = i64::try_from(self.keep.as_micros()).unwrap_or(i64::MAX);
        self.execute("DELETE FROM inbox WHERE at < ?1", [self.now().saturating_sub(keep)])?;
        let gone = self.change(
            "DELETE FROM rulesets WHERE last_event < coalesce((SELECT min(number) FROM events), ?1)",
            [self.next_event],
        )?;
        if gone > 0 {
            self.forget_rulesets();
        }
        Ok(())
    }

    /// Keeps the highest numbers given out, so that removing their rows doesn't free them.
    fn keep_numbers(&self) -> rusqlite::Result<()> {
        self.execute(
            "UPDATE meta SET value = ?1 WHERE key = 'high_event' AND value <> ?1",
            [self.next_event - 1],
        )?;
        self.execute(
            "UPDATE meta SET value = ?1 WHERE key = 'high_notification' AND value <> ?1",
            [self.next_notification - 1],
        )
    }
}
