//! `ORDER BY` of Kinesis' language: the rows of a stretch of time in the order of values of theirs.
//!
//! Source: "ORDER BY clause" of the SQL reference. The first value is ROWTIME, or what rises with it; it says which rows are ordered
//! among each other. The others may be of the row, of the list by name or number, or of the group.

use arrow::datatypes::SchemaRef;

use super::syntax::{Expr, ExprKind, From, Ident, Literal, Select, SelectItem};
use super::window::{monotonic, step_window};
use crate::error::{PlanError, PlanErrorCode};
use crate::expression::scope::{RowScope, column};
use crate::expression::{Binder, Scope};
use crate::plan::{ScalarExpr, Sort, WindowSpec, with_rowtime};

/// Which rows are ordered, and by what.
pub(super) struct Ordered {
    pub(super) stretch_ms: Option<i64>,
    pub(super) keys: Vec<(Expr, bool)>,
}

/// A value that rises with ROWTIME.
pub(super) struct TimeKey {
    /// How long it stays the same; `None`: it is ROWTIME itself.
    pub(super) stretch_ms: Option<i64>,
    spec: Option<WindowSpec>,
}

/// The value as one that rises with ROWTIME; `None`: it is another.
pub(super) fn time_key(binder: &Binder, rows: &RowScope, expr: &Expr) -> Result<Option<TimeKey>, PlanError> {
    let expr = monotonic(expr);
    if let Some(window) = step_window(binder, rows, expr)? {
        let size_ms = window.spec.kind.size_ms();
        return Ok(Some(TimeKey { stretch_ms: Some(size_ms), spec: Some(window.spec) }));
    }
    let ExprKind::Name(_) = expr.kind else { return Ok(None) };
    let is_time = binder.bind(expr).is_ok_and(|value| value.same(&rows.rowtime()));
    Ok(is_time.then_some(TimeKey { stretch_ms: None, spec: None }))
}

/// What a `SELECT` is ordered by.
pub(super) fn keys(
    sql: &str,
    select: &Select,
    order_by: &[(Expr, bool)],
    rows: &RowScope,
) -> Result<Ordered, PlanError> {
    let binder = Binder { dialect: rows.dialect, sql, scope: Scope::Row(rows) };
    let resolved = order_by.iter().map(|(key, descending)| Ok((named(select, key)?, *descending)));
    let mut keys = resolved.collect::<Result<Vec<_>, PlanError>>()?;
    let Some((first, descending)) = (!keys.is_empty()).then(|| keys.remove(0)) else {
        return Ok(Ordered { stretch_ms: None, keys });
    };
    let Some(time) = time_key(&binder, rows, &first)? else {
        let message = format!(
            "`{}` does not rise with ROWTIME, so no row could be known to be the first",
            binder.text(&first.span)
        );
        let hint = format!("ORDER BY FLOOR(s.ROWTIME TO MINUTE), {}", binder.text(&first.span));
        return Err(PlanError::new(PlanErrorCode::Unbounded, first.at, message).hint(hint));
    };
    if descending {
        let message = "a stream has no last ROWTIME to begin with";
        return Err(PlanError::new(PlanErrorCode::Unbounded, first.at, message).hint("ORDER BY ROWTIME, … DESC"));
    }
    // The rows of a window have one time already.
    let of_group = |key: &Expr| {
        let own = time_key(&binder, rows, key).ok().flatten().and_then(|own| own.spec);
        own.is_some() && own == time.spec
    };
    let stretch_ms = if select.group_by.iter().any(of_group) { None } else { time.stretch_ms };
    Ok(Ordered { stretch_ms, keys })
}

/// What a key stands for: an item of the list by its number or its name, or itself.
fn named(select: &Select, key: &Expr) -> Result<Expr, PlanError> {
    let values: Option<Vec<(&Expr, Option<&Ident>)>> = select
        .items
        .iter()
        .map(|item| match item {
            SelectItem::Column { value, alias } => Some((value, alias.as_ref())),
            SelectItem::Wildcard { .. } => None,
        })
        .collect();
    match &key.kind {
        ExprKind::Literal(Literal::Number(digits)) => {
            let place = digits.parse::<usize>().ok().and_then(|place| place.checked_sub(1));
            let value = values.as_ref().and_then(|values| values.get(place?)).map(|(value, _)| (*value).clone());
            value.ok_or_else(|| {
                let message = format!("the list has no item {digits} that could be told without its columns' names");
                PlanError::new(PlanErrorCode::UnknownColumn, key.at, message).hint("ORDER BY the value itself")
            })
        }
        ExprKind::Name(parts) if parts.len() == 1 => {
            let aliased = select.items.iter().find_map(|item| match item {
                SelectItem::Column { value, alias: Some(alias) }
                    if alias.text == parts[0].text && alias.text != "ROWTIME" =>
                {
                    Some(value)
                }
                _ => None,
            });
            Ok(aliased.unwrap_or(key).clone())
        }
        _ => Ok(key.clone()),
    }
}

/// A `SELECT` of some items over the rows of another.
pub(super) fn over(select: &Select, items: Vec<SelectItem>) -> Select {
    let name = Ident { text: String::new(), at: select.at };
    let from = From {
        name,
        inner: None,
        alias: None,
        columns: Vec::new(),
        timestamp_by: None,
        timelines: Vec::new(),
        partition_by: Vec::new(),
        applies: Vec::new(),
        windows: None,
        over: None,
        joins: Vec::new(),
        recognize: None,
    };
    Select {
        at: select.at,
        distinct: false,
        items,
        into: None,
        from,
        predicate: None,
        group_by: Vec::new(),
        stagger: None,
        windows: Vec::new(),
        window_id: None,
        having: None,
    }
}

/// The step that orders rows by their last columns, each with its text and whether it descends, and does not hand these on.
pub(super) fn sort(schema: &SchemaRef, stretch_ms: Option<i64>, keys: &[(String, bool)]) -> (Sort, SchemaRef) {
    let own = schema.fields().len() - 1 - keys.len();
    let columns = (0..own).map(|place| column(schema, place)).map(|value| (value.text.clone(), value)).collect();
    let key = |(place, (text, descending)): (usize, &(String, bool))| {
        (ScalarExpr { text: text.clone(), ..column(schema, own + place) }, *descending)
    };
    let keys = keys.iter().enumerate().map(key).collect();
    let fields = schema.fields().iter().take(own).map(|field| field.as_ref().clone());
    (Sort { columns, keys, stretch_ms, rank: None, most: None }, with_rowtime(fields))
}
