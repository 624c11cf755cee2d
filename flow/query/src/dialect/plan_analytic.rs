//! Stream Analytics' functions that look back from a row (`LAG`, `LAST`, `ISFIRST`, aggregates with `OVER`): they are computed in a step
//! of their own in front of their `SELECT`, so that WHERE, JOIN and GROUP BY do not change what they see.
//!
//! Source: "Analytic functions (Azure Stream Analytics)" with the pages of the single functions, and "OVER".

use std::ops::Range;

use arrow::datatypes::{DataType, Field};

use super::plan_select::aggregate;
use super::syntax::{Call, Expr, ExprKind, Frame, Literal, Over, Select};
use super::window::check_length;
use super::window_call::{duration, length};
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::expression::scope::{RowScope, column, is_unknown};
use crate::expression::{Binder, Scope, function, types};
use crate::plan::{Analytic, AnalyticCall, AnalyticFunction, ScalarExpr, WINDOW_ROWS_MAX, with_rowtime};

/// The step that a `SELECT` with such functions reads its rows from, and what these are called there; `None`: it has none of them.
/// Mistakes go to `errors`.
pub(super) fn analytic(
    sql: &str,
    select: &Select,
    rows: &RowScope,
    errors: &mut Vec<PlanError>,
) -> Option<(Analytic, RowScope)> {
    let mut found = Vec::new();
    select.expressions().for_each(|expr| calls(rows, expr, &mut found));
    if found.is_empty() {
        return None;
    }
    let binder = Binder { dialect: rows.dialect, sql, scope: Scope::Row(rows) };
    let own = rows.schema.fields().len() - 1;
    let (mut bound, mut looked_back) = (Vec::<AnalyticCall>::new(), Vec::<(Range<usize>, Option<usize>)>::new());
    for (call, expr) in found {
        let place = match bind(&binder, rows, call, expr) {
            Ok(call) => {
                let place = bound.iter().position(|other| other.same(&call)).unwrap_or(bound.len());
                if place == bound.len() {
                    bound.push(call);
                }
                Some(own + place)
            }
            Err(error) => {
                errors.push(error);
                None
            }
        };
        looked_back.push((expr.span.clone(), place));
    }
    let fields = rows.schema.fields().iter().take(own).map(|field| field.as_ref().clone());
    let results = bound.iter().map(|call| Field::new(&call.text, call.data_type.clone(), true));
    let scope = RowScope { schema: with_rowtime(fields.chain(results)), looked_back, ..rows.clone() };
    let columns = (0..own).map(|index| column(&rows.schema, index)).map(|value| (value.text.clone(), value)).collect();
    Some((Analytic { columns, calls: bound }, scope))
}

/// The calls of an expression that look back, with their places; not those inside of such, which are mistakes.
fn calls<'a>(rows: &RowScope, expr: &'a Expr, found: &mut Vec<(&'a Call, &'a Expr)>) {
    match &expr.kind {
        ExprKind::Call(call) if function::looks_back(rows.dialect, call) => found.push((call, expr)),
        kind => kind.parts().into_iter().for_each(|part| calls(rows, part, found)),
    }
}

fn bind(binder: &Binder, rows: &RowScope, call: &Call, expr: &Expr) -> Result<AnalyticCall, PlanError> {
    let name = call.full_name().to_uppercase();
    let frame = match call.over.as_deref() {
        Some(Over::Window(frame)) => Some(frame),
        _ => None,
    };
    if call.star && function::is_analytic(binder.dialect, &name) {
        let message = format!("not supported yet: {name}(*), whose value is a whole event");
        return Err(PlanError::new(PlanErrorCode::NotSupported, expr.at, message).hint("the columns, one by one"));
    }
    let (function, data_type) = match name.as_str() {
        "ISFIRST" => (is_first(call, frame, expr.at)?, DataType::Int64),
        "LAG" | "LAST" => lag(binder, rows, call, &name, limit(&name, frame, expr.at)?, expr.at)?,
        _ => {
            let duration_ms = limit(&name, frame, expr.at)?;
            let call = aggregate(binder, call, expr)?;
            if call.distinct {
                let message = "not supported yet: DISTINCT in an aggregate with OVER";
                return Err(PlanError::new(PlanErrorCode::NotSupported, expr.at, message));
            }
            let data_type = call.data_type.clone();
            (AnalyticFunction::Aggregate { call, duration_ms }, data_type)
        }
    };
    let keys = frame.map_or(&[][..], |frame| &frame.partition_by);
    let partition_by = keys.iter().map(|key| Ok(typed(rows, binder.bind(key)?))).collect::<Result<_, _>>()?;
    let when = frame.and_then(|frame| frame.when.as_deref()).map(|when| binder.predicate(when)).transpose()?;
    Ok(AnalyticCall { function, partition_by, when, data_type, text: binder.text(&expr.span) })
}

