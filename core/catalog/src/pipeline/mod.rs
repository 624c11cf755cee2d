//! The pipeline file: all resources of a pipeline in one TOML text.
//!
//! [`Pipeline::parse`] turns the text into the same definitions that SDK calls make and reports every mistake with its
//! line. What needs an engine to be checked (SQL, packages) is checked by whoever applies the file.
//! Read next: `file.rs` (what may be written), `shape.rs` (what does not fit it), `azure.rs` (the same in Azure's words), `resolve.rs` (names and rules),
//! `form` (a section from a form's fields).

mod access;
mod azure;
mod event_subscription;
mod file;
pub mod form;
mod function;
mod hub;
mod known;
mod limits;
mod mapping;
mod marketplace;
mod message_topic;
mod name;
mod output;
mod plan;
mod portal;
mod queue;
mod resolve;
mod shape;
mod source;
mod table;

use std::collections::BTreeSet;
use std::path::PathBuf;

pub use access::{GrantsSpec, RoleSpec, UserSpec};
pub use azure::{DocumentDatabaseSpec, ManagedServiceSpec, TopicSpec};
pub use event_subscription::EventSubscriptionSpec;
pub use file::RouteIntegration;
pub use function::{AsyncSpec, FunctionSpec, FunctionTarget};
pub use hub::{HubSpec, NamespaceSpec, PolicySpec};
pub use known::Known;
pub use mapping::MappingSpec;
pub use marketplace::MarketplaceProductSpec;
pub use message_topic::{MessageSubscriptionSpec, MessageTopicSpec};
pub use plan::{ApiKeySpec, PlanSpec};
pub use portal::{PortalApiSpec, PortalOfferSpec, PortalSpec};
pub use queue::QueueSpec;
pub use resolve::column_type;
pub use source::{Located, Mistake};
pub use table::{IndexSpec, TableSpec};

use crate::definition::{
    ColumnDefinition, EventOrder, ObjectDestination, OutputHanding, OutputTarget, QueryDialect, RecordFormat,
    ReferenceInput, StartAt,
};

/// What a file defines, in the order in which it can be applied.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// The pipeline's name.
    pub name: String,
    /// Streams.
    pub streams: Vec<Located<StreamSpec>>,
    /// Delivery streams.
    pub delivery_streams: Vec<Located<DeliveryStreamSpec>>,
    /// Tables.
    pub tables: Vec<Located<TableSpec>>,
    /// Roles.
    pub roles: Vec<Located<RoleSpec>>,
    /// Users.
    pub users: Vec<Located<UserSpec>>,
    /// Functions.
    pub functions: Vec<Located<FunctionSpec>>,
    /// Continuous queries.
    pub queries: Vec<Located<QuerySpec>>,
    /// Queues.
    pub queues: Vec<Located<QueueSpec>>,
    /// Event source mappings.
    pub mappings: Vec<Located<MappingSpec>>,
    /// HTTP APIs.
    pub apis: Vec<Located<ApiSpec>>,
    /// Namespaces of hubs.
    pub namespaces: Vec<Located<NamespaceSpec>>,
    /// Hubs.
    pub hubs: Vec<Located<HubSpec>>,
    /// Buckets that are to be there, by name.
    pub buckets: Vec<Located<String>>,
    /// Databases of documents.
    pub databases: Vec<Located<DocumentDatabaseSpec>>,
    /// Topics.
    pub topics: Vec<Located<TopicSpec>>,
    /// Topics of messages.
    pub message_topics: Vec<Located<MessageTopicSpec>>,
    /// Managed API services.
    pub managed_services: Vec<Located<ManagedServiceSpec>>,
    /// Usage plans.
    pub plans: Vec<Located<PlanSpec>>,
    /// Keys of usage plans.
    pub api_keys: Vec<Located<ApiKeySpec>>,
    /// Products at the marketplace.
    pub products: Vec<Located<MarketplaceProductSpec>>,
    /// The developer portal.
    pub portal: Option<PortalSpec>,
}

/// A stream to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSpec {
    /// Its name.
    pub name: String,
    /// Shards.
    pub shards: u32,
    /// How long records stay.
    pub retention_hours: u32,
    /// Bytes that each shard keeps, 0 for no limit; `None`: as it is.
    pub retention_bytes: Option<u64>,
}

