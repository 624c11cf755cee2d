//! `CAST`, `TRY_CAST`, and assignment to a declared column, by each language's rules.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::error::ArrowError;
use millstream_catalog::QueryDialect;

use super::kernel::{Kernel, call};
use super::scope::{is_unknown, literal};
use super::{standard, time, types};
use crate::dialect::syntax::TypeName;
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::plan::{ScalarExpr, TIMESTAMP, VALUE};
use crate::value;

/// `CAST(value AS to)`.
pub(crate) fn cast(
    dialect: QueryDialect,
    value: ScalarExpr,
    to: &TypeName,
    lenient: bool,
) -> Result<ScalarExpr, PlanError> {
    let target = types::of_name(dialect, to)?;
    if target == VALUE {
        return match value.data_type {
            VALUE => Ok(value::convert::of_shape(value, to.name == "RECORD", lenient)),
            _ if is_unknown(&value.data_type) => Ok(types::convert(value, &VALUE, lenient)),
            _ => {
                let message = format!("a {} is no {}", types::name(dialect, &value.data_type), to.name.to_lowercase());
                Err(PlanError::new(PlanErrorCode::Type, to.at, message).hint(format!("JSON_PARSE({})", value.text)))
            }
        };
    }
    if let (QueryDialect::Standard, DataType::Utf8, Some(length)) = (dialect, &target, to.length) {
        let message = format!("not supported yet: a CAST that cuts or fills text, to {}({length})", to.name);
        let hint = format!("SUBSTRING(CAST({} AS STRING) FROM 1 FOR {length})", value.text);
        return Err(PlanError::new(PlanErrorCode::NotSupported, to.at, message).hint(hint));
    }
    let cast = explicit(dialect, value, &target, lenient, to.at)?;
    Ok(bounded(dialect, cast, to))
}

/// The value as a declared column takes it: Kinesis' assignment converts between numbers and checks lengths of text, the standard
/// dialect's makes doubles of whole numbers, and nothing else.
pub(crate) fn assign(
    dialect: QueryDialect,
    value: ScalarExpr,
    to: &TypeName,
    at: Position,
) -> Result<ScalarExpr, PlanError> {
    let target = types::of_name(dialect, to)?;
    let from = &value.data_type;
    let narrows = *from == DataType::Float64 && dialect == QueryDialect::Standard;
    let fits =
        *from == target || is_unknown(from) || (types::is_numeric(from) && types::is_numeric(&target) && !narrows);
    if !fits {
        let message = format!(
            "the column is declared {}, but `{}` is {}",
            types::name(dialect, &target),
            value.text,
            types::name(dialect, from)
        );
        let cast = format!("CAST({} AS {})", value.text, types::name(dialect, &target));
        return Err(PlanError::new(PlanErrorCode::Type, at, message).hint(cast));
    }
    let assigned = explicit(dialect, value, &target, false, at)?;
    Ok(bounded(dialect, assigned, to))
}

fn explicit(
    dialect: QueryDialect,
    value: ScalarExpr,
    target: &DataType,
    lenient: bool,
    at: Position,
) -> Result<ScalarExpr, PlanError> {
    let conforming = dialect != QueryDialect::StreamAnalytics;
    let text = value.text.clone();
    let done = match (&value.data_type, target) {
        (from, to) if from == to => value,
        (DataType::Float64, DataType::Int64) if dialect == QueryDialect::Kinesis => {
            call("round_to_integer", round_to_integer, &[value], DataType::Int64)
        }
        (DataType::Timestamp(..), DataType::Utf8) if conforming => {
            call("timestamp_to_text", time::to_sql_text, &[value], DataType::Utf8)
        }
        (DataType::Timestamp(..), DataType::Utf8) => {
            call("timestamp_to_text", time::to_iso_text, &[value], DataType::Utf8)
        }
        (DataType::Timestamp(..), DataType::Int64 | DataType::Float64 | DataType::Boolean)
        | (DataType::Int64 | DataType::Float64 | DataType::Boolean, DataType::Timestamp(..))
        | (DataType::Duration(_), _) => return Err(impossible(dialect, &value, target, at)),
        (from, to) if dialect == QueryDialect::Standard => match (from, to) {
            (DataType::Boolean, DataType::Utf8) => {
                call("boolean_to_text", standard::boolean_to_text, &[value], DataType::Utf8)
            }
            (DataType::Float64, DataType::Utf8) => {
                call("double_to_text", standard::double_to_text, &[value], DataType::Utf8)
            }
            (DataType::Utf8, DataType::Int64) => {
                let (name, kernel): (_, Kernel) = match lenient {
                    true => ("text_to_integer_or_null", standard::text_to_integer_or_null),
                    false => ("text_to_integer", standard::text_to_integer),
                };
                call(name, kernel, &[value], DataType::Int64)
            }
            (DataType::Utf8, DataType::Float64) => {
                let (name, kernel): (_, Kernel) = match lenient {
                    true => ("text_to_double_or_null", standard::text_to_double_or_null),
                    false => ("text_to_double", standard::text_to_double),
                };
                call(name, kernel, &[value], DataType::Float64)
            }
            _ => types::convert(value, target, lenient),
        },
        _ => types::convert(value, target, lenient),
    };
    Ok(ScalarExpr { text, ..done })
}

