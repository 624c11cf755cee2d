//! The command line: what can be asked, and the flags. What happens then is in [`crate::commands`].

mod function;
mod job;
mod sold;
mod sql;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use function::{FunctionArgs, FunctionCommand};
pub use job::{JobArgs, JobCommand, JobPartArgs, JobPartName, JobStartArgs};
pub use sold::{MarketplaceCommand, PortalCommand, UsageArgs, UsageCommand, UsageFormat};
pub use sql::{
    OutOfTolerance, RowsFormat, SqlArgs, SqlCommand, SqlRunArgs, SqlTestArgs, SqlTranslateArgs, TranslateTo,
};

/// A real-time data pipeline in one binary.
#[derive(Debug, Parser)]
#[command(name = "millstream", version, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node
    Serve(ServeArgs),
    /// Run the stock-trades pipeline with a built-in producer
    Demo(DemoArgs),
    /// Define what a pipeline file describes on a running node
    Apply(PipelineArgs),
    /// Make one resource on a running node, without a file
    Create(CreateArgs),
    /// Start, stop and change a query that is there: a Stream Analytics job, or an application of Kinesis Analytics
    Job {
        /// What to do
        #[command(subcommand)]
        command: JobCommand,
    },
    /// Check a pipeline file without a node
    Check {
        /// The pipeline file
        file: PathBuf,
    },
    /// Show what flows through a stream
    Tail(TailArgs),
    /// Run SQL over live records and show its rows
    Query(QueryArgs),
    /// Take what flows through a stream into a file, to test queries with
    Sample(SampleArgs),
    /// Run a query over samples and show its rows
    Test(TestArgs),
    /// Check, run, test and explain a query's text without a node
    Sql {
        /// What to do
        #[command(subcommand)]
        command: SqlCommand,
    },
    /// Show what is known of a function
    Function {
        /// What to show
        #[command(subcommand)]
        command: FunctionCommand,
    },
    /// Show what a function prints
    Logs(LogsArgs),
    /// Show the way of a record through the pipeline
    Trace(TraceArgs),
    /// Show all stages with their rates and lags
    Status(NodeArgs),
    /// Show keys and connection strings: all of the node's, or a namespace's
    Keys(KeysArgs),
    /// What keys of usage plans used
    Usage {
        /// What to do
        #[command(subcommand)]
        command: UsageCommand,
    },
    /// The marketplace's own side: products, and customers who subscribe and leave
    Marketplace {
        /// What to do
        #[command(subcommand)]
        command: MarketplaceCommand,
    },
    /// Manage the developer portal
    Portal {
        /// What to do
        #[command(subcommand)]
        command: PortalCommand,
    },
    /// Look into the files of a data folder that no node has open
    Log {
        /// What to do
        #[command(subcommand)]
        command: LogCommand,
    },
    /// The functions of the demo, as processes
    #[command(hide = true)]
    DemoFunction {
        /// Which one
        handler: String,
    },
}

/// Which node.
#[derive(Debug, Clone, Args)]
pub struct NodeArgs {
    /// The data folder of the node
    #[arg(long, value_name = "DIR", default_value = "millstream-data", env = "MILLSTREAM_DATA")]
    pub data: PathBuf,
}

