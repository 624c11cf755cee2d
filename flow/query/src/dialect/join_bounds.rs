//! How far apart in time two rows may be that are joined: from DATEDIFF in a condition, or from windows on the sources.

use super::plan_join::unbounded;
use super::plan_over::resolve;
use super::syntax::{BinaryOperator, Expr, ExprKind, JoinClause, Literal, Over, Select, UnaryOperator};
use super::window::check_length;
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::expression::scope::{RowScope, Side};
use crate::expression::time::{unit_millis, unit_name};
use crate::plan::{Extent, WINDOW_MS_MAX};

/// How far the right row's time may be from the left's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// At least, in milliseconds.
    pub low: i64,
    /// At most, in milliseconds.
    pub high: i64,
    /// How long after its own time a left row without a match is given: the upper bound as it is written. Counted in units of
    /// time it is shorter than `high`, because a row late in its unit and one early in its have fewer boundaries between them.
    pub given: i64,
}

/// A bound as it is written: how many boundaries of a unit lie between the left row and the right.
struct Counted {
    low: Option<i64>,
    high: Option<i64>,
    unit_ms: i64,
    /// How far the compared source's time may be from the left row's.
    offset: (i64, i64),
}

/// Stream Analytics: all `DATEDIFF(unit, left, right)` that are compared with numbers.
pub(super) fn of_condition(scope: &RowScope, clause: &JoinClause, conjuncts: &[&Expr]) -> Result<Bounds, PlanError> {
    let (mut low, mut high, mut given) = (None::<i64>, None::<i64>, None::<i64>);
    for conjunct in conjuncts {
        let Some(counted) = counted(scope, conjunct)? else { continue };
        let Counted { unit_ms, offset, .. } = counted;
        if let Some(count) = counted.low {
            let bound = length(count, unit_ms, conjunct.at)?;
            let found = bound.saturating_sub(unit_ms - 1).saturating_add(offset.0);
            low = Some(low.map_or(found, |low| low.max(found)));
        }
        if let Some(count) = counted.high {
            let bound = length(count, unit_ms, conjunct.at)?;
            let found = bound.saturating_add(unit_ms - 1).saturating_add(offset.1);
            high = Some(high.map_or(found, |high| high.min(found)));
            let found = bound.saturating_add(offset.1);
            given = Some(given.map_or(found, |given| given.min(found)));
        }
    }
    let (Some(low), Some(high), Some(given)) = (low, high, given) else {
        let name = |side: Option<&Side>| side.map_or(String::new(), |side| side.rows.name().to_owned());
        let (left, right) = (name(scope.sides.first()), name(scope.sides.last()));
        let hint = format!("ON … AND DATEDIFF(minute, {left}, {right}) BETWEEN 0 AND 15");
        return Err(unbounded(clause.at, hint));
    };
    if low > high {
        let message = "no two rows are as far apart as the bounds of the join ask";
        return Err(PlanError::new(PlanErrorCode::Window, clause.at, message).hint("the lesser number first"));
    }
    Ok(Bounds { low, high, given })
}

/// Kinesis: windows on the sources. Without one only a source's current row is joined.
pub(super) fn of_windows(select: &Select, place: usize) -> Result<Bounds, PlanError> {
    let clause = &select.from.joins[place];
    let length = |over: &Option<Over>| over.as_ref().map(|over| window(over, select)).transpose();
    // One of what is joined so far is as late as its pair; the others are held to their own windows by `window_lengths`.
    let left = window_lengths(select, place)?.into_iter().max().flatten();
    let right = length(&clause.right.over)?;
    if left.is_none() && right.is_none() {
        let hint = format!("JOIN {} OVER (RANGE INTERVAL '1' MINUTE PRECEDING) AS …", clause.right.name.text);
        return Err(unbounded(clause.at, hint));
    }
    let (left, right) = (left.unwrap_or(0), right.unwrap_or(0));
    Ok(Bounds { low: -right, high: left, given: left })
}

/// Kinesis: how far the windows go back on the sources that are joined in front of a place, in their order; `None`: only the current row.
pub(super) fn window_lengths(select: &Select, place: usize) -> Result<Vec<Option<i64>>, PlanError> {
    let before = select.from.joins[..place].iter().map(|join| &join.right.over);
    let overs = std::iter::once(&select.from.over).chain(before);
    overs.map(|over| over.as_ref().map(|over| window(over, select)).transpose()).collect()
}

/// Kinesis: of several joins each is inner, since a row without a match has no time until all windows have ended.
pub(super) fn check_several(select: &Select) -> Result<(), PlanError> {
    let outer = select.from.joins.iter().find(|join| join.outer != [false, false]);
    match outer.filter(|_| select.from.joins.len() > 1) {
        None => Ok(()),
        Some(join) => {
            let message = "not supported yet: an outer join beside other joins in one SELECT";
            let error = PlanError::new(PlanErrorCode::NotSupported, join.at, message);
            Err(error.hint("pump the first join into a stream of its own and join that"))
        }
    }
}

