//! What functions that look back give, from all rows at once: each as its definition reads.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, BooleanArray, RecordBatch, UInt32Array, new_empty_array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{SchemaRef, TimestampMillisecondType};
use datafusion_common::ScalarValue;
use millstream_query::plan::{Analytic, AnalyticCall, AnalyticFunction, Extent, Place, WindowBounds};

use crate::reference::{aggregated, evaluate, filtered, last};

/// The rows of a step in the order of their times, those of one time in the order in which they are.
pub fn rows(schema: &SchemaRef, analytic: &Analytic, input: &RecordBatch) -> RecordBatch {
    let input = filtered(input.clone(), analytic.predicate.as_ref());
    let times = last(&input);
    let times = times.as_primitive::<TimestampMillisecondType>();
    let mut order: Vec<u32> = (0..input.num_rows() as u32).collect();
    order.sort_by_key(|row| times.value(*row as usize));
    let rows = take_record_batch(&input, &UInt32Array::from(order)).unwrap();
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
    // The rows of a row's key from the first that it goes back to.
    let inside = |row: usize, extent: Extent| -> Vec<usize> {
        let of_key: Vec<usize> = (0..=row).filter(|other| key(*other) == key(row)).collect();
        let first = match extent {
            Extent::Time(length) => of_key.iter().take_while(|other| times[**other] < times[row] - length).count(),
            Extent::Rows(before) => of_key.len().saturating_sub(before + 1),
        };
        of_key[first..].iter().copied().filter(&counts).collect()
    };
    let result = |row: usize| match &call.function {
        AnalyticFunction::Value { value, default, place, extent } => {
            let rows_inside = inside(row, *extent);
            let found = match place {
                Place::Before(number) => rows_inside.iter().rev().filter(|other| **other != row).nth(number - 1),
                Place::Last(number) => rows_inside.iter().rev().nth(number - 1),
                Place::First(number) => rows_inside.get(number - 1),
            };
            let default =
                |row| default.as_ref().map(|default| ScalarValue::try_from_array(&evaluate(default, rows), row));
            match found {
                Some(found) => ScalarValue::try_from_array(&evaluate(value, rows), *found).unwrap(),
                None => default(row).unwrap_or_else(|| ScalarValue::try_from(&call.data_type)).unwrap(),
            }
        }
        AnalyticFunction::IsFirst { interval_ms, bounds } => {
            let shift = i64::from(*bounds == WindowBounds::OpenClosed);
            let interval = |row: usize| (times[row] - shift).div_euclid(*interval_ms);
            let of_interval = inside(row, Extent::Time(*interval_ms));
            let first = of_interval.into_iter().find(|other| interval(*other) == interval(row));
            ScalarValue::Int64(Some(i64::from(first == Some(row))))
        }
        AnalyticFunction::Anomaly { .. } => panic!("models are tested by what they find, in anomalies.rs"),
        AnalyticFunction::Aggregate { call, extent } => {
            let argument = call.argument.as_ref().map(|argument| evaluate(argument, rows));
            aggregated(call, argument.as_ref(), &inside(row, *extent))
        }
    };
    if rows.num_rows() == 0 {
        return new_empty_array(&call.data_type);
    }
    ScalarValue::iter_to_array((0..rows.num_rows()).map(result)).unwrap()
}