/// Addresses and limits of a node.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The data folder
    #[command(flatten)]
    pub node: NodeArgs,
    /// A settings file (TOML); flags and environment win over it
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_CONFIG")]
    pub config: Option<PathBuf>,
    /// Accept the access key `test` with the secret `test`; only on loopback addresses
    #[arg(long, env = "MILLSTREAM_DEV")]
    pub dev: bool,
    /// Where the AWS protocols listen [default: 127.0.0.1:4566]
    #[arg(long, value_name = "ADDRESS", env = "MILLSTREAM_AWS_LISTEN")]
    pub aws_listen: Option<SocketAddr>,
    /// Where Event Hubs listens for AMQP [default: 127.0.0.1:5672]
    #[arg(long, value_name = "ADDRESS", env = "MILLSTREAM_EVENTHUBS_LISTEN")]
    pub eventhubs_listen: Option<SocketAddr>,
    /// Where Event Hubs listens for AMQP under TLS, with --tls-cert [default: 127.0.0.1:5671]
    #[arg(long, value_name = "ADDRESS", env = "MILLSTREAM_EVENTHUBS_TLS_LISTEN")]
    pub eventhubs_tls_listen: Option<SocketAddr>,
    /// Where Kafka clients are listened for [default: 127.0.0.1:9092]
    #[arg(long, value_name = "ADDRESS", env = "MILLSTREAM_KAFKA_LISTEN")]
    pub kafka_listen: Option<SocketAddr>,
    /// Where Kafka clients are listened for under TLS, with --tls-cert [default: 127.0.0.1:9093]
    #[arg(long, value_name = "ADDRESS", env = "MILLSTREAM_KAFKA_TLS_LISTEN")]
    pub kafka_tls_listen: Option<SocketAddr>,
    /// A certificate with its chain (PEM): listen under TLS too
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", env = "MILLSTREAM_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Take HTTP under TLS only, with --tls-cert; the node's own functions are exempt
    #[arg(long, env = "MILLSTREAM_REQUIRE_TLS")]
    pub require_tls: bool,
    /// Where others find the AWS and Azure protocols: `https://data.example.org` [default: where they listen]
    #[arg(long, value_name = "URL", env = "MILLSTREAM_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Where the console listens [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", env = "MILLSTREAM_CONSOLE_LISTEN")]
    pub console_listen: Option<SocketAddr>,
    /// Where the developer portal listens; without it there is no portal
    #[arg(long, alias = "portal", value_name = "ADDRESS", env = "MILLSTREAM_PORTAL_LISTEN")]
    pub portal_listen: Option<SocketAddr>,
    /// Where visitors find the developer portal when a proxy stands in front: `https://portal.example.org`
    #[arg(long, value_name = "URL", env = "MILLSTREAM_PORTAL_URL")]
    pub portal_url: Option<String>,
    /// When a write is acknowledged [default: fsync]
    #[arg(long, value_enum, env = "MILLSTREAM_DURABILITY")]
    pub durability: Option<DurabilityName>,
    /// How many processes of functions there may be at once [default: one for each 128 MiB of memory, at most 32 a core]
    #[arg(long, value_name = "NUMBER", env = "MILLSTREAM_FUNCTION_PROCESSES")]
    pub function_processes: Option<u32>,
}

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DurabilityName {
    /// When it is on disk
    Fsync,
    /// When the system has it; it is on disk a moment later
    Interval,
    /// When the system has it; the system decides when it is on disk
    Os,
}

/// The demo.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// The node
    #[command(flatten)]
    pub serve: ServeArgs,
    /// The same story on Azure's services: Event Hubs, Stream Analytics, Blob, Cosmos
    #[arg(long)]
    pub azure: bool,
    /// An API that earns money: plans, keys and the developer portal, without a producer
    #[arg(long, conflicts_with_all = ["azure", "rate", "seed", "replay"])]
    pub paid_api: bool,
    /// Orders as events: a topic with subscribers, published to through API Management
    #[arg(long, conflicts_with_all = ["azure", "paid_api", "tweets", "replay"])]
    pub event_grid: bool,
    /// Tweets from a stream to a table, with a flaw: what fails ends in a dead-letter queue
    #[arg(long, conflicts_with_all = ["azure", "paid_api"])]
    pub tweets: bool,
    /// With --tweets: without the flaw, so that the table fills
    #[arg(long, requires = "tweets")]
    pub fixed: bool,
    /// With --tweets: what the functions are written in
    #[arg(long, value_enum, default_value_t = TweetLanguage::Native, requires = "tweets")]
    pub language: TweetLanguage,
    /// Trades, tweets or orders a second
    #[arg(long, default_value_t = 50)]
    pub rate: u32,
    /// Makes the same trades, tweets or orders again
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Send the trades of a file (.csv or .jsonl), or its tweets (.jsonl), instead, with their own times
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// How many times faster than it happened a file is sent
    #[arg(long, default_value_t = 1.0, requires = "replay")]
    pub speed: f64,
    /// End after so many seconds
    #[arg(long, value_name = "SECONDS")]
    pub seconds: Option<u64>,
}

/// What the functions of the tweets example are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TweetLanguage {
    /// Built into this binary: nothing else is needed
    Native,
    /// Node.js, with version 2 of the AWS SDK in MILLSTREAM_NODE_PATH
    Nodejs,
    /// The decoding function in C#, on .NET; the other one in Node.js
    Csharp,
}

/// A pipeline file and a node.
#[derive(Debug, Clone, Args)]
pub struct PipelineArgs {
    /// The pipeline file
    pub file: PathBuf,
    /// The node
    #[command(flatten)]
    pub node: NodeArgs,
}

/// A resource to make.
#[derive(Debug, Clone, Args)]
pub struct CreateArgs {
    /// `stream`, `event-hub`, `query`, …; without it all kinds are shown
    pub kind: Option<String>,
    /// Its name; without it the kind's fields are shown
    pub name: Option<String>,
    /// Its fields as KEY=VALUE (`shards=2`, `input.event_hub=trades`); a value that begins with @ is a file's content
    #[arg(value_name = "KEY=VALUE")]
    pub fields: Vec<String>,
    /// Print the section of a pipeline file that says the same, and make nothing
    #[arg(long)]
    pub print: bool,
    /// The node
    #[command(flatten)]
    pub node: NodeArgs,
}

