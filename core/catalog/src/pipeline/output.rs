//! What a pipeline file says of a query's outputs: where the rows of an `INTO` go, and how they are handed on.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::OutputSpec;
use super::resolve::{Resolver, format};
use super::source::Located;
use crate::definition::{DocumentOutput, ObjectOutput, OutputHanding, OutputTarget};

/// Rows that a function gets at once.
const BATCH_ROWS: (u64, u64) = (0, 10_000);
/// Bytes of rows that a function gets at once: what its event may hold.
const BATCH_BYTES: (u64, u64) = (0, 4 << 20);
/// Rows that wait for each other before blobs get them: the service's own limit.
const MIN_ROWS: (u64, u64) = (0, 10_000);
/// Seconds that they wait: the service's own limit.
const MAX_SECONDS: (u64, u64) = (0, 7_200);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputTable {
    name: Spanned<String>,
    function: Option<Spanned<String>>,
    stream: Option<Spanned<String>>,
    delivery_stream: Option<Spanned<String>>,
    event_hub: Option<Spanned<String>>,
    blob: Option<Spanned<BlobTable>>,
    cosmos: Option<Spanned<CosmosTable>>,
    /// The delimiter; without it rows are JSON.
    csv: Option<String>,
    /// The column whose value is the partition key of a stream's records.
    #[serde(default)]
    partition_key: String,
    /// Columns that become properties of a stream's records instead of a part of their data.
    #[serde(default)]
    property_columns: Vec<String>,
    /// Rows that a function gets at once; 0: as many as its event may hold.
    #[serde(default)]
    batch_rows: u32,
    /// Bytes of rows that a function gets at once; 0: as many as its event may hold.
    #[serde(default)]
    batch_bytes: u32,
    fills: Option<FillsTable>,
}

/// Rows as lines of blobs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BlobTable {
    container: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    date_format: String,
    #[serde(default)]
    time_format: String,
    #[serde(default)]
    array: bool,
    /// Rows that wait for each other before blobs get them; 0: blobs get rows as they come.
    #[serde(default)]
    min_rows: u32,
    /// Seconds after which blobs get fewer rows than that; 0: a minute.
    #[serde(default)]
    max_seconds: u32,
}

/// Rows as documents.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CosmosTable {
    database: String,
    container: String,
    #[serde(default)]
    document_id: String,
    #[serde(default)]
    partition_key: String,
}

/// The table that an output's function fills, and which column each of its keys comes from.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FillsTable {
    table: Spanned<String>,
    keys: BTreeMap<String, String>,
}

