//! What the tests are written with: a bridge, receivers, a mail server, signed events.

pub(crate) mod bridge;
pub(crate) mod command;
pub(crate) mod events;
pub(crate) mod faults;
pub(crate) mod http;
pub(crate) mod https;
pub(crate) mod mail;
pub(crate) mod metrics;
pub(crate) mod process;
pub(crate) mod receiver;
pub(crate) mod signers;

use std::time::Duration;

pub(crate) use bridge::Bridge;
pub(crate) use events::{SECRET, call, event, signature};
pub(crate) use receiver::{Receiver, Reply};

/// How long a condition may take to come true. Generous: only a test that fails ever waits so long, and machines that
/// run tests are slow at times.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A stopwatch.
#[derive(Clone, Copy)]
pub(crate) struct Watch(std::time::Instant);

impl Watch {
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests measure another process, which no paused clock moves"
    )]
    pub(crate) fn start() -> Self {
        Self(std::time::Instant::now())
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Asks again and again until `probe` has an answer. For what another process shows only when it is asked.
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let watch = Watch::start();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(watch.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The repository's root.
pub(crate) fn root() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
}
