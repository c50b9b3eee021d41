//! Moves pages from the write-ahead log into the file, on a thread and connection of its own, so that the writer's
//! commits don't wait for it. It sleeps until the writer says that enough has come together: an idle journal has no timer.
//!
//! SQLite's own automatic checkpoint is off: it hides its errors, and a failed fsync must not pass unnoticed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use rusqlite::Connection;

use super::failure::{Reach, reach};
use super::status::Status;

/// Checkpoints each time `wanted` says so, until its sender is gone.
pub(super) fn run(conn: &Connection, status: &Arc<Status>, wanted: &Receiver<()>) {
    while wanted.recv().is_ok() {
        if status.failure().is_none() {
            passive(conn, status);
        }
    }
}

/// Moves what can be moved without waiting for anyone.
pub(super) fn passive(conn: &Connection, status: &Status) {
    checkpoint(conn, status, "PRAGMA wal_checkpoint(PASSIVE)");
}

/// Moves everything and empties the log: when the journal closes.
pub(super) fn truncate(conn: &Connection, status: &Status) {
    checkpoint(conn, status, "PRAGMA wal_checkpoint(TRUNCATE)");
}

fn checkpoint(conn: &Connection, status: &Status, pragma: &str) {
    match conn.query_row(pragma, [], |row| row.get::<_, i64>(1)) {
        Ok(pages) => {
            status.log_pages.store(u64::try_from(pages).unwrap_or(0), Ordering::Relaxed);
        }
        Err(err) if reach(&err) == Reach::Journal => {
            status.fail(format!("a checkpoint failed: {err}"));
        }
        // The log keeps what could not be moved, for example because the disk is full.
        Err(err) => tracing::warn!(reason = %err, "a checkpoint of the journal failed"),
    }
}
