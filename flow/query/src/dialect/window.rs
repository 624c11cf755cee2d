//! The window of a `SELECT`, and what its rows are grouped by: found in `GROUP BY` or `WINDOWED BY`, in each language's own form.

use arrow::datatypes::DataType;
use datafusion_physical_expr::expressions::Column;
use millstream_catalog::QueryDialect;

use super::interval::unit_millis;
use super::standard::window_table::{self, is_window_column};
use super::syntax::{Expr, ExprKind, Literal, Select, Stagger};
use super::window_call::window_call;
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::expression::Binder;
use crate::expression::scope::RowScope;
use crate::plan::{ScalarExpr, WINDOW_MS_MAX, WindowBounds, WindowKind, WindowSpec};

/// Keys and window of a `SELECT`.
pub(super) struct Grouping {
    pub keys: Vec<ScalarExpr>,
    pub window: Option<Window>,
    /// How deep the expressions are that keys and window are made of.
    pub depths: Vec<usize>,
}

/// A window as it stands in the text.
pub(super) struct Window {
    pub spec: WindowSpec,
    /// The expression that stands for its start, where the language has one.
    pub start: Option<ScalarExpr>,
    /// Each of these values has windows of its own.
    pub partition_by: Vec<Expr>,
}

/// The rows of one instant: times have milliseconds. The open end is the start in both languages, so that the window's end,
/// which is its result's time, is the instant itself.
pub(super) const SNAPSHOT: WindowSpec =
    WindowSpec { kind: WindowKind::Tumbling { size_ms: 1 }, offset_ms: 0, bounds: WindowBounds::OpenClosed };

/// Tells keys and window apart. Mistakes go to `errors`.
pub(super) fn grouping(binder: &Binder, rows: &RowScope, select: &Select, errors: &mut Vec<PlanError>) -> Grouping {
    let depths = select.group_by.iter().map(|key| monotonic(key).depth).collect();
    let mut grouping = Grouping { keys: Vec::new(), window: None, depths };
    let mut instant = false;
    for expr in &select.group_by {
        let found = match binder.dialect {
            QueryDialect::Kinesis => step_window(binder, rows, monotonic(expr)),
            QueryDialect::StreamAnalytics => window_call(expr),
            QueryDialect::Standard if is_window_column(rows, expr) => continue,
            QueryDialect::Standard => Ok(None),
        };
        match found {
            Ok(Some(window)) => add_window(&mut grouping, window, expr.at, errors),
            Ok(None) => match binder.bind(expr) {
                Ok(key) if binder.dialect != QueryDialect::Standard && key.same(&rows.rowtime()) => instant = true,
                Ok(key) if is_end(rows, &key) => {
                    instant = true;
                    grouping.keys.push(key);
                }
                Ok(key) if matches!(key.data_type, DataType::Duration(_)) => errors.push(interval_key(expr.at)),
                Ok(key) => grouping.keys.push(key),
                Err(error) => errors.push(error),
            },
            Err(error) => errors.push(error),
        }
    }
    if let Some(stagger) = &select.stagger {
        match stagger_window(stagger, select) {
            Ok(window) => grouping.window = Some(window),
            Err(error) => errors.push(error),
        }
    }
    if let (Some(table), Some(bounds)) = (&select.from.windows, rows.windowed) {
        match window_table::window(table, bounds, rows, select) {
            Ok(window) => grouping.window = Some(window),
            Err(error) => errors.push(error),
        }
    }
    // Beside a window the row time is that window's end and adds nothing; alone it is a window of one instant.
    if instant && grouping.window.is_none() {
        grouping.window = Some(Window { spec: SNAPSHOT, start: None, partition_by: Vec::new() });
    }
    // Sessions of rows that are computed apart are their own.
    if let Some(Window { spec: WindowSpec { kind: WindowKind::Session { .. }, .. }, partition_by, .. }) =
        &mut grouping.window
    {
        partition_by.extend(rows.apart_by.iter().cloned());
    }
    partition(&mut grouping, binder, errors);
    grouping
}

/// Whether a value is the end of the window whose result a row is.
fn is_end(rows: &RowScope, value: &ScalarExpr) -> bool {
    let column = value.physical.downcast_ref::<Column>();
    column.is_some_and(|column| rows.ends.iter().any(|(place, _)| *place == column.index()))
}

