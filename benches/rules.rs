//! Counts the instructions that deciding one event takes, by callgrind: `cargo bench --bench rules -- --count`.
//!
//! `--run CASE RULES EVENTS` runs one case that often and prints what matched, for callgrind to look at; `--count` runs
//! that under callgrind with two numbers of events and divides the difference, so that start and compilation don't
//! count. `benches/README.md` has the figures and says what the cases are.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark's output is its purpose"
)]
#![expect(clippy::unwrap_used, reason = "a benchmark that can't go on should stop where it stands")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;

use hookbell::event::Event;
use hookbell::rules::condition::{Code, Condition, Truth};
use hookbell::rules::fields::{Fields, Interner};
use hookbell::rules::provider::Destination;
use hookbell::rules::rule::{Rule, RuleSet, TypePattern};
use hyper::body::Bytes;
use jiff::Timestamp;

/// Each case with the numbers of rules that it is counted for.
const CASES: [(&str, &[usize]); 7] = [
    ("one", &[1]),
    ("mix", &[1, 10, 100, 1_000, 10_000, 100_000]),
    ("mix-every", &[1_000, 10_000]),
    ("wide", &[100, 1_000, 10_000]),
    ("wide-every", &[100, 1_000, 10_000]),
    ("cel", &[1, 1_000]),
    ("cel-lazy", &[1, 1_000]),
];

/// Whose events they are, and whose rules.
const AGENTS: u32 = 4_000;
const ORGANISATIONS: u32 = 1_000;
const CAMPAIGNS: u32 = 1_000;

/// How many different events there are.
const EVENTS: usize = 1_000;

fn main() {
    // `cargo bench` adds `--bench`.
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["--run", case, rules, events] => {
            let matched = run(case, rules.parse().unwrap(), events.parse().unwrap());
            println!("{matched} matches");
        }
        ["--count"] => count(None),
        ["--count", case] => count(Some(case)),
        [] => println!(
            "--count [CASE] counts instructions with valgrind, --run CASE RULES EVENTS runs a case"
        ),
        _ => {
            eprintln!("usage: --count [CASE] | --run CASE RULES EVENTS");
            std::process::exit(2);
        }
    }
}

/// Prints one line for each case and number of rules.
fn count(only: Option<&str>) {
    println!("{:<12}{:>9}{:>16}{:>14}", "case", "rules", "instructions", "matches");
    for (case, sizes) in CASES.iter().filter(|(case, _)| only.is_none_or(|only| only == *case)) {
        for rules in *sizes {
            // Slow cases need fewer events for a steady figure.
            let (few, many) = if case.starts_with("cel") { (10, 60) } else { (100, 600) };
            let (less, before) = callgrind(case, *rules, few);
            let (more, after) = callgrind(case, *rules, many);
            let events = many - few;
            let each = (more - less) / events as u64;
            let matches = (after - before) as f64 / events as f64;
            println!("{case:<12}{rules:>9}{each:>16}{matches:>14.2}");
        }
    }
}

/// The instructions that a run takes, and its matches.
fn callgrind(case: &str, rules: usize, events: usize) -> (u64, u64) {
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().unwrap())
        .args(["--run", case, &rules.to_string(), &events.to_string()])
        .output()
        .expect("valgrind is installed");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    let number = |text: &str, after: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.split_once(after))?;
        line.1.trim().replace(',', "").parse().ok()
    };
    let matches = String::from_utf8_lossy(&out.stdout);
    let matches = matches.trim().split(' ').next().and_then(|n| n.parse().ok());
    (number(&said, "Collected :").unwrap(), matches.unwrap())
}

/// Decides `events` events by `rules` rules, and gives the number of matches.
fn run(case: &str, rules: usize, events: usize) -> u64 {
    let mut random = fastrand::Rng::with_seed(7);
    let bodies: Vec<Event> = (0..EVENTS).map(|at| event(at, &mut random)).collect();
    let size: usize = bodies.iter().map(|event| event.body.len()).sum();
    eprintln!("{} bytes an event", size / EVENTS);
    let (set, every) = match case.strip_suffix("-every") {
        Some(set) => (set, true),
        None => (case, false),
    };
    let conditions: Vec<String> = (0..rules)
        .map(|at| match set {
            "one" => "callSuccessful == true".to_owned(),
            "wide" => wide(at, &mut random),
            _ => mix(at, &mut random),
        })
        .collect();
    let events = bodies.iter().cycle().take(events);
    match set {
        "cel" => with_cel(&conditions, events, |_| true),
        "cel-lazy" => with_cel(&conditions, events, |name| {
            conditions.iter().any(|condition| condition.contains(name))
        }),
        _ if every => with_every_rule(&conditions, events),
        _ => with_index(&conditions, events),
    }
}

