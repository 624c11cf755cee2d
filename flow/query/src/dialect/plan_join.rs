//! One `JOIN` as one step: how near each other in time rows have to be, which of their columns are compared, and what else is
//! asked of a pair.
//!
//! Stream Analytics says how near in the condition, with DATEDIFF of the two sources; Kinesis' language with a window on one of
//! them or on both. Sources: "JOIN (Azure Stream Analytics)"; "JOIN clause" of the Kinesis Data Analytics SQL reference.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, BooleanArray};
use arrow::datatypes::{DataType, Field, SchemaRef, TimestampMillisecondType};
use arrow::error::ArrowError;
use millstream_catalog::QueryDialect;

use super::join_bounds::{Bounds, check_several, of_condition, of_windows, window_lengths};
use super::plan_partition::{joined, of_table};
use super::plan_select::keep;
use super::prune::{note_columns, renumber};
use super::standard::join_bounds::of_times;
use super::syntax::{BinaryOperator, Expr, ExprKind, JoinClause, Select};
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::expression::kernel::call;
use crate::expression::scope::{RowScope, Side, column};
use crate::expression::{Binder, Scope, types};
use crate::plan::{Join, JoinSide, Lookup, Operator, ScalarExpr, StepInput, with_rowtime};

/// What a side's time is called among the joined rows; it is found by its place.
const SIDE_TIME: &str = "$time";

/// A join at work: its operator, its rows, and what their columns are called.
pub(super) struct Joined {
    pub operator: Operator,
    pub schema: SchemaRef,
    pub scope: RowScope,
}

/// What stands on the right of a join.
#[derive(Debug, Clone, Copy)]
pub(super) enum Right {
    /// Rows that come.
    Rows(StepInput),
    /// Reference data, by their place in the program.
    Table(usize),
}

/// What a condition is made of.
struct Condition {
    /// Values that have to be equal, over the schemas of the left and of the right.
    keys: [Vec<ScalarExpr>; 2],
    /// The rest, over the joined schema.
    predicate: Option<ScalarExpr>,
}

/// Plans the join at a place of a `SELECT`'s list over what is joined so far and what it adds. `None`: it has mistakes, which
/// then are in `errors`.
pub(super) fn join(
    sql: &str,
    select: &Select,
    place: usize,
    scopes: [&RowScope; 2],
    right: Right,
    errors: &mut Vec<PlanError>,
) -> Option<Joined> {
    let clause = &select.from.joins[place];
    if let Some(error) = same_names(scopes, clause) {
        errors.push(error);
        return None;
    }
    let mut scope = joined_scope(scopes);
    let binder = Binder { dialect: scope.dialect, sql, scope: Scope::Row(&scope) };
    let mut conjuncts = Vec::new();
    clause.on.iter().for_each(|on| split(on, &mut conjuncts));
    if let Right::Table(reference) = right {
        let condition = keep(condition(&binder, scopes, &conjuncts), errors)?;
        scope.apart_by = keep(of_table(scopes[0]), errors)?;
        return keep(lookup(scopes, scope, clause, reference, condition), errors);
    }
    let bounds = match scope.dialect {
        QueryDialect::StreamAnalytics => of_condition(&scope, clause, &conjuncts),
        QueryDialect::Kinesis => check_several(select).and_then(|()| of_windows(select, place)),
        QueryDialect::Standard => of_times(&scope, clause, &conjuncts),
    };
    let bounds = keep(bounds, errors);
    let condition = keep(condition(&binder, scopes, &conjuncts), errors);
    let (bounds, Condition { keys: [left_keys, right_keys], predicate }) = (bounds?, condition?);
    let predicate = match scope.dialect {
        QueryDialect::Kinesis if place > 0 => keep(in_windows(&binder, &scope, (select, place), predicate), errors)?,
        _ => predicate,
    };
    let waits = [bounds.high.max(0), bounds.low.saturating_neg().max(0)];
    let given = [bounds.given.max(0), waits[1]];
    let side = |place: usize, keys: Vec<ScalarExpr>| JoinSide {
        keys,
        columns: columns(scopes[place]),
        unmatched_ms: clause.outer[place].then_some(given[place]),
    };
    let sides = [side(0, left_keys), side(1, right_keys)];
    scope.apart_by = keep(joined(sql, scopes, &sides, clause.at), errors)?;
    move_times(&mut scope, &bounds, given[0]);
    scope.times = false;
    let schema = Arc::clone(&scope.schema);
    let join = Join { sides, distance: (bounds.low, bounds.high), predicate };
    Some(Joined { operator: Operator::Join(Box::new(join)), schema, scope })
}

