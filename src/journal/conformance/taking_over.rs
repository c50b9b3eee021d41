//! What becomes of what waits for a destination that can't be reached.

use super::super::{Successor, Waiting};
use super::*;

fn successor(recipients: &[&str]) -> Arc<Successor> {
    Arc::new(Successor {
        destination: "backup".into(),
        recipients: recipients.iter().map(|r| (*r).into()).collect(),
    })
}

pub(super) async fn what_is_given_up_is_owed_to_each_recipient_of_the_successor(place: Place) {
    let bench = Bench::new(place).await;
    bench.accept("evt-1", &["sales"]).await;
    let wakes = bench.journal.wakes("backup");
    let claim = bench.claim("sales").await;
    let given_up = claim.id;
    let outcome =
        Outcome { successor: Some(successor(&["+1", "+2"])), ..bench.outcome(Next::GaveUp) };
    bench.journal.settle(claim, outcome).await.unwrap();
    assert!(is_woken(&wakes).await, "the successor is woken");
    let claims = bench.claims("backup", 10).await;
    let recipients: Vec<_> = claims.iter().map(|c| c.recipient.as_deref()).collect();
    assert_eq!(recipients, [Some("+1"), Some("+2")]);
    assert_eq!(claims[0].template.as_deref(), Some("a-template"));
    let row = bench.notification(claims[0].id).await;
    assert_eq!((row.fallback_of, row.event.as_str()), (Some(given_up), "evt-1"));
    // Sent needs nobody to take over.
    bench.accept("evt-2", &["sales"]).await;
    let claim = bench.claim("sales").await;
    let outcome = Outcome { successor: Some(successor(&[])), ..bench.outcome(Next::Sent) };
    bench.journal.settle(claim, outcome).await.unwrap();
    assert!(bench.claims("backup", 10).await.is_empty());
}

pub(super) async fn nobody_is_owed_the_same_twice(place: Place) {
    let bench = Bench::new(place).await;
    // Two recipients of one destination, and the successor is told by the rule itself.
    bench.accept("evt-1", &["sales", "sales", "backup"]).await;
    bench.accept("evt-2", &["sales", "sales"]).await;
    let given_up =
        bench.journal.give_up("sales", Waiting::All, "it fails", Some(successor(&[]))).await;
    assert_eq!(given_up.unwrap(), 4);
    let rows = bench.notifications().await;
    let to_backup: Vec<_> = rows.iter().filter(|r| r.destination == "backup").collect();
    let mut events: Vec<_> = to_backup.iter().map(|r| r.event.as_str()).collect();
    events.sort_unstable();
    assert_eq!(events, ["evt-1", "evt-2"]);
    let reasons = rows.iter().filter(|r| r.destination == "sales").map(|r| r.reason.as_deref());
    assert!(reasons.into_iter().all(|reason| reason == Some("it fails")));
}

pub(super) async fn what_waits_is_given_up_by_age_or_all(place: Place) {
    let bench = Bench::new(place).await;
    bench.accept("evt-1", &["sales"]).await;
    let first = bench.now();
    sleep(DAY).await;
    bench.accept("evt-2", &["sales", "other"]).await;
    assert_eq!(bench.journal.oldest("sales").await.unwrap(), Some(first));
    let old = Waiting::OwedBefore(bench.now());
    assert_eq!(bench.journal.give_up("sales", old, "too old", None).await.unwrap(), 1);
    assert_eq!(bench.journal.give_up("sales", old, "too old", None).await.unwrap(), 0);
    assert_eq!(bench.journal.oldest("sales").await.unwrap(), Some(bench.now()));
    assert_eq!(bench.journal.give_up("sales", Waiting::All, "gone", None).await.unwrap(), 1);
    assert_eq!(bench.journal.oldest("sales").await.unwrap(), None);
    assert_eq!(bench.claim("other").await.event.id, "evt-2", "others are left alone");
}

pub(super) async fn an_interrupted_attempt_can_be_given_up(place: Place) {
    let bench = Bench::new(place).await;
    bench.accept("evt-1", &["sales"]).await;
    let interrupted = bench.claim("sales").await.id;
    bench.accept("evt-2", &["sales"]).await;
    let bench = bench.crash().await;
    let why = "it may have been sent";
    let given_up = bench.journal.give_up("sales", Waiting::Interrupted, why, None).await;
    assert_eq!(given_up.unwrap(), 1);
    assert_eq!(bench.notification(interrupted).await.state, State::GaveUp);
    assert_eq!(bench.claim("sales").await.event.id, "evt-2");
}

pub(super) async fn what_failed_is_due_at_once_when_its_destination_works_again(place: Place) {
    let bench = Bench::new(place).await;
    for i in 0..3 {
        bench.accept(&format!("evt-{i}"), &["sales"]).await;
        sleep(Duration::from_secs(1)).await;
    }
    let later = bench.now() + jiff::SignedDuration::from_hours(1);
    for claim in bench.claims("sales", 2).await.into_iter().rev() {
        bench.settle(claim, Next::RetryAt(later)).await;
    }
    assert_eq!(bench.journal.hasten("sales").await.unwrap(), 2);
    let claims = bench.claims("sales", 10).await;
    let order: Vec<_> = claims.iter().map(|c| c.event.id.as_str()).collect();
    assert_eq!(order, ["evt-0", "evt-1", "evt-2"], "the oldest first");
    assert_eq!(bench.journal.hasten("sales").await.unwrap(), 0);
}