fn with_index<'e>(conditions: &[String], events: impl Iterator<Item = &'e Event>) -> u64 {
    let mut fields = Fields::default();
    let rules = conditions.iter().enumerate().map(|(at, condition)| Rule {
        name: format!("rule {at}").into(),
        on: vec![TypePattern { text: "call.ended".into() }],
        sources: Vec::new(),
        when: Some(Condition::compile(condition, &mut fields).unwrap()),
        to: vec![0],
        template: None,
        stop: false,
        enabled: true,
        shadow: false,
    });
    let rules = rules.collect();
    let set = RuleSet::new(rules, fields);
    let destinations = destinations();
    events.map(|event| black_box(set.decide(event, &destinations)).owed.len() as u64).sum()
}

/// The same code without the index: the measure for sets that an index can do little for.
fn with_every_rule<'e>(conditions: &[String], events: impl Iterator<Item = &'e Event>) -> u64 {
    let mut fields = Fields::default();
    let mut code = Code::default();
    let mut interner = Interner::default();
    let compiled = conditions.iter().map(|text| Condition::compile(text, &mut fields).unwrap());
    let compiled: Vec<Condition> = compiled.collect();
    let entries: Vec<_> = compiled.iter().map(|when| code.add(when, &mut interner)).collect();
    let symbols = interner.finish();
    let mut matched = 0;
    for event in events {
        let values = fields.read(event, Some("data"));
        let found = symbols.of(&values);
        for entry in &entries {
            matched += u64::from(code.run(*entry, &values, &found) == Truth::True);
        }
    }
    matched
}

/// The `cel` crate as its documents show it: the event as JSON values, one variable for each field that is `wanted`,
/// every program executed.
fn with_cel<'e>(
    conditions: &[String],
    events: impl Iterator<Item = &'e Event>,
    wanted: impl Fn(&str) -> bool,
) -> u64 {
    let environment = Arc::new(cel::Env::stdlib());
    let programs: Vec<cel::Program> = conditions
        .iter()
        .map(|condition| {
            environment
                .compile(&condition.replace(" and ", " && ").replace(" or ", " || "))
                .unwrap()
        })
        .collect();
    let mut matched = 0;
    let names: Vec<String> =
        FIELDS.iter().filter(|name| wanted(name)).map(|n| (*n).to_owned()).collect();
    for event in events {
        let body: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
        let mut context = cel::Context::with_env(Arc::clone(&environment));
        for name in &names {
            context.add_variable_from_value(name.as_str(), value(&body["data"][name.as_str()]));
        }
        for program in &programs {
            matched += u64::from(program.execute(&context) == Ok(cel::Value::Bool(true)));
        }
    }
    matched
}

/// JSON as the `cel` crate has it.
fn value(json: &serde_json::Value) -> cel::Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => cel::Value::Null,
        Json::Bool(value) => cel::Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(int) => cel::Value::Int(int),
            None => cel::Value::Float(number.as_f64().unwrap()),
        },
        Json::String(text) => cel::Value::from(text.as_str()),
        Json::Array(items) => cel::Value::from(items.iter().map(value).collect::<Vec<_>>()),
        Json::Object(members) => {
            let members = members.iter().map(|(key, json)| (key.clone(), value(json)));
            cel::Value::from(members.collect::<std::collections::HashMap<String, cel::Value>>())
        }
    }
}

/// The one destination: kept in the journal, which is not part of this.
fn destinations() -> Vec<Arc<Destination>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    let text = "version = 1\n[sources.replicer]\nkind = \"replicer\"\nsecret = \"bench-secret\"\n[destinations.sales]\nprovider = \"inbox\"\n[[rules]]\nname = \"all\"\nto = [\"sales\"]\n";
    std::fs::write(&file, text).unwrap();
    let loaded = hookbell::config::load(Some(&file), hookbell::config::Secrets::Required);
    loaded.expect("the file is right").rules.destinations.clone()
}

const FIELDS: [&str; 19] = [
    "callId",
    "organizationId",
    "agentId",
    "agentName",
    "customerName",
    "customerPhone",
    "fromNumber",
    "direction",
    "status",
    "duration",
    "disconnectionReason",
    "sentiment",
    "summary",
    "transcript",
    "callSuccessful",
    "tokenCost",
    "startedAt",
    "endedAt",
    "metadata",
];

const WORDS: [&str; 24] = [
    "pricing",
    "refund",
    "annual",
    "plan",
    "contract",
    "invoice",
    "upset",
    "manager",
    "callback",
    "demo",
    "trial",
    "cancel",
    "renewal",
    "discount",
    "shipping",
    "delay",
    "quality",
    "support",
    "upgrade",
    "security",
    "legal",
    "budget",
    "decision",
    "competitor",
];

fn words(count: usize, random: &mut fastrand::Rng) -> String {
    let words: Vec<&str> = (0..count).map(|_| WORDS[random.usize(..WORDS.len())]).collect();
    words.join(" ")
}

