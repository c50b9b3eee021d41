//! `hookbell test`: runs the tests of the rules. Nothing is sent, and no secret has to be set.

use std::io::{self, Write};

use anyhow::anyhow;
use serde_json::json;

use super::terminal::{BAD, FAINT, GOOD, WIDTH, count, line, lines, wrap};
use super::{Answer, Config, Failure, print_json, remark};
use crate::config::{self, Problem, Secrets};
use crate::rules::trial::{Difference, Kind, Trial};

/// So many lines of a text are compared; what is longer is shown whole, the expected before the actual.
const COMPARED: usize = 500;

/// The options of `test`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Only tests whose name holds this text, in any case
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Print one JSON object for each test on a line of its own: name, file, line, passed, differences
    #[arg(long)]
    json: bool,
}

/// Runs the tests; no is the answer if one of them fails.
pub(super) fn run(config: &Config, args: &Args) -> Result<Answer, Failure> {
    let path = config.path_or_example();
    let loaded = config::load(path, Secrets::StandIns).map_err(Failure::Problems)?;
    if loaded.trials.broken() {
        let errors = loaded.trials.problems.into_iter().filter(Problem::is_error);
        return Err(Failure::Problems(errors.collect()));
    }
    let all = loaded.trials.cases.len();
    let wanted = args.filter.as_ref().map(|filter| filter.to_lowercase());
    let fits = |case: &&Trial| {
        wanted.as_ref().is_none_or(|wanted| case.name.to_lowercase().contains(wanted))
    };
    let cases: Vec<&Trial> = loaded.trials.cases.iter().filter(fits).collect();
    match (&args.filter, all) {
        (_, 0) => {
            remark("there is no test: add [[tests]] to rules.toml, or tests/NAME.toml beside it");
            return Ok(Answer::Yes);
        }
        // In CI a misspelt filter would look like success.
        (Some(filter), _) if cases.is_empty() => {
            let (filter, all) = (line(filter), count(all, "test"));
            return Err(Failure::No(anyhow!("of {all} none has \"{filter}\" in its name")));
        }
        _ => {}
    }
    let mut failed = 0_usize;
    let mut out = anstream::stdout().lock();
    for case in &cases {
        let differences = loaded.rules.try_out(case);
        failed += usize::from(!differences.is_empty());
        if args.json {
            print_json(&json!({
                "name": case.name,
                "file": case.file,
                "line": case.line,
                "passed": differences.is_empty(),
                "differences": differences,
            }))?;
        } else {
            print_one(&mut out, case, &differences)?;
        }
    }
    if !args.json {
        let skipped = all - cases.len();
        let skipped =
            if skipped > 0 { format!(", {skipped} left out by --filter") } else { String::new() };
        let result = match failed {
            0 => format!("{GOOD}all passed{GOOD:#}"),
            n => format!("{BAD}{n} failed{BAD:#}"),
        };
        writeln!(out, "\n{}: {result}{skipped}", count(cases.len(), "test"))?;
    }
    Ok(Answer::yes_if(failed == 0))
}

fn print_one(out: &mut impl Write, case: &Trial, differences: &[Difference]) -> io::Result<()> {
    let name = line(&case.name);
    if differences.is_empty() {
        return writeln!(out, "{GOOD}ok{GOOD:#}    {name}");
    }
    writeln!(out, "{BAD}FAIL{BAD:#}  {name}")?;
    writeln!(out, "      {FAINT}{}:{}{FAINT:#}", case.file, case.line)?;
    for difference in differences {
        print_difference(out, difference)?;
    }
    Ok(())
}

fn print_difference(out: &mut impl Write, difference: &Difference) -> io::Result<()> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let (expected, actual) = (text(&difference.expected), text(&difference.actual));
    let destination = text(&difference.destination);
    let of_rule = match &difference.rule {
        Some(rule) => format!(" by rule \"{rule}\""),
        None => String::new(),
    };
    let mut why = difference.why.as_deref();
    match difference.kind {
        Kind::Missing => {
            let what = if expected == "send" { "is not sent" } else { "does not happen" };
            removed(out, &format!("{destination}{of_rule}: {expected}: expected, but {what}"))?;
        }
        Kind::Unexpected => added(out, &format!("{destination}{of_rule}: {actual}: not expected"))?,
        Kind::Decision => {
            told(out, &format!("{destination}{of_rule}: the decision"))?;
            removed(out, &expected)?;
            added(out, &actual)?;
        }
        Kind::Text => {
            told(out, &format!("{destination}{of_rule}: the text"))?;
            for (sign, text) in diff(&lines(expected.trim_end()), &lines(actual.trim_end())) {
                match sign {
                    Sign::Same => told(out, &format!("  {text}"))?,
                    Sign::Removed => removed(out, &text)?,
                    Sign::Added => added(out, &text)?,
                }
            }
        }
        Kind::Contains => {
            told(out, &format!("{destination}{of_rule}: the text lacks"))?;
            removed(out, &expected)?;
            told(out, "it is")?;
            for text in lines(actual.trim_end()) {
                told(out, &format!("  {text}"))?;
            }
        }
        Kind::Subject => {
            told(out, &format!("{destination}{of_rule}: the subject"))?;
            removed(out, &expected)?;
            match &difference.actual {
                Some(actual) => added(out, actual)?,
                None => told(out, "  this kind of message has none")?,
            }
        }
        Kind::Template => {
            let error = why.take().unwrap_or_default();
            told(out, &format!("{destination}{of_rule}: the template fails: {error}"))?;
        }
        Kind::Unknown => {
            let rule = text(&difference.rule);
            told(out, &format!("rule \"{rule}\" must be {expected}, but it is: {actual}"))?;
        }
    }
    match why {
        Some(why) => marked(out, "  ", FAINT, &format!("  {why}")),
        None => Ok(()),
    }
}

