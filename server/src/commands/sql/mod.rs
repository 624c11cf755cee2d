//! `millstream sql`: what can be done with a query's text and files beside it, without a node.
//!
//! Read next: [`written`] (which text, and what is known of its inputs), [`mistakes`] (how mistakes are told), then a file a command.

mod check;
mod compare;
mod explain;
mod golden;
mod mistakes;
mod rows;
mod run;
mod suite;
mod translate;
mod written;

use crate::cli::SqlCommand;

/// Runs a command.
///
/// # Errors
/// The mistakes of the text or of a file; of `test`, that not all tests passed.
pub fn run(command: &SqlCommand) -> anyhow::Result<()> {
    match command {
        SqlCommand::Check(args) => check::run(args),
        SqlCommand::Run(args) => run::run(args),
        SqlCommand::Test(args) => suite::run(args),
        SqlCommand::Explain(args) => explain::run(args),
        SqlCommand::Translate(args) => translate::run(args),
    }
}