/// How to bound a group in a language.
pub(super) fn bound_hint(dialect: QueryDialect) -> &'static str {
    match dialect {
        QueryDialect::Kinesis => "GROUP BY …, STEP(\"SOURCE_SQL_STREAM_001\".ROWTIME BY INTERVAL '60' SECOND)",
        QueryDialect::StreamAnalytics => "GROUP BY …, TumblingWindow(minute, 1)",
        QueryDialect::Standard => {
            "FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end, …"
        }
    }
}

fn add_window(grouping: &mut Grouping, window: Window, at: Position, errors: &mut Vec<PlanError>) {
    let other =
        |first: &Window| first.spec != window.spec || !first.partition_by.is_empty() || !window.partition_by.is_empty();
    if grouping.window.as_ref().is_some_and(other) {
        let message = "not supported yet: several windows in one GROUP BY";
        errors.push(PlanError::new(PlanErrorCode::NotSupported, at, message).hint("one SELECT for each window"));
    }
    grouping.window.get_or_insert(window);
}

/// Puts what a window is partitioned by in front of the other keys; rows are grouped by it in any case.
fn partition(grouping: &mut Grouping, binder: &Binder, errors: &mut Vec<PlanError>) {
    let Some(window) = &mut grouping.window else { return };
    let mut count = 0;
    for expr in &window.partition_by {
        grouping.depths.push(expr.depth);
        let key = match binder.bind(expr) {
            Ok(key) if matches!(key.data_type, DataType::Duration(_)) => {
                errors.push(interval_key(expr.at));
                continue;
            }
            Ok(key) => key,
            Err(error) => {
                errors.push(error);
                continue;
            }
        };
        match grouping.keys.iter().position(|other| other.same(&key)) {
            Some(place) if place < count => continue,
            Some(place) => {
                grouping.keys.remove(place);
            }
            None => {}
        }
        grouping.keys.insert(count, key);
        count += 1;
    }
    if let WindowKind::Session { partition, .. } = &mut window.spec.kind {
        *partition = count;
    }
}

/// What an author says is monotonic, without saying so: `MONOTONIC(x)` is `x`.
pub(super) fn monotonic(expr: &Expr) -> &Expr {
    match &expr.kind {
        ExprKind::Call(call) if call.full_name() == "MONOTONIC" && call.arguments.len() == 1 => {
            monotonic(&call.arguments[0])
        }
        _ => expr,
    }
}

/// Kinesis: `STEP(ROWTIME BY …)` or `FLOOR(ROWTIME TO …)`.
pub(super) fn step_window(binder: &Binder, rows: &RowScope, expr: &Expr) -> Result<Option<Window>, PlanError> {
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
    let spec = WindowSpec { kind: WindowKind::Tumbling { size_ms }, offset_ms: 0, bounds: WindowBounds::ClosedOpen };
    Ok(Some(Window { spec, start: Some(binder.bind(expr)?), partition_by: Vec::new() }))
}

/// Kinesis: `WINDOWED BY STAGGER (…)`.
fn stagger_window(stagger: &Stagger, select: &Select) -> Result<Window, PlanError> {
    if let Some(key) = select.group_by.first() {
        let message = "GROUP BY beside WINDOWED BY STAGGER, whose PARTITION BY says what rows are grouped by";
        return Err(PlanError::new(PlanErrorCode::Window, key.at, message).hint("one of the two"));
    }
    check_length(stagger.length_ms, "the window", stagger.at)?;
    let kind = WindowKind::Stagger { size_ms: stagger.length_ms };
    let spec = WindowSpec { kind, offset_ms: 0, bounds: WindowBounds::ClosedOpen };
    Ok(Window { spec, start: None, partition_by: stagger.partition_by.clone() })
}

/// Refuses lengths that no window may have.
pub(super) fn check_length(length_ms: i64, what: &str, at: Position) -> Result<(), PlanError> {
    if (1..=WINDOW_MS_MAX).contains(&length_ms) {
        return Ok(());
    }
    let message = format!("{what} is {length_ms} ms long; it may be 1 ms to 7 days ({WINDOW_MS_MAX} ms)");
    Err(PlanError::new(PlanErrorCode::Window, at, message).hint("a shorter window, and sums of its results further on"))
}

fn interval_key(at: Position) -> PlanError {
    PlanError::new(PlanErrorCode::Type, at, "an INTERVAL cannot be grouped by")
}
