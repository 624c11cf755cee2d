//! TLS on this node: the certificate of its settings, and who may come without it.

use std::sync::Arc;

use millstream_function::is_own;
use millstream_http::serve::{Gate, Security};
use millstream_http::tls::Acceptor;

use crate::settings::Settings;

/// What takes connections under TLS; `None` without a certificate.
pub async fn acceptor(settings: &Settings) -> anyhow::Result<Option<Acceptor>> {
    let Some(files) = settings.tls.clone() else { return Ok(None) };
    let read = move || Acceptor::from_files(files.certificate, files.key);
    Ok(Some(tokio::task::spawn_blocking(read).await??))
}

/// How the HTTP listeners protect their connections.
pub fn security(acceptor: Option<Acceptor>, required: bool) -> Security {
    match acceptor {
        None => Security::Plain,
        Some(acceptor) if required => Security::Required { acceptor, exempt: own() },
        Some(acceptor) => Security::Offered(acceptor),
    }
}

/// The node's functions reach it without leaving the machine, under an address that no certificate has.
fn own() -> Arc<Gate> {
    Arc::new(|peer, here| {
        Box::pin(async move { tokio::task::spawn_blocking(move || is_own(peer, here)).await.unwrap_or(false) })
    })
}
