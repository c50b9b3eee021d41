//! Keeping and removing: retention, the inbox, the text of rules, closing.

use super::super::InboxMessage;
use super::*;

pub(super) async fn old_events_go_a_little_at_a_time(place: Place) {
    let bench = Bench::new(place).await;
    for i in 0..450 {
        bench.accept(&format!("evt-{i}"), &[]).await;
    }
    sleep(KEEP / 2).await;
    bench.accept("young", &[]).await;
    let young = bench.now();
    let swept = bench.journal.sweep().await.unwrap();
    assert_eq!((swept.events, swept.more), (0, false));
    assert!(bench.clock.until(swept.next.unwrap()) > KEEP / 2 - DAY, "{swept:?}");
    sleep(KEEP / 2 + Duration::from_secs(1)).await;

    let (mut events, mut chunks) = (0, 0);
    loop {
        let swept = bench.journal.sweep().await.unwrap();
        assert!(swept.events <= 200, "an accept waits for all {} at once", swept.events);
        events += swept.events;
        chunks += 1;
        if !swept.more {
            let next = swept.next.unwrap();
            assert!(next > young + KEEP && next < young + KEEP + Duration::from_secs(1), "{next}");
            break;
        }
    }
    assert_eq!(events, 450);
    assert!(chunks > 2, "{chunks} chunks");
    assert_eq!(ids(&bench.events().await), ["young"]);
    sleep(KEEP).await;
    assert_eq!(bench.sweep().await, 1);
    let swept = bench.journal.sweep().await.unwrap();
    assert_eq!((swept.events, swept.more, swept.next), (0, false, None), "nothing is left");
}

pub(super) async fn what_waits_or_was_given_up_lately_stays(place: Place) {
    let bench = Bench::new(place).await;
    for id in ["waits", "sending", "gave-up-late", "gave-up-early", "sent", "half-sent"] {
        bench.accept(id, &[id]).await;
    }
    bench.accept("two", &["sent", "waits"]).await;
    let gone = bench.now() + KEEP * 3;
    for id in ["gave-up-early", "sent"] {
        for claim in bench.claims(id, 9).await {
            bench.settle(claim, if id == "sent" { Next::Sent } else { Next::GaveUp }).await;
        }
    }
    for claim in bench.claims("waits", 9).await {
        bench.settle(claim, Next::RetryAt(gone)).await;
    }
    let _sending = bench.claim("sending").await;
    sleep(KEEP - DAY).await;
    let claim = bench.claim("gave-up-late").await;
    bench.settle(claim, Next::GaveUp).await;
    sleep(DAY * 2).await;
    let claim = bench.claim("half-sent").await;
    assert_eq!(bench.sweep().await, 2);
    assert_eq!(
        ids(&bench.events().await),
        ["two", "half-sent", "gave-up-late", "sending", "waits"],
        "whatever their age"
    );
    // What was sent of an event that stays, stays with it.
    assert_eq!(bench.notifications().await.len(), 6);
    let (id, event) = (claim.id, claim.event_number);
    bench.settle(claim, Next::Sent).await;
    assert_eq!(bench.sweep().await, 1);
    assert!(bench.journal.event(event).await.unwrap().is_none());
    assert!(bench.journal.notification(id).await.unwrap().is_none(), "with its notifications");
    sleep(KEEP).await;
    assert_eq!(bench.sweep().await, 1);
    assert_eq!(ids(&bench.events().await), ["two", "sending", "waits"]);
    let bench = bench.crash().await;
    sleep(KEEP * 2).await;
    assert_eq!(bench.claims("waits", 9).await.len(), 2, "still owed after all that time");
}

pub(super) async fn numbers_and_keys_are_never_used_again(place: Place) {
    let bench = Bench::new(place).await;
    let first = bench.accept("evt-1", &["sales"]).await.number;
    let claim = bench.claim("sales").await;
    let (id, key) = (claim.id, claim.key);
    bench.settle(claim, Next::Sent).await;
    sleep(KEEP + DAY).await;
    assert_eq!(bench.sweep().await, 1);
    assert!(bench.events().await.is_empty() && bench.notifications().await.is_empty());
    let bench = bench.crash().await;
    assert!(bench.accept("evt-2", &["sales"]).await.number > first);
    let claim = bench.claim("sales").await;
    assert!(claim.id > id);
    assert_ne!(claim.key, key);
}

fn message(n: i64, at: Timestamp) -> InboxMessage {
    InboxMessage {
        notification: n,
        destination: "sales".into(),
        provider: "slack".into(),
        rule: "a rule".into(),
        recipient: Some("a@example.com".into()),
        subject: Some("a subject".into()),
        text: format!("text {n}"),
        html: Some("<p>text</p>".into()),
        at,
    }
}

