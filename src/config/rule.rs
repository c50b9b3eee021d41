//! `[[rules]]`: names resolved, conditions compiled, fields checked against what the sources' events are known to
//! have.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use super::keys;
use super::later;
use super::lint;
use super::place;
use super::reader::{At, Report, Table, Value, suggest};
use super::schemas::{Schemas, Seen};
use super::{Severity, destinations, sources, typing};
use crate::rules::condition::Condition;
use crate::rules::fields::Fields;
use crate::rules::rule::{Rule, RuleSet, TypePattern};
use crate::rules::template::Templates;

/// What the rules may refer to.
pub(super) struct World<'w> {
    pub(super) sources: &'w [sources::Declared],
    pub(super) destinations: &'w [destinations::Declared],
    pub(super) schedules: &'w [&'w str],
    /// Names of templates, from their files: known even where one of them doesn't compile.
    pub(super) template_names: &'w [&'w str],
    /// None if one of them doesn't compile.
    pub(super) templates: Option<&'w Templates>,
    pub(super) schemas: &'w Schemas,
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
    /// The parts that `and` joins, each written in one way only; empty without a condition, none if it is wrong.
    pub(super) parts: Option<Vec<String>>,
    /// The events that it may see.
    pub(super) seen: Rc<Seen>,
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
    let mut views = Views::default();
    for (at, item) in section.items().iter().enumerate() {
        let Some(table) = item.table(format!("rule {}", at + 1)) else { continue };
        let (draft, when) = one(table, world, &mut views, &mut fields);
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

/// What rules see, by their types and sources: most rules of a file share one.
type Views = HashMap<(Vec<String>, Vec<String>), Rc<Seen>>;

fn one(
    mut table: Table<'_>,
    world: &World<'_>,
    views: &mut Views,
    fields: &mut Fields,
) -> (Draft, Option<Condition>) {
    let report = table.report;
    let name = table.require("name", "\"won deal\"").and_then(|v| rule_name(&v));
    if let Some(name) = &name {
        table.name = format!("rule \"{}\"", name.value);
    }
    let span = name.as_ref().map_or(table.span.clone(), |n| n.span.clone());
    let on = table.get("on").and_then(|v| v.texts()).unwrap_or_default();
    let on = on.into_iter().filter(|at| pattern(report, at)).collect::<Vec<_>>();
    let of = table.get("source").and_then(|v| v.texts()).unwrap_or_default();
    let of = of.into_iter().filter_map(|at| source(report, world, &at)).collect::<Vec<_>>();
    let from: Vec<&sources::Declared> =
        world.sources.iter().filter(|s| of.is_empty() || of.contains(&s.name)).collect();
    for at in &on {
        event_type(report, world, &from, at);
    }
    let on: Vec<String> = on.into_iter().map(|at| at.value.to_owned()).collect();
    let seen = views.entry((on.clone(), of.clone()));
    let seen = Rc::clone(seen.or_insert_with(|| Rc::new(world.schemas.seen(&from, &on))));
    let to = table.require("to", "[\"sales\"]").and_then(|v| v.texts()).unwrap_or_default();
    let to = recipients(report, world, to);
    let template = table.get("template").and_then(|v| v.text_at());
    let template = template.and_then(|at| template_name(report, world, &at, &to));
    let when = table.get("when");
    let mut parts = Some(Vec::new()).filter(|_| when.is_none());
    let condition = when.and_then(|value| {
        let condition = condition(&value, fields)?;
        check_types(&value, &condition, &seen);
        parts = Some(lint::conjuncts(condition.tree()));
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
    let sources = of;
    let draft = Draft { name, span, on, sources, to, template, parts, seen, stop, enabled, shadow };
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
fn pattern(report: &Report, at: &At<&str>) -> bool {
    let text = at.value;
    let exact = text.strip_suffix(".*").unwrap_or(text);
    let odd = |c: char| c == '*' || c.is_whitespace() || c.is_control();
    if text == "*" || (!exact.is_empty() && !exact.contains(odd)) {
        return true;
    }
    report.error(
        "bad-event-type",
        at.span.clone(),
        format!("{text:?} is no event type"),
        Some(
            "write a type such as \"call.ended\", a family such as \"call.*\", or \"*\"".to_owned(),
        ),
    );
    false
}

/// Warns of a type that nobody knows where a known one is a slip of the pen away. Others are new ones, it may be.
fn event_type(report: &Report, world: &World<'_>, from: &[&sources::Declared], at: &At<&str>) {
    let kinds = world.schemas.kinds(from);
    let pattern = TypePattern { text: at.value.into() };
    if kinds.iter().any(|kind| pattern.matches(kind)) {
        return;
    }
    let plain = |text: &str| text.replace(['_', '-', ':', '/', ' '], ".").to_lowercase();
    let family = at.value.ends_with(".*");
    let asked = plain(at.value.trim_end_matches(".*"));
    let near = kinds.iter().filter_map(|kind| {
        let kind = if family { kind.split_once('.')?.0 } else { kind };
        let distance = strsim::damerau_levenshtein(&asked, &plain(kind));
        (distance * 4 <= kind.len()).then_some((distance, kind))
    });
    let Some((_, kind)) = near.min_by_key(|(distance, _)| *distance) else { return };
    let meant = if family { format!("{kind}.*") } else { (*kind).to_owned() };
    report.warning(
        "unknown-event-type",
        at.span.clone(),
        format!("no source is known to send \"{}\"", at.value),
        Some(format!("did you mean \"{meant}\"?")),
    );
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

fn check_types(value: &Value<'_>, condition: &Condition, seen: &Seen) {
    let text = value.text().unwrap_or_default();
    for found in typing::check(condition.tree(), seen) {
        let at = place::inside(value.report.text(), &value.span, text, &found.span);
        match found.severity {
            Severity::Error => value.report.error(found.code, at, found.message, found.hint),
            Severity::Warning => value.report.warning(found.code, at, found.message, found.hint),
        }
    }
}
