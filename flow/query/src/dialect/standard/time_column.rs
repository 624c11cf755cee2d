//! Which columns of a step its rows go by: those that windows and joins of the standard dialect may be made of. A time column stays
//! one through projections, unions and views; of a window's results it is `window_time`, a millisecond before the window's end.
//! The window's end is no time column, but it tells rows of one instant: results of windows are joined and grouped by it.

use datafusion_physical_expr::expressions::Column;

use super::super::plan_program::Planner;
use super::super::window::SNAPSHOT;
use super::window_table::window_time;
use crate::expression::scope::{RowScope, column};
use crate::plan::{Operator, ROWTIME, ScalarExpr, Step, StepInput, WindowBounds};

/// What a column has to do with the time of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dialect) enum TimeColumn {
    /// It is the time: windows of it are closed at their start.
    Row,
    /// It is the millisecond before, `window_time` of a window's results: windows of it are closed at their end.
    WindowTime,
    /// It is the time, `window_end` of a window's results: no windows are made of it.
    WindowEnd,
}

impl TimeColumn {
    /// Which boundary belongs to windows of the column.
    pub(in crate::dialect) fn bounds(self) -> Option<WindowBounds> {
        match self {
            Self::Row => Some(WindowBounds::ClosedOpen),
            Self::WindowTime => Some(WindowBounds::OpenClosed),
            Self::WindowEnd => None,
        }
    }
}

impl Planner<'_> {
    /// The columns of a step that its rows go by.
    pub(in crate::dialect) fn time_columns(&self, step: usize) -> Vec<Option<TimeColumn>> {
        let mut known: Vec<Vec<Option<TimeColumn>>> = Vec::with_capacity(step + 1);
        for step in &self.steps[..=step] {
            known.push(self.time_columns_of(step, &known));
        }
        known.pop().unwrap_or_default()
    }

    /// The scope of a step's rows, which knows what of it their time is.
    pub(in crate::dialect) fn timed(&self, step: usize, mut scope: RowScope) -> RowScope {
        for (place, time) in self.time_columns(step).into_iter().enumerate() {
            match time {
                Some(TimeColumn::Row) => scope.clocks.push(place),
                Some(TimeColumn::WindowTime) => scope.ends.push((place, -1)),
                Some(TimeColumn::WindowEnd) => scope.ends.push((place, 0)),
                None => {}
            }
        }
        scope
    }

    fn time_columns_of(&self, step: &Step, known: &[Vec<Option<TimeColumn>>]) -> Vec<Option<TimeColumn>> {
        let count = step.schema.fields().len() - 1;
        let of_input = |input: &StepInput, place: usize| match input {
            StepInput::Step(before) => known[*before].get(place).copied().flatten(),
            StepInput::Source(source) => self.sources[*source].scope.clocks.contains(&place).then_some(TimeColumn::Row),
        };
        let of_value = |value: &ScalarExpr| {
            let column = value.physical.downcast_ref::<Column>()?;
            if column.name() == ROWTIME {
                return Some(TimeColumn::Row);
            }
            of_input(step.inputs.first()?, column.index())
        };
        match &step.operator {
            Operator::Project { rowtime: None, columns, .. } => {
                columns.iter().map(|(_, value)| of_value(value)).collect()
            }
            Operator::WindowAggregate(aggregate) => {
                let schema = &aggregate.group_schema;
                let time = window_time(column(schema, schema.fields().len() - 1));
                // Rows of one instant have those times that they are grouped by.
                let of_key = |place: usize| {
                    let key = aggregate.keys.get(place).filter(|_| aggregate.window == SNAPSHOT)?;
                    of_input(step.inputs.first()?, key.physical.downcast_ref::<Column>()?.index())
                };
                let of_group = |value: &ScalarExpr| match value.physical.downcast_ref::<Column>() {
                    Some(column) if column.name() == ROWTIME => Some(TimeColumn::WindowEnd),
                    Some(column) => of_key(column.index()),
                    None => value.same(&time).then_some(TimeColumn::WindowTime),
                };
                aggregate.columns.iter().map(|(_, value)| of_group(value)).collect()
            }
            Operator::Union => {
                let all = |place| {
                    let mut inputs = step.inputs.iter().map(|input| of_input(input, place));
                    let first = inputs.next().flatten();
                    first.filter(|_| inputs.all(|other| other == first))
                };
                (0..count).map(all).collect()
            }
            _ => vec![None; count],
        }
    }
}
