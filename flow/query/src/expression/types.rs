//! The types of the languages, and which values turn into which without being asked.

use std::sync::Arc;

use arrow::compute::CastOptions;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion_common::ScalarValue;
use datafusion_physical_expr::expressions::{CastExpr, Literal};
use millstream_catalog::{ColumnType, QueryDialect};

use super::scope::{is_unknown, literal};
use crate::dialect::syntax::TypeName;
use crate::error::{PlanError, PlanErrorCode};
use crate::plan::{ScalarExpr, TIMESTAMP, VALUE};
use crate::value;

/// Lengths of time, `INTERVAL '1' MINUTE`: only as an operand of arithmetic on points in time.
pub(crate) const DURATION: DataType = DataType::Duration(TimeUnit::Millisecond);

/// The Arrow type of a declared column.
pub(crate) fn of_column(dialect: QueryDialect, column_type: ColumnType) -> DataType {
    match column_type {
        ColumnType::BigInt => DataType::Int64,
        ColumnType::Double => DataType::Float64,
        ColumnType::Text => DataType::Utf8,
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Timestamp => TIMESTAMP,
        // In the languages without records what is inside of a record is its text.
        ColumnType::Value if dialect != QueryDialect::StreamAnalytics => DataType::Utf8,
        ColumnType::Value => VALUE,
    }
}

/// The Arrow type a type's name stands for.
pub(crate) fn of_name(dialect: QueryDialect, name: &TypeName) -> Result<DataType, PlanError> {
    let known = match dialect {
        QueryDialect::Kinesis => match name.name.as_str() {
            "TINYINT" | "SMALLINT" | "INTEGER" | "INT" | "BIGINT" => Some(DataType::Int64),
            "REAL" | "FLOAT" | "DOUBLE" | "DECIMAL" | "DEC" | "NUMERIC" => Some(DataType::Float64),
            "CHAR" | "CHARACTER" | "VARCHAR" => Some(DataType::Utf8),
            "BOOLEAN" => Some(DataType::Boolean),
            "TIMESTAMP" | "DATE" => Some(TIMESTAMP),
            _ => None,
        },
        QueryDialect::StreamAnalytics => match name.name.as_str() {
            "BIGINT" => Some(DataType::Int64),
            "FLOAT" => Some(DataType::Float64),
            "NVARCHAR" => Some(DataType::Utf8),
            "BIT" => Some(DataType::Boolean),
            "DATETIME" => Some(TIMESTAMP),
            "RECORD" | "ARRAY" => Some(VALUE),
            _ => None,
        },
        QueryDialect::Standard => match name.name.as_str() {
            "TINYINT" | "SMALLINT" | "INTEGER" | "INT" | "BIGINT" => Some(DataType::Int64),
            "DOUBLE" => Some(DataType::Float64),
            "CHAR" | "VARCHAR" | "STRING" => Some(DataType::Utf8),
            "BOOLEAN" => Some(DataType::Boolean),
            // Without a precision it has microseconds, which would be cut.
            "TIMESTAMP" | "TIMESTAMP_LTZ" if name.length.is_some_and(|digits| digits <= 3) => Some(TIMESTAMP),
            _ => None,
        },
    };
    known.ok_or_else(|| {
        let message = format!("`{}` is not a type this engine computes with", name.name);
        PlanError::new(PlanErrorCode::Type, name.at, message).hint(match dialect {
            QueryDialect::Kinesis => "INTEGER, BIGINT, REAL, DOUBLE, DECIMAL, VARCHAR(n), BOOLEAN or TIMESTAMP",
            QueryDialect::StreamAnalytics => "bigint, float, nvarchar(max), datetime, bit, record or array",
            QueryDialect::Standard => "INT, BIGINT, DOUBLE, STRING, BOOLEAN, TIMESTAMP(3) or TIMESTAMP_LTZ(3)",
        })
    })
}

/// A type as the language's own documents call it.
pub(crate) fn name(dialect: QueryDialect, data_type: &DataType) -> &'static str {
    let (kinesis, stream_analytics) = match data_type {
        DataType::Int64 => ("BIGINT", "bigint"),
        DataType::Float64 => ("DOUBLE", "float"),
        DataType::Utf8 => ("VARCHAR", "nvarchar(max)"),
        DataType::Boolean => ("BOOLEAN", "bit"),
        DataType::Timestamp(..) => ("TIMESTAMP", "datetime"),
        DataType::Duration(_) => ("INTERVAL", "interval"),
        DataType::LargeUtf8 => ("RECORD", "any"),
        _ => ("NULL", "NULL"),
    };
    match dialect {
        QueryDialect::Kinesis | QueryDialect::Standard => kinesis,
        QueryDialect::StreamAnalytics => stream_analytics,
    }
}

