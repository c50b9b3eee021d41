//! The commands as people and scripts use them: what they print and how they end.

use crate::support::command::{bare, run};
use crate::support::events::documented;
use crate::support::{Bridge, Receiver, Reply, SECRET, call, eventually, root};

/// Runs a command in `folder` with `env` and nothing else.
fn in_folder(
    folder: &std::path::Path,
    args: &[&str],
    env: &[(&str, &str)],
) -> crate::support::command::Ran {
    let mut command = bare(args);
    command.current_dir(folder).envs(env.iter().copied());
    run(command)
}

/// Every `${NAME}` in a text.
fn variables(text: &str) -> Vec<String> {
    let mut names: Vec<String> = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| line.split("${").skip(1))
        .filter_map(|rest| rest.split_once('}'))
        .map(|(name, _)| name.to_owned())
        .filter(|name| !name.starts_with("file:"))
        .collect();
    names.sort();
    names.dedup();
    names
}

/// A value that fits what a variable is for.
fn sample(name: &str) -> &'static str {
    match name {
        n if n.contains("SMTP") => "smtp://127.0.0.1:2525",
        n if n.contains("URL") => "https://hooks.slack.example/services/T/B/x",
        n if n.contains("SID") => "AC00000000000000000000000000000001",
        _ => "a-secret-long-enough-for-all",
    }
}

#[test]
fn init_writes_a_configuration_that_check_approves() {
    let folder = tempfile::tempdir().unwrap();
    let ran = in_folder(folder.path(), &["init"], &[]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    let rules = std::fs::read_to_string(folder.path().join("rules.toml")).unwrap();
    assert!(rules.contains('#'), "it is commented");
    assert!(std::fs::read_dir(folder.path().join("templates")).unwrap().count() >= 3);
    let names = variables(&rules);
    assert!(names.len() >= 2, "{names:?}");

    // Without the variables, every one of them is named at once.
    let ran = in_folder(folder.path(), &["check"], &[]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    for name in &names {
        assert!(ran.all().contains(name.as_str()), "{name} is not named: {}", ran.all());
    }
    let env: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), sample(n))).collect();
    let ran = in_folder(folder.path(), &["check"], &env);
    assert_eq!(ran.code, 0, "{}", ran.all());

    // What is there is not overwritten.
    std::fs::write(folder.path().join("rules.toml"), "mine").unwrap();
    let ran = in_folder(folder.path(), &["init"], &[]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert_eq!(std::fs::read_to_string(folder.path().join("rules.toml")).unwrap(), "mine");
}

#[test]
fn the_shipped_rules_are_approved() {
    let rules = std::fs::read_to_string(root().join("rules.toml")).unwrap();
    let names = variables(&rules);
    let env: Vec<(&str, &str)> = names.iter().map(|n| (n.as_str(), sample(n))).collect();
    let ran = in_folder(root(), &["check"], &env);
    assert_eq!(ran.code, 0, "{}", ran.all());
}

#[test]
fn check_shows_every_problem_at_once_with_its_place_and_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("templates")).unwrap();
    std::fs::write(folder.path().join("templates/broken.hbs"), "hello {{#if x}} there\n").unwrap();
    let text = r#"version = 1
[server]
lisen = "127.0.0.1:0"
[journal]
url = "mysql:somewhere"
[sources.replicer]
kind = "replicr"
secret = "${NO_SUCH_VARIABLE_ANYWHERE}"
[destinations.sales]
provider = "slak"
url = "https://hooks.slack.example/x"
[destinations.office]
provider = "webhook"
url = "not a url"
[[rules]]
name = "one"
when = 'sentiment == negative'
to = ["sale"]
template = "brokn"
[[rules]]
name = "one"
when = 'duration > '
to = ["office"]
[[rules]]
name = "three"
when = 'duration > 60 ? true : false'
to = []
"#;
    std::fs::write(folder.path().join("rules.toml"), text).unwrap();
    let ran = in_folder(folder.path(), &["check"], &[]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    let shown = ran.all();
    assert!(!shown.contains('\u{1b}'), "no colour where nobody looks: {shown}");
    for (what, line) in [
        ("lisen", "rules.toml:3"),
        ("mysql", "rules.toml:5"),
        ("replicr", "rules.toml:7"),
        ("NO_SUCH_VARIABLE_ANYWHERE", "rules.toml:8"),
        ("slak", "rules.toml:10"),
        ("url", "rules.toml:14"),
        ("\"negative\"", "rules.toml:17"),
        ("sale", "rules.toml:18"),
        ("brokn", "rules.toml:19"),
        ("duration", "rules.toml:22"),
        ("broken.hbs", "templates/broken.hbs"),
    ] {
        assert!(shown.contains(what), "{what} is not shown:\n{shown}");
        assert!(shown.contains(line), "{line} is not named:\n{shown}");
    }
    assert!(shown.contains("did you mean"), "{shown}");
    assert!(
        shown.contains("rules.toml:25") || shown.contains("rules.toml:26"),
        "the third rule:\n{shown}"
    );

    let ran = in_folder(folder.path(), &["check", "--json"], &[]);
    assert_eq!(ran.code, 1);
    let json = ran.json();
    let problems = json.as_array().or_else(|| json["problems"].as_array()).unwrap();
    assert!(problems.len() >= 11, "{json}");
    for problem in problems {
        for key in ["code", "severity", "file", "message"] {
            assert!(problem[key].is_string(), "no {key} in {problem}");
        }
    }
    let ran = in_folder(folder.path(), &["run"], &[]);
    assert_eq!(ran.code, 78, "{}", ran.all());
    assert!(ran.stderr.contains("slak") && ran.stderr.contains("lisen"), "{}", ran.stderr);
}

