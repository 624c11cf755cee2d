//! Who may open the console. It asks for no credentials, because it listens only where people of this machine are; functions
//! are there too, and are refused.

use std::sync::Arc;

use millstream_function::may_be_function;
use millstream_http::serve::Gate;

/// Refuses connections that functions may have made.
pub fn gate() -> Arc<Gate> {
    Arc::new(|peer, here| {
        Box::pin(async move {
            let looked = tokio::task::spawn_blocking(move || may_be_function(peer, here)).await;
            let doubtful = looked.unwrap_or(true);
            if doubtful {
                tracing::warn!(%peer, "a connection to the console is refused: it may come from a function");
            }
            !doubtful
        })
    })
}
