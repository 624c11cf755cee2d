//! What may be written in a pipeline file: the TOML's shape, field by field.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::access::{RoleTable, UserTable};
use super::azure::{ApiManagementTable, BlobContainerTable, CosmosDatabaseTable, TopicTable};
use super::function::FunctionTable;
use super::hub::{EventHubTable, NamespaceTable};
use super::mapping::MappingTable;
use super::marketplace::ProductTable;
use super::message_topic::MessageTopicTable;
use super::output::OutputTable;
use super::plan::{ApiKeyTable, PlanTable};
use super::portal::PortalTable;
use super::query_function::QueryFunctionTable;
use super::queue::QueueTable;
use super::table::TableTable;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PipelineFile {
    /// A file of a section or two needs none.
    #[serde(default = "unnamed")]
    pub(super) name: String,
    #[serde(default)]
    pub(super) stream: Vec<StreamTable>,
    #[serde(default)]
    pub(super) delivery_stream: Vec<DeliveryStreamTable>,
    #[serde(default)]
    pub(super) table: Vec<TableTable>,
    #[serde(default)]
    pub(super) role: Vec<RoleTable>,
    #[serde(default)]
    pub(super) user: Vec<UserTable>,
    #[serde(default)]
    pub(super) function: Vec<FunctionTable>,
    #[serde(default)]
    pub(super) query: Vec<QueryTable>,
    #[serde(default)]
    pub(super) api: Vec<ApiTable>,
    #[serde(default)]
    pub(super) queue: Vec<QueueTable>,
    #[serde(default)]
    pub(super) mapping: Vec<MappingTable>,
    #[serde(default)]
    pub(super) event_hubs_namespace: Vec<NamespaceTable>,
    #[serde(default)]
    pub(super) event_hub: Vec<EventHubTable>,
    #[serde(default)]
    pub(super) blob_container: Vec<BlobContainerTable>,
    #[serde(default)]
    pub(super) cosmos_database: Vec<CosmosDatabaseTable>,
    #[serde(default)]
    pub(super) event_grid_topic: Vec<TopicTable>,
    #[serde(default)]
    pub(super) sns_topic: Vec<MessageTopicTable>,
    #[serde(default)]
    pub(super) api_management: Vec<ApiManagementTable>,
    #[serde(default)]
    pub(super) plans: BTreeMap<String, Spanned<PlanTable>>,
    #[serde(default)]
    pub(super) keys: BTreeMap<String, Spanned<ApiKeyTable>>,
    #[serde(default)]
    pub(super) marketplace_product: Vec<ProductTable>,
    pub(super) portal: Option<PortalTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamTable {
    pub(super) name: Spanned<String>,
    pub(super) shards: Option<Spanned<u32>>,
    pub(super) retention_hours: Option<Spanned<u32>>,
    pub(super) retention_bytes: Option<Spanned<u64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeliveryStreamTable {
    pub(super) name: Spanned<String>,
    /// The stream that it reads; without it records are put into it.
    pub(super) source_stream: Option<Spanned<String>>,
    pub(super) bucket: Spanned<String>,
    #[serde(default)]
    pub(super) prefix: String,
    pub(super) buffer_mib: Option<Spanned<u64>>,
    pub(super) buffer_seconds: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) gzip: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QueryTable {
    pub(super) name: Spanned<String>,
    pub(super) dialect: DialectName,
    pub(super) sql: Option<Spanned<String>>,
    pub(super) sql_file: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) input: Vec<InputTable>,
    #[serde(default)]
    pub(super) function: Vec<QueryFunctionTable>,
    #[serde(default)]
    pub(super) output: Vec<OutputTable>,
    #[serde(default)]
    pub(super) start_at: StartName,
    /// -1: events may be late without limit; only events move time then.
    pub(super) late_tolerance_seconds: Option<Spanned<i64>>,
    pub(super) out_of_order_tolerance_seconds: Option<u32>,
    #[serde(default)]
    pub(super) out_of_tolerance: ToleranceName,
    /// Shards that are read and decoded at once; 0: as many as the machine has cores.
    #[serde(default)]
    pub(super) streaming_units: u32,
    /// Whether it is only defined: somebody starts it later, and until then it may miss its text, inputs and outputs.
    #[serde(default)]
    pub(super) stopped: bool,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum DialectName {
    Kinesis,
    StreamAnalytics,
    Standard,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StartName {
    Latest,
    /// A pipeline file describes the whole way: what came before the query was defined belongs to it.
    #[default]
    TrimHorizon,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ToleranceName {
    #[default]
    Adjust,
    Drop,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InputTable {
    pub(super) name: Spanned<String>,
    pub(super) stream: Option<Spanned<String>>,
    pub(super) delivery_stream: Option<Spanned<String>>,
    pub(super) event_hub: Option<Spanned<String>>,
    /// Reference data: a blob that is a table.
    pub(super) blob: Option<ReferenceTable>,
    /// The delimiter; without it records are JSON.
    pub(super) csv: Option<String>,
    #[serde(default)]
    pub(super) columns: Vec<ColumnTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReferenceTable {
    pub(super) container: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) date_format: String,
    #[serde(default)]
    pub(super) time_format: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ColumnTable {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) column_type: Spanned<String>,
    pub(super) path: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiTable {
    pub(super) name: Spanned<String>,
    #[serde(default = "prod")]
    pub(super) stage: String,
    #[serde(default)]
    pub(super) route: Vec<RouteTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteTable {
    pub(super) method: Spanned<String>,
    pub(super) path: Spanned<String>,
    pub(super) function: Spanned<String>,
    #[serde(default)]
    pub(super) integration: RouteIntegration,
    /// Whether a caller needs an API key.
    #[serde(default)]
    pub(super) key_required: bool,
}

/// How a route calls its function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RouteIntegration {
    /// The function gets the body and gives the body.
    #[default]
    Plain,
    /// The function gets the whole request and gives the whole answer.
    Proxy,
}

fn unnamed() -> String {
    "pipeline".to_owned()
}

fn prod() -> String {
    "prod".to_owned()
}
