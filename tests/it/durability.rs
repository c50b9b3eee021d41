//! What was acknowledged is there: after a crash, a stop, a full disk, a second process.

use std::time::Duration;

use serde_json::json;

use crate::support::bridge::telling;
use crate::support::events::event;
use crate::support::faults::Disk;
use crate::support::{Bridge, Receiver, Reply, SECRET, Watch, call, eventually, http, signature};

/// A bridge that tells `receiver` of every event and whose disk obeys `disk`.
fn on(disk: &Disk, receiver: &Receiver) -> Bridge {
    Bridge::telling(receiver).with_faults().env("HOOKBELL_TEST_FAULT", &disk.control()).start()
}

#[test]
fn a_kill_between_accept_and_send_loses_nothing() {
    let receiver = Receiver::answering(Reply::status(503, ""));
    let rules = telling(
        &receiver.url("/slack"),
        r#"retry = { first = "200ms", longest = "300ms", attempts = 1000 }"#,
    );
    let bridge = Bridge::with_rules(&rules).template("id.hbs", "{{id}}").start();
    for i in 0..20 {
        bridge.accepts(call(&format!("evt-{i}")).to_string());
    }
    let stopped = bridge.kill9();
    receiver.now_answers(Reply::ok());
    let before = receiver.so_far().len();
    let bridge = stopped.started();
    eventually("all twenty are sent", || {
        bridge.notification_rows().iter().all(|row| row["state"] == "sent").then_some(())
    });
    let mut told: Vec<String> =
        receiver.so_far()[before..].iter().map(|r| r.json()["text"].to_string()).collect();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 20, "{told:?}");
}

#[test]
fn an_attempt_that_a_kill_cut_off_is_named_and_made_again() {
    let receiver = Receiver::script([Reply::Hang], Reply::ok());
    let bridge = Bridge::telling(&receiver).start();
    bridge.accepts(call("evt-1").to_string());
    receiver.received(1);
    let bridge = bridge.kill9().started();
    receiver.received(2);
    let row = bridge.settled("sales", "sent");
    assert_eq!(row["history"][0]["outcome"], "interrupted", "{row}");
    assert_eq!(row["history"][1]["outcome"], "sent", "{row}");
}

#[test]
fn sigterm_finishes_what_is_under_way_and_ends_with_0() {
    let receiver = Receiver::answering(Reply::Hang);
    let rules = telling(&receiver.url("/slack"), "timeout = \"2s\"");
    let bridge = Bridge::with_rules(&rules).template("id.hbs", "{{id}}").start();
    bridge.accepts(call("evt-1").to_string());
    receiver.received(1);
    // The attempt ends by its own time-out, well within the grace period of 10 s.
    let stopped = bridge.stop();
    receiver.now_answers(Reply::ok());
    let bridge = stopped.started();
    let row = bridge.notification_rows().remove(0);
    let row = bridge.notification(row["id"].as_i64().unwrap());
    assert_ne!(row["history"][0]["outcome"], "interrupted", "{row}");
    bridge.list(&["events"]);
}

