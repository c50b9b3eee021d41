//! The commands for writing rules: `rules new`, `providers`, `sources`, `schema`, `completions`.

use crate::support::command::{Ran, bare, run};
use crate::support::{Bridge, Receiver, call, root};

fn in_folder(folder: &std::path::Path, args: &[&str]) -> Ran {
    let mut command = bare(args);
    command.current_dir(folder);
    run(command)
}

/// A folder as `init` writes it.
fn started() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let ran = in_folder(folder.path(), &["init"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    folder
}

fn append(folder: &std::path::Path, text: &str) {
    let file = folder.join("rules.toml");
    let before = std::fs::read_to_string(&file).unwrap();
    std::fs::write(file, before + text).unwrap();
}

#[test]
fn a_rule_made_from_an_event_is_approved_where_it_is_appended() {
    let folder = started();
    let ran =
        in_folder(folder.path(), &["rules", "new", "--from-event", "tests/events/call.ended.json"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stdout.contains("on   = \"call.ended\""), "{}", ran.stdout);
    append(folder.path(), &ran.stdout);
    let check = in_folder(folder.path(), &["check", "--without-secrets", "--warnings-as-errors"]);
    assert_eq!(check.code, 0, "{}", check.all());
    // Once more: the name is another one.
    let again =
        in_folder(folder.path(), &["rules", "new", "--from-event", "tests/events/call.ended.json"]);
    append(folder.path(), &again.stdout.replace("# when", "when"));
    let check = in_folder(folder.path(), &["check", "--without-secrets", "--warnings-as-errors"]);
    assert_eq!(check.code, 0, "{}{}", again.stdout, check.all());
}

#[test]
fn a_rule_can_be_made_from_what_came_in() {
    let bridge = Bridge::telling(&Receiver::start()).start();
    bridge.accepts(call("evt-1").to_string());
    for which in ["1", "evt-1"] {
        let ran = bridge.run(&["rules", "new", "--from-event", which, "--name", "a name"]);
        assert_eq!(ran.code, 0, "{}", ran.all());
        assert!(ran.stdout.contains("name = \"a name\""), "{}", ran.stdout);
        assert!(ran.stdout.contains("evt-1"), "{}", ran.stdout);
    }
    let ran = bridge.run(&["rules", "new", "--from-event", "nonsense"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.stderr.contains("no event nonsense"), "{}", ran.all());
}

#[test]
fn what_is_no_event_gives_no_rule() {
    let folder = started();
    for (text, why) in [("[]", "refuse"), ("{", "refuse"), (r#"{"id":"1"}"#, "refuse")] {
        std::fs::write(folder.path().join("event.json"), text).unwrap();
        let ran = in_folder(folder.path(), &["rules", "new", "--from-event", "event.json"]);
        assert_eq!((ran.code, &*ran.stdout), (1, ""), "{}", ran.all());
        assert!(ran.stderr.contains(why), "{text}: {}", ran.all());
    }
    let ran = in_folder(folder.path(), &["rules", "new", "--from-event", "nowhere.json"]);
    assert!(ran.code == 1 && ran.stderr.contains("no file nowhere.json"), "{}", ran.all());
    let args =
        ["rules", "new", "--from-event", "tests/events/call.ended.json", "--name", "won deal"];
    let ran = in_folder(folder.path(), &args);
    assert!(ran.code == 2 && ran.stderr.contains("won deal"), "{}", ran.all());
}

#[test]
fn providers_and_sources_are_listed_and_shown_with_a_users_own() {
    let folder = started();
    let list = |what: &str| {
        let ran = in_folder(folder.path(), &[what, "--json"]);
        assert_eq!(ran.code, 0, "{}", ran.all());
        ran.lines()
    };
    let files = |name: &str| std::fs::read_dir(root().join(name)).unwrap().count();
    assert_eq!(list("providers").len(), files("providers"));
    assert_eq!(list("sources").len(), files("sources"));
    for name in list("providers").iter().chain(&list("sources")) {
        assert!(name["title"].as_str().is_some_and(|t| !t.is_empty()), "{name}");
    }
    let ran = in_folder(folder.path(), &["providers", "twilio"]);
    for word in [
        "account_sid",
        "required",
        "auth_token",
        "secret",
        "Messages.json",
        "1600",
        "twilio.com/docs",
        "sms",
    ] {
        assert!(ran.stdout.contains(word), "{word}: {}", ran.stdout);
    }
    assert!(ran.stdout.lines().all(|l| l.chars().count() <= 80), "{}", ran.stdout);
    let ran = in_folder(folder.path(), &["sources", "replicer"]);
    for word in [
        "call.ended",
        "sentiment",
        "\"negative\"",
        "or null",
        "data.callId",
        "X-Replicer-Signature",
    ] {
        assert!(ran.stdout.contains(word), "{word}: {}", ran.stdout);
    }
    assert_eq!(
        in_folder(folder.path(), &["sources", "replicer", "--json"]).json()["envelope"]["id"],
        "id"
    );

    // A user's own: listed, shown, and known to the schema.
    std::fs::create_dir(folder.path().join("providers")).unwrap();
    let text = std::fs::read_to_string(root().join("providers/slack.toml")).unwrap();
    let own = folder.path().join("providers/chat.toml");
    std::fs::write(&own, text.replacen("name = \"slack\"", "name = \"chat\"", 1)).unwrap();
    assert_eq!(list("providers").len(), files("providers") + 1);
    let shown = in_folder(folder.path(), &["providers", "chat"]);
    assert!(shown.stdout.contains("providers/chat.toml"), "{}", shown.all());
    assert!(in_folder(folder.path(), &["schema"]).stdout.contains("\"chat\""));
    let wrong = in_folder(folder.path(), &["providers", "twillio"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("did you mean `twilio`?"), "{}", wrong.all());
    std::fs::write(&own, "name = 7").unwrap();
    let broken = in_folder(folder.path(), &["providers"]);
    assert!(broken.code == 1 && broken.stderr.contains("chat.toml"), "{}", broken.all());
}

#[test]
fn the_schema_is_the_committed_one_and_init_writes_it() {
    let folder = started();
    let committed = std::fs::read_to_string(root().join("rules.schema.json")).unwrap();
    assert_eq!(in_folder(folder.path(), &["schema"]).stdout, committed);
    assert_eq!(
        std::fs::read_to_string(folder.path().join("rules.schema.json")).unwrap(),
        committed
    );
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = run(bare(&["completions", shell]));
        assert_eq!(ran.code, 0, "{}", ran.all());
        assert!(ran.stdout.contains("notifications"), "{shell}");
    }
    // A real shell reads it and offers the commands.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("completions");
    std::fs::write(&file, run(bare(&["completions", "bash"])).stdout).unwrap();
    let script = format!(
        ". '{}'; COMP_WORDS=(hookbell noti); COMP_CWORD=1; _hookbell hookbell noti hookbell; echo \"${{COMPREPLY[@]}}\"",
        file.display()
    );
    let out = std::process::Command::new("bash").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), "notifications", "{out:?}");
}