pub(super) async fn the_inbox_keeps_the_newest_thousand(place: Place) {
    let bench = Bench::new(place).await;
    assert!(bench.journal.inbox(10).await.unwrap().is_empty());
    for n in 1..=1_010 {
        bench.journal.keep_in_inbox(message(n, bench.now())).await.unwrap();
    }
    let bench = bench.crash().await;
    let kept = bench.journal.inbox(5_000).await.unwrap();
    let numbers: Vec<_> = kept.iter().map(|m| m.notification).collect();
    assert_eq!(numbers, (11..=1_010).rev().collect::<Vec<_>>());
    assert_eq!(format!("{:?}", kept[0]), format!("{:?}", message(1_010, bench.now())));
    assert_eq!(bench.journal.inbox(3).await.unwrap().len(), 3);
}

pub(super) async fn inbox_messages_go_when_they_are_old(place: Place) {
    let bench = Bench::new(place).await;
    bench.journal.keep_in_inbox(message(1, bench.now())).await.unwrap();
    sleep(KEEP).await;
    bench.journal.keep_in_inbox(message(2, bench.now())).await.unwrap();
    bench.sweep().await;
    assert_eq!(bench.journal.inbox(9).await.unwrap().len(), 2);
    sleep(Duration::from_secs(1)).await;
    bench.sweep().await;
    assert_eq!(bench.journal.inbox(9).await.unwrap()[0].notification, 2);
    assert_eq!(bench.journal.inbox(9).await.unwrap().len(), 1);
}

pub(super) async fn the_text_of_rules_is_there_while_an_event_needs_it(place: Place) {
    let bench = Bench::new(place).await;
    let text =
        async |bench: &Bench, version: &str| bench.journal.rules_text(version).await.unwrap();
    assert_eq!(text(&bench, "version-1").await, None);
    bench.journal.remember_rules("version-1", "the text").await.unwrap();
    bench.journal.remember_rules("version-1", "the text").await.unwrap();
    let bench = bench.crash().await;
    assert_eq!(text(&bench, "version-1").await.as_deref(), Some("the text"));
    // The rules of the moment stay, whether they have decided anything or not.
    bench.journal.remember_rules("version-1", "the text").await.unwrap();
    sleep(KEEP * 2).await;
    bench.sweep().await;
    assert_eq!(text(&bench, "version-1").await.as_deref(), Some("the text"));

    bench.accept("evt-1", &[]).await;
    sleep(DAY).await;
    bench.journal.remember_rules("version-2", "another text").await.unwrap();
    let mut second = bench.event("evt-2", &[]);
    second.rules = "version-2".into();
    bench.journal.accept(second).await.unwrap();
    sleep(KEEP - Duration::from_secs(1)).await;
    assert_eq!(bench.sweep().await, 1);
    assert_eq!(text(&bench, "version-1").await, None, "its last event went");
    assert_eq!(text(&bench, "version-2").await.as_deref(), Some("another text"));
    // Rules that come back are remembered anew.
    bench.journal.remember_rules("version-1", "the text").await.unwrap();
    bench.accept("evt-3", &[]).await;
    assert_eq!(text(&bench, "version-1").await.as_deref(), Some("the text"));
    assert_eq!(bench.events().await[0].rules, "version-1");
}

pub(super) async fn a_closed_journal_has_written_all_and_can_be_opened_again(place: Place) {
    let bench = Bench::new(place).await;
    assert!(bench.journal.writable().await.is_ok());
    let mut accepting = Vec::new();
    for i in 0..20 {
        let mut accept = Box::pin(bench.journal.accept(bench.event(&i.to_string(), &["sales"])));
        assert!(poll_once(accept.as_mut()).await.is_none());
        accepting.push(accept);
    }
    bench.journal.close().await;
    for accept in accepting {
        accept.await.unwrap();
    }
    let twin = bench.journal.clone();
    let closed = |answer: Result<(), JournalError>| {
        assert!(matches!(answer, Err(JournalError::Closed)), "{answer:?}");
    };
    closed(twin.accept(bench.event("late", &[])).await.map(drop));
    closed(twin.claim("sales", 1).await.map(drop));
    closed(twin.events(EventFilter::default()).await.map(drop));
    closed(twin.retry(RetrySelection::Ids(vec![1])).await.map(drop));
    closed(twin.remember_rules("version-1", "").await);
    closed(twin.sweep().await.map(drop));
    closed(twin.writable().await);
    twin.close().await;

    let bench = bench.reopen().await;
    assert_eq!(bench.events().await.len(), 20);
    assert_eq!(bench.claims("sales", 99).await.len(), 20);
}

pub(super) async fn a_place_is_one_journals_at_a_time(place: Place) {
    let bench = Bench::new(place).await;
    let err = bench.place.open(KEEP, &bench.clock).await.unwrap_err().to_string();
    assert!(err.contains("journal.db"), "{err}");
    bench.accept("evt-1", &[]).await;
    bench.reopen().await;
}