#[test]
fn a_request_under_way_is_answered_before_the_end() {
    use std::io::Write;
    let receiver = Receiver::start();
    let mut bridge = Bridge::telling(&receiver).start();
    let body = call("evt-1").to_string().into_bytes();
    let mut stream = http::connect(bridge.events()).unwrap();
    let signature = signature(SECRET.as_bytes(), &body);
    let head = format!(
        "POST /hooks/replicer HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nx-replicer-signature: {signature}\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // The bridge asks for the body: the request is under way.
    let mut first = [0; 12];
    std::io::Read::read_exact(&mut stream, &mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 100");
    bridge.process().signal("TERM");
    bridge.process().wait_log_for("the drain begins", |line| {
        line.contains("drain") || line.contains("stopping") || line.contains("shut")
    });
    stream.write_all(&body).unwrap();
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut rest).unwrap();
    let rest = String::from_utf8_lossy(&rest).into_owned();
    assert!(rest.contains("HTTP/1.1 200"), "{rest}");
    let status = bridge.process().wait();
    assert_eq!(status.code(), Some(0), "{}", bridge.log());
}

#[test]
fn a_drain_lasts_no_longer_than_its_grace() {
    let receiver = Receiver::answering(Reply::Hang);
    let rules = telling(&receiver.url("/slack"), "timeout = \"60s\"");
    let bridge =
        Bridge::with_rules(&rules).template("id.hbs", "{{id}}").server("grace = \"1s\"").start();
    bridge.accepts(call("evt-1").to_string());
    receiver.received(1);
    let watch = Watch::start();
    let stopped = bridge.stop();
    assert!(watch.elapsed() < Duration::from_secs(15), "took {:?}", watch.elapsed());
    receiver.now_answers(Reply::ok());
    let bridge = stopped.started();
    receiver.received(2);
    bridge.settled("sales", "sent");
}

#[test]
fn a_second_signal_ends_at_once_and_loses_nothing() {
    let receiver = Receiver::answering(Reply::Hang);
    let rules = telling(&receiver.url("/slack"), "timeout = \"300s\"");
    let mut bridge =
        Bridge::with_rules(&rules).template("id.hbs", "{{id}}").server("grace = \"300s\"").start();
    bridge.accepts(call("evt-1").to_string());
    receiver.received(1);
    bridge.process().signal("TERM");
    let process = bridge.process();
    process
        .wait_log_for("the drain begins", |line| {
            line.contains("drain") || line.contains("stopping") || line.contains("shut")
        })
        .expect("it drains");
    process.signal("TERM");
    // PATIENCE is much shorter than the grace period.
    process.wait();
    receiver.now_answers(Reply::ok());
    let bridge = bridge.kill9().started();
    receiver.received(2);
    bridge.settled("sales", "sent");
}

#[test]
fn sigint_stops_it_as_well() {
    let mut bridge = Bridge::telling(&Receiver::start()).start();
    bridge.process().signal("INT");
    assert_eq!(bridge.process().wait().code(), Some(0), "{}", bridge.log());
}

#[test]
fn a_disk_that_takes_no_writes_is_503_and_mends_itself() {
    for fault in ["full", "readonly", "io"] {
        let disk = Disk::sound();
        let receiver = Receiver::start();
        let mut bridge = on(&disk, &receiver);
        bridge.accepts(call("before").to_string());
        receiver.received(1);
        bridge.settled("sales", "sent");

        disk.is(fault);
        for i in 0..3 {
            let answer = bridge.post("replicer", call(&format!("during-{i}")).to_string());
            assert_eq!(answer.status, 503, "{fault}: {}", answer.text());
            let wait: u64 = answer.header("retry-after").expect("retry-after").parse().unwrap();
            assert!((1..=60).contains(&wait), "{wait}");
        }
        let ready = bridge.get("/readyz");
        assert_eq!(ready.status, 503, "{fault}: {}", ready.text());
        assert_eq!(bridge.get("/healthz").status, 200, "{fault}: alive all the same");
        assert!(bridge.process().ended().is_none(), "{fault}: {}", bridge.log());

        disk.is("sound");
        eventually("it is ready again", || (bridge.get("/readyz").status == 200).then_some(()));
        bridge.accepts(call("after").to_string());
        // What was refused can come again as new.
        bridge.accepts(call("during-0").to_string());
        let texts: Vec<_> = receiver.received(3).iter().map(|r| r.json()["text"].clone()).collect();
        assert!(texts.contains(&json!("after")) && texts.contains(&json!("during-0")), "{texts:?}");
        let bridge = bridge.stop().started();
        let mut ids: Vec<_> = bridge.event_rows().iter().map(|row| row["id"].to_string()).collect();
        ids.sort();
        assert_eq!(ids, ["\"after\"", "\"before\"", "\"during-0\""], "{fault}");
    }
}

#[test]
fn a_disk_that_is_full_while_sending_makes_no_storm_of_duplicates() {
    let disk = Disk::sound();
    let receiver = Receiver::answering(Reply::Hang);
    let rules = telling(
        &receiver.url("/slack"),
        "timeout = \"500ms\"\nretry = { first = \"10ms\", longest = \"20ms\", attempts = 1000 }",
    );
    let mut bridge = Bridge::with_rules(&rules)
        .template("id.hbs", "{{id}}")
        .with_faults()
        .env("HOOKBELL_TEST_FAULT", &disk.control())
        .start();
    bridge.accepts(call("evt-1").to_string());
    receiver.received(1);
    disk.is("full");
    receiver.now_answers(Reply::ok());
    eventually("the journal is known to be broken", || {
        (bridge.get("/readyz").status == 503).then_some(())
    });
    // An attempt that can't be written down isn't made, so at most the one that was under way goes on.
    assert!(receiver.so_far().len() <= 2, "{} attempts", receiver.so_far().len());
    disk.is("sound");
    bridge.settled("sales", "sent");
    assert!(bridge.process().ended().is_none());
}

#[test]
fn an_fsync_error_is_never_acknowledged_and_the_restart_is_sound() {
    let disk = Disk::sound();
    let receiver = Receiver::start();
    let mut bridge = on(&disk, &receiver);
    bridge.accepts(call("before").to_string());
    receiver.received(1);
    bridge.settled("sales", "sent");
    disk.is("sync");
    let answer = bridge.try_post("replicer", call("during").to_string());
    if let Ok(answer) = &answer {
        assert_eq!(answer.status, 503, "{}", answer.text());
    }
    let status = bridge.process().wait();
    assert_ne!(status.code(), Some(0), "it ends with an error");
    assert!(status.code().is_some(), "it ends by itself: {status}");
    disk.is("sound");
    let bridge = bridge.kill9().started();
    assert!(bridge.event_rows().iter().any(|row| row["id"] == "before"));
    bridge.accepts(call("after").to_string());
}

#[test]
fn a_second_process_on_the_same_journal_is_refused() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    let second = bridge.folder().spawn_to_end();
    assert_ne!(second.code, 0, "{}", second.all());
    assert!(second.stderr.contains("hookbell.db"), "it names the journal: {}", second.stderr);
    bridge.accepts(call("evt-1").to_string());
    receiver.received(1);
    // The lock goes with the process, however it ended.
    let bridge = bridge.kill9().started();
    bridge.accepts(call("evt-2").to_string());
}

