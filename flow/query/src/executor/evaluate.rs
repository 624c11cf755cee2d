//! Expressions over batches, and what becomes of a batch in which one row fails.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch, new_empty_array};
use arrow::compute::{concat, concat_batches, filter_record_batch, prep_null_mask_filter};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_common::DataFusionError;

use super::ExecuteError;
use super::failure::Failure;
use crate::expression::grown::{TEXTS_BYTES_MAX, texts_too_long};
use crate::plan::{ROWTIME, ScalarExpr, TIMESTAMP, WindowAggregate};
use crate::script::Batch;

/// What results may take that are made row by row, in their longest columns: as much as a call may make of all rows at once.
const JOINED_BYTES_MAX: usize = TEXTS_BYTES_MAX;

/// What a computation over a batch gives; both kinds can be put together again from pieces.
pub(super) trait Pieces: Sized {
    fn joined(pieces: Vec<Self>) -> Result<Self, ExecuteError>;

    /// What its longest column takes.
    fn bytes(&self) -> usize;
}

impl Pieces for RecordBatch {
    fn joined(pieces: Vec<Self>) -> Result<Self, ExecuteError> {
        let schema = pieces.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
        Ok(concat_batches(&schema, &pieces)?)
    }

    fn bytes(&self) -> usize {
        self.columns().iter().map(Pieces::bytes).max().unwrap_or_default()
    }
}

impl Pieces for ArrayRef {
    fn joined(pieces: Vec<Self>) -> Result<Self, ExecuteError> {
        let arrays: Vec<&dyn arrow::array::Array> = pieces.iter().map(AsRef::as_ref).collect();
        Ok(if arrays.is_empty() { new_empty_array(&DataType::Null) } else { concat(&arrays)? })
    }

    fn bytes(&self) -> usize {
        // Of a part of an array only that part, whatever else its memory holds.
        self.to_data().get_slice_memory_size().unwrap_or_default()
    }
}

/// Computes something over a batch. When that fails it is computed row by row, so that only the rows at fault are left out:
/// gives the rows that went well, the result over them, and what went wrong.
pub(super) fn by_row<T: Pieces>(
    rows: &RecordBatch,
    compute: impl Fn(&RecordBatch) -> Result<T, DataFusionError>,
) -> Result<(RecordBatch, T, Vec<Failure>), ExecuteError> {
    let first_error = match compute(rows) {
        Ok(made) => return Ok((rows.clone(), made, Vec::new())),
        Err(DataFusionError::ResourcesExhausted(reason)) => return Err(ExecuteError::TooLarge(reason)),
        Err(error) => error,
    };
    let (mut kept, mut pieces, mut errors, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0);
    // What scripts may take for all rows they may take for these rows together: results of every row are kept here.
    let _batch = Batch::begin();
    for row in 0..rows.num_rows() {
        let one = rows.slice(row, 1);
        match compute(&one) {
            Ok(made) => {
                bytes += made.bytes();
                if bytes > JOINED_BYTES_MAX {
                    return Err(ExecuteError::TooLarge(texts_too_long()));
                }
                kept.push(one);
                pieces.push(made);
            }
            Err(DataFusionError::ResourcesExhausted(reason)) => return Err(ExecuteError::TooLarge(reason)),
            Err(error) => errors.push(Failure { row, reason: error.strip_backtrace() }),
        }
    }
    if errors.is_empty() && pieces.is_empty() {
        // There is no row that could be at fault: the plan is.
        return Err(ExecuteError::Plan(first_error.strip_backtrace()));
    }
    // That no row fails on its own happens: a script that took too many steps, or too long, may have more of them the next time.
    if pieces.is_empty() {
        let empty = rows.slice(0, 0);
        let made = compute(&empty).map_err(|error| ExecuteError::Plan(error.strip_backtrace()))?;
        return Ok((empty, made, errors));
    }
    Ok((concat_batches(&rows.schema(), &kept)?, T::joined(pieces)?, errors))
}

/// An expression's values, one a row.
pub(super) fn value(expression: &ScalarExpr, rows: &RecordBatch) -> Result<ArrayRef, DataFusionError> {
    // One of constants fails without any row, and that is nobody's error.
    if rows.num_rows() == 0 {
        return Ok(new_empty_array(&expression.data_type));
    }
    expression.physical.evaluate(rows)?.into_array(rows.num_rows())
}

/// The rows for which a predicate is true: not false, not null.
pub(super) fn keep(predicate: Option<&ScalarExpr>, rows: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
    let Some(predicate) = predicate else { return Ok(rows.clone()) };
    let mask = value(predicate, rows)?;
    let mask = mask.as_boolean();
    let kept = if mask.null_count() > 0 {
        filter_record_batch(rows, &prep_null_mask_filter(mask))?
    } else {
        filter_record_batch(rows, mask)?
    };
    Ok(kept)
}

