//! `hookbell notifications`: who was to hear of what, and how it went. A list, or one with its attempts.

use std::io::Write;

use anstyle::Style;
use anyhow::anyhow;
use clap::builder::PossibleValuesParser;
use jiff::Timestamp;

use super::client::{Api, Listed, Query, Reach, read};
use super::events::{TABLE_ROWS, print_row};
use super::terminal::{BAD, FAINT, STRONG, Table};
use super::{Answer, Config, Failure, block_on, remark, terminal, when};
use crate::journal::{NotificationRow, State};

/// The list of the API and the key of its rows.
pub(super) const LIST: (&str, &str) = ("/api/notifications", "notifications");

/// The options of `notifications`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Show this one with its attempts
    #[arg(value_name = "NUMBER", conflicts_with_all = ["state", "destination", "rule", "event", "since", "until", "limit"])]
    id: Option<i64>,
    /// Only in this state
    #[arg(long, value_parser = PossibleValuesParser::new(State::ALL.map(State::word)))]
    state: Option<String>,
    /// Only to this destination
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Only of this rule
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Only caused by the event of this number
    #[arg(long, value_name = "NUMBER")]
    event: Option<i64>,
    /// Only those owed since then: a time, a date, or an age such as 7d or 2h
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    since: Option<Timestamp>,
    /// Only those owed before then
    #[arg(long, value_name = "TIME", value_parser = when::parse)]
    until: Option<Timestamp>,
    /// At most so many, the newest [default: 50 in a table, all with --json]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// Print JSON, one object for each notification on a line of its own
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

impl Args {
    fn query(&self) -> Query {
        let mut query = Query::default();
        query.add("state", self.state.as_ref());
        query.add("destination", self.destination.as_ref());
        query.add("rule", self.rule.as_ref());
        query.add("event_number", self.event);
        query.add("since", self.since);
        query.add("until", self.until);
        query
    }
}

/// Lists or shows.
pub(super) fn run(config: &Config, args: &Args) -> Result<Answer, Failure> {
    block_on(async {
        let api = Api::new(config, &args.reach)?;
        match args.id {
            Some(id) => show(&api, id, args.json).await,
            None => list(&api, args).await,
        }
    })
}

async fn list(api: &Api, args: &Args) -> Result<Answer, Failure> {
    if args.json {
        api.list(LIST, &args.query(), args.limit, print_row).await?;
        return Ok(Answer::Yes);
    }
    let mut rows: Vec<NotificationRow> = Vec::new();
    let most = args.limit.unwrap_or(TABLE_ROWS);
    let listed = api
        .list(LIST, &args.query(), Some(most), |row| {
            rows.push(read(row.get())?);
            Ok(())
        })
        .await?;
    if rows.is_empty() {
        remark("no notification fits");
        return Ok(Answer::Yes);
    }
    table(&rows).print(&mut anstream::stdout().lock())?;
    if rows.iter().any(|row| row.state == State::GaveUp) {
        remark("`hookbell retry NUMBER` makes a given-up one due again");
    }
    if listed == Listed::More && args.limit.is_none() {
        remark("there are older ones: --limit N, --until TIME or --json shows them");
    }
    Ok(Answer::Yes)
}

/// The table of these notifications; a reason stands below where it isn't simply sent.
pub(super) fn table(rows: &[NotificationRow]) -> Table {
    let columns =
        [("NUMBER", 10), ("STATE", 7), ("OWED", 14), ("RULE", 20), ("TO", 18), ("EVENT", 20)];
    let mut table = Table::new(columns);
    for row in rows {
        let cells = [
            row.id.to_string(),
            row.state.to_string(),
            when::short(row.created),
            row.rule.clone(),
            row.destination.clone(),
            row.event.clone(),
        ];
        let style = if row.state == State::GaveUp { BAD } else { Style::new() };
        table.row(cells, style, note(row).as_deref());
    }
    table
}

