//! What was promised and remembered: events, dedupe keys, notifications, attempts.
//!
//! The journal's methods are promises; `conformance.rs` states each as a test and runs it on every backend.
//! One transaction holds an event, its dedupe keys and all that it owes; the caller answers 2xx after it is on disk.

mod key;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::Event;
use crate::rules::Decision;

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
    /// 1 for the first attempt.
    pub attempt: u32,
    /// When the notification became owed.
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

/// A stored event as people see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventRow {
    /// The number in the journal.
    pub number: i64,
    /// The source's name.
    pub source: String,
    /// The sender's id.
    pub id: String,
    /// The type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The signed envelope's time.
    pub time: Option<Timestamp>,
    /// When it arrived.
    pub received: Timestamp,
    /// How often it came again.
    pub duplicates: i64,
    /// How often its id came again with another body.
    pub conflicts: i64,
    /// The version of the rules that decided it.
    pub rules: String,
    /// How many notifications it owes or owed.
    pub notifications: i64,
    /// Rules that ended unknown, each with its fields.
    pub unknown: Vec<UnknownRow>,
    /// The body, only where one event was asked for; absent when retention has removed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Box<serde_json::value::RawValue>>,
}

/// A rule that could not be decided for a stored event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownRow {
    /// The rule's name.
    pub rule: String,
    /// The paths that made it unknown.
    pub fields: Vec<String>,
}

/// A notification as people see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NotificationRow {
    /// The number, by which `retry` takes it.
    pub id: i64,
    /// The idempotency key.
    pub key: Uuid,
    /// The event's number in the journal.
    pub event_number: i64,
    /// The event's source.
    pub source: String,
    /// The sender's id of the event.
    pub event: String,
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The rule's name.
    pub rule: String,
    /// The destination's name.
    pub destination: String,
    /// The recipient, where the destination has several.
    pub recipient: Option<String>,
    /// The template's name.
    pub template: Option<String>,
    /// Where it stands.
    pub state: State,
    /// Why it stands there: the last attempt's detail, or the decision's reason.
    pub reason: Option<String>,
    /// When it became owed.
    pub created: Timestamp,
    /// When it is due next; none once it is settled.
    pub due: Option<Timestamp>,
    /// When it was settled.
    pub settled: Option<Timestamp>,
    /// How many attempts were begun.
    pub attempts: u32,
    /// The attempts themselves, only where one notification was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<AttemptRow>,
}

/// One attempt as people see it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AttemptRow {
    /// 1 for the first.
    pub attempt: u32,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// `sent`, `retry`, `gave_up` or `interrupted` (the process ended meanwhile: it may have been sent).
    pub outcome: String,
    /// The HTTP or SMTP status, where an answer came.
    pub status: Option<u16>,
    /// What a person reads.
    pub detail: String,
    /// The template's error, when the built-in text went out instead.
    pub fallback_text: Option<String>,
}

/// Which events to list, newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct EventFilter {
    /// Of this source.
    pub source: Option<String>,
    /// Of this type.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// With this id of the sender.
    pub id: Option<String>,
    /// Received at or after.
    pub since: Option<Timestamp>,
    /// Received before.
    pub until: Option<Timestamp>,
    /// At most so many; the backend caps it at 1,000.
    pub limit: Option<u32>,
    /// With a number smaller than this one: the next page.
    pub before: Option<i64>,
}

/// Which notifications to list, newest first.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NotificationFilter {
    /// In this state.
    pub state: Option<State>,
    /// To this destination.
    pub destination: Option<String>,
    /// Of this rule.
    pub rule: Option<String>,
    /// Caused by the event of this number.
    pub event_number: Option<i64>,
    /// Owed at or after.
    pub since: Option<Timestamp>,
    /// Owed before.
    pub until: Option<Timestamp>,
    /// At most so many; the backend caps it at 1,000.
    pub limit: Option<u32>,
    /// With a number smaller than this one: the next page.
    pub before: Option<i64>,
}

/// Which given-up notifications to make due again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetrySelection {
    /// These, by number.
    Ids(Vec<i64>),
    /// All that are given up and fit the filter (`state` and paging are ignored).
    Matching(NotificationFilter),
}

/// What a retry did: which are due again, and which were not given up, with their state (none: unknown number).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Retried {
    /// Due again now.
    pub retried: Vec<i64>,
    /// Left alone, with the reason as the state they are in.
    pub refused: Vec<(i64, Option<State>)>,
}