/// For which rows a predicate is true, and why it could not be computed of others.
pub(crate) fn true_rows(predicate: &ScalarExpr, rows: &RecordBatch) -> Result<(Vec<bool>, Vec<Failure>), ExecuteError> {
    let (_, mask, failed) = by_row(rows, |rows| value(predicate, rows))?;
    // There are no values of rows that failed, and none at all when all did.
    let mut values = mask.as_boolean_opt().into_iter().flatten();
    let mut failures = failed.iter().map(|failure| failure.row).peekable();
    let is_true = |row| failures.next_if_eq(&row).is_none() && values.next().flatten() == Some(true);
    Ok(((0..rows.num_rows()).map(is_true).collect(), failed))
}

/// The columns of a step's result, with the row time last: computed, or the one the rows have.
pub(super) fn columns(
    wanted: &[(String, ScalarExpr)],
    rowtime: Option<&ScalarExpr>,
    rows: &RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch, DataFusionError> {
    let mut columns = Vec::with_capacity(wanted.len() + 1);
    for (_, expression) in wanted {
        columns.push(value(expression, rows)?);
    }
    columns.push(match rowtime {
        Some(expression) => value(expression, rows)?,
        None => rows.column(rows.num_columns() - 1).clone(),
    });
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// What an aggregation needs of its rows: keys, then the arguments that there are.
pub(super) fn inputs_of(aggregate: &WindowAggregate) -> Vec<&ScalarExpr> {
    let arguments = aggregate.aggregates.iter().filter_map(|call| call.argument.as_ref());
    aggregate.keys.iter().chain(arguments).collect()
}

/// Some expressions' values as a batch, with the row time last.
pub(super) fn values(wanted: &[&ScalarExpr], rows: &RecordBatch) -> Result<RecordBatch, DataFusionError> {
    let mut fields = Vec::with_capacity(wanted.len() + 1);
    let mut columns = Vec::with_capacity(wanted.len() + 1);
    for (index, expression) in wanted.iter().enumerate() {
        let column = value(expression, rows)?;
        fields.push(Field::new(index.to_string(), column.data_type().clone(), true));
        columns.push(column);
    }
    fields.push(Field::new(ROWTIME, TIMESTAMP, false));
    columns.push(rows.column(rows.num_columns() - 1).clone());
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::Int64Type;

    use super::*;

    #[test]
    fn scripts_are_bounded_for_rows_one_by_one_as_for_all_at_once() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
        let rows = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let batches = RefCell::new(Vec::new());
        let compute = |rows: &RecordBatch| {
            batches.borrow_mut().push(Batch::current());
            let fails = rows.column(0).as_primitive::<Int64Type>().values().contains(&2);
            if fails { Err(DataFusionError::Execution("two".to_owned())) } else { Ok(rows.clone()) }
        };
        let (kept, _, errors) = by_row(&rows, compute).unwrap();
        assert_eq!((kept.num_rows(), errors.len()), (2, 1));
        let batches = batches.into_inner();
        assert!(batches[0].is_none() && batches[1].is_some(), "{batches:?}");
        assert_eq!(batches[1..], [batches[1]; 3]);
        assert_eq!(Batch::current(), None);
    }

    #[test]
    fn results_row_by_row_are_bounded_as_those_of_all_rows_at_once() {
        let rows = |count| {
            let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..count));
            RecordBatch::try_from_iter([("n", column)]).unwrap()
        };
        let text: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(4 << 20)]));
        let made = |count| {
            by_row(&rows(count), |rows| match rows.num_rows() {
                1 => Ok(Arc::clone(&text)),
                _ => Err(DataFusionError::Execution("not all at once".to_owned())),
            })
        };
        assert_eq!(made(4).unwrap().1.len(), 4);
        assert!(matches!(made(100), Err(ExecuteError::TooLarge(_))), "400 MiB");
    }

    #[test]
    fn what_fails_once_and_then_no_more_does_not_stop_the_query() {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        let rows = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let calls = RefCell::new(0);
        let compute = |rows: &RecordBatch| {
            *calls.borrow_mut() += 1;
            if *calls.borrow() == 1 { Err(DataFusionError::Execution("late".to_owned())) } else { Ok(rows.clone()) }
        };
        let (kept, made, errors) = by_row(&rows, compute).unwrap();
        assert_eq!((kept, made, errors), (rows.clone(), rows, Vec::new()));
        let none = RecordBatch::new_empty(Arc::new(Schema::empty()));
        let broken = |_: &RecordBatch| Err::<RecordBatch, _>(DataFusionError::Execution("broken".to_owned()));
        assert!(matches!(by_row(&none, broken), Err(ExecuteError::Plan(_))));
    }
}
