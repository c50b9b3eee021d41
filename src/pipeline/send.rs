//! Stands in until the sender is merged.

use crate::rules::provider::{Destination, Outgoing, Verdict};

/// The client of everything that goes out.
pub fn client() -> anyhow::Result<reqwest::Client> {
    anyhow::bail!("the sender is not merged")
}

/// One attempt.
#[expect(clippy::unused_async, reason = "stands in")]
pub async fn send_once(
    destination: &Destination,
    outgoing: &Outgoing<'_>,
) -> anyhow::Result<Verdict> {
    let _ = (destination, outgoing);
    anyhow::bail!("the sender is not merged")
}