/// Why a notification stands where it does, unless it was sent at the first attempt.
fn note(row: &NotificationRow) -> Option<String> {
    let attempts = usize::try_from(row.attempts).unwrap_or(usize::MAX);
    let tried = match row.state {
        State::Sent if attempts <= 1 => return None,
        State::Sent => return Some(format!("sent at attempt {attempts}")),
        _ if attempts == 0 => None,
        _ => Some(format!("after {}", terminal::count(attempts, "attempt"))),
    };
    let due = row.due.filter(|_| row.state == State::Due && attempts > 0);
    let due = due.map(|at| format!("next at {}", when::short(at)));
    let parts: Vec<_> = row.reason.clone().into_iter().chain(tried).chain(due).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

async fn show(api: &Api, id: i64, json: bool) -> Result<Answer, Failure> {
    let Some(found) = api.one(&format!("{}/{id}", LIST.0)).await? else {
        return Err(Failure::No(anyhow!("there is no notification {id}")));
    };
    if json {
        print_row(&found)?;
        return Ok(Answer::Yes);
    }
    print_notification(&mut anstream::stdout().lock(), &read(found.get())?)?;
    Ok(Answer::Yes)
}

fn print_notification(out: &mut impl Write, row: &NotificationRow) -> Result<(), Failure> {
    let style = if row.state == State::GaveUp { BAD } else { STRONG };
    writeln!(out, "{style}notification {}: {}{style:#}", row.id, row.state)?;
    let mut field = |name: &str, value: &str| {
        let value = terminal::line(value);
        writeln!(out, "  {FAINT}{name:<12}{FAINT:#}{value}")
    };
    if let Some(reason) = &row.reason {
        field("reason", reason)?;
    }
    field(
        "event",
        &format!("{} of {}: {} (event {})", row.kind, row.source, row.event, row.event_number),
    )?;
    field("rule", &row.rule)?;
    match &row.recipient {
        Some(recipient) => field("to", &format!("{}: {recipient}", row.destination))?,
        None => field("to", &row.destination)?,
    }
    field("template", row.template.as_deref().unwrap_or("none: the built-in text"))?;
    field("owed", &when::full(row.created))?;
    if let Some(due) = row.due {
        field("due", &when::full(due))?;
    }
    if let Some(settled) = row.settled {
        field("settled", &when::full(settled))?;
    }
    field("key", &row.key.to_string())?;
    if row.history.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let columns = [("ATTEMPT", 7), ("BEGAN", 14), ("TOOK", 8), ("OUTCOME", 11), ("STATUS", 6)];
    let mut table = Table::new(columns);
    for attempt in &row.history {
        let took = attempt.ended.duration_since(attempt.started).as_millis();
        let cells = [
            attempt.attempt.to_string(),
            when::short(attempt.started),
            format!("{took} ms"),
            attempt.outcome.clone(),
            attempt.status.map_or_else(|| "-".to_owned(), |s| s.to_string()),
        ];
        let note = match &attempt.fallback_text {
            Some(why) => {
                format!(
                    "{}; the built-in text went out, for the template failed: {why}",
                    attempt.detail
                )
            }
            None => attempt.detail.clone(),
        };
        table.row(cells, Style::new(), Some(&note));
    }
    table.print(out)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(extra: &str) -> NotificationRow {
        let text = format!(
            r#"{{"id":12,"key":"00000000-0000-0000-0000-000000000001","event_number":7,"source":"replicer",
                "event":"evt-1","type":"call.ended","rule":"everything","destination":"sales","recipient":null,
                "template":null,"created":"2026-04-05T14:04:00Z","settled":null,{extra}}}"#
        );
        read(&text).unwrap()
    }

    fn plain(table: &Table) -> String {
        let mut out = Vec::new();
        table.print(&mut anstream::StripStream::new(&mut out)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_given_up_one_says_why_and_after_how_many_attempts() {
        let row = row(r#""state":"gave_up","reason":"404 no_service","due":null,"attempts":1"#);
        let text = plain(&table(&[row]));
        assert!(text.contains("gave_up") && text.contains("evt-1"), "{text}");
        assert!(text.contains("\n        404 no_service, after 1 attempt\n"), "{text}");
    }

    #[test]
    fn one_that_was_sent_at_once_needs_no_words() {
        let row = row(r#""state":"sent","reason":"200 ok","due":null,"attempts":1"#);
        assert_eq!(plain(&table(&[row])).lines().count(), 2);
    }

    #[test]
    fn a_table_of_notifications_fits_100_columns() {
        let mut wide = row(r#""state":"sending","reason":null,"due":null,"attempts":0"#);
        wide.rule = "r".repeat(90);
        wide.destination = "d".repeat(90);
        wide.event = "e".repeat(90);
        wide.id = 9_999_999_999;
        for l in plain(&table(&[wide])).lines() {
            assert!(l.chars().count() <= 100, "{l}");
        }
    }

    #[test]
    fn attempts_are_shown_one_below_the_other() {
        let row = row(r#""state":"sent","reason":"200 ok","due":null,"attempts":2,"history":[
            {"attempt":1,"started":"2026-04-05T14:04:00Z","ended":"2026-04-05T14:04:00.25Z","outcome":"retry","status":503,"detail":"503 busy","fallback_text":null},
            {"attempt":2,"started":"2026-04-05T14:04:05Z","ended":"2026-04-05T14:04:05.1Z","outcome":"sent","status":200,"detail":"200 ok","fallback_text":"line 3"}]"#);
        let mut out = Vec::new();
        print_notification(&mut anstream::StripStream::new(&mut out), &row).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("250 ms") && text.contains("503 busy"), "{text}");
        assert!(text.contains("the template failed: line 3"), "{text}");
        assert!(text.contains("none: the built-in text"), "{text}");
    }
}
