//! Taking events in: durable, once, and with all that they owe.

use super::super::Duplicate;
use super::*;
use crate::rules::Unknown;

pub(super) async fn an_accepted_event_and_all_that_it_owes_are_there_after_a_crash(place: Place) {
    let bench = Bench::new(place).await;
    let mut new = bench.event("evt-1", &["sales", "office"]);
    new.decision.owed[1].recipient = Some("office@example.com".into());
    new.decision.owed[1].template = None;
    new.decision.unknown =
        vec![Unknown { rule: "another rule".into(), fields: vec!["duration".into()] }];
    let body = new.event.body.clone();
    let received = new.event.received;
    let accepted = bench.journal.accept(new).await.unwrap();
    assert_eq!(accepted.duplicate, None);

    let bench = bench.crash().await;
    let row = bench.journal.event(accepted.number).await.unwrap().unwrap();
    assert_eq!((row.source.as_str(), row.id.as_str()), ("replicer", "evt-1"));
    assert_eq!(row.kind, "call.ended");
    assert_eq!(row.time, Some("2026-03-28T11:59:00Z".parse().unwrap()));
    assert_eq!(row.received, received);
    assert_eq!((row.duplicates, row.conflicts, row.notifications), (0, 0, 2));
    assert_eq!(row.rules, "version-1");
    assert_eq!(row.unknown[0].rule, "another rule");
    assert_eq!(row.unknown[0].fields, ["duration"]);
    assert_eq!(row.body.unwrap().get().as_bytes(), &body[..], "byte for byte");

    let rows = bench.notifications().await;
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!(row.event_number, accepted.number);
        assert_eq!((row.event.as_str(), row.source.as_str()), ("evt-1", "replicer"));
        assert_eq!((row.state, row.attempts), (State::Due, 0));
        assert_eq!((row.created, row.due, row.settled), (received, Some(received), None));
    }
    let office = rows.iter().find(|row| row.destination == "office").unwrap();
    assert_eq!(office.recipient.as_deref(), Some("office@example.com"));
    assert_eq!((office.template.as_deref(), office.rule.as_str()), (None, "a rule"));
    let sales = rows.iter().find(|row| row.destination == "sales").unwrap();
    assert_eq!((sales.recipient.as_deref(), sales.template.as_deref()), (None, Some("a-template")));
}

pub(super) async fn an_event_and_what_it_owes_are_never_apart(place: Place) {
    let bench = Arc::new(Bench::new(place).await);
    let mut accepting = tokio::task::JoinSet::new();
    accepting.spawn({
        let bench = Arc::clone(&bench);
        async move {
            for i in 0..40 {
                let events: Vec<_> =
                    (0..4).map(|j| bench.event(&format!("{i}-{j}"), &["a", "b", "c"])).collect();
                let [a, b, c, d] = <[_; 4]>::try_from(events).unwrap();
                let journal = &bench.journal;
                let answers = tokio::join!(
                    journal.accept(a),
                    journal.accept(b),
                    journal.accept(c),
                    journal.accept(d)
                );
                answers.0.and(answers.1).and(answers.2).and(answers.3).unwrap();
            }
        }
    });
    let mut seen = 0;
    while accepting.try_join_next().is_none() {
        let place = bench.place.as_after_a_kill();
        let killed = Bench::under(place, KEEP, bench.clock.clone()).await;
        let events =
            killed.journal.events(EventFilter { limit: Some(1_000), ..EventFilter::default() });
        let events = events.await.unwrap();
        let filter = NotificationFilter { limit: Some(1_000), ..NotificationFilter::default() };
        let notifications = killed.journal.notifications(filter).await.unwrap();
        assert_eq!(notifications.len(), 3 * events.len());
        for event in &events {
            let owed = notifications.iter().filter(|n| n.event_number == event.number).count();
            assert_eq!(owed, 3, "event {}", event.id);
        }
        seen = events.len().max(seen);
        killed.journal.close().await;
    }
    assert!(seen > 0, "no kill fell into the accepting");
}

