//! The tables, and how an older file becomes a current one.
//!
//! `PRAGMA user_version` counts the steps that were applied. A step never changes once released; a new need is a new
//! step. A file with more steps than this program knows is refused: it was written by a newer one.
//!
//! All times are microseconds since 1970 in UTC. States are numbers, see [`code`].

use rusqlite::{Connection, TransactionBehavior};

use super::super::{OpenError, State};

/// `HBLL`: tells our files from other SQLite files (`PRAGMA application_id`).
const APPLICATION_ID: i32 = 0x4842_4C4C;

/// Each is applied once, in order, in a transaction of its own.
const STEPS: &[&str] = &["
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) WITHOUT ROWID;
-- What idempotency keys are derived from, so that two journals never share one.
INSERT INTO meta VALUES ('journal_id', randomblob(16));
-- The highest numbers ever given out, as of the last sweep: a number isn't used twice.
INSERT INTO meta VALUES ('high_event', 0), ('high_notification', 0);
-- The table dedupe has the keys of the events up to this number; those of later ones stand in their rows only.
INSERT INTO meta VALUES ('keyed', 0);

-- last_event is null while the rules may still decide new events.
CREATE TABLE rulesets (
    id INTEGER PRIMARY KEY, version TEXT NOT NULL UNIQUE, text TEXT,
    first_used INTEGER NOT NULL, last_event INTEGER
);
CREATE TABLE sources (name TEXT PRIMARY KEY) WITHOUT ROWID;

-- The body is last: what reads the other columns doesn't touch its pages. keys are all dedupe keys, 16 bytes each.
-- removed: retention took the body; digest then stands for it, to tell a repetition from a conflict.
CREATE TABLE events (
    number INTEGER PRIMARY KEY, source TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL,
    time INTEGER, received INTEGER NOT NULL, rules INTEGER NOT NULL,
    duplicates INTEGER NOT NULL DEFAULT 0, conflicts INTEGER NOT NULL DEFAULT 0, last_duplicate INTEGER,
    removed INTEGER NOT NULL DEFAULT 0, digest BLOB, notifications INTEGER NOT NULL,
    unknown TEXT, keys BLOB NOT NULL, body BLOB
);
CREATE INDEX events_kept ON events (received) WHERE removed = 0;
CREATE INDEX events_removed ON events (received) WHERE removed = 1;

CREATE TABLE dedupe (key BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;

-- owed_since and attempts_before: the budget of age and attempts starts anew when a person retries.
CREATE TABLE notifications (
    id INTEGER PRIMARY KEY, event_number INTEGER NOT NULL, rule TEXT NOT NULL, destination TEXT NOT NULL,
    recipient TEXT, template TEXT, state INTEGER NOT NULL, due INTEGER, created INTEGER NOT NULL,
    owed_since INTEGER NOT NULL, started INTEGER, settled INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0, attempts_before INTEGER NOT NULL DEFAULT 0, reason TEXT,
    fallback_of INTEGER
);
CREATE INDEX notifications_event ON notifications (event_number);
CREATE INDEX notifications_due ON notifications (destination, due, created) WHERE state = 0;
CREATE INDEX notifications_sending ON notifications (destination, created) WHERE state = 1;
CREATE INDEX notifications_gave_up ON notifications (id) WHERE state = 3;

CREATE TABLE attempts (
    notification INTEGER, n INTEGER, started INTEGER NOT NULL, ended INTEGER NOT NULL,
    outcome TEXT NOT NULL, status INTEGER, detail TEXT NOT NULL, fallback TEXT,
    PRIMARY KEY (notification, n)
) WITHOUT ROWID;

CREATE TABLE inbox (
    id INTEGER PRIMARY KEY, notification INTEGER NOT NULL, destination TEXT NOT NULL, provider TEXT NOT NULL,
    rule TEXT NOT NULL, recipient TEXT, subject TEXT, text TEXT NOT NULL, html TEXT, at INTEGER NOT NULL
);
"];

/// The number of a state in the table.
pub(super) fn code(state: State) -> i64 {
    match state {
        State::Due => 0,
        State::Sending => 1,
        State::Sent => 2,
        State::GaveUp => 3,
        State::Shadow => 4,
    }
}

/// The state of a number in the table.
pub(super) fn state(code: i64) -> Option<State> {
    State::ALL.into_iter().find(|s| self::code(*s) == code)
}

/// Refuses what is not a journal of ours or is newer than this program, then applies the missing steps.
pub(super) fn prepare(conn: &mut Connection, name: &str) -> Result<(), OpenError> {
    migrate(conn, name, STEPS)
}

fn migrate(conn: &mut Connection, name: &str, steps: &[&str]) -> Result<(), OpenError> {
    let broken = |err: rusqlite::Error| match err.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => OpenError(format!(
            "`{name}` is not a journal: it is no SQLite database; move it away, or name another file in [journal] url"
        )),
        _ => OpenError(format!("can't read the journal `{name}`: {err}")),
    };
    let application: i32 =
        conn.pragma_query_value(None, "application_id", |r| r.get(0)).map_err(broken)?;
    let version: i64 =
        conn.pragma_query_value(None, "user_version", |r| r.get(0)).map_err(broken)?;
    let tables: i64 =
        conn.query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).map_err(broken)?;
    if application != APPLICATION_ID && (application != 0 || version != 0 || tables != 0) {
        return Err(OpenError(format!(
            "`{name}` is a SQLite database of another program; name another file in [journal] url"
        )));
    }
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    if version > known {
        return Err(OpenError(format!(
            "the journal `{name}` has schema {version}, this hookbell knows up to {known}; \
             run the newer hookbell that wrote it, or name another file in [journal] url"
        )));
    }
    for (done, step) in steps.iter().enumerate().skip(usize::try_from(version).unwrap_or(0)) {
        apply(conn, step, done + 1).map_err(|err| {
            OpenError(format!("can't bring the journal `{name}` to schema {}: {err}", done + 1))
        })?;
    }
    Ok(())
}

fn apply(conn: &mut Connection, step: &str, version: usize) -> rusqlite::Result<()> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    tx.execute_batch(step)?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", i64::try_from(version).unwrap_or(i64::MAX))?;
    tx.commit()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_number() {
        for s in State::ALL {
            assert_eq!(state(code(s)), Some(s));
        }
        assert_eq!(state(9), None);
    }

    #[test]
    fn a_newer_schema_is_refused_with_both_versions_named() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, "a.db", &["CREATE TABLE a (x)", "CREATE TABLE b (x)"]).unwrap();
        let err = migrate(&mut conn, "a.db", &["CREATE TABLE a (x)"]).unwrap_err().to_string();
        assert!(
            err.contains("schema 2") && err.contains("up to 1") && err.contains("a.db"),
            "{err}"
        );
    }

    #[test]
    fn only_the_missing_steps_are_applied_and_a_failing_one_leaves_no_trace() {
        let mut conn = Connection::open_in_memory().unwrap();
        let one = "CREATE TABLE a (x); INSERT INTO a VALUES (1)";
        migrate(&mut conn, "a.db", &[one]).unwrap();
        let err = migrate(&mut conn, "a.db", &[one, "INSERT INTO a VALUES (2); SELECT nothing"])
            .unwrap_err()
            .to_string();
        assert!(err.contains("schema 2"), "{err}");
        migrate(&mut conn, "a.db", &[one, "INSERT INTO a VALUES (3)"]).unwrap();
        let sum: i64 = conn.query_row("SELECT sum(x) FROM a", [], |r| r.get(0)).unwrap();
        assert_eq!(sum, 4);
    }
}
