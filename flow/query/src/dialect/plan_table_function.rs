//! Kinesis' functions that give rows: `TABLE(function(CURSOR(SELECT …), …))`.
//!
//! Source: the functions' pages in the SQL reference. Counting here is exact, where the service's is not for many different values; what
//! a window keeps is bounded as any window's.

use std::ops::RangeInclusive;

use arrow::datatypes::{DataType, Field};
use datafusion_physical_expr::expressions::is_not_null;

use super::plan_program::Planner;
use super::syntax::{Expr, ExprKind, Ident, Literal, UnaryOperator};
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::expression::scope::{RowScope, column, is_unknown};
use crate::expression::suggest::nearest;
use crate::expression::{function, internal, types};
use crate::plan::{
    AggregateCall, AggregateFunction, Operator, RankOrder, ScalarExpr, Sort, StepInput, TIMESTAMP, WindowAggregate,
    WindowBounds, WindowKind, WindowSpec, with_rowtime,
};

/// The longest window of these functions, in seconds.
const WINDOW_SECONDS_MAX: i64 = 3_600;

/// The most values that are asked for as the most frequent ones.
const TOP_MAX: i64 = 100_000;

impl Planner<'_> {
    /// The step of a function over the rows of another step; `None`: it has mistakes, which were reported.
    pub(super) fn table_function(
        &mut self,
        function: &Ident,
        arguments: &[Expr],
        step: usize,
        rows: &RowScope,
    ) -> Option<usize> {
        let call = TableCall { function, arguments };
        let made = match function.text.as_str() {
            "TOP_K_ITEMS_TUMBLING" => most_frequent(&call, rows),
            "COUNT_DISTINCT_ITEMS_TUMBLING" => count_different(&call, rows).map(|operator| vec![operator]),
            "GROUP_RANK" => ranked(&call, rows).map(|operator| vec![operator]),
            _ => super::plan_model::scored(&call, rows).map(|operator| vec![operator]),
        };
        let operators = made.map_err(|error| self.errors.push(error)).ok()?;
        let mut last = step;
        for (operator, fields) in operators {
            last = self.step(vec![StepInput::Step(last)], operator, with_rowtime(fields));
        }
        Some(last)
    }
}

/// An operator and its visible columns.
pub(super) type Made = (Operator, Vec<Field>);

/// A function as it is called, without its cursor.
pub(super) struct TableCall<'c> {
    pub(super) function: &'c Ident,
    pub(super) arguments: &'c [Expr],
}

impl TableCall<'_> {
    pub(super) fn expect(&self, counts: RangeInclusive<usize>, example: &str) -> Result<(), PlanError> {
        let (name, found) = (&self.function.text, self.arguments.len());
        if counts.contains(&found) {
            return Ok(());
        }
        let takes = match (counts.start(), counts.end()) {
            (least, most) if least == most => format!("{least}"),
            (least, most) => format!("{least} to {most}"),
        };
        let message = format!("{name} takes {takes} argument(s) behind its cursor, found {found}");
        let example = format!("{name}(CURSOR(SELECT STREAM * FROM s), {example})");
        Err(PlanError::new(PlanErrorCode::Syntax, self.function.at, message).hint(example))
    }

    pub(super) fn at(&self, place: usize) -> Position {
        self.arguments.get(place).map_or(self.function.at, |argument| argument.at)
    }

    /// A text; `what` says what it is.
    fn text(&self, place: usize, what: &str) -> Result<String, PlanError> {
        match self.arguments.get(place).map(|argument| &argument.kind) {
            Some(ExprKind::Literal(Literal::Text(text))) => Ok(text.clone()),
            _ => Err(self.wrong(place, &format!("expected {what} in single quotes"))),
        }
    }

    /// A whole number of a range, or what stands for one that is not given.
    pub(super) fn number(
        &self,
        place: usize,
        what: &str,
        range: RangeInclusive<i64>,
        default: Option<i64>,
    ) -> Result<i64, PlanError> {
        let found = match self.arguments.get(place).map(|argument| &argument.kind) {
            None => default,
            Some(ExprKind::Literal(Literal::Number(digits))) => digits.parse().ok(),
            Some(_) => None,
        };
        found.filter(|number| range.contains(number)).ok_or_else(|| {
            self.wrong(place, &format!("{what} is a whole number from {} to {}", range.start(), range.end()))
        })
    }

    pub(super) fn wrong(&self, place: usize, message: &str) -> PlanError {
        let message = format!("{}: {message}", self.function.text);
        PlanError::new(PlanErrorCode::Syntax, self.at(place), message)
    }

    /// The column that a text names.
    fn column(&self, place: usize, rows: &RowScope) -> Result<ScalarExpr, PlanError> {
        let name = Ident { text: self.text(place, "the name of a column")?, at: self.at(place) };
        let value = rows.resolve(&[name])?;
        Ok(if is_unknown(&value.data_type) { types::convert(value, &DataType::Utf8, false) } else { value })
    }

    fn window(&self, place: usize) -> Result<WindowSpec, PlanError> {
        let seconds = self.number(place, "the length of a window in seconds", 1..=WINDOW_SECONDS_MAX, None)?;
        let kind = WindowKind::Tumbling { size_ms: seconds * 1000 };
        Ok(WindowSpec { kind, offset_ms: 0, bounds: WindowBounds::ClosedOpen })
    }
}

/// `-0.5`, `3`; `None`: it is no number.
pub(super) fn float(expr: &Expr) -> Option<f64> {
    match &expr.kind {
        ExprKind::Literal(Literal::Number(digits)) => digits.parse().ok(),
        ExprKind::Unary { operator: UnaryOperator::Negate, operand } => float(operand).map(|number| -number),
        _ => None,
    }
}

