//! Being asked to stop.

use tokio::signal::unix::{SignalKind, signal};

/// Resolves at SIGTERM or Ctrl-C.
pub async fn stop_requested() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        // Without the handler the default action of SIGTERM ends the process; Ctrl-C is still heard.
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
