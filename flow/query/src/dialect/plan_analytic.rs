//! Functions that look back from a row: they are computed in a step of their own in front of their `SELECT`, which then reads them as
//! columns. In Stream Analytics (`LAG`, `LAST`, `ISFIRST`, aggregates with `OVER`) they see all rows, whatever WHERE, JOIN and GROUP BY
//! say; in Kinesis' language (`plan_over.rs`) those that WHERE lets through.
//!
//! Source: "Analytic functions (Azure Stream Analytics)" with the pages of the single functions, and "OVER".

use std::ops::Range;

use arrow::datatypes::{DataType, Field};
use millstream_catalog::QueryDialect;

use super::plan_anomaly::anomaly;
use super::plan_listing::{event, listing};
use super::plan_over;
use super::plan_partition::with_partition;
use super::plan_select::aggregate;
use super::syntax::{Call, Expr, ExprKind, Frame, Literal, Over, Select};
use super::window::check_length;
use super::window_call::{duration, length};
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::expression::scope::{RowScope, column, is_unknown};
use crate::expression::{Binder, Scope, function, types};
use crate::plan::{
    Analytic, AnalyticCall, AnalyticFunction, Extent, Place, ScalarExpr, VALUE, WINDOW_ROWS_MAX, WindowBounds,
    with_rowtime,
};

/// The step that a `SELECT` with such functions reads its rows from, and what these are called there; `None`: it has none of them.
/// `joined`: the rows are those of one of several sources that are joined, all of whose names these are; only what looks back in
/// them is computed. Mistakes go to `errors`.
pub(super) fn analytic(
    sql: &str,
    select: &Select,
    rows: &RowScope,
    joined: &[String],
    errors: &mut Vec<PlanError>,
) -> Option<(Analytic, RowScope)> {
    let mut found = Vec::new();
    let conditions = select.from.joins.iter().filter_map(|join| join.on.as_ref()).filter(|_| !joined.is_empty());
    select.expressions().chain(conditions).for_each(|expr| calls(rows, expr, &mut found));
    found.retain(|(_, expr)| joined.is_empty() || is_of(rows, joined, expr));
    if found.is_empty() {
        return None;
    }
    let binder = Binder { dialect: rows.dialect, sql, scope: Scope::Row(rows) };
    let mut predicate = None;
    if rows.dialect == QueryDialect::Kinesis {
        errors.extend(plan_over::check(&binder, select).err());
        let bound = select.predicate.as_ref().map(|predicate| binder.predicate(predicate)).transpose();
        predicate = bound.unwrap_or_else(|error| {
            errors.push(error);
            None
        });
    }
    let own = rows.schema.fields().len() - 1;
    let (mut bound, mut looked_back) = (Vec::<AnalyticCall>::new(), Vec::<(Range<usize>, Option<usize>)>::new());
    for (call, expr) in found {
        let made = match rows.dialect {
            QueryDialect::Kinesis => plan_over::bind(&binder, rows, select, call, expr),
            QueryDialect::StreamAnalytics | QueryDialect::Standard => bind(&binder, rows, call, expr),
        };
        let place = made.map_err(|error| errors.push(error)).ok().map(|call| {
            let place = bound.iter().position(|other| other.same(&call)).unwrap_or(bound.len());
            if place == bound.len() {
                bound.push(call);
            }
            own + place
        });
        looked_back.push((expr.span.clone(), place));
    }
    let fields = rows.schema.fields().iter().take(own).map(|field| field.as_ref().clone());
    let results = bound.iter().map(|call| Field::new(&call.text, call.data_type.clone(), true));
    let scope = RowScope { schema: with_rowtime(fields.chain(results)), looked_back, ..rows.clone() };
    let columns = (0..own).map(|index| column(&rows.schema, index)).map(|value| (value.text.clone(), value)).collect();
    Some((Analytic { predicate, columns, calls: bound }, scope))
}

/// The mistakes of calls over joined rows that do not say in which of the sources they look back; these calls are known as wrong then.
pub(super) fn of_no_source(sql: &str, select: &Select, joined: &mut RowScope) -> Vec<PlanError> {
    let mut found = Vec::new();
    select.expressions().for_each(|expr| calls(joined, expr, &mut found));
    let binder = Binder { dialect: joined.dialect, sql, scope: Scope::Row(joined) };
    let told = |(call, expr): (&Call, &Expr)| {
        let text = binder.text(&expr.span);
        let message = format!("`{text}` looks back in one source of the join, and does not say in which");
        let (name, source) = (call.full_name(), joined.sides.first().map_or("source", |side| side.rows.name()));
        let error = PlanError::new(PlanErrorCode::AmbiguousColumn, expr.at, message);
        error.hint(format!("{name}({source}.column) OVER (PARTITION BY {source}.key LIMIT DURATION(minute, 5))"))
    };
    found.retain(|(_, expr)| joined.looked_back(&expr.span).is_none());
    let mistakes = found.iter().copied().map(told).collect();
    joined.looked_back.extend(found.into_iter().map(|(_, expr)| (expr.span.clone(), None)));
    mistakes
}

