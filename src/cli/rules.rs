//! `hookbell rules new`: the beginning of a rule from an event that came in, ready to be appended to `rules.toml`.
//!
//! Its comments list the event's fields. Their values may be somebody's name or number, so only the beginning of a
//! text is shown, unless it is one of the few that the field is known to have.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow};
use hyper::HeaderMap;
use hyper::body::Bytes;
use serde_json::Value;

use super::client::{Api, Reach, read};
use super::{Answer, Config, Failure, block_on, emit, events, print_data, terminal};
use crate::clock::Clock;
use crate::config::{self, Secrets};
use crate::journal::EventRow;
use crate::rules::Rules;
use crate::rules::condition::parse_path;
use crate::rules::rule::DATA_KEY;
use crate::rules::source::{Arrival, EventType, Source};

/// So many fields are listed; an event with more is better looked at itself.
const MOST_FIELDS: usize = 80;
/// Objects in objects are followed so far.
const DEEPEST: usize = 4;
/// The characters of a text that are shown.
const SHOWN: usize = 3;

/// The options of `rules`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Print the beginning of a rule, made from an event: append it to rules.toml
    New(New),
}

#[derive(Clone, Debug, clap::Args)]
struct New {
    /// A file, `-` for standard input, or a stored event: its number in the journal or the sender's id
    #[arg(long, value_name = "FILE|NUMBER|ID")]
    from_event: String,
    /// The rule's name [default: after the event's type]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The source that a file's event comes from [default: the only one]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    #[command(flatten)]
    reach: Reach,
}

/// What a rule is made from.
struct Sample {
    /// What the comment calls it.
    title: String,
    kind: String,
    /// The data that conditions see.
    data: Value,
    /// What its type is known to have.
    known: Option<EventType>,
}

/// Prints the rule.
pub(super) fn run(config: &Config, args: &Args) -> Result<Answer, Failure> {
    let Command::New(args) = &args.command;
    let loaded = config::load(config.path_or_example(), Secrets::StandIns);
    let rules = loaded.map_err(Failure::Problems)?.rules;
    let sample = sample(config, args, &rules)?;
    let taken = |name: &str| rules.rules.rules.iter().any(|r| &*r.name == name);
    let name = match &args.name {
        Some(name) if taken(name) => {
            let name = terminal::line(name);
            return Err(Failure::Usage(format!("there is a rule \"{name}\" already")));
        }
        Some(name) => name.clone(),
        None => free_name(&sample.kind, taken),
    };
    let Some(to) = rules.destinations.first() else {
        return Err(Failure::No(anyhow!("the configuration has no destination to send to")));
    };
    print_data(skeleton(&sample, &name, &to.name).as_bytes())?;
    Ok(Answer::Yes)
}

fn sample(config: &Config, args: &New, rules: &Rules) -> Result<Sample, Failure> {
    let which = &args.from_event;
    let mut body = Vec::new();
    if which == "-" {
        let read = std::io::stdin().lock().read_to_end(&mut body);
        read.context("can't read the event from standard input")?;
    } else if Path::new(which).is_file() {
        body = std::fs::read(which).with_context(|| format!("can't read the event {which}"))?;
    } else if which.ends_with(".json") || which.contains(['/', '\\']) {
        return Err(Failure::No(anyhow!("there is no file {}", terminal::line(which))));
    } else {
        return stored(config, args, rules);
    }
    let source = emit::source(rules, args.source.as_deref(), "of")?;
    from_body(source, body)
}

/// An event of the journal, by the running bridge.
fn stored(config: &Config, args: &New, rules: &Rules) -> Result<Sample, Failure> {
    let which = &args.from_event;
    let found = block_on(async {
        let api = Api::new(config, &args.reach)?;
        events::find(&api, which).await
    })?;
    let Some(found) = found else {
        return Err(Failure::No(anyhow!("there is no event {}", terminal::line(which))));
    };
    let row: EventRow = read(found.get())?;
    let Some(body) = &row.body else {
        let message = "the body of that event is older than `journal.keep` and was removed";
        return Err(Failure::No(anyhow!(message)));
    };
    let source = rules.source(&row.source);
    Ok(Sample {
        title: format!("{} of source {}", row.id, row.source),
        data: data(serde_json::from_str(body.get()).map_err(anyhow::Error::from)?),
        known: source.and_then(|s| s.definition.event_type(&row.kind).cloned()),
        kind: row.kind,
    })
}

/// An event that came as a file: it is read exactly as if its source had posted it.
fn from_body(source: &Source, body: Vec<u8>) -> Result<Sample, Failure> {
    let headers = HeaderMap::new();
    let received = Clock::system().now();
    let arrival = Arrival { headers: &headers, body: Bytes::from(body), received };
    let event = source.unverified(arrival).map_err(|refusal| {
        anyhow!("source `{}` would refuse this event: {}", source.name, refusal.message)
    })?;
    Ok(Sample {
        title: format!("{} of source {}", event.id, source.name),
        data: data(serde_json::from_str(event.text()).map_err(anyhow::Error::from)?),
        known: source.definition.event_type(&event.kind).cloned(),
        kind: event.kind,
    })
}

