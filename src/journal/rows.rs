//! What the journal shows to people: rows, the filters that choose them, and what a retry did.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::State;

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
    /// The number of the notification that could not be sent and for which this one stands in.
    pub fallback_of: Option<i64>,
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
    /// `sent`, `retry`, `gave_up`, `parked` (given up because it may have been sent) or `interrupted` (the process ended meanwhile: it may have been sent).
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