impl Resolver<'_> {
    pub(super) fn output(&mut self, table: OutputTable) -> Option<Located<OutputSpec>> {
        let line = self.line(&table.name);
        let stream = table.stream.is_some() || table.delivery_stream.is_some() || table.event_hub.is_some();
        let targets = [table.function.is_some(), stream, table.blob.is_some(), table.cosmos.is_some()];
        if targets.iter().filter(|given| **given).count() > 1 {
            self.wrong(line, "an output has one target, found several".to_owned(), "keep one");
            return None;
        }
        let handing = self.handing(line, &table, stream);
        let target = if let Some(function) = table.function {
            let functions = self.functions.clone();
            self.refers("function", &functions, &function);
            OutputTarget::Function { name: function.into_inner() }
        } else if stream {
            OutputTarget::Stream { name: self.one_stream(line, table.stream, table.delivery_stream, table.event_hub)? }
        } else if let Some(blob) = table.blob {
            OutputTarget::Objects(object_output(blob.into_inner()))
        } else if let Some(cosmos) = table.cosmos {
            OutputTarget::Documents(document_output(cosmos.into_inner()))
        } else {
            OutputTarget::Keep
        };
        let fills = table.fills.map(|fills| {
            let tables = self.tables.clone();
            self.refers("table", &tables, &fills.table);
            Located { line: self.line(&fills.table), value: (fills.table.into_inner(), fills.keys) }
        });
        let value = OutputSpec { name: table.name.into_inner(), target, format: format(table.csv), handing, fills };
        Some(Located { value, line })
    }

    /// How rows are handed on; what says nothing for the output's target is a mistake.
    fn handing(&mut self, line: usize, table: &OutputTable, stream: bool) -> OutputHanding {
        let (rows_min, wait_max_seconds) =
            table.blob.as_ref().map_or((0, 0), |blob| (blob.get_ref().min_rows, blob.get_ref().max_seconds));
        self.range(line, "batch_rows", table.batch_rows.into(), BATCH_ROWS);
        self.range(line, "batch_bytes", table.batch_bytes.into(), BATCH_BYTES);
        self.range(line, "blob.min_rows", rows_min.into(), MIN_ROWS);
        self.range(line, "blob.max_seconds", wait_max_seconds.into(), MAX_SECONDS);
        let function = table.function.is_some();
        for (field, given, means, target) in [
            ("partition_key", !table.partition_key.is_empty(), stream, "a stream"),
            ("property_columns", !table.property_columns.is_empty(), stream, "a stream"),
            ("batch_rows", table.batch_rows > 0, function, "a function"),
            ("batch_bytes", table.batch_bytes > 0, function, "a function"),
            ("blob.max_seconds", wait_max_seconds > 0, rows_min > 0, "blobs with `min_rows`"),
        ] {
            if given && !means {
                self.wrong(line, format!("`{field}` says something of an output to {target} only"), "remove it");
            }
        }
        OutputHanding {
            partition_column: table.partition_key.clone(),
            property_columns: table.property_columns.clone(),
            batch_rows: table.batch_rows,
            batch_bytes: table.batch_bytes,
            rows_min,
            wait_max_seconds,
        }
    }
}

fn object_output(table: BlobTable) -> ObjectOutput {
    let BlobTable { container, path, date_format, time_format, array, .. } = table;
    ObjectOutput { bucket: container, path, date_format, time_format, array }
}

fn document_output(table: CosmosTable) -> DocumentOutput {
    let CosmosTable { database, container, document_id, partition_key } = table;
    DocumentOutput { database, container, id_column: document_id, partition_key }
}

#[cfg(test)]
mod tests {
    use crate::pipeline::Pipeline;

    fn of(output: &str) -> Result<Pipeline, String> {
        let text = format!(
            "[[stream]]\nname = \"s\"\n[[query]]\nname = \"q\"\ndialect = \"stream-analytics\"\nsql = \"x\"\n\
             [[query.input]]\nname = \"i\"\nstream = \"s\"\n[[query.output]]\nname = \"o\"\n{output}\n"
        );
        Pipeline::parse("p", &text).map_err(|mistakes| mistakes[0].to_string())
    }

    #[test]
    fn how_rows_are_handed_on_is_said_beside_the_target() {
        let handing = |output: &str| of(output).unwrap().queries[0].value.outputs[0].value.handing.clone();
        let stream = handing("stream = \"s\"\npartition_key = \"symbol\"\nproperty_columns = [\"a\", \"b\"]");
        assert_eq!((stream.partition_column.as_str(), stream.property_columns.len()), ("symbol", 2));
        let blob = handing("blob = { container = \"c\", min_rows = 100, max_seconds = 90 }");
        assert_eq!((blob.rows_min, blob.wait_max_seconds), (100, 90));
    }

    #[test]
    fn what_says_nothing_for_a_target_is_a_mistake() {
        for (output, said) in [
            (
                "blob = { container = \"c\" }\npartition_key = \"a\"",
                "`partition_key` says something of an output to a stream only",
            ),
            ("stream = \"s\"\nbatch_rows = 7", "`batch_rows`"),
            ("blob = { container = \"c\", max_seconds = 90 }", "`blob.max_seconds`"),
            ("blob = { container = \"c\", min_rows = 10001 }", "from 0 to 10000"),
        ] {
            let told = of(output).unwrap_err();
            assert!(told.contains(said), "{output}: {told}");
        }
    }
}
