//! What only a look at the whole shows: rules that can never run, and what nobody uses. All of it is suspicious, none
//! of it wrong, so these are warnings.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::destinations;
use super::files::File;
use super::reader::{Report, Table};
use super::rule::Draft;
use super::sources;
use crate::rules::condition::ast::{Expr, Kind};

/// So many rules that stop by the same part are compared with the rules behind them.
const COMPARED: usize = 64;

/// Looks at the whole of `rules.toml`.
pub(super) fn whole(
    report: &Report,
    drafts: &[Draft],
    sources: &[sources::Declared],
    destinations: &[destinations::Declared],
    held_elsewhere: &[String],
) {
    if sources.is_empty() {
        let hint = "add `[sources.replicer]` with `kind` and `secret`".to_owned();
        report.warning("no-source", None, "there is no source: no event can come in", Some(hint));
    }
    if drafts.is_empty() {
        let hint = "add a `[[rules]]` with `name`, `when` and `to`".to_owned();
        report.warning("no-rule", None, "there is no rule: nobody hears of anything", Some(hint));
    }
    unused_destinations(report, drafts, destinations, held_elsewhere);
    fallback_cycles(report, destinations);
    unreachable(report, drafts);
}

/// Destinations that nothing leads to: no rule, no quiet hours, and no fallback of one that is used.
fn unused_destinations(
    report: &Report,
    drafts: &[Draft],
    destinations: &[destinations::Declared],
    held_elsewhere: &[String],
) {
    if drafts.is_empty() {
        return;
    }
    let fallbacks: HashMap<&str, &str> = destinations
        .iter()
        .filter_map(|d| Some((d.name.as_str(), &*d.fallback.as_ref()?.value.to)))
        .collect();
    let mut used: HashSet<&str> = HashSet::new();
    for start in drafts.iter().flat_map(|r| &r.to).chain(held_elsewhere) {
        let mut next = Some(start.as_str());
        while let Some(name) = next {
            next = fallbacks.get(name).copied().filter(|_| used.insert(name));
            used.insert(name);
        }
    }
    for destination in destinations.iter().filter(|d| !used.contains(d.name.as_str())) {
        let message = format!("no rule sends to destination \"{}\"", destination.name);
        let hint = match destinations
            .iter()
            .find(|d| d.fallback.as_ref().is_some_and(|f| *f.value.to == *destination.name))
        {
            Some(d) => {
                format!("it is the fallback of \"{}\", which no rule sends to either", d.name)
            }
            None => format!("write `to = [\"{}\"]` in a rule, or remove it", destination.name),
        };
        report.warning("unused-destination", destination.span.clone(), message, Some(hint));
    }
}

/// Fallbacks that lead back to where they began: a message would go round for ever.
fn fallback_cycles(report: &Report, destinations: &[destinations::Declared]) {
    let next = |name: &str| {
        let declared = destinations.iter().find(|d| d.name == name)?;
        declared.fallback.as_ref().map(|f| &*f.value.to)
    };
    let mut told: HashSet<&str> = HashSet::new();
    for destination in destinations {
        let mut way: Vec<&str> = vec![&destination.name];
        while let Some(to) = way.last().and_then(|last| next(last)) {
            if to == destination.name {
                // One that is its own fallback has been told at its place.
                if way.len() > 1
                    && !way.iter().any(|name| told.contains(name))
                    && let Some(fallback) = &destination.fallback
                {
                    way.push(to);
                    let message = format!("fallbacks go round in a circle: {}", way.join(" -> "));
                    let hint = "let one of them have no `fallback`".to_owned();
                    let span = fallback.span.clone();
                    report.error("fallback-cycle", span, message, Some(hint));
                    told.extend(&way);
                }
                break;
            }
            if way.contains(&to) {
                break;
            }
            way.push(to);
        }
    }
}

/// Rules behind one that stops whenever they would match.
fn unreachable(report: &Report, drafts: &[Draft]) {
    // The rules that stop, by one part of their condition ("" for those that have none): a rule is compared with
    // those alone whose part it has itself, so that a file of very many is looked through once.
    let mut stops: HashMap<&str, Vec<&Draft>> = HashMap::new();
    for rule in drafts.iter().filter(|r| r.enabled) {
        let Some(parts) = &rule.parts else { continue };
        let keys = std::iter::once("").chain(parts.iter().map(String::as_str));
        let before =
            keys.filter_map(|key| stops.get(key)).flatten().find(|stop| covers(stop, rule));
        if let Some(stop) = before {
            let unconditional = stop.parts.as_ref().is_none_or(Vec::is_empty);
            let (what, hint) = if unconditional {
                (
                    "takes every such event and stops",
                    "move it up, or give the rule before it a `when`",
                )
            } else {
                ("takes all that it would, and stops", "move it up, or remove `stop` there")
            };
            let message =
                format!("rule \"{}\" can never run: \"{}\" before it {what}", rule.name, stop.name);
            report.warning("unreachable-rule", rule.span.clone(), message, Some(hint.to_owned()));
        } else if rule.stop && !rule.shadow {
            let key = parts.first().map_or("", String::as_str);
            let known = stops.entry(key).or_default();
            if known.len() < COMPARED {
                known.push(rule);
            }
        }
    }
}

