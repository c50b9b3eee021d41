//! Whole configurations: each of `tests/config/valid` loads without a word, each of `tests/config/invalid` gives the
//! text beside it.
//!
//! After a change of words, `HOOKBELL_BLESS=1 cargo test --test config` writes the texts anew; read the difference.

#![expect(clippy::unwrap_used, reason = "a failing test may panic, in its helping functions too")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hookbell::config::{Environment, Loaded, Problem, Secrets, Settings, codes, load_in, problem};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config").join(name)
}

/// A case is a file `NAME.toml`, or a folder `NAME/` with a `rules.toml` and what belongs beside it.
fn cases(name: &str) -> Vec<PathBuf> {
    let mut cases: Vec<PathBuf> = std::fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|p| p.is_dir() || p.extension().is_some_and(|e| e == "toml"))
        .filter(|p| p.file_name().is_some_and(|n| n != "templates" && n != "schemas"))
        .collect();
    cases.sort();
    cases
}

fn environment() -> Environment {
    Environment::Only(BTreeMap::from(
        [
            ("REPLICER_SIGNING_SECRET", "hunter2-secret"),
            ("SALES_SLACK_URL", "https://hooks.slack.com/services/T00/B00/hunter2"),
            ("TWILIO_ACCOUNT_SID", "AC0123456789abcdef0123456789abcdef"),
            ("TWILIO_AUTH_TOKEN", "hunter2-token"),
            ("SMTP_URL", "smtps://bell:hunter2@mail.example.com:465"),
            ("EMPTY", ""),
        ]
        .map(|(k, v)| (k.to_owned(), v.to_owned())),
    ))
}

fn load(case: &Path) -> Result<Loaded, Vec<Problem>> {
    let file = if case.is_dir() { case.join("rules.toml") } else { case.to_owned() };
    load_in(Some(&file), Secrets::Required, &environment())
}

/// Everything that was found, its paths relative to the folder of cases.
fn found(case: &Path) -> String {
    let mut problems = load(case).map_or_else(|problems| problems, |loaded| loaded.problems());
    for problem in &mut problems {
        let short = problem.file.strip_prefix(folder("invalid")).unwrap_or(&problem.file);
        problem.file = short.to_owned();
    }
    problem::render(&problems, problem::Style::Plain)
}

#[test]
fn each_valid_configuration_loads_without_a_word() {
    let cases = cases("valid");
    assert!(cases.len() >= 4, "found only {} cases", cases.len());
    for case in cases {
        let shown = match load(&case) {
            Ok(loaded) => problem::render(&loaded.problems(), problem::Style::Plain),
            Err(problems) => problem::render(&problems, problem::Style::Plain),
        };
        assert_eq!(shown, "", "{}", case.display());
    }
}

#[test]
fn each_invalid_configuration_gives_the_text_beside_it() {
    let cases = cases("invalid");
    assert!(cases.len() >= 25, "found only {} cases", cases.len());
    let bless = std::env::var_os("HOOKBELL_BLESS").is_some();
    let mut differ = Vec::new();
    for case in cases {
        let shown = found(&case);
        assert!(!shown.is_empty(), "{} is fine", case.display());
        assert!(!shown.contains("hunter2"), "{} shows a secret:\n{shown}", case.display());
        let expected = case.with_extension("txt");
        if bless {
            std::fs::write(&expected, &shown).unwrap();
        } else if std::fs::read_to_string(&expected).ok().as_deref() != Some(&*shown) {
            differ.push(format!("{}:\n{shown}", case.display()));
        }
    }
    assert!(differ.is_empty(), "{} differ:\n\n{}", differ.len(), differ.join("\n"));
}

/// Every code of the table stands in some case, so that each message has been looked at once, with the severity that the
/// table says; and every code of a case is in the table.
#[test]
fn each_code_has_a_case_and_an_explanation() {
    let mut seen = BTreeMap::new();
    for case in cases("invalid") {
        let problems = load(&case).map_or_else(|problems| problems, |loaded| loaded.problems());
        seen.extend(problems.iter().map(|p| (p.code, p.severity)));
    }
    // `not-applied-yet` is an error where a promise would be broken.
    let wrong: Vec<_> = seen
        .iter()
        .filter(|(code, severity)| {
            let known = codes::find(code);
            known.is_none_or(|c| c.severity != **severity && **code != "not-applied-yet")
        })
        .collect();
    assert!(wrong.is_empty(), "docs/problems.md has no entry, or another severity: {wrong:?}");
    // For settings that name a field; no key of this version does.
    let unused = ["not-a-field"];
    let missing: Vec<_> = codes::all()
        .iter()
        .map(|c| c.code)
        .filter(|code| !seen.contains_key(code) && !unused.contains(code))
        .collect();
    assert!(missing.is_empty(), "no case in tests/config/invalid shows {missing:?}");
}