/// A delivery stream to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryStreamSpec {
    /// Its name.
    pub name: String,
    /// The stream it reads; `None`: records are put into it.
    pub source: Option<String>,
    /// Where objects go.
    pub destination: ObjectDestination,
}

/// A continuous query to be.
#[derive(Debug, Clone, PartialEq)]
pub struct QuerySpec {
    /// Its name.
    pub name: String,
    /// Its language.
    pub dialect: QueryDialect,
    /// Its text, or the file that holds it.
    pub sql: SqlText,
    /// Inputs.
    pub inputs: Vec<Located<InputSpec>>,
    /// Reference data.
    pub references: Vec<ReferenceInput>,
    /// Outputs.
    pub outputs: Vec<Located<OutputSpec>>,
    /// Where it begins at first.
    pub start_at: StartAt,
    /// Event time.
    pub event_order: EventOrder,
    /// Shards that are read and decoded at once; 0: as many as the machine has cores.
    pub parallelism: u32,
    /// Whether it is only defined: somebody starts it later, and until then it may miss its text, inputs and outputs.
    pub stopped: bool,
}

/// Where the SQL stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqlText {
    /// In the pipeline file; `line` is the file's line of the text's first line.
    Inline {
        /// The text.
        text: String,
        /// The pipeline file's line on which it begins.
        line: usize,
    },
    /// In a file of its own, relative to the pipeline file.
    File(Located<PathBuf>),
}

/// An input of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSpec {
    /// Its name in the SQL.
    pub name: String,
    /// The stream in the catalog.
    pub stream: String,
    /// How records become rows.
    pub format: RecordFormat,
    /// Columns; empty: found out from records.
    pub columns: Vec<ColumnDefinition>,
}

/// An output of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSpec {
    /// Its name in the SQL.
    pub name: String,
    /// Where rows go.
    pub target: OutputTarget,
    /// How rows become records.
    pub format: RecordFormat,
    /// How rows are handed on.
    pub handing: OutputHanding,
    /// The table that the function fills, to check keys: (table, key attribute → output column).
    pub fills: Option<Located<(String, std::collections::BTreeMap<String, String>)>>,
}

/// An API to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiSpec {
    /// Its name.
    pub name: String,
    /// The stage that is deployed.
    pub stage: String,
    /// Its routes.
    pub routes: Vec<Located<RouteSpec>>,
}

/// A route of an API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSpec {
    /// `POST`, `ANY`, …
    pub method: String,
    /// `/`, `/orders/{id}`.
    pub path: String,
    /// The function that answers.
    pub function: String,
    /// How the function is called.
    pub integration: RouteIntegration,
    /// Whether a caller needs an API key.
    pub key_required: bool,
}

impl Pipeline {
    /// Reads a pipeline file's text. `file` is its name as errors shall say it.
    ///
    /// # Errors
    /// Every mistake that can be found without an engine, in the order of the lines; never empty.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Mistake>> {
        Self::parse_onto(file, text, &Known::default())
    }

    /// The same of a file that may refer to what a node has already.
    ///
    /// # Errors
    /// As [`Pipeline::parse`].
    pub fn parse_onto(file: &str, text: &str, known: &Known) -> Result<Self, Vec<Mistake>> {
        let survey = Survey::of(file, text, known);
        match survey.pipeline {
            Some(pipeline) if survey.mistakes.is_empty() => Ok(pipeline),
            _ => Err(survey.mistakes),
        }
    }
}

/// A file with all that is wrong in it, for whoever looks for more mistakes.
#[derive(Debug)]
pub struct Survey {
    /// What the file describes as far as it could be read; `None` when it is no TOML.
    pub pipeline: Option<Pipeline>,
    /// What is wrong, in the order of the lines.
    pub mistakes: Vec<Mistake>,
    /// Queries whose inputs could not all be read: their SQL may be right though it does not fit what is left.
    pub unsure: BTreeSet<String>,
}

impl Survey {
    /// Reads a file's text.
    #[must_use]
    pub fn of(file: &str, text: &str, known: &Known) -> Self {
        let source = source::Source::new(file, text);
        match shape::shape(&source) {
            Ok(shaped) => resolve::resolve(&source, shaped, known),
            Err(mut mistakes) => {
                mistakes.sort_by_key(|mistake| mistake.line);
                Self { pipeline: None, mistakes, unsure: BTreeSet::new() }
            }
        }
    }
}
