//! What was promised and remembered: events, dedupe keys, notifications, attempts.
//!
//! The journal's methods are promises; `conformance/` states each as a test and runs it on every backend.
//! One transaction holds an event, its dedupe keys and all that it owes; the caller answers 2xx after it is on disk.

mod key;
mod rows;
mod sqlite;

#[cfg(test)]
mod conformance;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::clock::Clock;
use crate::event::Event;
use crate::rules::Decision;

pub use rows::{
    AttemptRow, Backlog, EventFilter, EventRow, InboxMessage, NotificationFilter, NotificationRow,
    Retried, RetrySelection, UnknownRow,
};

/// An event to be made durable, with all that it causes.
#[derive(Debug)]
pub struct NewEvent {
    /// The event itself.
    pub event: Event,
    /// The natural keys that make another event the same one, for example `call.ended` + `data.callId`. The pair of
    /// source and id is always a key and isn't listed here.
    pub natural_keys: Vec<DedupeKey>,
    /// What the rules decided.
    pub decision: Decision,
    /// [`crate::rules::Rules::version`] of the rules that decided.
    pub rules: Arc<str>,
}

/// 16 bytes that stand for "the same event": the head of a SHA-256 over the source, the key's kind and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DedupeKey(pub [u8; 16]);

/// What became of an accepted event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The event's number in the journal; for a duplicate, the number of the first one.
    pub number: i64,
    /// Whether it was known already.
    pub duplicate: Option<Duplicate>,
}

/// Why an event counts as known already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duplicate {
    /// The same source, id and body.
    Same,
    /// The same source and id, another body. The first is kept, the conflict counted.
    Conflict,
    /// Another id, but the same natural key.
    NaturalKey,
}

/// A notification taken for one attempt. [`Journal::settle`] consumes it.
#[derive(Debug)]
pub struct Claim {
    /// The notification's number.
    pub id: i64,
    /// The idempotency key: the same on every attempt of this notification, and unique across journals.
    pub key: Uuid,
    /// The event's number in the journal.
    pub event_number: i64,
    /// The event that caused it.
    pub event: Event,
    /// The rule's name.
    pub rule: Arc<str>,
    /// The destination's name.
    pub destination: Arc<str>,
    /// The recipient, where the destination has several.
    pub recipient: Option<Arc<str>>,
    /// The template's name, none for the built-in text.
    pub template: Option<Arc<str>>,
    /// 1 for the first attempt, counted anew after a person's retry: the budget of attempts is measured by it.
    pub attempt: u32,
    /// When the notification became owed, or when a person last made it due again: the budget of age is measured
    /// from it.
    pub created: Timestamp,
    /// When this attempt was claimed.
    pub started: Timestamp,
}

/// What a lane gets when it asks for work.
#[derive(Debug, Default)]
pub struct Claims {
    /// Due notifications, oldest due first; each is marked as being sent.
    pub claims: Vec<Claim>,
    /// When the next one that was not claimed is due (it may be past if the lane took all it could); none if nothing
    /// waits.
    pub next_due: Option<Timestamp>,
}

/// How an attempt ended, and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What follows.
    pub next: Next,
    /// When the attempt ended.
    pub ended: Timestamp,
    /// What a person reads: `200 ok`, `429, the provider asks for 30s`, `connection refused`. Never a secret.
    pub detail: String,
    /// The HTTP or SMTP status, where an answer came.
    pub status: Option<u16>,
    /// Set when the built-in text went out because the template failed: the template's error.
    pub fallback_text: Option<String>,
    /// Who takes over if it was given up.
    pub successor: Option<Arc<Successor>>,
}

/// The destination that takes over what another one could not send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Successor {
    /// Its name.
    pub destination: Arc<str>,
    /// Its recipients; each gets a notification of its own.
    pub recipients: Vec<Arc<str>>,
}

/// Which of a destination's waiting notifications are given up at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// All.
    All,
    /// Those owed since before this time.
    OwedBefore(Timestamp),
    /// Those whose last attempt was interrupted by the end of the process: it may have been sent.
    Interrupted,
}

/// What follows an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It was sent; done.
    Sent,
    /// Try again at this time.
    RetryAt(Timestamp),
    /// Given up: kept with its reason, retryable by a person.
    GaveUp,
    /// Given up because it may have been sent: whoever retries it decides to risk that it comes twice.
    Parked,
    /// Not an attempt after all (shutdown before anything was sent): due again at once, the attempt isn't counted.
    HandBack,
}

