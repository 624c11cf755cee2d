//! What each command does. One file a command that is more than a request to a node.

mod check;
mod create;
mod demo;
mod job;
mod marketplace;
mod missed;
mod portal;
mod remote;
mod serve;
mod sql;
mod verify;

use millstream_types::SystemClock;

use crate::cli::{Cli, Command, FunctionCommand, UsageCommand};

/// Runs a command.
///
/// # Errors
/// The command's own, as text for people.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(args) => serve::run(&args).await,
        Command::Demo(args) => demo::run(&args).await,
        Command::Apply(args) => remote::apply(&args).await,
        Command::Create(args) => create::run(&args).await,
        Command::Job { command } => job::run(command).await,
        Command::Check { file } => check::run(&file),
        Command::Tail(args) => remote::tail(&args).await,
        Command::Query(args) => remote::query(&args).await,
        Command::Sample(args) => remote::sample(&args).await,
        Command::Test(args) => remote::test(&args).await,
        Command::Sql { command } => sql::run(&command),
        Command::Function { command: FunctionCommand::Invocations(args) } => remote::invocations(&args).await,
        Command::Logs(args) => remote::logs(&args).await,
        Command::Keys(args) => remote::keys(&args).await,
        Command::Portal { command } => portal::run(&command).await,
        Command::Trace(args) => remote::trace(&args).await,
        Command::Status(args) => remote::status(&args).await,
        Command::Usage { command: UsageCommand::Export(args) } => remote::export_usage(&args).await,
        Command::Marketplace { command } => marketplace::run(command).await,
        Command::Log { command } => verify::run(&command),
        Command::DemoFunction { handler } => {
            crate::demo::functions::run(&handler, &SystemClock).await.map_err(|error| anyhow::anyhow!("{error}"))
        }
    }
}
