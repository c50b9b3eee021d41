//! What an editor makes of `rules.toml`: the JSON Schema in the hands of a validator and of a real language server
//! (tombi). `./test` installs both.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::command::{Ran, bare, run};
use crate::support::mail::python;
use crate::support::root;

/// Runs a program that `./test` installs; that it ran says nothing of its answer.
fn tool(mut command: Command) -> Ran {
    let name = format!("{:?}", command.get_program());
    command.stdin(std::process::Stdio::null());
    let found = command.output();
    let out = found.unwrap_or_else(|e| panic!("{name}: {e}: ./test installs what the tests need"));
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (stdout, stderr) = (text(out.stdout), text(out.stderr));
    assert!(
        !stderr.contains("ModuleNotFoundError"),
        "{stderr}\n./test installs what the tests need"
    );
    Ran { code: out.status.code().unwrap_or(-1), stdout, stderr }
}

/// tombi stands beside the Python that it was installed with.
fn tombi() -> std::path::PathBuf {
    python().with_file_name("tombi")
}

/// `hookbell schema`, as it is for the configuration at `file`.
fn schema_of(file: &Path, folder: &Path) -> std::path::PathBuf {
    let ran = run(bare(&["schema", "--config", file.to_str().unwrap()]));
    assert_eq!(ran.code, 0, "{}", ran.all());
    let path = folder.join("rules.schema.json");
    std::fs::write(&path, ran.stdout).unwrap();
    path
}

fn validate(schema: &Path, files: &[&Path]) -> Value {
    let mut command = Command::new(python());
    command.arg(root().join("tests/editor/validate.py")).arg(schema).args(files);
    let ran = tool(command);
    assert_eq!(ran.code, 0, "{}", ran.all());
    ran.json()
}

/// The names of keys that `check` doesn't know in `file`.
fn unknown_keys(file: &Path) -> Vec<String> {
    let ran =
        run(bare(&["check", "--json", "--without-secrets", "--config", file.to_str().unwrap()]));
    let found = ran.json();
    let problems = found["problems"].as_array().unwrap();
    problems
        .iter()
        .filter(|p| p["code"] == "unknown-key")
        .map(|p| p["message"].as_str().unwrap().split('`').nth(1).unwrap().to_owned())
        .collect()
}

#[test]
fn what_check_approves_fits_the_schema_and_no_table_lets_an_unknown_key_pass() {
    let folder = tempfile::tempdir().unwrap();
    let mut files: Vec<_> = std::fs::read_dir(root().join("tests/config/valid"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| if path.is_dir() { path.join("rules.toml") } else { path })
        .filter(|path| path.is_file() && path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.push(root().join("rules.toml"));
    assert!(files.len() >= 6, "{files:?}");
    let mut tables = 0;
    for file in files {
        let schema = schema_of(&file, folder.path());
        let answer = &validate(&schema, &[&file])[file.to_str().unwrap()];
        assert_eq!(answer["errors"], Value::Array(Vec::new()), "{}", file.display());
        assert_eq!(answer["unknown"], Value::Array(Vec::new()), "{}", file.display());
        tables += answer["tables"].as_u64().unwrap();
    }
    assert!(tables >= 40, "{tables}");
}

#[test]
fn keys_that_check_refuses_are_no_keys_of_the_schema() {
    let file = root().join("tests/config/invalid/unknown-keys.toml");
    let unknown = unknown_keys(&file);
    assert!(unknown.len() >= 4, "{unknown:?}");
    let answer = validate(&root().join("rules.schema.json"), &[&file]);
    let errors = answer[file.to_str().unwrap()]["errors"].as_array().unwrap();
    assert!(!errors.is_empty());
    let all = errors.iter().map(ToString::to_string).collect::<String>();
    for key in unknown {
        assert!(all.contains(&key), "`{key}` passes: {all}");
    }
}

#[test]
fn a_language_server_approves_what_init_writes_and_names_a_typo() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = bare(&["init"]);
    command.current_dir(folder.path());
    assert_eq!(run(command).code, 0);
    let lint = || {
        let mut command = Command::new(tombi());
        command.args(["lint", "--offline", "rules.toml"]).current_dir(folder.path());
        tool(command)
    };
    let ran = lint();
    assert_eq!(ran.code, 0, "{}", ran.all());
    assert!(!ran.all().contains("Warning"), "{}", ran.all());
    let file = folder.path().join("rules.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("#:schema ./rules.schema.json\n"));
    for (right, wrong) in [
        ("keep = \"30d\"", "keeep = \"30d\""),
        ("account_sid = ", "acount_sid = "),
        ("template = \"won-deal\"", "tempalte = \"won-deal\""),
        ("kind   = \"replicer\"", "kind   = \"replicr\""),
        ("to   = [\"sales\"]", "to   = 7"),
    ] {
        let changed = text.replacen(right, wrong, 1);
        assert_ne!(changed, text, "{right} is not in rules.toml");
        std::fs::write(&file, changed).unwrap();
        assert_ne!(lint().code, 0, "{wrong} passes");
    }
}

#[test]
fn a_language_server_completes_the_keys_of_the_provider() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(root().join("rules.schema.json"), folder.path().join("rules.schema.json"))
        .unwrap();
    let complete = |text: &str| -> Vec<String> {
        let (before, after) = text.split_once('|').unwrap();
        std::fs::write(folder.path().join("rules.toml"), format!("{before}{after}")).unwrap();
        let line = before.matches('\n').count();
        let column = before.len() - before.rfind('\n').map_or(0, |at| at + 1);
        let mut command = Command::new(python());
        command
            .arg(root().join("tests/editor/complete.py"))
            .arg(tombi())
            .args(["rules.toml", &line.to_string(), &column.to_string()])
            .current_dir(folder.path());
        let ran = tool(command);
        assert_eq!(ran.code, 0, "{}", ran.all());
        serde_json::from_value(ran.json()).unwrap()
    };
    let head = "#:schema ./rules.schema.json\nversion = 1\n\n";
    let keys = complete(&format!("{head}[destinations.manager]\nprovider = \"twilio\"\n|\n"));
    for key in ["account_sid", "auth_token", "from", "to", "retry", "fallback"] {
        assert!(keys.iter().any(|k| k == key), "{key}: {keys:?}");
    }
    assert!(!keys.iter().any(|k| k == "api_key"), "another provider's: {keys:?}");
    let providers = complete(&format!("{head}[destinations.manager]\nprovider = \"|\"\n"));
    assert!(providers.iter().any(|p| p.contains("twilio")), "{providers:?}");
    let keys = complete(&format!("{head}[[rules]]\n|\n"));
    assert!(keys.iter().any(|k| k == "when"), "{keys:?}");
}