pub(super) async fn an_event_that_owes_nothing_is_kept_too(place: Place) {
    let bench = Bench::new(place).await;
    bench.accept("evt-1", &[]).await;
    let bench = bench.crash().await;
    let rows = bench.events().await;
    assert_eq!((rows.len(), rows[0].notifications), (1, 0));
    assert_eq!(bench.accept("evt-1", &[]).await.duplicate, Some(Duplicate::Same));
}

pub(super) async fn a_repetition_is_the_same_event_and_owes_nothing(place: Place) {
    let bench = Bench::new(place).await;
    let first = bench.accept("evt-1", &["sales"]).await;
    let again = bench.accept("evt-1", &["sales", "office"]).await;
    assert_eq!(again, Accepted { number: first.number, duplicate: Some(Duplicate::Same) });
    let bench = bench.crash().await;
    let again = bench.accept("evt-1", &["sales"]).await;
    assert_eq!(again, Accepted { number: first.number, duplicate: Some(Duplicate::Same) });
    assert_eq!(bench.notifications().await.len(), 1);
    let rows = bench.events().await;
    assert_eq!((rows.len(), rows[0].duplicates, rows[0].conflicts), (1, 2, 0));
}

pub(super) async fn another_body_under_the_same_id_is_a_conflict_and_the_first_is_kept(
    place: Place,
) {
    let bench = Bench::new(place).await;
    let first = bench.accept("evt-1", &["sales"]).await;
    let mut other = bench.event("evt-1", &["sales"]);
    other.event.body = Bytes::from_static(br#"{"id":"evt-1","event":"call.ended","n":1.5}"#);
    let again = bench.journal.accept(other).await.unwrap();
    assert_eq!(again, Accepted { number: first.number, duplicate: Some(Duplicate::Conflict) });
    let row = bench.journal.event(first.number).await.unwrap().unwrap();
    assert!(row.body.unwrap().get().contains("1.50"), "the first body stays");
    assert_eq!((row.duplicates, row.conflicts), (0, 1));
    assert_eq!(bench.notifications().await.len(), 1);
}

pub(super) async fn another_id_with_a_known_natural_key_is_the_same_event(place: Place) {
    let bench = Bench::new(place).await;
    let call = |id: &str, call: &str| NewEvent {
        natural_keys: vec![DedupeKey::new("replicer", "call.ended callId", call)],
        ..bench.event(id, &["sales"])
    };
    let first = bench.journal.accept(call("evt-1", "call-7")).await.unwrap();
    let again = bench.journal.accept(call("evt-2", "call-7")).await.unwrap();
    assert_eq!(again, Accepted { number: first.number, duplicate: Some(Duplicate::NaturalKey) });
    let rows = bench.events().await;
    assert_eq!((ids(&rows), rows[0].duplicates), (vec!["evt-1"], 1));
    // Nothing of the refused one stays behind: its id is free.
    assert_eq!(bench.journal.accept(call("evt-2", "call-8")).await.unwrap().duplicate, None);
    // The id is looked at first.
    let both = bench.journal.accept(call("evt-1", "call-8")).await.unwrap();
    assert_eq!(both, Accepted { number: first.number, duplicate: Some(Duplicate::Same) });
    // A key that an event names twice is one key.
    let mut twice = call("evt-3", "call-9");
    twice.natural_keys.push(twice.natural_keys[0]);
    assert_eq!(bench.journal.accept(twice).await.unwrap().duplicate, None);
    assert_eq!(bench.notifications().await.len(), 3);
}

pub(super) async fn an_id_counts_within_its_source_only(place: Place) {
    let bench = Bench::new(place).await;
    bench.accept("evt-1", &[]).await;
    let mut other = bench.event("evt-1", &[]);
    other.event.source = "another".into();
    assert_eq!(bench.journal.accept(other).await.unwrap().duplicate, None);
    assert_eq!(bench.events().await.len(), 2);
}

pub(super) async fn one_event_accepted_by_many_at_once_is_new_once(place: Place) {
    let bench = Arc::new(Bench::new(place).await);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let bench = Arc::clone(&bench);
        tasks.spawn(async move { bench.accept("evt-1", &["sales"]).await });
    }
    let answers = tasks.join_all().await;
    assert_eq!(answers.iter().filter(|a| a.duplicate.is_none()).count(), 1);
    assert!(answers.iter().all(|a| a.number == answers[0].number));
    assert_eq!(bench.notifications().await.len(), 1);
    assert_eq!(bench.events().await[0].duplicates, 49);
}

