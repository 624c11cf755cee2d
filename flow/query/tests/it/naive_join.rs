//! A join as its definition reads: every row of one side beside every row of the other, and nothing kept between them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{SchemaRef, TimestampMillisecondType};
use datafusion_common::ScalarValue;
use millstream_query::plan::{Join, JoinSide};

use crate::reference::{evaluate, last};

/// The pairs of two sides' rows, and the rows without one that are given, too.
pub fn join(schema: &SchemaRef, plan: &Join, inputs: [&RecordBatch; 2]) -> RecordBatch {
    let [left, right] = [Rows::new(&plan.sides[0], inputs[0]), Rows::new(&plan.sides[1], inputs[1])];
    let mut matched = [vec![false; left.times.len()], vec![false; right.times.len()]];
    let mut results = Vec::new();
    for (l, left_time) in left.times.iter().enumerate() {
        for (r, right_time) in right.times.iter().enumerate() {
            let distance = right_time - left_time;
            let near = plan.distance.0 <= distance && distance <= plan.distance.1;
            let equal = left.keys(l) == right.keys(r) && !left.keys(l).iter().any(ScalarValue::is_null);
            if !(near && equal) {
                continue;
            }
            let pair = row(schema, left.values(l), right.values(r), *left_time.max(right_time));
            let is_true = plan.predicate.as_ref().is_none_or(|condition| {
                let value = evaluate(condition, &pair);
                ScalarValue::try_from_array(&value, 0).unwrap() == ScalarValue::Boolean(Some(true))
            });
            if is_true {
                (matched[0][l], matched[1][r]) = (true, true);
                results.push(pair);
            }
        }
    }
    let nothing = |side: &JoinSide| -> Vec<ScalarValue> {
        side.columns.iter().map(|(_, column)| ScalarValue::try_from(&column.data_type).unwrap()).collect()
    };
    for (side, rows) in [&left, &right].into_iter().enumerate() {
        let Some(given) = plan.sides[side].unmatched_ms else { continue };
        for (place, time) in rows.times.iter().enumerate().filter(|(place, _)| !matched[side][*place]) {
            let (own, other) = (rows.values(place), nothing(&plan.sides[1 - side]));
            let (left, right) = if side == 0 { (own, other) } else { (other, own) };
            results.push(row(schema, left, right, time + given));
        }
    }
    concat_batches(schema, &results).unwrap()
}

/// One side's rows.
struct Rows {
    keys: Vec<ArrayRef>,
    columns: Vec<ArrayRef>,
    times: Vec<i64>,
}

impl Rows {
    fn new(side: &JoinSide, input: &RecordBatch) -> Self {
        Self {
            keys: side.keys.iter().map(|key| evaluate(key, input)).collect(),
            columns: side.columns.iter().map(|(_, column)| evaluate(column, input)).collect(),
            times: last(input).as_primitive::<TimestampMillisecondType>().values().to_vec(),
        }
    }

    fn keys(&self, row: usize) -> Vec<ScalarValue> {
        self.keys.iter().map(|key| ScalarValue::try_from_array(key, row).unwrap()).collect()
    }

    fn values(&self, row: usize) -> Vec<ScalarValue> {
        self.columns.iter().map(|column| ScalarValue::try_from_array(column, row).unwrap()).collect()
    }
}

fn row(schema: &SchemaRef, left: Vec<ScalarValue>, right: Vec<ScalarValue>, time: i64) -> RecordBatch {
    let time = ScalarValue::TimestampMillisecond(Some(time), None);
    let columns = left.iter().chain(&right).chain([&time]).map(|value| value.to_array().unwrap()).collect();
    RecordBatch::try_new(Arc::clone(schema), columns).unwrap()
}
