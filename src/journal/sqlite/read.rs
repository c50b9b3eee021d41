//! What people and metrics ask: short queries on read-only connections, beside the writer.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params, params_from_iter};
use serde_json::value::RawValue;
use tokio::sync::Semaphore;

use super::super::{
    AttemptRow, Backlog, DedupeKey, EventFilter, EventRow, InboxMessage, JournalError,
    NotificationFilter, NotificationRow,
};
use super::accept::ID;
use super::failure::{Reach, reach};
use super::known::number_in_table;
use super::schema::{code, state};
use super::status::Status;
use super::store::{Keys, micros, timestamp};
use super::{Sqlite, open};

/// Queries at the same time.
const READERS: usize = 4;
/// Connections kept for the next query.
const IDLE: usize = 2;
/// Rows in one answer.
const LIMIT: u32 = 1_000;
/// Times go up with the numbers but for what ran at the same time or a clock that was set: when rows are sought by
/// time, so many before the first fitting one are looked at as well.
const SLACK: i64 = 10_000;

/// The connections that read.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    keys: Keys,
    status: Arc<Status>,
    turns: Semaphore,
    /// None once closed.
    idle: Arc<Mutex<Option<Vec<Connection>>>>,
}

impl Readers {
    pub(super) fn new(path: PathBuf, keys: Keys, status: Arc<Status>) -> Self {
        let idle = Arc::new(Mutex::new(Some(Vec::new())));
        Self { path, keys, status, turns: Semaphore::new(READERS), idle }
    }

    /// Refuses later queries.
    pub(super) fn close(&self) {
        self.turns.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, JournalError> {
        if let Some(failure) = self.status.failure() {
            return Err(failure);
        }
        let Ok(_turn) = self.turns.acquire().await else { return Err(JournalError::Closed) };
        let idle = Arc::clone(&self.idle);
        let path = self.path.clone();
        let result = tokio::task::spawn_blocking(move || {
            let kept = idle.lock().unwrap_or_else(PoisonError::into_inner).as_mut()?.pop();
            let result = kept
                .map_or_else(|| open::connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY), Ok)
                .and_then(|conn| Ok((query(&conn)?, conn)));
            Some(result.map(|(rows, conn)| {
                if let Some(idle) = idle.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
                    && idle.len() < IDLE
                {
                    idle.push(conn);
                }
                rows
            }))
        })
        .await;
        match result {
            Ok(Some(Ok(rows))) => Ok(rows),
            Ok(Some(Err(err))) if reach(&err) == Reach::Journal => {
                self.status.fail(format!("a read failed: {err}"));
                Err(JournalError::Fatal(err.to_string()))
            }
            Ok(Some(Err(err))) => Err(JournalError::Unwritable(err.to_string())),
            Ok(None) => Err(JournalError::Closed),
            Err(err) => Err(JournalError::Fatal(format!("a read ended unexpectedly: {err}"))),
        }
    }
}

/// The conditions of a query, with what is bound to them.
#[derive(Default)]
struct Where {
    sql: String,
    values: Vec<Value>,
}

impl Where {
    fn add(&mut self, condition: &str, value: impl Into<Value>) {
        self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
        self.sql.push_str(condition);
        self.values.push(value.into());
    }

    fn add_some(&mut self, condition: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(condition, value);
        }
    }
}

fn limit(asked: Option<u32>) -> u32 {
    asked.unwrap_or(100).min(LIMIT)
}

/// About where the rows since `since` begin, found by halving instead of an index.
fn begin(
    conn: &Connection,
    since: Option<Timestamp>,
    row_from: &str,
    highest: &str,
) -> rusqlite::Result<Option<i64>> {
    let Some(since) = since.map(micros) else { return Ok(None) };
    let mut row_from = conn.prepare_cached(row_from)?;
    let highest: Option<i64> = conn.query_row(highest, [], |row| row.get(0))?;
    let (mut low, mut high) = (0, highest.unwrap_or(0) + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(i64, i64)> =
            row_from.query_row([middle], |r| Ok((r.get(0)?, r.get(1)?))).optional()?;
        match found {
            Some((number, at)) if at < since => low = number + 1,
            _ => high = middle,
        }
    }
    Ok(Some(low.saturating_sub(SLACK)))
}

const EVENT: &str = "SELECT e.number, e.source, e.id, e.kind, e.time, e.received, e.duplicates, e.conflicts, \
    coalesce((SELECT version FROM rulesets r WHERE r.id = e.rules), ''), e.notifications, e.unknown";

fn event_row(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    let unknown: Option<String> = row.get(10)?;
    Ok(EventRow {
        number: row.get(0)?,
        source: row.get(1)?,
        id: row.get(2)?,
        kind: row.get(3)?,
        time: row.get::<_, Option<i64>>(4)?.map(timestamp),
        received: timestamp(row.get(5)?),
        duplicates: row.get(6)?,
        conflicts: row.get(7)?,
        rules: row.get(8)?,
        notifications: row.get(9)?,
        unknown: unknown.and_then(|u| serde_json::from_str(&u).ok()).unwrap_or_default(),
        body: None,
    })
}

