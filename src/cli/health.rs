//! `hookbell health`: is the running bridge alive, or ready? For images without a shell or curl.

use super::client::{Api, Reach};
use super::{Answer, Config, Failure, block_on, complain, print, terminal};

/// The options of `health`.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Ask whether it can take events in and write them down, not only whether it is alive
    #[arg(long)]
    ready: bool,
    #[command(flatten)]
    reach: Reach,
}

/// Asks; prints what it says.
pub(super) fn run(config: &Config, args: &Args) -> Result<Answer, Failure> {
    let path = if args.ready { "/readyz" } else { "/healthz" };
    let asked = block_on(async { Api::new(config, &args.reach)?.get(path).await });
    match asked {
        Ok(reply) => {
            let said = terminal::lines(reply.body.trim_end()).join("\n");
            print(format!("{said}\n").as_bytes())?;
            Ok(Answer::yes_if((200..300).contains(&reply.status)))
        }
        // Docker knows 0 and 1 only: a bridge that can't be reached isn't healthy, and that is the answer.
        Err(Failure::Unreachable(why)) => {
            complain(why);
            Ok(Answer::No)
        }
        Err(failure) => Err(failure),
    }
}
