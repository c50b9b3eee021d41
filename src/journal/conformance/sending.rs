//! Sending: claims, settlements, wakes, and what a crash or a person makes due again.

use super::super::Retried;
use super::*;

pub(super) async fn claims_come_oldest_due_first_and_never_twice(place: Place) {
    let bench = Bench::new(place).await;
    for i in 0..5 {
        bench.accept(&format!("evt-{i}"), &["sales"]).await;
        sleep(Duration::from_secs(1)).await;
    }
    // The first becomes the last to be due.
    let first = bench.claims("sales", 1).await.remove(0);
    assert_eq!(first.event.id, "evt-0");
    bench.settle(first, Next::RetryAt(bench.now())).await;
    let two = bench.claims("sales", 2).await;
    let three = bench.claims("sales", 10).await;
    assert!(bench.claims("sales", 10).await.is_empty());
    let order: Vec<_> = two.iter().chain(&three).map(|c| c.event.id.as_str()).collect();
    assert_eq!(order, ["evt-1", "evt-2", "evt-3", "evt-4", "evt-0"]);
    assert!(bench.notifications().await.iter().all(|row| row.state == State::Sending));
}

pub(super) async fn claims_that_are_asked_for_at_once_do_not_overlap(place: Place) {
    let bench = Arc::new(Bench::new(place).await);
    bench.accept("evt-1", &["sales"; 100]).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let bench = Arc::clone(&bench);
        tasks.spawn(async move { bench.claims("sales", 7).await });
    }
    let mut claimed: Vec<i64> =
        tasks.join_all().await.into_iter().flatten().map(|claim| claim.id).collect();
    assert_eq!(claimed.len(), 100);
    claimed.sort_unstable();
    claimed.dedup();
    assert_eq!(claimed.len(), 100);
}

pub(super) async fn a_claim_carries_all_that_an_attempt_needs(place: Place) {
    let bench = Bench::new(place).await;
    let mut new = bench.event("evt-1", &["sales"]);
    new.decision.owed[0].recipient = Some("+15550001111".into());
    let event = new.event.clone();
    let accepted = bench.journal.accept(new).await.unwrap();
    let created = bench.now();
    sleep(Duration::from_secs(9)).await;
    let claim = bench.claim("sales").await;
    let row = bench.notifications().await.remove(0);
    assert_eq!((claim.id, claim.key, claim.event_number), (row.id, row.key, accepted.number));
    assert_eq!((&*claim.rule, &*claim.destination), ("a rule", "sales"));
    assert_eq!(claim.recipient.as_deref(), Some("+15550001111"));
    assert_eq!(claim.template.as_deref(), Some("a-template"));
    assert_eq!((claim.attempt, claim.created, claim.started), (1, created, bench.now()));
    assert_eq!((&claim.event.source, &claim.event.id), (&event.source, &event.id));
    assert_eq!((&claim.event.kind, claim.event.time), (&event.kind, event.time));
    assert_eq!((claim.event.received, &claim.event.body), (event.received, &event.body));
}

pub(super) async fn next_due_is_when_it_is_worth_asking_again(place: Place) {
    let bench = Bench::new(place).await;
    assert_eq!(bench.journal.claim("sales", 9).await.unwrap().next_due, None);
    bench.accept("evt-1", &["sales", "sales", "office"]).await;
    let accepted = bench.now();
    // More is due than was asked for.
    let one = bench.journal.claim("sales", 1).await.unwrap();
    assert_eq!((one.claims.len(), one.next_due), (1, Some(accepted)));
    let two = bench.journal.claim("sales", 1).await.unwrap();
    assert_eq!((two.claims.len(), two.next_due), (1, None), "office is another's");
    let later = bench.now() + Duration::from_secs(90);
    let sooner = bench.now() + Duration::from_secs(30);
    for (claims, at) in [(one.claims, later), (two.claims, sooner)] {
        for claim in claims {
            bench.settle(claim, Next::RetryAt(at)).await;
        }
    }
    let none = bench.journal.claim("sales", 9).await.unwrap();
    assert_eq!((none.claims.len(), none.next_due), (0, Some(sooner)));
}