#[test]
fn check_explains_its_codes_and_counts_warnings_only_where_asked() {
    let folder = tempfile::tempdir().unwrap();
    let ran = in_folder(folder.path(), &["check", "--explain", "unknown-field"], &[]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stdout.starts_with("error[unknown-field]: "), "{}", ran.stdout);
    assert!(ran.stdout.contains("schemas/TYPE.json"), "{}", ran.stdout);
    let ran = in_folder(folder.path(), &["check", "--explain", "unknwn-field"], &[]);
    assert_eq!(ran.code, 2, "{}", ran.all());
    assert!(ran.stderr.contains("did you mean `unknown-field`?"), "{}", ran.stderr);
    let ran = in_folder(folder.path(), &["check", "--codes"], &[]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stdout.lines().count() > 60, "{}", ran.stdout);
    assert!(ran.stdout.contains("always-false"), "{}", ran.stdout);

    std::fs::write(folder.path().join("rules.toml"), "version = 1\n").unwrap();
    let ran = in_folder(folder.path(), &["check"], &[]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stdout.contains("warning[no-rule]"), "{}", ran.stdout);
    let ran = in_folder(folder.path(), &["check", "--deny-warnings"], &[]);
    assert_eq!(ran.code, 1, "{}", ran.all());
}

#[test]
fn a_version_that_is_unknown_or_missing_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["version = 2\n", "[server]\n"] {
        std::fs::write(folder.path().join("rules.toml"), text).unwrap();
        let ran = in_folder(folder.path(), &["check"], &[]);
        assert_eq!(ran.code, 1, "{text}: {}", ran.all());
        assert!(ran.all().contains("version = 1"), "{}", ran.all());
    }
}

