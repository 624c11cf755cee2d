//! What can be asked of a query that is there: `millstream job`.

use clap::{Args, Subcommand};

use super::NodeArgs;

/// What to do with a query that is there.
#[derive(Debug, Clone, Subcommand)]
pub enum JobCommand {
    /// Let it run
    Start(JobStartArgs),
    /// Stop it; it can go on where it stopped
    Stop(JobArgs),
    /// Print the section of a pipeline file that says what it is
    Show(JobArgs),
    /// Change its text, its streaming units or how it treats late events
    Set {
        /// The query
        #[command(flatten)]
        job: JobArgs,
        /// Fields as KEY=VALUE (`sql=@query.sql`, `streaming_units=6`); `millstream create query` shows all
        #[arg(value_name = "KEY=VALUE", required = true)]
        fields: Vec<String>,
    },
    /// Add an input, or replace the one of that name
    AddInput(JobPartArgs),
    /// Take an input away
    RemoveInput(JobPartName),
    /// Add a function that its text calls as UDF.NAME or UDA.NAME, or replace the one of that name
    AddFunction(JobPartArgs),
    /// Take a function away
    RemoveFunction(JobPartName),
    /// Add an output, or replace the one of that name
    AddOutput(JobPartArgs),
    /// Take an output away
    RemoveOutput(JobPartName),
}

/// Which query.
#[derive(Debug, Clone, Args)]
pub struct JobArgs {
    /// The query
    pub name: String,
    /// The node
    #[command(flatten)]
    pub node: NodeArgs,
}

/// Where a query begins.
#[derive(Debug, Clone, Args)]
pub struct JobStartArgs {
    /// The query
    #[command(flatten)]
    pub job: JobArgs,
    /// Go on where it stopped, instead of with what comes from now on
    #[arg(long)]
    pub last_output: bool,
    /// Begin with what came at a time (`2026-01-31T12:00:00Z`) or after
    #[arg(long, value_name = "TIME", conflicts_with = "last_output")]
    pub at: Option<String>,
}

/// Which input, function or output of a query.
#[derive(Debug, Clone, Args)]
pub struct JobPartName {
    /// The query
    #[command(flatten)]
    pub job: JobArgs,
    /// The name in its SQL
    pub part: String,
}

/// An input, function or output of a query.
#[derive(Debug, Clone, Args)]
pub struct JobPartArgs {
    /// Which one
    #[command(flatten)]
    pub part: JobPartName,
    /// Its fields as KEY=VALUE (`event_hub=trades`, `blob.container=results`, `script=@hex2int.js`); a value that begins with @ is a file's content
    #[arg(value_name = "KEY=VALUE", required = true)]
    pub fields: Vec<String>,
}
