//! Inputs as sources: their columns, where values are found, which time they go by.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use millstream_catalog::{ColumnDefinition, QueryDialect};

use super::InputSchema;
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::expression::scope::{METADATA, RowScope};
use crate::expression::types;
use crate::plan::{ColumnOrigin, Fit, RowsWithin, SourceColumn, SourcePlan, TIMESTAMP, TimeSource, with_rowtime};

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
    let mut rows_within = None;
    for (position, definition) in defined.iter().enumerate() {
        let (origin, within) = origin_within(input, definition, position)?;
        if rows_within.is_some() && within.is_some() && rows_within != within {
            let message = format!(
                "not supported yet: one array of an input's records gives rows, and those of `{}` have two",
                input.name
            );
            return Err(PlanError::new(PlanErrorCode::NotSupported, Position { line: 1, column: 1 }, message));
        }
        rows_within = rows_within.or(within);
        columns.push(SourceColumn {
            fit: Fit::Converted,
            name: definition.name.clone(),
            data_type: types::of_column(dialect, definition.column_type),
            origin,
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
        rows_within,
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
    match origin_within(input, column, position)? {
        (origin, None) => Ok(origin),
        (_, Some(_)) => Err(elements_of_arrays(input, column)),
    }
}

fn elements_of_arrays(input: &InputSchema, column: &ColumnDefinition) -> PlanError {
    let mapping = column.mapping.as_deref().unwrap_or_default();
    let message = format!(
        "not supported yet: the mapping `{mapping}` of column `{}` of `{}` (elements of arrays)",
        column.name, input.name
    );
    let at = Position { line: 1, column: 1 };
    PlanError::new(PlanErrorCode::NotSupported, at, message).hint("$.field, $.outer.inner or $.array[0:].field")
}

/// The same, and where the array is whose elements are rows: `$.a[0:].b` is a value of them, `$.a[*].b` too where they alone are
/// rows; `$.a[0:]` is the whole array.
fn origin_within(
    input: &InputSchema,
    column: &ColumnDefinition,
    position: usize,
) -> Result<(ColumnOrigin, Option<RowsWithin>), PlanError> {
    let name = || vec![column.name.clone()];
    let Some(mapping) = column.mapping.as_deref().filter(|mapping| !mapping.is_empty()) else {
        return Ok((ColumnOrigin::Field { path: name(), position }, None));
    };
    if let Ok(position) = mapping.parse() {
        return Ok((ColumnOrigin::Field { path: name(), position }, None));
    }
    let names = |path: &str| -> Vec<String> { path.trim_start_matches('.').split('.').map(str::to_owned).collect() };
    let way = mapping.trim_start_matches('$').trim_end_matches("[0:]");
    let (array, rest, always) = match (way.split_once("[0:]"), way.split_once("[*]")) {
        (Some((array, rest)), None) => (Some(array), rest, true),
        (None, Some((array, rest))) => (Some(array), rest, false),
        (None, None) => (None, way, false),
        (Some(_), Some(_)) => (None, "", false),
    };
    let array = array.map(names);
    let path: Vec<String> = array.iter().flatten().cloned().chain(names(rest)).collect();
    if path.iter().any(|name| name.is_empty() || name.contains('[')) {
        return Err(elements_of_arrays(input, column));
    }
    Ok((ColumnOrigin::Field { path, position }, array.map(|path| RowsWithin { path, always })))
}
