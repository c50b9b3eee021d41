//! Any text as rules.toml: it loads, or every problem is shown at a place within it.

#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use hookbell::config::{Environment, Secrets, load_in, problem};

/// In memory where that is possible: the disk would be what is measured.
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let memory = std::path::Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let folder = folder.expect("a folder for temporary files");
    std::fs::create_dir(folder.path().join("templates")).expect("a folder for templates");
    std::fs::write(folder.path().join("templates/note.hbs"), "{{event}}").expect("a template");
    folder
});

libfuzzer_sys::fuzz_target!(|text: &str| {
    let path = FOLDER.path().join("rules.toml");
    std::fs::write(&path, text).expect("a file to write");
    let environment = Environment::Only(BTreeMap::from([
        ("REPLICER_SIGNING_SECRET".to_owned(), "hunter2-secret".to_owned()),
        ("EMPTY".to_owned(), String::new()),
    ]));
    for secrets in [Secrets::Required, Secrets::StandIns] {
        let problems = match load_in(Some(&path), secrets, &environment) {
            Ok(loaded) => {
                assert!(loaded.warnings.iter().all(|w| !w.is_error()));
                loaded.warnings
            }
            Err(problems) => {
                assert!(problems.iter().any(|p| p.is_error()), "refused without a reason");
                problems
            }
        };
        for p in &problems {
            if let (Some(span), Some(text)) = (&p.span, &p.text) {
                assert!(text.get(span.clone()).is_some(), "{p:?}");
            }
        }
        for style in [problem::Style::Plain, problem::Style::Colour] {
            let shown = problem::render(&problems, style);
            assert!(!shown.contains("hunter2"), "a secret is shown");
        }
    }
});