pub(super) async fn whoever_waits_for_a_destination_is_woken_when_something_is_due_for_it(
    place: Place,
) {
    let bench = Bench::new(place).await;
    let (sales, office) = (bench.journal.wakes("sales"), bench.journal.wakes("office"));
    assert!(Arc::ptr_eq(&sales, &bench.journal.wakes("sales")), "the same one each time");
    assert!(!is_woken(&sales).await);
    bench.accept("evt-1", &["sales"]).await;
    assert!(is_woken(&sales).await, "a wake is kept for who comes later");
    assert!(!is_woken(&sales).await, "once");
    assert!(!is_woken(&office).await);
    // A repetition owes nothing.
    bench.accept("evt-1", &["sales"]).await;
    assert!(!is_woken(&sales).await);

    let claim = bench.claim("sales").await;
    assert!(!is_woken(&sales).await);
    bench.settle(claim, Next::RetryAt(bench.now() + Duration::from_secs(5))).await;
    assert!(is_woken(&sales).await, "a later attempt was planned");
    sleep(Duration::from_secs(5)).await;
    let claim = bench.claim("sales").await;
    bench.settle(claim, Next::HandBack).await;
    assert!(is_woken(&sales).await);
    let claim = bench.claim("sales").await;
    let id = claim.id;
    bench.settle(claim, Next::GaveUp).await;
    assert!(!is_woken(&sales).await);
    bench.journal.retry(RetrySelection::Ids(vec![id])).await.unwrap();
    assert!(is_woken(&sales).await);
    assert!(!is_woken(&office).await);
    // Whoever waits already is woken, too.
    let mut waiting = Box::pin(sales.notified());
    assert!(poll_once(waiting.as_mut()).await.is_none());
    bench.accept("evt-2", &["office", "sales"]).await;
    waiting.await;
}

pub(super) async fn sent_is_the_end(place: Place) {
    let bench = Bench::new(place).await;
    bench.accept("evt-1", &["sales"]).await;
    let claim = bench.claim("sales").await;
    let (id, started) = (claim.id, claim.started);
    sleep(Duration::from_secs(2)).await;
    let ended = bench.now();
    let outcome = Outcome {
        fallback_text: Some("the template is broken".into()),
        ..bench.outcome(Next::Sent)
    };
    bench.journal.settle(claim, outcome).await.unwrap();
    sleep(DAY).await;
    let bench = bench.crash().await;
    assert_eq!(bench.journal.found().interrupted, 0);
    assert!(bench.claims("sales", 9).await.is_empty());
    let row = bench.notification(id).await;
    assert_eq!((row.state, row.due, row.settled), (State::Sent, None, Some(ended)));
    assert_eq!((row.attempts, row.reason.as_deref()), (1, Some("HTTP 200 ok")));
    let [attempt] = &row.history[..] else { panic!("{row:?}") };
    assert_eq!((attempt.attempt, attempt.started, attempt.ended), (1, started, ended));
    assert_eq!((attempt.outcome.as_str(), attempt.status), ("sent", Some(200)));
    assert_eq!(attempt.detail, "HTTP 200 ok");
    assert_eq!(attempt.fallback_text.as_deref(), Some("the template is broken"));
}

pub(super) async fn a_retry_is_due_at_its_time_and_not_before(place: Place) {
    let bench = Bench::new(place).await;
    bench.accept("evt-1", &["sales"]).await;
    let claim = bench.claim("sales").await;
    let (id, key, created) = (claim.id, claim.key, claim.created);
    let at = bench.now() + Duration::from_secs(30);
    bench.settle(claim, Next::RetryAt(at)).await;
    sleep(Duration::from_secs(29)).await;
    assert!(bench.claims("sales", 9).await.is_empty());
    let row = bench.notification(id).await;
    assert_eq!((row.state, row.due, row.settled), (State::Due, Some(at), None));
    assert_eq!(row.reason.as_deref(), Some("HTTP 503"));
    // The plan outlives the process.
    let bench = bench.crash().await;
    assert!(bench.claims("sales", 9).await.is_empty());
    sleep(Duration::from_secs(1)).await;
    let claim = bench.claim("sales").await;
    assert_eq!((claim.key, claim.attempt, claim.created), (key, 2, created));
    bench.settle(claim, Next::Sent).await;
    let row = bench.notification(id).await;
    let outcomes: Vec<_> = row.history.iter().map(|a| (a.attempt, a.outcome.as_str())).collect();
    assert_eq!(outcomes, [(1, "retry"), (2, "sent")]);
}

pub(super) async fn given_up_is_kept_with_its_reason(place: Place) {
    let bench = Bench::new(place).await;
    bench.accept("evt-1", &["sales"]).await;
    let claim = bench.claim("sales").await;
    bench.settle(claim, Next::GaveUp).await;
    let ended = bench.now();
    let bench = bench.crash().await;
    assert!(bench.claims("sales", 9).await.is_empty());
    let row = bench.notification(bench.notifications().await[0].id).await;
    assert_eq!((row.state, row.due, row.settled), (State::GaveUp, None, Some(ended)));
    assert_eq!(row.reason.as_deref(), Some("HTTP 404 no such channel"));
    assert_eq!(row.history[0].outcome, "gave_up");
}