/// The state of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Waits until it is due.
    Due,
    /// An attempt is under way.
    Sending,
    /// Done.
    Sent,
    /// Given up, with a reason.
    GaveUp,
    /// A shadow rule's: recorded, never sent.
    Shadow,
}

impl State {
    /// Every state, for tables and parsing.
    pub const ALL: [Self; 5] = [Self::Due, Self::Sending, Self::Sent, Self::GaveUp, Self::Shadow];

    /// The word used in JSON, filters and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::GaveUp => "gave_up",
            Self::Shadow => "shadow",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why the journal did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// More work waits than the journal takes on.
    #[error("the journal is busy: {0} writes are waiting")]
    Overloaded(usize),
    /// It can't write now but may again without a restart: disk full, read-only.
    #[error("the journal can't write now: {0}")]
    Unwritable(String),
    /// It must not go on: an I/O or fsync error, a damaged file. The process stops and recovers from disk.
    #[error("the journal failed and must be reopened: {0}")]
    Fatal(String),
    /// It has been closed.
    #[error("the journal is closed")]
    Closed,
}

/// Why a journal could not be opened. Each message names the file and the mend.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub String);

/// How to open a journal.
#[derive(Clone, Debug)]
pub struct Options {
    /// `sqlite:PATH`.
    pub url: String,
    /// Events and settled notifications older than this are removed; dedupe keys stay at least 7 days.
    pub keep: Duration,
}

/// What a sweep did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Events removed.
    pub events: u64,
    /// Whether more could be removed now.
    pub more: bool,
    /// When the next event will be old enough; none if there is none.
    pub next: Option<Timestamp>,
}

/// One commit of the journal, for the metrics.
#[derive(Clone, Copy, Debug)]
pub struct Commit {
    /// From the first operation's turn until everything was on disk.
    pub elapsed: Duration,
    /// How many new events it made durable; 0 where it only held claims, settlements and the like.
    pub events: usize,
}

/// What opening found, beside a journal that is ready.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Attempts that were under way when the last process ended. They are due again and may have been sent.
    pub interrupted: u64,
    /// Set when a damaged record was found with more behind it: acknowledged events may be missing. The path of the
    /// copy that was kept of the files as they were.
    pub damaged: Option<PathBuf>,
}

/// The journal. Cheap to clone; every clone is the same journal.
#[derive(Clone, Debug)]
pub struct Journal {
    backend: Backend,
}

/// A closed set, so a match in each method does what a trait would.
#[derive(Clone, Debug)]
enum Backend {
    Sqlite(Arc<sqlite::Sqlite>),
}

impl Journal {
    /// Opens (or creates) the journal, recovers what a crash left and starts its writer.
    pub async fn open(options: &Options, clock: Clock) -> Result<Self, OpenError> {
        let sqlite = sqlite::Sqlite::open(options, clock).await?;
        Ok(Self { backend: Backend::Sqlite(Arc::new(sqlite)) })
    }

    /// What opening found.
    pub fn found(&self) -> &Found {
        match &self.backend {
            Backend::Sqlite(s) => s.found(),
        }
    }

    /// Calls `observe` after each commit, on the writer's thread: it must be quick. The first observer stays.
    pub fn on_commit(&self, observe: impl Fn(Commit) + Send + Sync + 'static) {
        match &self.backend {
            Backend::Sqlite(s) => s.on_commit(Box::new(observe)),
        }
    }

