//! Sending's side of the store: claim, settle, give up, try again, and what a crash left half done.

use std::sync::Arc;

use rusqlite::{OptionalExtension, Row, params};

use super::super::{
    Claim, Claims, Next, NotificationFilter, Outcome, Retried, RetrySelection, State,
};
use super::schema::{code, state};
use super::store::{Store, micros, rows, timestamp};
use crate::event::Event;

/// Notifications that one operation changes at most, so that accepts don't wait behind a large one.
pub(super) const CHUNK: usize = 500;

impl Store {
    /// Marks up to `most` due notifications as being sent.
    pub(super) fn claim(
        &mut self,
        destination: &Arc<str>,
        most: usize,
    ) -> rusqlite::Result<Claims> {
        let now = self.now();
        self.follow_clock(now)?;
        let claims = {
            let mut due = self.connection().prepare_cached(
                "SELECT n.id, n.event_number, n.rule, n.recipient, n.template, \
                 n.attempts - n.attempts_before + 1, n.owed_since, \
                 e.source, e.id, e.kind, e.time, e.received, e.body \
                 FROM notifications n INDEXED BY notifications_due JOIN events e ON e.number = n.event_number \
                 WHERE n.destination = ?1 AND n.state = 0 AND n.due <= ?2 ORDER BY n.due, n.created, n.id LIMIT ?3",
            )?;
            let found = due.query_map(params![&**destination, now, rows(most)], |row| {
                self.claim_of(row, destination, now)
            })?;
            found.collect::<rusqlite::Result<Vec<_>>>()?
        };
        for claim in &claims {
            self.execute(
                "UPDATE notifications SET state = 1, due = NULL, attempts = attempts + 1, started = ?2 WHERE id = ?1",
                [claim.id, now],
            )?;
        }
        let next_due = self
            .connection()
            .prepare_cached(
                "SELECT due FROM notifications WHERE destination = ?1 AND state = 0 ORDER BY due LIMIT 1",
            )?
            .query_row([&**destination], |row| row.get(0))
            .optional()?;
        Ok(Claims { claims, next_due: next_due.map(timestamp) })
    }

    fn claim_of(&self, row: &Row<'_>, destination: &Arc<str>, now: i64) -> rusqlite::Result<Claim> {
        let id = row.get(0)?;
        Ok(Claim {
            id,
            key: self.keys.key(id),
            event_number: row.get(1)?,
            event: Event {
                source: row.get(7)?,
                id: row.get(8)?,
                kind: row.get(9)?,
                time: row.get::<_, Option<i64>>(10)?.map(timestamp),
                received: timestamp(row.get(11)?),
                body: row.get::<_, Option<Vec<u8>>>(12)?.unwrap_or_default().into(),
            },
            rule: row.get(2)?,
            destination: Arc::clone(destination),
            recipient: row.get(3)?,
            template: row.get(4)?,
            attempt: row.get(5)?,
            created: timestamp(row.get(6)?),
            started: timestamp(now),
        })
    }

    /// Records how an attempt ended, unless that was done already.
    pub(super) fn settle(&mut self, claim: &Claim, outcome: &Outcome) -> rusqlite::Result<()> {
        let (state, due, word) = match outcome.next {
            Next::Sent => (State::Sent, None, "sent"),
            Next::RetryAt(at) => (State::Due, Some(micros(at)), "retry"),
            Next::GaveUp => (State::GaveUp, None, "gave_up"),
            Next::Parked => (State::GaveUp, None, "parked"),
            Next::HandBack => return self.hand_back(claim),
        };
        let ended = micros(outcome.ended);
        // The attempt's number is the fence: an older claim's settlement finds another one.
        let attempts: Option<i64> = self
            .connection()
            .prepare_cached(
                "UPDATE notifications SET state = ?3, due = ?4, settled = ?5, reason = ?6 \
                 WHERE id = ?1 AND state = 1 AND attempts - attempts_before = ?2 RETURNING attempts",
            )?
            .query_row(
                params![
                    claim.id,
                    claim.attempt,
                    code(state),
                    due,
                    due.is_none().then_some(ended),
                    outcome.detail,
                ],
                |row| row.get(0),
            )
            .optional()?;
        let Some(n) = attempts else {
            tracing::warn!(notification = claim.id, "an attempt was settled already");
            return Ok(());
        };
        self.execute(
            "INSERT INTO attempts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
            params![
                claim.id,
                n,
                micros(claim.started),
                ended,
                word,
                outcome.status,
                outcome.detail,
                outcome.fallback_text,
            ],
        )?;
        if due.is_some() {
            self.wake(&claim.destination);
        }
        match &outcome.successor {
            Some(successor) if state == State::GaveUp => self.hand_over(claim.id, successor),
            _ => Ok(()),
        }
    }