pub(crate) fn is_numeric(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::Float64)
}

/// The type in which two values meet to be compared or to be results of one expression; `None`: they do not meet.
pub(crate) fn common(dialect: QueryDialect, left: &ScalarExpr, right: &ScalarExpr) -> Option<DataType> {
    let (a, b) = (&left.data_type, &right.data_type);
    match (a, b) {
        _ if a == b || is_unknown(b) => Some(a.clone()),
        _ if is_unknown(a) => Some(b.clone()),
        _ if is_numeric(a) && is_numeric(b) => Some(DataType::Float64),
        _ if dialect != QueryDialect::StreamAnalytics => None,
        (DataType::LargeUtf8, _) | (_, DataType::LargeUtf8) => Some(VALUE),
        (DataType::Boolean, DataType::Int64) | (DataType::Int64, DataType::Boolean) => Some(DataType::Int64),
        (DataType::Timestamp(..), DataType::Utf8) if is_literal(right) => Some(TIMESTAMP),
        (DataType::Utf8, DataType::Timestamp(..)) if is_literal(left) => Some(TIMESTAMP),
        _ => None,
    }
}

/// A value as it is compared with one of another type, where one of the two has no fixed type. Numbers meet without one, since
/// a common type would round integers.
pub(crate) fn met_by(value: ScalarExpr, other: &DataType) -> ScalarExpr {
    match (&value.data_type, other) {
        (DataType::LargeUtf8, DataType::Int64 | DataType::Float64 | DataType::LargeUtf8 | DataType::Null) => value,
        (DataType::LargeUtf8, other) => value::convert::of_type(value, other),
        (DataType::Int64 | DataType::Float64, DataType::LargeUtf8) => convert(value, &VALUE, false),
        (DataType::Null, other) => convert(value, other, false),
        _ => value,
    }
}

/// Two values as the keys of a join, which have the same bytes where `left = right` holds; `None`: they do not meet.
pub(crate) fn join_keys(dialect: QueryDialect, left: ScalarExpr, right: ScalarExpr) -> Option<[ScalarExpr; 2]> {
    let common = common(dialect, &left, &right)?;
    if common != VALUE {
        return Some([convert(left, &common, false), convert(right, &common, false)]);
    }
    let types = (left.data_type.clone(), right.data_type.clone());
    let scalar = |value: ScalarExpr| if value.data_type == VALUE { value::convert::scalars(value) } else { value };
    Some([scalar(met_by(left, &types.1)), scalar(met_by(right, &types.0))])
}

/// A value in a spelling in which equal ones are equal as texts.
pub(crate) fn comparable(value: ScalarExpr) -> ScalarExpr {
    if value.data_type == VALUE { value::convert::canonical_values(value) } else { value }
}

pub(crate) fn is_literal(value: &ScalarExpr) -> bool {
    value.physical.downcast_ref::<Literal>().is_some()
}

/// The value in another type, by Arrow's own conversion; constants are converted at once.
///
/// Fails at run time for a value that cannot be converted; `lenient`: makes NULL of it.
pub(crate) fn convert(value: ScalarExpr, to: &DataType, lenient: bool) -> ScalarExpr {
    if value.data_type == *to {
        return value;
    }
    let untyped = value.data_type == VALUE || *to == VALUE;
    if untyped && !is_unknown(&value.data_type) {
        return value::convert::convert(value, to, lenient);
    }
    let options = CastOptions { safe: lenient, ..CastOptions::default() };
    if let Some(constant) = value.physical.downcast_ref::<Literal>() {
        let converted = match constant.value() {
            ScalarValue::Null => ScalarValue::try_from(to).ok(),
            other => other.cast_to_with_options(to, &options).ok(),
        };
        if let Some(converted) = converted {
            return ScalarExpr { text: value.text, ..literal(converted) };
        }
    }
    ScalarExpr {
        physical: Arc::new(CastExpr::new(value.physical, to.clone(), Some(options))),
        data_type: to.clone(),
        nullable: value.nullable || lenient,
        text: value.text,
    }
}
