//! `test`: what the rules must do, tried before it matters.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::command::{Ran, bare, run};
use crate::support::{Bridge, call, eventually, root};

/// `hookbell test` in `folder`, with no variable set.
fn try_out(folder: &Path, args: &[&str]) -> Ran {
    let mut all = vec!["test"];
    all.extend_from_slice(args);
    let mut command = bare(&all);
    command.current_dir(folder);
    run(command)
}

/// A folder with a console and these further lines; the template `note` says the summary in two lines.
fn folder(lines: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let head = r#"version = 1
[sources.replicer]
kind = "replicer"
secret = "${A_SECRET_THAT_IS_NOT_SET}"
[destinations.sales]
provider = "slack"
url = "${A_URL_THAT_IS_NOT_SET}"
[destinations.office]
provider = "twilio"
account_sid = "${NOT_SET}"
auth_token = "${NOT_SET}"
from = "+15550001111"
to = ["+15552223333", "+15552224444"]
[[rules]]
name = "long"
when = 'duration > 60'
to = ["sales", "office"]
template = "note"
[[rules]]
name = "quiet"
shadow = true
to = ["sales"]
"#;
    std::fs::create_dir(folder.path().join("templates")).unwrap();
    std::fs::write(folder.path().join("templates/note.hbs"), "about {{id}}\n{{summary}}\n")
        .unwrap();
    std::fs::write(folder.path().join("event.json"), call("evt-1").to_string()).unwrap();
    std::fs::write(folder.path().join("rules.toml"), format!("{head}{lines}")).unwrap();
    folder
}

