//! Reads a parsed TOML table by key and type, and notes everything that is wrong on the way.
//!
//! A reading never stops at a problem: it notes it in the [`Report`] and gives `None`. [`Table::finish`] refuses every
//! key that isn't in [`super::keys`]. Serde isn't used here: it stops at the first problem, and its flattened and tagged types
//! lose the place.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::Section;
use super::{Problem, Severity};

/// So many names are listed when none is near; more than that nobody reads.
const LISTED: usize = 20;

/// Everything found wrong so far in one file.
#[derive(Debug)]
pub(super) struct Report {
    file: PathBuf,
    text: Arc<str>,
    problems: RefCell<Vec<Problem>>,
}

impl Report {
    pub(super) fn new(file: &Path, text: &Arc<str>) -> Self {
        Self { file: file.to_owned(), text: Arc::clone(text), problems: RefCell::default() }
    }

    pub(super) fn error(
        &self,
        code: &'static str,
        span: impl Into<Option<Range<usize>>>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.push(Severity::Error, code, span.into(), message.into(), hint);
    }

    pub(super) fn warning(
        &self,
        code: &'static str,
        span: impl Into<Option<Range<usize>>>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.push(Severity::Warning, code, span.into(), message.into(), hint);
    }

    fn push(
        &self,
        severity: Severity,
        code: &'static str,
        span: Option<Range<usize>>,
        message: String,
        hint: Option<String>,
    ) {
        self.problems.borrow_mut().push(Problem {
            code,
            severity,
            file: self.file.clone(),
            span,
            message,
            hint,
            text: Some(Arc::clone(&self.text)),
        });
    }

    pub(super) fn text(&self) -> &Arc<str> {
        &self.text
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }
}

/// One table that is being read.
pub(super) struct Table<'a> {
    pub(super) report: &'a Report,
    /// What messages call it, for example `[server]` or `rule "won deal"`.
    pub(super) name: String,
    /// Its header, or all of an inline table.
    pub(super) span: Range<usize>,
    entries: &'a DeTable<'a>,
    /// The keys that were asked for, and whether they had to be there.
    asked: Vec<(&'static str, bool)>,
}

/// One value with its place.
#[derive(Clone)]
pub(super) struct Value<'a> {
    pub(super) report: &'a Report,
    /// What messages call it: the key, or the key and a position.
    pub(super) name: String,
    pub(super) key_span: Range<usize>,
    pub(super) span: Range<usize>,
    pub(super) value: &'a DeValue<'a>,
}

/// A value that was read, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

impl<'a> Table<'a> {
    pub(super) fn new(
        report: &'a Report,
        name: impl Into<String>,
        span: Range<usize>,
        entries: &'a DeTable<'a>,
    ) -> Self {
        Self { report, name: name.into(), span, entries, asked: Vec::new() }
    }

    /// The value of `key`, if it is there.
    pub(super) fn get(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.asked.push((key, false));
        self.peek(key)
    }

    /// As [`Table::get`]; a missing key is an error.
    pub(super) fn require(&mut self, key: &'static str, example: &str) -> Option<Value<'a>> {
        self.asked.push((key, true));
        let found = self.peek(key);
        if found.is_none() {
            self.report.error(
                "missing-key",
                self.span.clone(),
                format!("{} has no `{key}`", self.name),
                Some(format!("write `{key} = {example}`")),
            );
        }
        found
    }

    /// The value of `key` without counting it as asked for.
    pub(super) fn peek(&self, key: &str) -> Option<Value<'a>> {
        let (found, value) = self.entries.get_key_value(key)?;
        Some(self.entry(found, value))
    }

    /// All entries in the order of the file, whatever their keys.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Value<'a>)> + use<'a, '_> {
        self.entries.iter().map(|(k, v)| (&**k.get_ref(), self.entry(k, v)))
    }

    fn entry(
        &self,
        key: &'a Spanned<std::borrow::Cow<'a, str>>,
        value: &'a Spanned<DeValue<'a>>,
    ) -> Value<'a> {
        Value {
            report: self.report,
            name: format!("`{}`", key.get_ref()),
            key_span: key.span(),
            span: value.span(),
            value: value.get_ref(),
        }
    }

    /// Notes every key that isn't one of `section`.
    pub(super) fn finish(self, section: &Section) {
        self.finish_beside(section, &[]);
    }

    /// As [`Table::finish`], with the keys of a definition beside those of `section`.
    pub(super) fn finish_beside(self, section: &Section, own: &[&str]) {
        if cfg!(debug_assertions) {
            self.agrees_with(section);
        }
        let mut known = own.to_vec();
        known.extend(section.keys.iter().map(|k| k.name));
        for (key, value) in self.entries() {
            if !known.contains(&key) {
                self.report.error(
                    "unknown-key",
                    value.key_span,
                    format!("{} has no key `{key}`", self.name),
                    Some(suggest(key, &known, "the keys are")),
                );
            }
        }
    }

    /// A key that only the code or only the table knows is a mistake of ours, which any test of that section finds.
    fn agrees_with(&self, section: &Section) {
        let mut asked: Vec<_> = self.asked.iter().map(|(key, _)| *key).collect();
        let mut listed: Vec<_> = section.keys.iter().map(|k| k.name).collect();
        asked.sort_unstable();
        listed.sort_unstable();
        assert_eq!(
            asked, listed,
            "the code asks for other keys of {} than src/config/keys.rs lists",
            self.name
        );
        for (key, required) in &self.asked {
            let listed = section.keys.iter().any(|k| k.name == *key && k.required);
            assert!(
                !required || listed,
                "src/config/keys.rs doesn't say that `{key}` of {} is required",
                self.name
            );
        }
    }
}

