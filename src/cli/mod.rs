//! The commands, one file each.
//!
//! The contract with scripts: data goes to standard output, talk to standard error; `--json` wherever a script may
//! read; exit 0 fine, 1 the answer is no, 2 usage, 3 the running instance can't be reached, 78 bad configuration in
//! `run`. Nothing asks back. Text of events is cleaned before it is printed ([`terminal`]).

pub mod check;
mod client;
mod definitions;
mod demo;
mod emit;
mod events;
mod explain;
mod health;
pub mod init;
mod notifications;
mod retry;
mod rules;
mod run;
mod sample;
mod schema;
mod send;
mod story;
mod terminal;
mod test;
mod when;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::{Problem, problem};

/// The configuration where `--config` names none.
const DEFAULT_CONFIG: &str = "rules.toml";

/// What `hookbell` alone prints.
const EXAMPLES: &str = "\
hookbell turns webhook events into the right message for the right person

  hookbell demo     see it work: no account, nothing leaves this machine
  hookbell init     write a first rules.toml and its templates into this folder
  hookbell check    everything that is wrong with rules.toml, at once
  hookbell run      take events in and send what they cause
  hookbell emit     sign a sample event and post it to the running bridge

`hookbell help` lists every command, `hookbell help COMMAND` explains one
";

/// Turns webhook events into the right message for the right person.
#[derive(Debug, Parser)]
#[command(name = "hookbell", version)]
#[command(
    after_help = "Exit codes: 0 fine, 1 the answer is no, 2 usage, 3 the running bridge can't be \
                        reached, 78 bad configuration in `run`"
)]
struct Cli {
    /// The configuration [default: rules.toml]
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT, then finish what is under way
    Run,
    /// See it work: the real bridge, sample events, messages into an inbox
    ///
    /// Takes ./rules.toml if it is there, else the built-in example. Every destination is swapped for an inbox, so
    /// nothing leaves this machine and no secret has to be set.
    Demo(demo::Args),
    /// Write a commented rules.toml, templates and an example event
    Init(init::Args),
    /// Everything that can be wrong with the configuration, at once
    Check(check::Args),
    /// Why an event notifies whom, or nobody: each rule with the value of every part
    ///
    /// Takes a file, `-` for standard input, or an event of the running bridge by its number or id. A file is explained
    /// under the rules as they are; a stored event under those that decided it, or with --current under today's.
    Explain(explain::Args),
    /// Run the tests of the rules: `[[tests]]` in rules.toml and in tests/*.toml beside it
    Test(test::Args),
    /// Sign an event as its source would, and post it
    Emit(emit::Args),
    /// Send one real test message to a destination
    Send(send::Args),
    /// List the events in the journal, or show one
    Events(events::Args),
    /// List the notifications in the journal, or show one with its attempts
    Notifications(notifications::Args),
    /// Make given-up notifications due again
    Retry(retry::Args),
    /// Ask whether the running bridge is alive: exit 0 or 1
    Health(health::Args),
    /// Make a rule from an event
    Rules(rules::Args),
    /// List the services that messages can go to, or show one with its settings
    Providers(definitions::Args),
    /// List the kinds of senders, or show one with its events and their fields
    Sources(definitions::Args),
    /// Print the JSON Schema of rules.toml, for editors
    Schema,
    /// Print the completions of a shell
    Completions(schema::CompletionArgs),
}

/// Parses the command line and runs the command.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = Config(cli.config);
    let Some(command) = cli.command else {
        return end(print(EXAMPLES.as_bytes()).map_err(Failure::from));
    };
    let answer = match command {
        Command::Run => return run::run(&config),
        Command::Init(args) => return init::run(&args),
        Command::Check(args) => return check::run(Some(config.path()), &args),
        Command::Demo(args) => demo::run(&config, &args),
        Command::Explain(args) => explain::run(&config, &args),
        Command::Test(args) => test::run(&config, &args),
        Command::Emit(args) => emit::run(&config, &args),
        Command::Send(args) => send::run(&config, &args),
        Command::Events(args) => events::run(&config, &args),
        Command::Notifications(args) => notifications::run(&config, &args),
        Command::Retry(args) => retry::run(&config, &args),
        Command::Health(args) => health::run(&config, &args),
        Command::Rules(args) => rules::run(&config, &args),
        Command::Providers(args) => definitions::providers(&config, &args),
        Command::Sources(args) => definitions::sources(&config, &args),
        Command::Schema => schema::run(&config),
        Command::Completions(args) => schema::completions(args),
    };
    end(answer)
}

/// Which configuration a command means.
#[derive(Debug)]
struct Config(Option<PathBuf>);

impl Config {
    /// The file, whether or not it is there.
    fn path(&self) -> &Path {
        self.0.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG))
    }

    /// The file that was named, or the default one where it exists; none means the built-in example.
    fn path_or_example(&self) -> Option<&Path> {
        (self.0.is_some() || self.path().exists()).then(|| self.path())
    }

    /// ` --config FILE` where one was named: to repeat it in a command that is shown.
    fn flag(&self) -> String {
        self.0.as_ref().map_or_else(String::new, |path| format!(" --config {}", path.display()))
    }
}

