//! `hookbell explain`: why an event notifies whom, or nobody.
//!
//! A file is explained here, with the same code that the bridge runs; a stored event by the running bridge, which has
//! the rules of its moment. Both give the same object.

mod tree;

use std::io::Read;
use std::path::Path;

use anyhow::{Context, anyhow};
use hyper::HeaderMap;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use jiff::Timestamp;

use super::client::{Api, Query, Reach, read};
use super::{
    Answer, Config, Failure, block_on, did_you_mean, emit, events, print_json, remark, terminal,
    when,
};
use crate::clock::Clock;
use crate::config::{self, Loaded, Secrets};
use crate::rules::Rules;
use crate::rules::explain::{Ask, Explanation, Signed, Used};
use crate::rules::source::{Arrival, Source};

/// The largest event that is read.
const LARGEST: u64 = 16 << 20;

/// The options of `explain`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// A file, `-` for standard input, or a stored event by its number or the sender's id
    #[arg(value_name = "EVENT.json|NUMBER|ID")]
    event: String,
    /// At this moment: a time, a date, or an age such as 2h [default: now; of a stored event when it came in]
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    at: Option<Timestamp>,
    /// A header that came with the event, to say whether its signature is right; may be repeated
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// As which source to read the event [default: the only one]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// A stored event under the rules of now, not those of its moment
    #[arg(long)]
    current: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let form = || "write `NAME: VALUE`".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(form)?;
    let name = HeaderName::try_from(name.trim()).map_err(|_| form())?;
    let value = HeaderValue::try_from(value.trim()).map_err(|_| form())?;
    Ok((name, value))
}

/// Where the event is.
enum Place<'a> {
    Input,
    File(&'a Path),
    Journal(&'a str),
}

fn place(event: &str) -> Result<Place<'_>, Failure> {
    if event == "-" {
        return Ok(Place::Input);
    }
    let path = Path::new(event);
    if path.exists() {
        return Ok(Place::File(path));
    }
    let file = |ending: &str| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(ending));
    if event.contains('/') || file("json") {
        return Err(Failure::No(anyhow!("there is no file {}", terminal::line(event))));
    }
    Ok(Place::Journal(event))
}

/// Explains; no is the answer if the signature was asked about and is wrong.
pub(super) fn run(config: &Config, args: &Args) -> Result<Answer, Failure> {
    let (explanation, rules) = match place(&args.event)? {
        Place::Journal(which) => stored(config, args, which)?,
        Place::Input => {
            let mut body = Vec::new();
            let read = std::io::stdin().lock().take(LARGEST).read_to_end(&mut body);
            read.context("can't read the event from standard input")?;
            here(config, args, body)?
        }
        Place::File(path) => {
            let read = || {
                let mut body = Vec::new();
                std::fs::File::open(path)?.take(LARGEST).read_to_end(&mut body)?;
                Ok::<_, std::io::Error>(body)
            };
            let body =
                read().with_context(|| format!("can't read the event {}", path.display()))?;
            here(config, args, body)?
        }
    };
    if args.json {
        print_json(&explanation)?;
    } else {
        tree::print(&mut anstream::stdout().lock(), &explanation, &rules, args.rule.is_some())?;
    }
    Ok(Answer::yes_if(explanation.signature.is_none_or(|s| s.verified != Some(false))))
}

