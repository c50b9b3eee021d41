//! What is found at a start: files that a crash, a full disk or a person left in a bad state.

use crate::support::faults::Disk;
use crate::support::{Bridge, Receiver, call};

#[test]
fn a_lost_file_beside_its_log_is_no_new_beginning() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    bridge.accepts(call("evt-1").to_string());
    receiver.received(1);
    let (file, kept) = (bridge.journal(), bridge.path().join("kept"));
    let stopped = bridge.kill9();
    std::fs::rename(&file, &kept).unwrap();
    for emptied in [false, true] {
        if emptied {
            std::fs::write(&file, b"").unwrap();
        }
        let ran = stopped.spawn_to_end();
        assert_eq!(ran.code, 1, "{}", ran.all());
        assert!(ran.stderr.contains("hookbell.db-wal"), "it names the log: {}", ran.stderr);
    }
    std::fs::rename(&kept, &file).unwrap();
    let bridge = stopped.started();
    assert_eq!(bridge.post("replicer", call("evt-1").to_string()).json()["duplicate"], true);
}

#[test]
fn damaged_pages_never_pass_as_an_empty_journal() {
    let receiver = Receiver::start();
    let mut bridge = Bridge::telling(&receiver).start();
    for i in 0..40 {
        bridge.accepts(call(&format!("evt-{i}")).to_string());
    }
    receiver.received(40);
    let journal = bridge.journal();
    let mut stopped = bridge.stop();
    let sound = std::fs::read(&journal).unwrap();
    assert!(sound.len() > 16 * 4096, "{} bytes", sound.len());
    let mut told = 0;
    for page in [0, 1, 2, sound.len() / 8192, sound.len() / 4096 - 1] {
        let mut damaged = sound.clone();
        damaged[page * 4096..(page + 1) * 4096].fill(0xA5);
        std::fs::write(&journal, &damaged).unwrap();
        match stopped.try_start() {
            Err(refused) => {
                let (folder, failed) = *refused;
                assert!(failed.status.code().is_some_and(|code| code != 0), "{page}: {failed}");
                assert!(failed.log.contains("hookbell.db"), "{page}: {failed}");
                told += 1;
                stopped = folder;
            }
            Ok(started) => {
                // Only what is read is found: then the answer is the truth, or an error and an end, never "new".
                bridge = started;
                let listed = bridge.run(&["events", "--json"]);
                if listed.code == 0 {
                    assert_eq!(listed.lines().len(), 40, "page {page}: {}", bridge.log());
                }
                if let Ok(answer) = bridge.try_post("replicer", call("evt-7").to_string()) {
                    let known = answer.status == 200 && answer.json()["duplicate"] == true;
                    assert!(known || answer.status == 503, "page {page}: {}", answer.text());
                    told += usize::from(answer.status == 503);
                }
                stopped = bridge.kill9();
            }
        }
        for beside in ["hookbell.db-wal", "hookbell.db-shm"] {
            let _ = std::fs::remove_file(stopped.path().join(beside));
        }
    }
    assert!(told > 0, "no damage was noticed at all");
    std::fs::write(&journal, &sound).unwrap();
    assert_eq!(stopped.started().event_rows().len(), 40);
}

#[test]
fn a_disk_that_is_full_at_the_start_is_named_and_leaves_something_that_starts() {
    let disk = Disk::sound();
    let receiver = Receiver::start();
    for known in [false, true] {
        let mut stopped = Bridge::telling(&receiver)
            .with_faults()
            .env("HOOKBELL_TEST_FAULT", &disk.control())
            .prepare();
        if known {
            let bridge = stopped.started();
            bridge.accepts(call("evt-1").to_string());
            stopped = bridge.kill9();
        }
        for fault in ["full", "readonly", "io", "sync"] {
            disk.is(fault);
            let Err(refused) = stopped.try_start() else { panic!("it started on a {fault} disk") };
            let (folder, failed) = *refused;
            assert_eq!(failed.status.code(), Some(1), "{fault}: {failed}");
            assert!(failed.log.contains("hookbell.db"), "{fault}: {failed}");
            stopped = folder;
        }
        disk.is("sound");
        let bridge = stopped.started();
        assert_eq!(bridge.event_rows().len(), usize::from(known));
        bridge.accepts(call("evt-2").to_string());
    }
}

#[test]
fn a_kill_during_the_first_start_leaves_something_that_starts() {
    let receiver = Receiver::start();
    let mut cut = 0;
    for i in 0..24_u64 {
        let stopped = Bridge::telling(&receiver).prepare();
        let mut process = stopped.spawn();
        let journal = stopped.path().join("hookbell.db");
        while !journal.exists() && process.ended().is_none() {
            std::thread::sleep(std::time::Duration::from_micros(100));
        }
        std::thread::sleep(std::time::Duration::from_micros(i * i * 40));
        process.kill9();
        cut += u32::from(!process.failed().log.contains("\"ready\""));
        let bridge = stopped.started();
        bridge.accepts(call("evt-1").to_string());
    }
    assert!(cut > 0, "every kill came too late");
}
