//! Continuous queries: an analytics application or a stream analytics job.

use std::collections::BTreeMap;

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use super::query_function::QueryFunction;
use crate::collection::Definition;

/// Inputs, SQL and outputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryDefinition {
    /// Unique.
    pub name: String,
    /// Which language the text is in.
    pub dialect: QueryDialect,
    /// The query, as its author wrote it.
    pub sql: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// Where rows come from.
    pub inputs: Vec<QueryInput>,
    /// Tables that rows are joined with.
    #[serde(default)]
    pub references: Vec<ReferenceInput>,
    /// Functions that its text calls.
    #[serde(default)]
    pub functions: Vec<QueryFunction>,
    /// Where results go.
    pub outputs: Vec<QueryOutput>,
    /// Whether it is to run.
    pub desired: DesiredState,
    /// Where its last start had it begin.
    #[serde(default)]
    pub start_at: StartAt,
    /// Late and disordered rows (queries that say which column is the event's time).
    #[serde(default)]
    pub event_order: EventOrder,
    /// Shards that are read and decoded at once; 0: as many as the machine has cores. Rows are computed on one thread.
    #[serde(default)]
    pub parallelism: u32,
    /// What a resource manager keeps with it; `None` for a query that was made without one.
    #[serde(default)]
    pub resource: Option<QueryResource>,
    /// When it was last started; `None`: never.
    #[serde(default)]
    pub started: Option<Millis>,
    /// When it was made.
    pub created: Millis,
    /// When it last changed.
    pub modified: Millis,
    /// Rises with each change.
    pub version: u64,
}

/// What a resource manager keeps with a query and shows again; nothing of it changes its rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryResource {
    /// Its address up to and with its name.
    pub address: String,
    /// The region that its maker named.
    pub location: String,
    /// The price level that its maker named.
    pub sku: String,
    /// Its maker's own words on it.
    pub tags: BTreeMap<String, String>,
    /// What its maker calls the text.
    pub text_name: String,
    /// Where its errors are told, besides in its status.
    #[serde(default)]
    pub error_log: Option<QueryErrorLog>,
    /// The role that its maker named for all that the query touches; inputs and outputs have it as their own, too.
    #[serde(default)]
    pub role: String,
}

/// The log stream that a query's errors are told in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryErrorLog {
    /// The log group.
    pub group: String,
    /// The stream in it.
    pub stream: String,
    /// The role that the maker named for writing; recorded.
    pub role: String,
}

/// The language of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueryDialect {
    /// Kinesis Data Analytics for SQL: streams, pumps, STEP.
    Kinesis,
    /// Azure Stream Analytics: INTO, TIMESTAMP BY, TumblingWindow.
    StreamAnalytics,
    /// Standard SQL with window table functions, as Apache Flink has it: WATERMARK, TUMBLE, INSERT INTO.
    Standard,
}

/// A source of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryInput {
    /// The name by which the SQL knows it: `SOURCE_SQL_STREAM_001`, `StockTransactionsRaw`.
    pub name: String,
    /// The stream in the catalog (a delivery stream's own is `delivery/NAME`).
    pub stream: String,
    /// How records become rows.
    #[serde(default)]
    pub format: RecordFormat,
    /// Columns; empty: found out from the first records.
    #[serde(default)]
    pub columns: Vec<ColumnDefinition>,
    /// The role or policy that the maker named for reading. Roles are asked; empty: nobody is.
    #[serde(default)]
    pub role: String,
    /// The consumer group that the maker named for reading a hub; recorded.
    #[serde(default)]
    pub consumer_group: String,
    /// The function that records go through before they become rows.
    #[serde(default)]
    pub processor: Option<InputProcessor>,
    /// Where a record's rows are in it, as a JSON path to an array or to one of them (`$.records[0:]`); empty: the record is a row.
    /// Mappings of columns begin at the row.
    #[serde(default)]
    pub row_path: String,
    /// The names of the streams of the SQL between which its shards are divided, of which `name` is the first; empty: all rows are in `name`.
    #[serde(default)]
    pub divided: Vec<String>,
}

impl QueryInput {
    /// Each stream of the SQL that it is, as an input of its own.
    #[must_use]
    pub fn streams(&self) -> Vec<Self> {
        match self.divided.as_slice() {
            [] => vec![self.clone()],
            names => names.iter().map(|name| Self { name: name.clone(), ..self.clone() }).collect(),
        }
    }

    /// Whether the rows of a shard are among those of the stream of its name: each shard's are in one of those that it is divided into.
    #[must_use]
    pub fn has_shard(&self, number: u32) -> bool {
        let place = self.divided.iter().position(|name| *name == self.name);
        place.is_none_or(|place| number as usize % self.divided.len() == place)
    }

