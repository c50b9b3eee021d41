//! The wiring: start and drain.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::Loaded;

/// Stands in until the wiring is merged.
pub fn run(loaded: Loaded, config: Option<PathBuf>) -> anyhow::Result<()> {
    let _ = (loaded, config);
    anyhow::bail!("the wiring is not merged")
}

/// Stands in until the wiring is merged.
#[derive(Debug)]
pub struct Bridge {
    events: SocketAddr,
    admin: SocketAddr,
}

impl Bridge {
    /// Starts it in this runtime.
    #[expect(clippy::unused_async, reason = "stands in")]
    pub async fn start(loaded: Loaded, config: Option<PathBuf>) -> anyhow::Result<Self> {
        let _ = (loaded, config);
        anyhow::bail!("the wiring is not merged")
    }

    /// Where events come in.
    pub fn events(&self) -> SocketAddr {
        self.events
    }

    /// Where it is looked at.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Drains and ends it.
    #[expect(clippy::unused_async, reason = "stands in")]
    pub async fn stop(self) {}
}
