//! The window of a `GROUP BY`: found among its expressions, in each language's own form.

use arrow::datatypes::DataType;
use millstream_catalog::QueryDialect;

use super::interval::unit_millis;
use super::syntax::{Call, Expr, ExprKind, Literal, UnaryOperator};
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::expression::Binder;
use crate::expression::scope::RowScope;
use crate::plan::{HOPS_PER_WINDOW_MAX, ScalarExpr, WINDOW_MS_MAX, WindowBounds, WindowKind, WindowSpec};

/// A `GROUP BY` taken apart.
pub(super) struct Grouping {
    pub keys: Vec<ScalarExpr>,
    /// The window, and the expression that stands for its start where the language has one.
    pub window: Option<(WindowSpec, Option<ScalarExpr>)>,
}

/// The rows of one instant: times have milliseconds. The open end is the start in both languages, so that the window's end,
/// which is its result's time, is the instant itself.
const SNAPSHOT: WindowSpec =
    WindowSpec { kind: WindowKind::Tumbling { size_ms: 1 }, offset_ms: 0, bounds: WindowBounds::OpenClosed };

/// Tells keys and window apart. Mistakes go to `errors`.
pub(super) fn grouping(binder: &Binder, rows: &RowScope, group_by: &[Expr], errors: &mut Vec<PlanError>) -> Grouping {
    let mut grouping = Grouping { keys: Vec::new(), window: None };
    let mut instant = false;
    for expr in group_by {
        let found = match binder.dialect {
            QueryDialect::Kinesis => step_window(binder, rows, expr),
            QueryDialect::StreamAnalytics => window_call(expr),
        };
        match found {
            Ok(Some(window)) => add_window(&mut grouping, window, expr.at, errors),
            Ok(None) => match binder.bind(expr) {
                Ok(key) if key.same(&rows.rowtime()) => instant = true,
                Ok(key) if matches!(key.data_type, DataType::Duration(_)) => errors.push(interval_key(expr.at)),
                Ok(key) => grouping.keys.push(key),
                Err(error) => errors.push(error),
            },
            Err(error) => errors.push(error),
        }
    }
    // Beside a window the row time is that window's end and adds nothing; alone it is a window of one instant.
    if instant && grouping.window.is_none() {
        grouping.window = Some((SNAPSHOT, None));
    }
    grouping
}

/// How to bound a group in a language.
pub(super) fn bound_hint(dialect: QueryDialect) -> &'static str {
    match dialect {
        QueryDialect::Kinesis => "GROUP BY …, STEP(\"SOURCE_SQL_STREAM_001\".ROWTIME BY INTERVAL '60' SECOND)",
        QueryDialect::StreamAnalytics => "GROUP BY …, TumblingWindow(minute, 1)",
    }
}

type Window = (WindowSpec, Option<ScalarExpr>);

fn add_window(grouping: &mut Grouping, window: Window, at: Position, errors: &mut Vec<PlanError>) {
    if grouping.window.as_ref().is_some_and(|(first, _)| *first != window.0) {
        let message = "not supported yet: several windows in one GROUP BY";
        errors.push(PlanError::new(PlanErrorCode::NotSupported, at, message).hint("one SELECT for each window"));
    }
    grouping.window.get_or_insert(window);
}

/// Kinesis: `STEP(ROWTIME BY …)` or `FLOOR(ROWTIME TO …)`.
fn step_window(binder: &Binder, rows: &RowScope, expr: &Expr) -> Result<Option<Window>, PlanError> {
    let (operand, length) = match &expr.kind {
        ExprKind::Step { operand, by } => match by.kind {
            ExprKind::Literal(Literal::Interval(length)) => (operand, Some(length)),
            _ => return Ok(None),
        },
        ExprKind::FloorTo { operand, unit, ceiling: false } => (operand, unit_millis(&unit.text)),
        _ => return Ok(None),
    };
    let (Ok(value), Some(size_ms)) = (binder.bind(operand), length) else { return Ok(None) };
    if !value.same(&rows.rowtime()) {
        return Ok(None);
    }
    check_length(size_ms, "the window", expr.at)?;
    let kind = WindowKind::Tumbling { size_ms };
    let start = binder.bind(expr)?;
    Ok(Some((WindowSpec { kind, offset_ms: 0, bounds: WindowBounds::ClosedOpen }, Some(start))))
}

