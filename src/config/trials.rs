//! `[[tests]]` of `rules.toml` and of `tests/*.toml` beside it: names resolved, events read, so that running them can't
//! fail in any way but by an answer that differs.
//!
//! What is wrong with a test is an error for `check` and `test`. It doesn't keep a bridge from starting: where rules are
//! served, the events of their tests need not be.

use std::collections::HashMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::files::{File, Files};
use super::reader::{Report, Table, Value, suggest};
use super::{Problem, Trials, destinations, keys, trial_event};
use crate::rules::explain::Decided;
use crate::rules::source::Source;
use crate::rules::trial::{Expected, Trial};

/// What tests may refer to.
pub(super) struct World<'w> {
    pub(super) files: &'w Files,
    pub(super) sources: &'w [Source],
    /// Names of sources, whether or not they could be built.
    pub(super) source_names: &'w [&'w str],
    pub(super) destinations: &'w [&'w str],
    pub(super) rules: &'w [&'w str],
}

/// Reads all tests. `document` is that of `rules.toml`.
pub(super) fn trials(document: &DeTable<'_>, world: &World<'_>) -> Trials {
    let mut found = Trials::default();
    let mut seen = HashMap::new();
    let report = Report::new(&world.files.rules.path, &world.files.rules.text);
    let root = Table::new(&report, "rules.toml", 0..0, document);
    if let Some(section) = root.peek("tests") {
        let reader = Reader { world, file: &world.files.rules };
        found.cases.extend(reader.section(&section, &mut seen));
    }
    found.problems.extend(report.into_problems());
    for file in &world.files.tests {
        let report = Report::new(&file.path, &file.text);
        let (document, errors) = DeTable::parse_recoverable(&file.text);
        found.problems.extend(super::compile::syntax_problems(file, &errors));
        if !errors.is_empty() {
            continue;
        }
        let name = format!("tests/{}", file.name);
        let mut root = Table::new(&report, name, 0..0, document.get_ref());
        match root.get("tests") {
            Some(section) => {
                found.cases.extend(Reader { world, file }.section(&section, &mut seen));
                root.finish(&keys::TEST_FILE);
            }
            None => {
                let hint =
                    Some("a file in tests/ holds `[[tests]]`; move others elsewhere".to_owned());
                report.warning("no-test", 0..0, "there is no test in this file", hint);
            }
        }
        found.problems.extend(report.into_problems());
    }
    found
}

struct Reader<'w> {
    world: &'w World<'w>,
    file: &'w File,
}

