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
use crate::signals::StopSignals;

/// Starts a node, plays a demo on it, and drains it however the demo ends.
///
/// # Errors
/// What keeps the node from starting; what `play` fails with.
pub async fn on_node(
    settings: Settings,
    seconds: Option<u64>,
    play: impl AsyncFnOnce(&Node, End) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let end = End { stop: StopSignals::listen()?, seconds };
    let node = Node::start(settings).await?;
    node.announce();
    let outcome = play(&node, end).await;
    node.stop().await;
    outcome
}

/// When a demo ends.
pub struct End {
    stop: StopSignals,
    seconds: Option<u64>,
}

impl End {
    /// Resolves with SIGTERM or Ctrl-C, or after so many seconds if they are said.
    pub async fn reached(mut self) {
        let over = async {
            match self.seconds {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.stop.requested() => {}
            () = over => {}
        }
    }
}
