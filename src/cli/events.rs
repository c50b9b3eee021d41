//! `hookbell events`: what came in. A list, or one event with its body and what it caused.

use std::io::Write;

use anyhow::anyhow;
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::client::{Api, Listed, Query, Reach, read};
use super::terminal::{FAINT, STRONG, Table};
use super::{Answer, Config, Failure, block_on, notifications, print_data, remark, terminal, when};
use crate::journal::{EventRow, NotificationRow};

/// How many rows a table has where nobody says. A script gets all.
pub(super) const TABLE_ROWS: u32 = 50;

/// The list of the API and the key of its rows.
pub(super) const LIST: (&str, &str) = ("/api/events", "events");

/// The options of `events`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Show this one: its number in the journal, or the sender's id
    #[arg(value_name = "NUMBER|ID", conflicts_with_all = ["source", "kind", "id", "since", "until", "limit"])]
    event: Option<String>,
    /// Only of this source
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Only of this type, such as call.ended
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only with this id of the sender
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Only those received since then: a time, a date, or an age such as 7d or 2h
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    since: Option<Timestamp>,
    /// Only those received before then
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    until: Option<Timestamp>,
    /// At most so many, the newest [default: 50 in a table, all with --json]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Print JSON, one object for each event on a line of its own
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

impl Args {
    fn query(&self) -> Query {
        let mut query = Query::default();
        query.add("source", self.source.as_ref());
        query.add("type", self.kind.as_ref());
        query.add("id", self.id.as_ref());
        query.add("since", self.since);
        query.add("until", self.until);
        query
    }
}

/// Lists or shows.
pub(super) fn run(config: &Config, args: &Args) -> Result<Answer, Failure> {
    block_on(async {
        let api = Api::new(config, &args.reach)?;
        match &args.event {
            Some(which) => show(&api, which, args.json).await,
            None => list(&api, args).await,
        }
    })
}

async fn list(api: &Api, args: &Args) -> Result<Answer, Failure> {
    if args.json {
        api.list(LIST, &args.query(), args.limit, print_row).await?;
        return Ok(Answer::Yes);
    }
    let columns =
        [("NUMBER", 10), ("RECEIVED", 14), ("SOURCE", 12), ("TYPE", 18), ("ID", 40), ("OWES", 5)];
    let mut table = Table::new(columns);
    let mut rows = 0_usize;
    let most = args.limit.unwrap_or(TABLE_ROWS);
    let listed = api
        .list(LIST, &args.query(), Some(most), |row| {
            let row: EventRow = read(row.get())?;
            rows += 1;
            let note = remarkable(&row).join("; ");
            let cells = [
                row.number.to_string(),
                when::short(row.received),
                row.source,
                row.kind,
                row.id,
                row.notifications.to_string(),
            ];
            let note = (!note.is_empty()).then_some(note);
            table.row(cells, anstyle::Style::new(), note.as_deref());
            Ok(())
        })
        .await?;
    if rows == 0 {
        remark("no event fits");
        return Ok(Answer::Yes);
    }
    table.print(&mut anstream::stdout().lock())?;
    if listed == Listed::More && args.limit.is_none() {
        remark("there are older ones: --limit N, --until TIME or --json shows them");
    }
    Ok(Answer::Yes)
}

/// What else a person should know of an event.
fn remarkable(row: &EventRow) -> Vec<String> {
    let mut all = Vec::new();
    if row.duplicates > 0 {
        all.push(format!("came again {}", times(row.duplicates)));
    }
    if row.conflicts > 0 {
        all.push(format!(
            "came again {} with another body, which was not taken",
            times(row.conflicts)
        ));
    }
    for unknown in &row.unknown {
        let fields = unknown.fields.join(", ");
        all.push(format!(
            "rule \"{}\" could not be decided: null, missing or of another type: {fields}",
            unknown.rule
        ));
    }
    all
}

fn times(n: i64) -> String {
    if n == 1 { "once".to_owned() } else { format!("{n} times") }
}

/// A row as the API gave it, on one line.
fn one_line(row: &RawValue) -> String {
    // JSON has line breaks only between its tokens, where a space does as well.
    format!("{}\n", row.get().replace(['\r', '\n'], " "))
}

/// Prints a row as the API gave it, on one line.
pub(super) fn print_row(row: &RawValue) -> Result<(), Failure> {
    Ok(print_data(one_line(row).as_bytes())?)
}

