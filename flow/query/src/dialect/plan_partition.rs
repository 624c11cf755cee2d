//! Rows that are computed apart from each other: `PARTITION BY` behind a source, and the timelines of `TIMESTAMP BY … OVER`.
//!
//! What is computed of several rows is computed of those of one partition: groups and joins have to name what rows are apart by, and
//! functions that look back, patterns and sessions see only rows of their own. Partitions are not run apart: results come when
//! time has passed in all of them.
//!
//! Sources: "FROM", "INTO", "TIMESTAMP BY" and "JOIN (Azure Stream Analytics)".

use super::plan_analytic::keys;
use super::syntax::{Expr, ExprKind, From, Ident};
use super::window::Grouping;
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::expression::scope::RowScope;
use crate::expression::{Binder, Scope};
use crate::plan::{JoinSide, ScalarExpr};

/// What the rows of a source are apart by.
pub(super) fn apart_by(from: &From) -> Vec<Expr> {
    from.timelines.iter().chain(&from.partition_by).cloned().collect()
}

/// What rows are apart by, over their schema.
pub(super) fn partition(sql: &str, rows: &RowScope) -> Result<Vec<ScalarExpr>, PlanError> {
    let binder = Binder { dialect: rows.dialect, sql, scope: Scope::Row(rows) };
    let mut partition: Vec<ScalarExpr> = Vec::new();
    for key in keys(&binder, rows, &rows.apart_by)? {
        if !partition.iter().any(|known| known.same(&key)) {
            partition.push(key);
        }
    }
    Ok(partition)
}

/// Keys with what rows are apart by.
pub(super) fn with_partition(
    sql: &str,
    rows: &RowScope,
    mut keys: Vec<ScalarExpr>,
) -> Result<Vec<ScalarExpr>, PlanError> {
    for key in partition(sql, rows)? {
        if !keys.iter().any(|known| known.same(&key)) {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// Groups are of rows of one partition.
pub(super) fn check_groups(sql: &str, rows: &RowScope, grouping: &Grouping, at: Position) -> Result<(), PlanError> {
    let partition = partition(sql, rows)?;
    match partition.iter().find(|key| !grouping.keys.iter().any(|known| known.same(key))) {
        None => Ok(()),
        Some(key) => {
            let message = format!("rows are computed apart by `{}`, which GROUP BY does not name", key.text);
            Err(PlanError::new(PlanErrorCode::NotGrouped, at, message).hint(format!("GROUP BY {}, …", key.text)))
        }
    }
}

/// Rows that are joined are of one partition: what they are apart by is compared. Gives what the joined rows are apart by.
pub(super) fn joined(
    sql: &str,
    scopes: [&RowScope; 2],
    sides: &[JoinSide; 2],
    at: Position,
) -> Result<Vec<Expr>, PlanError> {
    let [left, right] = [partition(sql, scopes[0])?, partition(sql, scopes[1])?];
    let compared = |left: &ScalarExpr, right: &ScalarExpr| {
        let keys = sides[0].keys.iter().zip(&sides[1].keys);
        keys.into_iter().any(|(left_key, right_key)| left_key.same(left) && right_key.same(right))
    };
    let equal = left.len() == right.len() && left.iter().zip(&right).all(|(left, right)| compared(left, right));
    if !equal {
        let names = |keys: &[ScalarExpr]| match keys {
            [] => "nothing".to_owned(),
            keys => keys.iter().map(|key| format!("`{}`", key.text)).collect::<Vec<_>>().join(", "),
        };
        let message = format!(
            "rows of `{}` are computed apart by {} and those of `{}` by {}; ON has to compare these one by one",
            scopes[0].name(),
            names(&left),
            scopes[1].name(),
            names(&right)
        );
        return Err(PlanError::new(PlanErrorCode::Syntax, at, message)
            .hint("… ON a.PartitionId = b.PartitionId AND DATEDIFF(…)"));
    }
    of_table(scopes[0])
}

/// What rows are apart by that are joined with a table.
pub(super) fn of_table(rows: &RowScope) -> Result<Vec<Expr>, PlanError> {
    rows.apart_by.iter().map(|key| of_source(rows, key)).collect()
}

/// The same with the source's name in front, by which joined rows know it.
fn of_source(rows: &RowScope, key: &Expr) -> Result<Expr, PlanError> {
    let ExprKind::Name(parts) = &key.kind else {
        let message = "not supported yet: a join of what is partitioned by more than columns";
        return Err(
            PlanError::new(PlanErrorCode::NotSupported, key.at, message).hint("a step that computes the column")
        );
    };
    if !rows.sides.is_empty() {
        return Ok(key.clone());
    }
    let source = Ident { text: rows.name().to_owned(), at: key.at };
    let parts = std::iter::once(source).chain(rows.without_qualifier(parts).iter().cloned()).collect();
    Ok(Expr { kind: ExprKind::Name(parts), ..key.clone() })
}
