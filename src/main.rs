//! The `hookbell` binary; [`hookbell::cli`] has the commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    hookbell::cli::main()
}