/// The parts of a condition that all have to be true, each written in one way only, sorted.
pub(super) fn conjuncts(condition: &Expr) -> Vec<String> {
    let mut parts: Vec<String> = match &condition.kind {
        Kind::And(parts) => parts.iter().map(Expr::to_string).collect(),
        _ => vec![condition.to_string()],
    };
    parts.sort_unstable();
    parts.dedup();
    parts
}

/// Whether every event that `later` applies to is one that `earlier` applies to.
fn covers(earlier: &Draft, later: &Draft) -> bool {
    let types = earlier.on.is_empty()
        || (!later.on.is_empty()
            && later.on.iter().all(|b| earlier.on.iter().any(|a| type_covers(a, b))));
    let sources = earlier.sources.is_empty()
        || (!later.sources.is_empty() && later.sources.iter().all(|s| earlier.sources.contains(s)));
    let (Some(a), Some(b)) = (&earlier.parts, &later.parts) else { return false };
    // Whatever makes the later one true makes these true, too.
    types && sources && a.iter().all(|part| b.binary_search(part).is_ok())
}

/// `*` covers everything, `call.*` covers `call.ended` and `call.ended.*`.
fn type_covers(a: &str, b: &str) -> bool {
    match a.strip_suffix('*') {
        Some(prefix) => b.starts_with(prefix) && b != prefix,
        None => a == b,
    }
}

/// Templates that no rule names and no other template includes.
pub(super) fn unused_templates(drafts: &[Draft], templates: &[File]) -> Vec<String> {
    let used = |name: &str| {
        drafts.iter().any(|r| r.template.as_deref() == Some(name))
            || templates.iter().any(|t| includes(&t.text, name))
    };
    let mut unused: Vec<String> =
        templates.iter().map(|t| base(&t.name)).filter(|n| !used(n)).map(str::to_owned).collect();
    unused.dedup();
    unused
}

/// A template's name: its file's without channel and ending.
pub(super) fn base(file: &str) -> &str {
    file.split('.').next().unwrap_or(file)
}

/// Whether `text` has `{{> name}}` in one of its spellings. A plain search is enough for a warning.
fn includes(text: &str, name: &str) -> bool {
    text.split('>').skip(1).any(|after| {
        let word = after.trim_start().trim_start_matches(['"', '\'']);
        let end = word
            .find(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_')))
            .unwrap_or(word.len());
        word.get(..end) == Some(name)
    })
}

/// The destinations that `quiet.then.to` names: they are in use once that key is carried out.
pub(super) fn held_elsewhere(root: &Table<'_>) -> Vec<String> {
    let rules = root.peek("rules").map(|v| v.items()).unwrap_or_default();
    let to = |rule: &toml::de::DeValue<'_>| {
        Some(
            rule.get("quiet")?
                .get_ref()
                .get("then")?
                .get_ref()
                .get("to")?
                .get_ref()
                .as_str()?
                .to_owned(),
        )
    };
    rules.iter().filter_map(|rule| to(rule.value)).collect()
}

/// Schedules that no rule waits for.
pub(super) fn unused_schedules(root: &Table<'_>) {
    let Some(section) = root.peek("schedules").and_then(|v| v.table_unseen()) else { return };
    let rules = root.peek("rules").map(|v| v.items()).unwrap_or_default();
    let mut named: HashSet<&str> = HashSet::new();
    for rule in &rules {
        let during = rule.value.get("quiet").and_then(|q| q.get_ref().get("during"));
        match during.map(toml::Spanned::get_ref) {
            Some(toml::de::DeValue::String(name)) => _ = named.insert(name),
            Some(toml::de::DeValue::Array(names)) => {
                named.extend(names.iter().filter_map(|n| n.get_ref().as_str()));
            }
            _ => {}
        }
    }
    for (name, value) in section.entries().filter(|(name, _)| !named.contains(name)) {
        let message = format!("no rule uses schedule \"{name}\"");
        let hint = format!(
            "write `quiet = {{ during = \"{name}\", then = \"hold\" }}` in a rule, or remove it"
        );
        root.report.warning("unused-schedule", value.key_span, message, Some(hint));
    }
}

/// The lines that `spans` touch, as ranges of bytes.
pub(super) fn lines(text: &str, spans: &[Range<usize>]) -> Vec<Range<usize>> {
    let line = |s: &Range<usize>| {
        let bytes = text.as_bytes();
        let start = bytes.iter().take(s.start).rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
        let end =
            bytes.iter().skip(s.end).position(|b| *b == b'\n').map_or(text.len(), |n| s.end + n);
        start..end.max(start)
    };
    spans.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_types_and_narrower_patterns() {
        for (a, b, covers) in [
            ("*", "call.ended", true),
            ("*", "call.*", true),
            ("*", "*", true),
            ("call.*", "call.ended", true),
            ("call.*", "call.*", true),
            ("call.*", "call.x.*", true),
            ("call.*", "caller.x", false),
            ("call.*", "*", false),
            ("call.*", "call.", false),
            ("call.ended", "call.ended", true),
            ("call.ended", "call.*", false),
        ] {
            assert_eq!(type_covers(a, b), covers, "{a} {b}");
        }
    }

    #[test]
    fn partials_count_as_used() {
        assert!(includes("a {{> footer}}", "footer"));
        assert!(includes("{{#> 'footer' x=1}}", "footer"));
        assert!(!includes("{{> footer-long}} a > footers", "footer"));
    }
}
