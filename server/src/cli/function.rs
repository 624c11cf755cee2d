//! What can be asked of a function: `millstream function`.

use clap::{Args, Subcommand};

use super::NodeArgs;

/// What to show of a function.
#[derive(Debug, Clone, Subcommand)]
pub enum FunctionCommand {
    /// Show its asynchronous invocations that wait, and those that cannot be read
    Invocations(FunctionArgs),
}

/// Which function.
#[derive(Debug, Clone, Args)]
pub struct FunctionArgs {
    /// The function
    pub name: String,
    /// The node
    #[command(flatten)]
    pub node: NodeArgs,
}
