//! An explanation as a tree for people, in 80 columns.

use std::io::{self, Write};

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::super::terminal::{BAD, FAINT, GOOD, STRONG, WIDTH, line, lines, pad, wrap};
use super::super::{notifications, when};
use crate::rules::condition::{Join, Truth};
use crate::rules::explain::{
    Decided, Explained, Explanation, Found, Outcome, Part, Planned, Stored,
};
use crate::rules::provider::Shown;

/// The values of parts stand in one column, at most here.
const COLUMN: usize = 44;
/// `unknown` and two spaces.
const VALUE: usize = 9;

/// Prints the explanation. `rules` says which rules were asked. `whole`: also the conditions of rules that were not
/// looked at.
pub(super) fn print(
    out: &mut impl Write,
    explanation: &Explanation,
    rules: &str,
    whole: bool,
) -> io::Result<()> {
    let event = &explanation.event;
    let title = line(&format!("{} {} from {}", event.kind, event.id, event.source));
    for part in wrap(&title, WIDTH) {
        writeln!(out, "{STRONG}{part}{STRONG:#}")?;
    }
    let mut field = |name: &str, value: &str| {
        let mut name = name;
        for part in wrap(value, WIDTH - 12) {
            writeln!(out, "  {FAINT}{name:<10}{FAINT:#}{part}")?;
            name = "";
        }
        Ok::<(), io::Error>(())
    };
    field("at", &when::full(explanation.at))?;
    field("rules", rules)?;
    if let Some(signed) = &explanation.signature {
        field("signature", &signed.reason)?;
    }
    for rule in &explanation.rules {
        writeln!(out)?;
        print_rule(out, rule, whole)?;
    }
    if explanation.rules.is_empty() {
        writeln!(out, "\nthere is no rule: nobody hears of anything")?;
    }
    match &explanation.stored {
        Some(stored) => print_stored(out, stored),
        None => Ok(()),
    }
}

fn print_rule(out: &mut impl Write, rule: &Explained, whole: bool) -> io::Result<()> {
    let looked_at = matches!(rule.outcome, Outcome::Matched | Outcome::NoMatch | Outcome::Unknown);
    let style = match rule.outcome {
        Outcome::Matched => GOOD,
        Outcome::Unknown => BAD,
        _ => Style::new(),
    };
    let word = rule.outcome.word();
    let name = line(&rule.rule);
    writeln!(out, "{STRONG}{name}{STRONG:#}: {style}{word}{style:#}")?;
    // What one line of a tree says, or all of it, isn't said twice.
    let tells_more = match &rule.when {
        Some(when) if looked_at => rule.outcome != Outcome::Matched && !when.parts.is_empty(),
        _ => true,
    };
    if tells_more {
        for part in wrap(&one_line(&rule.reason), WIDTH - 2) {
            writeln!(out, "  {FAINT}{part}{FAINT:#}")?;
        }
    }
    if let Some(when) = rule.when.as_ref().filter(|_| looked_at || whole) {
        let mut rows = Vec::new();
        collect(when, "  ", "  ", &mut rows);
        print_rows(out, &rows)?;
    }
    for notification in &rule.notifications {
        print_planned(out, notification)?;
    }
    Ok(())
}

/// One line of a tree.
struct Row<'p> {
    /// The branches before the part.
    branch: String,
    /// The branches below it.
    below: String,
    label: String,
    part: &'p Part,
}

fn collect<'p>(part: &'p Part, branch: &str, below: &str, rows: &mut Vec<Row<'p>>) {
    let label = match part.join {
        Some(Join::And) => "all of".to_owned(),
        Some(Join::Or) => "any of".to_owned(),
        Some(Join::Not) => "not".to_owned(),
        None => one_line(&part.expr),
    };
    let trunk = if part.parts.is_empty() { "  " } else { "│ " };
    rows.push(Row { branch: branch.to_owned(), below: format!("{below}{trunk}"), label, part });
    for (at, inner) in part.parts.iter().enumerate() {
        let last = at + 1 == part.parts.len();
        let (fork, rail) = if last { ("└ ", "  ") } else { ("├ ", "│ ") };
        collect(inner, &format!("{below}{fork}"), &format!("{below}{rail}"), rows);
    }
}

