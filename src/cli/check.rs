//! `hookbell check`: everything that can be wrong with a configuration, at once.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::config::{self, Loaded, Problem, Secrets, codes, problem};

/// The options of `check`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Print one JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// Exit 1 for warnings too
    #[arg(long, alias = "warnings-as-errors")]
    pub deny_warnings: bool,
    /// Say what a code means and how it is mended; without CODE list them all
    #[arg(long, value_name = "CODE", num_args = 0..=1, default_missing_value = "", alias = "codes")]
    pub explain: Option<String>,
    /// Accept `${…}` that can't be resolved here, for example in CI
    #[arg(long)]
    pub without_secrets: bool,
}

/// Checks `path` (none: the built-in example) and says what it found on standard output. Exit code 1 if anything is
/// an error, or a warning where those count.
pub fn run(path: Option<&Path>, args: &Args) -> ExitCode {
    if let Some(code) = &args.explain {
        return explain(code, args.json);
    }
    let secrets = if args.without_secrets { Secrets::StandIns } else { Secrets::Required };
    let found = Found::new(path, config::load(path, secrets));
    let text = if args.json {
        format!("{:#}\n", found.json())
    } else {
        found.text(problem::Style::Colour)
    };
    // The stream takes the colours out again where there is no terminal, or nobody wants them (NO_COLOR).
    // A reader that went away (`check | head`) is no reason to fail otherwise than the answer says.
    let _ = anstream::stdout().write_all(text.as_bytes());
    if found.errors() > 0 || (args.deny_warnings && !found.problems.is_empty()) {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    }
}

/// Prints what a code means, or the list of all for an empty one. Exit code 2 if there is no such code.
fn explain(code: &str, json: bool) -> ExitCode {
    // As it stands in a message: `error[unknown-field]`.
    let code = code.trim().trim_end_matches(']');
    let code = code.rsplit('[').next().unwrap_or(code);
    let asked: Vec<&codes::Code> = if code.is_empty() {
        codes::all().iter().collect()
    } else {
        codes::find(code).into_iter().collect()
    };
    let Some(first) = asked.first() else {
        let known = codes::all().iter().map(|c| c.code);
        let near =
            super::did_you_mean(code, known).split(',').next().unwrap_or_default().to_owned();
        let hint = if near.starts_with("did you mean") {
            near
        } else {
            "`hookbell check --explain` lists them all".to_owned()
        };
        super::complain(format_args!("there is no code `{code}`: {hint}"));
        return ExitCode::from(2);
    };
    let text = match (json, code.is_empty()) {
        (true, true) => {
            format!("{:#}\n", asked.iter().map(|c| described(c)).collect::<serde_json::Value>())
        }
        (true, false) => format!("{:#}\n", described(first)),
        (false, true) => {
            let width = asked.iter().map(|c| c.code.len()).max().unwrap_or_default();
            let line = |c: &&codes::Code| {
                let word = c.severity.word();
                format!("{:width$}  {word:7}  {}\n", c.code, c.title)
            };
            asked.iter().map(line).collect()
        }
        (false, false) => {
            let word = first.severity.word();
            format!("{word}[{}]: {}\n\n{}\n", first.code, first.title, first.text)
        }
    };
    // A reader that went away has seen enough.
    let _ = anstream::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn described(code: &codes::Code) -> serde_json::Value {
    json!({
        "code": code.code,
        "severity": code.severity.word(),
        "title": code.title,
        "text": code.text,
    })
}

/// What a check found.
struct Found {
    name: String,
    problems: Vec<Problem>,
    /// The numbers of rules, destinations and sources, if it can run.
    counts: Option<[usize; 3]>,
}

impl Found {
    fn new(path: Option<&Path>, result: Result<Loaded, Vec<Problem>>) -> Self {
        let name =
            path.map_or_else(|| "the built-in example".to_owned(), |p| p.display().to_string());
        match result {
            Ok(loaded) => {
                let r = &loaded.rules;
                let counts = [r.rules.rules.len(), r.destinations.len(), r.sources.len()];
                Self { name, problems: loaded.problems(), counts: Some(counts) }
            }
            Err(problems) => Self { name, problems, counts: None },
        }
    }

    fn errors(&self) -> usize {
        self.problems.iter().filter(|p| p.is_error()).count()
    }

    fn text(&self, style: problem::Style) -> String {
        // One is enough to show how to ask.
        let more = match self.problems.first() {
            Some(p) => format!("`hookbell check --explain {}` tells more\n", p.code),
            None => String::new(),
        };
        format!("{}{}\n{more}", problem::render(&self.problems, style), self.summary())
    }

    fn summary(&self) -> String {
        let (errors, all) = (self.errors(), self.problems.len());
        let warnings = all - errors;
        let wrong = match (errors, warnings) {
            (0, _) => count(warnings, "warning"),
            (_, 0) => count(errors, "error"),
            _ => format!("{}, {}", count(errors, "error"), count(warnings, "warning")),
        };
        let Some([rules, destinations, sources]) = self.counts else {
            return format!("{}: {wrong}", self.name);
        };
        let what = format!(
            "{}, {}, {}",
            count(rules, "rule"),
            count(destinations, "destination"),
            count(sources, "source")
        );
        if all == 0 {
            format!("{} is fine: {what}", self.name)
        } else {
            format!("{} can run: {wrong}; {what}", self.name)
        }
    }

    fn json(&self) -> serde_json::Value {
        let [rules, destinations, sources] = self.counts.map_or([None; 3], |c| c.map(Some));
        json!({
            "ok": self.counts.is_some(),
            "file": self.name,
            "errors": self.errors(),
            "warnings": self.problems.len() - self.errors(),
            "rules": rules,
            "destinations": destinations,
            "sources": sources,
            "problems": self.problems.iter().map(Problem::json).collect::<Vec<_>>(),
        })
    }
}

fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Found {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rules.toml");
        std::fs::write(&path, text).unwrap();
        let mut found = Found::new(Some(&path), config::load(Some(&path), Secrets::StandIns));
        found.name = "rules.toml".to_owned();
        found
    }

    #[test]
    fn the_built_in_example_is_fine() {
        let found = Found::new(None, config::load(None, Secrets::StandIns));
        assert_eq!(
            found.text(problem::Style::Plain),
            "the built-in example is fine: 3 rules, 3 destinations, 1 source\n"
        );
    }

    #[test]
    fn the_summary_counts_errors_and_warnings() {
        let found = check("version = 2\nlisten = 1\n");
        assert_eq!(found.summary(), "rules.toml: 2 errors, 2 warnings");
        assert_eq!(
            check("version = 1").summary(),
            "rules.toml can run: 2 warnings; 0 rules, 0 destinations, 0 sources"
        );
    }

    #[test]
    fn json_says_the_same() {
        let json = check("version = 2").json();
        assert_eq!(json["ok"], false);
        assert_eq!(json["errors"], 1);
        assert_eq!(json["rules"], serde_json::Value::Null);
        let at: Vec<_> = json["problems"].as_array().unwrap().iter().map(|p| &p["code"]).collect();
        assert_eq!(at, ["no-rule", "no-source", "unsupported-version"]);
        assert_eq!(json["problems"][2]["column"], 11);
    }
}
