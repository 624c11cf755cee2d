//! What functions that look back give, from all rows at once: each as its definition reads.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{SchemaRef, TimestampMillisecondType};
use datafusion_common::ScalarValue;
use millstream_query::plan::{Analytic, AnalyticCall, AnalyticFunction};

use crate::reference::{aggregated, evaluate, last};

/// The rows of a step in the order of their times, those of one time in the order in which they are.
pub fn rows(schema: &SchemaRef, analytic: &Analytic, input: &RecordBatch) -> RecordBatch {
    let times = last(input);
    let times = times.as_primitive::<TimestampMillisecondType>();
    let mut order: Vec<u32> = (0..input.num_rows() as u32).collect();
    order.sort_by_key(|row| times.value(*row as usize));
    let rows = take_record_batch(input, &UInt32Array::from(order)).unwrap();
    let columns = analytic.columns.iter().map(|(_, value)| evaluate(value, &rows));
    let calls = analytic.calls.iter().map(|call| results(call, &rows));
    RecordBatch::try_new(Arc::clone(schema), columns.chain(calls).chain([last(&rows)]).collect()).unwrap()
}

fn results(call: &AnalyticCall, rows: &RecordBatch) -> ArrayRef {
    let times = last(rows);
    let times = times.as_primitive::<TimestampMillisecondType>().values();
    let keys: Vec<ArrayRef> = call.partition_by.iter().map(|key| evaluate(key, rows)).collect();
    let key = |row: usize| -> Vec<ScalarValue> {
        keys.iter().map(|key| ScalarValue::try_from_array(key, row).unwrap()).collect()
    };
    let when: Option<BooleanArray> = call.when.as_ref().map(|when| evaluate(when, rows).as_boolean().clone());
    let counts = |row: &usize| when.as_ref().is_none_or(|when| when.iter().nth(*row).flatten() == Some(true));
    // Of rows up to one those that count for it, and that are younger than a duration.
    let young = |rows: std::ops::Range<usize>, row: usize, duration: i64| -> Vec<usize> {
        rows.filter(counts).filter(|other| key(*other) == key(row) && times[*other] > times[row] - duration).collect()
    };
    let result = |row: usize| match &call.function {
        AnalyticFunction::Lag { value, default, offset, duration_ms } => {
            let before = young(0..row + usize::from(*offset == 0), row, *duration_ms);
            match before.iter().rev().nth(offset.saturating_sub(1)) {
                Some(found) => ScalarValue::try_from_array(&evaluate(value, rows), *found).unwrap(),
                None => default.as_ref().map_or_else(
                    || ScalarValue::try_from(&call.data_type).unwrap(),
                    |default| ScalarValue::try_from_array(&evaluate(default, rows), row).unwrap(),
                ),
            }
        }
        AnalyticFunction::IsFirst { interval_ms } => {
            let interval = |row: usize| (times[row] - 1).div_euclid(*interval_ms);
            let earlier = young(0..row, row, *interval_ms).into_iter().any(|other| interval(other) == interval(row));
            ScalarValue::Int64(Some(i64::from(counts(&row) && !earlier)))
        }
        AnalyticFunction::Aggregate { call, duration_ms } => {
            let argument = call.argument.as_ref().map(|argument| evaluate(argument, rows));
            aggregated(call, argument.as_ref(), &young(0..row + 1, row, *duration_ms))
        }
    };
    ScalarValue::iter_to_array((0..rows.num_rows()).map(result)).unwrap()
}
