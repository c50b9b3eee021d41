//! The fields that templates read, against what is known of the events of the rules that use them.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::files::File;
use super::reader::{nearest, suggest};
use super::rule::Draft;
use super::{Problem, Severity, destinations};
use crate::rules::fields::Step;
use crate::rules::source::schema::{Found, Schema};
use crate::rules::template::{Channel, ENVELOPE, Templates, Variable};

/// Warns of each field that a template reads though no event of any rule that uses it has it: it is left empty.
pub(super) fn check(
    files: &[File],
    templates: &Templates,
    drafts: &[Draft],
    destinations: &[destinations::Declared],
    problems: &mut Vec<Problem>,
) {
    // One use for each template, kind of message and view of events, however many rules share it.
    let mut uses: Vec<(&str, Channel, &Draft)> = Vec::new();
    for draft in drafts {
        let Some(template) = draft.template.as_deref() else { continue };
        for to in &draft.to {
            let declared = destinations.iter().find(|d| d.name == *to);
            let Some(built) = declared.and_then(|d| d.built.as_ref()) else { continue };
            let same = |u: &(&str, Channel, &Draft)| {
                u.0 == template && u.1 == built.channel && Rc::ptr_eq(&u.2.seen, &draft.seen)
            };
            if !uses.iter().any(same) {
                uses.push((template, built.channel, draft));
            }
        }
    }
    // By file and place: the same variable may be fine for one rule and not for another.
    let mut found: BTreeMap<(String, usize), Option<Problem>> = BTreeMap::new();
    for (template, channel, draft) in uses {
        for variable in templates.variables(template, channel) {
            let problem = unknown(&variable, draft, files);
            let key = (variable.file.clone(), variable.span.start);
            let known = problem.is_none();
            let entry = found.entry(key).or_insert(problem);
            if known {
                *entry = None;
            }
        }
    }
    problems.extend(found.into_values().flatten());
}

/// What is wrong with `variable` in a rule's message, if anything is.
fn unknown(variable: &Variable, draft: &Draft, files: &[File]) -> Option<Problem> {
    let seen = &draft.seen;
    let mut path = variable.path.as_slice();
    match path.first()?.as_str() {
        "data" => path = &path[1..],
        name if ENVELOPE.contains(&name) => return None,
        _ => {}
    }
    if !seen.complete || seen.known.is_empty() || path.is_empty() {
        return None;
    }
    let mut missing = None;
    for known in &seen.known {
        match at(&known.schema, path) {
            Some(place) => missing = Some(place),
            None => return None,
        }
    }
    let (step, within) = missing?;
    let name = &path[step];
    let (message, hint) = if step == 0 {
        let mut fields = seen.fields();
        let message = format!("{} has no field `{name}`: this is left empty", seen.names());
        fields.extend(ENVELOPE);
        let near = nearest(name, &fields).map(|near| format!("did you mean `{near}`?"));
        let all = seen.fields();
        (message, near.unwrap_or_else(|| suggest(name, &all, "its fields are")))
    } else {
        let above = path[..step].join(".").replace(".[]", "");
        let fields: Vec<&str> = within.fields.keys().map(String::as_str).collect();
        let hint = suggest(name, &fields, "its fields are");
        (format!("`{above}` has no field `{name}`: this is left empty"), hint)
    };
    let file = files.iter().find(|f| f.name == variable.file)?;
    Some(Problem {
        code: "unknown-variable",
        severity: Severity::Warning,
        file: file.path.clone(),
        span: Some(variable.span.clone()),
        message,
        hint: Some(hint),
        text: Some(Arc::clone(&file.text)),
    })
}

/// The step of `path` that `schema` doesn't have, and what it was looked for in. `[]` is any item of a list, or any
/// value of an object.
fn at<'s>(schema: &'s Schema, path: &[String]) -> Option<(usize, &'s Schema)> {
    let mut here = schema;
    let mut from = 0;
    while from < path.len() {
        let to = path[from..].iter().position(|s| s == "[]").map_or(path.len(), |n| from + n);
        let steps: Vec<Step> = path[from..to].iter().map(|s| step(s)).collect();
        match here.at(&steps) {
            Found::Known { schema, .. } => here = schema,
            Found::Open => return None,
            Found::Missing { step, within } => return Some((from + step, within)),
        }
        if to < path.len() {
            here = here.items.as_deref()?;
        }
        from = to + 1;
    }
    None
}

/// A key as handlebars has it; `[campaign id]` and `0` are written so there.
fn step(name: &str) -> Step {
    let name = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
    name.parse().map_or_else(|_| Step::Key(name.into()), Step::Index)
}