/// Whether all names of sources in an expression are the name of one of those that are joined, and one is there.
fn is_of(rows: &RowScope, joined: &[String], expr: &Expr) -> bool {
    let mut names = Vec::new();
    sources(expr, &mut names);
    names.retain(|name| joined.iter().any(|source| rows.same(source, name)));
    !names.is_empty() && names.into_iter().all(|name| rows.same(rows.name(), name))
}

/// What stands in front of the columns of an expression.
fn sources<'e>(expr: &'e Expr, names: &mut Vec<&'e str>) {
    match &expr.kind {
        ExprKind::Name(parts) if parts.len() > 1 => names.push(&parts[0].text),
        kind => kind.parts().into_iter().for_each(|part| sources(part, names)),
    }
}

/// The calls of an expression that look back, with their places; not those inside of such, which are mistakes.
fn calls<'a>(rows: &RowScope, expr: &'a Expr, found: &mut Vec<(&'a Call, &'a Expr)>) {
    match &expr.kind {
        ExprKind::Call(call) if function::looks_back(rows.dialect, call) => found.push((call, expr)),
        kind => kind.parts().into_iter().for_each(|part| calls(rows, part, found)),
    }
}

/// A call of Stream Analytics' language.
fn bind(binder: &Binder, rows: &RowScope, call: &Call, expr: &Expr) -> Result<AnalyticCall, PlanError> {
    let name = call.full_name().to_uppercase();
    let frame = match call.over.as_deref() {
        Some(Over::Window(frame)) => Some(frame),
        _ => None,
    };
    let ordered = function::is_listing(binder.dialect, &name);
    if let Some((column, _)) = frame.and_then(|frame| frame.order_by.first()).filter(|_| !ordered) {
        let message = format!("{name} goes by the time of events and takes no ORDER BY");
        return Err(PlanError::new(PlanErrorCode::Syntax, column.at, message));
    }
    let (function, data_type) = match name.as_str() {
        "LAG" | "LAST" if call.star => {
            let (place, extent) =
                (if name == "LAG" { Place::Before(1) } else { Place::Last(1) }, limit(&name, frame, expr.at)?);
            let value = event(binder, expr.at)?;
            (AnalyticFunction::Value { value, default: None, place, extent }, VALUE)
        }
        "ISFIRST" => (is_first(call, frame, expr.at)?, DataType::Int64),
        "ANOMALYDETECTION_CHANGEPOINT" | "ANOMALYDETECTION_SPIKEANDDIP" => {
            (anomaly(binder, call, &name, limit(&name, frame, expr.at)?, expr.at)?, VALUE)
        }
        "LAG" | "LAST" => positioned(binder, rows, call, limit(&name, frame, expr.at)?, expr.at)?,
        _ => aggregated(binder, call, expr, limit(&name, frame, expr.at)?)?,
    };
    let partition_by = keys(binder, rows, frame.map_or(&[], |frame| &frame.partition_by))?;
    let partition_by = with_partition(binder.sql, rows, partition_by)?;
    let when = frame.and_then(|frame| frame.when.as_deref()).map(|when| binder.predicate(when)).transpose()?;
    Ok(AnalyticCall { function, partition_by, when, data_type, text: binder.text(&expr.span) })
}

/// What rows are partitioned by.
pub(super) fn keys(binder: &Binder, rows: &RowScope, keys: &[Expr]) -> Result<Vec<ScalarExpr>, PlanError> {
    let key = |key: &Expr| match binder.bind(key)? {
        bound if matches!(bound.data_type, DataType::Duration(_)) => {
            Err(PlanError::new(PlanErrorCode::Type, key.at, "an INTERVAL cannot be partitioned by"))
        }
        bound => Ok(typed(rows, bound)),
    };
    keys.iter().map(key).collect()
}

/// An aggregate of the rows up to a row.
pub(super) fn aggregated(
    binder: &Binder,
    call: &Call,
    expr: &Expr,
    extent: Extent,
) -> Result<(AnalyticFunction, DataType), PlanError> {
    let listed = function::is_listing(binder.dialect, &call.full_name().to_uppercase());
    let call = if listed { listing(binder, call, expr)? } else { aggregate(binder, call, expr)? };
    let data_type = call.data_type.clone();
    Ok((AnalyticFunction::Aggregate { call, extent }, data_type))
}

