//! The plan's meaning, written down as plainly as possible: all rows at once, every window recomputed from its rows,
//! no watermarks, no state (`naive.rs`: which windows there are). Slow on purpose; what the engine computes has to equal it.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, SchemaRef, TimestampMillisecondType};
use datafusion_common::ScalarValue;
use millstream_query::plan::{
    AggregateCall, AggregateFunction, AppliedColumn, Apply, Operator, Parts, Program, ScalarExpr, StepInput,
    TimeSource, WindowAggregate,
};

use serde_json::Value as Json;

use crate::naive_join::join;
use crate::{listing, looking_back, naive, naive_pattern, naive_sort};

/// The rows of every step of a program over complete sources (their hidden column holds the arrival).
pub fn run(program: &Program, sources: Vec<RecordBatch>) -> Vec<RecordBatch> {
    let sources: Vec<RecordBatch> =
        program.sources.iter().zip(sources).map(|(plan, batch)| timed(&plan.time, batch)).collect();
    let mut results: Vec<RecordBatch> = Vec::new();
    for step in &program.steps {
        let inputs: Vec<RecordBatch> = step
            .inputs
            .iter()
            .map(|input| match input {
                StepInput::Source(index) => sources[*index].clone(),
                StepInput::Step(index) => results[*index].clone(),
            })
            .collect();
        let result = match &step.operator {
            Operator::Union => concat_batches(&step.schema, &inputs).unwrap(),
            Operator::Project { predicate, columns, rowtime } => {
                let rows = filtered(inputs[0].clone(), predicate.as_ref());
                let time = rowtime.as_ref().map_or_else(|| last(&rows), |time| evaluate(time, &rows));
                projected(&step.schema, columns, &rows, time)
            }
            Operator::Apply(apply) => applied(&step.schema, apply, &inputs[0]),
            Operator::WindowAggregate(aggregate) => window(&step.schema, aggregate, &inputs[0]),
            Operator::Analytic(analytic) => looking_back::rows(&step.schema, analytic, &inputs[0]),
            Operator::PatternMatch(plan) => naive_pattern::matches(&step.schema, plan, &inputs[0]),
            Operator::Sort(sort) => naive_sort::rows(&step.schema, sort, &inputs[0]),
            Operator::Lookup(_) => unreachable!("no case here looks rows up"),
            Operator::Errors => unreachable!("no case here fails"),
            Operator::Scored(_) => unreachable!("what a model learned has no plainer form"),
            Operator::Join(plan) => join(&step.schema, plan, [&inputs[0], &inputs[1]]),
        };
        results.push(result);
    }
    results
}

fn timed(time: &TimeSource, batch: RecordBatch) -> RecordBatch {
    match time {
        TimeSource::Arrival => batch,
        TimeSource::Event(time) => {
            let mut columns = batch.columns().to_vec();
            *columns.last_mut().unwrap() = evaluate(time, &batch);
            RecordBatch::try_new(batch.schema(), columns).unwrap()
        }
    }
}

pub fn last(batch: &RecordBatch) -> ArrayRef {
    Arc::clone(batch.columns().last().unwrap())
}

pub fn evaluate(expression: &ScalarExpr, batch: &RecordBatch) -> ArrayRef {
    let value = expression.physical.evaluate(batch).unwrap().into_array(batch.num_rows()).unwrap();
    assert_eq!(value.data_type(), &expression.data_type, "the plan tells the type of `{}`", expression.text);
    value
}

pub fn filtered(batch: RecordBatch, predicate: Option<&ScalarExpr>) -> RecordBatch {
    let Some(predicate) = predicate else { return batch };
    let keep: BooleanArray =
        evaluate(predicate, &batch).as_boolean().iter().map(|keep| Some(keep == Some(true))).collect();
    filter_record_batch(&batch, &keep).unwrap()
}

fn projected(schema: &SchemaRef, columns: &[(String, ScalarExpr)], rows: &RecordBatch, time: ArrayRef) -> RecordBatch {
    let values = columns.iter().map(|(_, column)| evaluate(column, rows)).chain([time]).collect();
    RecordBatch::try_new(Arc::clone(schema), values).unwrap()
}