/// What conditions see: the object under `data`, or the whole body.
fn data(mut body: Value) -> Value {
    match body.get_mut(DATA_KEY) {
        Some(data) if data.is_object() => data.take(),
        _ => body,
    }
}

fn free_name(kind: &str, taken: impl Fn(&str) -> bool) -> String {
    let first: String = terminal::line(&format!("new rule for {kind}")).chars().take(60).collect();
    let numbered = (2..).map(|n| format!("{first} {n}"));
    std::iter::once(first.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(first)
}

/// A field as a condition names it, its type and the beginning of its value.
struct Listed {
    path: String,
    what: String,
    value: String,
}

fn skeleton(sample: &Sample, name: &str, to: &str) -> String {
    let text = |t: &str| toml::Value::from(t).to_string();
    let mut fields = Vec::new();
    list(sample, &sample.data, &mut Vec::new(), &mut fields);
    let mut out = String::from("\n");
    // Writing to a String can't fail.
    let mut add = |line: &str| _ = writeln!(out, "{}", terminal::line(line).trim_end());
    add(&format!("# Made from event {}. Its fields (texts are shortened):", sample.title));
    let widest = |cell: fn(&Listed) -> &String| {
        fields.iter().map(|f| cell(f).chars().count()).max().unwrap_or(0).min(40)
    };
    let (paths, whats) = (widest(|f| &f.path), widest(|f| &f.what));
    for f in fields.iter().take(MOST_FIELDS) {
        add(&format!("#   {:paths$}  {:whats$}  {}", f.path, f.what, f.value));
    }
    if fields.len() > MOST_FIELDS {
        add(&format!("#   … and {} more", fields.len() - MOST_FIELDS));
    }
    add("[[rules]]");
    add(&format!("name = {}", text(name)));
    let odd = |c: char| c == '*' || c.is_whitespace() || c.is_control();
    if sample.kind.contains(odd) {
        add("# its type can't be written as a pattern, so `on` is left out");
    } else {
        add(&format!("on   = {}", text(&sample.kind)));
    }
    match condition(sample) {
        Some(when) => add(&format!("# when = {}   # without it: every such event", text(&when))),
        None => add("# when = '…'   # without it: every such event"),
    }
    add(&format!("to   = [{}]", text(to)));
    add("# template = \"…\"   # templates/….hbs; without it, a plain text with the event's fields");
    out
}

fn list(sample: &Sample, value: &Value, path: &mut Vec<String>, into: &mut Vec<Listed>) {
    let Value::Object(fields) = value else { return };
    for (key, value) in fields {
        path.push(key.clone());
        if path.len() < DEEPEST && value.as_object().is_some_and(|o| !o.is_empty()) {
            list(sample, value, path, into);
        } else if let Some(name) = written(path) {
            let known = match &**path {
                [top] => sample.known.as_ref().and_then(|k| k.fields.get(top)),
                _ => None,
            };
            let mut what = known.map_or_else(|| kind_of(value).to_owned(), |k| k.kind.to_string());
            if known.is_some_and(|k| k.nullable) {
                what.push_str(" or null");
            }
            let value = match known {
                Some(k) if !k.values.is_empty() => {
                    let all: Vec<_> =
                        k.values.iter().map(|v| Value::from(v.as_str()).to_string()).collect();
                    all.join(" ")
                }
                _ => shortened(value),
            };
            into.push(Listed { path: name, what, value });
        }
        path.pop();
    }
}

/// The path as a condition writes it; none if it can't.
fn written(path: &[String]) -> Option<String> {
    let join = |first: &str, rest: &[String]| {
        rest.iter().fold(first.to_owned(), |path, key| {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if key.chars().all(word)
                && !key.starts_with(|c: char| c.is_ascii_digit())
                && !key.is_empty()
            {
                format!("{path}.{key}")
            } else {
                format!("{path}[{}]", Value::from(key.as_str()))
            }
        })
    };
    let (first, rest) = path.split_first()?;
    let candidates = [join(first, rest), join(DATA_KEY, path)];
    let means = |text: &String| {
        // A key that is a word of the language or of the envelope means something else without `data`.
        let wanted = parse_path(&join(DATA_KEY, path)).ok()?.name()?;
        (parse_path(text).ok()?.name()? == wanted).then_some(())
    };
    candidates.into_iter().find(|text| means(text).is_some())
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_i64() || n.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    }
}

fn shortened(value: &Value) -> String {
    let cut = |text: &str| {
        let head: String = text.chars().take(SHOWN).collect();
        if head.len() < text.len() { format!("{head}…") } else { head }
    };
    match value {
        Value::Null => String::new(),
        Value::Bool(b) => b.to_string(),
        // Long ones are numbers of people and accounts rather than amounts.
        Value::Number(n) if n.to_string().len() <= 6 => n.to_string(),
        Value::Number(n) => cut(&n.to_string()),
        Value::String(text) => Value::from(cut(text)).to_string(),
        Value::Array(items) => format!("of {}", items.len()),
        Value::Object(fields) => format!("of {}", fields.len()),
    }
}

