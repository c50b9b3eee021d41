//! The writer's connection and what it remembers between transactions.
//!
//! The numbers of events and notifications are counted here, not by SQLite: they go up for ever, even when the rows
//! with the highest ones have been removed, since idempotency keys are derived from them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::known::NewKeys;
use super::status::Status;
use super::writer::Sync;
use crate::clock::Clock;

/// The journal as the writer holds it.
pub(super) struct Store {
    conn: Connection,
    pub(super) clock: Clock,
    pub(super) keep: std::time::Duration,
    pub(super) keys: Keys,
    pub(super) next_event: i64,
    pub(super) next_notification: i64,
    /// The latest time seen, to notice a clock that is set back.
    pub(super) latest: i64,
    /// Set in a transaction that noticed it: the time from which `latest` counts anew.
    pub(super) set_back: Option<i64>,
    /// Where the current pass of retention stands: time and number of the last event that it looked at.
    pub(super) swept: [(i64, i64); 2],
    rulesets: HashMap<Arc<str>, i64>,
    ruleset: Option<i64>,
    sources: HashSet<Arc<str>>,
    /// None until they are needed, and after a rollback.
    new_keys: Option<NewKeys>,
    /// Lanes to wake after the commit.
    wake: Vec<Arc<str>>,
    events: usize,
    sync: Option<Sync>,
}

impl Store {
    pub(super) fn new(
        conn: Connection,
        clock: Clock,
        keep: std::time::Duration,
        keys: Keys,
    ) -> rusqlite::Result<Self> {
        let highest = |table: &str, column: &str, meta: &str| {
            conn.query_row(
                &format!(
                    "SELECT max(coalesce((SELECT max({column}) FROM {table}), 0), \
                     (SELECT value FROM meta WHERE key = '{meta}'))"
                ),
                [],
                |row| row.get::<_, i64>(0),
            )
        };
        let event = highest("events", "number", "high_event")?;
        let notification = highest("notifications", "id", "high_notification")?;
        let latest = conn.query_row(
            "SELECT coalesce((SELECT max(owed_since, coalesce(started, 0), coalesce(settled, 0)) \
             FROM notifications ORDER BY id DESC LIMIT 1), 0)",
            [],
            |row| row.get(0),
        )?;
        // Rules of earlier runs decide no new events, until one says otherwise.
        conn.execute("UPDATE rulesets SET last_event = ?1 WHERE last_event IS NULL", [event])?;
        Ok(Self {
            conn,
            clock,
            keep,
            keys,
            next_event: event + 1,
            next_notification: notification + 1,
            latest,
            set_back: None,
            swept: [(i64::MIN, 0); 2],
            rulesets: HashMap::new(),
            ruleset: None,
            sources: HashSet::new(),
            new_keys: None,
            wake: Vec::new(),
            events: 0,
            sync: None,
        })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.conn
    }

    pub(super) fn begin(&mut self, sync: Sync) -> rusqlite::Result<()> {
        if self.sync != Some(sync) {
            // SQLite allows the change between transactions only.
            self.conn.execute_batch(match sync {
                Sync::Process => "PRAGMA synchronous = NORMAL",
                Sync::Disk => "PRAGMA synchronous = FULL",
            })?;
            self.sync = Some(sync);
        }
        self.execute("BEGIN IMMEDIATE", [])
    }

    pub(super) fn commit(&mut self) -> rusqlite::Result<()> {
        self.execute("COMMIT", [])
    }

    /// After a commit: wakes the lanes and says how many new events it had.
    pub(super) fn committed(&mut self, status: &Status) -> usize {
        for destination in self.wake.drain(..) {
            status.wake(&destination);
        }
        if let Some(now) = self.set_back.take() {
            self.latest = now;
        }
        std::mem::take(&mut self.events)
    }

    /// Undoes the transaction, if there is one, and forgets what was remembered from it.
    pub(super) fn rollback(&mut self) -> rusqlite::Result<()> {
        self.wake.clear();
        self.set_back = None;
        self.events = 0;
        self.rulesets.clear();
        self.ruleset = None;
        self.sources.clear();
        self.new_keys = None;
        self.swept = [(i64::MIN, 0); 2];
        // Many errors end the transaction by themselves.
        if self.conn.is_autocommit() { Ok(()) } else { self.conn.execute_batch("ROLLBACK") }
    }