#[test]
fn what_init_writes_passes_its_own_tests_and_so_does_what_is_built_in() {
    let folder = tempfile::tempdir().unwrap();
    // Without a rules.toml it is the built-in example.
    let ran = try_out(folder.path(), &[]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stdout.contains("ok    a short negative call disturbs nobody"), "{}", ran.stdout);
    let mut init = bare(&["init"]);
    init.current_dir(folder.path());
    assert_eq!(run(init).code, 0);
    let ran = try_out(folder.path(), &[]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stdout.contains("all passed"), "{}", ran.stdout);
    let shipped = try_out(root(), &["--json"]);
    assert_eq!(shipped.code, 0, "{}", shipped.all());
    assert!(shipped.lines().len() >= 4);
    assert!(shipped.lines().iter().all(|test| test["passed"] == true));

    // A rule that loses its second half: the example's tests notice.
    let rules = std::fs::read_to_string(folder.path().join("rules.toml")).unwrap();
    let broken =
        rules.replace("sentiment == \"negative\" && duration > 60", "sentiment == \"negative\"");
    assert_ne!(rules, broken);
    std::fs::write(folder.path().join("rules.toml"), broken).unwrap();
    let ran = try_out(folder.path(), &[]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.stdout.contains("FAIL  a short negative call disturbs nobody"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("+ sales by rule \"unhappy customer\": send: not expected"),
        "{}",
        ran.stdout
    );
}

#[test]
fn a_failure_says_what_differs_and_why() {
    let folder = folder(
        r#"
[[tests]]
name = "it passes: a destination stands for all of its recipients, and shadows are not sent"
event = "event.json"
expect = ["sales", "office"]

[[tests]]
name = "all that can differ"
event = "event.json"
with = { "data.summary" = "second" }
expect = [
  { to = "sales", text = "about evt-1\nthird\n", contains = ["nowhere in it"] },
  { to = "office", rule = "quiet" },
  { to = "sales", rule = "quiet", decision = "shadow", contains = "quiet: call.ended" },
]

[[tests]]
name = "a missing one is explained by the rule that could have sent it"
event = "event.json"
with = { "data.duration" = 30 }
expect = ["office"]
unknown = ["long"]
"#,
    );
    let ran = try_out(folder.path(), &[]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    let shown = &ran.stdout;
    assert!(shown.contains("ok    it passes"), "{shown}");
    for line in [
        "FAIL  all that can differ",
        "- office by rule \"quiet\": send: expected, but is not sent",
        "rule \"quiet\" matched, but is not for office",
        "+ office by rule \"long\": send: not expected",
        "sales by rule \"long\": the text",
        "    about evt-1",
        "- third",
        "+ second",
        "- nowhere in it",
        "- office: send: expected, but is not sent",
        "rule \"long\": no match: duration > 60 is false: duration = 30",
        "rule \"long\" must be unknown, but it is: no match",
        "3 tests: 2 failed",
    ] {
        assert!(shown.contains(line), "{line:?} is not in:\n{shown}");
    }
    assert!(shown.lines().all(|l| l.chars().count() <= 80 || l.starts_with("ok")), "{shown}");
    assert!(!shown.contains('\u{1b}'), "no colour where nobody looks");

    let ran = try_out(folder.path(), &["--json"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    let tests = ran.lines();
    let passed: Vec<_> = tests.iter().map(|t| t["passed"].as_bool().unwrap()).collect();
    assert_eq!(passed, [true, false, false]);
    assert_eq!((&tests[0]["file"], &tests[0]["differences"]), (&json!("rules.toml"), &json!([])));
    let text = std::fs::read_to_string(folder.path().join("rules.toml")).unwrap();
    let line = text.lines().position(|l| l == "[[tests]]").unwrap() + 1;
    assert_eq!(tests[0]["line"], line);
    let kinds: Vec<_> = differences(&tests[1]).map(|d| d["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["missing", "text", "contains", "unexpected"]);
    let missing = differences(&tests[2]).next().unwrap();
    assert_eq!(missing["destination"], "office");
    assert!(missing.get("rule").is_some_and(Value::is_null), "named keys are always there");
    assert!(missing["why"].as_str().unwrap().contains("duration = 30"), "{missing}");

    let ran = try_out(folder.path(), &["--filter", "IT PASSES"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(ran.stdout.contains("1 test: all passed, 2 left out by --filter"), "{}", ran.stdout);
    let ran = try_out(folder.path(), &["--filter", "no such thing"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
}

fn differences(test: &Value) -> impl Iterator<Item = &Value> {
    test["differences"].as_array().unwrap().iter()
}

#[test]
fn files_in_tests_are_run_too_and_their_mistakes_are_errors_of_check() {
    let folder = folder("");
    let ran = try_out(folder.path(), &[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.all());
    assert!(ran.stderr.contains("there is no test"), "{}", ran.stderr);

    let tests = folder.path().join("tests");
    std::fs::create_dir(&tests).unwrap();
    let one = "[[tests]]\nname = \"from a file\"\nevent = \"event.json\"\nexpect = [\"sales\", \"office\"]\n";
    std::fs::write(tests.join("calls.toml"), one).unwrap();
    let ran = try_out(folder.path(), &["--json"]);
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert_eq!(ran.lines()[0]["name"], "from a file");
    assert_eq!(ran.lines()[0]["file"], "tests/calls.toml");

    std::fs::write(tests.join("calls.toml"), one.replace("\"sales\"", "\"sails\"")).unwrap();
    let mut check = bare(&["check", "--without-secrets"]);
    check.current_dir(folder.path());
    for ran in [try_out(folder.path(), &[]), run(check)] {
        assert_eq!(ran.code, 1, "{}", ran.all());
        assert!(ran.all().contains("tests/calls.toml:4:11"), "{}", ran.all());
        assert!(ran.all().contains("did you mean `sales`?"), "{}", ran.all());
    }
}

#[test]
fn a_bridge_starts_where_the_events_of_its_tests_are_not() {
    let rules = "[destinations.log]\nprovider = \"console\"\n[[rules]]\nname = \"all\"\nto = \"log\"\n\
                 [[tests]]\nname = \"elsewhere\"\nevent = \"not/here.json\"\nexpect = []\n";
    let bridge = Bridge::with_rules(rules).start();
    bridge.accepts(call("evt-1").to_string());
    let ran = bridge.run(&["check"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.all().contains("not/here.json can't be read"), "{}", ran.all());
}

#[test]
fn a_reload_whose_tests_fail_is_refused_where_the_file_asks_for_that() {
    let rules = r#"
[reload]
needs_tests = true
[destinations.log]
provider = "console"
[[rules]]
name = "first"
when = 'duration > 60'
to = "log"
[[tests]]
name = "a short call is nobody's business"
event = { id = "1", event = "x.y", data = { duration = 30 } }
expect = []
"#;
    let mut bridge = Bridge::with_rules(rules).start();
    let path = bridge.path().join("rules.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let names = |bridge: &Bridge| bridge.get("/api/status").json()["rules"].clone();
    assert_eq!(names(&bridge), json!(["first"]));

    // The condition and its test disagree: the old rules stay, and the log says why.
    let second = text.replace("\"first\"", "\"second\"");
    std::fs::write(&path, second.replace("duration > 60", "duration > 10")).unwrap();
    bridge.process().signal("HUP");
    eventually("the reload is refused", || {
        bridge.log().contains("`reload.needs_tests` is set, so the old rules stay").then_some(())
    });
    assert!(bridge.log().contains("a short call is nobody's business"), "{}", bridge.log());
    assert_eq!(names(&bridge), json!(["first"]));

    // A test that can't be run is no test that passes.
    let broken =
        second.replace("duration = 30", "duration = 30, id = 1").replace("id = \"1\", ", "");
    std::fs::write(&path, broken).unwrap();
    bridge.process().signal("HUP");
    eventually("the second reload is refused", || {
        bridge.log().contains("this event would not be taken").then_some(())
    });
    assert_eq!(names(&bridge), json!(["first"]));

    std::fs::write(&path, &second).unwrap();
    bridge.process().signal("HUP");
    eventually("the rules whose tests pass are taken", || {
        (names(&bridge) == json!(["second"])).then_some(())
    });

    // Without the key the same disagreement is the person's own business.
    let free = text.replace("needs_tests = true", "needs_tests = false");
    let free = free.replace("\"first\"", "\"third\"").replace("duration > 60", "duration > 10");
    std::fs::write(&path, free).unwrap();
    bridge.process().signal("HUP");
    eventually("the rules are taken unasked", || {
        (names(&bridge) == json!(["third"])).then_some(())
    });
}
