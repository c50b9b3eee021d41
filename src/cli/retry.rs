//! `hookbell retry`: given-up notifications again.

use clap::ArgGroup;
use jiff::Timestamp;

use super::client::{Api, Reach, read};
use super::{Answer, Config, Failure, block_on, print, print_data, terminal, when};
use crate::journal::{NotificationFilter, Retried, RetrySelection, State};

/// The options of `retry`.
#[derive(Clone, Debug, clap::Args)]
#[command(group = ArgGroup::new("which").required(true).args(["ids", "all"]))]
pub(super) struct Args {
    /// Notifications, by number
    #[arg(value_name = "ID")]
    ids: Vec<i64>,
    /// Every one that was given up; narrowed by the filters below
    #[arg(long)]
    all: bool,
    /// Only to this destination
    #[arg(long, value_name = "NAME", requires = "all", conflicts_with = "ids")]
    destination: Option<String>,
    /// Only of this rule
    #[arg(long, value_name = "NAME", requires = "all", conflicts_with = "ids")]
    rule: Option<String>,
    /// Only those owed since then: a time, a date, or an age such as 7d
    #[arg(long, value_name = "TIME", value_parser = when::parse, requires = "all", conflicts_with = "ids")]
    since: Option<Timestamp>,
    /// Print the answer as one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

impl Args {
    fn selection(&self) -> RetrySelection {
        if !self.all {
            return RetrySelection::Ids(self.ids.clone());
        }
        RetrySelection::Matching(NotificationFilter {
            destination: self.destination.clone(),
            rule: self.rule.clone(),
            since: self.since,
            ..NotificationFilter::default()
        })
    }
}

/// Makes them due again and says which; no is the answer if none is, or one was refused.
pub(super) fn run(config: &Config, args: &Args) -> Result<Answer, Failure> {
    let which = serde_json::to_string(&args.selection()).map_err(anyhow::Error::from)?;
    let answer =
        block_on(async { Api::new(config, &args.reach)?.post("/api/retry", which).await })?;
    let done: Retried = read(&answer)?;
    if args.json {
        print_data(format!("{}\n", answer.trim_end()).as_bytes())?;
    } else {
        print(told(&done).as_bytes())?;
    }
    Ok(Answer::yes_if(!done.retried.is_empty() && done.refused.is_empty()))
}

fn told(done: &Retried) -> String {
    let mut text = String::new();
    if !done.retried.is_empty() {
        let ids: Vec<_> = done.retried.iter().map(ToString::to_string).collect();
        let count = terminal::count(ids.len(), "notification");
        text.push_str(&format!("due again: {count} ({})\n", ids.join(", ")));
    }
    for (id, state) in &done.refused {
        let why = match state {
            None => "there is no such notification",
            Some(State::Sent) => "it was sent",
            Some(State::Due) => "it is due already",
            Some(State::Sending) => "it is being sent",
            Some(State::Shadow) => "it is of a shadow rule, which sends nothing",
            Some(State::GaveUp) => "it was given up, but is not to be sent again",
        };
        text.push_str(&format!("left alone: {id}: {why}\n"));
    }
    if text.is_empty() {
        text.push_str("nothing was given up that fits\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn body(line: &[&str]) -> String {
        let args = Line::try_parse_from(["retry"].iter().chain(line)).unwrap().args;
        serde_json::to_string(&args.selection()).unwrap()
    }

    #[test]
    fn the_selection_is_what_the_api_takes() {
        assert_eq!(body(&["3", "4"]), r#"{"ids":[3,4]}"#);
        let all = body(&["--all", "--destination", "sales", "--since", "2026-04-05T00:00:00Z"]);
        let all: serde_json::Value = serde_json::from_str(&all).unwrap();
        assert_eq!(all["matching"]["destination"], "sales");
        assert_eq!(all["matching"]["since"], "2026-04-05T00:00:00Z");
        assert!(all["matching"]["rule"].is_null());
    }

    #[test]
    fn what_was_refused_is_said_with_its_reason() {
        let done =
            Retried { retried: vec![3, 5], refused: vec![(4, Some(State::Sent)), (9, None)] };
        assert_eq!(
            told(&done),
            "due again: 2 notifications (3, 5)\nleft alone: 4: it was sent\nleft alone: 9: there is no such notification\n"
        );
        assert_eq!(told(&Retried::default()), "nothing was given up that fits\n");
    }
}