/// The event of this number, or the newest with this id.
pub(super) async fn find(api: &Api, which: &str) -> Result<Option<Box<RawValue>>, Failure> {
    if let Ok(number) = which.parse::<i64>()
        && let Some(found) = api.one(&format!("{}/{number}", LIST.0)).await?
    {
        return Ok(Some(found));
    }
    let mut query = Query::default();
    query.add("id", Some(which));
    let mut newest = None;
    api.list(LIST, &query, Some(1), |row| {
        newest = Some(read::<EventRow>(row.get())?.number);
        Ok(())
    })
    .await?;
    match newest {
        Some(number) => api.one(&format!("{}/{number}", LIST.0)).await,
        None => Ok(None),
    }
}

async fn show(api: &Api, which: &str, json: bool) -> Result<Answer, Failure> {
    let Some(found) = find(api, which).await? else {
        return Err(Failure::No(anyhow!("there is no event {}", terminal::line(which))));
    };
    if json {
        print_row(&found)?;
        return Ok(Answer::Yes);
    }
    let row: EventRow = read(found.get())?;
    let mut query = Query::default();
    query.add("event_number", Some(row.number));
    let caused: Vec<NotificationRow> = api.rows(notifications::LIST, &query).await?;
    let mut out = anstream::stdout().lock();
    print_event(&mut out, &row)?;
    if caused.is_empty() {
        writeln!(out, "\nno rule matched: nobody is told")?;
        return Ok(Answer::Yes);
    }
    writeln!(out)?;
    notifications::table(&caused).print(&mut out)?;
    Ok(Answer::Yes)
}

fn print_event(out: &mut impl Write, row: &EventRow) -> Result<(), Failure> {
    let title = terminal::line(&format!("event {}: {}", row.number, row.kind));
    writeln!(out, "{STRONG}{title}{STRONG:#}")?;
    let mut field = |name: &str, value: &str| {
        let value = terminal::line(value);
        writeln!(out, "  {FAINT}{name:<10}{FAINT:#}{value}")
    };
    field("id", &row.id)?;
    field("source", &row.source)?;
    if let Some(time) = row.time {
        field("time", &when::full(time))?;
    }
    field("received", &when::full(row.received))?;
    field("rules", &row.rules)?;
    for note in remarkable(row) {
        field("note", &note)?;
    }
    let Some(body) = &row.body else {
        writeln!(out, "\n  {FAINT}the body is older than `journal.keep` and was removed{FAINT:#}")?;
        return Ok(());
    };
    writeln!(out)?;
    for l in pretty(body.get()) {
        writeln!(out, "  {l}")?;
    }
    Ok(())
}

/// The body as JSON with indentation; numbers keep their digits.
fn pretty(body: &str) -> Vec<String> {
    let value = serde_json::from_str::<serde_json::Value>(body);
    let text = value.and_then(|v| serde_json::to_string_pretty(&v));
    terminal::lines(text.as_deref().unwrap_or(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> EventRow {
        read(
            r#"{"number":7,"source":"replicer","id":"evt-\u001b[31m1","type":"call.ended",
                "time":"2026-04-05T14:04:00Z","received":"2026-04-05T14:04:01Z","duplicates":1,"conflicts":0,
                "rules":"abc","notifications":2,"unknown":[{"rule":"long","fields":["duration"]}],
                "body":{"id":"e","tokenCost":12.50,"text":"a\u009b2Jb"}}"#,
        )
        .unwrap()
    }

    #[test]
    fn an_event_is_shown_with_its_body_and_nothing_a_terminal_obeys() {
        let mut out = Vec::new();
        print_event(&mut anstream::StripStream::new(&mut out), &row()).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("event 7: call.ended"), "{text}");
        assert!(text.contains("12.50"), "{text}");
        assert!(text.contains("came again once"), "{text}");
        assert!(text.contains("another type: duration"), "{text}");
        assert!(text.contains("evt-\u{fffd}"), "the escape was cleaned, not obeyed: {text}");
        assert!(!text.contains(['\u{1b}', '\u{9b}']), "{text}");
    }

    #[test]
    fn a_row_for_scripts_is_one_line() {
        let raw = RawValue::from_string("{\n \"a\":\r\n 1}".to_owned()).unwrap();
        let line = one_line(&raw);
        assert_eq!(line.lines().count(), 1);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap()["a"], 1);
    }

    #[test]
    fn a_body_that_is_gone_is_said_to_be() {
        let mut out = Vec::new();
        let row = EventRow { body: None, ..row() };
        print_event(&mut anstream::StripStream::new(&mut out), &row).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("journal.keep"));
    }
}
