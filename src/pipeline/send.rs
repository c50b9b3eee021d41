//! Stands in until the sender is merged.

use crate::rules::provider::{Destination, Outgoing, Verdict};

/// The client of everything that goes out.
pub fn client() -> anyhow::Result<reqwest::Client> {
    let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect::<rustls::RootCertStore>();
    let tls = rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()?
    .with_root_certificates(roots)
    .with_no_client_auth();
    Ok(reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls).build()?)
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
