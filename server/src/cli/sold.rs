//! What can be asked of APIs that are sold: what was used of them, the marketplace, the portal.

use clap::{Args, Subcommand, ValueEnum};

use super::NodeArgs;

/// What to do with what was used.
#[derive(Debug, Clone, Subcommand)]
pub enum UsageCommand {
    /// Print it by key, dimension and hour
    Export(UsageArgs),
}

/// Which usage, and how it is written.
#[derive(Debug, Clone, Args)]
pub struct UsageArgs {
    /// How it is written
    #[arg(long, value_enum, default_value_t = UsageFormat::Csv)]
    pub format: UsageFormat,
    /// A usage plan by its id; without it those of all
    #[arg(long)]
    pub plan: Option<String>,
    /// From this day on (UTC) [default: 31 days ago]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub from: Option<String>,
    /// Until this day, it included (UTC) [default: today]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub to: Option<String>,
    /// With the hour that is not over yet: its numbers still grow
    #[arg(long)]
    pub open: bool,
    /// The node
    #[command(flatten)]
    pub node: NodeArgs,
}

/// How usage is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum UsageFormat {
    /// A table with a line of titles
    Csv,
    /// A JSON object a line, each with an id that stays the same
    Cloudevents,
}

/// What to do at the marketplace.
#[derive(Debug, Clone, Subcommand)]
pub enum MarketplaceCommand {
    /// Define a product
    Product {
        /// Its product code
        code: String,
        /// What its usage is metered in, besides `apigateway`
        #[arg(long = "dimension", value_name = "NAME")]
        dimensions: Vec<String>,
        /// The topic that is told of customers who come and go
        #[arg(long)]
        topic: Option<String>,
        /// The node
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Subscribe an account; prints the license, the customer and a registration token
    Subscribe {
        /// The product code
        product: String,
        /// The account: 12 digits
        account: String,
        /// The node
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Make another registration token
    Token {
        /// The license
        license: String,
        /// The node
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Let a customer leave
    Unsubscribe {
        /// The license
        license: String,
        /// The node
        #[command(flatten)]
        node: NodeArgs,
    },
    /// Show all subscriptions
    List(NodeArgs),
    /// Show what was metered for a product
    Records {
        /// The product code
        product: String,
        /// The node
        #[command(flatten)]
        node: NodeArgs,
    },
}

/// What to do with the developer portal.
#[derive(Debug, Clone, Subcommand)]
pub enum PortalCommand {
    /// Make an owner of an e-mail address and print the link with which the password is chosen
    Owner {
        /// The e-mail address
        email: String,
        /// The node
        #[command(flatten)]
        node: NodeArgs,
    },
}
