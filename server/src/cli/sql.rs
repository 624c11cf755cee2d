//! What can be done with a query's text without a node: `millstream sql`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::DialectName;

/// What to do with a query's text.
#[derive(Debug, Clone, Subcommand)]
pub enum SqlCommand {
    /// Tell every mistake of a query, each at its line and column
    Check(SqlArgs),
    /// Run a query over files of events, to their end, and show its rows
    Run(SqlRunArgs),
    /// Run tests of queries: files that hold events and the rows that come of them
    Test(SqlTestArgs),
    /// Show what a query does: what it reads, its steps, what they keep and for how long
    Explain(SqlArgs),
    /// Print a query in another system's language, and tell of each construct that is not the same there
    Translate(SqlTranslateArgs),
}

/// Which query, and what is known of its inputs.
#[derive(Debug, Clone, Args)]
pub struct SqlArgs {
    /// The query's text (`.sql`), or a pipeline file that holds it (`.toml`)
    pub file: PathBuf,
    /// The language; unless said the pipeline file's, else what the text looks like
    #[arg(long, value_enum)]
    pub dialect: Option<DialectName>,
    /// The pipeline file with the query of this text: its inputs, columns and tolerances are used
    #[arg(long, value_name = "FILE")]
    pub pipeline: Option<PathBuf>,
    /// Which query of the pipeline file
    #[arg(long, value_name = "NAME")]
    pub query: Option<String>,
    /// An input's name in the SQL and a file of its events (JSON, or delimited text in `.csv` and `.tsv`)
    #[arg(long, value_name = "NAME=FILE")]
    pub input: Vec<String>,
    /// The name of reference data in the SQL and the file that holds them
    #[arg(long, value_name = "NAME=FILE")]
    pub reference: Vec<String>,
}

/// A query to be run over files.
#[derive(Debug, Clone, Args)]
pub struct SqlRunArgs {
    /// The query
    #[command(flatten)]
    pub sql: SqlArgs,
    /// Write an output's rows into a file instead of to the terminal
    #[arg(long, value_name = "NAME=FILE")]
    pub output: Vec<String>,
    /// How rows are written
    #[arg(long, value_enum, default_value_t = RowsFormat::Json)]
    pub format: RowsFormat,
    /// How far an event may be behind its arrival, seconds; -1: without limit
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub late_tolerance: Option<i64>,
    /// How far events may be out of order, seconds
    #[arg(long, value_name = "SECONDS")]
    pub out_of_order_tolerance: Option<u32>,
    /// What becomes of events beyond the tolerances
    #[arg(long, value_enum)]
    pub out_of_tolerance: Option<OutOfTolerance>,
    /// When events arrived of which their file does not say it (`2026-01-31T12:00:00Z`) [default: now]
    #[arg(long, value_name = "TIME")]
    pub arrival: Option<String>,
    /// End with a failure when an event became no row
    #[arg(long)]
    pub strict: bool,
}

/// A query to be said in another language.
#[derive(Debug, Clone, Args)]
pub struct SqlTranslateArgs {
    /// The query
    #[command(flatten)]
    pub sql: SqlArgs,
    /// The language
    #[arg(long, value_enum)]
    pub to: TranslateTo,
    /// No event is earlier, later or more out of order than the query allows: what would become of it is not asked
    #[arg(long)]
    pub within_tolerance: bool,
    /// The servers of Kafka that tables name
    #[arg(long, value_name = "HOST:PORT,…", default_value = "localhost:9092")]
    pub bootstrap: String,
}

/// What a query is translated to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TranslateTo {
    /// The statements of Apache Flink's SQL
    Flink,
    /// The tables that these read and write, over Kafka
    FlinkDdl,
    /// Azure Stream Analytics' language
    Asa,
}

/// Tests to be run.
#[derive(Debug, Clone, Args)]
pub struct SqlTestArgs {
    /// Files of tests, or folders: of these all files whose names end in `.test.toml`
    #[arg(required = true)]
    pub paths: Vec<PathBuf>,
    /// Write the rows that came into the files
    #[arg(long)]
    pub update: bool,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowsFormat {
    /// JSON objects, one a line
    Json,
    /// Comma-separated values with a line of names
    Csv,
    /// Columns under each other
    Table,
}

/// What becomes of events beyond the tolerances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutOfTolerance {
    /// Their time is set to the edge of the tolerance
    Adjust,
    /// They are dropped
    Drop,
}