fn nullable(value: String, random: &mut fastrand::Rng) -> String {
    if random.u8(..100) < 10 { "null".to_owned() } else { format!("\"{value}\"") }
}

/// A `call.ended` of about 1,040 bytes with the fields of the documented one.
fn event(at: usize, random: &mut fastrand::Rng) -> Event {
    let status = ["completed", "completed", "completed", "failed", "cancelled"][random.usize(..5)];
    let sentiment = ["positive", "positive", "neutral", "negative"][random.usize(..4)].to_owned();
    let sentiment = nullable(sentiment, random);
    let summary = nullable(words(12, random), random);
    let successful = ["true", "true", "false", "null"][random.usize(..4)];
    let direction = ["OUTBOUND", "INBOUND"][random.usize(..2)];
    let mut body = String::new();
    write!(
        body,
        concat!(
            r#"{{"id":"evt-{at:08}","event":"call.ended","timestamp":"2026-04-05T14:04:00Z","data":{{"#,
            r#""callId":"clx-call-{at:06}","organizationId":"clx-org-{org}","agentId":"clx-agent-{agent}","#,
            r#""agentName":"Sales Agent {agent}","customerName":"John Doe","customerPhone":"+49{phone}","#,
            r#""fromNumber":"+4930555000","direction":"{direction}","status":"{status}","duration":{duration},"#,
            r#""disconnectionReason":"agent_hangup","sentiment":{sentiment},"summary":{summary},"#,
            r#""transcript":"Agent: Hello John, this is {transcript}\nJohn: {more}","callSuccessful":{successful},"#,
            r#""tokenCost":{cost}.50,"startedAt":"2026-04-05T14:00:00Z","endedAt":"2026-04-05T14:04:00Z","#,
            r#""metadata":{{"campaign_id":"campaign-{campaign}","score":{score}}}}}}}"#,
        ),
        at = at,
        org = random.u32(..ORGANISATIONS),
        agent = random.u32(..AGENTS),
        phone = random.u32(100_000_000..999_999_999),
        direction = direction,
        status = status,
        duration = random.u32(..1_200),
        sentiment = sentiment,
        summary = summary,
        transcript = words(17, random),
        more = words(17, random),
        successful = successful,
        cost = random.u32(..60),
        campaign = random.u32(..CAMPAIGNS),
        score = random.u32(..10),
    )
    .unwrap();
    Event {
        source: "replicer".into(),
        id: format!("evt-{at:08}"),
        kind: "call.ended".to_owned(),
        time: None,
        received: Timestamp::UNIX_EPOCH,
        body: Bytes::from(body),
    }
}

/// Rules of many tenants: each is for an agent, an organisation, a region or a campaign.
fn mix(at: usize, random: &mut fastrand::Rng) -> String {
    let agent = random.u32(..AGENTS);
    let org = random.u32(..ORGANISATIONS);
    let seconds = random.u32(300..1_100);
    match at % 6 {
        0 => format!("agentId == \"clx-agent-{agent}\" and duration > {seconds}"),
        1 => format!(
            "organizationId == \"clx-org-{org}\" and sentiment == \"negative\" and duration > {seconds}"
        ),
        2 => format!(
            "organizationId == \"clx-org-{org}\" and sentiment == \"negative\" and status in [\"failed\", \"cancelled\"]"
        ),
        3 => format!("customerPhone.startsWith(\"+49{}\")", random.u32(1_000..99_999)),
        4 => format!(
            "metadata.campaign_id == \"campaign-{}\" and callSuccessful == true and duration > {seconds} and direction == \"OUTBOUND\" and sentiment == \"negative\"",
            random.u32(..CAMPAIGNS)
        ),
        _ => format!(
            "agentId == \"clx-agent-{agent}\" and (duration < 20 or duration > {})",
            seconds + 60
        ),
    }
}

/// Rules without a selective equality: ranges, contained texts, inequalities.
fn wide(at: usize, random: &mut fastrand::Rng) -> String {
    let word = WORDS[random.usize(..WORDS.len())];
    let seconds = random.u32(900..1_200);
    let cost = random.u32(40..60);
    match at % 6 {
        0 => format!("status != \"completed\" and duration > {seconds}"),
        1 => format!(
            "summary.contains(\"{word} {}\") and tokenCost > {cost}",
            WORDS[at % WORDS.len()]
        ),
        2 => format!("duration >= {seconds} and duration < {}", seconds + 10),
        3 => format!("not transcript.contains(\"{word}\") and duration < {}", random.u32(..60)),
        4 => format!("sentiment != \"positive\" and tokenCost >= {cost}.75"),
        _ => format!(
            "status != \"completed\" and direction != \"INBOUND\" and sentiment != \"{word}\" and tokenCost < 3"
        ),
    }
}