/// A value whose type is known where columns are: NULL alone counts as text.
fn typed(rows: &RowScope, value: ScalarExpr) -> ScalarExpr {
    if is_unknown(&value.data_type) && !rows.open { types::convert(value, &DataType::Utf8, false) } else { value }
}

/// The length behind `LIMIT DURATION`.
fn limit(name: &str, frame: Option<&Frame>, at: Position) -> Result<i64, PlanError> {
    let example = || format!("{name}(…) OVER (PARTITION BY key LIMIT DURATION(minute, 5))");
    let Some(limit) = frame.and_then(|frame| frame.limit.as_deref()) else {
        let message = format!("`{name}` does not say how far it looks back");
        return Err(PlanError::new(PlanErrorCode::Window, at, message).hint(example()));
    };
    let Some(duration_ms) = duration(limit) else {
        return Err(PlanError::new(PlanErrorCode::Window, limit.at, "expected DURATION(unit, length)").hint(example()));
    };
    check_length(duration_ms, "the duration", limit.at)?;
    Ok(duration_ms)
}

/// `LAG(value, offset, default)`, or `LAST(value, default)`.
fn lag(
    binder: &Binder,
    rows: &RowScope,
    call: &Call,
    name: &str,
    duration_ms: i64,
    at: Position,
) -> Result<(AnalyticFunction, DataType), PlanError> {
    let (value, offset, default) = match (name, call.arguments.as_slice()) {
        ("LAG", [value]) => (value, 1, None),
        ("LAG", [value, offset, rest @ ..]) if rest.len() < 2 => (value, rows_back(offset)?, rest.first()),
        ("LAST", [value, rest @ ..]) if rest.len() < 2 => (value, 0, rest.first()),
        (_, arguments) => {
            let takes = if name == "LAG" { "1 to 3" } else { "1 to 2" };
            let message = format!("{name} takes {takes} argument(s), found {}", arguments.len());
            return Err(PlanError::new(PlanErrorCode::Syntax, at, message));
        }
    };
    let value = typed(rows, binder.bind(value)?);
    let data_type = value.data_type.clone();
    let same = |default: &Expr| binder.typed(binder.bind(default)?, &data_type, default.at);
    let default = default.map(same).transpose()?;
    Ok((AnalyticFunction::Lag { value, default, offset, duration_ms }, data_type))
}

fn rows_back(offset: &Expr) -> Result<usize, PlanError> {
    let rows = match &offset.kind {
        ExprKind::Literal(Literal::Number(digits)) => digits.parse().ok(),
        _ => None,
    };
    rows.filter(|rows| (1..=WINDOW_ROWS_MAX).contains(rows)).ok_or_else(|| {
        let message = format!("LAG goes a whole number of events back, 1 to {WINDOW_ROWS_MAX}");
        PlanError::new(PlanErrorCode::Window, offset.at, message).hint("LAST, for the event itself")
    })
}

/// `ISFIRST(unit, length)`.
fn is_first(call: &Call, frame: Option<&Frame>, at: Position) -> Result<AnalyticFunction, PlanError> {
    if let Some(limit) = frame.and_then(|frame| frame.limit.as_deref()) {
        let message = "ISFIRST looks at its interval and takes no LIMIT DURATION";
        return Err(PlanError::new(PlanErrorCode::Syntax, limit.at, message));
    }
    let interval_ms = match call.arguments.as_slice() {
        [unit, count] => length(unit, count),
        _ => None,
    };
    let Some(interval_ms) = interval_ms else {
        let message = "ISFIRST takes a unit of time and a number of them";
        return Err(PlanError::new(PlanErrorCode::Syntax, at, message).hint("ISFIRST(minute, 10)"));
    };
    check_length(interval_ms, "the interval", at)?;
    Ok(AnalyticFunction::IsFirst { interval_ms })
}