#[test]
fn a_file_that_is_no_journal_is_refused_and_left_alone() {
    let receiver = Receiver::start();
    let stopped = Bridge::telling(&receiver).prepare();
    let file = stopped.path().join("hookbell.db");
    let nonsense = b"this is somebody's shopping list, not a database\n".repeat(200);
    std::fs::write(&file, &nonsense).unwrap();
    let Err(refusal) = stopped.try_start() else { panic!("it started") };
    let failed = refusal.1;
    assert!(failed.status.code().is_some_and(|code| code != 0), "{failed}");
    assert!(failed.log.contains("hookbell.db"), "{failed}");
    assert_eq!(std::fs::read(&file).unwrap(), nonsense);
}

#[test]
fn a_journal_that_cannot_be_made_is_refused_with_its_path() {
    let stopped = Bridge::telling(&Receiver::start())
        .journal("url = \"sqlite:no/such/folder/hookbell.db\"")
        .prepare();
    let Err(refusal) = stopped.try_start() else { panic!("it started") };
    let failed = refusal.1;
    assert!(failed.status.code().is_some_and(|code| code != 0), "{failed}");
    assert!(failed.log.contains("no/such/folder"), "{failed}");
}

#[test]
fn a_damaged_journal_loses_nothing_in_silence() {
    // Flips one byte in the middle of the write-ahead log, as a bad disk would, after a kill.
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    for i in 0..50 {
        bridge.accepts(call(&format!("evt-{i}")).to_string());
    }
    receiver.received(50);
    let wal = bridge.path().join("hookbell.db-wal");
    let stopped = bridge.kill9();
    let mut bytes = std::fs::read(&wal).unwrap();
    assert!(bytes.len() > 20_000, "the log is long enough to damage: {}", bytes.len());
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&wal, &bytes).unwrap();
    match stopped.try_start() {
        Ok(bridge) => {
            let rows = bridge.event_rows().len();
            let log = bridge.log();
            assert!(
                rows == 50 || log.contains("\"ERROR\""),
                "{rows} of 50 events are left and nobody is told:\n{log}"
            );
            if rows < 50 {
                let copies = std::fs::read_dir(bridge.path()).unwrap().flatten();
                let kept = copies
                    .filter(|f| {
                        let name = f.file_name().to_string_lossy().into_owned();
                        name != "hookbell.db-wal"
                            && f.metadata().unwrap().len() == bytes.len() as u64
                    })
                    .count();
                assert_eq!(kept, 1, "a copy of the damaged log is kept");
            }
        }
        Err(refusal) => {
            let failed = refusal.1;
            assert!(failed.log.contains("hookbell.db"), "it refuses, and says what: {failed}");
        }
    }
}

