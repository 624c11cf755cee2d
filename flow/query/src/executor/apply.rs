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

use super::evaluate::{by_row, value};
use super::{ExecuteError, Executor};
use crate::plan::{AppliedColumn, Apply, Operator, Parts, StepInput};
use crate::value::json;

/// Bytes that the rows made of one row may be, by one `APPLY` or by all that are behind each other: its parts are in it, but what is
/// carried along is there once for each.
const BYTES_MAX: usize = 16 << 20;
/// Bytes that all rows made between two deliveries may be.
const MADE_BYTES_MAX: usize = 64 << 20;
/// Rows that are taken apart at once.
const ROWS_AT_ONCE: usize = 64;
/// Rows that may come of one row by several `APPLY`s behind each other, where its value is not longer in bytes: parts of parts
/// are never more than that, but independent ones multiply.
const ROWS_MAX: usize = 1 << 16;

/// What is told of rows beyond that.
const LEFT_OUT: &str = "one row taken apart several times makes too many rows";

/// What rows taken apart may still make.
#[derive(Default)]
pub(super) struct Room {
    /// Of the row at hand, where several `APPLY`s are behind each other: rows and bytes.
    of_row: Option<(usize, usize)>,
    /// Bytes of all rows since they were delivered.
    made: usize,
}

impl Room {
    /// Whether rows that go on have none left.
    fn is_used_up(&self) -> bool {
        self.of_row.is_some_and(|(rows, bytes)| rows == 0 || bytes == 0)
    }

    /// As many of the rows as there still is room for; of the others, what is told.
    fn take(&mut self, made: &RecordBatch) -> (RecordBatch, Option<String>) {
        let (mut kept, mut reason) = (0, "");
        while kept < made.num_rows() {
            let width = row_width(made, kept);
            if self.made + width > MADE_BYTES_MAX {
                reason = "the rows that APPLY makes of records read at once are more than 64 MiB";
                break;
            }
            match &mut self.of_row {
                Some((rows, bytes)) if *rows == 0 || *bytes < width => {
                    (*bytes, reason) = (0, LEFT_OUT);
                    break;
                }
                Some((rows, bytes)) => (*rows, *bytes) = (*rows - 1, *bytes - width),
                None => {}
            }
            self.made += width;
            kept += 1;
        }
        let left_out = made.num_rows() - kept;
        (made.slice(0, kept), (left_out > 0).then(|| format!("{reason}: {left_out} are left out")))
    }
}

impl Executor {
    /// Takes rows apart and hands on what comes of them.
    pub(super) fn apply(
        &mut self,
        step: usize,
        apply: &Apply,
        schema: &SchemaRef,
        rows: &RecordBatch,
    ) -> Result<(), ExecuteError> {
        let first_of_several = self.apply_room.of_row.is_none() && self.is_applied_again(step);
        let mut from = 0;
        while from < rows.num_rows() {
            if self.apply_room.is_used_up() {
                let left_out = format!("{LEFT_OUT}: {} are not taken apart", rows.num_rows() - from);
                self.note_failed([left_out].iter());
                break;
            }
            let count = if first_of_several { 1 } else { at_once(rows, from) };
            let piece = rows.slice(from, count);
            from += count;
            let (kept, made, failed) = by_row(&piece, |rows| applied(apply, rows, schema))?;
            self.failed(step, &piece, &failed)?;
            if first_of_several {
                self.apply_room.of_row = Some((longest(apply, &kept).max(ROWS_MAX), BYTES_MAX));
            }
            let (handed_on, left_out) = self.apply_room.take(&made);
            self.note_failed(left_out.iter());
            let given = self.give(step, &handed_on);
            if first_of_several {
                self.apply_room.of_row = None;
            }
            given?;
        }
        Ok(())
    }

    /// Whether what a step gives is taken apart again before a window holds it.
    fn is_applied_again(&self, step: usize) -> bool {
        let mut reached = vec![false; self.program.steps.len()];
        reached[step] = true;
        // Steps come behind those that they read.
        for later in &self.program.steps[step + 1..] {
            let reads = later.inputs.iter().any(|input| matches!(input, StepInput::Step(index) if reached[*index]));
            match later.operator {
                Operator::Apply(_) if reads => return true,
                Operator::Project { .. } | Operator::Union => reached[later.id] = reads,
                _ => {}
            }
        }
        false
    }
}

/// How many rows from one on are taken apart at once: a row makes at most a part for each of its bytes, and repeats not more than
/// itself for each.
fn at_once(rows: &RecordBatch, from: usize) -> usize {
    let (mut count, mut bytes) = (0, 0_usize);
    while count < ROWS_AT_ONCE.min(rows.num_rows() - from) {
        let width = row_width(rows, from + count);
        bytes = bytes.saturating_add(width.saturating_mul(width));
        if count > 0 && bytes > BYTES_MAX {
            break;
        }
        count += 1;
    }
    count
}

/// The bytes of the longest value that is taken apart.
fn longest(apply: &Apply, rows: &RecordBatch) -> usize {
    let Ok(values) = value(&apply.value, rows) else { return 0 };
    values.as_string::<i64>().iter().flatten().map(str::len).max().unwrap_or(0)
}

/// The rows that `APPLY` makes of at most [`ROWS_AT_ONCE`] rows.
///
/// # Errors
/// When a row would make more than [`BYTES_MAX`] bytes.
fn applied(apply: &Apply, rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
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
        let carried = apply.columns.iter().filter_map(|column| match column {
            AppliedColumn::Carried(place) => Some(rows.column(*place)),
            _ => None,
        });
        let width: usize = carried.map(|array| width(array, row)).sum();
        let count = parts.rows.len() - before;
        if count.saturating_mul(width) > BYTES_MAX {
            let message =
                format!("APPLY would make {count} rows of {width} bytes of one row, more than {BYTES_MAX} bytes");
            return Err(ArrowError::ComputeError(message).into());
        }
    }
    parts.finish(apply, rows, schema)
}

/// The bytes of all values of a row.
fn row_width(rows: &RecordBatch, row: usize) -> usize {
    rows.columns().iter().map(|array| width(array, row)).sum()
}

fn width(array: &ArrayRef, row: usize) -> usize {
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
