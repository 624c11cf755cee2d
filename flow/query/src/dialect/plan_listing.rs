//! Stream Analytics' aggregates that keep values: `Collect`, `CollectTop`, `TopOne`, `Percentile_Cont` and `Percentile_Disc`, of windows and,
//! with `LIMIT DURATION`, of the events that are looked back to.
//!
//! Source: the pages of these functions in "Aggregate functions (Azure Stream Analytics)".

use std::sync::Arc;

use arrow::datatypes::DataType;

use super::plan_select::expand;
use super::syntax::{Call, Expr, ExprKind, Frame, Literal, Over};
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::expression::scope::{RowScope, is_unknown};
use crate::expression::{Binder, Scope, types, user_defined};
use crate::plan::{AggregateCall, AggregateFunction, Part, ScalarExpr, TIMESTAMP, VALUE};
use crate::value::record::{ranked, record};

/// The most values that `CollectTop` gives.
const TOP_MAX: usize = 10_000;

/// The most columns that values are ranked by.
const ORDER_MAX: usize = 16;

/// Such an aggregate, with its argument in the type that it takes.
pub(super) fn listing(binder: &Binder, call: &Call, expr: &Expr) -> Result<AggregateCall, PlanError> {
    let name = call.full_name().to_uppercase();
    if name.starts_with("UDA.") {
        return user_defined(binder, call, &name, expr.at);
    }
    let frame = match call.over.as_deref() {
        Some(Over::Window(frame)) => Some(frame),
        _ => None,
    };
    if call.distinct || call.star {
        let message = format!("{name} takes neither `*` nor DISTINCT");
        return Err(PlanError::new(PlanErrorCode::Syntax, expr.at, message));
    }
    let (function, argument, data_type) = match name.as_str() {
        "COLLECT" => {
            if let Some((column, _)) = frame.and_then(|frame| frame.order_by.first()) {
                let message = "COLLECT takes no ORDER BY";
                return Err(
                    PlanError::new(PlanErrorCode::Syntax, column.at, message).hint("CollectTop(10) OVER (ORDER BY …)")
                );
            }
            if let Some(frame) = frame.filter(|frame| frame.limit.is_none()) {
                let message = "COLLECT with OVER does not say how far it looks back";
                let hint = "Collect() OVER (PARTITION BY key LIMIT DURATION(minute, 5))";
                return Err(PlanError::new(PlanErrorCode::Window, frame.at, message).hint(hint));
            }
            (AggregateFunction::Collect, collected(binder, call, expr.at)?, VALUE)
        }
        "TOPONE" | "COLLECTTOP" => {
            let order = order(&name, frame, expr.at)?;
            let (function, value) = match (name.as_str(), call.arguments.as_slice()) {
                ("TOPONE", []) => (AggregateFunction::TopOne, event(binder, expr.at)?),
                ("COLLECTTOP", [count]) => (AggregateFunction::CollectTop(top(count)?), event(binder, expr.at)?),
                ("COLLECTTOP", [count, value]) => (AggregateFunction::CollectTop(top(count)?), binder.bind(value)?),
                (_, arguments) => {
                    let takes = if name == "TOPONE" { "no argument" } else { "1 or 2 arguments" };
                    let message = format!("{name} takes {takes}, found {}", arguments.len());
                    return Err(PlanError::new(PlanErrorCode::Syntax, expr.at, message));
                }
            };
            let order = order.iter().map(|(column, descending)| Ok((rank(binder, column)?, *descending)));
            let order = order.collect::<Result<Vec<_>, PlanError>>()?;
            (function, ranked(&value, &order), VALUE)
        }
        _ => percentile(binder, call, &name, order(&name, frame, expr.at)?, expr.at)?,
    };
    let text = binder.text(&expr.span);
    Ok(AggregateCall { function, argument: Some(argument), distinct: false, script: None, data_type, text })
}

/// `UDA.name(x)`: what the query's own function makes of the values of a window.
fn user_defined(binder: &Binder, call: &Call, name: &str, at: Position) -> Result<AggregateCall, PlanError> {
    let function = call.user.as_ref().ok_or_else(|| user_defined::unknown(name, at))?;
    if call.distinct || call.star || call.over.is_some() {
        let message = format!("{name} takes neither `*`, DISTINCT nor OVER");
        return Err(PlanError::new(PlanErrorCode::Syntax, at, message));
    }
    let argument = binder.kept_for(function, &call.arguments, at)?;
    Ok(AggregateCall {
        function: AggregateFunction::Script,
        argument: Some(argument),
        distinct: false,
        script: Some(Arc::clone(function)),
        // What becomes of it is its declared type: where it is read, so that a group whose result does not fit is told.
        data_type: VALUE,
        text: function.called(),
    })
}

