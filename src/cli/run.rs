//! `hookbell run`: the bridge itself.

use std::process::ExitCode;

use super::{Config, complain, show_problems};
use crate::app;
use crate::config::{self, Secrets};

/// What a service manager must not start again until a person has looked: `EX_CONFIG` of sysexits.h.
const BAD_CONFIGURATION: u8 = 78;

/// Serves until it is told to stop.
pub(super) fn run(config: &Config) -> ExitCode {
    let loaded = match config::load(Some(config.path()), Secrets::Required) {
        Ok(loaded) => loaded,
        Err(problems) => {
            show_problems(&problems);
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    match app::run(loaded, Some(config.path().to_owned())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("{error:#}"));
            ExitCode::from(1)
        }
    }
}