/// Which records of a stream.
#[derive(Debug, Clone, Args)]
pub struct TailArgs {
    /// The stream: `trades`, `delivery/NAME`, `query/QUERY/STREAM`
    pub stream: String,
    /// Begin with the oldest record there is
    #[arg(long)]
    pub from_start: bool,
    /// End after so many records
    #[arg(long, value_name = "RECORDS")]
    pub limit: Option<usize>,
    /// The node
    #[command(flatten)]
    pub node: NodeArgs,
}

/// A sample of a stream.
#[derive(Debug, Clone, Args)]
pub struct SampleArgs {
    /// The stream: `trades`, `delivery/NAME`
    pub stream: String,
    /// Begin with the oldest record there is
    #[arg(long)]
    pub from_start: bool,
    /// End after so many records
    #[arg(long, value_name = "RECORDS", default_value_t = 1_000)]
    pub limit: usize,
    /// End after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub seconds: u64,
    /// Write it here instead of to the terminal
    #[arg(long, short, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// The node
    #[command(flatten)]
    pub node: NodeArgs,
}

/// A query over samples.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub struct TestArgs {
    /// A query of the node
    #[arg(long, group = "what")]
    pub query: Option<String>,
    /// A file with the SQL, instead of the query's own
    #[arg(long, value_name = "FILE", group = "what")]
    pub sql: Option<PathBuf>,
    /// The SQL's language; the query's own, else Stream Analytics'
    #[arg(long, value_enum)]
    pub dialect: Option<DialectName>,
    /// An input's name in the SQL and the sample for it
    #[arg(long, value_name = "NAME=FILE", required = true)]
    pub input: Vec<String>,
    /// The node
    #[command(flatten)]
    pub node: NodeArgs,
}

/// A query to be run once.
#[derive(Debug, Clone, Args)]
pub struct QueryArgs {
    /// The SQL; its inputs are streams by name
    pub sql: String,
    /// The language
    #[arg(long, value_enum, default_value_t = DialectName::StreamAnalytics)]
    pub dialect: DialectName,
    /// Begin with the oldest record there is
    #[arg(long)]
    pub from_start: bool,
    /// End after so many rows
    #[arg(long, value_name = "ROWS")]
    pub limit: Option<usize>,
    /// The node
    #[command(flatten)]
    pub node: NodeArgs,
}

/// A query language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DialectName {
    /// Kinesis Data Analytics for SQL
    Kinesis,
    /// Azure Stream Analytics
    StreamAnalytics,
    /// Standard SQL with window table functions, as Apache Flink has it
    Standard,
}

/// Which lines of a function.
#[derive(Debug, Clone, Args)]
pub struct LogsArgs {
    /// The function
    pub function: String,
    /// Wait for further lines
    #[arg(long, short)]
    pub follow: bool,
    /// The node
    #[command(flatten)]
    pub node: NodeArgs,
}

/// Which record.
#[derive(Debug, Clone, Args)]
pub struct TraceArgs {
    /// A sequence number, or an event id that holds one (`shardId-000000000000:4900…`)
    pub id: String,
    /// The node
    #[command(flatten)]
    pub node: NodeArgs,
}

/// Whose keys.
#[derive(Debug, Clone, Args)]
pub struct KeysArgs {
    /// A namespace of hubs: `default`, or one that was made; without it all keys of the node are shown
    pub namespace: Option<String>,
    /// A hub of it, for the keys of its own policies too
    pub hub: Option<String>,
    /// Make a key for HTTP APIs with this name instead; prints its id and its value
    #[arg(long, value_name = "NAME", conflicts_with = "namespace")]
    pub create: Option<String>,
    /// The usage plan of the key that is made: its id or its name
    #[arg(long, value_name = "PLAN", requires = "create")]
    pub plan: Option<String>,
    /// The node
    #[command(flatten)]
    pub node: NodeArgs,
}

/// What to do with the files.
#[derive(Debug, Clone, Subcommand)]
pub enum LogCommand {
    /// Check every checksum
    Verify(NodeArgs),
    /// Print what the journal holds, a line a frame
    Dump(NodeArgs),
    /// Mend a folder whose journal or segments are damaged, by giving up what cannot be read
    Repair(RepairArgs),
}

/// What to give up of a damaged journal. A damaged segment loses what cannot be read under either.
#[derive(Debug, Clone, Args)]
pub struct RepairArgs {
    /// The data folder
    #[command(flatten)]
    pub node: NodeArgs,
    /// Cut the journal at the first damage: everything that came after it is lost
    #[arg(long, required_unless_present = "skip", conflicts_with = "skip")]
    pub truncate: bool,
    /// Leave out what cannot be read: lost records become empty ones, everything else stays
    #[arg(long)]
    pub skip: bool,
    /// Do it; without this, what would be lost is told and nothing is written
    #[arg(long)]
    pub yes: bool,
}