fn print_rows(out: &mut impl Write, rows: &[Row<'_>]) -> io::Result<()> {
    let widths = rows.iter().map(|row| row.branch.width() + row.label.width());
    let column = widths.filter(|width| *width <= COLUMN).max().unwrap_or(COLUMN) + 2;
    for row in rows {
        let value = row.part.value;
        let style = match (row.part.decides, value) {
            (true, Truth::True) => GOOD,
            (true, _) => BAD,
            (false, _) => FAINT,
        };
        let shown = format!("{style}{}{style:#}", value.word());
        let reads: Vec<String> = row.part.reads.iter().map(told).collect();
        let room = WIDTH.saturating_sub(row.branch.width()).max(20);
        let mut label = wrap(&row.label, room);
        let last = label.pop().unwrap_or_default();
        let mut lead = row.branch.clone();
        for part in label {
            writeln!(out, "{FAINT}{lead}{FAINT:#}{part}")?;
            lead.clone_from(&row.below);
        }
        let start = lead.width() + last.width();
        if start + 2 > column {
            writeln!(out, "{FAINT}{lead}{FAINT:#}{last}")?;
            write!(out, "{FAINT}{}{FAINT:#}{shown}", pad(&row.below, column))?;
        } else {
            let gap = " ".repeat(column - start);
            write!(out, "{FAINT}{lead}{FAINT:#}{last}{gap}{shown}")?;
        }
        let after = column + VALUE;
        let whole = reads.join(", ");
        if whole.is_empty() {
            writeln!(out)?;
        } else if after + whole.width() <= WIDTH {
            writeln!(out, "{}{whole}", " ".repeat(VALUE - value.word().len()))?;
        } else {
            writeln!(out)?;
            let indent = format!("{}  ", row.below);
            for read in reads {
                for part in wrap(&read, WIDTH.saturating_sub(indent.width()).max(20)) {
                    writeln!(out, "{FAINT}{indent}{FAINT:#}{part}")?;
                }
            }
        }
    }
    Ok(())
}

fn told(read: &Found) -> String {
    let note = read.note.as_ref().map_or_else(String::new, |note| format!(" ({note})"));
    line(&format!("{}{note}", read.told()))
}

/// A condition may stand over several lines of the file.
fn one_line(text: &str) -> String {
    line(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn print_planned(out: &mut impl Write, planned: &Planned) -> io::Result<()> {
    let to = match &planned.recipient {
        Some(recipient) => format!("{} ({} to {recipient})", planned.destination, planned.provider),
        None => format!("{} ({})", planned.destination, planned.provider),
    };
    let style = if planned.decision == Decided::Send { GOOD } else { FAINT };
    let word = planned.decision.word();
    writeln!(out, "  → {}: {style}{word}{style:#}", line(&to))?;
    if planned.decision != Decided::Send {
        for part in wrap(&planned.reason, WIDTH - 6) {
            writeln!(out, "      {FAINT}{part}{FAINT:#}")?;
        }
    }
    if let Some(until) = planned.until {
        writeln!(out, "      {FAINT}until {}{FAINT:#}", when::full(until))?;
    }
    let mut bad = |what: &str, why: &Option<String>| {
        let Some(why) = why else { return Ok(()) };
        for part in wrap(&format!("{what}: {why}"), WIDTH - 6) {
            writeln!(out, "      {BAD}{part}{BAD:#}")?;
        }
        Ok::<(), io::Error>(())
    };
    bad("the template fails, so the built-in text goes out", &planned.message.template_error)?;
    bad("it can't be sent", &planned.problem)?;
    match &planned.request {
        Some(request) => print_request(out, request),
        None => Ok(()),
    }
}

fn print_request(out: &mut impl Write, request: &Shown) -> io::Result<()> {
    let mut bar = |text: &str| {
        for part in wrap(text, WIDTH - 8) {
            let gap = if part.is_empty() { "" } else { " " };
            writeln!(out, "      {FAINT}│{FAINT:#}{gap}{part}")?;
        }
        Ok::<(), io::Error>(())
    };
    match &request.url {
        Some(url) => bar(&format!("{} {url}", request.method))?,
        None => bar(&request.method)?,
    }
    for (name, value) in &request.headers {
        bar(&line(&format!("{name}: {value}")))?;
    }
    bar("")?;
    for text in readable(request) {
        bar(&text)?;
    }
    if request.html.is_some() {
        bar("")?;
        bar("(and the same as HTML: --json shows it)")?;
    }
    Ok(())
}

/// The body for eyes: JSON with indentation, a form's fields on lines of their own.
fn readable(request: &Shown) -> Vec<String> {
    let kind = request.headers.get("content-type").map(String::as_str).unwrap_or_default();
    if kind.starts_with("application/json") {
        let value = serde_json::from_str::<serde_json::Value>(&request.body);
        if let Ok(text) = value.and_then(|value| serde_json::to_string_pretty(&value)) {
            return lines(&text).iter().flat_map(|text| broken(text)).collect();
        }
    }
    if kind.starts_with("application/x-www-form-urlencoded") {
        let decoded = |text: &str| {
            let text = text.replace('+', " ");
            percent_encoding::percent_decode_str(&text).decode_utf8_lossy().into_owned()
        };
        let pairs = request.body.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        return pairs
            .flat_map(|(name, value)| lines(&format!("{} = {}", decoded(name), decoded(value))))
            .collect();
    }
    lines(&request.body)
}

/// A line of JSON, broken after each `\n` in its texts: messages have lines.
fn broken(text: &str) -> Vec<String> {
    let indent = " ".repeat(text.len() - text.trim_start().len() + 2);
    let pieces: Vec<&str> = text.split("\\n").collect();
    let last = pieces.len() - 1;
    let lead = |at| if at == 0 { "" } else { indent.as_str() };
    let end = |at| if at == last { "" } else { "\\n" };
    pieces.iter().enumerate().map(|(at, piece)| format!("{}{piece}{}", lead(at), end(at))).collect()
}

fn print_stored(out: &mut impl Write, stored: &Stored) -> io::Result<()> {
    writeln!(out, "\n{STRONG}what became of event {}{STRONG:#}", stored.number)?;
    writeln!(out, "  {FAINT}received  {FAINT:#}{}", when::full(stored.received))?;
    let times = |n: i64| if n == 1 { "once".to_owned() } else { format!("{n} times") };
    if stored.duplicates > 0 {
        let times = times(stored.duplicates);
        writeln!(out, "  {FAINT}again     {FAINT:#}{times}: a repetition notifies nobody")?;
    }
    if stored.conflicts > 0 {
        let times = times(stored.conflicts);
        writeln!(
            out,
            "  {FAINT}conflict  {FAINT:#}{times} with another body, which was not taken"
        )?;
    }
    if stored.notifications.is_empty() {
        return writeln!(out, "  no rule matched: nobody was told");
    }
    notifications::table(&stored.notifications).print(out)
}