pub(super) async fn handed_back_is_no_attempt(place: Place) {
    let bench = Bench::new(place).await;
    bench.accept("evt-1", &["sales"]).await;
    let claim = bench.claim("sales").await;
    let id = claim.id;
    bench.settle(claim, Next::HandBack).await;
    let row = bench.notification(id).await;
    assert_eq!((row.state, row.attempts, row.due), (State::Due, 0, Some(bench.now())));
    assert!(row.history.is_empty());
    let bench = bench.reopen().await;
    assert_eq!(bench.journal.found().interrupted, 0);
    assert_eq!(bench.claim("sales").await.attempt, 1);
}

pub(super) async fn a_second_settlement_changes_nothing(place: Place) {
    let bench = Bench::new(place).await;
    let at = bench.now() + Duration::from_secs(30);
    for (first, state) in [
        (Next::Sent, State::Sent),
        (Next::GaveUp, State::GaveUp),
        (Next::RetryAt(at), State::Due),
        (Next::HandBack, State::Due),
    ] {
        for second in [Next::Sent, Next::GaveUp, Next::RetryAt(at), Next::HandBack] {
            bench.accept(&format!("{first:?} {second:?}"), &["sales"]).await;
            let claim = bench.claim("sales").await;
            let twin = same(&claim);
            let id = claim.id;
            bench.settle(claim, first).await;
            let before = bench.notification(id).await;
            assert_eq!(before.state, state, "{first:?}");
            bench.settle(twin, second).await;
            let after = bench.notification(id).await;
            assert_eq!(format!("{before:?}"), format!("{after:?}"), "{first:?}, then {second:?}");
            // Out of the way of the next one.
            if first == Next::HandBack {
                let claim = bench.claim("sales").await;
                bench.settle(claim, Next::Sent).await;
            }
        }
    }
}

pub(super) async fn the_settlement_of_an_older_claim_changes_nothing(place: Place) {
    let bench = Bench::new(place).await;
    bench.accept("evt-1", &["sales"]).await;
    let first = bench.claim("sales").await;
    let late = same(&first);
    bench.settle(first, Next::RetryAt(bench.now())).await;
    let second = bench.claim("sales").await;
    assert_eq!((late.id, late.attempt, second.attempt), (second.id, 1, 2));
    bench.settle(late, Next::Sent).await;
    let row = bench.notification(second.id).await;
    assert_eq!((row.state, row.history.len()), (State::Sending, 1));
    bench.settle(second, Next::GaveUp).await;
    assert_eq!(bench.notifications().await[0].state, State::GaveUp);
}

pub(super) async fn an_attempt_that_a_crash_cut_off_is_named_and_due_again(place: Place) {
    let bench = Bench::new(place).await;
    assert_eq!(bench.journal.found().interrupted, 0);
    bench.accept("evt-1", &["sales", "sales", "office"]).await;
    let claims = bench.claims("sales", 9).await;
    let keys: Vec<_> = claims.iter().map(|c| (c.id, c.key)).collect();
    let started = bench.now();
    sleep(Duration::from_secs(3)).await;

    let bench = bench.crash().await;
    assert_eq!(bench.journal.found().interrupted, 2);
    let again = bench.claims("sales", 9).await;
    assert_eq!(again.iter().map(|c| (c.id, c.key)).collect::<Vec<_>>(), keys);
    assert!(again.iter().all(|c| c.attempt == 2), "it may have been sent, so it counts");
    assert_eq!(bench.claim("office").await.attempt, 1);
    let row = bench.notification(keys[0].0).await;
    let [attempt] = &row.history[..] else { panic!("{row:?}") };
    assert_eq!((attempt.attempt, attempt.outcome.as_str()), (1, "interrupted"));
    assert_eq!((attempt.started, attempt.ended, attempt.status), (started, bench.now(), None));
    assert!(attempt.detail.contains("may have been sent"), "{}", attempt.detail);

    // Cut off again and again, each is named.
    let bench = bench.crash().await;
    assert_eq!(bench.journal.found().interrupted, 3);
    let claim = bench.claims("sales", 1).await.remove(0);
    let id = claim.id;
    bench.settle(claim, Next::Sent).await;
    let row = bench.notification(id).await;
    let outcomes: Vec<_> = row.history.iter().map(|a| (a.attempt, a.outcome.as_str())).collect();
    assert_eq!(outcomes, [(1, "interrupted"), (2, "interrupted"), (3, "sent")]);
}

