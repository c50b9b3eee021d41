//! `hookbell schema` and `hookbell completions`: what editors and shells read.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Answer, Cli, Config, Failure, print_data};
use crate::config;

/// The options of `completions`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct CompletionArgs {
    /// The shell
    shell: Shell,
}

/// Prints the JSON Schema of `rules.toml`, with the definitions beside the configuration.
pub(super) fn run(config: &Config) -> Result<Answer, Failure> {
    let (definitions, problems) = config::definitions(Some(config.path()));
    if !problems.is_empty() {
        return Err(Failure::Problems(problems));
    }
    print_data(config::json_schema(&definitions).as_bytes())?;
    Ok(Answer::Yes)
}

/// Prints the completions of a shell.
pub(super) fn completions(args: CompletionArgs) -> Result<Answer, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "hookbell", &mut text);
    print_data(&text)?;
    Ok(Answer::Yes)
}
