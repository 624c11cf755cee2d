//! Inputs as sources: their columns, where values are found, which time they go by.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use millstream_catalog::{ColumnDefinition, QueryDialect};

use super::InputSchema;
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::expression::scope::{METADATA, RowScope};
use crate::expression::types;
use crate::plan::{ColumnOrigin, Fit, SourceColumn, SourcePlan, TIMESTAMP, TimeSource, with_rowtime};

/// The columns that a language adds to those of the records, in the order in which `*` stands for them.
fn added_columns(dialect: QueryDialect) -> Vec<SourceColumn> {
    let column =
        |name: &str, data_type, origin| SourceColumn { name: name.to_owned(), data_type, origin, fit: Fit::Converted };
    match dialect {
        QueryDialect::Standard => Vec::new(),
        QueryDialect::Kinesis => vec![column("APPROXIMATE_ARRIVAL_TIME", TIMESTAMP, ColumnOrigin::Arrival)],
        QueryDialect::StreamAnalytics => vec![
            column("EventProcessedUtcTime", TIMESTAMP, ColumnOrigin::Processed),
            column("PartitionId", DataType::Int64, ColumnOrigin::Shard),
            column("EventEnqueuedUtcTime", TIMESTAMP, ColumnOrigin::Arrival),
        ],
    }
}

/// What of events only `GetMetadataPropertyValue` names; `*` never stands for it.
fn metadata(dialect: QueryDialect) -> Vec<SourceColumn> {
    let column = |name: &str, data_type, origin| SourceColumn {
        name: format!("{METADATA}{name}"),
        data_type,
        origin,
        fit: Fit::Converted,
    };
    match dialect {
        QueryDialect::Kinesis | QueryDialect::Standard => Vec::new(),
        QueryDialect::StreamAnalytics => vec![
            column("EventProcessedUtcTime", TIMESTAMP, ColumnOrigin::Processed),
            column("PartitionId", DataType::Int64, ColumnOrigin::Shard),
            column("EventEnqueuedUtcTime", TIMESTAMP, ColumnOrigin::Arrival),
            column("SequenceNumber", DataType::Int64, ColumnOrigin::Sequence),
            column("PartitionKey", DataType::Utf8, ColumnOrigin::PartitionKey),
        ],
    }
}

/// A source with all its columns: those of its definition or those that the query `declares`, and those that the language
/// adds; `*` stands for them where the input is a hub.
pub(super) fn source(
    dialect: QueryDialect,
    input: &InputSchema,
    declares: Option<&[SourceColumn]>,
) -> Result<(SourcePlan, RowScope), PlanError> {
    let mut columns = declares.unwrap_or_default().to_vec();
    let defined = if declares.is_none() { input.columns.as_deref().unwrap_or_default() } else { &[] };
    for (position, definition) in defined.iter().enumerate() {
        columns.push(SourceColumn {
            fit: Fit::Converted,
            name: definition.name.clone(),
            data_type: types::of_column(dialect, definition.column_type),
            origin: origin(input, definition, position)?,
        });
    }
    let own = columns.len();
    let added = if input.reference { Vec::new() } else { added_columns(dialect) };
    for added in added {
        if !columns[..own].iter().any(|column| column.name.eq_ignore_ascii_case(&added.name)) {
            columns.push(added);
        }
    }
    let visible = if input.hub { columns.len() } else { own };
    columns.extend(metadata(dialect));
    let schema = with_rowtime(columns.iter().map(|column| {
        let nullable = matches!(column.origin, ColumnOrigin::Field { .. } | ColumnOrigin::PartitionKey);
        Field::new(&column.name, column.data_type.clone(), nullable)
    }));
    let scope = RowScope {
        dialect,
        qualifiers: vec![input.name.clone()],
        schema: Arc::clone(&schema),
        visible,
        open: input.columns.is_none() && declares.is_none(),
        looked_back: Vec::new(),
        clocks: Vec::new(),
        ends: Vec::new(),
        records: Vec::new(),
        timed: !input.reference,
        sides: Vec::new(),
        times: false,
        windowed: None,
        apart_by: Vec::new(),
    };
    let source = SourcePlan {
        name: input.name.clone(),
        columns,
        schema,
        time: TimeSource::Arrival,
        watermark_ms: None,
        timelines: Vec::new(),
    };
    Ok((source, scope))
}

/// The scope of a step's rows.
pub(super) fn step_scope(dialect: QueryDialect, name: &str, schema: &Arc<Schema>) -> RowScope {
    RowScope {
        dialect,
        qualifiers: vec![name.to_owned()],
        schema: Arc::clone(schema),
        visible: schema.fields().len() - 1,
        open: false,
        looked_back: Vec::new(),
        clocks: Vec::new(),
        ends: Vec::new(),
        records: Vec::new(),
        timed: true,
        sides: Vec::new(),
        times: false,
        windowed: None,
        apart_by: Vec::new(),
    }
}

/// `$.a.b` as a way into an object; digits as a place in delimited text; nothing: the field of the column's name.
pub(super) fn origin(
    input: &InputSchema,
    column: &ColumnDefinition,
    position: usize,
) -> Result<ColumnOrigin, PlanError> {
    let name = || vec![column.name.clone()];
    let Some(mapping) = column.mapping.as_deref().filter(|mapping| !mapping.is_empty()) else {
        return Ok(ColumnOrigin::Field { path: name(), position });
    };
    if let Ok(position) = mapping.parse() {
        return Ok(ColumnOrigin::Field { path: name(), position });
    }
    let path: Vec<String> =
        mapping.trim_start_matches('$').trim_start_matches('.').split('.').map(str::to_owned).collect();
    if mapping.contains('[') || path.iter().any(String::is_empty) {
        let message = format!(
            "not supported yet: the mapping `{mapping}` of column `{}` of `{}` (elements of arrays)",
            column.name, input.name
        );
        let at = Position { line: 1, column: 1 };
        return Err(PlanError::new(PlanErrorCode::NotSupported, at, message).hint("$.field or $.outer.inner"));
    }
    Ok(ColumnOrigin::Field { path, position })
}
