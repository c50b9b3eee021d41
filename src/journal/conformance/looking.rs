//! Looking in: lists, filters, the backlog, what each commit did.

use std::sync::Mutex;

use super::super::{Backlog, Commit};
use super::*;

pub(super) async fn events_are_listed_newest_first_and_filtered(place: Place) {
    let bench = Bench::new(place).await;
    for (i, (source, kind)) in
        [("replicer", "call.ended"), ("replicer", "sms.received"), ("other", "call.ended")]
            .into_iter()
            .enumerate()
    {
        let mut new = bench.event(&format!("evt-{i}"), &[]);
        new.event.source = source.into();
        kind.clone_into(&mut new.event.kind);
        bench.journal.accept(new).await.unwrap();
        sleep(Duration::from_secs(60)).await;
    }
    let list = async |filter: EventFilter| {
        let rows = bench.journal.events(filter).await.unwrap();
        assert!(rows.iter().all(|row| row.body.is_none()), "a list has no bodies");
        rows.into_iter().map(|row| row.id).collect::<Vec<_>>().join(" ")
    };
    let any = EventFilter::default;
    let start: Timestamp = START.parse().unwrap();
    let at = |seconds| Some(start + Duration::from_secs(seconds));
    let all = list(any()).await;
    assert_eq!(all, "evt-2 evt-1 evt-0");
    assert_eq!(list(EventFilter { source: Some("replicer".into()), ..any() }).await, "evt-1 evt-0");
    assert_eq!(list(EventFilter { kind: Some("call.ended".into()), ..any() }).await, "evt-2 evt-0");
    assert_eq!(list(EventFilter { id: Some("evt-1".into()), ..any() }).await, "evt-1");
    assert_eq!(list(EventFilter { id: Some("evt".into()), ..any() }).await, "");
    assert_eq!(list(EventFilter { since: at(60), ..any() }).await, "evt-2 evt-1", "at or after");
    assert_eq!(list(EventFilter { until: at(60), ..any() }).await, "evt-0", "before");
    assert_eq!(list(EventFilter { since: at(60), until: at(61), ..any() }).await, "evt-1");
    assert_eq!(list(EventFilter { limit: Some(2), ..any() }).await, "evt-2 evt-1");
    let number = bench.events().await[1].number;
    assert_eq!(list(EventFilter { before: Some(number), ..any() }).await, "evt-0", "the next page");
    assert!(bench.journal.event(number + 99).await.unwrap().is_none());
}

pub(super) async fn notifications_are_listed_newest_first_and_filtered(place: Place) {
    let bench = Bench::new(place).await;
    let first = bench.accept("evt-1", &["sales", "office"]).await.number;
    sleep(Duration::from_secs(60)).await;
    let mut new = bench.event("evt-2", &["sales"]);
    new.decision.owed[0].rule = "another rule".into();
    bench.journal.accept(new).await.unwrap();
    let claim = bench.claim("office").await;
    bench.settle(claim, Next::GaveUp).await;
    let list = async |filter: NotificationFilter| {
        let rows = bench.journal.notifications(filter).await.unwrap();
        assert!(rows.iter().all(|row| row.history.is_empty()), "a list has no attempts");
        let shown = rows.iter().map(|row| format!("{}:{}", row.event, row.destination));
        shown.collect::<Vec<_>>().join(" ")
    };
    let any = NotificationFilter::default;
    let start: Timestamp = START.parse().unwrap();
    let later = Some(start + Duration::from_secs(60));
    assert_eq!(list(any()).await, "evt-2:sales evt-1:office evt-1:sales");
    let state = |state| NotificationFilter { state: Some(state), ..any() };
    assert_eq!(list(state(State::Due)).await, "evt-2:sales evt-1:sales");
    assert_eq!(list(state(State::GaveUp)).await, "evt-1:office");
    assert_eq!(list(state(State::Sent)).await, "");
    let to = NotificationFilter { destination: Some("sales".into()), ..any() };
    assert_eq!(list(to).await, "evt-2:sales evt-1:sales");
    let rule = NotificationFilter { rule: Some("another rule".into()), ..any() };
    assert_eq!(list(rule).await, "evt-2:sales");
    let of = NotificationFilter { event_number: Some(first), ..any() };
    assert_eq!(list(of).await, "evt-1:office evt-1:sales");
    assert_eq!(list(NotificationFilter { since: later, ..any() }).await, "evt-2:sales");
    let until = NotificationFilter { until: later, ..any() };
    assert_eq!(list(until).await, "evt-1:office evt-1:sales");
    let both = NotificationFilter { destination: Some("sales".into()), until: later, ..any() };
    assert_eq!(list(both).await, "evt-1:sales");
    assert_eq!(list(NotificationFilter { limit: Some(1), ..any() }).await, "evt-2:sales");
    let second = bench.notifications().await[1].id;
    assert_eq!(list(NotificationFilter { before: Some(second), ..any() }).await, "evt-1:sales");
    assert!(bench.journal.notification(9_999).await.unwrap().is_none());
}

pub(super) async fn a_list_is_never_longer_than_a_thousand(place: Place) {
    let bench = Bench::new(place).await;
    bench.accept("many", &["sales"; 1_100]).await;
    let filter = NotificationFilter { limit: Some(50_000), ..NotificationFilter::default() };
    assert_eq!(bench.journal.notifications(filter).await.unwrap().len(), 1_000);
}

pub(super) async fn the_backlog_says_what_waits_and_since_when(place: Place) {
    let bench = Bench::new(place).await;
    assert!(bench.journal.backlog().await.unwrap().iter().all(|b| b.waiting == 0));
    let start = bench.now();
    bench.accept("evt-1", &["sales", "office", "done"]).await;
    sleep(Duration::from_secs(60)).await;
    bench.accept("evt-2", &["sales"]).await;
    let claim = bench.claims("sales", 1).await.remove(0);
    let done = bench.claim("done").await;
    bench.settle(done, Next::Sent).await;
    let office = bench.claim("office").await;
    bench.settle(office, Next::GaveUp).await;
    let waiting = |rows: Vec<Backlog>| -> Vec<_> {
        rows.into_iter()
            .filter(|b| b.waiting > 0)
            .map(|b| (b.destination, b.waiting, b.oldest))
            .collect()
    };
    let sales = |n, since| vec![("sales".to_owned(), n, Some(since))];
    let rows = waiting(bench.journal.backlog().await.unwrap());
    assert_eq!(rows, sales(2, start), "due or being sent");
    bench.settle(claim, Next::Sent).await;
    let rows = waiting(bench.journal.backlog().await.unwrap());
    assert_eq!(rows, sales(1, start + Duration::from_secs(60)));
}

pub(super) async fn every_commit_is_observed(place: Place) {
    let bench = Bench::new(place).await;
    let seen: Arc<Mutex<Vec<usize>>> = Arc::default();
    bench.journal.on_commit({
        let seen = Arc::clone(&seen);
        move |commit: Commit| seen.lock().unwrap().push(commit.events)
    });
    // The first observer stays.
    bench.journal.on_commit(|_| panic!("a second observer"));
    bench.accept("evt-1", &["sales"]).await;
    bench.accept("evt-1", &["sales"]).await;
    let claim = bench.claim("sales").await;
    bench.settle(claim, Next::Sent).await;
    bench.journal.close().await;
    assert_eq!(seen.lock().unwrap().iter().sum::<usize>(), 1, "a repetition is no new event");
    assert_eq!(seen.lock().unwrap().len(), 4, "claims and settlements are commits, too");
}
