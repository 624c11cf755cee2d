//! The demos: the stock-trades examples, embedded, with a producer of trades and a summary in the terminal; the tweets example
//! and the one of orders as events with their own; and the example of an API that earns money, to be looked at in its portal.

pub mod example;
pub mod functions;
pub mod orders;
pub mod producer;
pub mod quotes;
pub mod summary;
pub mod trades;
pub mod tweets;

use std::time::Duration;

use crate::node::Node;
use crate::settings::Settings;

/// Starts a node, plays a demo on it, and drains it however the demo ends.
///
/// # Errors
/// What keeps the node from starting; what `play` fails with.
pub async fn on_node(settings: Settings, play: impl AsyncFnOnce(&Node) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let node = Node::start(settings).await?;
    node.announce();
    let outcome = play(&node).await;
    node.stop().await;
    outcome
}

/// Resolves with SIGTERM or Ctrl-C, or after so many seconds if they are said.
pub async fn ended(seconds: Option<u64>) {
    let over = async {
        match seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = crate::signals::stop_requested() => {}
        () = over => {}
    }
}