/// A condition that holds for this event: by a field with few values, and by a yes or no or a number.
fn condition(sample: &Sample) -> Option<String> {
    let Value::Object(fields) = &sample.data else { return None };
    let named = |key: &String| written(std::slice::from_ref(key));
    let mut word = None;
    let mut measure = None;
    for (key, value) in fields {
        let known = sample.known.as_ref().and_then(|k| k.fields.get(key));
        let few = known.is_some_and(|k| !k.values.is_empty());
        match value {
            Value::String(_) if few => {
                word = named(key).map(|path| format!("{path} == {value}")).or(word);
            }
            Value::Number(n) if measure.is_none() && n.to_string().len() <= 6 => {
                measure = named(key).map(|path| format!("{path} >= {n}"));
            }
            _ => {}
        }
    }
    if word.is_none() && measure.is_none() {
        let yes = fields.iter().find(|(_, value)| value.is_boolean());
        word = yes.and_then(|(key, value)| Some(format!("{} == {value}", named(key)?)));
    }
    let parts: Vec<String> = [word, measure].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(" && "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::sample::DOCUMENTED;
    use crate::config::{Environment, load_in};

    fn example() -> std::sync::Arc<Rules> {
        let nothing = Environment::Only(std::collections::BTreeMap::new());
        load_in(None, Secrets::StandIns, &nothing).unwrap().rules
    }

    fn of(body: &str) -> Sample {
        from_body(&example().sources[0], body.as_bytes().to_vec())
            .unwrap_or_else(|e| panic!("{e:?}"))
    }

    /// What `check` says when `rule` stands below the shipped rules.
    fn problems(rule: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let rules = folder.path().join("rules.toml");
        std::fs::create_dir(folder.path().join("templates")).unwrap();
        for (name, text) in config::example::TEMPLATES {
            std::fs::write(folder.path().join("templates").join(name), text).unwrap();
        }
        std::fs::write(&rules, format!("{}{rule}", config::example::RULES)).unwrap();
        let nothing = Environment::Only(std::collections::BTreeMap::new());
        let problems = match load_in(Some(&rules), Secrets::StandIns, &nothing) {
            Ok(loaded) => {
                assert_eq!(loaded.rules.rules.rules.len(), 4);
                loaded.warnings
            }
            Err(problems) => problems,
        };
        config::problem::render(&problems, config::problem::Style::Plain)
    }

    fn with_condition(rule: &str) -> String {
        rule.replace("# when", "when")
    }

    #[test]
    fn the_documented_event_gives_a_rule_that_check_approves_and_shows_nobody() {
        let sample = of(DOCUMENTED);
        let rule = skeleton(&sample, &free_name(&sample.kind, |_| false), "sales");
        assert_eq!(problems(&rule), "");
        let rule = with_condition(&rule);
        assert!(rule.contains("\nwhen = "), "{rule}");
        assert_eq!(problems(&rule), "", "{rule}");
        for (key, value) in sample.data.as_object().unwrap() {
            if !key.starts_with("metadata") {
                assert!(rule.contains(&format!("#   {key} ")), "{key}: {rule}");
            }
            if key.starts_with("customer") || key == "transcript" || key == "fromNumber" {
                assert!(!rule.contains(value.as_str().unwrap()), "{key}: {rule}");
            }
        }
        assert!(rule.contains("metadata.campaign_id"), "{rule}");
        assert!(rule.contains("\"negative\""), "known values are shown: {rule}");
    }

    #[test]
    fn hostile_events_stay_in_their_comments() {
        let body = serde_json::json!({
            "id": "evt\u{202e} # [[rules]]", "event": "x.\"y'", "timestamp": "2026-04-05T14:04:00Z",
            "data": { "a\nb = 1\n": "\u{202e}\n[x]", "in": true, "event": "mine", "": 1, "a b": { "c-d": [1] }, "ü": 1.5, "n": "'\"\\" },
        });
        let sample = of(&body.to_string());
        let rule = skeleton(&sample, "it's \"quoted\" \\", "sales");
        assert_eq!(problems(&rule), "", "{rule}");
        assert_eq!(problems(&with_condition(&rule)), "", "{rule}");
        assert!(rule.contains("data.event") && rule.contains("data[\"a b\"][\"c-d\"]"), "{rule}");
    }

    #[test]
    fn a_type_that_nobody_knows_gives_a_rule_as_well() {
        let body = r#"{"id":"1","event":"sms.received","data":{"ok":true,"name":"Ann"}}"#;
        let rule = with_condition(&skeleton(&of(body), "sms", "sales"));
        assert!(rule.contains("when = \"ok == true\""), "{rule}");
        assert_eq!(problems(&rule), "", "{rule}");
        let bare = skeleton(&of(r#"{"id":"1","event":"ping"}"#), "ping", "sales");
        assert_eq!(problems(&bare), "", "{bare}");
    }

    #[test]
    fn names_are_free() {
        assert_eq!(free_name("a", |_| false), "new rule for a");
        assert_eq!(free_name("a", |n| !n.ends_with('3')), "new rule for a 3");
    }
}
