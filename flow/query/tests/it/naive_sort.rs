//! What ordering gives, from all rows at once: each row's place by counting the rows before it.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, Int64Array, RecordBatch, TimestampMillisecondArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{SchemaRef, TimestampMillisecondType};
use datafusion_common::ScalarValue;
use millstream_query::plan::{RankOrder, Sort};

use crate::reference::{evaluate, last};

/// The rows of a step, stretch by stretch.
pub fn rows(schema: &SchemaRef, sort: &Sort, input: &RecordBatch) -> RecordBatch {
    let times = last(input);
    let times = times.as_primitive::<TimestampMillisecondType>().values();
    let keys: Vec<(ArrayRef, bool)> = sort.keys.iter().map(|(key, down)| (evaluate(key, input), *down)).collect();
    let stretch = |row: usize| sort.stretch_ms.map_or(times[row], |length| times[row].div_euclid(length));
    let compare = |left: usize, right: usize| {
        for (key, down) in &keys {
            let value = |row| ScalarValue::try_from_array(key, row).unwrap();
            let order = match (value(left), value(right)) {
                (left, right) if left.is_null() || right.is_null() => right.is_null().cmp(&left.is_null()),
                (left, right) => left.partial_cmp(&right).unwrap(),
            };
            if order != Ordering::Equal {
                return if *down { order.reverse() } else { order };
            }
        }
        Ordering::Equal
    };
    let all = 0..input.num_rows();
    let mates = |row: usize| all.clone().filter(move |other| stretch(*other) == stretch(row));
    let rank = |row: usize| 1 + mates(row).filter(|other| compare(*other, row).is_lt()).count() as i64;
    // Rows of one stretch come as their times do.
    let arrival = |row: usize| mates(row).filter(|other| (times[*other], *other) < (times[row], row)).count() as i64;
    let place = |row: usize| match sort.rank {
        Some(RankOrder::Descending) => (-rank(row), arrival(row)),
        Some(RankOrder::Arrival) => (0, arrival(row)),
        _ => (rank(row), arrival(row)),
    };
    let before = |row: usize| mates(row).filter(|other| place(*other) < place(row)).count();
    let mut kept: Vec<usize> = all.clone().filter(|row| sort.most.is_none_or(|most| before(*row) < most)).collect();
    kept.sort_by_key(|row| (stretch(*row), place(*row)));
    let time = |row: &usize| sort.stretch_ms.map_or(times[*row], |length| (stretch(*row) + 1) * length);
    let places = UInt32Array::from_iter_values(kept.iter().map(|row| *row as u32));
    let column = |column: ArrayRef| take(&column, &places, None).unwrap();
    let columns = sort.columns.iter().map(|(_, value)| column(evaluate(value, input)));
    let ranks: ArrayRef = Arc::new(Int64Array::from_iter_values(kept.iter().map(|row| rank(*row))));
    let times: ArrayRef = Arc::new(TimestampMillisecondArray::from_iter_values(kept.iter().map(time)));
    let columns = columns.chain(sort.rank.map(|_| ranks)).chain([times]);
    RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap()
}