/// A group's keys, its window's start, its rows.
type Group = (Vec<ScalarValue>, i64, Vec<usize>);

/// Each row again for each part of its value, by a document of it.
fn applied(schema: &SchemaRef, apply: &Apply, rows: &RecordBatch) -> RecordBatch {
    let values = evaluate(&apply.value, rows);
    let mut results = Vec::new();
    for row in 0..rows.num_rows() {
        let value = values.as_string::<i64>().is_valid(row).then(|| values.as_string::<i64>().value(row));
        let parts: Vec<(Json, Json)> = match (serde_json::from_str(value.unwrap_or("null")).unwrap(), apply.parts) {
            (Json::Array(items), Parts::Elements) => (0..).map(Json::from).zip(items).collect(),
            (Json::Object(members), Parts::Properties) => {
                members.into_iter().map(|(name, value)| (Json::from(name), value)).collect()
            }
            _ if apply.outer => vec![(Json::Null, Json::Null)],
            _ => Vec::new(),
        };
        let parts = if parts.is_empty() && apply.outer { vec![(Json::Null, Json::Null)] } else { parts };
        for (key, value) in parts {
            let json = |value: &Json| ScalarValue::LargeUtf8(Some(value.to_string()).filter(|json| json != "null"));
            let column = |column: &AppliedColumn| match (column, apply.parts) {
                (AppliedColumn::Carried(place), _) => rows.column(*place).slice(row, 1),
                (AppliedColumn::Key, Parts::Elements) => ScalarValue::Int64(key.as_i64()).to_array().unwrap(),
                (AppliedColumn::Key, _) => ScalarValue::Utf8(key.as_str().map(str::to_owned)).to_array().unwrap(),
                (AppliedColumn::Value, _) => json(&value).to_array().unwrap(),
                (AppliedColumn::Part, _) if key.is_null() => ScalarValue::LargeUtf8(None).to_array().unwrap(),
                (AppliedColumn::Part, Parts::Elements) => {
                    json(&serde_json::json!({ "ArrayIndex": key, "ArrayValue": value })).to_array().unwrap()
                }
                (AppliedColumn::Part, _) => {
                    json(&serde_json::json!({ "PropertyName": key, "PropertyValue": value })).to_array().unwrap()
                }
            };
            let columns = apply.columns.iter().map(column).chain([last(rows).slice(row, 1)]).collect();
            results.push(RecordBatch::try_new(Arc::clone(schema), columns).unwrap());
        }
    }
    concat_batches(schema, &results).unwrap()
}

fn window(schema: &SchemaRef, aggregate: &WindowAggregate, input: &RecordBatch) -> RecordBatch {
    let rows = filtered(input.clone(), aggregate.predicate.as_ref());
    let keys: Vec<ArrayRef> = aggregate.keys.iter().map(|key| evaluate(key, &rows)).collect();
    let arguments: Vec<Option<ArrayRef>> =
        aggregate.aggregates.iter().map(|call| call.argument.as_ref().map(|value| evaluate(value, &rows))).collect();
    let times = last(&rows);
    let times = times.as_primitive::<TimestampMillisecondType>();
    let key_of = |row: usize| -> Vec<ScalarValue> {
        keys.iter().map(|key| ScalarValue::try_from_array(key, row).unwrap()).collect()
    };
    let mut shared: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for row in 0..rows.num_rows() {
        let partition = format!("{:?}", &key_of(row)[..naive::partition(aggregate.window.kind, keys.len())]);
        shared.entry(partition).or_default().push(row);
    }
    let mut groups: BTreeMap<(i64, String), Group> = BTreeMap::new();
    for members in shared.values() {
        let instants: Vec<i64> = members.iter().map(|row| times.value(*row)).collect();
        for (start, end, inside) in naive::windows(aggregate.window, &instants) {
            for row in inside.into_iter().map(|place| members[place]) {
                let key = key_of(row);
                let group = groups.entry((end, format!("{key:?}"))).or_insert_with(|| (key, start, Vec::new()));
                group.2.push(row);
            }
        }
    }
    let mut results = Vec::new();
    for ((end, _), (key, start, members)) in groups {
        let mut values = key;
        for (call, argument) in aggregate.aggregates.iter().zip(&arguments) {
            values.push(aggregated(call, argument.as_ref(), &members));
        }
        values.push(ScalarValue::TimestampMillisecond(Some(start), None));
        values.push(ScalarValue::TimestampMillisecond(Some(end), None));
        let columns = values.iter().map(|value| value.to_array().unwrap()).collect();
        let group = RecordBatch::try_new(Arc::clone(&aggregate.group_schema), columns).unwrap();
        let group = filtered(group, aggregate.having.as_ref());
        results.push(projected(schema, &aggregate.columns, &group, last(&group)));
    }
    concat_batches(schema, &results).unwrap()
}

