//! `[[rules]]`: names resolved, conditions compiled, fields checked against what the sources' events are known to
//! have.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use super::keys;
use super::later;
use super::place;
use super::reader::{At, Report, Table, Value, suggest};
use super::{destinations, sources};
use crate::rules::condition::Condition;
use crate::rules::fields::Fields;
use crate::rules::rule::{Rule, RuleSet, TypePattern};
use crate::rules::template::Templates;

/// The names that every condition sees beside the fields of `data`.
const ENVELOPE: [&str; 5] = ["event", "id", "timestamp", "source", "data"];

/// What the rules may refer to.
pub(super) struct World<'w> {
    pub(super) sources: &'w [sources::Declared],
    pub(super) destinations: &'w [destinations::Declared],
    pub(super) schedules: &'w [&'w str],
    /// Names of templates, from their files: known even where one of them doesn't compile.
    pub(super) template_names: &'w [&'w str],
    /// None if one of them doesn't compile.
    pub(super) templates: Option<&'w Templates>,
}

/// A rule as the look at the whole sees it.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) span: Range<usize>,
    pub(super) on: Vec<String>,
    pub(super) sources: Vec<String>,
    pub(super) to: Vec<String>,
    pub(super) template: Option<String>,
    pub(super) conditional: bool,
    pub(super) stop: bool,
    pub(super) enabled: bool,
    pub(super) shadow: bool,
}

/// Reads `[[rules]]`.
pub(super) fn rules(root: &mut Table<'_>, world: &World<'_>) -> (Vec<Draft>, RuleSet) {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut rules = Vec::new();
    let mut fields = Fields::default();
    let Some(section) = root.get("rules") else { return (drafts, RuleSet::new(rules, fields)) };
    if !section.is_list() {
        section.wrong_type::<()>("a list of tables (`[[rules]]`)");
        return (drafts, RuleSet::new(rules, fields));
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    for (at, item) in section.items().iter().enumerate() {
        let Some(table) = item.table(format!("rule {}", at + 1)) else { continue };
        let (draft, when) = one(table, world, &mut fields);
        if let Some(first) = seen.get(&draft.name) {
            let message =
                format!("there are two rules \"{}\" (rule {} is the first)", draft.name, first + 1);
            let hint = "give each rule a name of its own: it stands in metrics and in the history";
            item.report.error("duplicate-name", draft.span.clone(), message, Some(hint.to_owned()));
        } else if !draft.name.is_empty() {
            seen.insert(draft.name.clone(), at);
        }
        rules.push(rule(&draft, when, world));
        drafts.push(draft);
    }
    (drafts, RuleSet::new(rules, fields))
}

/// The rule itself. What it names but isn't there has been noted, and then no rule of the file is used.
fn rule(draft: &Draft, when: Option<Condition>, world: &World<'_>) -> Rule {
    let built = world.destinations.iter().filter_map(|d| d.built.as_ref());
    let names: Vec<&str> = built.map(|d| &*d.name).collect();
    Rule {
        name: draft.name.as_str().into(),
        on: draft.on.iter().map(|text| TypePattern { text: text.as_str().into() }).collect(),
        sources: draft.sources.iter().map(|s| Arc::from(s.as_str())).collect(),
        when,
        to: draft.to.iter().filter_map(|to| names.iter().position(|n| n == to)).collect(),
        template: draft.template.as_deref().map(Into::into),
        stop: draft.stop,
        enabled: draft.enabled,
        shadow: draft.shadow,
    }
}

fn one(mut table: Table<'_>, world: &World<'_>, fields: &mut Fields) -> (Draft, Option<Condition>) {
    let report = table.report;
    let name = table.require("name", "\"won deal\"").and_then(|v| rule_name(&v));
    if let Some(name) = &name {
        table.name = format!("rule \"{}\"", name.value);
    }
    let span = name.as_ref().map_or(table.span.clone(), |n| n.span.clone());
    let on = table.get("on").and_then(|v| v.texts()).unwrap_or_default();
    let on = on.into_iter().filter_map(|at| pattern(report, &at)).collect::<Vec<_>>();
    let of = table.get("source").and_then(|v| v.texts()).unwrap_or_default();
    let of = of.into_iter().filter_map(|at| source(report, world, &at)).collect::<Vec<_>>();
    let to = table.require("to", "[\"sales\"]").and_then(|v| v.texts()).unwrap_or_default();
    let to = recipients(report, world, to);
    let template = table.get("template").and_then(|v| v.text_at());
    let template = template.and_then(|at| template_name(report, world, &at, &to));
    let when = table.get("when");
    let conditional = when.is_some();
    let condition = when.and_then(|value| {
        let condition = condition(&value, fields)?;
        check_fields(&value, &condition, world, &on, &of);
        Some(condition)
    });
    let mut flag = |key, default| table.get(key).and_then(|v| v.boolean()).unwrap_or(default);
    let (stop, enabled, shadow) =
        (flag("stop", false), flag("enabled", true), flag("shadow", false));
    let destinations: Vec<&str> = world.destinations.iter().map(|d| &*d.name).collect();
    let names = later::Names { schedules: world.schedules, destinations: &destinations };
    later::of_rule(&mut table, &names);
    table.finish(&keys::RULE);
    let name = name.map_or_else(String::new, |n| n.value);
    let draft =
        Draft { name, span, on, sources: of, to, template, conditional, stop, enabled, shadow };
    (draft, condition)
}

/// A rule's name is shown to people and is a metric's label: one short line.
fn rule_name(value: &Value<'_>) -> Option<At<String>> {
    let at = value.text_at()?;
    if at.value.trim().is_empty() || at.value.chars().any(char::is_control) || at.value.len() > 100
    {
        let hint = Some("write a few words on one line, such as \"won deal\"".to_owned());
        return value.error("bad-name", "a rule's name is one line of 1 to 100 bytes", hint);
    }
    Some(At { value: at.value.to_owned(), span: at.span })
}

/// `call.ended`, `appointment.*` or `*`.
fn pattern(report: &Report, at: &At<&str>) -> Option<String> {
    let text = at.value;
    let exact = text.strip_suffix(".*").unwrap_or(text);
    let odd = |c: char| c == '*' || c.is_whitespace() || c.is_control();
    if text == "*" || (!exact.is_empty() && !exact.contains(odd)) {
        return Some(text.to_owned());
    }
    report.error(
        "bad-event-type",
        at.span.clone(),
        format!("{text:?} is no event type"),
        Some(
            "write a type such as \"call.ended\", a family such as \"call.*\", or \"*\"".to_owned(),
        ),
    );
    None
}

fn source(report: &Report, world: &World<'_>, at: &At<&str>) -> Option<String> {
    let names: Vec<&str> = world.sources.iter().map(|s| &*s.name).collect();
    if names.contains(&at.value) {
        return Some(at.value.to_owned());
    }
    report.error(
        "unknown-source",
        at.span.clone(),
        format!("there is no source \"{}\"", at.value),
        Some(suggest(at.value, &names, "the sources are")),
    );
    None
}

fn recipients(report: &Report, world: &World<'_>, to: Vec<At<&str>>) -> Vec<String> {
    let names: Vec<&str> = world.destinations.iter().map(|d| &*d.name).collect();
    let mut known: Vec<String> = Vec::new();
    for at in to {
        if !names.contains(&at.value) {
            destinations::unknown(report, at.value, at.span, &names);
        } else if known.iter().any(|k| k == at.value) {
            let message = format!("`to` names \"{}\" twice; it gets one message", at.value);
            report.warning("duplicate-destination", at.span, message, None);
        } else {
            known.push(at.value.to_owned());
        }
    }
    known
}

fn template_name(
    report: &Report,
    world: &World<'_>,
    at: &At<&str>,
    to: &[String],
) -> Option<String> {
    if !world.template_names.contains(&at.value) {
        let hint = match super::reader::nearest(at.value, world.template_names) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("write templates/{}.hbs", at.value),
        };
        let message = format!("there is no template \"{}\"", at.value);
        report.error("unknown-template", at.span.clone(), message, Some(hint));
        return None;
    }
    for name in to {
        let destination = world.destinations.iter().find(|d| d.name == *name);
        let (Some(destination), Some(templates)) =
            (destination.and_then(|d| d.built.as_ref()), world.templates)
        else {
            continue;
        };
        if !templates.has(at.value, destination.channel) {
            let file = format!("{}.hbs", destination.channel.name());
            report.error(
                "template-lacks-channel",
                at.span.clone(),
                format!("template \"{}\" has no text for destination \"{name}\"", at.value),
                Some(format!("write templates/{}.{file}, or templates/{0}.hbs for all", at.value)),
            );
        }
    }
    Some(at.value.to_owned())
}

