//! Kinesis' functions with `OVER`: what is computed over a row and the rows before it, of those that WHERE lets through.
//!
//! Source: "Amazon Kinesis Data Analytics SQL Reference": windowed aggregation, `LAG`, `FIRST_VALUE`, `LAST_VALUE`, `NTH_VALUE`.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion_physical_expr::expressions::is_not_null;

use super::plan_analytic::{aggregated, keys, positioned};
use super::syntax::{Call, Expr, Frame, Over, Select};
use super::window::check_length;
use crate::error::{PlanError, PlanErrorCode};
use crate::expression::bind_call::aggregates;
use crate::expression::scope::RowScope;
use crate::expression::suggest::nearest;
use crate::expression::{Binder, function, internal};
use crate::plan::{AnalyticCall, AnalyticFunction, Extent, ScalarExpr, WINDOW_ROWS_MAX};

/// Refuses what cannot stand beside functions with `OVER`.
pub(super) fn check(binder: &Binder, select: &Select) -> Result<(), PlanError> {
    let grouped = select.group_by.first().or(select.having.as_ref()).map(|expr| expr.at);
    if let Some(at) = grouped.or(select.stagger.as_ref().map(|stagger| stagger.at)) {
        let message = "functions with OVER have a result for each row, so there are no groups beside them";
        return Err(PlanError::new(PlanErrorCode::Window, at, message).hint("a stream of its own for one of the two"));
    }
    let mut found = Vec::new();
    select.expressions().for_each(|expr| aggregates(binder.dialect, expr, &mut found));
    found.first().map_or(Ok(()), |(_, expr)| {
        let message = format!("`{}` has no OVER beside a function that has", binder.text(&expr.span));
        Err(PlanError::new(PlanErrorCode::Window, expr.at, message).hint("OVER behind each of them"))
    })
}

/// A call with `OVER`.
pub(super) fn bind(
    binder: &Binder,
    rows: &RowScope,
    select: &Select,
    call: &Call,
    expr: &Expr,
) -> Result<AnalyticCall, PlanError> {
    let name = call.full_name();
    let Some(over) = &call.over else {
        let message = format!("{name} has no OVER, which says how far it looks back");
        let example = format!("{name}(…) OVER (PARTITION BY key RANGE INTERVAL '1' MINUTE PRECEDING)");
        return Err(PlanError::new(PlanErrorCode::Window, expr.at, message).hint(example));
    };
    let frame = resolve(over, select)?;
    let extent = extent(frame)?;
    let (function, data_type) = match function::is_analytic(binder.dialect, &name) {
        true => positioned(binder, rows, call, extent, expr.at)?,
        false => aggregated(binder, call, expr, extent)?,
    };
    let when = if call.ignores_nulls { Some(not_null(&function)?) } else { None };
    let partition_by = keys(binder, rows, &frame.partition_by)?;
    Ok(AnalyticCall { function, partition_by, when: when.flatten(), data_type, text: binder.text(&expr.span) })
}

/// Rows whose value is there: those that count with `IGNORE NULLS`.
fn not_null(function: &AnalyticFunction) -> Result<Option<ScalarExpr>, PlanError> {
    let AnalyticFunction::Value { value, .. } = function else { return Ok(None) };
    let physical = is_not_null(Arc::clone(&value.physical)).map_err(|error| internal(&error))?;
    let text = format!("{} IS NOT NULL", value.text);
    Ok(Some(ScalarExpr { physical, data_type: DataType::Boolean, nullable: false, text }))
}

fn extent(frame: &Frame) -> Result<Extent, PlanError> {
    match frame.extent {
        Some(Extent::Time(length_ms)) => check_length(length_ms, "the window", frame.at)?,
        Some(Extent::Rows(count)) if !(1..=WINDOW_ROWS_MAX).contains(&count) => {
            let message = format!("the window goes {count} rows back; it may be 1 to {WINDOW_ROWS_MAX}");
            return Err(
                PlanError::new(PlanErrorCode::Window, frame.at, message).hint("a window of time: RANGE INTERVAL …")
            );
        }
        _ => {}
    }
    let missing = || PlanError::new(PlanErrorCode::Window, frame.at, "a window does not say how far it goes back");
    frame.extent.ok_or_else(missing)
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
