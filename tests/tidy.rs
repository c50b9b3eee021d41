//! Holds the shape of the code: arrows point one way, an outside crate has one home, each file says what it is for and
//! stays small enough to have one job.
#![expect(clippy::unwrap_used, reason = "the whole crate is a test; a panic is how it fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The layers from the top down. A module may use its own layer (only where [`SAME_LAYER`] says so) and those below.
const LAYERS: [&[&str]; 6] = [
    &["main"],
    &["cli"],
    &["app"],
    &["pipeline", "admin", "config"],
    &["rules", "journal"],
    &["event", "clock", "secret", "http", "telemetry"],
];

/// Arrows within a layer: who may use whom.
const SAME_LAYER: [(&str, &str); 6] = [
    // The journal stores what the rules decided, and a source names the keys that the journal dedupes by.
    ("journal", "rules"),
    ("rules", "journal"),
    // An event has the time of the clock; logs and the accept loop may use the words.
    ("event", "clock"),
    ("http", "clock"),
    ("http", "telemetry"),
    ("telemetry", "secret"),
];

/// Outside crates and the only places (path prefixes below `src`) that may name them.
const HOMES: [(&str, &[&str]); 13] = [
    ("reqwest", &["pipeline/send", "rules/provider", "cli/"]),
    ("handlebars", &["rules/template"]),
    ("toml", &["config/", "rules/provider", "rules/source", "cli/"]),
    ("rusqlite", &["journal/sqlite"]),
    ("ring", &["rules/source/signature"]),
    ("lettre", &["pipeline/smtp", "rules/provider"]),
    ("hmac", &["rules/source", "rules/provider", "secret"]),
    ("regex", &["rules/"]),
    ("clap", &["cli/"]),
    ("prometheus_client", &["telemetry"]),
    ("annotate_snippets", &["cli/", "config/"]),
    ("tracing_subscriber", &["telemetry"]),
    ("strsim", &["config/", "rules/", "cli/"]),
];

/// No file is longer: past that, look for the second job.
const LONGEST: usize = 600;

struct File {
    /// Below `src`, with `/`.
    name: String,
    text: String,
}

impl File {
    /// The module of the first level: `rules/source/mod.rs` is in `rules`.
    fn module(&self) -> &str {
        let first = self.name.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// The lines that are code, numbered from 1: no comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(i, line)| (i + 1, line));
        lines.filter(|(_, line)| !line.trim_start().starts_with("//"))
    }

    /// Like [`Self::code`], up to the tests at the end of the file.
    fn code_before_tests(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests_alone = self.name.ends_with("/tests.rs") || self.name.ends_with("conformance.rs");
        self.code().take_while(move |(_, line)| !tests_alone && line.trim() != "#[cfg(test)]")
    }
}

fn sources() -> Vec<File> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &root, &mut files);
    assert!(files.len() > 10, "the sources were found");
    files
}

fn collect(root: &Path, folder: &Path, into: &mut Vec<File>) {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(root, &path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            into.push(File { name, text: std::fs::read_to_string(&path).unwrap() });
        }
    }
}

fn report(what: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{what}:\n{}", complaints.join("\n"));
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// The modules that a line names after `crate::`, also in a list: `use crate::{event::Event, clock::Clock}`.
fn named_modules(line: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let mut found = BTreeSet::new();
    for crate_name in ["crate::", "hookbell::"] {
        for (at, _) in line.match_indices(crate_name) {
            let before = line[..at].chars().next_back();
            if before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &line[at + crate_name.len()..];
            if let Some(list) = rest.strip_prefix('{') {
                let mut depth = 0;
                let mut start = true;
                for (i, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        c if start && !c.is_whitespace() => {
                            found.insert(word(&list[i..]));
                            start = false;
                        }
                        _ => {}
                    }
                }
            } else {
                found.insert(word(rest));
            }
        }
    }
    found
}

#[test]
fn imports_point_down() {
    let mut complaints = Vec::new();
    for file in sources() {
        // `lib.rs` declares the modules and tells the tour.
        if file.name == "lib.rs" {
            continue;
        }
        let from = file.module();
        let Some(from_layer) = layer(from) else {
            complaints.push(format!(
                "src/{}: `{from}` has no place in tests/tidy.rs's LAYERS",
                file.name
            ));
            continue;
        };
        for (number, line) in file.code() {
            for to in named_modules(line) {
                let Some(to_layer) = layer(&to) else { continue };
                let same = to_layer == from_layer
                    && (from == to || SAME_LAYER.contains(&(from, to.as_str())));
                if !(to_layer > from_layer || same) {
                    complaints.push(format!(
                        "src/{}:{number}: `{from}` uses `{to}`, which stands above or beside it",
                        file.name
                    ));
                }
            }
        }
    }
    report("an import points up", &complaints);
}