/// How far a window on a source goes back, in milliseconds.
fn window(over: &Over, select: &Select) -> Result<i64, PlanError> {
    let frame = resolve(over, select)?;
    match frame.extent {
        Some(Extent::Time(length_ms)) if frame.partition_by.is_empty() => {
            check_length(length_ms, "the window", frame.at)?;
            Ok(length_ms)
        }
        _ => {
            let message = "not supported yet: windows of rows or with PARTITION BY on a source";
            let error = PlanError::new(PlanErrorCode::NotSupported, frame.at, message);
            Err(error.hint("OVER (RANGE INTERVAL '1' MINUTE PRECEDING)"))
        }
    }
}

/// A bound in milliseconds.
fn length(count: i64, unit_ms: i64, at: Position) -> Result<i64, PlanError> {
    let length = count.checked_mul(unit_ms).filter(|length| length.unsigned_abs() <= WINDOW_MS_MAX.unsigned_abs());
    length.ok_or_else(|| {
        let message = "the rows of a join may be at most 7 days apart";
        PlanError::new(PlanErrorCode::Window, at, message).hint("a smaller number, or a shorter unit")
    })
}

/// A part of a condition as a bound; `None`: it is something else, which only is evaluated.
fn counted(scope: &RowScope, part: &Expr) -> Result<Option<Counted>, PlanError> {
    let (difference, low, high) = match &part.kind {
        ExprKind::Between { operand, low, high, negated: false } => (operand, whole(low), whole(high)),
        ExprKind::Binary { operator, left, right } => match (whole(left), whole(right)) {
            (None, Some(count)) => {
                let (low, high) = limits(*operator, count);
                (left, low, high)
            }
            (Some(count), None) => {
                let (low, high) = limits(operator.mirrored(), count);
                (right, low, high)
            }
            _ => return Ok(None),
        },
        _ => return Ok(None),
    };
    let Some((unit, from, to)) = date_difference(difference) else { return Ok(None) };
    let (Some(from), Some(to)) = (place(scope, from), place(scope, to)) else { return Ok(None) };
    let last = scope.sides.len() - 1;
    let turned = match (from == last, to == last) {
        (false, true) => false,
        (true, false) => true,
        _ => return Ok(None),
    };
    let Some(unit_ms) = unit_name(unit).and_then(|unit| unit_millis(unit).ok()) else {
        let message = format!("DATEDIFF in `{unit}` cannot bound a join");
        let error = PlanError::new(PlanErrorCode::Window, part.at, message);
        return Err(error.hint("day, hour, minute, second or millisecond"));
    };
    let negated = |count: Option<i64>| count.map(i64::saturating_neg);
    let (low, high) = if turned { (negated(high), negated(low)) } else { (low, high) };
    let offset = scope.sides[if turned { to } else { from }].offset;
    Ok(Some(Counted { low, high, unit_ms, offset }))
}

/// The bounds that a comparison with a number is.
fn limits(operator: BinaryOperator, count: i64) -> (Option<i64>, Option<i64>) {
    match operator {
        BinaryOperator::Equal => (Some(count), Some(count)),
        BinaryOperator::Less => (None, Some(count.saturating_sub(1))),
        BinaryOperator::LessOrEqual => (None, Some(count)),
        BinaryOperator::Greater => (Some(count.saturating_add(1)), None),
        BinaryOperator::GreaterOrEqual => (Some(count), None),
        _ => (None, None),
    }
}
/// A whole number as it is written, with or without a sign.
fn whole(expr: &Expr) -> Option<i64> {
    match &expr.kind {
        ExprKind::Literal(Literal::Number(digits)) => digits.parse().ok(),
        ExprKind::Unary { operator: UnaryOperator::Negate, operand } => match &operand.kind {
            ExprKind::Literal(Literal::Number(digits)) => format!("-{digits}").parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// The parts of `DATEDIFF(unit, from, to)` of two names.
fn date_difference(expr: &Expr) -> Option<(&str, &str, &str)> {
    let ExprKind::Call(call) = &expr.kind else { return None };
    if !call.full_name().eq_ignore_ascii_case("DATEDIFF") {
        return None;
    }
    let [unit, from, to] = call.arguments.as_slice() else { return None };
    Some((name(unit)?, name(from)?, name(to)?))
}

fn name(expr: &Expr) -> Option<&str> {
    let ExprKind::Name(parts) = &expr.kind else { return None };
    let [name] = parts.as_slice() else { return None };
    Some(&name.text)
}

/// Which of the joined sources that have a time has a name.
fn place(scope: &RowScope, name: &str) -> Option<usize> {
    scope.sides.iter().position(|side| side.rows.timed && side.rows.is_qualifier(name))
}