/// Why a command ended without its answer, by what a script should do about it.
#[derive(Debug)]
enum Failure {
    /// Exit 1.
    No(anyhow::Error),
    /// Exit 1, with every problem of the configuration.
    Problems(Vec<Problem>),
    /// Exit 2.
    Usage(String),
    /// Exit 3.
    Unreachable(String),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::No(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::No(error.into())
    }
}

/// The exit code of an answer: 0 for yes, 1 for no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
}

impl Answer {
    fn yes_if(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

fn end(answer: Result<Answer, Failure>) -> ExitCode {
    match answer {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(Failure::No(error)) if reader_went_away(&error) => ExitCode::SUCCESS,
        Err(Failure::No(error)) => {
            complain(format_args!("{error:#}"));
            ExitCode::from(1)
        }
        Err(Failure::Problems(problems)) => {
            show_problems(&problems);
            ExitCode::from(1)
        }
        Err(Failure::Usage(message)) => {
            complain(message);
            ExitCode::from(2)
        }
        Err(Failure::Unreachable(message)) => {
            complain(message);
            ExitCode::from(3)
        }
    }
}

/// `hookbell events | head`: whoever reads has seen enough, which is no failure.
fn reader_went_away(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Writes text for people to standard output; its colours are taken out where nobody sees them.
fn print(text: &[u8]) -> io::Result<Answer> {
    let mut out = anstream::stdout().lock();
    out.write_all(text)?;
    out.flush()?;
    Ok(Answer::Yes)
}

/// Writes data for scripts to standard output, byte for byte.
fn print_data(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()
}

/// Prints one JSON value on a line of its own.
fn print_json(json: &impl serde::Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_string(json).map_err(anyhow::Error::from)?;
    text.push('\n');
    Ok(print_data(text.as_bytes())?)
}

/// Says what went wrong on standard error.
fn complain(message: impl Display) {
    let message = message.to_string();
    let bad = terminal::BAD;
    // Where nobody listens, the exit code still tells.
    let _ =
        writeln!(anstream::stderr(), "{bad}error{bad:#}: {}", terminal::lines(&message).join("\n"));
}

/// Says something on standard error that isn't data.
fn remark(message: impl Display) {
    let _ = writeln!(anstream::stderr(), "{message}");
}

/// Shows every problem of a configuration on standard error.
fn show_problems(problems: &[Problem]) {
    let text = problem::render(problems, problem::Style::Colour);
    let _ = anstream::stderr().write_all(text.as_bytes());
    let errors = problems.iter().filter(|p| p.is_error()).count();
    complain(terminal::count(errors, "problem") + " in the configuration");
}

/// A runtime for a command that asks one question after another.
fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

/// ` (did you mean "x"?)` for the most similar name, or the list of all.
fn did_you_mean<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.collect();
    let similar = known.iter().map(|k| (strsim::jaro_winkler(name, k), k));
    match similar.max_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((score, best)) if score > 0.8 => format!("did you mean `{best}`?"),
        Some(_) => format!("there is {}", known.join(", ")),
        None => "there is none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_takes_a_configuration_before_or_behind_it() {
        for command in ["run", "demo", "check", "emit", "events", "notifications", "health"] {
            let behind = parse(&format!("hookbell {command} --config x.toml")).unwrap();
            let before = parse(&format!("hookbell --config x.toml {command}")).unwrap();
            assert_eq!(behind.config, Some(PathBuf::from("x.toml")), "{command}");
            assert_eq!(behind.config, before.config, "{command}");
        }
        assert_eq!(Config(None).path(), Path::new("rules.toml"));
    }

    #[test]
    fn what_makes_no_sense_is_wrong_usage() {
        for line in [
            "hookbell nonsense",
            "hookbell run --no-such-flag",
            "hookbell retry",
            "hookbell retry not-a-number",
            "hookbell retry 1 --all",
            "hookbell retry 1 --rule x",
            "hookbell send",
            "hookbell notifications x",
            "hookbell notifications --state nonsense",
            "hookbell events --since yesterday",
            "hookbell events --limit 0",
            "hookbell emit --json=3",
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), 2, "{line}");
        }
        for line in [
            "hookbell",
            "hookbell retry 1 2 3",
            "hookbell retry --all --destination sales --since 2d",
            "hookbell events evt-1 --json",
            "hookbell notifications --state gave_up --limit 5",
            "hookbell emit - --to http://127.0.0.1:8080/hooks/replicer",
        ] {
            parse(line).expect(line);
        }
    }

    #[test]
    fn alone_it_prints_five_examples_of_commands_that_exist() {
        let lines: Vec<_> = EXAMPLES.lines().filter(|l| l.starts_with("  hookbell ")).collect();
        assert_eq!(lines.len(), 5);
        for l in lines {
            let command = l.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
            parse(&command).expect(l);
        }
        assert!(EXAMPLES.lines().all(|l| l.chars().count() <= terminal::WIDTH));
    }

    #[test]
    fn a_reader_that_went_away_is_no_failure() {
        let gone = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(end(Err(gone)), ExitCode::SUCCESS);
    }

    #[test]
    fn a_similar_name_is_offered() {
        let known = || ["sales", "manager"].into_iter();
        assert_eq!(did_you_mean("sails", known()), "did you mean `sales`?");
        assert_eq!(did_you_mean("xyz", known()), "there is sales, manager");
        assert_eq!(did_you_mean("xyz", [].into_iter()), "there is none");
    }
}