/// A join with reference data: without bounds in time, and each result has its row's time.
fn lookup(
    scopes: [&RowScope; 2],
    mut scope: RowScope,
    clause: &JoinClause,
    reference: usize,
    condition: Condition,
) -> Result<Joined, PlanError> {
    if clause.outer[1] {
        let message = "reference data have no end at which their rows without a match could be given";
        return Err(PlanError::new(PlanErrorCode::Syntax, clause.at, message).hint("JOIN or LEFT JOIN"));
    }
    let Condition { keys: [left_keys, right_keys], predicate } = condition;
    let side = |place: usize, keys: Vec<ScalarExpr>| JoinSide {
        keys,
        columns: columns(scopes[place]),
        unmatched_ms: clause.outer[place].then_some(0),
    };
    let sides = [side(0, left_keys), side(1, right_keys)];
    scope.times = false;
    let schema = Arc::clone(&scope.schema);
    let operator = Operator::Lookup(Box::new(Lookup { reference, sides, predicate }));
    Ok(Joined { operator, schema, scope })
}

/// The parts of a condition that all have to be true.
fn split<'e>(condition: &'e Expr, parts: &mut Vec<&'e Expr>) {
    match &condition.kind {
        ExprKind::Binary { operator: BinaryOperator::And, left, right } => {
            split(left, parts);
            split(right, parts);
        }
        _ => parts.push(condition),
    }
}

/// The columns of both sides with their times, and the names of each.
fn joined_scope(scopes: [&RowScope; 2]) -> RowScope {
    let (mut fields, mut sides, mut looked_back) = (Vec::new(), Vec::new(), Vec::new());
    for scope in scopes {
        let first = fields.len();
        let behind = |place: &Option<usize>| place.map(|place| first + place);
        looked_back.extend(scope.looked_back.iter().map(|(call, place)| (call.clone(), behind(place))));
        fields.extend(columns(scope).into_iter().map(|(name, value)| Field::new(name, value.data_type, true)));
        match scope.sides.as_slice() {
            [] => {
                // A source that has another name here is not known by its own: both sides may be the same one.
                let rows = RowScope { qualifiers: vec![scope.name().to_owned()], ..scope.clone() };
                sides.push(Side { rows, first, offset: (0, 0) });
            }
            inner => sides.extend(inner.iter().map(|side| Side { first: first + side.first, ..side.clone() })),
        }
    }
    let open = scopes.iter().any(|scope| scope.open);
    let (dialect, schema) = (scopes[0].dialect, with_rowtime(fields));
    RowScope {
        dialect,
        qualifiers: Vec::new(),
        schema,
        visible: 0,
        open,
        looked_back,
        clocks: Vec::new(),
        ends: Vec::new(),
        records: Vec::new(),
        timed: true,
        sides,
        times: true,
        windowed: None,
        apart_by: Vec::new(),
    }
}

/// All columns of a side, with its time as the last.
fn columns(scope: &RowScope) -> Vec<(String, ScalarExpr)> {
    let last = scope.schema.fields().len() - 1;
    let named = |index: usize| {
        let value = column(&scope.schema, index);
        (if index == last { SIDE_TIME.to_owned() } else { value.text.clone() }, value)
    };
    (0..=last).map(named).collect()
}

/// The mistake of sources that cannot be told apart.
fn same_names(scopes: [&RowScope; 2], clause: &JoinClause) -> Option<PlanError> {
    let name = scopes[1].name();
    let taken = match scopes[0].sides.as_slice() {
        [] => scopes[0].same(scopes[0].name(), name),
        sides => sides.iter().any(|side| side.rows.is_qualifier(name)),
    };
    taken.then(|| {
        let message = format!("two sources of one join are called `{name}`");
        PlanError::new(PlanErrorCode::Duplicate, clause.right.name.at, message).hint(format!("JOIN {name} AS other"))
    })
}