/// Every code that the sources write is in the table, also one that no test has come across.
#[test]
fn each_code_in_the_sources_has_an_explanation() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = [
        "config",
        "config/typing",
        "rules/condition",
        "rules/condition/parse",
        "rules/template",
        "rules/source/schema",
    ]
    .map(|f| root.join(f));
    folders.sort();
    let markers = [
        "error(\n",
        "error::<()>(\n",
        "warning(\n",
        "error(\"",
        "error::<()>(\"",
        "warning(\"",
        "code: \"",
        "problem(\n",
        "problem(\"",
        "push(\"",
        "push(\n",
        "warn(\"",
        "warn(\n",
        "whole(source, \"",
        "code = \"",
    ];
    let mut found = 0;
    let mut missing = BTreeSet::new();
    for folder in folders {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e != "rs") || path.ends_with("tests.rs") {
                continue;
            }
            let text = std::fs::read_to_string(path).unwrap();
            let code = text.split("#[cfg(test)]\nmod").next().unwrap_or_default();
            for after in markers.iter().flat_map(|marker| code.split(marker).skip(1)) {
                let word = after
                    .trim_start()
                    .trim_start_matches('"')
                    .split('"')
                    .next()
                    .unwrap_or_default();
                let kebab = word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
                if kebab && word.contains('-') {
                    found += 1;
                    if codes::find(word).is_none() {
                        missing.insert(word.to_owned());
                    }
                }
            }
        }
    }
    assert!(found > 60, "found only {found} codes");
    assert!(missing.is_empty(), "docs/problems.md has no entry for {missing:?}");
}

/// Editors read this file; `hookbell init` writes it. It can't know another key than the code does.
#[test]
fn the_json_schema_is_what_the_code_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules.schema.json");
    let schema = hookbell::config::json_schema(&hookbell::config::definitions(None).0);
    if std::env::var_os("HOOKBELL_BLESS").is_some() {
        std::fs::write(&file, &schema).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = found.lines().zip(schema.lines()).position(|(a, b)| a != b);
    assert!(
        found == schema,
        "rules.schema.json is not what the code says (line {:?}): renew it with \
         `cargo run -- schema > rules.schema.json` and commit it",
        differs.map(|at| at + 1)
    );
}

#[test]
fn the_defaults_that_editors_show_are_those_of_the_code() {
    let schema: serde_json::Value = serde_json::from_str(&hookbell::config::json_schema(
        &hookbell::config::definitions(None).0,
    ))
    .unwrap();
    let mut text = String::new();
    let mut seen = 0;
    for section in ["server", "journal"] {
        text.push_str(&format!("[{section}]\n"));
        for (key, value) in schema["properties"][section]["properties"].as_object().unwrap() {
            if let Some(default) = value.get("default") {
                seen += 1;
                text.push_str(&format!("{key} = {default}\n"));
            }
        }
    }
    assert!(seen >= 10, "{text}");
    assert!(settings("").needs_restart(&settings(&text)).is_empty(), "{text}");
    let destination = "[destinations.log]\nprovider = \"console\"\n";
    let policy = |more: &str| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rules.toml");
        std::fs::write(&path, format!("version = 1\n{destination}{more}")).unwrap();
        let loaded = load_in(Some(&path), Secrets::Required, &environment()).unwrap();
        format!("{:?}", loaded.rules.destinations[0].retry)
    };
    let retry = &schema["definitions"]["retry"]["properties"];
    let mut written = "[destinations.log.retry]\n".to_owned();
    for (key, value) in retry.as_object().unwrap() {
        written.push_str(&format!("{key} = {}\n", value["default"]));
    }
    assert_eq!(policy(""), policy(&written), "{written}");
}

#[test]
fn the_shipped_configuration_is_fine() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules.toml");
    for path in [None, Some(&*root)] {
        let loaded = load_in(path, Secrets::Required, &environment())
            .unwrap_or_else(|p| panic!("{}", problem::render(&p, problem::Style::Plain)));
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        let names: Vec<_> = loaded.rules.rules.rules.iter().map(|r| &*r.name).collect();
        assert_eq!(names, ["won deal", "unhappy customer", "failed call"]);
        let unhappy = &loaded.rules.rules.rules[1];
        let to: Vec<_> =
            unhappy.to.iter().map(|at| &*loaded.rules.destinations[*at].name).collect();
        assert_eq!(to, ["sales", "manager", "office-mail"]);
        assert_eq!(loaded.rules.version.len(), 32);
    }
}

#[test]
fn with_stand_ins_every_destination_is_the_inbox_and_keeps_its_channel() {
    use hookbell::rules::provider::Transport;
    use hookbell::rules::template::Channel;
    let nothing = Environment::Only(BTreeMap::new());
    for environment in [nothing, environment()] {
        let loaded = load_in(None, Secrets::StandIns, &environment).unwrap();
        let seen: Vec<_> = loaded
            .rules
            .destinations
            .iter()
            .map(|d| {
                assert!(matches!(d.transport, Transport::Inbox), "{}", d.name);
                (&*d.name, &*d.provider, d.channel, d.recipients.len())
            })
            .collect();
        assert_eq!(
            seen,
            [
                ("sales", "slack", Channel::Slack, 0),
                ("manager", "twilio", Channel::Sms, 1),
                ("office-mail", "smtp", Channel::Email, 1)
            ]
        );
    }
}

