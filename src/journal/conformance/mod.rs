//! What the journal promises, each promise a test that every backend runs.
//!
//! A promise is a function over [`Bench`], which holds a journal opened by the public API, in a place of its own, under
//! a clock that stands still unless the test sleeps. A new backend needs a way to make a [`Place`] and one line below;
//! a promise that is not listed is dead code, so the compiler tells.

mod accepting;
mod keeping;
mod looking;
mod sending;
mod taking_over;

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::body::Bytes;
use jiff::Timestamp;
use tempfile::TempDir;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::{
    Accepted, Claim, DedupeKey, EventFilter, EventRow, Journal, JournalError, NewEvent, Next,
    NotificationFilter, NotificationRow, OpenError, Options, Outcome, RetrySelection, State,
};
use crate::clock::Clock;
use crate::event::Event;
use crate::rules::{Decision, Owed, Plan};

/// Makes one test of each promise for a backend.
macro_rules! conformance {
    ($backend:ident: $($group:ident { $($promise:ident,)* })*) => {
        mod $backend {
            $($(
                #[tokio::test(start_paused = true)]
                async fn $promise() {
                    super::$group::$promise(super::Place::$backend()).await;
                }
            )*)*
        }
    };
}

/// Lists the promises once, for every backend.
macro_rules! backends {
    ($($backend:ident)*) => {
        $(conformance! { $backend:
            accepting {
                an_accepted_event_and_all_that_it_owes_are_there_after_a_crash,
                an_event_and_what_it_owes_are_never_apart,
                an_event_that_owes_nothing_is_kept_too,
                a_repetition_is_the_same_event_and_owes_nothing,
                another_body_under_the_same_id_is_a_conflict_and_the_first_is_kept,
                another_id_with_a_known_natural_key_is_the_same_event,
                an_id_counts_within_its_source_only,
                one_event_accepted_by_many_at_once_is_new_once,
                a_repetition_is_known_for_seven_days_even_if_less_is_kept,
                a_repetition_is_known_as_long_as_its_event_is_kept,
                an_event_is_accepted_even_if_its_caller_went_away,
                what_is_more_than_the_journal_takes_on_is_refused_and_not_stored,
            }
            sending {
                claims_come_oldest_due_first_and_never_twice,
                claims_that_are_asked_for_at_once_do_not_overlap,
                a_claim_carries_all_that_an_attempt_needs,
                next_due_is_when_it_is_worth_asking_again,
                whoever_waits_for_a_destination_is_woken_when_something_is_due_for_it,
                sent_is_the_end,
                a_retry_is_due_at_its_time_and_not_before,
                given_up_is_kept_with_its_reason,
                handed_back_is_no_attempt,
                a_second_settlement_changes_nothing,
                the_settlement_of_an_older_claim_changes_nothing,
                an_attempt_that_a_crash_cut_off_is_named_and_due_again,
                a_clock_that_is_set_back_holds_nothing_up,
                a_clock_that_goes_back_a_little_changes_nothing,
                a_shadow_is_recorded_and_never_sent,
                a_key_stays_the_same_and_no_other_notification_has_it,
                what_waits_for_a_destination_that_is_gone_is_given_up,
                a_retry_by_a_person_has_a_fresh_budget,
                a_retry_says_what_it_left_alone,
                a_retry_of_all_that_fit_leaves_the_others,
            }
            taking_over {
                what_is_given_up_is_owed_to_each_recipient_of_the_successor,
                nobody_is_owed_the_same_twice,
                what_waits_is_given_up_by_age_or_all,
                an_interrupted_attempt_can_be_given_up,
                what_failed_is_due_at_once_when_its_destination_works_again,
            }
            keeping {
                old_events_go_a_little_at_a_time,
                what_waits_or_was_given_up_lately_stays,
                numbers_and_keys_are_never_used_again,
                the_inbox_keeps_the_newest_thousand,
                inbox_messages_go_when_they_are_old,
                the_text_of_rules_is_there_while_an_event_needs_it,
                a_closed_journal_has_written_all_and_can_be_opened_again,
                a_place_is_one_journals_at_a_time,
            }
            looking {
                events_are_listed_newest_first_and_filtered,
                notifications_are_listed_newest_first_and_filtered,
                a_list_is_never_longer_than_a_thousand,
                the_backlog_says_what_waits_and_since_when,
                every_commit_is_observed,
            }
        })*
    };
}

backends! { sqlite }

/// 2026-03-28, a day before clocks change in Europe: nothing here may care.
const START: &str = "2026-03-28T12:00:00Z";
const DAY: Duration = Duration::from_secs(86_400);
const KEEP: Duration = Duration::from_secs(30 * 86_400);

/// Where a journal is, over several openings.
struct Place {
    folder: TempDir,
}

impl Place {
    /// A folder for a file of SQLite's.
    fn sqlite() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// Another place of the same kind, with nothing in it.
    fn fresh(&self) -> Self {
        Self::sqlite()
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("journal.db").display())
    }

    /// What a kill at this moment would leave.
    fn as_after_a_kill(&self) -> Self {
        let copy = self.fresh();
        let file = |place: &Self, name| place.folder.path().join(name);
        // The salts of the log, which change when it starts anew.
        let log_head =
            || std::fs::read(file(self, "journal.db-wal")).unwrap().get(..32).map(<[u8]>::to_vec);
        loop {
            let before = log_head();
            // In this order: until the log starts anew, its copy holds all that the file's copy lacks.
            for name in ["journal.db", "journal.db-wal"] {
                std::fs::copy(file(self, name), file(&copy, name)).unwrap();
            }
            if log_head() == before {
                break;
            }
        }
        copy
    }

    async fn open(&self, keep: Duration, clock: &Clock) -> Result<Journal, OpenError> {
        Journal::open(&Options { url: self.url(), keep }, clock.clone()).await
    }
}