    /// Its name and the columns that it declares, whose mappings begin at the record.
    #[must_use]
    pub fn declared(&self) -> (String, Vec<ColumnDefinition>) {
        let in_record = |column: &ColumnDefinition| {
            let path = self.row_path.trim_end_matches("[0:]").trim_end_matches("[*]");
            let in_row = column.mapping.clone().unwrap_or_else(|| format!("$.{}", column.name));
            let mapping = match path {
                "" | "$" => column.mapping.clone(),
                path => Some(format!("{path}[*]{}", in_row.trim_start_matches('$'))),
            };
            ColumnDefinition { mapping, ..column.clone() }
        };
        (self.name.clone(), self.columns.iter().map(in_record).collect())
    }
}

/// A function that changes an input's records, drops them or says that they are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputProcessor {
    /// The function, or a version or an alias of one: `NAME:QUALIFIER`.
    pub function: String,
    /// The role that the maker named for invoking it. Roles are asked; empty: nobody is.
    pub role: String,
}

/// Reference data: an object whose rows are a table, read when the query starts, or versions of it that follow each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceInput {
    /// The name by which the SQL knows it.
    pub name: String,
    /// The object's bucket or container.
    pub bucket: String,
    /// Its name there; where there are versions, what their names have in common: text with `{date}` and `{time}`.
    pub key: String,
    /// How the names of versions say from when on each counts; `None`: there is one object.
    #[serde(default)]
    pub versions: Option<ReferenceVersions>,
    /// How its bytes become rows.
    #[serde(default)]
    pub format: RecordFormat,
    /// Columns; empty: found out from the rows.
    #[serde(default)]
    pub columns: Vec<ColumnDefinition>,
    /// The role or account that the maker named for reading. Roles are asked; empty: nobody is.
    #[serde(default)]
    pub role: String,
}

/// How the names of versions of reference data say times.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReferenceVersions {
    /// How `{date}` is written; `yyyy/MM/dd` when empty.
    #[serde(default)]
    pub date_format: String,
    /// How `{time}` is written; `HH` when empty.
    #[serde(default)]
    pub time_format: String,
}

/// How a record's bytes become rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordFormat {
    /// JSON objects: one, several one after the other, or an array of them.
    #[default]
    Json,
    /// Delimited text.
    Csv {
        /// Between columns, usually `,`.
        delimiter: String,
    },
}

/// A column of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnDefinition {
    /// Its name in the SQL.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    /// The JSON path of its value (`$.symbol`) or its position in delimited text; `None`: the field of the same name.
    #[serde(default)]
    pub mapping: Option<String>,
    /// The type's text as its author wrote it (`VARCHAR(4)`), to be shown again.
    #[serde(default)]
    pub declared: Option<String>,
}

impl ColumnDefinition {
    /// A column that is the field of the same name.
    pub fn new(name: impl Into<String>, column_type: ColumnType) -> Self {
        Self { name: name.into(), column_type, mapping: None, declared: None }
    }
}

/// Types of columns, shared by the dialects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// 64-bit integer.
    BigInt,
    /// 64-bit floating point.
    Double,
    /// Text.
    Text,
    /// True or false.
    Boolean,
    /// A point in time, UTC, milliseconds.
    Timestamp,
    /// A record, an array, or a value whose type is its own: what JSON holds.
    Value,
}

/// A destination of results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryOutput {
    /// The stream or output name in the SQL: `OUTPUT_STREAM`, the name behind `INTO`.
    pub name: String,
    /// Where its rows go.
    pub target: OutputTarget,
    /// How rows become records.
    #[serde(default)]
    pub format: RecordFormat,
    /// The role, policy or account that the maker named for writing. Roles are asked; empty: nobody is.
    #[serde(default)]
    pub role: String,
    /// How rows are handed on.
    #[serde(default)]
    pub handing: OutputHanding,
}

/// How rows are handed on, where the target leaves a choice.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputHanding {
    /// The column whose value is a record's partition key in a stream; empty: the row's texts.
    #[serde(default)]
    pub partition_column: String,
    /// Rows that a function gets at once; 0: as many as its event may hold.
    #[serde(default)]
    pub batch_rows: u32,
    /// Bytes of rows that a function gets at once; 0: as many as its event may hold.
    #[serde(default)]
    pub batch_bytes: u32,
    /// Columns that become properties of a stream's records instead of a part of their data.
    #[serde(default)]
    pub property_columns: Vec<String>,
    /// Rows that wait for each other before objects get them; 0: objects get rows as they come.
    #[serde(default)]
    pub rows_min: u32,
    /// Seconds after which objects get fewer rows than that; 0: a minute.
    #[serde(default)]
    pub wait_max_seconds: u32,
}

