//! The machine's clock is set: nothing owed is forgotten until it is that late again.

use crate::support::bridge::telling;
use crate::support::faults::WallClock;
use crate::support::{Bridge, Receiver, Reply, call, eventually};

const DAY: i64 = 86_400;

fn under(clock: &WallClock, receiver: &Receiver, retry: &str) -> Bridge {
    Bridge::with_rules(&telling(&receiver.url("/slack"), retry))
        .template("id.hbs", "{{id}}")
        .with_faults()
        .env("HOOKBELL_TEST_CLOCK", &clock.control())
        .start()
}

/// No, and not for some seconds: time enough to set the clock, even where everything is slow.
fn later() -> Reply {
    Reply::with_header(503, "retry-after", "8")
}

/// Waits until the first attempt of the only notification is settled.
fn tried_once(bridge: &Bridge) {
    eventually("the first attempt is settled", || {
        let row = bridge.notification_rows().remove(0);
        (row["state"] != "sending" && row["attempts"].as_i64() > Some(0)).then_some(())
    });
}

#[test]
fn a_clock_that_is_set_back_by_a_day_holds_nothing_up() {
    let clock = WallClock::right();
    let receiver = Receiver::script([later()], Reply::ok());
    let bridge = under(&clock, &receiver, "");
    bridge.accepts(call("evt-1").to_string());
    tried_once(&bridge);
    clock.is_off_by(-DAY);
    // Well before the minute after which a lane looks at the clock by itself.
    receiver.received(2);
    let row = bridge.settled("sales", "sent");
    assert_eq!(row["attempts"], 2, "{row}");
    // Events come in as ever, and a repetition is one.
    bridge.accepts(call("evt-2").to_string());
    receiver.received(3);
    assert_eq!(bridge.post("replicer", call("evt-1").to_string()).json()["duplicate"], true);
}

#[test]
fn a_clock_that_is_set_back_between_two_runs_holds_nothing_up() {
    let clock = WallClock::right();
    let receiver = Receiver::answering(later());
    let bridge = under(&clock, &receiver, "");
    bridge.accepts(call("evt-1").to_string());
    tried_once(&bridge);
    let stopped = bridge.kill9();
    let before = receiver.so_far().len();
    clock.is_off_by(-DAY);
    receiver.now_answers(Reply::ok());
    let bridge = stopped.started();
    receiver.received(before + 1);
    bridge.settled("sales", "sent");
}

#[test]
fn a_clock_that_is_set_on_by_a_day_forgets_nothing() {
    let clock = WallClock::right();
    // A wait of our own holds back the one notification; one that the provider asks for holds back all.
    let receiver = Receiver::script([Reply::status(503, "")], Reply::ok());
    let bridge = under(&clock, &receiver, "retry = { first = \"20h\", longest = \"20h\" }");
    bridge.accepts(call("evt-1").to_string());
    tried_once(&bridge);
    clock.is_off_by(DAY);
    // Whatever wakes the lane shows it that the hour is over.
    bridge.accepts(call("evt-2").to_string());
    let mut texts: Vec<_> =
        receiver.received(3)[1..].iter().map(|r| r.json()["text"].to_string()).collect();
    texts.sort();
    assert_eq!(texts, ["\"evt-1\"", "\"evt-2\""]);
    assert_eq!(bridge.post("replicer", call("evt-1").to_string()).json()["duplicate"], true);
    assert_eq!(bridge.get("/readyz").status, 200);
}