#[test]
fn templates_that_would_kill_the_process_are_refused() {
    let receiver = Receiver::start();
    let deep = format!("{}x{}", "{{#if a}}".repeat(20_000), "{{/if}}".repeat(20_000));
    let cases = [
        (
            "a cycle",
            vec![
                ("id.hbs", "{{> _b}}".to_owned()),
                ("_b.hbs", "{{> _c}}".to_owned()),
                ("_c.hbs", "{{> _b}}".to_owned()),
            ],
        ),
        ("itself", vec![("id.hbs", "{{> id}}".to_owned())]),
        ("20,000 levels", vec![("id.hbs", deep)]),
    ];
    for (what, files) in cases {
        let mut builder =
            Bridge::with_rules(&crate::support::bridge::telling(&receiver.url("/"), ""));
        for (file, text) in &files {
            builder = builder.template(file, text);
        }
        let stopped = builder.prepare();
        let ran = run(stopped.command(&["check", "--config", "rules.toml"]));
        assert_eq!(ran.code, 1, "{what}: {}", ran.all());
        assert!(ran.all().contains(".hbs"), "{what}: {}", ran.all());
    }
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (args, code) in [(["check"], 1), (["run"], 78)] {
        let ran = in_folder(folder.path(), &args, &[]);
        assert_eq!(ran.code, code, "{args:?}: {}", ran.all());
        assert!(ran.all().contains("rules.toml"), "{}", ran.all());
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    for args in [
        ["no-such-command"].as_slice(),
        &["run", "--no-such-flag"],
        &["retry", "not-a-number"],
        &["send"],
    ] {
        assert_eq!(in_folder(folder.path(), args, &[]).code, 2, "{args:?}");
    }
    let ran = in_folder(folder.path(), &["--help"], &[]);
    assert_eq!(ran.code, 0);
    for command in [
        "run",
        "demo",
        "init",
        "check",
        "emit",
        "events",
        "notifications",
        "retry",
        "send",
        "health",
    ] {
        assert!(ran.stdout.contains(command), "{command} is not in the help");
    }
    assert_eq!(in_folder(folder.path(), &["--version"], &[]).code, 0);
}

#[test]
fn without_a_bridge_the_commands_that_ask_it_end_with_3() {
    let stopped = Bridge::telling(&Receiver::start())
        .server("admin = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"")
        .prepare();
    for args in [["events"].as_slice(), &["notifications"], &["retry", "1"]] {
        let mut all = args.to_vec();
        all.extend_from_slice(&["--config", "rules.toml"]);
        let ran = run(stopped.command(&all));
        assert_eq!(ran.code, 3, "{args:?}: {}", ran.all());
        assert!(ran.stderr.contains("127.0.0.1:1"), "it names the address: {}", ran.stderr);
    }
    std::fs::write(stopped.path().join("event.json"), documented()).unwrap();
    let ran = run(stopped.command(&["emit", "event.json", "--config", "rules.toml"]));
    assert_eq!(ran.code, 3, "{}", ran.all());
    let ran = run(stopped.command(&["health", "--config", "rules.toml"]));
    assert_ne!(ran.code, 0, "{}", ran.all());
}

#[test]
fn health_says_whether_it_is_ready() {
    let disk = crate::support::faults::Disk::sound();
    let bridge = Bridge::telling(&Receiver::start())
        .with_faults()
        .env("HOOKBELL_TEST_FAULT", &disk.control())
        .start();
    assert_eq!(bridge.run(&["health"]).code, 0);
    disk.is("full");
    assert_eq!(bridge.post("replicer", call("evt-1").to_string()).status, 503);
    assert_eq!(bridge.run(&["health", "--ready"]).code, 1);
    assert_eq!(bridge.run(&["health"]).code, 0, "it is alive all the same");
}

#[test]
fn emit_signs_and_posts_an_event() {
    let receiver = Receiver::start();
    let bridge = Bridge::telling(&receiver).start();
    let file = bridge.path().join("event.json");
    std::fs::write(&file, documented()).unwrap();
    let ran = bridge.run(&["emit", "event.json"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert_eq!(receiver.received(1)[0].json()["text"], "evt-delivery-uuid");
    // The same file is the same event.
    let ran = bridge.run(&["emit", "event.json", "--json"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stdout.contains("duplicate"), "{}", ran.stdout);
    // Without a file it makes one of its own, new each time.
    for _ in 0..2 {
        let ran = bridge.run(&["emit"]);
        assert_eq!(ran.code, 0, "{}", ran.all());
    }
    receiver.received(3);
    // To another place, signed all the same.
    let other = Receiver::answering(Reply::status(200, "{\"received\":true,\"id\":\"x\"}"));
    let ran = bridge.run(&["emit", "event.json", "--to", &other.url("/hooks/replicer")]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    let request = other.received(1).remove(0);
    let expected = crate::support::signature(SECRET.as_bytes(), &request.body);
    assert_eq!(request.header("x-replicer-signature"), Some(expected.as_str()));
    assert_eq!(request.body, documented(), "byte for byte");
    assert_eq!(request.header("x-replicer-event"), Some("call.ended"));
    // A refusal is a no.
    let no = Receiver::answering(Reply::status(401, "{\"error\":\"no\"}"));
    let ran = bridge.run(&["emit", "event.json", "--to", &no.url("/hooks/replicer")]);
    assert_eq!(ran.code, 1, "{}", ran.all());
}

#[test]
fn events_and_notifications_list_filter_and_show() {
    let receiver = Receiver::script([Reply::status(404, "gone")], Reply::ok());
    let bridge = Bridge::telling(&receiver).start();
    bridge.accepts(call("evt-1").to_string());
    bridge.settled("sales", "gave_up");
    bridge.accepts(call("evt-2").to_string());
    bridge.accepts(
        crate::support::event("evt-3", "sms.received", &serde_json::json!({})).to_string(),
    );
    eventually("two are sent", || {
        let rows = bridge.notification_rows();
        (rows.iter().filter(|row| row["state"] == "sent").count() == 2).then_some(())
    });
    let ids = |args: &[&str], key: &str| -> Vec<String> {
        let rows = bridge.list(args);
        rows.iter().map(|row| row[key].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&["events"], "id"), ["evt-3", "evt-2", "evt-1"], "newest first");
    assert_eq!(ids(&["events", "--limit", "1"], "id"), ["evt-3"]);
    assert_eq!(ids(&["events", "--type", "sms.received"], "id"), ["evt-3"]);
    assert_eq!(ids(&["events", "--source", "nobody"], "id"), [""; 0]);
    assert_eq!(ids(&["notifications", "--state", "gave_up"], "event"), ["evt-1"]);
    assert_eq!(ids(&["notifications", "--destination", "nobody"], "event"), [""; 0]);
    assert_eq!(ids(&["notifications", "--rule", "everything"], "event").len(), 3);
    assert_eq!(ids(&["notifications", "--since", "1h"], "event").len(), 3);
    let human = bridge.run(&["notifications"]);
    assert_eq!(human.code, 0);
    assert!(
        human.stdout.contains("evt-1") && human.stdout.contains("everything"),
        "{}",
        human.stdout
    );
    assert!(!human.stdout.contains('\u{1b}'));
    let human = bridge.run(&["events"]);
    assert!(
        human.stdout.contains("evt-3") && human.stdout.contains("sms.received"),
        "{}",
        human.stdout
    );
    for command in ["events", "notifications"] {
        let ran = bridge.run(&[command, "12345"]);
        assert_eq!(ran.code, 1, "{}", ran.all());
    }
    assert_eq!(bridge.run(&["notifications", "--state", "nonsense"]).code, 2);
    // Every given-up one at once.
    let retried = bridge.run(&["retry", "--all"]);
    assert_eq!(retried.code, 0, "{}", retried.all());
    receiver.received(4);
}

#[test]
fn send_sends_one_real_message() {
    let receiver = Receiver::script([Reply::ok()], Reply::status(404, "no_service"));
    let stopped = Bridge::telling(&receiver).prepare();
    let ran = run(stopped.command(&["send", "sales", "--config", "rules.toml"]));
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(!receiver.received(1)[0].json()["text"].as_str().unwrap().is_empty());
    let ran = run(stopped.command(&["send", "sales", "--config", "rules.toml"]));
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.all().contains("404"), "{}", ran.all());
    let ran = run(stopped.command(&["send", "sails", "--config", "rules.toml"]));
    assert_ne!(ran.code, 0);
    assert!(ran.all().contains("sales"), "did you mean: {}", ran.all());
}

#[test]
fn demo_turns_signed_calls_into_readable_messages_without_any_account() {
    let folder = tempfile::tempdir().unwrap();
    let ran = in_folder(folder.path(), &["demo"], &[]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    for part in ["Slack", "SMS", "mail"] {
        assert!(
            ran.stdout.to_lowercase().contains(&part.to_lowercase()),
            "no {part} in:\n{}",
            ran.stdout
        );
    }
    assert!(ran.stdout.contains("4m 0s") || ran.stdout.contains("Sales Agent"), "{}", ran.stdout);
    assert!(!ran.stdout.contains("{{") && !ran.stdout.contains("${"), "{}", ran.stdout);
    let left = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 0, "it leaves nothing behind");
    // With the repository's own files, too.
    let ran = in_folder(root(), &["demo"], &[]);
    assert_eq!(ran.code, 0, "{}", ran.all());
}

#[test]
fn a_reload_takes_new_rules_and_a_bad_file_changes_nothing() {
    let receiver = Receiver::start();
    let mut bridge = Bridge::telling(&receiver).start();
    bridge.accepts(call("evt-1").to_string());
    receiver.received(1);
    let file = bridge.path().join("rules.toml");
    let good = std::fs::read_to_string(&file).unwrap();

    std::fs::write(&file, good.replace("name = \"everything\"", "name = \"renamed\"")).unwrap();
    bridge.process().signal("HUP");
    let mut n = 1;
    eventually("the new rules decide", || {
        n += 1;
        bridge.accepts(call(&format!("evt-{n}")).to_string());
        (bridge.notification_rows()[0]["rule"] == "renamed").then_some(())
    });

    std::fs::write(&file, good.replace("provider = \"slack\"", "provider = \"slak\"")).unwrap();
    bridge.process().signal("HUP");
    bridge
        .process()
        .wait_log_for("the bad file is refused", |line| {
            line.contains("not reloaded")
                || line.contains("refused")
                || line.contains("keep")
                || line.contains("reload failed")
        })
        .expect("it runs on");
    bridge.accepts(call("evt-last").to_string());
    assert_eq!(bridge.notification_rows()[0]["rule"], "renamed");
    assert_eq!(bridge.get("/healthz").status, 200);
}