/// Where result rows go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputTarget {
    /// A function gets them in batches and answers for each.
    Function {
        /// The function, or a version or an alias of one: `NAME:QUALIFIER`.
        name: String,
    },
    /// A stream gets them, exactly once (a delivery stream's own is `delivery/NAME`).
    Stream {
        /// The stream.
        name: String,
    },
    /// Objects get them, each row once.
    Objects(ObjectOutput),
    /// Documents are made of them, or replaced.
    Documents(DocumentOutput),
    /// They stay in the query's own stream, to be looked at.
    Keep,
}

/// Rows as lines of objects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectOutput {
    /// The bucket or container.
    pub bucket: String,
    /// Where in it: text with `{date}`, `{time}`, `{datetime:yyyy}` and `{column}`, see the query engine's object paths.
    #[serde(default)]
    pub path: String,
    /// How `{date}` is written; `yyyy/MM/dd` when empty.
    #[serde(default)]
    pub date_format: String,
    /// How `{time}` is written; `HH` when empty.
    #[serde(default)]
    pub time_format: String,
    /// Whether JSON rows stand in an array instead of one a line.
    #[serde(default)]
    pub array: bool,
}

/// Rows as documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentOutput {
    /// The database.
    pub database: String,
    /// The container.
    pub container: String,
    /// The column that becomes the document's id: a row replaces the one before of the same id. Empty: each row has an id
    /// of its own.
    #[serde(default)]
    pub id_column: String,
    /// The column that holds the container's partition key: it is held to the container when the query starts. Empty: the
    /// container's own definition decides.
    #[serde(default)]
    pub partition_key: String,
}

/// What a query is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DesiredState {
    /// Defined, not running.
    Stopped,
    /// Running.
    Running,
}

/// Where a query that is started begins. A node's restart is no start: running queries then go on from their checkpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// With the records that come from now on.
    #[default]
    Latest,
    /// With the oldest record there is.
    TrimHorizon,
    /// With the first record at or after a time.
    Time(Millis),
    /// Where it stopped; with the records that come from now on when it never ran.
    LastStopped,
}

/// How event time is treated where a query names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventOrder {
    /// How far an event may be behind its arrival.
    pub late_tolerance_ms: i64,
    /// How far events may be out of order.
    pub out_of_order_tolerance_ms: i64,
    /// What happens to those beyond.
    pub policy: OrderPolicy,
}

impl EventOrder {
    /// The tolerance that takes every event however late it is: time then moves with events only.
    pub const LATE_WITHOUT_LIMIT: i64 = i64::MAX;
}

impl Default for EventOrder {
    /// The documented defaults of Stream Analytics: late 5 s, out of order 0 s, adjust.
    fn default() -> Self {
        Self { late_tolerance_ms: 5_000, out_of_order_tolerance_ms: 0, policy: OrderPolicy::Adjust }
    }
}

/// What happens to late and disordered events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderPolicy {
    /// Their time is set to the edge of the tolerance.
    Adjust,
    /// They are dropped and counted.
    Drop,
}

impl Definition for QueryDefinition {
    const KIND: &'static str = "query";

    fn key(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(row_path: &str, divided: &[&str]) -> QueryInput {
        let column = |name: &str, mapping: Option<&str>| ColumnDefinition {
            mapping: mapping.map(str::to_owned),
            ..ColumnDefinition::new(name, ColumnType::Text)
        };
        QueryInput {
            name: "S_001".into(),
            stream: "in".into(),
            format: RecordFormat::Json,
            columns: vec![column("a", None), column("b", Some("$.x.y"))],
            role: String::new(),
            consumer_group: String::new(),
            processor: None,
            row_path: row_path.into(),
            divided: divided.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn mappings_begin_at_the_record() {
        let mappings = |row_path| -> Vec<Option<String>> {
            input(row_path, &[]).declared().1.into_iter().map(|column| column.mapping).collect()
        };
        assert_eq!(mappings(""), [None, Some("$.x.y".into())]);
        for path in ["$.data.rows", "$.data.rows[0:]", "$.data.rows[*]"] {
            assert_eq!(mappings(path), [Some("$.data.rows[*].a".into()), Some("$.data.rows[*].x.y".into())], "{path}");
        }
    }

    #[test]
    fn each_shard_is_of_one_of_the_streams_that_an_input_is_divided_into() {
        let streams = input("", &["S_001", "S_002", "S_003"]).streams();
        assert_eq!(streams.iter().map(|stream| stream.name.as_str()).collect::<Vec<_>>(), ["S_001", "S_002", "S_003"]);
        for shard in 0..10 {
            assert_eq!(streams.iter().filter(|stream| stream.has_shard(shard)).count(), 1, "{shard}");
        }
        let whole = input("", &[]).streams();
        assert!(whole.len() == 1 && (0..10).all(|shard| whole[0].has_shard(shard)));
    }
}
