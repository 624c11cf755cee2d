//! How far apart in time two rows may be that are joined, from a comparison of their time columns: `a.ts BETWEEN b.ts - INTERVAL '5'
//! MINUTE AND b.ts`, or the same with `<`, `<=`, `>`, `>=` and `=`. Results of windows that end together are at one time:
//! `a.window_end = b.window_end`.
//!
//! Source: "Interval Joins" and "Window Join" of Apache Flink's documentation.

use super::super::join_bounds::Bounds;
use super::super::plan_join::unbounded;
use super::super::syntax::{BinaryOperator, Expr, ExprKind, JoinClause, Literal};
use crate::error::{PlanError, PlanErrorCode};
use crate::expression::scope::RowScope;
use crate::plan::WINDOW_MS_MAX;

/// A time in a condition: of which side, and how far it is moved.
#[derive(Clone, Copy)]
struct Moved {
    side: usize,
    by_ms: i64,
}

/// The bounds that the parts of a condition are together.
pub(in crate::dialect) fn of_times(
    scope: &RowScope,
    clause: &JoinClause,
    conjuncts: &[&Expr],
) -> Result<Bounds, PlanError> {
    if scope.sides.len() != 2 {
        let message = "not supported yet: several joins in one SELECT";
        let error = PlanError::new(PlanErrorCode::NotSupported, clause.at, message);
        return Err(error.hint("a view for the first join"));
    }
    let (mut low, mut high) = (None::<i64>, None::<i64>);
    let mut least = |bound: i64| low = Some(low.map_or(bound, |low| low.max(bound)));
    let mut most = |bound: i64| high = Some(high.map_or(bound, |high| high.min(bound)));
    for conjunct in conjuncts {
        for (left, operator, right) in comparisons(conjunct) {
            let Some(difference) = difference(scope, left, right) else { continue };
            // The comparison says: the right row's time less the left row's, in the order of the text, is …
            let (turned, bound) = difference;
            let operator = if turned { operator.mirrored() } else { operator };
            match operator {
                BinaryOperator::Equal => {
                    least(bound);
                    most(bound);
                }
                BinaryOperator::LessOrEqual => least(bound),
                BinaryOperator::Less => least(bound.saturating_add(1)),
                BinaryOperator::GreaterOrEqual => most(bound),
                BinaryOperator::Greater => most(bound.saturating_sub(1)),
                _ => {}
            }
        }
    }
    let (left, right) = (scope.sides[0].rows.name(), scope.sides[1].rows.name());
    let (Some(low), Some(high)) = (low, high) else {
        let hint = format!("ON … AND {left}.ts BETWEEN {right}.ts - INTERVAL '5' MINUTE AND {right}.ts");
        return Err(unbounded(clause.at, hint));
    };
    if low > high {
        let message = "no two rows are as far apart as the bounds of the join ask";
        return Err(PlanError::new(PlanErrorCode::Window, clause.at, message).hint("the lesser time first"));
    }
    if low < -WINDOW_MS_MAX || high > WINDOW_MS_MAX {
        let message = "the rows of a join may be at most 7 days apart";
        return Err(PlanError::new(PlanErrorCode::Window, clause.at, message).hint("a shorter interval"));
    }
    Ok(Bounds { low, high, given: high })
}

/// The comparisons that a part of a condition is.
fn comparisons(part: &Expr) -> Vec<(&Expr, BinaryOperator, &Expr)> {
    match &part.kind {
        ExprKind::Between { operand, low, high, negated: false } => {
            vec![(operand, BinaryOperator::GreaterOrEqual, low), (operand, BinaryOperator::LessOrEqual, high)]
        }
        ExprKind::Binary { operator, left, right } => vec![(left, *operator, right)],
        _ => Vec::new(),
    }
}

/// For `left op right`, times of both sides: with the left side's time on the left, `time of the right side - time of the left side`
/// compares with this; and whether the text has them the other way around.
fn difference(scope: &RowScope, left: &Expr, right: &Expr) -> Option<(bool, i64)> {
    let (left, right) = (moved(scope, left)?, moved(scope, right)?);
    match (left.side, right.side) {
        // a + x <= b + y: b - a >= x - y.
        (0, 1) => Some((false, left.by_ms.checked_sub(right.by_ms)?)),
        (1, 0) => Some((true, right.by_ms.checked_sub(left.by_ms)?)),
        _ => None,
    }
}

/// `a.ts`, `a.ts + INTERVAL …`, `a.ts - INTERVAL …`.
fn moved(scope: &RowScope, expr: &Expr) -> Option<Moved> {
    match &expr.kind {
        ExprKind::Name(parts) => {
            let [side, column] = parts.as_slice() else { return None };
            let side = scope.sides.iter().position(|known| known.rows.is_qualifier(&side.text))?;
            let rows = &scope.sides[side].rows;
            let clocks = rows.clocks.iter().map(|place| (*place, 0));
            let mut times = clocks.chain(rows.ends.iter().copied());
            let (_, by_ms) = times.find(|(place, _)| *rows.schema.field(*place).name() == column.text)?;
            Some(Moved { side, by_ms })
        }
        ExprKind::Binary { operator, left, right } => {
            let ExprKind::Literal(Literal::Interval(length)) = right.kind else { return None };
            let time = moved(scope, left)?;
            let by_ms = match operator {
                BinaryOperator::Add => time.by_ms.checked_add(length)?,
                BinaryOperator::Subtract => time.by_ms.checked_sub(length)?,
                _ => return None,
            };
            Some(Moved { by_ms, ..time })
        }
        _ => None,
    }
}