/// What `Collect` keeps of a row: a value, or the whole event. A NULL stays one of the array.
fn collected(binder: &Binder, call: &Call, at: Position) -> Result<ScalarExpr, PlanError> {
    match call.arguments.as_slice() {
        [] => event(binder, at),
        [value] => Ok(types::convert(binder.bind(value)?, &VALUE, false)),
        arguments => {
            let message = format!("COLLECT takes at most 1 argument, found {}", arguments.len());
            Err(PlanError::new(PlanErrorCode::Syntax, at, message))
        }
    }
}

/// A row's event as a record: what `*` stands for, without what is in records that are columns themselves.
pub(super) fn event(binder: &Binder, at: Position) -> Result<ScalarExpr, PlanError> {
    let rows: &RowScope = match binder.scope {
        Scope::Row(rows) => rows,
        Scope::Group(groups) => &groups.rows,
    };
    let columns: Vec<(String, ScalarExpr)> =
        expand(rows, &[], at)?.into_iter().map(|item| (item.name, item.value)).collect();
    let inside = |name: &str| {
        columns.iter().any(|(other, _)| name.strip_prefix(other).is_some_and(|rest| rest.starts_with('.')))
    };
    let outer: Vec<_> = columns.iter().filter(|(name, _)| !inside(name)).cloned().collect();
    Ok(record(&outer))
}

fn order<'f>(name: &str, frame: Option<&'f Frame>, at: Position) -> Result<&'f [(Expr, bool)], PlanError> {
    let order = frame.map_or(&[][..], |frame| &frame.order_by);
    // What stands beside the order says which events are looked back to, if any are.
    let fits =
        frame.is_some_and(|frame| frame.limit.is_some() || (frame.partition_by.is_empty() && frame.when.is_none()));
    if fits && (1..=ORDER_MAX).contains(&order.len()) {
        return Ok(order);
    }
    let rest = if frame.is_some_and(|frame| frame.limit.is_some()) { "" } else { ", and nothing else" };
    let message = format!("{name} needs OVER with ORDER BY and 1 to {ORDER_MAX} columns{rest}");
    Err(PlanError::new(PlanErrorCode::Window, at, message).hint(format!("{name}(…) OVER (ORDER BY column DESC)")))
}

/// A column that values are ranked by.
fn rank(binder: &Binder, column: &Expr) -> Result<ScalarExpr, PlanError> {
    let value = binder.bind(column)?;
    let ordered = [DataType::Int64, DataType::Float64, TIMESTAMP].contains(&value.data_type);
    if ordered || is_unknown(&value.data_type) {
        return Ok(if ordered { value } else { types::convert(value, &DataType::Float64, false) });
    }
    let message = format!(
        "`{}` is {}, and ORDER BY takes bigint, float and datetime",
        value.text,
        types::name(binder.dialect, &value.data_type)
    );
    Err(PlanError::new(PlanErrorCode::Type, column.at, message).hint(format!("CAST({} AS float)", value.text)))
}

fn top(count: &Expr) -> Result<usize, PlanError> {
    let found = match &count.kind {
        ExprKind::Literal(Literal::Number(digits)) => digits.parse().ok(),
        _ => None,
    };
    found.filter(|count| (1..=TOP_MAX).contains(count)).ok_or_else(|| {
        PlanError::new(PlanErrorCode::Syntax, count.at, format!("COLLECTTOP takes a whole number, 1 to {TOP_MAX}"))
    })
}

/// `Percentile_Cont(0.95) OVER (ORDER BY x)`.
fn percentile(
    binder: &Binder,
    call: &Call,
    name: &str,
    order: &[(Expr, bool)],
    at: Position,
) -> Result<(AggregateFunction, ScalarExpr, DataType), PlanError> {
    let fraction = match call.arguments.as_slice() {
        [Expr { kind: ExprKind::Literal(Literal::Number(digits)), .. }] => digits.parse::<f64>().ok(),
        _ => None,
    };
    let Some(fraction) = fraction.filter(|fraction| (0.0..=1.0).contains(fraction)) else {
        let message = format!("{name} takes a number from 0 to 1");
        return Err(PlanError::new(PlanErrorCode::Syntax, at, message).hint(format!("{name}(0.95) OVER (ORDER BY x)")));
    };
    let [(column, descending)] = order else {
        let message = format!("{name} orders by one value, found {}", order.len());
        return Err(PlanError::new(PlanErrorCode::Syntax, at, message));
    };
    let (value, part) = (binder.bind(column)?, Part::new(fraction, *descending));
    if name == "PERCENTILE_CONT" {
        let text = value.data_type == DataType::Utf8 || value.data_type == VALUE;
        let value = if text { types::convert(value, &DataType::Float64, false) } else { value };
        let value = binder.typed(value, &DataType::Float64, column.at)?;
        return Ok((AggregateFunction::PercentileCont(part), value, DataType::Float64));
    }
    let whole = value.data_type == DataType::Int64;
    let value = if whole { value } else { binder.typed(value, &DataType::Float64, column.at)? };
    let data_type = value.data_type.clone();
    Ok((AggregateFunction::PercentileDisc(part), value, data_type))
}