    /// Stores the text of a version of the rules, once.
    pub async fn remember_rules(&self, version: &str, text: &str) -> Result<(), JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.remember_rules(version, text).await,
        }
    }

    /// The text of a version of the rules; none when it isn't known or no kept event was decided by it.
    pub async fn rules_text(&self, version: &str) -> Result<Option<String>, JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.rules_text(version).await,
        }
    }

    /// Makes an event durable with its dedupe keys and all that it owes, in one transaction. When this returns, it is
    /// on disk, and the lanes of destinations that are owed something have been woken, even if the caller went away.
    /// Refused at once with [`JournalError::Overloaded`] when too much waits.
    pub async fn accept(&self, event: NewEvent) -> Result<Accepted, JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.accept(event).await,
        }
    }

    /// Wakes whoever waits on it when something became due for `destination`, or when a later attempt was planned
    /// (so that `next_due` is worth asking for again). One task waits for each destination; a wake that comes while
    /// nobody waits is kept for it.
    pub fn wakes(&self, destination: &str) -> Arc<Notify> {
        match &self.backend {
            Backend::Sqlite(s) => s.wakes(destination),
        }
    }

    /// Takes up to `most` due notifications of `destination`, oldest due first, and marks them as being sent.
    pub async fn claim(&self, destination: &str, most: usize) -> Result<Claims, JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.claim(destination, most).await,
        }
    }

    /// Records how an attempt ended. While the journal can't write, this waits and is written as soon as it can
    /// again: how an attempt ended isn't forgotten because the disk was full. A claim that was settled already
    /// changes nothing.
    pub async fn settle(&self, claim: Claim, outcome: Outcome) -> Result<(), JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.settle(claim, outcome).await,
        }
    }

    /// Gives up all that waits for destinations that are not in `known`, with the reason.
    pub async fn orphan(&self, known: &[Arc<str>]) -> Result<u64, JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.orphan(known).await,
        }
    }

    /// Gives up what waits for `destination`, with `reason`; the successor takes it over. How many.
    pub async fn give_up(
        &self,
        destination: &str,
        which: Waiting,
        reason: &str,
        successor: Option<Arc<Successor>>,
    ) -> Result<u64, JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.give_up(destination, which, reason, successor).await,
        }
    }

    /// Makes due now what waits for `destination` after a failed attempt, the oldest first: it works again.
    pub async fn hasten(&self, destination: &str) -> Result<u64, JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.hasten(destination).await,
        }
    }

    /// When the oldest notification that waits for `destination` became owed; none if nothing waits.
    pub async fn oldest(&self, destination: &str) -> Result<Option<Timestamp>, JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.oldest(destination).await,
        }
    }

    /// Makes given-up notifications due again, with a fresh budget of attempts and age.
    pub async fn retry(&self, which: RetrySelection) -> Result<Retried, JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.retry(which).await,
        }
    }

    /// Keeps a message in the built-in inbox (the newest 1,000 stay).
    pub async fn keep_in_inbox(&self, message: InboxMessage) -> Result<(), JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.keep_in_inbox(message).await,
        }
    }

    /// The inbox, newest first.
    pub async fn inbox(&self, limit: u32) -> Result<Vec<InboxMessage>, JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.inbox(limit).await,
        }
    }

    /// Events, newest first, without bodies.
    pub async fn events(&self, filter: EventFilter) -> Result<Vec<EventRow>, JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.events(filter).await,
        }
    }

    /// One event with its body, by its number.
    pub async fn event(&self, number: i64) -> Result<Option<EventRow>, JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.event(number).await,
        }
    }

    /// Notifications, newest first.
    pub async fn notifications(
        &self,
        filter: NotificationFilter,
    ) -> Result<Vec<NotificationRow>, JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.notifications(filter).await,
        }
    }

    /// One notification with its attempts, by its number.
    pub async fn notification(&self, id: i64) -> Result<Option<NotificationRow>, JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.notification(id).await,
        }
    }

    /// What waits, by destination.
    pub async fn backlog(&self) -> Result<Vec<Backlog>, JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.backlog().await,
        }
    }

    /// Removes a small chunk of what is older than `keep`; says how many events went and whether more is waiting.
    /// What still waits to be sent stays, whatever its age; what was given up stays for `keep` after it was.
    pub async fn sweep(&self) -> Result<Swept, JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.sweep().await,
        }
    }

    /// Whether it can write now; after a failed write this tries one.
    pub async fn writable(&self) -> Result<(), JournalError> {
        match &self.backend {
            Backend::Sqlite(s) => s.writable().await,
        }
    }

    /// Resolves when the journal must not go on; the process then exits with an error.
    pub async fn failed(&self) -> JournalError {
        match &self.backend {
            Backend::Sqlite(s) => s.failed().await,
        }
    }

    /// Writes what is queued, checkpoints, and releases the lock. Later calls are answered [`JournalError::Closed`].
    pub async fn close(&self) {
        match &self.backend {
            Backend::Sqlite(s) => s.close().await,
        }
    }
}
