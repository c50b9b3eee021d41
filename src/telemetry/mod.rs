//! Logs and metrics: where they go, and what they are called.
//!
//! Logs go to standard error, as text on a terminal and as one JSON object a line otherwise. What strangers wrote is
//! only ever logged as a field, which both formats escape: no event and no answer can forge a line or colour a
//! terminal. Metrics are in [`metrics`].

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

mod metrics;

pub use metrics::{EXPOSITION, Metrics, Waiting};

/// What is logged when nobody says otherwise. The platform verifier tells of each certificate it refuses; the attempt
/// that it failed says so too.
const DEFAULT_FILTER: &str = "info,rustls_platform_verifier=off";

/// Starts logging. `filter` is what the person asked for on the command line, for example `debug` or
/// `warn,hookbell=debug`; without it `HOOKBELL_LOG` counts, then `info`.
///
/// A panic is logged too, as one line: whoever reads JSON must not miss it.
///
/// # Errors
///
/// The filter can't be read, or logging was started before.
pub fn start(filter: Option<&str>) -> Result<(), String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "logging starts before the configuration is read, and holds no secret"
    )]
    let from_environment = std::env::var("HOOKBELL_LOG").ok().filter(|text| !text.is_empty());
    let text = filter.or(from_environment.as_deref()).unwrap_or(DEFAULT_FILTER);
    let filter = EnvFilter::try_new(text).map_err(|e| {
        format!("can't read the log filter `{text}`: {e}; write for example `info`")
    })?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if std::io::stderr().is_terminal() {
        lines.with_target(false).try_init()
    } else {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
    started.map_err(|e| format!("can't start logging: {e}"))?;
    std::panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, panic = message, "a task panicked");
    }));
    Ok(())
}