pub(super) async fn a_clock_that_is_set_back_holds_nothing_up(place: Place) {
    let bench = Bench::new(place).await;
    bench.accept("evt-1", &["sales", "office"]).await;
    let claim = bench.claim("sales").await;
    sleep(Duration::from_secs(1)).await;
    bench.settle(claim, Next::RetryAt(bench.now() + Duration::from_secs(30))).await;

    let bench = bench.crash_back(DAY).await;
    let back = bench.now();
    // What was due is due, and a wait is as long as it was, however late its end was planned.
    let office = bench.claim("office").await;
    assert_eq!((office.attempt, office.created), (1, back), "its age counts from today");
    let none = bench.journal.claim("sales", 9).await.unwrap();
    assert_eq!(none.claims.len(), 0);
    let wait = bench.clock.until(none.next_due.unwrap());
    assert!(wait <= Duration::from_secs(31), "{wait:?}");
    sleep(Duration::from_secs(31)).await;
    let claim = bench.claim("sales").await;
    assert_eq!(claim.attempt, 2);
    // What is planned now is planned by today's clock.
    let at = bench.now() + Duration::from_secs(40);
    bench.settle(claim, Next::RetryAt(at)).await;
    assert_eq!(bench.journal.claim("sales", 9).await.unwrap().next_due, Some(at));
    bench.accept("evt-2", &["office"]).await;
    assert_eq!(bench.claims("office", 9).await.len(), 1);
}

pub(super) async fn a_clock_that_goes_back_a_little_changes_nothing(place: Place) {
    let bench = Bench::new(place).await;
    bench.accept("evt-1", &["sales"]).await;
    let claim = bench.claim("sales").await;
    let at = bench.now() + Duration::from_secs(30);
    bench.settle(claim, Next::RetryAt(at)).await;
    let bench = bench.crash_back(Duration::from_secs(3)).await;
    assert_eq!(bench.journal.claim("sales", 9).await.unwrap().next_due, Some(at));
}

pub(super) async fn a_shadow_is_recorded_and_never_sent(place: Place) {
    let bench = Bench::new(place).await;
    let mut new = bench.event("evt-1", &["sales", "sales"]);
    new.decision.owed[0].plan = Plan::Shadow;
    bench.journal.accept(new).await.unwrap();
    assert_eq!(bench.claims("sales", 9).await.len(), 1);
    let filter = NotificationFilter { state: Some(State::Shadow), ..NotificationFilter::default() };
    let rows = bench.journal.notifications(filter).await.unwrap();
    assert_eq!((rows.len(), rows[0].due, rows[0].settled), (1, None, Some(bench.now())));
    assert!(rows[0].reason.as_deref().unwrap().contains("shadow"));
    let answer = bench.journal.retry(RetrySelection::Ids(vec![rows[0].id])).await.unwrap();
    assert_eq!(answer.refused, [(rows[0].id, Some(State::Shadow))]);
    assert_eq!(bench.crash().await.claims("sales", 9).await.len(), 1, "the other one, cut off");
}

pub(super) async fn a_key_stays_the_same_and_no_other_notification_has_it(place: Place) {
    let another = Bench::new(place.fresh()).await;
    let bench = Bench::new(place).await;
    for i in 0..20 {
        bench.accept(&format!("evt-{i}"), &["sales", "office"]).await;
        another.accept(&format!("evt-{i}"), &["sales", "office"]).await;
    }
    let mut keys: Vec<_> = bench.notifications().await.iter().map(|row| row.key).collect();
    let bench = bench.crash().await;
    let after: Vec<_> = bench.notifications().await.iter().map(|row| row.key).collect();
    assert_eq!(keys, after, "over openings");
    let claim = bench.claims("sales", 1).await.remove(0);
    assert!(keys.contains(&claim.key), "the claim's is the row's");
    keys.extend(another.notifications().await.iter().map(|row| row.key));
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 80, "not even of another journal with the same numbers");
}

pub(super) async fn what_waits_for_a_destination_that_is_gone_is_given_up(place: Place) {
    let bench = Bench::new(place).await;
    // More than one operation changes at once.
    bench.accept("many", &["gone"; 1_100]).await;
    bench.accept("evt-1", &["sales", "gone", "away"]).await;
    let sending = bench.claims("gone", 1).await.remove(0);
    let known: [Arc<str>; 2] = ["sales".into(), "office".into()];
    assert_eq!(bench.journal.orphan(&known).await.unwrap(), 1_101);
    assert_eq!(bench.journal.orphan(&known).await.unwrap(), 0);
    assert!(bench.claims("gone", 9).await.is_empty());
    assert_eq!(bench.claims("sales", 9).await.len(), 1);
    let rows = bench.notifications().await;
    let away = rows.iter().find(|row| row.destination == "away").unwrap();
    assert_eq!((away.state, away.settled), (State::GaveUp, Some(bench.now())));
    assert!(away.reason.as_deref().unwrap().contains("`away`"), "{away:?}");
    // What is under way ends by itself.
    let id = sending.id;
    assert_eq!(bench.notification(id).await.state, State::Sending);
    bench.settle(sending, Next::Sent).await;
    assert_eq!(bench.notification(id).await.state, State::Sent);
}

