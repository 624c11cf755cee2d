//! `APPLY`: rows for the parts of an array or a record.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, AsArray as _, Int64Builder, LargeStringBuilder, RecordBatch, StringBuilder, UInt32Array,
};
use arrow::compute::take;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use arrow::error::ArrowError;
use datafusion_common::DataFusionError;

use super::evaluate::value;
use crate::plan::{AppliedColumn, Apply, Parts};
use crate::value::json;

/// Bytes that the rows made of one row may be: its parts are in it, but what is carried along is there once for each.
const BYTES_MAX: usize = 16 << 20;
/// Rows that are taken apart at once: what they make together stays below what 32 bits count.
pub(super) const ROWS_AT_ONCE: usize = 64;

/// The rows that `APPLY` makes of at most [`ROWS_AT_ONCE`] rows.
///
/// # Errors
/// When a row would make more than [`BYTES_MAX`] bytes.
pub(super) fn applied(apply: &Apply, rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let values = value(&apply.value, rows)?;
    let values = values.as_string::<i64>();
    let mut parts = PartColumns::default();
    for row in 0..rows.num_rows() {
        let before = parts.rows.len();
        if values.is_valid(row) {
            parts.add(apply.parts, values.value(row), row);
        }
        if parts.rows.len() == before && apply.outer {
            parts.add_none(row);
        }
        let width: usize = apply.columns.iter().map(|column| width(column, rows, row)).sum();
        let count = parts.rows.len() - before;
        if count.saturating_mul(width) > BYTES_MAX {
            let message =
                format!("APPLY would make {count} rows of {width} bytes of one row, more than {BYTES_MAX} bytes");
            return Err(ArrowError::ComputeError(message).into());
        }
    }
    parts.finish(apply, rows, schema)
}

/// The bytes of a column that is carried along.
fn width(column: &AppliedColumn, rows: &RecordBatch, row: usize) -> usize {
    let AppliedColumn::Carried(place) = column else { return 0 };
    let array = rows.column(*place);
    let length = match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value_length(row).into(),
        DataType::LargeUtf8 => array.as_string::<i64>().value_length(row),
        _ => 8,
    };
    usize::try_from(length).unwrap_or_default()
}

/// What is made of parts, in columns.
#[derive(Default)]
struct PartColumns {
    /// The row that each part is of.
    rows: Vec<u32>,
    indexes: Int64Builder,
    names: StringBuilder,
    values: LargeStringBuilder,
}

impl PartColumns {
    fn add(&mut self, parts: Parts, value: &str, row: usize) {
        match parts {
            Parts::Elements => {
                for (index, element) in json::elements(value).enumerate() {
                    self.indexes.append_value(index as i64);
                    self.add_value(element, row);
                }
            }
            Parts::Properties => {
                for (name, property) in json::members(value) {
                    self.names.append_value(name);
                    self.add_value(property, row);
                }
            }
        }
    }

    fn add_value(&mut self, value: &str, row: usize) {
        self.rows.push(row as u32);
        self.values.append_option(Some(value).filter(|value| *value != "null"));
    }

    /// A row without parts. Of the two kinds of keys one is used.
    fn add_none(&mut self, row: usize) {
        self.rows.push(row as u32);
        self.indexes.append_null();
        self.names.append_null();
        self.values.append_null();
    }

    fn finish(mut self, apply: &Apply, rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
        let from = UInt32Array::from(self.rows);
        let keys: ArrayRef = match apply.parts {
            Parts::Elements => Arc::new(self.indexes.finish()),
            Parts::Properties => Arc::new(self.names.finish()),
        };
        let values: ArrayRef = Arc::new(self.values.finish());
        let mut columns = Vec::with_capacity(apply.columns.len() + 1);
        for column in &apply.columns {
            columns.push(match column {
                AppliedColumn::Carried(place) => take(rows.column(*place), &from, None)?,
                AppliedColumn::Part => records(apply.parts, &keys, &values),
                AppliedColumn::Key => Arc::clone(&keys),
                AppliedColumn::Value => Arc::clone(&values),
            });
        }
        columns.push(take(rows.column(rows.num_columns() - 1), &from, None)?);
        Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
    }
}

/// Parts as records: `{"ArrayIndex":0,"ArrayValue":12}`.
fn records(parts: Parts, keys: &ArrayRef, values: &ArrayRef) -> ArrayRef {
    let mut records = LargeStringBuilder::new();
    for row in 0..keys.len() {
        if keys.is_null(row) {
            records.append_null();
            continue;
        }
        let values = values.as_string::<i64>();
        let value = if values.is_valid(row) { values.value(row) } else { "null" };
        // Writing to a column of texts cannot fail.
        let _ = match parts {
            Parts::Elements => write!(
                records,
                "{{\"ArrayIndex\":{},\"ArrayValue\":{value}}}",
                keys.as_primitive::<Int64Type>().value(row)
            ),
            Parts::Properties => {
                let name = json::quoted(keys.as_string::<i32>().value(row));
                write!(records, "{{\"PropertyName\":{name},\"PropertyValue\":{value}}}")
            }
        };
        records.append_value("");
    }
    Arc::new(records.finish())
}