/// A message kept by the built-in inbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InboxMessage {
    /// The notification's number.
    pub notification: i64,
    /// The destination it was meant for.
    pub destination: String,
    /// The provider that destination has in `rules.toml`, for example `slack`.
    pub provider: String,
    /// The rule's name.
    pub rule: String,
    /// The recipient, where there is one.
    pub recipient: Option<String>,
    /// The subject, where the channel has one.
    pub subject: Option<String>,
    /// The text.
    pub text: String,
    /// The HTML part, where the channel has one.
    pub html: Option<String>,
    /// When it came in.
    pub at: Timestamp,
}

/// How much waits for a destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// The destination's name.
    pub destination: String,
    /// Notifications due or being sent.
    pub waiting: u64,
    /// When the oldest of them became owed.
    pub oldest: Option<Timestamp>,
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

/// The journal. Cheap to clone; every clone is the same journal.
#[derive(Clone, Debug)]
pub struct Journal {}

#[expect(clippy::unused_async, reason = "the backends come with the next commits")]
impl Journal {
    /// Opens (or creates) the journal, recovers what a crash left and starts its writer.
    pub async fn open(options: &Options, clock: crate::clock::Clock) -> Result<Self, OpenError> {
        let _ = (options, clock);
        todo!()
    }

    /// Stores the text of a version of the rules, once.
    pub async fn remember_rules(&self, version: &str, text: &str) -> Result<(), JournalError> {
        let _ = (version, text);
        todo!()
    }

    /// Makes an event durable with its dedupe keys and all that it owes, in one transaction. When this returns, it is
    /// on disk, and the lanes of destinations that are owed something have been woken, even if the caller went away.
    pub async fn accept(&self, event: NewEvent) -> Result<Accepted, JournalError> {
        let _ = event;
        todo!()
    }

    /// Wakes whoever waits on it when something became due for `destination`.
    pub fn wakes(&self, destination: &str) -> Arc<tokio::sync::Notify> {
        let _ = destination;
        todo!()
    }

    /// Takes up to `most` due notifications of `destination`, oldest due first, and marks them as being sent.
    pub async fn claim(&self, destination: &str, most: usize) -> Result<Claims, JournalError> {
        let _ = (destination, most);
        todo!()
    }

    /// Records how an attempt ended.
    pub async fn settle(&self, claim: Claim, outcome: Outcome) -> Result<(), JournalError> {
        let _ = (claim, outcome);
        todo!()
    }

    /// Gives up all that waits for destinations that are not in `known`, with the reason.
    pub async fn orphan(&self, known: &[Arc<str>]) -> Result<u64, JournalError> {
        let _ = known;
        todo!()
    }

    /// Makes given-up notifications due again, with a fresh budget of attempts and age.
    pub async fn retry(&self, which: RetrySelection) -> Result<Retried, JournalError> {
        let _ = which;
        todo!()
    }

    /// Keeps a message in the built-in inbox (the newest 1,000 stay).
    pub async fn keep_in_inbox(&self, message: InboxMessage) -> Result<(), JournalError> {
        let _ = message;
        todo!()
    }

    /// The inbox, newest first.
    pub async fn inbox(&self, limit: u32) -> Result<Vec<InboxMessage>, JournalError> {
        let _ = limit;
        todo!()
    }

    /// Events, newest first, without bodies.
    pub async fn events(&self, filter: EventFilter) -> Result<Vec<EventRow>, JournalError> {
        let _ = filter;
        todo!()
    }

    /// One event with its body, by its number.
    pub async fn event(&self, number: i64) -> Result<Option<EventRow>, JournalError> {
        let _ = number;
        todo!()
    }

    /// Notifications, newest first.
    pub async fn notifications(
        &self,
        filter: NotificationFilter,
    ) -> Result<Vec<NotificationRow>, JournalError> {
        let _ = filter;
        todo!()
    }

    /// One notification with its attempts, by its number.
    pub async fn notification(&self, id: i64) -> Result<Option<NotificationRow>, JournalError> {
        let _ = id;
        todo!()
    }

    /// What waits, by destination.
    pub async fn backlog(&self) -> Result<Vec<Backlog>, JournalError> {
        todo!()
    }

    /// Removes a small chunk of what is older than `keep`; says how many events went and whether more is waiting.
    pub async fn sweep(&self) -> Result<Swept, JournalError> {
        todo!()
    }

    /// Whether it can write now; after a failed write this tries one.
    pub async fn writable(&self) -> Result<(), JournalError> {
        todo!()
    }

    /// Resolves when the journal must not go on; the process then exits with an error.
    pub async fn failed(&self) -> JournalError {
        todo!()
    }

    /// Writes what is queued, checkpoints, and releases the lock.
    pub async fn close(&self) {
        todo!()
    }
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