fn told(out: &mut impl Write, text: &str) -> io::Result<()> {
    marked(out, "  ", anstyle::Style::new(), text)
}

fn removed(out: &mut impl Write, text: &str) -> io::Result<()> {
    marked(out, "- ", BAD, text)
}

fn added(out: &mut impl Write, text: &str) -> io::Result<()> {
    marked(out, "+ ", GOOD, text)
}

fn marked(out: &mut impl Write, mark: &str, style: anstyle::Style, text: &str) -> io::Result<()> {
    let mut mark = mark;
    for part in wrap(text, WIDTH - 8) {
        writeln!(out, "{style}{}{style:#}", format!("      {mark}{part}").trim_end())?;
        mark = "  ";
    }
    Ok(())
}

/// Whether a line is on both sides, only expected, or only there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Same,
    Removed,
    Added,
}

/// The lines of both, those in common once (the longest common subsequence).
fn diff(expected: &[String], actual: &[String]) -> Vec<(Sign, String)> {
    let marked =
        |lines: &[String], sign| lines.iter().map(|l| (sign, l.clone())).collect::<Vec<_>>();
    if expected.len().max(actual.len()) > COMPARED {
        return [marked(expected, Sign::Removed), marked(actual, Sign::Added)].concat();
    }
    // `common[i][j]`: how many lines are in common from `i` and `j` on.
    let mut common = vec![vec![0_usize; actual.len() + 1]; expected.len() + 1];
    for i in (0..expected.len()).rev() {
        for j in (0..actual.len()).rev() {
            common[i][j] = if expected[i] == actual[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut found = Vec::new();
    while i < expected.len() && j < actual.len() {
        if expected[i] == actual[j] {
            found.push((Sign::Same, expected[i].clone()));
            (i, j) = (i + 1, j + 1);
        } else if common[i + 1][j] >= common[i][j + 1] {
            found.push((Sign::Removed, expected[i].clone()));
            i += 1;
        } else {
            found.push((Sign::Added, actual[j].clone()));
            j += 1;
        }
    }
    found.extend(marked(&expected[i..], Sign::Removed));
    found.extend(marked(&actual[j..], Sign::Added));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(expected: &[&str], actual: &[&str]) -> String {
        let owned = |lines: &[&str]| lines.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>();
        let sign = |sign| match sign {
            Sign::Same => ' ',
            Sign::Removed => '-',
            Sign::Added => '+',
        };
        let found = diff(&owned(expected), &owned(actual));
        found.iter().map(|(s, l)| format!("{}{l}", sign(*s))).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn lines_in_common_are_shown_once() {
        assert_eq!(shown(&["a", "b", "c"], &["a", "x", "c"]), " a -b +x  c");
        assert_eq!(shown(&[], &["a"]), "+a");
        assert_eq!(shown(&["a", "b"], &["b"]), "-a  b");
        assert_eq!(shown(&["a"], &["b", "a", "c"]), "+b  a +c");
        let long = vec!["l"; COMPARED + 1];
        assert_eq!(shown(&long, &["l"]).matches('-').count(), COMPARED + 1);
    }

    #[test]
    fn a_failure_stays_within_80_columns_and_obeys_no_event() {
        let difference = Difference {
            kind: Kind::Contains,
            rule: Some("unhappy customer".to_owned()),
            destination: Some("sales".to_owned()),
            expected: Some("x ".repeat(80)),
            actual: Some(format!("\u{1b}[31m{}\nnext", "word ".repeat(40))),
            why: None,
        };
        let mut out = Vec::new();
        print_difference(&mut anstream::StripStream::new(&mut out), &difference).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.lines().all(|l| l.chars().count() <= WIDTH), "{text}");
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(text.lines().count() > 6, "{text}");
    }
}
