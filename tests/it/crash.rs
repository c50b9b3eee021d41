//! kill -9 at random moments of accepting, sending and recovering, many times over: nothing that was acknowledged is
//! lost, and nothing comes twice without a reason that the journal knows.
//!
//! `HOOKBELL_CRASH_ROUNDS` sets the number of rounds (60), `HOOKBELL_CRASH_SEED` repeats a run's choices.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::support::bridge::{post_to, telling};
use crate::support::{Bridge, Receiver, Reply, Watch, call};

/// How many threads post at once.
const SENDERS: u64 = 4;

/// What the senders know: every id that was posted, and whether it was acknowledged.
#[derive(Default)]
struct Posted {
    acknowledged: BTreeSet<String>,
    open: BTreeSet<String>,
}

fn setting(name: &str) -> Option<u64> {
    std::env::var_os(name).map(|value| {
        value.to_str().and_then(|v| v.parse().ok()).unwrap_or_else(|| panic!("{name} is no number"))
    })
}

#[test]
fn kill_9_at_random_moments_loses_nothing_that_was_acknowledged() {
    let rounds = setting("HOOKBELL_CRASH_ROUNDS").unwrap_or(60);
    let seed = setting("HOOKBELL_CRASH_SEED").unwrap_or_else(|| fastrand::u64(..));
    eprintln!("HOOKBELL_CRASH_SEED={seed} HOOKBELL_CRASH_ROUNDS={rounds}");
    let mut random = fastrand::Rng::with_seed(seed);

    // One answer in eight is a failure, so that kills also fall between attempts.
    let failures: Vec<Reply> = (0..100_000)
        .map(|_| if random.u8(..8) == 0 { Reply::status(503, "") } else { Reply::ok() })
        .collect();
    let receiver = Receiver::script(failures, Reply::ok());
    let rules = telling(
        &receiver.url("/slack"),
        // Several at once, so that a kill cuts off several.
        "concurrency = 8\nretry = { first = \"10ms\", longest = \"100ms\", attempts = 100000 }",
    );
    let mut stopped = Bridge::with_rules(&rules).template("id.hbs", "{{id}}").prepare();
    let posted = Mutex::new(Posted::default());
    let next = AtomicU64::new(0);
    let unanswered = AtomicU64::new(0);
    let (mut start, mut slowest, mut cut_recoveries) = (Duration::ZERO, Duration::ZERO, 0_u64);

    for round in 0..rounds {
        // Every fourth kill falls into the recovery itself: between the journal's opening and the first work.
        if random.u8(..4) == 0 {
            let mut process = stopped.spawn();
            while !has_open(process.id(), "hookbell.db") && process.ended().is_none() {
                std::thread::sleep(Duration::from_micros(200));
            }
            std::thread::sleep(start.mul_f64(random.f64() / 3.0));
            process.kill9();
            if !process.failed().log.contains("\"ready\"") {
                cut_recoveries += 1;
            }
        }
        let watch = Watch::start();
        let bridge = stopped.started();
        start = watch.elapsed();
        slowest = slowest.max(start);
        let stop = AtomicBool::new(false);
        let address = bridge.events();
        let lifetime = Duration::from_micros(random.u64(1_000..250_000));
        stopped = std::thread::scope(|scope| {
            for sender in 0..SENDERS {
                let mut random = fastrand::Rng::with_seed(seed ^ (round * SENDERS + sender));
                let (posted, next, stop) = (&posted, &next, &stop);
                let unanswered = &unanswered;
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let id = next_id(posted, next, &mut random);
                        let answer =
                            match post_to(address, "replicer", call(&id).to_string().as_bytes()) {
                                Ok(answer) => answer,
                                // The kill was before this request.
                                Err(e) if e.kind() == ErrorKind::ConnectionRefused => break,
                                Err(_) => {
                                    unanswered.fetch_add(1, Ordering::Relaxed);
                                    continue;
                                }
                            };
                        match answer.status {
                            200 => {
                                let mut posted = posted.lock().unwrap();
                                posted.open.remove(&id);
                                posted.acknowledged.insert(id);
                            }
                            503 => {}
                            other => panic!("{id} was answered {other}: {}", answer.text()),
                        }
                    }
                });
            }
            std::thread::sleep(lifetime);
            let stopped = bridge.kill9();
            stop.store(true, Ordering::Relaxed);
            stopped
        });
    }

    let bridge = stopped.started();
    let posted = posted.into_inner().unwrap();
    let watch = Watch::start();
    let mut backlog = waiting(&bridge);
    while backlog > 0 {
        assert!(watch.elapsed() < Duration::from_secs(300), "{backlog} still wait after 5 minutes");
        std::thread::sleep(Duration::from_millis(100));
        backlog = waiting(&bridge);
    }

    let mut arrivals: BTreeMap<String, u64> = BTreeMap::new();
    let all = receiver.so_far();
    for request in &all {
        *arrivals.entry(request.json()["text"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    let lost: Vec<&String> =
        posted.acknowledged.iter().filter(|id| !arrivals.contains_key(*id)).collect();
    assert!(lost.is_empty(), "seed {seed}: {} acknowledged events were lost: {lost:?}", lost.len());
    let strangers: Vec<&String> = arrivals
        .keys()
        .filter(|id| !posted.acknowledged.contains(*id) && !posted.open.contains(*id))
        .collect();
    assert!(strangers.is_empty(), "seed {seed}: nobody posted {strangers:?}");

    // Each arrival at the receiver is an attempt; the journal must know of every single one.
    let (mut several, mut interrupted) = (0, 0);
    let rows = bridge.notification_rows();
    let events: BTreeSet<&str> = rows.iter().map(|row| row["event"].as_str().unwrap()).collect();
    assert_eq!(events.len(), rows.len(), "seed {seed}: one event, one notification");
    for row in &rows {
        let id = row["event"].as_str().unwrap();
        let arrived = arrivals.get(id).copied().unwrap_or(0);
        assert_eq!(row["state"], "sent", "seed {seed}: {row}");
        if arrived < 2 {
            continue;
        }
        several += 1;
        let row = bridge.notification(row["id"].as_i64().unwrap());
        let history = row["history"].as_array().unwrap();
        let count = |outcome: &str| {
            u64::try_from(history.iter().filter(|a| a["outcome"] == outcome).count()).unwrap()
        };
        interrupted += count("interrupted");
        assert_eq!(count("sent"), 1, "seed {seed}: {row}");
        let explained = 1 + count("retry") + count("interrupted");
        assert!(
            arrived <= explained,
            "seed {seed}: {id} came {arrived} times, the journal explains {explained}: {row}"
        );
    }
    let unanswered = unanswered.into_inner();
    eprintln!(
        "{rounds} kills: {} acknowledged, 0 lost, {} attempts, {several} notifications with several; \
         the kills cut off {unanswered} requests, {interrupted} attempts and {cut_recoveries} recoveries; \
         slowest start {slowest:?}",
        posted.acknowledged.len(),
        all.len(),
    );
    // So many kills must have met each of the three moments, or the test proves less than it says.
    if rounds >= 60 {
        assert!(unanswered > 0 && interrupted > 0 && cut_recoveries > 0, "seed {seed}");
    }
    assert!(posted.acknowledged.len() as u64 >= rounds, "the kills left hardly anything to lose");
}

/// Whether a process has this file open.
fn has_open(process: u32, file: &str) -> bool {
    let Ok(open) = std::fs::read_dir(format!("/proc/{process}/fd")) else { return false };
    open.flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|path| path.ends_with(file)))
}

/// A new id, or one that was posted before and not acknowledged: a sender tries again, too.
fn next_id(posted: &Mutex<Posted>, next: &AtomicU64, random: &mut fastrand::Rng) -> String {
    let mut posted = posted.lock().unwrap();
    if random.u8(..4) == 0
        && let Some(id) = posted.open.first().cloned()
    {
        return id;
    }
    let id = format!("evt-{}", next.fetch_add(1, Ordering::Relaxed));
    posted.open.insert(id.clone());
    id
}

/// How many notifications are not settled.
fn waiting(bridge: &Bridge) -> usize {
    ["due", "sending"]
        .iter()
        .map(|state| bridge.list(&["notifications", "--state", state]).len())
        .sum()
}