/// A condition, with it that each source joined before has the right row's time in its window, where that is the latest. The bounds of
/// the join hold only what is as late as the pair.
fn in_windows(
    binder: &Binder,
    scope: &RowScope,
    (select, place): (&Select, usize),
    mut predicate: Option<ScalarExpr>,
) -> Result<Option<ScalarExpr>, PlanError> {
    let at = select.from.joins[place].at;
    let time = |side: &Side| column(&scope.schema, side.first + side.rows.schema.fields().len() - 1);
    let Some((right, before)) = scope.sides.split_last() else { return Ok(predicate) };
    for (side, length) in before.iter().zip(window_lengths(select, place)?).filter(|(side, _)| side.rows.timed) {
        let length = length.unwrap_or(0);
        let name = format!("at most {length} ms before");
        let within = call(name, move |times| within(times, length), &[time(side), time(right)], DataType::Boolean);
        predicate = Some(match predicate {
            None => within,
            Some(before) => binder.binary(BinaryOperator::And, before, within, at)?,
        });
    }
    Ok(predicate)
}

/// Whether a second time is at most so many milliseconds behind a first one.
fn within(times: &[ArrayRef], length: i64) -> Result<ArrayRef, ArrowError> {
    let times = |place: usize| times[place].as_primitive::<TimestampMillisecondType>().values();
    let within = times(0).iter().zip(times(1)).map(|(before, behind)| behind.saturating_sub(*before) <= length);
    Ok(Arc::new(within.map(Some).collect::<BooleanArray>()))
}

/// Tells values that are compared from the rest of a condition.
fn condition(binder: &Binder, scopes: [&RowScope; 2], conjuncts: &[&Expr]) -> Result<Condition, PlanError> {
    let mut found = Condition { keys: [Vec::new(), Vec::new()], predicate: None };
    for conjunct in conjuncts {
        if let Some(keys) = equal(binder, scopes, conjunct)? {
            found.keys.iter_mut().zip(keys).for_each(|(keys, key)| keys.push(key));
            continue;
        }
        let part = binder.predicate(conjunct)?;
        found.predicate = Some(match found.predicate.take() {
            None => part,
            Some(before) => {
                let text = format!("{} AND {}", before.text, part.text);
                ScalarExpr { text, ..binder.binary(BinaryOperator::And, before, part, conjunct.at)? }
            }
        });
    }
    Ok(found)
}

/// The two values of `left.a = right.b`, each over its side's schema; `None`: the part is something else.
fn equal(binder: &Binder, scopes: [&RowScope; 2], part: &Expr) -> Result<Option<[ScalarExpr; 2]>, PlanError> {
    let ExprKind::Binary { operator: BinaryOperator::Equal, left, right } = &part.kind else { return Ok(None) };
    let (one, other) = (binder.bind(left)?, binder.bind(right)?);
    let widths = scopes.map(|scope| scope.schema.fields().len());
    let (left, right) = match (side_of(&one, widths), side_of(&other, widths)) {
        (Some(0), Some(1)) => (one, other),
        (Some(1), Some(0)) => (other, one),
        _ => return Ok(None),
    };
    // Those that do not meet are told as any comparison of theirs.
    let Some([left, right]) = types::join_keys(binder.dialect, left, right) else { return Ok(None) };
    let over = |value: ScalarExpr, first: usize, scope: &RowScope| {
        let places: Vec<usize> =
            (0..first + scope.schema.fields().len()).map(|place| place.saturating_sub(first)).collect();
        ScalarExpr { physical: renumber(&value.physical, &places, &scope.schema), ..value }
    };
    Ok(Some([over(left, 0, scopes[0]), over(right, widths[0], scopes[1])]))
}

/// The only side that a value is of, of two with so many columns; `None`: both, or neither.
fn side_of(value: &ScalarExpr, widths: [usize; 2]) -> Option<usize> {
    let mut used = vec![false; widths[0] + widths[1]];
    note_columns(&value.physical, &mut used);
    let (left, right) = used.split_at(widths[0]);
    match (left.contains(&true), right.contains(&true)) {
        (true, false) => Some(0),
        (false, true) => Some(1),
        _ => None,
    }
}

/// Notes how far the sides' times are from the pair's, which is the later of the two.
fn move_times(scope: &mut RowScope, bounds: &Bounds, given: i64) {
    let (before, last) = (scope.sides.len() - 1, scope.sides.last_mut());
    if let Some(right) = last {
        right.offset = (bounds.low.min(0), bounds.high.min(0));
    }
    for left in &mut scope.sides[..before] {
        let (low, high) = left.offset;
        left.offset = (low.saturating_sub(bounds.high.max(0)), high.saturating_sub(bounds.low.max(0).min(given)));
    }
}

/// Where a join stands whose sources nothing bounds.
pub(super) fn unbounded(at: Position, hint: String) -> PlanError {
    let message = "a join without bounds in time would keep all rows for ever: the streams have no end";
    PlanError::new(PlanErrorCode::Unbounded, at, message).hint(hint)
}