/// `true`, `false`; `None`: it is neither.
pub(super) fn boolean(expr: &Expr) -> Option<bool> {
    match &expr.kind {
        ExprKind::Literal(Literal::Boolean(value)) => Some(*value),
        _ => None,
    }
}

/// The error of a name that is no table function.
pub(super) fn unknown(function: &Ident) -> PlanError {
    let message = format!("Kinesis Data Analytics has no table function `{}`", function.text);
    let error = PlanError::new(PlanErrorCode::UnknownFunction, function.at, message);
    match nearest(&function.text, function::TABLE_FUNCTIONS.into_iter()) {
        Some(near) => error.hint(near),
        None => error.hint(function::TABLE_FUNCTIONS.join(", ")),
    }
}

/// Counts in a tumbling window: of each value of a column, or of all that are different.
fn counted(item: ScalarExpr, window: WindowSpec, by_value: bool, name: &str) -> Result<Made, PlanError> {
    let not_null = is_not_null(item.physical.clone()).map_err(|error| internal(&error))?;
    let text = format!("{} IS NOT NULL", item.text);
    let predicate = ScalarExpr { physical: not_null, data_type: DataType::Boolean, nullable: false, text };
    let key = Field::new("ITEM", item.data_type.clone(), true);
    let count = Field::new(name, DataType::Int64, true);
    let (keys, argument) = if by_value { (vec![item], None) } else { (Vec::new(), Some(item)) };
    let call = AggregateCall {
        function: AggregateFunction::Count,
        distinct: argument.is_some(),
        argument,
        data_type: DataType::Int64,
        text: name.to_owned(),
    };
    let fields: Vec<Field> = if by_value { vec![key, count] } else { vec![count] };
    let start = Field::new("$window_start", TIMESTAMP, false);
    let group_schema = with_rowtime(fields.iter().cloned().chain([start]));
    let columns = (0..fields.len()).map(|place| column(&group_schema, place));
    let columns = columns.map(|value| (value.text.clone(), value)).collect();
    let aggregates = vec![call];
    let aggregate =
        WindowAggregate { predicate: Some(predicate), window, keys, aggregates, group_schema, having: None, columns };
    Ok((Operator::WindowAggregate(Box::new(aggregate)), fields))
}

/// `TOP_K_ITEMS_TUMBLING(cursor, 'column', K, seconds)`: the values that a window has most often, and how often. Of values that are there
/// equally often the lesser one is the first.
fn most_frequent(call: &TableCall, rows: &RowScope) -> Result<Vec<Made>, PlanError> {
    call.expect(3..=3, "'column', 5, 60")?;
    let most = call.number(1, "the number of values", 1..=TOP_MAX, None)?;
    let counted = counted(call.column(0, rows)?, call.window(2)?, true, "ITEM_COUNT")?;
    let schema = with_rowtime(counted.1.iter().cloned());
    let (item, count) = (column(&schema, 0), column(&schema, 1));
    let columns = [&item, &count].map(|value| (value.text.clone(), value.clone())).into();
    let keys = vec![(count, true), (item, false)];
    let sort = Sort { columns, keys, stretch_ms: None, rank: None, most: usize::try_from(most).ok() };
    let fields = counted.1.clone();
    Ok(vec![counted, (Operator::Sort(Box::new(sort)), fields)])
}

/// `COUNT_DISTINCT_ITEMS_TUMBLING(cursor, 'column', seconds)`: how many different values a window has.
fn count_different(call: &TableCall, rows: &RowScope) -> Result<Made, PlanError> {
    call.expect(2..=2, "'column', 60")?;
    counted(call.column(0, rows)?, call.window(1)?, false, "NUMBER_OF_DISTINCT_ITEMS")
}

/// `GROUP_RANK(cursor, 'column', 'rank', 'asc', 'desc', idle, most)`: the rows of an instant with their ranks. A group is given when the
/// watermark has passed it, so it never waits for more than that and `idle` adds nothing.
fn ranked(call: &TableCall, rows: &RowScope) -> Result<Made, PlanError> {
    call.expect(6..=6, "'column', 'groupRank', 'desc', 'asc', 0, 0")?;
    let key = call.column(0, rows)?;
    let name = call.text(1, "the name of the rank's column")?;
    let descending = match call.text(2, "'asc' or 'desc'")?.to_lowercase().as_str() {
        "asc" => false,
        "desc" => true,
        _ => return Err(call.wrong(2, "ranks are given in the order 'asc' or 'desc'")),
    };
    let rank = match call.text(3, "'asc', 'desc' or 'none'")?.to_lowercase().as_str() {
        "asc" => RankOrder::Ascending,
        "desc" => RankOrder::Descending,
        "none" => RankOrder::Arrival,
        _ => return Err(call.wrong(3, "rows are given in the order 'asc', 'desc' or 'none' (as they came)")),
    };
    call.number(4, "how long a group waits, in milliseconds,", 0..=i64::from(i32::MAX), None)?;
    let most = call.number(5, "the number of rows of a group", 0..=i64::from(i32::MAX), None)?;
    let own = rows.schema.fields().len() - 1;
    let columns = (0..own).map(|place| column(&rows.schema, place)).map(|value| (value.text.clone(), value)).collect();
    let fields = rows.schema.fields().iter().take(own).map(|field| field.as_ref().clone());
    let fields: Vec<Field> = fields.chain([Field::new(name, DataType::Int64, true)]).collect();
    let most = usize::try_from(most).ok().filter(|most| *most > 0);
    let sort = Sort { columns, keys: vec![(key, descending)], stretch_ms: None, rank: Some(rank), most };
    Ok((Operator::Sort(Box::new(sort)), fields))
}