/// Explains `body` under the configuration as it is; also says in a few words which that is.
fn here(config: &Config, args: &Args, body: Vec<u8>) -> Result<(Explanation, String), Failure> {
    if args.current {
        let message = "--current is for stored events: a file is explained under the rules of now";
        return Err(Failure::Usage(message.to_owned()));
    }
    let path = config.path_or_example();
    let name = path.map_or_else(|| "the built-in example".to_owned(), |p| p.display().to_string());
    let loaded = config::load(path, Secrets::Shown).map_err(Failure::Problems)?;
    tell_unset(&loaded);
    let rules = &loaded.rules;
    check_rule(rules, args.rule.as_deref())?;
    let source = emit::source(rules, args.source.as_deref(), "as")?;
    let body = Bytes::from(body);
    let at = args.at.unwrap_or_else(|| Clock::system().now());
    let mut headers = HeaderMap::new();
    for (name, value) in &args.headers {
        headers.append(name.clone(), value.clone());
    }
    let arrival = Arrival { headers: &headers, body, received: at };
    let event = source.unverified(arrival.clone()).map_err(|refusal| {
        let words = terminal::line(&refusal.message);
        Failure::No(anyhow!("source \"{}\" would answer {}: {words}", source.name, refusal.status))
    })?;
    let ask = Ask { at, only: args.rule.as_deref(), used: Used::Now, caused: &[] };
    let mut explanation = rules.explain(&event, ask);
    if !args.headers.is_empty() {
        explanation.signature = Some(signed(source, arrival));
    }
    Ok((explanation, name))
}

fn check_rule(rules: &Rules, only: Option<&str>) -> Result<(), Failure> {
    let names = || rules.rules.rules.iter().map(|rule| &*rule.name);
    match only {
        Some(only) if !names().any(|name| name == only) => Err(Failure::Usage(format!(
            "there is no rule `{}`: {}",
            terminal::line(only),
            did_you_mean(only, names())
        ))),
        _ => Ok(()),
    }
}

/// What isn't set here would be needed to send, but not to explain.
fn tell_unset(loaded: &Loaded) {
    let unset = loaded.warnings.iter().filter(|w| w.code == "unresolved-secret").count();
    if unset > 0 {
        let them = if unset == 1 { "is" } else { "are" };
        let count = terminal::count(unset, "setting");
        remark(format_args!("{count} can't be resolved here and {them} shown as ***"));
    }
}

fn signed(source: &Source, arrival: Arrival<'_>) -> Signed {
    if config::signs_with_stand_in(source) {
        let reason =
            format!("can't be checked: the secret of source \"{}\" isn't set here", source.name);
        return Signed { verified: None, reason };
    }
    match source.verify(arrival) {
        Ok(_) => Signed { verified: Some(true), reason: "right".to_owned() },
        Err(refusal) => {
            let why = match refusal.reason {
                "signature_wrong" => {
                    "; it is made of the raw bytes: is the file what was sent, byte for byte?"
                }
                _ => "",
            };
            let reason = format!(
                "{}: the bridge answers {}{why}",
                refusal.reason.replace('_', " "),
                refusal.status
            );
            Signed { verified: Some(false), reason }
        }
    }
}

/// Has the running bridge explain one of its events.
fn stored(config: &Config, args: &Args, which: &str) -> Result<(Explanation, String), Failure> {
    if !args.headers.is_empty() || args.source.is_some() {
        let message =
            "--header and --source are for files: a stored event was verified when it came in";
        return Err(Failure::Usage(message.to_owned()));
    }
    block_on(async {
        let api = Api::new(config, &args.reach)?;
        let none = || anyhow!("there is no file and no stored event {}", terminal::line(which));
        let found = events::find(&api, which).await?.ok_or_else(none)?;
        let row: crate::journal::EventRow = read(found.get())?;
        if row.number.to_string() != which && row.id != which {
            remark(format_args!(
                "{} came in as a repetition of event {}, which was kept",
                terminal::line(which),
                row.number
            ));
        }
        let mut query = Query::default();
        query.add("rules", Some(if args.current { "now" } else { "then" }));
        query.add("at", args.at);
        query.add("rule", args.rule.as_ref());
        let path = format!("{}/{}/explain{}", events::LIST.0, row.number, query.text());
        let answer = api.one(&path).await?.ok_or_else(none)?;
        let explanation: Explanation = read(answer.get())?;
        let used = match explanation.rules_used {
            Used::Now => "those of the running bridge",
            Used::Then => "those that decided it when it came in",
        };
        Ok((explanation, used.to_owned()))
    })
}

#[cfg(test)]
mod tests;