fn events(conn: &Connection, filter: EventFilter) -> rusqlite::Result<Vec<EventRow>> {
    let mut wanted = Where::default();
    if let Some(id) = &filter.id {
        let number = number_of(conn, filter.source.as_deref(), id)?;
        if number.is_empty() {
            return Ok(Vec::new());
        }
        let list: Vec<_> = number.iter().map(i64::to_string).collect();
        wanted.add(&format!("e.number IN ({}) AND e.id = ?", list.join(",")), id.clone());
    }
    let from = begin(
        conn,
        filter.since,
        "SELECT number, received FROM events WHERE number >= ?1 ORDER BY number LIMIT 1",
        "SELECT max(number) FROM events",
    )?;
    wanted.add_some("e.number >= ?", from);
    wanted.add_some("e.number < ?", filter.before);
    wanted.add_some("e.source = ?", filter.source);
    wanted.add_some("e.kind = ?", filter.kind);
    wanted.add_some("e.received >= ?", filter.since.map(micros));
    wanted.add_some("e.received < ?", filter.until.map(micros));
    let limit = limit(filter.limit);
    conn.prepare(&format!(
        "{EVENT} FROM events e{} ORDER BY e.number DESC LIMIT {limit}",
        wanted.sql
    ))?
    .query_map(params_from_iter(wanted.values), event_row)?
    .collect()
}

