//! `hookbell providers` and `hookbell sources`: what may stand for `provider` and `kind`, built in or a user's own.
//!
//! One of them is shown as its file says it, key by key, so that whatever the format comes to hold is shown too.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::anyhow;
use serde_json::{Value, json};

use super::terminal::{FAINT, STRONG, Table};
use super::{Answer, Config, Failure, print, print_json, terminal};
use crate::config::{self, Defined};
use crate::rules::provider::{self, Protocol, SettingDefinition};
use crate::rules::source;

/// The options of `providers` and `sources`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Show this one; all are listed without it
    name: Option<String>,
    /// Print JSON, one object on a line of its own for each
    #[arg(long)]
    json: bool,
}

/// The keys of a definition's file that are shown in a form of their own, or not at all.
const APART: [&str; 7] = ["name", "title", "docs", "settings", "one_of", "example", "types"];

/// What both kinds of definitions have, for listing and showing.
struct Shown<'d> {
    name: &'d str,
    title: &'d str,
    text: &'d str,
    file: Option<&'d Path>,
}

impl<'d> Shown<'d> {
    fn provider(d: &'d Defined<provider::Definition>) -> Self {
        let (name, title) = (&d.definition.name, &d.definition.title);
        Self { name, title, text: &d.text, file: d.file.as_deref() }
    }

    fn source(d: &'d Defined<source::Definition>) -> Self {
        let (name, title) = (&d.definition.name, &d.definition.title);
        Self { name, title, text: &d.text, file: d.file.as_deref() }
    }

    fn place(&self) -> String {
        self.file.map_or_else(|| "built in".to_owned(), |f| f.display().to_string())
    }

    fn table(&self) -> Result<toml::Table, Failure> {
        Ok(self.text.parse().map_err(|e| anyhow!("{}: {e}", self.place()))?)
    }

    /// The whole definition as JSON, and its file.
    fn json(&self) -> Result<Value, Failure> {
        let mut json = serde_json::to_value(self.table()?).map_err(anyhow::Error::from)?;
        json["file"] = json!(self.file);
        Ok(json)
    }
}

/// `hookbell providers`.
pub(super) fn providers(config: &Config, args: &Args) -> Result<Answer, Failure> {
    let all = load(config)?.providers;
    let shown: Vec<_> = all.iter().map(Shown::provider).collect();
    let Some(name) = &args.name else { return list(&shown, args.json) };
    let at = find("provider", name, &shown)?;
    if args.json {
        print_json(&shown[at].json()?)?;
        return Ok(Answer::Yes);
    }
    let mut out = head(&shown[at])?;
    settings(&mut out, &all[at].definition);
    body(&mut out, &shown[at].table()?);
    if all[at].definition.protocol == Protocol::Http {
        heading(&mut out, "what answers mean otherwise");
        out.push_str(
            "  2xx is sent; 408, 425, 429 and 5xx are tried again; all others are final\n",
        );
    }
    Ok(print(out.as_bytes())?)
}

/// `hookbell sources`.
pub(super) fn sources(config: &Config, args: &Args) -> Result<Answer, Failure> {
    let all = load(config)?.sources;
    let shown: Vec<_> = all.iter().map(Shown::source).collect();
    let Some(name) = &args.name else { return list(&shown, args.json) };
    let at = find("kind of source", name, &shown)?;
    if args.json {
        print_json(&shown[at].json()?)?;
        return Ok(Answer::Yes);
    }
    let mut out = head(&shown[at])?;
    body(&mut out, &shown[at].table()?);
    for (kind, event) in &all[at].definition.types {
        event_type(&mut out, kind, event);
    }
    Ok(print(out.as_bytes())?)
}

fn load(config: &Config) -> Result<config::Definitions, Failure> {
    let (definitions, problems) = config::definitions(Some(config.path()));
    if problems.is_empty() { Ok(definitions) } else { Err(Failure::Problems(problems)) }
}

