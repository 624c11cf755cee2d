//! Kinesis' functions that learn from rows: `RANDOM_CUT_FOREST`, `RANDOM_CUT_FOREST_WITH_EXPLANATION` and `HOTSPOTS`, whose rows are
//! those of their cursor with more columns.
//!
//! Source: the functions' pages in the SQL reference.

use arrow::datatypes::{DataType, Field};

use super::plan_table_function::{Made, TableCall, boolean, float, unknown};
use crate::error::{PlanError, PlanErrorCode};
use crate::expression::scope::{RowScope, column};
use crate::expression::types;
use crate::plan::{Explanation, Forest, Hotspots, Model, Operator, ScalarExpr, Scored};
use crate::scoring::result_columns;

/// The most columns of numbers that a model takes.
const NUMBERS_MAX: usize = 30;

/// What a model may take in a checkpoint, which is one transaction with results and the state of other steps.
const STATE_BYTES_MAX: usize = 12 << 20;

/// What a model may take in memory.
const MEMORY_BYTES_MAX: usize = 256 << 20;

/// The step of a function that learns.
pub(super) fn scored(call: &TableCall, rows: &RowScope) -> Result<Made, PlanError> {
    let own = rows.schema.fields().len() - 1;
    let columns: Vec<ScalarExpr> = (0..own).map(|place| column(&rows.schema, place)).collect();
    let numbers = columns.iter().filter(|value| types::is_numeric(&value.data_type));
    let numbers: Vec<(String, ScalarExpr)> =
        numbers.map(|value| (value.text.clone(), types::convert(value.clone(), &DataType::Float64, false))).collect();
    let model = match call.function.text.as_str() {
        "RANDOM_CUT_FOREST" | "RANDOM_CUT_FOREST_WITH_EXPLANATION" => forest(call, numbers.len())?,
        "HOTSPOTS" => hotspots(call)?,
        _ => return Err(unknown(call.function)),
    };
    if !rows.open && !(1..=NUMBERS_MAX).contains(&numbers.len()) {
        let (name, count) = (&call.function.text, numbers.len());
        let message = format!("{name} takes 1 to {NUMBERS_MAX} columns of numbers, its cursor has {count}");
        return Err(
            PlanError::new(PlanErrorCode::Type, call.function.at, message).hint("CURSOR(SELECT STREAM x, y FROM s)")
        );
    }
    let fields = rows.schema.fields().iter().take(own).map(|field| field.as_ref().clone());
    let results = result_columns(&model).into_iter().map(|(name, data_type)| Field::new(name, data_type, true));
    let fields = fields.chain(results).collect();
    let columns = columns.into_iter().map(|value| (value.text.clone(), value)).collect();
    Ok((Operator::Scored(Box::new(Scored { columns, numbers, model })), fields))
}

/// `(cursor, numberOfTrees, subSampleSize, timeDecay, shingleSize[, withDirectionality])`; what is not given has a default.
fn forest(call: &TableCall, columns: usize) -> Result<Model, PlanError> {
    let explains = call.function.text != "RANDOM_CUT_FOREST";
    let (most, example) = if explains { (5, "100, 256, 100000, 1, true") } else { (4, "100, 256, 100000, 1") };
    call.expect(0..=most, example)?;
    let trees = call.number(0, "the number of trees", 1..=1_000, Some(100))?;
    let sample = call.number(1, "the size of a sample", 10..=1_000, Some(256))?;
    let decay = call.number(2, "the time of decay, in records,", 1..=i64::from(i32::MAX), Some(100_000))?;
    let shingle = call.number(3, "the size of a shingle", 1..=30, Some(1))?;
    if decay <= sample {
        return Err(call.wrong(2, &format!("the time of decay, {decay}, has to be greater than the sample, {sample}")));
    }
    let explanation = match call.arguments.get(4).map(boolean) {
        _ if !explains => Explanation::None,
        None | Some(Some(false)) => Explanation::Attribution,
        Some(Some(true)) => Explanation::Direction,
        Some(None) => return Err(call.wrong(4, "whether directions are told is true or false")),
    };
    let size = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    let (trees, sample, shingle) = (size(trees), size(sample), size(shingle));
    let dimensions = shingle * columns;
    let points = (trees * sample).min(size(decay));
    let state = points * (8 * dimensions + 16) + trees * sample * 8;
    let memory = trees * sample * (16 * dimensions + 128);
    if state > STATE_BYTES_MAX || memory > MEMORY_BYTES_MAX {
        let message = format!(
            "{trees} trees of {sample} points of {dimensions} numbers take up to {state} bytes in a checkpoint and {memory} in \
             memory; they may take {STATE_BYTES_MAX} and {MEMORY_BYTES_MAX}"
        );
        let error = PlanError::new(PlanErrorCode::TooLarge, call.function.at, message);
        return Err(error.hint("fewer trees, a smaller sample, a smaller shingle or fewer columns"));
    }
    let decay = u32::try_from(decay).unwrap_or(u32::MAX);
    Ok(Model::Forest(Forest { trees, sample, decay, shingle, explanation }))
}

/// `(cursor, windowSize, scanRadius, minimumNumberOfPointsInAHotspot)`.
fn hotspots(call: &TableCall) -> Result<Model, PlanError> {
    call.expect(3..=3, "1000, 0.02, 20")?;
    let window = call.number(0, "the size of the window", 100..=1_000, None)?;
    let radius = call.arguments.get(1).and_then(float).filter(|radius| radius.is_finite() && *radius > 0.0);
    let radius = radius.ok_or_else(|| call.wrong(1, "the radius is a number greater than 0"))?;
    let least = call.number(2, "the number of points of a hotspot", 2..=window, None)?;
    let size = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    Ok(Model::Hotspots(Hotspots { window: size(window), radius, least: size(least) }))
}
