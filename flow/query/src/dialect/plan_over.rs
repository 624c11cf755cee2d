//! Kinesis' aggregates with `OVER`: a row's own columns beside what is computed over it and the rows before it.

use super::plan_select::expand;
use super::syntax::{Call, Expr, ExprKind, Frame, Over, Select, SelectItem};
use super::window::{Grouping, Window, check_length, partition};
use crate::error::{PlanError, PlanErrorCode};
use crate::expression::Binder;
use crate::expression::scope::RowScope;
use crate::expression::suggest::nearest;
use crate::plan::{Extent, ScalarExpr, WINDOW_ROWS_MAX, WindowBounds, WindowKind, WindowSpec};

/// Whether an aggregate of a `SELECT` has `OVER`.
pub(super) fn has_over(calls: &[(&Call, &Expr)]) -> bool {
    calls.iter().any(|(call, _)| call.over.is_some())
}

/// The window of a `SELECT` whose aggregates have `OVER`, and the columns of the row that its result needs. Mistakes go to
/// `errors`.
pub(super) fn grouping(
    binder: &Binder,
    rows: &RowScope,
    select: &Select,
    calls: &[(&Call, &Expr)],
    errors: &mut Vec<PlanError>,
) -> Grouping {
    let window = match window(binder, select, calls) {
        Ok(window) => Some(window),
        Err(error) => {
            errors.push(error);
            None
        }
    };
    let mut grouping = Grouping { keys: columns(binder, rows, select), window, depths: Vec::new() };
    partition(&mut grouping, binder, errors);
    grouping
}

fn window(binder: &Binder, select: &Select, calls: &[(&Call, &Expr)]) -> Result<Window, PlanError> {
    let grouped = select.group_by.first().or(select.having.as_ref()).map(|expr| expr.at);
    if let Some(at) = grouped.or(select.stagger.as_ref().map(|stagger| stagger.at)) {
        let message = "aggregates with OVER have a result for each row, so there are no groups beside them";
        return Err(PlanError::new(PlanErrorCode::Window, at, message).hint("a stream of its own for one of the two"));
    }
    let mut first: Option<&Frame> = None;
    for (call, expr) in calls {
        let Some(over) = &call.over else {
            let message = format!("`{}` has no OVER beside an aggregate that has", binder.text(&expr.span));
            return Err(PlanError::new(PlanErrorCode::Window, expr.at, message).hint("OVER behind each of them"));
        };
        let frame = resolve(over, select)?;
        if first.is_some_and(|first| binder.text(&first.span) != binder.text(&frame.span)) {
            let message = "not supported yet: different windows in one SELECT";
            return Err(PlanError::new(PlanErrorCode::NotSupported, expr.at, message).hint("a pump for each window"));
        }
        first.get_or_insert(frame);
    }
    let Some((frame, extent)) = first.and_then(|frame| Some((frame, frame.extent?))) else {
        return Err(PlanError::new(PlanErrorCode::Window, select.at, "a window does not say how far it goes back"));
    };
    match extent {
        Extent::Time(length_ms) => check_length(length_ms, "the window", frame.at)?,
        Extent::Rows(1..=WINDOW_ROWS_MAX) => {}
        Extent::Rows(count) => {
            let message = format!("the window goes {count} rows back; it may be 1 to {WINDOW_ROWS_MAX}");
            return Err(
                PlanError::new(PlanErrorCode::Window, frame.at, message).hint("a window of time: RANGE INTERVAL …")
            );
        }
    }
    // A row is complete with itself; its result waits, as at the end of a window that is open at its start, until no row
    // can come before it.
    let kind = WindowKind::Preceding { extent, partition: 0 };
    let spec = WindowSpec { kind, offset_ms: 0, bounds: WindowBounds::OpenClosed };
    Ok(Window { spec, start: None, partition_by: frame.partition_by.clone() })
}

/// The window that stands behind `OVER`, there or under its name.
pub(super) fn resolve<'s>(over: &'s Over, select: &'s Select) -> Result<&'s Frame, PlanError> {
    let name = match over {
        Over::Window(frame) => return Ok(frame),
        Over::Named(name) => name,
    };
    let found = select.windows.iter().find(|(window, _)| window.text == name.text);
    found.map(|(_, frame)| frame).ok_or_else(|| {
        let message = format!("there is no window `{}`", name.text);
        let error = PlanError::new(PlanErrorCode::Window, name.at, message);
        match nearest(&name.text, select.windows.iter().map(|(window, _)| window.text.as_str())) {
            Some(near) => error.hint(near),
            None => error.hint(format!("WINDOW {} AS (RANGE INTERVAL '1' MINUTE PRECEDING)", name.text)),
        }
    })
}

/// The columns that a select list names outside its aggregates.
fn columns(binder: &Binder, rows: &RowScope, select: &Select) -> Vec<ScalarExpr> {
    let mut found: Vec<ScalarExpr> = Vec::new();
    for item in &select.items {
        match item {
            SelectItem::Column { value, .. } => named(binder, value, &mut found),
            // What no column stands for is told where the list is planned.
            SelectItem::Wildcard { prefix, at } => {
                found.extend(expand(rows, prefix, *at).unwrap_or_default().into_iter().map(|item| item.value));
            }
        }
    }
    let rowtime = rows.rowtime();
    let mut columns: Vec<ScalarExpr> = Vec::new();
    for column in found {
        if !column.same(&rowtime) && !columns.iter().any(|other| other.same(&column)) {
            columns.push(column);
        }
    }
    columns
}

fn named(binder: &Binder, expr: &Expr, found: &mut Vec<ScalarExpr>) {
    match &expr.kind {
        ExprKind::Call(call) if call.over.is_some() => {}
        ExprKind::Name(_) => found.extend(binder.bind(expr)),
        kind => kind.parts().into_iter().for_each(|part| named(binder, part, found)),
    }
}