/// A journal, its place and its clock.
struct Bench {
    place: Place,
    keep: Duration,
    clock: Clock,
    journal: Journal,
}

impl Bench {
    async fn new(place: Place) -> Self {
        Self::keeping(place, KEEP).await
    }

    async fn keeping(place: Place, keep: Duration) -> Self {
        Self::under(place, keep, Clock::simulated(START.parse().unwrap())).await
    }

    async fn under(place: Place, keep: Duration, clock: Clock) -> Self {
        let journal = place.open(keep, &clock).await.unwrap();
        Self { place, keep, clock, journal }
    }

    /// Opens what a kill at this moment leaves, by a clock that shows less than the one before.
    async fn crash_back(mut self, by: Duration) -> Self {
        let clock = Clock::simulated(self.now() - by);
        self = self.crash().await;
        self.journal.close().await;
        Self::under(self.place, self.keep, clock).await
    }

    /// Closes the journal and opens it again.
    async fn reopen(self) -> Self {
        self.journal.close().await;
        Self::under(self.place, self.keep, self.clock).await
    }

    /// Opens what a kill at this moment leaves.
    async fn crash(self) -> Self {
        let place = self.place.as_after_a_kill();
        self.journal.close().await;
        Self::under(place, self.keep, self.clock).await
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new event that owes one notification to each of `to`.
    fn event(&self, id: &str, to: &[&str]) -> NewEvent {
        let body = format!(r#"{{"id":"{id}","event":"call.ended","n":1.50}}"#);
        NewEvent {
            event: Event {
                source: "replicer".into(),
                id: id.to_owned(),
                kind: "call.ended".to_owned(),
                time: Some("2026-03-28T11:59:00Z".parse().unwrap()),
                received: self.now(),
                body: Bytes::from(body),
            },
            natural_keys: Vec::new(),
            decision: Decision {
                owed: to.iter().map(|to| owed(to)).collect(),
                unknown: Vec::new(),
            },
            rules: "version-1".into(),
        }
    }

    async fn accept(&self, id: &str, to: &[&str]) -> Accepted {
        self.journal.accept(self.event(id, to)).await.unwrap()
    }

    async fn claims(&self, destination: &str, most: usize) -> Vec<Claim> {
        self.journal.claim(destination, most).await.unwrap().claims
    }

    /// The only claim that can be had for `destination`.
    async fn claim(&self, destination: &str) -> Claim {
        let mut claims = self.claims(destination, 10).await;
        assert_eq!(claims.len(), 1, "{claims:?}");
        claims.remove(0)
    }

    async fn settle(&self, claim: Claim, next: Next) {
        let outcome = self.outcome(next);
        self.journal.settle(claim, outcome).await.unwrap();
    }

    fn outcome(&self, next: Next) -> Outcome {
        let (detail, status) = match next {
            Next::Sent => ("HTTP 200 ok", Some(200)),
            Next::RetryAt(_) => ("HTTP 503", Some(503)),
            Next::GaveUp => ("HTTP 404 no such channel", Some(404)),
            Next::Parked => ("no answer; it may have been sent", None),
            Next::HandBack => ("the bridge stopped", None),
        };
        Outcome {
            next,
            ended: self.now(),
            detail: detail.to_owned(),
            status,
            fallback_text: None,
            successor: None,
        }
    }

    async fn events(&self) -> Vec<EventRow> {
        self.journal.events(EventFilter::default()).await.unwrap()
    }

    async fn notifications(&self) -> Vec<NotificationRow> {
        self.journal.notifications(NotificationFilter::default()).await.unwrap()
    }

    async fn notification(&self, id: i64) -> NotificationRow {
        self.journal.notification(id).await.unwrap().unwrap()
    }

    /// Sweeps until nothing more is old; how many events went.
    async fn sweep(&self) -> u64 {
        let mut events = 0;
        loop {
            let swept = self.journal.sweep().await.unwrap();
            events += swept.events;
            if !swept.more {
                return events;
            }
        }
    }
}

fn owed(destination: &str) -> Owed {
    Owed {
        rule: "a rule".into(),
        destination: destination.into(),
        recipient: None,
        template: Some("a-template".into()),
        plan: Plan::Send,
    }
}

fn ids(rows: &[EventRow]) -> Vec<&str> {
    rows.iter().map(|row| row.id.as_str()).collect()
}

/// Another hold of the same claim, as a second attempt that should not be would have.
fn same(claim: &Claim) -> Claim {
    Claim {
        id: claim.id,
        key: claim.key,
        event_number: claim.event_number,
        event: claim.event.clone(),
        rule: Arc::clone(&claim.rule),
        destination: Arc::clone(&claim.destination),
        recipient: claim.recipient.clone(),
        template: claim.template.clone(),
        attempt: claim.attempt,
        created: claim.created,
        started: claim.started,
    }
}

/// Looks at a future once.
async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
    poll_fn(|cx| {
        Poll::Ready(match future.as_mut().poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
}

/// Whether a wake is there; takes it.
async fn is_woken(wake: &Notify) -> bool {
    poll_once(pin!(wake.notified())).await.is_some()
}
