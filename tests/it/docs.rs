//! What the documents show is what the binary prints.
//!
//! After a change of words, `HOOKBELL_BLESS=1 cargo test --test it docs` writes the outputs anew; read the difference.

use crate::support::command::{bare, run};
use crate::support::root;

/// The words of a command line; those in quotes stay together.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, piece) in line.split('"').enumerate() {
        if at % 2 == 1 {
            words.push(piece.to_owned());
        } else {
            words.extend(piece.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// The document with the output of each of its `console` blocks as it is now, and how many there are.
fn renewed(text: &str) -> (String, usize) {
    let mut out = String::new();
    let mut blocks = 0;
    let mut inside = false;
    for line in text.lines() {
        if inside && line != "```" && !line.starts_with("$ hookbell ") {
            continue;
        }
        inside = (inside || line == "```console") && line != "```";
        out.push_str(line);
        out.push('\n');
        if let Some(rest) = line.strip_prefix("$ hookbell ").filter(|_| inside) {
            blocks += 1;
            let words = words(rest);
            let mut command = bare(&words.iter().map(String::as_str).collect::<Vec<_>>());
            command.current_dir(root()).env("TZ", "UTC");
            let ran = run(command);
            assert!(ran.code == 0 || ran.code == 1, "{line}: {}", ran.all());
            out.push_str(&ran.stdout);
        }
    }
    (out, blocks)
}

#[test]
fn the_shown_output_is_the_real_one() {
    let path = root().join("docs/explain.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (now, blocks) = renewed(&text);
    assert!(blocks >= 4, "found only {blocks} commands");
    if std::env::var_os("HOOKBELL_BLESS").is_some() {
        std::fs::write(&path, now).unwrap();
    } else {
        assert_eq!(text, now, "docs/explain.md is out of date");
    }
}

#[test]
fn a_command_line_is_taken_apart_as_a_shell_would() {
    assert_eq!(
        words("explain a.json --rule \"two words\" -x"),
        ["explain", "a.json", "--rule", "two words", "-x"]
    );
    assert_eq!(renewed("a\n```\nb\n```\n"), ("a\n```\nb\n```\n".to_owned(), 0));
}