impl<'a> Value<'a> {
    /// Notes that another type was expected.
    pub(super) fn wrong_type<T>(&self, expected: &str) -> Option<T> {
        let found = match self.value {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let hint = match (self.value, expected) {
            (DeValue::Integer(i), e) if e.starts_with("a duration") => {
                Some(format!("write `\"{}s\"` for seconds", i.as_str()))
            }
            (DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_), e)
                if e.starts_with("text") =>
            {
                let raw = self.report.text().get(self.span.clone()).unwrap_or_default();
                Some(format!("write `\"{raw}\"`"))
            }
            (DeValue::String(s), "true or false") if matches!(&**s, "true" | "false") => {
                Some(format!("write `{s}` without quotes"))
            }
            (DeValue::String(s), e) if e.contains("number") && s.parse::<i64>().is_ok() => {
                Some(format!("write `{s}` without quotes"))
            }
            _ => None,
        };
        self.report.error(
            "wrong-type",
            self.span.clone(),
            format!("{} is {expected}, not {found}", self.name),
            hint,
        );
        None
    }

    /// Notes a problem at this value.
    pub(super) fn error<T>(
        &self,
        code: &'static str,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Option<T> {
        self.report.error(code, self.span.clone(), message, hint);
        None
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        self.value.as_str().or_else(|| self.wrong_type("text"))
    }

    pub(super) fn text_at(&self) -> Option<At<&'a str>> {
        self.text().map(|value| At { value, span: self.span.clone() })
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        self.value.as_bool().or_else(|| self.wrong_type("true or false"))
    }

    /// A whole number between `least` and `most`.
    pub(super) fn integer(&self, least: i64, most: i64) -> Option<i64> {
        let Some(i) = self.value.as_integer() else {
            return self.wrong_type("a whole number");
        };
        let number = i64::from_str_radix(i.as_str(), i.radix()).ok();
        number.filter(|n| (least..=most).contains(n)).or_else(|| {
            let message = format!("{} must be between {least} and {most}", self.name);
            self.error("out-of-range", message, None)
        })
    }

    /// A list's items; one value that isn't a list counts as a list of one.
    pub(super) fn items(&self) -> Vec<Value<'a>> {
        let Some(array) = self.value.as_array() else { return vec![self.clone()] };
        let item = |(at, v): (usize, &'a Spanned<DeValue<'a>>)| Value {
            report: self.report,
            name: format!("item {} of {}", at + 1, self.name),
            key_span: self.key_span.clone(),
            span: v.span(),
            value: v.get_ref(),
        };
        array.iter().enumerate().map(item).collect()
    }

    /// Text, or a list of texts; an empty list is an error.
    pub(super) fn texts(&self) -> Option<Vec<At<&'a str>>> {
        if !matches!(self.value, DeValue::String(_) | DeValue::Array(_)) {
            return self.wrong_type("text or a list of texts");
        }
        let items = self.items();
        if items.is_empty() {
            return self.error(
                "empty-list",
                format!("{} is an empty list", self.name),
                Some("name at least one, or leave the key out".to_owned()),
            );
        }
        Some(items.iter().filter_map(Value::text_at).collect())
    }

    pub(super) fn table(&self, name: impl Into<String>) -> Option<Table<'a>> {
        match self.value {
            DeValue::Table(t) => Some(Table::new(self.report, name, self.span.clone(), t)),
            _ => self.wrong_type("a table"),
        }
    }

    /// The table, if it is one; another type is no problem here.
    pub(super) fn table_unseen(&self) -> Option<Table<'a>> {
        match self.value {
            DeValue::Table(t) => Some(Table::new(self.report, "", self.span.clone(), t)),
            _ => None,
        }
    }

    pub(super) fn is_list(&self) -> bool {
        self.value.is_array()
    }

    pub(super) fn is_text(&self) -> bool {
        self.value.is_str()
    }

    pub(super) fn is_table(&self) -> bool {
        self.value.is_table()
    }
}

/// What to write instead of `name`: the nearest of `known`, or all of them when there are few.
pub(super) fn suggest(name: &str, known: &[&str], introduction: &str) -> String {
    if let Some(best) = nearest(name, known) {
        return format!("did you mean `{best}`?");
    }
    if known.is_empty() {
        return "there are none".to_owned();
    }
    let mut listed =
        known.iter().take(LISTED).map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
    if known.len() > LISTED {
        listed.push_str(", …");
    }
    format!("{introduction} {listed}")
}

/// The nearest of `known` to `name`, if any is near enough to be what was meant.
pub(super) fn nearest<'k>(name: &str, known: &[&'k str]) -> Option<&'k str> {
    let name = name.to_lowercase();
    let near = |k: &&'k str| strsim::jaro_winkler(&name, &k.to_lowercase());
    known
        .iter()
        .map(|k| (near(k), *k))
        .filter(|(likeness, _)| *likeness > 0.84)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k)
}