/// The numbers of the events with this id, by their dedupe keys; the newest by their rows, which alone have theirs.
fn number_of(conn: &Connection, source: Option<&str>, id: &str) -> rusqlite::Result<Vec<i64>> {
    let sources: Vec<String> = match source {
        Some(source) => vec![source.to_owned()],
        None => conn
            .prepare_cached("SELECT name FROM sources")?
            .query_map([], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?,
    };
    let mut numbers: Vec<i64> = conn
        .prepare_cached(
            "SELECT number FROM events \
             WHERE number > (SELECT value FROM meta WHERE key = 'keyed') AND id = ?1",
        )?
        .query_map([id], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for source in sources {
        numbers.extend(number_in_table(conn, DedupeKey::new(&source, ID, id))?);
    }
    Ok(numbers)
}

fn event(conn: &Connection, number: i64) -> rusqlite::Result<Option<EventRow>> {
    conn.prepare_cached(&format!("{EVENT}, e.body FROM events e WHERE e.number = ?1"))?
        .query_row([number], |row| {
            let mut event = event_row(row)?;
            let body: Option<Vec<u8>> = row.get(11)?;
            event.body = body
                .and_then(|b| String::from_utf8(b).ok())
                .and_then(|b| RawValue::from_string(b).ok());
            Ok(event)
        })
        .optional()
}

const NOTIFICATION: &str = "SELECT n.id, n.event_number, e.source, e.id, e.kind, n.rule, n.destination, \
    n.recipient, n.template, n.state, n.reason, n.created, n.due, n.settled, n.attempts, n.fallback_of \
    FROM notifications n JOIN events e ON e.number = n.event_number";

fn notification_row(row: &Row<'_>, keys: Keys) -> rusqlite::Result<NotificationRow> {
    let id = row.get(0)?;
    let state_code = row.get(9)?;
    Ok(NotificationRow {
        id,
        key: keys.key(id),
        event_number: row.get(1)?,
        source: row.get(2)?,
        event: row.get(3)?,
        kind: row.get(4)?,
        rule: row.get(5)?,
        destination: row.get(6)?,
        recipient: row.get(7)?,
        template: row.get(8)?,
        state: state(state_code).ok_or(rusqlite::Error::IntegralValueOutOfRange(9, state_code))?,
        reason: row.get(10)?,
        created: timestamp(row.get(11)?),
        due: row.get::<_, Option<i64>>(12)?.map(timestamp),
        settled: row.get::<_, Option<i64>>(13)?.map(timestamp),
        attempts: row.get(14)?,
        fallback_of: row.get(15)?,
        history: Vec::new(),
    })
}

fn notifications(
    conn: &Connection,
    keys: Keys,
    filter: NotificationFilter,
) -> rusqlite::Result<Vec<NotificationRow>> {
    let mut wanted = Where::default();
    let from = begin(
        conn,
        filter.since,
        "SELECT id, created FROM notifications WHERE id >= ?1 ORDER BY id LIMIT 1",
        "SELECT max(id) FROM notifications",
    )?;
    wanted.add_some("n.id >= ?", from);
    wanted.add_some("n.id < ?", filter.before);
    if let Some(state) = filter.state {
        // A literal, so that the partial indexes serve.
        wanted.add(&format!("n.state = {} AND 1 = ?", code(state)), 1);
    }
    wanted.add_some("n.destination = ?", filter.destination);
    wanted.add_some("n.rule = ?", filter.rule);
    wanted.add_some("n.event_number = ?", filter.event_number);
    wanted.add_some("n.created >= ?", filter.since.map(micros));
    wanted.add_some("n.created < ?", filter.until.map(micros));
    let limit = limit(filter.limit);
    conn.prepare(&format!("{NOTIFICATION}{} ORDER BY n.id DESC LIMIT {limit}", wanted.sql))?
        .query_map(params_from_iter(wanted.values), |row| notification_row(row, keys))?
        .collect()
}

fn notification(
    conn: &Connection,
    keys: Keys,
    id: i64,
) -> rusqlite::Result<Option<NotificationRow>> {
    // One snapshot for the notification and its attempts.
    let tx = conn.unchecked_transaction()?;
    let found = tx
        .prepare_cached(&format!("{NOTIFICATION} WHERE n.id = ?1"))?
        .query_row([id], |row| notification_row(row, keys))
        .optional()?;
    let Some(mut found) = found else { return Ok(None) };
    found.history = tx
        .prepare_cached(
            "SELECT n, started, ended, outcome, status, detail, fallback FROM attempts \
             WHERE notification = ?1 ORDER BY n",
        )?
        .query_map([id], |row| {
            Ok(AttemptRow {
                attempt: row.get(0)?,
                started: timestamp(row.get(1)?),
                ended: timestamp(row.get(2)?),
                outcome: row.get(3)?,
                status: row.get(4)?,
                detail: row.get(5)?,
                fallback_text: row.get(6)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Some(found))
}

fn backlog(conn: &Connection) -> rusqlite::Result<Vec<Backlog>> {
    // Two covering indexes; the rows themselves aren't read.
    conn.prepare_cached(
        "SELECT destination, sum(n), min(oldest) FROM ( \
         SELECT destination, count(*) AS n, min(created) AS oldest FROM notifications \
         INDEXED BY notifications_due WHERE state = 0 GROUP BY destination UNION ALL \
         SELECT destination, count(*), min(created) FROM notifications \
         INDEXED BY notifications_sending WHERE state = 1 GROUP BY destination) \
         GROUP BY destination ORDER BY destination",
    )?
    .query_map([], |row| {
        let waiting: i64 = row.get(1)?;
        Ok(Backlog {
            destination: row.get(0)?,
            waiting: u64::try_from(waiting).unwrap_or(0),
            oldest: row.get::<_, Option<i64>>(2)?.map(timestamp),
        })
    })?
    .collect()
}

fn inbox(conn: &Connection, limit: u32) -> rusqlite::Result<Vec<InboxMessage>> {
    conn.prepare_cached(
        "SELECT notification, destination, provider, rule, recipient, subject, text, html, at \
         FROM inbox ORDER BY id DESC LIMIT ?1",
    )?
    .query_map([limit], |row| {
        Ok(InboxMessage {
            notification: row.get(0)?,
            destination: row.get(1)?,
            provider: row.get(2)?,
            rule: row.get(3)?,
            recipient: row.get(4)?,
            subject: row.get(5)?,
            text: row.get(6)?,
            html: row.get(7)?,
            at: timestamp(row.get(8)?),
        })
    })?
    .collect()
}

impl Sqlite {
    pub(in super::super) async fn events(
        &self,
        filter: EventFilter,
    ) -> Result<Vec<EventRow>, JournalError> {
        self.readers.read(move |conn| events(conn, filter)).await
    }

    pub(in super::super) async fn event(
        &self,
        number: i64,
    ) -> Result<Option<EventRow>, JournalError> {
        self.readers.read(move |conn| event(conn, number)).await
    }

    pub(in super::super) async fn notifications(
        &self,
        filter: NotificationFilter,
    ) -> Result<Vec<NotificationRow>, JournalError> {
        let keys = self.readers.keys;
        self.readers.read(move |conn| notifications(conn, keys, filter)).await
    }

    pub(in super::super) async fn notification(
        &self,
        id: i64,
    ) -> Result<Option<NotificationRow>, JournalError> {
        let keys = self.readers.keys;
        self.readers.read(move |conn| notification(conn, keys, id)).await
    }

    pub(in super::super) async fn backlog(&self) -> Result<Vec<Backlog>, JournalError> {
        self.readers.read(backlog).await
    }

    pub(in super::super) async fn inbox(
        &self,
        limit: u32,
    ) -> Result<Vec<InboxMessage>, JournalError> {
        self.readers.read(move |conn| inbox(conn, limit.min(LIMIT))).await
    }

    pub(in super::super) async fn rules_text(
        &self,
        version: &str,
    ) -> Result<Option<String>, JournalError> {
        let version = version.to_owned();
        self.readers
            .read(move |conn| {
                conn.prepare_cached("SELECT text FROM rulesets WHERE version = ?1")?
                    .query_row(params![version], |row| row.get(0))
                    .optional()
                    .map(Option::flatten)
            })
            .await
    }
}