pub(super) async fn a_repetition_is_known_for_seven_days_even_if_less_is_kept(place: Place) {
    let bench = Bench::keeping(place, Duration::from_secs(3600)).await;
    let natural = DedupeKey::new("replicer", "call.ended callId", "call-7");
    let mut new = bench.event("evt-1", &[]);
    new.natural_keys.push(natural);
    bench.journal.accept(new).await.unwrap();
    sleep(DAY * 7 - Duration::from_secs(1)).await;
    bench.sweep().await;
    let row = bench.events().await.remove(0);
    assert!(bench.journal.event(row.number).await.unwrap().unwrap().body.is_none(), "it went");

    let bench = bench.crash().await;
    assert_eq!(bench.accept("evt-1", &[]).await.duplicate, Some(Duplicate::Same));
    let mut other = bench.event("evt-1", &[]);
    other.event.body = Bytes::from_static(b"{}");
    let other = bench.journal.accept(other).await.unwrap();
    assert_eq!(other.duplicate, Some(Duplicate::Conflict), "known without the body, too");
    let mut again = bench.event("evt-2", &[]);
    again.natural_keys.push(natural);
    let again = bench.journal.accept(again).await.unwrap();
    assert_eq!(again.duplicate, Some(Duplicate::NaturalKey));

    sleep(Duration::from_secs(2)).await;
    bench.sweep().await;
    assert!(bench.events().await.is_empty());
    let mut late = bench.event("evt-1", &[]);
    late.natural_keys.push(natural);
    assert_eq!(bench.journal.accept(late).await.unwrap().duplicate, None, "the window is over");
}

pub(super) async fn a_repetition_is_known_as_long_as_its_event_is_kept(place: Place) {
    let bench = Bench::new(place).await;
    bench.accept("evt-1", &[]).await;
    sleep(KEEP - Duration::from_secs(1)).await;
    bench.sweep().await;
    assert_eq!(bench.accept("evt-1", &[]).await.duplicate, Some(Duplicate::Same));
    sleep(Duration::from_secs(2)).await;
    bench.sweep().await;
    assert_eq!(bench.accept("evt-1", &[]).await.duplicate, None);
}

pub(super) async fn an_event_is_accepted_even_if_its_caller_went_away(place: Place) {
    let bench = Bench::new(place).await;
    let woken = bench.journal.wakes("sales");
    {
        let mut accepting = Box::pin(bench.journal.accept(bench.event("evt-1", &["sales"])));
        // One look, which puts it into the queue; then the caller is gone.
        let _ = poll_once(accepting.as_mut()).await;
    }
    woken.notified().await;
    assert_eq!(ids(&bench.events().await), ["evt-1"]);
    assert_eq!(bench.claims("sales", 10).await.len(), 1);
}

pub(super) async fn what_is_more_than_the_journal_takes_on_is_refused_and_not_stored(place: Place) {
    // The machine's clock: waiting for an answer under a simulated one costs a thread each.
    let bench = Bench::under(place, KEEP, Clock::system()).await;
    let mut waiting = Vec::new();
    let mut refused = 0;
    for i in 0..200_000 {
        let mut accepting = Box::pin(bench.journal.accept(bench.event(&i.to_string(), &[])));
        match poll_once(accepting.as_mut()).await {
            None => waiting.push(accepting),
            Some(Ok(_)) => {}
            Some(Err(JournalError::Overloaded(most))) => {
                assert!(most >= 256, "{most}");
                refused += 1;
                if refused == 10 {
                    break;
                }
            }
            Some(Err(other)) => panic!("{other}"),
        }
    }
    assert_eq!(refused, 10, "it takes on any amount");
    let mut accepted = 0_usize;
    for accepting in waiting {
        assert_eq!(accepting.await.unwrap().duplicate, None);
        accepted += 1;
    }
    // It was a moment's matter.
    bench.accept("later", &[]).await;
    let newest = bench.events().await.remove(0);
    assert_eq!(
        usize::try_from(newest.number).unwrap(),
        accepted + 1,
        "what was refused isn't there"
    );
    bench.journal.close().await;
}
