//! What waits for a destination that can't be reached: given up, taken over by another, or made due when it works
//! again.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use super::super::{Successor, Waiting};
use super::lane::CHUNK;
use super::store::{Store, micros, rows, timestamp};

impl Store {
    /// Gives up a chunk of what waits for `destination`; how many.
    pub(super) fn give_up(
        &mut self,
        destination: &str,
        which: Waiting,
        reason: &str,
        successor: Option<&Successor>,
    ) -> rusqlite::Result<usize> {
        let (owed_before, interrupted) = match which {
            Waiting::All => (i64::MAX, false),
            Waiting::OwedBefore(at) => (micros(at), false),
            Waiting::Interrupted => (i64::MAX, true),
        };
        let ids: Vec<i64> = self
            .connection()
            .prepare_cached(
                "SELECT n.id FROM notifications n INDEXED BY notifications_due \
                 WHERE n.destination = ?1 AND n.state = 0 AND n.owed_since < ?2 \
                 AND (NOT ?3 OR EXISTS (SELECT 1 FROM attempts a WHERE a.notification = n.id \
                 AND a.n = n.attempts AND a.outcome = 'interrupted')) LIMIT ?4",
            )?
            .query_map(params![destination, owed_before, interrupted, rows(CHUNK)], |row| {
                row.get(0)
            })?
            .collect::<rusqlite::Result<_>>()?;
        let now = self.now();
        for &id in &ids {
            self.execute(
                "UPDATE notifications SET state = 3, due = NULL, settled = ?2, reason = ?3 WHERE id = ?1",
                params![id, now, reason],
            )?;
            if let Some(successor) = successor {
                self.hand_over(id, successor)?;
            }
        }
        Ok(ids.len())
    }

    /// Owes to `successor` what could not be sent as `notification`, unless it is owed the same already: by its own
    /// rule's list, for another recipient's notification, or because two destinations stand in for each other.
    pub(super) fn hand_over(
        &mut self,
        notification: i64,
        successor: &Successor,
    ) -> rusqlite::Result<()> {
        let now = self.now();
        let none = [None];
        let some: Vec<_> = successor.recipients.iter().map(|r| Some(&**r)).collect();
        for recipient in if some.is_empty() { &none[..] } else { &some } {
            let owed = self.change(
                "INSERT INTO notifications (id, event_number, rule, destination, recipient, template, state, due, \
                 created, owed_since, fallback_of) \
                 SELECT ?1, n.event_number, n.rule, ?2, ?3, n.template, 0, ?4, ?4, ?4, n.id FROM notifications n \
                 WHERE n.id = ?5 AND NOT EXISTS (SELECT 1 FROM notifications o WHERE o.event_number = n.event_number \
                 AND o.rule = n.rule AND o.destination = ?2 AND o.recipient IS ?3)",
                params![self.next_notification, &*successor.destination, recipient, now, notification],
            )?;
            if owed > 0 {
                self.next_notification += 1;
                self.wake(&successor.destination);
            }
        }
        Ok(())
    }

    /// Makes a chunk of what failed before due, in the order in which it became owed; how many.
    pub(super) fn hasten(&mut self, destination: &Arc<str>) -> rusqlite::Result<usize> {
        // What became owed first is due first; all of it is due at once.
        let hastened = self.change(
            "UPDATE notifications SET due = owed_since WHERE id IN \
             (SELECT id FROM notifications INDEXED BY notifications_due \
             WHERE destination = ?1 AND state = 0 AND due > owed_since AND attempts > attempts_before LIMIT ?2)",
            params![&**destination, rows(CHUNK)],
        )?;
        if hastened > 0 {
            self.wake(destination);
        }
        Ok(hastened)
    }

    /// When the oldest that waits for `destination` became owed.
    pub(super) fn oldest(
        &mut self,
        destination: &str,
    ) -> rusqlite::Result<Option<jiff::Timestamp>> {
        self.connection()
            .prepare_cached(
                "SELECT min(owed_since) FROM notifications INDEXED BY notifications_due \
                 WHERE destination = ?1 AND state = 0",
            )?
            .query_row([destination], |row| row.get::<_, Option<i64>>(0))
            .optional()
            .map(|found| found.flatten().map(timestamp))
    }
}