    fn hand_back(&mut self, claim: &Claim) -> rusqlite::Result<()> {
        self.execute(
            "UPDATE notifications SET state = 0, due = ?3, attempts = attempts - 1, started = NULL \
             WHERE id = ?1 AND state = 1 AND attempts - attempts_before = ?2",
            params![claim.id, claim.attempt, self.now()],
        )?;
        self.wake(&claim.destination);
        Ok(())
    }

    /// Attempts that the end of the last process interrupted are due again: nobody knows whether they were sent.
    /// Finds them by an index, however long the backlog.
    pub(super) fn recover(&mut self) -> rusqlite::Result<u64> {
        let now = self.now();
        self.execute(
            "INSERT INTO attempts SELECT id, attempts, coalesce(started, created), ?1, 'interrupted', NULL, \
             'the process ended while this attempt ran; it may have been sent', NULL \
             FROM notifications INDEXED BY notifications_sending WHERE state = 1 ON CONFLICT DO NOTHING",
            [now],
        )?;
        let interrupted = self.change(
            "UPDATE notifications SET state = 0, due = ?1, \
             reason = 'the process ended while an attempt ran; it may have been sent' WHERE state = 1",
            [now],
        )?;
        Ok(u64::try_from(interrupted).unwrap_or(u64::MAX))
    }

    /// Gives up a chunk of what waits for destinations that are not in `known`; how many.
    pub(super) fn orphan(&mut self, known: &[Arc<str>]) -> rusqlite::Result<usize> {
        let mut given_up = 0;
        // From one destination to the next by the index, so that a long backlog isn't read.
        let mut at = String::new();
        while let Some(destination) = self.destination_from(&at)? {
            if !known.iter().any(|k| **k == *destination) {
                given_up += self.change(
                    "UPDATE notifications SET state = 3, due = NULL, settled = ?2, reason = ?3 WHERE id IN \
                     (SELECT id FROM notifications WHERE destination = ?1 AND state = 0 LIMIT ?4)",
                    params![
                        destination,
                        self.now(),
                        format!("the destination `{destination}` is no longer configured"),
                        rows(CHUNK),
                    ],
                )?;
                if given_up >= CHUNK {
                    return Ok(given_up);
                }
            }
            at = destination + "\0";
        }
        Ok(given_up)
    }

    fn destination_from(&self, at: &str) -> rusqlite::Result<Option<String>> {
        self.connection()
            .prepare_cached(
                "SELECT destination FROM notifications WHERE state = 0 AND destination >= ?1 \
                 ORDER BY destination LIMIT 1",
            )?
            .query_row([at], |row| row.get(0))
            .optional()
    }

    /// Makes given-up notifications due again.
    pub(super) fn retry(&mut self, ids: &[i64]) -> rusqlite::Result<Retried> {
        let now = self.now();
        let mut retried = Retried::default();
        for &id in ids {
            let found: Option<(i64, Arc<str>)> = self
                .connection()
                .prepare_cached("SELECT state, destination FROM notifications WHERE id = ?1")?
                .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            match found {
                Some((at, destination)) if state(at) == Some(State::GaveUp) => {
                    self.execute(
                        "UPDATE notifications SET state = 0, due = ?2, owed_since = ?2, settled = NULL, \
                         attempts_before = attempts, reason = 'made due again by a person' WHERE id = ?1",
                        [id, now],
                    )?;
                    self.wake(&destination);
                    retried.retried.push(id);
                }
                other => retried.refused.push((id, other.and_then(|(at, _)| state(at)))),
            }
        }
        Ok(retried)
    }

    /// The next given-up notifications after `after` that fit.
    pub(super) fn given_up(
        &self,
        filter: &NotificationFilter,
        after: i64,
    ) -> rusqlite::Result<Vec<i64>> {
        self.connection()
            .prepare_cached(
                "SELECT id FROM notifications WHERE state = 3 AND id > ?1 \
                 AND (?2 IS NULL OR destination = ?2) AND (?3 IS NULL OR rule = ?3) \
                 AND (?4 IS NULL OR event_number = ?4) AND (?5 IS NULL OR created >= ?5) \
                 AND (?6 IS NULL OR created < ?6) ORDER BY id LIMIT ?7",
            )?
            .query_map(
                params![
                    after,
                    filter.destination,
                    filter.rule,
                    filter.event_number,
                    filter.since.map(micros),
                    filter.until.map(micros),
                    rows(CHUNK),
                ],
                |row| row.get(0),
            )?
            .collect()
    }
}

/// The chunks in which a retry is done.
pub(super) enum Chunks {
    Ids(std::vec::IntoIter<i64>),
    Matching { filter: NotificationFilter, after: Option<i64> },
}

impl Chunks {
    pub(super) fn of(which: RetrySelection) -> Self {
        match which {
            RetrySelection::Ids(ids) => Self::Ids(ids.into_iter()),
            RetrySelection::Matching(filter) => Self::Matching { filter, after: Some(0) },
        }
    }
}