#[test]
fn without_its_secrets_the_example_names_every_variable_at_once() {
    let nothing = Environment::Only(BTreeMap::new());
    let problems = load_in(None, Secrets::Required, &nothing).unwrap_err();
    let all = problem::render(&problems, problem::Style::Plain);
    for name in [
        "REPLICER_SIGNING_SECRET",
        "SALES_SLACK_URL",
        "TWILIO_ACCOUNT_SID",
        "TWILIO_AUTH_TOKEN",
        "SMTP_URL",
    ] {
        assert!(all.contains(&format!("export {name}=…")), "{name}:\n{all}");
    }
    assert_eq!(problems.len(), 5, "{all}");
}

fn settings(server: &str) -> Settings {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules.toml");
    std::fs::write(&path, format!("version = 1\n{server}")).unwrap();
    load_in(Some(&path), Secrets::Required, &environment()).unwrap().settings
}

#[test]
fn settings_say_what_a_reload_cannot_change() {
    let a = settings("[server]\nlisten = \"127.0.0.1:1\"\n");
    assert!(a.needs_restart(&a).is_empty());
    let b =
        settings("[server]\nlisten = \"127.0.0.1:2\"\ngrace = \"1m\"\n[journal]\nkeep = \"7d\"\n");
    assert_eq!(a.needs_restart(&b), ["server.listen", "server.grace", "journal.keep"]);
}

#[test]
fn every_key_of_server_is_read() {
    let s = settings(
        "[server]\nlisten = \"0.0.0.0:80\"\nadmin = \"[::1]:91\"\nadmin_token = \"t\"\n\
         admin_hosts = [\"Bell.internal\"]\nmax_body = \"2MiB\"\nmax_head = \"8KiB\"\n\
         head_timeout = \"2s\"\nbody_timeout = \"3s\"\nmax_connections = 7\ngrace = \"4s\"\n",
    )
    .server;
    assert_eq!(s.listen.to_string(), "0.0.0.0:80");
    assert_eq!(s.admin.to_string(), "[::1]:91");
    assert_eq!(s.admin_token.unwrap().expose(), "t");
    assert_eq!(s.admin_hosts, ["bell.internal"]);
    assert_eq!((s.max_body, s.max_head, s.max_connections), (2 << 20, 8 << 10, 7));
    let seconds = [s.head_timeout, s.body_timeout, s.grace].map(|d| d.as_secs());
    assert_eq!(seconds, [2, 3, 4]);
}

#[test]
fn the_version_changes_with_the_rules_and_with_a_template() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules.toml");
    let version = || {
        let loaded = load_in(Some(&path), Secrets::Required, &environment()).unwrap();
        loaded.rules.version.to_string()
    };
    std::fs::write(&path, "version = 1\n").unwrap();
    let first = version();
    assert_eq!(version(), first);
    std::fs::create_dir(dir.path().join("templates")).unwrap();
    std::fs::write(dir.path().join("templates/a.hbs"), "hello").unwrap();
    let second = version();
    std::fs::write(&path, "version = 1 # changed\n").unwrap();
    assert!(second != first && version() != second);
}

#[test]
fn no_damage_to_the_file_can_break_the_check() {
    let text = hookbell::config::example::RULES;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rules.toml");
    // Cuts and replacements at steps that share no factor with the length of a line.
    for at in (0..text.len()).step_by(37) {
        let at = text.floor_char_boundary(at);
        for insert in ["", "\"", "]", "=", "[[", "ü'''"] {
            let cut = if insert.is_empty() { text.len() } else { at };
            std::fs::write(&path, format!("{}{insert}{}", &text[..at], &text[cut..])).unwrap();
            let problems = load_in(Some(&path), Secrets::Required, &environment())
                .map_or_else(|problems| problems, |loaded| loaded.warnings);
            let _ = problem::render(&problems, problem::Style::Colour);
        }
    }
}

#[test]
fn the_admin_address_is_found_while_the_rest_is_being_edited() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    let broken =
        "version = 1\n[server]\nadmin = \"127.0.0.1:4321\"\n[[rules]]\nname = \nwhen = 'a ='\n";
    std::fs::write(&file, broken).unwrap();
    let (address, token) = hookbell::config::admin_endpoint(&file).unwrap();
    assert_eq!(address.to_string(), "127.0.0.1:4321");
    assert!(token.is_none());
    std::fs::write(&file, "version = 1\n[server]\nadmin = 9\n").unwrap();
    let problems = hookbell::config::admin_endpoint(&file).unwrap_err();
    assert_eq!(problems[0].code, "bad-address");
}