/// The value of another row, and what stands for one that is not there.
fn value(
    binder: &Binder,
    rows: &RowScope,
    (value, default): (&Expr, Option<&Expr>),
    (place, extent): (Place, Extent),
) -> Result<(AnalyticFunction, DataType), PlanError> {
    let value = typed(rows, binder.bind(value)?);
    let data_type = value.data_type.clone();
    let same = |default: &Expr| match binder.bind(default)? {
        // Of a column that is not known yet any value may be the default.
        bound if is_unknown(&data_type) => Ok(bound),
        bound => binder.typed(bound, &data_type, default.at),
    };
    let default = default.map(same).transpose()?;
    Ok((AnalyticFunction::Value { value, default, place, extent }, data_type))
}

/// A value whose type is known where columns are: NULL alone counts as text.
pub(super) fn typed(rows: &RowScope, value: ScalarExpr) -> ScalarExpr {
    if is_unknown(&value.data_type) && !rows.open { types::convert(value, &DataType::Utf8, false) } else { value }
}

/// What stands behind `LIMIT DURATION`. A row that is as old as that counts no more, as in the windows of the language.
fn limit(name: &str, frame: Option<&Frame>, at: Position) -> Result<Extent, PlanError> {
    let example = || format!("{name}(…) OVER (PARTITION BY key LIMIT DURATION(minute, 5))");
    let Some(limit) = frame.and_then(|frame| frame.limit.as_deref()) else {
        let message = format!("`{name}` does not say how far it looks back");
        return Err(PlanError::new(PlanErrorCode::Window, at, message).hint(example()));
    };
    let Some(duration_ms) = duration(limit) else {
        return Err(PlanError::new(PlanErrorCode::Window, limit.at, "expected DURATION(unit, length)").hint(example()));
    };
    check_length(duration_ms, "the duration", limit.at)?;
    Ok(Extent::Time(duration_ms - 1))
}

/// The value of one other row: `LAG(value, offset, default)` in both languages; `LAST(value, default)` in Stream Analytics';
/// `FIRST_VALUE(value)`, `LAST_VALUE(value)`, `NTH_VALUE(value, number)` in Kinesis'.
pub(super) fn positioned(
    binder: &Binder,
    rows: &RowScope,
    call: &Call,
    extent: Extent,
    at: Position,
) -> Result<(AnalyticFunction, DataType), PlanError> {
    let name = call.full_name().to_uppercase();
    let (of, place, default) = match (name.as_str(), call.arguments.as_slice()) {
        ("LAG", [of]) => (of, Place::Before(1), None),
        ("LAG", [of, offset, rest @ ..]) if rest.len() < 2 => (of, Place::Before(number(&name, offset)?), rest.first()),
        ("LAST", [of, rest @ ..]) if rest.len() < 2 => (of, Place::Last(1), rest.first()),
        ("FIRST_VALUE", [of]) => (of, Place::First(1), None),
        ("LAST_VALUE", [of]) => (of, Place::Last(1), None),
        ("NTH_VALUE", [of, which]) if call.from_last => (of, Place::Last(number(&name, which)?), None),
        ("NTH_VALUE", [of, which]) => (of, Place::First(number(&name, which)?), None),
        (_, arguments) => {
            let takes = match name.as_str() {
                "LAG" => "1 to 3",
                "LAST" => "1 to 2",
                "NTH_VALUE" => "2",
                _ => "1",
            };
            let message = format!("{name} takes {takes} argument(s), found {}", arguments.len());
            return Err(PlanError::new(PlanErrorCode::Syntax, at, message));
        }
    };
    value(binder, rows, (of, default), (place, extent))
}

/// A number of rows that stands in a call.
fn number(name: &str, argument: &Expr) -> Result<usize, PlanError> {
    let rows = match &argument.kind {
        ExprKind::Literal(Literal::Number(digits)) => digits.parse().ok(),
        _ => None,
    };
    rows.filter(|rows| (1..=WINDOW_ROWS_MAX).contains(rows)).ok_or_else(|| {
        let message = format!("{name} takes a whole number of rows, 1 to {WINDOW_ROWS_MAX}");
        PlanError::new(PlanErrorCode::Window, argument.at, message)
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
    Ok(AnalyticFunction::IsFirst { interval_ms, bounds: WindowBounds::OpenClosed })
}