impl Reader<'_> {
    fn section(&self, section: &Value<'_>, seen: &mut HashMap<String, String>) -> Vec<Trial> {
        if !section.is_list() {
            section.wrong_type::<()>("a list of tables (`[[tests]]`)");
            return Vec::new();
        }
        let mut trials = Vec::new();
        for (at, item) in section.items().iter().enumerate() {
            let Some(table) = item.table(format!("test {}", at + 1)) else { continue };
            trials.extend(self.one(table, seen));
        }
        trials
    }

    fn one(&self, mut table: Table<'_>, seen: &mut HashMap<String, String>) -> Option<Trial> {
        let report = table.report;
        let name = table.require("name", "\"a short call disturbs nobody\"");
        let name = name.and_then(|v| self.name(&v, seen));
        if let Some(name) = &name {
            table.name = format!("test \"{name}\"");
        }
        let source = self.source(&mut table);
        let changes = trial_event::Changes {
            with: table.get("with"),
            null: table.get("null"),
            without: table.get("without"),
            at: table.get("at"),
        };
        let event = table.require("event", "\"tests/events/call.ended.json\"");
        let event =
            event.and_then(|event| trial_event::read(&event, self.world.files, source, &changes));
        let expect = table.require("expect", "[]").and_then(|expect| self.expect(&expect));
        let unknown = table.get("unknown").map(|v| self.unknown(&v));
        let line = line(report.text(), &table.span);
        table.finish(&keys::TEST);
        let unknown = match unknown {
            Some(Some(unknown)) => Some(unknown),
            Some(None) => return None,
            None => None,
        };
        let file = self.file.path.display().to_string();
        Some(Trial { name: name?, file, line, event: event?, expect: expect?, unknown })
    }

    fn name(&self, value: &Value<'_>, seen: &mut HashMap<String, String>) -> Option<String> {
        let name = value.text()?;
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            let hint = Some("say in one line what must hold".to_owned());
            return value.error("bad-name", "a test's name is one line that is not empty", hint);
        }
        let place = format!("{}:{}", self.file.name, line(value.report.text(), &value.span));
        if let Some(first) = seen.insert(name.to_owned(), place) {
            let message = format!("there are two tests \"{name}\" ({first} is the first)");
            return value.error("duplicate-name", message, Some("rename one of them".to_owned()));
        }
        Some(name.to_owned())
    }

    /// The source that the event is of; none if that can't be said, or if something is wrong with it.
    fn source(&self, table: &mut Table<'_>) -> Option<&Source> {
        let names = self.world.source_names;
        let find = |name: &str| self.world.sources.iter().find(|s| *s.name == *name);
        let Some(value) = table.get("source") else {
            return match names {
                [only] => find(only),
                [] => None,
                several => {
                    table.report.error(
                        "missing-key",
                        table.span.clone(),
                        format!("{} doesn't say which source its event is of", table.name),
                        Some(format!("write `source = \"{}\"`", several[0])),
                    );
                    None
                }
            };
        };
        let name = value.text()?;
        if names.contains(&name) {
            return find(name);
        }
        let hint = Some(suggest(name, names, "the sources are"));
        value.error("unknown-source", format!("there is no source \"{name}\""), hint)
    }

    fn expect(&self, value: &Value<'_>) -> Option<Vec<Expected>> {
        if !value.is_list() {
            let known = "a list: [] for nothing, or names of destinations";
            return value.wrong_type(known);
        }
        let items = value.items();
        let expected: Vec<Expected> = items.iter().filter_map(|item| self.expected(item)).collect();
        (expected.len() == items.len()).then_some(expected)
    }

    fn expected(&self, item: &Value<'_>) -> Option<Expected> {
        let mut expected = Expected {
            to: String::new(),
            rule: None,
            decision: Decided::Send,
            text: None,
            contains: Vec::new(),
            subject: None,
        };
        if item.is_text() {
            expected.to = self.destination(item)?;
            return Some(expected);
        }
        if !item.is_table() {
            return item.wrong_type(
                "a destination's name, or a table such as { to = \"sales\", contains = \"…\" }",
            );
        }
        let mut table = item.table("this expectation")?;
        let to = table.require("to", "\"sales\"").and_then(|v| self.destination(&v));
        let mut sound = to.is_some();
        expected.to = to.unwrap_or_default();
        if let Some(value) = table.get("rule") {
            expected.rule = self.rule(&value);
            sound &= expected.rule.is_some();
        }
        if let Some(value) = table.get("decision") {
            match decision(&value) {
                Some(decision) => expected.decision = decision,
                None => sound = false,
            }
        }
        for (key, slot) in [("text", &mut expected.text), ("subject", &mut expected.subject)] {
            if let Some(value) = table.get(key) {
                *slot = value.text().map(str::to_owned);
                sound &= slot.is_some();
            }
        }
        if let Some(value) = table.get("contains") {
            match value.texts() {
                Some(texts) => {
                    expected.contains = texts.iter().map(|t| t.value.to_owned()).collect();
                }
                None => sound = false,
            }
        }
        table.finish(&keys::EXPECT);
        sound.then_some(expected)
    }

    fn destination(&self, value: &Value<'_>) -> Option<String> {
        let name = value.text()?;
        if !self.world.destinations.contains(&name) {
            let known = self.world.destinations;
            destinations::unknown(value.report, name, value.span.clone(), known);
            return None;
        }
        Some(name.to_owned())
    }

    fn rule(&self, value: &Value<'_>) -> Option<String> {
        let name = value.text()?;
        if !self.world.rules.contains(&name) {
            let hint = Some(suggest(name, self.world.rules, "the rules are"));
            return value.error("unknown-rule", format!("there is no rule \"{name}\""), hint);
        }
        Some(name.to_owned())
    }

    /// The rules that must end unknown; an empty list says that none may.
    fn unknown(&self, value: &Value<'_>) -> Option<Vec<String>> {
        if !value.is_list() {
            return value.wrong_type("a list of rules' names");
        }
        let items = value.items();
        let rules: Vec<String> = items.iter().filter_map(|item| self.rule(item)).collect();
        (rules.len() == items.len()).then_some(rules)
    }
}

fn decision(value: &Value<'_>) -> Option<Decided> {
    let text = value.text()?;
    let words = Decided::ALL.map(Decided::word);
    let found = Decided::ALL.into_iter().find(|decided| decided.word() == text);
    found.or_else(|| {
        let hint = Some(suggest(text, &words, "write one of"));
        value.error("bad-choice", format!("`decision` can't be \"{text}\""), hint)
    })
}

/// The line on which `span` begins, from 1.
fn line(text: &str, span: &Range<usize>) -> usize {
    text.bytes().take(span.start).filter(|b| *b == b'\n').count() + 1
}

/// `[reload]`: when a new configuration is taken.
pub(super) fn reload(root: &mut Table<'_>) -> super::Reload {
    let mut reload = super::Reload::default();
    if let Some(mut table) = root.get("reload").and_then(|v| v.table("[reload]")) {
        let needs_tests = table.get("needs_tests").and_then(|v| v.boolean());
        reload.needs_tests = needs_tests.unwrap_or_default();
        table.finish(&keys::RELOAD);
    }
    reload
}

/// Whether a value is a date, which TOML has and JSON hasn't.
pub(super) fn date(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::Datetime(date) => Some(date.to_string()),
        _ => None,
    }
}

impl Trials {
    /// Whether any of them can't be run.
    pub fn broken(&self) -> bool {
        self.problems.iter().any(Problem::is_error)
    }
}