pub(super) async fn a_retry_by_a_person_has_a_fresh_budget(place: Place) {
    let bench = Bench::new(place).await;
    bench.accept("evt-1", &["sales"]).await;
    let mut claim = bench.claim("sales").await;
    let key = claim.key;
    let id = claim.id;
    bench.settle(claim, Next::RetryAt(bench.now())).await;
    claim = bench.claim("sales").await;
    bench.settle(claim, Next::GaveUp).await;
    sleep(DAY).await;
    let answer = bench.journal.retry(RetrySelection::Ids(vec![id])).await.unwrap();
    assert_eq!((answer.retried, answer.refused), (vec![id], vec![]));
    let asked = bench.now();
    let row = bench.notification(id).await;
    assert_eq!((row.state, row.due, row.settled), (State::Due, Some(asked), None));
    let bench = bench.crash().await;
    claim = bench.claim("sales").await;
    assert_eq!((claim.attempt, claim.created, claim.key), (1, asked, key));
    bench.settle(claim, Next::Sent).await;
    // The history goes on.
    let row = bench.notification(id).await;
    let outcomes: Vec<_> = row.history.iter().map(|a| (a.attempt, a.outcome.as_str())).collect();
    assert_eq!(outcomes, [(1, "retry"), (2, "gave_up"), (3, "sent")]);
    assert_eq!(row.attempts, 3);
}

pub(super) async fn a_retry_says_what_it_left_alone(place: Place) {
    let bench = Bench::new(place).await;
    bench.accept("evt-1", &["sent", "due", "sending", "gone"]).await;
    let rows = bench.notifications().await;
    let id = |to: &str| rows.iter().find(|row| row.destination == to).unwrap().id;
    let claim = bench.claim("sent").await;
    bench.settle(claim, Next::Sent).await;
    let _sending = bench.claim("sending").await;
    let claim = bench.claim("gone").await;
    bench.settle(claim, Next::GaveUp).await;
    let asked = vec![id("sent"), id("due"), id("sending"), id("gone"), 12_345];
    let Retried { retried, refused } =
        bench.journal.retry(RetrySelection::Ids(asked)).await.unwrap();
    assert_eq!(retried, [id("gone")]);
    assert_eq!(
        refused,
        [
            (id("sent"), Some(State::Sent)),
            (id("due"), Some(State::Due)),
            (id("sending"), Some(State::Sending)),
            (12_345, None),
        ]
    );
}

pub(super) async fn a_retry_of_all_that_fit_leaves_the_others(place: Place) {
    let bench = Bench::new(place).await;
    // More than one operation changes at once.
    bench.accept("many", &["sales"; 1_100]).await;
    let mut other = bench.event("evt-1", &["sales", "office"]);
    other.decision.owed[0].rule = "another rule".into();
    bench.journal.accept(other).await.unwrap();
    for destination in ["sales", "office"] {
        for claim in bench.claims(destination, 2_000).await {
            bench.settle(claim, Next::GaveUp).await;
        }
    }
    let retry = |filter: NotificationFilter| {
        let journal = bench.journal.clone();
        async move { journal.retry(RetrySelection::Matching(filter)).await.unwrap().retried.len() }
    };
    let filter = NotificationFilter::default;
    let to = |to: &str| NotificationFilter { destination: Some(to.into()), ..filter() };
    assert_eq!(retry(to("nobody")).await, 0);
    let later = Some(bench.now() + DAY);
    assert_eq!(retry(NotificationFilter { since: later, ..filter() }).await, 0);
    assert_eq!(
        retry(NotificationFilter { rule: Some("another rule".into()), ..filter() }).await,
        1
    );
    // State and paging say nothing here.
    let all = NotificationFilter { limit: Some(1), state: Some(State::Sent), ..to("sales") };
    assert_eq!(retry(all).await, 1_100);
    assert_eq!(bench.claims("sales", 2_000).await.len(), 1_101);
    assert!(bench.claims("office", 9).await.is_empty());
    assert_eq!(retry(filter()).await, 1);
    assert_eq!(retry(filter()).await, 0);
}