    /// Runs a statement that gives no rows, prepared once.
    pub(super) fn execute(&self, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<()> {
        self.conn.prepare_cached(sql)?.execute(params).map(drop)
    }

    /// Like [`Self::execute`]; how many rows changed.
    pub(super) fn change(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
    ) -> rusqlite::Result<usize> {
        self.conn.prepare_cached(sql)?.execute(params)
    }

    /// The time now, as stored.
    pub(super) fn now(&self) -> i64 {
        micros(self.clock.now())
    }

    /// The lane of `destination` is woken after the commit.
    pub(super) fn wake(&mut self, destination: &Arc<str>) {
        if !self.wake.iter().any(|d| d == destination) {
            self.wake.push(Arc::clone(destination));
        }
    }

    /// Another new event is in this transaction.
    pub(super) fn count_event(&mut self) {
        self.events += 1;
    }

    /// The dedupe keys that are not in their table yet.
    pub(super) fn new_keys(&mut self) -> rusqlite::Result<&mut NewKeys> {
        if self.new_keys.is_none() {
            self.new_keys = Some(NewKeys::read(&self.conn)?);
        }
        self.new_keys.as_mut().ok_or(rusqlite::Error::InvalidQuery)
    }

    /// Keeps the name of a source, by which events are found later.
    pub(super) fn note_source(&mut self, source: &Arc<str>) -> rusqlite::Result<()> {
        if !self.sources.contains(source) {
            self.execute("INSERT OR IGNORE INTO sources VALUES (?1)", [&**source])?;
            self.sources.insert(Arc::clone(source));
        }
        Ok(())
    }

    /// The row of the rules that decide the event that comes next.
    pub(super) fn ruleset(&mut self, version: &Arc<str>) -> rusqlite::Result<i64> {
        let id = match self.rulesets.get(version) {
            Some(id) => *id,
            None => {
                let id = self.find_or_add_ruleset(version)?;
                self.rulesets.insert(Arc::clone(version), id);
                id
            }
        };
        if self.ruleset != Some(id) {
            if let Some(before) = self.ruleset {
                self.execute(
                    "UPDATE rulesets SET last_event = ?2 WHERE id = ?1",
                    [before, self.next_event - 1],
                )?;
            }
            self.execute("UPDATE rulesets SET last_event = NULL WHERE id = ?1", [id])?;
            self.ruleset = Some(id);
        }
        Ok(id)
    }

    /// Keeps the text of a version of the rules.
    pub(super) fn remember_rules(&mut self, version: &str, text: &str) -> rusqlite::Result<()> {
        let id = self.find_or_add_ruleset(version)?;
        self.execute(
            "UPDATE rulesets SET text = ?2, last_event = NULL WHERE id = ?1 \
             AND (text IS NULL OR last_event IS NOT NULL)",
            params![id, text],
        )
    }

    fn find_or_add_ruleset(&self, version: &str) -> rusqlite::Result<i64> {
        let found = self
            .conn
            .prepare_cached("SELECT id FROM rulesets WHERE version = ?1")?
            .query_row([version], |row| row.get(0))
            .optional()?;
        match found {
            Some(id) => Ok(id),
            None => self
                .conn
                .prepare_cached("INSERT INTO rulesets (version, first_used) VALUES (?1, ?2)")?
                .insert(params![version, self.now()]),
        }
    }

    /// Writes a little, to see whether it can.
    pub(super) fn probe(&mut self) -> rusqlite::Result<()> {
        self.execute("INSERT OR REPLACE INTO meta VALUES ('probe', ?1)", [self.now()])
    }

    /// Retention may have removed rules.
    pub(super) fn forget_rulesets(&mut self) {
        self.rulesets.clear();
    }
}

/// Derives idempotency keys: the same for each attempt of a notification, unique across journals, stored nowhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    journal: [u8; 16],
}

impl Keys {
    pub(super) fn load(conn: &Connection) -> rusqlite::Result<Self> {
        let journal =
            conn.query_row("SELECT value FROM meta WHERE key = 'journal_id'", [], |r| r.get(0))?;
        Ok(Self { journal })
    }

    /// The key of a notification.
    pub(super) fn key(self, notification: i64) -> Uuid {
        let mut hash = Sha256::new();
        hash.update(b"notification");
        hash.update(self.journal);
        hash.update(notification.to_be_bytes());
        let mut head = [0; 16];
        head.copy_from_slice(&hash.finalize()[..16]);
        uuid::Builder::from_custom_bytes(head).into_uuid()
    }
}

/// A time as stored: microseconds since 1970.
pub(super) fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

/// A stored time. What can't be one (only a damaged row) becomes the nearest.
pub(super) fn timestamp(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(if micros < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// A number of rows, for a limit or a column.
pub(super) fn rows(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
