//! `millstream serve`

use crate::cli::ServeArgs;
use crate::node::Node;
use crate::settings::Settings;
use crate::signals::StopSignals;

/// Runs a node until SIGTERM or Ctrl-C, then drains it.
///
/// # Errors
/// What keeps a node from starting: settings, a data folder in use or damaged, an address in use.
pub async fn run(args: &ServeArgs) -> anyhow::Result<()> {
    crate::trace_to_stderr();
    let mut stop = StopSignals::listen()?;
    let node = Node::start(Settings::from_args(args)?).await?;
    node.announce();
    stop.requested().await;
    node.stop().await;
    Ok(())
}