fn find(what: &str, name: &str, all: &[Shown<'_>]) -> Result<usize, Failure> {
    if let Some(at) = all.iter().position(|d| d.name == name) {
        return Ok(at);
    }
    let hint = super::did_you_mean(name, all.iter().map(|d| d.name));
    Err(Failure::Usage(format!("there is no {what} `{}`: {hint}", terminal::line(name))))
}

fn list(all: &[Shown<'_>], json: bool) -> Result<Answer, Failure> {
    if json {
        for d in all {
            print_json(&json!({ "name": d.name, "title": d.title, "file": d.file }))?;
        }
        return Ok(Answer::Yes);
    }
    let mut table = Table::new([("NAME", 20), ("WHAT", 32), ("FROM", 24)]);
    for d in all {
        let cells = [d.name.to_owned(), d.title.to_owned(), d.place()];
        table.row(cells, anstyle::Style::new(), None);
    }
    let mut out = Vec::new();
    table.print(&mut out)?;
    Ok(print(&out)?)
}

fn heading(out: &mut String, text: &str) {
    // Writing to a String can't fail, here and below.
    let _ = writeln!(out, "\n{STRONG}{}{STRONG:#}", terminal::line(text));
}

fn note(out: &mut String, indent: usize, text: &str) {
    for l in terminal::wrap(text, terminal::WIDTH - indent) {
        let _ = writeln!(out, "{:indent$}{FAINT}{l}{FAINT:#}", "");
    }
}

fn head(d: &Shown<'_>) -> Result<String, Failure> {
    let mut out = String::new();
    let title = if d.title.is_empty() { String::new() } else { format!(": {}", d.title) };
    let _ = writeln!(out, "{STRONG}{}{STRONG:#}", terminal::line(&format!("{}{title}", d.name)));
    note(&mut out, 2, &d.place());
    match d.table()?.get("docs") {
        Some(toml::Value::String(page)) => note(&mut out, 2, page),
        Some(toml::Value::Array(pages)) => {
            pages.iter().filter_map(toml::Value::as_str).for_each(|page| note(&mut out, 2, page));
        }
        _ => {}
    }
    Ok(out)
}

/// A provider's settings: what to write below `[destinations.NAME]`.
fn settings(out: &mut String, definition: &provider::Definition) {
    heading(out, &format!("settings beside provider = \"{}\"", definition.name));
    if definition.settings.is_empty() {
        out.push_str("  none\n");
    }
    let widest = definition.settings.iter().map(|s| s.name.len()).max().unwrap_or(0);
    for s in &definition.settings {
        let _ =
            writeln!(out, "  {:widest$}  {}", terminal::line(&s.name), terminal::line(&words(s)));
        if !s.help.is_empty() {
            note(out, widest + 4, &s.help);
        }
    }
    for group in &definition.one_of {
        let _ = writeln!(out, "  exactly one of {}", terminal::line(&group.join(", ")));
    }
}

fn words(s: &SettingDefinition) -> String {
    // `SmsSender` is written `sms-sender` in a definition.
    let kind = format!("{:?}", s.kind).chars().fold(String::new(), |mut kind, c| {
        if c.is_uppercase() && !kind.is_empty() {
            kind.push('-');
        }
        kind.push(c.to_ascii_lowercase());
        kind
    });
    let mut words = vec![if s.choices.is_empty() { kind } else { s.choices.join(" or ") }];
    match (&s.default, s.optional) {
        (Some(default), _) => words.push(format!("default {default}")),
        (None, true) => words.push("optional".to_owned()),
        (None, false) => words.push("required".to_owned()),
    }
    if s.secret {
        words.push("secret".to_owned());
    }
    if s.recipient {
        words.push("the recipients, one or a list".to_owned());
    } else if s.list {
        words.push("one or a list".to_owned());
    }
    words.join(", ")
}

/// Everything else that the file says, key by key.
fn body(out: &mut String, table: &toml::Table) {
    let plain = |v: &toml::Value| !v.is_table() && !is_tables(v);
    let rest = || table.iter().filter(|(key, _)| !APART.contains(&key.as_str()));
    if rest().any(|(_, v)| plain(v)) {
        heading(out, "in general");
    }
    for (key, value) in rest().filter(|(_, v)| plain(v)) {
        leaves(out, key, value);
    }
    for (key, value) in rest().filter(|(_, v)| !plain(v)) {
        heading(out, key);
        match value {
            toml::Value::Table(table) => {
                table.iter().for_each(|(key, value)| leaves(out, key, value));
            }
            toml::Value::Array(rows) => rows.iter().for_each(|row| line(out, &inline(row))),
            other => leaves(out, key, other),
        }
    }
}

fn is_tables(value: &toml::Value) -> bool {
    value.as_array().is_some_and(|a| a.first().is_some_and(toml::Value::is_table))
}

/// `form.To = "{recipient}"`: a line for each value, whatever it stands in.
fn leaves(out: &mut String, path: &str, value: &toml::Value) {
    match value {
        toml::Value::Table(table) if !table.is_empty() => {
            table.iter().for_each(|(key, value)| leaves(out, &format!("{path}.{key}"), value));
        }
        toml::Value::Array(rows) if is_tables(value) => {
            rows.iter().for_each(|row| line(out, &format!("{path}: {}", inline(row))));
        }
        value => line(out, &format!("{path} = {value}")),
    }
}

/// A table of a list on one line: `status = 404, then = "final"`.
fn inline(row: &toml::Value) -> String {
    match row {
        toml::Value::Table(t) => {
            t.iter().map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

fn line(out: &mut String, text: &str) {
    let mut indent = 2;
    for l in terminal::wrap(text, terminal::WIDTH - 6) {
        let _ = writeln!(out, "{:indent$}{l}", "");
        indent = 6;
    }
}

fn event_type(out: &mut String, kind: &str, event: &source::EventType) {
    heading(out, &format!("event {kind}"));
    if !event.title.is_empty() {
        note(out, 2, &event.title);
    }
    if !event.natural_key.is_empty() {
        note(out, 2, &format!("one and the same event by {}", event.natural_key.join(" and ")));
    }
    let widest = event.fields.keys().map(String::len).max().unwrap_or(0).min(40);
    for (name, field) in &event.fields {
        let mut what = field.kind.to_string();
        if field.nullable {
            what.push_str(" or null");
        }
        if !field.values.is_empty() {
            let values: Vec<_> = field.values.iter().map(|v| format!("\"{v}\"")).collect();
            let _ = write!(what, ": {}", values.join(", "));
        }
        let _ = writeln!(out, "  {:widest$}  {}", terminal::line(name), terminal::line(&what));
        if !field.doc.is_empty() {
            note(out, widest + 4, &field.doc);
        }
    }
}
