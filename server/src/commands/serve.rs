//! `millstream serve`

use crate::cli::ServeArgs;
use crate::node::Node;
use crate::settings::Settings;

/// Runs a node until SIGTERM or Ctrl-C, then drains it.
///
/// # Errors
/// What keeps a node from starting: settings, a data folder in use or damaged, an address in use.
pub async fn run(args: &ServeArgs) -> anyhow::Result<()> {
    crate::trace_to_stderr();
    let node = Node::start(Settings::from_args(args)?).await?;
    node.announce();
    crate::signals::stop_requested().await;
    node.stop().await;
    Ok(())
}