/// Stream Analytics: `TumblingWindow(…)`, `HoppingWindow(…)`.
fn window_call(expr: &Expr) -> Result<Option<Window>, PlanError> {
    let ExprKind::Call(call) = &expr.kind else { return Ok(None) };
    let name = call.full_name().to_lowercase();
    let hopping = match name.as_str() {
        "tumblingwindow" | "tumbling" => false,
        "hoppingwindow" | "hopping" => true,
        "slidingwindow" | "sliding" => return Err(later("sliding windows", expr.at)),
        "sessionwindow" | "session" => return Err(later("session windows", expr.at)),
        "windows" => return Err(later("several windows in Windows(…)", expr.at)),
        _ => return Ok(None),
    };
    let (size_ms, hop_ms, offset_ms) = lengths(call, hopping, expr.at)?;
    check_length(size_ms, "the window", expr.at)?;
    let kind = match hopping {
        true => {
            check_length(hop_ms, "the hop", expr.at)?;
            if size_ms / hop_ms > HOPS_PER_WINDOW_MAX {
                let message =
                    format!("an instant lies in {} windows, at most {HOPS_PER_WINDOW_MAX} are kept", size_ms / hop_ms);
                return Err(PlanError::new(PlanErrorCode::Window, expr.at, message).hint("a longer hop"));
            }
            WindowKind::Hopping { size_ms, hop_ms }
        }
        false => WindowKind::Tumbling { size_ms },
    };
    Ok(Some((WindowSpec { kind, offset_ms, bounds: WindowBounds::OpenClosed }, None)))
}

/// Size, hop and offset in milliseconds, from `(unit, size [, hop])` or `(Duration(…) [, Hop(…)] [, Offset(…)])`.
fn lengths(call: &Call, hopping: bool, at: Position) -> Result<(i64, i64, i64), PlanError> {
    let form = if hopping {
        "HoppingWindow(second, 10, 5), or HoppingWindow(Duration(second, 10), Hop(second, 5))"
    } else {
        "TumblingWindow(minute, 1), or TumblingWindow(Duration(minute, 1))"
    };
    let wrong = || {
        let message = format!("`{}` is not given as a window", call.full_name());
        PlanError::new(PlanErrorCode::Window, at, message).hint(form)
    };
    match call.arguments.as_slice() {
        [unit, size] if !hopping && named(unit).is_none() => Ok((length(unit, size).ok_or_else(wrong)?, 0, 0)),
        [unit, size, hop] if hopping && named(unit).is_none() => {
            Ok((length(unit, size).ok_or_else(wrong)?, length(unit, hop).ok_or_else(wrong)?, 0))
        }
        parts => {
            let part = |name: &str| parts.iter().filter_map(named).find(|part| part.0 == name);
            let of = |name: &str| part(name).map(|(_, unit, count)| length(unit, count).ok_or_else(wrong)).transpose();
            let known = parts.iter().all(|part| {
                named(part).is_some_and(|(name, ..)| {
                    matches!(name.as_str(), "duration" | "offset") || (hopping && name == "hop")
                })
            });
            let size = of("duration")?.filter(|_| known).ok_or_else(wrong)?;
            let hop = if hopping { of("hop")?.ok_or_else(wrong)? } else { 0 };
            Ok((size, hop, of("offset")?.unwrap_or(0)))
        }
    }
}

/// `Duration(unit, count)` and its like.
fn named(expr: &Expr) -> Option<(String, &Expr, &Expr)> {
    let ExprKind::Call(call) = &expr.kind else { return None };
    let [unit, count] = call.arguments.as_slice() else { return None };
    Some((call.full_name().to_lowercase(), unit, count))
}

fn length(unit: &Expr, count: &Expr) -> Option<i64> {
    let ExprKind::Name(parts) = &unit.kind else { return None };
    let [unit] = parts.as_slice() else { return None };
    let count = match &count.kind {
        ExprKind::Literal(Literal::Number(digits)) => digits.parse::<i64>().ok()?,
        ExprKind::Unary { operator: UnaryOperator::Negate, operand } => match &operand.kind {
            ExprKind::Literal(Literal::Number(digits)) => -digits.parse::<i64>().ok()?,
            _ => return None,
        },
        _ => return None,
    };
    unit_millis(&unit.text)?.checked_mul(count)
}

fn check_length(length_ms: i64, what: &str, at: Position) -> Result<(), PlanError> {
    if (1..=WINDOW_MS_MAX).contains(&length_ms) {
        return Ok(());
    }
    let message = format!("{what} is {length_ms} ms long; it may be 1 ms to 7 days ({WINDOW_MS_MAX} ms)");
    Err(PlanError::new(PlanErrorCode::Window, at, message).hint("a shorter window, and sums of its results further on"))
}

fn later(what: &str, at: Position) -> PlanError {
    let message = format!("not supported yet: {what}");
    PlanError::new(PlanErrorCode::NotSupported, at, message)
        .hint("TumblingWindow(minute, 1) or HoppingWindow(second, 10, 5)")
}

fn interval_key(at: Position) -> PlanError {
    PlanError::new(PlanErrorCode::Type, at, "an INTERVAL cannot be grouped by")
}