#[test]
fn a_journal_of_a_newer_version_is_refused_and_left_alone() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    bridge.accepts(call("evt-1").to_string());
    receiver.received(1);
    let journal = bridge.journal();
    let stopped = bridge.stop();
    let connection = rusqlite::Connection::open(&journal).unwrap();
    connection.pragma_update(None, "user_version", 1_000).unwrap();
    drop(connection);
    let Err(refusal) = stopped.try_start() else { panic!("it started") };
    let failed = refusal.1;
    assert!(failed.status.code().is_some_and(|code| code != 0), "{failed}");
    assert!(failed.log.contains("newer") || failed.log.contains("1000"), "{failed}");
}

#[test]
fn a_template_that_fails_while_sending_still_sends_a_message() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver)
        .template(
            "id.hbs",
            "{{#each rows}}{{#each ../rows}}{{#each ../rows}}{{id}} some text to fill the output{{/each}}{{/each}}{{/each}}",
        )
        .start();
    let rows: Vec<u32> = (0..1000).collect();
    bridge.accepts(event("evt-1", "x", &json!({"rows": rows})).to_string());
    let request = receiver.received(1).remove(0);
    let text = request.json()["text"].as_str().unwrap().to_owned();
    assert!(!text.is_empty() && text.len() < 50_000, "{} bytes", text.len());
    assert!(
        text.contains("evt-1") || text.contains('x'),
        "the built-in text tells of the event: {text}"
    );
    let row = bridge.settled("sales", "sent");
    let flag = row["history"][0]["fallback_text"].as_str().unwrap_or_default();
    assert!(!flag.is_empty(), "it is flagged: {row}");
}

#[test]
fn a_destination_that_the_rules_no_longer_have_ends_as_given_up() {
    let receiver = Receiver::answering(Reply::with_header(503, "retry-after", "3600"));
    let bridge = Bridge::telling(&receiver).start();
    bridge.accepts(call("evt-1").to_string());
    receiver.received(1);
    let mut stopped = bridge.stop();
    let rules = telling(&receiver.url("/slack"), "").replace("sales", "marketing");
    stopped.set_rules(&rules);
    let bridge = stopped.started();
    let row = bridge.settled("sales", "gave_up");
    assert!(row["reason"].as_str().unwrap().contains("sales"), "{row}");
}

#[test]
fn a_disk_that_hangs_is_503_before_the_sender_gives_up_and_nothing_is_told_twice() {
    let disk = Disk::sound();
    let receiver = Receiver::start();
    let bridge = on(&disk, &receiver);
    bridge.accepts(call("before").to_string());
    receiver.received(1);
    disk.is("hang");
    let watch = Watch::start();
    let answer = bridge.post("replicer", call("during").to_string());
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.header("retry-after").is_some());
    // Replicer gives up after 10 s.
    assert!(watch.elapsed() < Duration::from_secs(10), "took {:?}", watch.elapsed());
    assert!(receiver.so_far().len() == 1, "nothing is sent before it is on disk");
    disk.is("sound");
    // It was committed after all: told once, and known when it comes again.
    receiver.received(2);
    assert_eq!(bridge.post("replicer", call("during").to_string()).json()["duplicate"], true);
    bridge.accepts(call("after").to_string());
    receiver.received(3);
    assert_eq!(bridge.notification_rows().len(), 3);
}