#[test]
fn an_import_in_a_list_is_seen() {
    let modules = |line: &str| named_modules(line).into_iter().collect::<Vec<_>>();
    assert_eq!(modules("use crate::{event::{Event, Other}, clock::Clock};"), ["clock", "event"]);
    assert_eq!(modules("fn f(a: crate::rules::Rules, b: &crate::app::App) {"), ["app", "rules"]);
    assert_eq!(modules("use hookbell::cli;"), ["cli"]);
    assert!(modules("use other_crate::event;").is_empty());
}

#[test]
fn an_outside_crate_has_one_home() {
    let mut complaints = Vec::new();
    for file in sources() {
        for (number, line) in file.code_before_tests() {
            for (name, homes) in HOMES {
                let used = line.match_indices(&format!("{name}::")).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
                });
                if used && !homes.iter().any(|home| file.name.starts_with(home)) {
                    complaints.push(format!(
                        "src/{}:{number}: `{name}` lives in {}",
                        file.name,
                        homes.join(", ")
                    ));
                }
            }
        }
    }
    report("an outside crate is used away from its home", &complaints);
}

#[test]
fn rules_know_no_async_and_no_io() {
    // Types such as `std::net::IpAddr` are plain values; sockets aren't.
    let forbidden = [
        "async fn",
        ".await",
        "tokio::",
        "std::fs",
        "TcpStream",
        "UdpSocket",
        "ToSocketAddrs",
        "std::env",
        "tracing::",
    ];
    let mut complaints = Vec::new();
    for file in sources().iter().filter(|file| file.module() == "rules") {
        for (number, line) in file.code_before_tests() {
            for word in forbidden.iter().filter(|word| line.contains(**word)) {
                complaints.push(format!("src/{}:{number}: `{word}` in the rules", file.name));
            }
        }
    }
    report("the rules are pure", &complaints);
}

#[test]
fn one_clock_tells_the_time() {
    let mut complaints = Vec::new();
    for file in sources().iter().filter(|file| file.name != "clock.rs") {
        for (number, line) in file.code_before_tests() {
            for word in ["Timestamp::now", "SystemTime::now", "Zoned::now", "ZonedDateTime::now"] {
                if line.contains(word) {
                    complaints.push(format!("src/{}:{number}: {word}", file.name));
                }
            }
        }
    }
    report("the time comes from clock.rs", &complaints);
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut complaints = Vec::new();
    for file in sources() {
        if !file.text.starts_with("//! ") {
            complaints.push(format!("src/{}: no `//!` at the top", file.name));
        }
    }
    report("a file doesn't say what it is for", &complaints);
}

#[test]
fn files_stay_small() {
    let mut complaints = Vec::new();
    for file in sources() {
        let lines = file.text.lines().count();
        if lines > LONGEST {
            complaints.push(format!("src/{}: {lines} lines", file.name));
        }
    }
    report(&format!("a file has more than {LONGEST} lines; it has a second job"), &complaints);
}

#[test]
fn nothing_is_left_for_later() {
    // Written in two parts, so that this file may be looked at too.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("X", "XX"),
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
    ];
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = sources();
    collect(root, &root.join("tests"), &mut files);
    let mut complaints = Vec::new();
    for file in files {
        for (number, line) in file.text.lines().enumerate() {
            for word in words.iter().filter(|word| line.contains(**word)) {
                complaints.push(format!("{}:{}: {word}", file.name, number + 1));
            }
        }
    }
    report("something is left for later", &complaints);
}

#[test]
fn files_have_names_that_say_something() {
    let mut complaints = Vec::new();
    for file in sources() {
        for part in file.name.split('/') {
            let part = part.strip_suffix(".rs").unwrap_or(part);
            if ["utils", "util", "helpers", "common", "manager", "handler", "types", "misc"]
                .contains(&part)
            {
                complaints.push(format!("src/{}", file.name));
            }
        }
    }
    report("a name that won't come is a cut in the wrong place", &complaints);
}