fn condition(value: &Value<'_>, fields: &mut Fields) -> Option<Condition> {
    let text = value.text()?;
    match Condition::compile(text, fields) {
        Ok(condition) => Some(condition),
        Err(errors) => {
            for error in errors {
                let at = place::inside(value.report.text(), &value.span, text, &error.span);
                value.report.error(error.code, at, error.message, error.hint);
            }
            None
        }
    }
}

/// Names that no event of the rule's types has are errors. Families and types without a schema are not checked, for
/// new events are coming; there only a bare word after `==` that no known event has as a field is suspicious.
fn check_fields(
    value: &Value<'_>,
    condition: &Condition,
    world: &World<'_>,
    on: &[String],
    of: &[String],
) {
    let kinds: Vec<&str> = on.iter().map(String::as_str).collect();
    let from: Vec<&sources::Declared> =
        world.sources.iter().filter(|s| of.is_empty() || of.contains(&s.name)).collect();
    let families = kinds.is_empty() || kinds.iter().any(|k| k.ends_with('*'));
    let schema = if families { None } else { sources::fields(&from, &kinds) };
    let text = value.text().unwrap_or_default();
    for (path, span) in condition.paths() {
        let Some(root) = data_field(path) else { continue };
        let at = || place::inside(value.report.text(), &value.span, text, span);
        let compared = path == root && is_compared(text, span);
        match &schema {
            Some(known) if !known.iter().any(|k| k == root) => {
                let message = format!("{} has no field `{root}`", kinds.join(" or "));
                let hint = sources::field_hint(root, known, compared);
                value.report.error("unknown-field", at(), message, hint);
            }
            None if compared => {
                let known = sources::all_fields(&from);
                if !known.iter().any(|k| k == root) {
                    let message =
                        format!("`{root}` is the name of a field that no known event has");
                    let hint = sources::field_hint(root, &known, true);
                    value.report.warning("bare-word", at(), message, hint);
                }
            }
            _ => {}
        }
    }
}

/// The field of `data` that a path begins with; none for the envelope's names.
fn data_field(path: &str) -> Option<&str> {
    let mut segments = path.split(['.', '[']);
    let root = match segments.next()? {
        "data" => segments.next()?,
        name if ENVELOPE.contains(&name) => return None,
        name => name,
    };
    (!root.is_empty() && !root.starts_with(['"', '\''])).then_some(root)
}

/// Whether `==`, `!=` or `in` stands right before the word: then a text without its quotes is likely meant.
fn is_compared(text: &str, span: &Range<usize>) -> bool {
    let before = text.get(..span.start).unwrap_or_default().trim_end();
    let before = before.trim_end_matches([' ', '[', ',']);
    ["==", "!=", " in"].iter().any(|op| before.ends_with(op))
}
