//! What aggregates that keep values give, from all values at once.

use arrow::array::{Array as _, ArrayRef, AsArray as _};
use arrow::datatypes::DataType;
use datafusion_common::ScalarValue;
use millstream_query::plan::{AggregateCall, AggregateFunction};

/// The result over rows; `None`: the aggregate keeps no values.
pub fn listed(call: &AggregateCall, argument: &ArrayRef, rows: &[usize]) -> Option<ScalarValue> {
    let present = || rows.iter().copied().filter(|row| argument.is_valid(*row));
    let json = |texts: Vec<String>| ScalarValue::LargeUtf8(Some(format!("[{}]", texts.join(","))));
    Some(match call.function {
        AggregateFunction::Collect => {
            let texts = argument.as_string::<i64>();
            json(
                rows.iter()
                    .map(|row| if texts.is_null(*row) { "null" } else { texts.value(*row) }.to_owned())
                    .collect(),
            )
        }
        AggregateFunction::CollectTop(count) => {
            let ranked = ranked(argument, rows).into_iter().take(count).enumerate();
            json(ranked.map(|(place, value)| format!("{{\"rank\":{},\"value\":{value}}}", place + 1)).collect())
        }
        AggregateFunction::TopOne => ScalarValue::LargeUtf8(ranked(argument, rows).into_iter().next()),
        AggregateFunction::PercentileCont(part) | AggregateFunction::PercentileDisc(part) => {
            let mut values: Vec<ScalarValue> =
                present().map(|row| ScalarValue::try_from_array(argument, row).unwrap()).collect();
            values.sort_by(|a, b| a.partial_cmp(b).unwrap());
            if part.descending {
                values.reverse();
            }
            if values.is_empty() {
                return Some(ScalarValue::try_from(&call.data_type).unwrap());
            }
            if matches!(call.function, AggregateFunction::PercentileDisc(_)) {
                let enough = |count: &usize| *count as f64 / values.len() as f64 >= part.fraction();
                return Some(values[(1..=values.len()).find(enough).unwrap() - 1].clone());
            }
            let floats: Vec<f64> = values.iter().map(|value| f64::try_from(value.clone()).unwrap()).collect();
            let place = part.fraction() * (floats.len() - 1) as f64;
            let (low, high) = (floats[place.floor() as usize], floats[place.ceil() as usize]);
            ScalarValue::Float64(Some(low + (high - low) * place.fract()))
        }
        AggregateFunction::Script => ScalarValue::LargeUtf8(Some(summed(argument, rows).to_string())),
        _ => return None,
    })
}

/// Ranked values in their order: the last byte tells how many in front are not the value.
fn ranked(argument: &ArrayRef, rows: &[usize]) -> Vec<String> {
    assert_eq!(argument.data_type(), &DataType::Binary);
    let mut values: Vec<&[u8]> = rows.iter().map(|row| argument.as_binary::<i32>().value(*row)).collect();
    values.sort_unstable();
    let value = |bytes: &&[u8]| String::from_utf8(bytes[usize::from(bytes[bytes.len() - 1])..bytes.len() - 1].to_vec());
    values.iter().map(value).collect::<Result<_, _>>().unwrap()
}

/// What the only script of these tests makes of values: their sum. The first eight bytes of each are its time.
fn summed(argument: &ArrayRef, rows: &[usize]) -> i64 {
    let value =
        |row: &usize| serde_json::from_slice::<Option<i64>>(&argument.as_binary::<i32>().value(*row)[8..]).unwrap();
    rows.iter().filter_map(value).sum()
}
