//! docs/conditions.md says what is so: every example in it is run.

use super::*;

const DOCUMENT: &str = include_str!("../../../../docs/conditions.md");

/// The cells of every table's rows; `\|` is a `|` inside a cell.
fn rows() -> impl Iterator<Item = Vec<String>> {
    let lines = DOCUMENT.lines().filter_map(|line| line.strip_prefix("| "));
    lines.map(|line| {
        let line = line.trim_end().trim_end_matches('|').replace("\\|", "\u{0}");
        line.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
    })
}

fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`').filter(|code| !code.contains('`'))
}

#[test]
fn every_example_of_the_document_is_what_it_says() {
    let start = DOCUMENT.split_once("```json\n").unwrap().1;
    let event = event(start.split_once("```").unwrap().0);
    let mut found = 0;
    for cells in rows() {
        for pair in cells.windows(2) {
            let (Some(text), verdict) = (code(&pair[0]), &*pair[1]) else { continue };
            if !["true", "false", "unknown"].contains(&verdict) {
                continue;
            }
            let (condition, fields) = compile(text);
            let truth = condition.eval(&fields.read(&event, Some("data")));
            assert_eq!(truth.word(), verdict, "{text}");
            found += 1;
        }
    }
    assert!(found > 30, "{found} examples");
}

#[test]
fn what_the_document_says_is_refused_is_refused() {
    let mut found = 0;
    let refused = DOCUMENT.split_once("## What is refused").unwrap().1;
    for cells in rows().filter(|cells| refused.contains(&cells[0])) {
        let [Some(text), Some(expected)] = [&cells[0], &cells[1]].map(|cell| code(cell)) else {
            continue;
        };
        let errors = Condition::compile(text, &mut Fields::default()).map(|_| text).unwrap_err();
        let mut codes: Vec<_> = errors.iter().map(|error| error.code).collect();
        codes.dedup();
        assert_eq!(codes, [expected], "{text}");
        found += 1;
    }
    assert!(found >= 20, "{found} examples");
}