fn impossible(dialect: QueryDialect, value: &ScalarExpr, target: &DataType, at: Position) -> PlanError {
    let (from, to) = (types::name(dialect, &value.data_type), types::name(dialect, target));
    let error = PlanError::new(PlanErrorCode::Type, at, format!("a {from} cannot be cast to {to}"));
    match (dialect, target == &TIMESTAMP) {
        (QueryDialect::Kinesis, true) => error.hint(format!("TO_TIMESTAMP({}) of milliseconds since 1970", value.text)),
        (QueryDialect::Kinesis, false) => error.hint(format!("UNIX_TIMESTAMP({})", value.text)),
        (QueryDialect::Standard, true) => error.hint(format!("TO_TIMESTAMP_LTZ({}, 3)", value.text)),
        (QueryDialect::Standard, false) => error,
        (QueryDialect::StreamAnalytics, true) => {
            error.hint(format!("DATEADD(millisecond, {}, '1970-01-01T00:00:00Z')", value.text))
        }
        (QueryDialect::StreamAnalytics, false) => {
            error.hint(format!("DATEDIFF(millisecond, '1970-01-01T00:00:00Z', {})", value.text))
        }
    }
}

/// Text with a declared length, in Kinesis' language: longer text is an error of its row.
fn bounded(dialect: QueryDialect, value: ScalarExpr, to: &TypeName) -> ScalarExpr {
    match to.length {
        Some(length) if dialect == QueryDialect::Kinesis && value.data_type == DataType::Utf8 => {
            let text = value.text.clone();
            let length = literal(datafusion_common::ScalarValue::Int64(i64::try_from(length).ok()));
            ScalarExpr { text, ..call("at_most_characters", at_most_characters, &[value, length], DataType::Utf8) }
        }
        _ => value,
    }
}

/// Half away from zero, as Kinesis' CAST rounds.
fn round_to_integer(arguments: &[ArrayRef]) -> Result<ArrayRef, ArrowError> {
    let rounded = arguments[0].as_primitive::<Float64Type>().try_unary::<_, Int64Type, _>(|value| {
        let rounded = value.round();
        // 2^63 is the first float beyond the integers.
        if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded) {
            Ok(rounded as i64)
        } else {
            Err(ArrowError::CastError(format!("{value} is out of the range of BIGINT")))
        }
    })?;
    Ok(Arc::new(rounded))
}

fn at_most_characters(arguments: &[ArrayRef]) -> Result<ArrayRef, ArrowError> {
    let (texts, lengths) = (arguments[0].as_string::<i32>(), arguments[1].as_primitive::<Int64Type>());
    let fits = |text: &str, length: i64| {
        // Bytes are never fewer than characters, and counting them is free.
        text.len() as i64 <= length || text.chars().count() as i64 <= length
    };
    for (text, length) in texts.iter().zip(lengths).filter_map(|(text, length)| Some((text?, length?))) {
        // Blanks beyond the length are cut, as the standard has it; anything else is too long.
        if !fits(text.trim_end_matches(' '), length) {
            return Err(ArrowError::CastError(format!("`{text}` is longer than VARCHAR({length})")));
        }
    }
    if texts.iter().zip(lengths).all(|pair| pair.0.zip(pair.1).is_none_or(|(text, length)| fits(text, length))) {
        return Ok(Arc::clone(&arguments[0]));
    }
    let cut = texts.iter().zip(lengths).map(|(text, length)| {
        let length = usize::try_from(length?).ok()?;
        text.map(|text| text.chars().take(length).collect::<String>())
    });
    Ok(Arc::new(cut.collect::<StringArray>()))
}

/// A string of Stream Analytics as a point in time (`TIMESTAMP BY`, arguments of date functions).
pub(crate) fn text_to_timestamp(value: ScalarExpr) -> ScalarExpr {
    types::convert(value, &TIMESTAMP, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Float64Array;

    #[test]
    fn kinesis_rounds_half_away_from_zero() {
        let values: ArrayRef = Arc::new(Float64Array::from(vec![Some(-1.5), Some(2.4), None]));
        let rounded = round_to_integer(&[values]).unwrap();
        let rounded: Vec<Option<i64>> = rounded.as_primitive::<Int64Type>().iter().collect();
        assert_eq!(rounded, [Some(-2), Some(2), None]);
        let huge: ArrayRef = Arc::new(Float64Array::from(vec![1e300]));
        assert!(round_to_integer(&[huge]).is_err());
    }
}
