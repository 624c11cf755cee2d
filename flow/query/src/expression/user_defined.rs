//! Calls of functions that a query's owner wrote: arguments as values without a fixed type, results in the type that is declared.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, BinaryArray};
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;
use millstream_catalog::{QueryFunctionKind, ValueType};

use super::kernel::call as kernel_call;
use super::scope::{RowScope, column};
use super::{Binder, Scope, types};
use crate::dialect::syntax::{Expr, ExprKind};
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::plan::{ScalarExpr, TIMESTAMP, VALUE};
use crate::script::UserFunction;
use crate::script::call::call;
use crate::value;

impl Binder<'_> {
    /// `UDF.name(…)`.
    pub(super) fn user_defined(
        &self,
        function: &Arc<UserFunction>,
        given: &[Expr],
        at: Position,
    ) -> Result<ScalarExpr, PlanError> {
        check_count(function, given.len(), at)?;
        let (mut arguments, mut times) = (Vec::with_capacity(given.len()), Vec::new());
        for (place, argument) in given.iter().enumerate() {
            let declared = function.arguments.get(place).copied().unwrap_or_default();
            let (value, is_time) = self.scripted(argument, declared)?;
            arguments.push(value);
            if is_time {
                times.push(place);
            }
        }
        Ok(returned(call(function, &arguments, times), function.result))
    }

    /// What `UDA.name(value)` keeps of a row: the value with the row's time, see [`timed_parts`].
    pub(crate) fn kept_for(
        &self,
        function: &Arc<UserFunction>,
        given: &[Expr],
        at: Position,
    ) -> Result<ScalarExpr, PlanError> {
        let [argument] = given else {
            let message = format!("{} takes 1 argument, found {}", function.called(), given.len());
            return Err(PlanError::new(PlanErrorCode::Syntax, at, message));
        };
        let declared = function.arguments.first().copied().unwrap_or_default();
        let (value, is_time) = self.scripted(argument, declared)?;
        if is_time != function.takes_time() {
            let message = format!("{} is not declared for a datetime", function.called());
            let error = PlanError::new(PlanErrorCode::Type, argument.at, message);
            return Err(error.hint("declare datetime as the type of its argument"));
        }
        let time = types::convert(self.scope.rowtime(), &DataType::Int64, false);
        Ok(kernel_call("timed", timed, &[time, value], DataType::Binary))
    }

    /// An argument as a value without a fixed type, and whether it is a point in time, then in milliseconds. The name of a source is its
    /// whole event.
    fn scripted(&self, argument: &Expr, declared: ValueType) -> Result<(ScalarExpr, bool), PlanError> {
        let value = match (&argument.kind, self.scope) {
            (ExprKind::Name(parts), Scope::Row(rows)) if parts.len() == 1 => match event(rows, &parts[0].text) {
                Some(event) if rows.resolve(parts).is_err() => event,
                _ => self.bind(argument)?,
            },
            _ => self.bind(argument)?,
        };
        let value = match declared {
            ValueType::Any => value,
            ValueType::Record | ValueType::Array => {
                let value = types::convert(value, &VALUE, false);
                value::convert::of_shape(value, declared == ValueType::Record, false)
            }
            _ => self.typed(value, &data_type(declared), argument.at)?,
        };
        let is_time = value.data_type == TIMESTAMP;
        let value = if is_time { types::convert(value, &DataType::Int64, false) } else { value };
        Ok((types::convert(value, &VALUE, false), is_time))
    }
}

/// The result of a function in its declared type.
pub(crate) fn returned(value: ScalarExpr, declared: ValueType) -> ScalarExpr {
    match declared {
        ValueType::Any => value,
        ValueType::Record | ValueType::Array => value::convert::of_shape(value, declared == ValueType::Record, false),
        _ => types::convert(value, &data_type(declared), false),
    }
}

/// There is no such function.
pub(crate) fn unknown(name: &str, at: Position) -> PlanError {
    let message = format!("the query has no function `{name}`");
    PlanError::new(PlanErrorCode::UnknownFunction, at, message)
        .hint("define it: a function of the job, or [[query.function]] in a pipeline file")
}

fn check_count(function: &UserFunction, given: usize, at: Position) -> Result<(), PlanError> {
    let expected = function.arguments.len();
    if function.kind == QueryFunctionKind::Scalar && (expected == 0 || expected == given) {
        return Ok(());
    }
    let message = format!("{} takes {expected} argument(s), found {given}", function.called());
    Err(PlanError::new(PlanErrorCode::Syntax, at, message))
}

fn data_type(declared: ValueType) -> DataType {
    match declared {
        ValueType::BigInt => DataType::Int64,
        ValueType::Float => DataType::Float64,
        ValueType::Text => DataType::Utf8,
        ValueType::DateTime => TIMESTAMP,
        ValueType::Bit => DataType::Boolean,
        ValueType::Any | ValueType::Record | ValueType::Array => VALUE,
    }
}

/// The event of a source as a record: what `*` stands for, without what is in records that are columns themselves.
fn event(rows: &RowScope, name: &str) -> Option<ScalarExpr> {
    let (source, first) = match rows.side(name) {
        Some(side) => (&side.rows, side.first),
        None if rows.sides.is_empty() && rows.is_qualifier(name) => (rows, 0),
        None => return None,
    };
    let columns: Vec<ScalarExpr> = (first..first + source.visible).map(|place| column(&rows.schema, place)).collect();
    let inside = |name: &str| {
        columns.iter().any(|other| name.strip_prefix(other.text.as_str()).is_some_and(|rest| rest.starts_with('.')))
    };
    let outer = columns.iter().filter(|column| !inside(&column.text));
    let named: Vec<(String, ScalarExpr)> = outer.map(|column| (column.text.clone(), column.clone())).collect();
    Some(value::record::record(&named))
}

/// A row's time and its value's JSON, as [`timed_parts`] reads them. NULL is a value as any other.
fn timed(arguments: &[ArrayRef]) -> Result<ArrayRef, ArrowError> {
    let (times, values) = (arguments[0].as_primitive::<Int64Type>(), arguments[1].as_string::<i64>());
    let kept = |row: usize| {
        let json = if values.is_null(row) { "null" } else { values.value(row) };
        [times.value(row).to_be_bytes().as_slice(), json.as_bytes()].concat()
    };
    Ok(Arc::new(BinaryArray::from_iter_values((0..values.len()).map(kept))))
}

/// The time and the JSON of what was kept of a row.
pub(crate) fn timed_parts(bytes: &[u8]) -> Option<(i64, &str)> {
    let (time, json) = bytes.split_first_chunk::<8>()?;
    Some((i64::from_be_bytes(*time), std::str::from_utf8(json).ok()?))
}
