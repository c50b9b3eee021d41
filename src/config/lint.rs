//! What only a look at the whole shows: rules that can never run, and what nobody uses. All of it is suspicious, none
//! of it wrong, so these are warnings.

use std::ops::Range;

use super::destinations;
use super::files::File;
use super::reader::{Report, Table};
use super::rule::Draft;
use super::sources;

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
    for destination in destinations {
        let named = |d: &destinations::Declared| {
            d.fallback.as_ref().is_some_and(|f| *f.value.to == *destination.name)
        };
        let used = drafts.iter().any(|r| r.to.contains(&destination.name))
            || destinations.iter().any(named)
            || held_elsewhere.contains(&destination.name);
        if !used && !drafts.is_empty() {
            let message = format!("no rule sends to destination \"{}\"", destination.name);
            report.warning("unused-destination", destination.span.clone(), message, None);
        }
    }
    // Kept apart from the other rules, so that a file of very many is looked through once.
    let mut stops: Vec<&Draft> = Vec::new();
    for rule in drafts.iter().filter(|r| r.enabled) {
        if let Some(stop) = stops.iter().find(|r| covers(r, rule)) {
            let message = format!(
                "rule \"{}\" can never run: \"{}\" before it takes every such event and stops",
                rule.name, stop.name
            );
            let hint = "move it up, or give the rule before it a `when`".to_owned();
            report.warning("unreachable-rule", rule.span.clone(), message, Some(hint));
        } else if ends_the_walk(rule) {
            stops.push(rule);
        }
    }
}

fn ends_the_walk(rule: &Draft) -> bool {
    rule.stop && !rule.conditional && !rule.shadow
}

/// Whether every event that `later` applies to is one that `earlier` applies to.
fn covers(earlier: &Draft, later: &Draft) -> bool {
    let types = earlier.on.is_empty()
        || (!later.on.is_empty()
            && later.on.iter().all(|b| earlier.on.iter().any(|a| type_covers(a, b))));
    let sources = earlier.sources.is_empty()
        || (!later.sources.is_empty() && later.sources.iter().all(|s| earlier.sources.contains(s)));
    types && sources
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