pub fn aggregated(call: &AggregateCall, argument: Option<&ArrayRef>, rows: &[usize]) -> ScalarValue {
    if let Some(listed) = argument.and_then(|argument| listing::listed(call, argument, rows)) {
        return listed;
    }
    match (computed(call, argument, rows), &call.data_type) {
        // Numbers without a fixed type are integers where they are whole.
        (ScalarValue::Float64(Some(float)), DataType::LargeUtf8) if float.fract() == 0.0 => {
            ScalarValue::LargeUtf8(Some((float as i64).to_string()))
        }
        (ScalarValue::Float64(float), DataType::LargeUtf8) => {
            ScalarValue::LargeUtf8(float.map(|float| float.to_string()))
        }
        (value, _) => value,
    }
}

fn computed(call: &AggregateCall, argument: Option<&ArrayRef>, rows: &[usize]) -> ScalarValue {
    let Some(argument) = argument else { return ScalarValue::Int64(Some(rows.len() as i64)) };
    let values = rows.iter().filter(|row| argument.is_valid(**row));
    let mut values: Vec<ScalarValue> = values.map(|row| ScalarValue::try_from_array(argument, *row).unwrap()).collect();
    if call.distinct {
        values.sort_by(|a, b| a.partial_cmp(b).unwrap());
        values.dedup();
    }
    let least = |a: ScalarValue, b: ScalarValue| if b < a { b } else { a };
    let greatest = |a: ScalarValue, b: ScalarValue| if b > a { b } else { a };
    match call.function {
        AggregateFunction::Count => return ScalarValue::Int64(Some(values.len() as i64)),
        _ if values.is_empty() => return ScalarValue::try_from(&call.data_type).unwrap(),
        AggregateFunction::Min => return values.into_iter().reduce(least).unwrap(),
        AggregateFunction::Max => return values.into_iter().reduce(greatest).unwrap(),
        _ => {}
    }
    let numbers: Vec<f64> = values.iter().map(number).collect();
    let count = numbers.len() as f64;
    let sum = numbers.iter().sum::<f64>();
    let mean = sum / count;
    let spread = numbers.iter().map(|number| (number - mean).powi(2)).sum::<f64>();
    let result = match call.function {
        AggregateFunction::Sum => sum,
        AggregateFunction::Avg => mean,
        AggregateFunction::VariancePopulation => spread / count,
        AggregateFunction::StdDevPopulation => (spread / count).sqrt(),
        _ if numbers.len() < 2 => return ScalarValue::Float64(None),
        AggregateFunction::VarianceSample => spread / (count - 1.0),
        _ => (spread / (count - 1.0)).sqrt(),
    };
    match call.data_type {
        DataType::Int64 => ScalarValue::Int64(Some(result as i64)),
        _ => ScalarValue::Float64(Some(result)),
    }
}

fn number(value: &ScalarValue) -> f64 {
    match value {
        ScalarValue::Int64(Some(value)) => *value as f64,
        ScalarValue::Float64(Some(value)) => *value,
        other => panic!("{other:?} is no number"),
    }
}
