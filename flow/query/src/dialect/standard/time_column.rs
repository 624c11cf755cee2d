//! Which columns of a step its rows go by: those that windows and joins of the standard dialect may be made of. A time column stays
//! one through projections, unions and views; of a window's results it is `window_time`, a millisecond before the window's end.

use datafusion_physical_expr::expressions::Column;

use super::super::plan_program::Planner;
use super::window_table::window_time;
use crate::expression::scope::column;
use crate::plan::{Operator, ROWTIME, ScalarExpr, Step, StepInput, WindowBounds};

/// Of a column: whether it is the row's time (windows of it are closed at their start) or the millisecond before (at their end).
type TimeColumn = Option<WindowBounds>;

impl Planner<'_> {
    /// The columns of a step that its rows go by.
    pub(in crate::dialect) fn time_columns(&self, step: usize) -> Vec<TimeColumn> {
        let mut known: Vec<Vec<TimeColumn>> = Vec::with_capacity(step + 1);
        for step in &self.steps[..=step] {
            known.push(self.time_columns_of(step, &known));
        }
        known.pop().unwrap_or_default()
    }

    /// The places of those that are the row's time.
    pub(in crate::dialect) fn time_clocks(&self, step: usize) -> Vec<usize> {
        let columns = self.time_columns(step).into_iter().enumerate();
        columns.filter(|(_, time)| *time == Some(WindowBounds::ClosedOpen)).map(|(place, _)| place).collect()
    }

    fn time_columns_of(&self, step: &Step, known: &[Vec<TimeColumn>]) -> Vec<TimeColumn> {
        let count = step.schema.fields().len() - 1;
        let of_input = |input: &StepInput, place: usize| match input {
            StepInput::Step(before) => known[*before].get(place).copied().flatten(),
            StepInput::Source(source) => {
                self.sources[*source].scope.clocks.contains(&place).then_some(WindowBounds::ClosedOpen)
            }
        };
        let of_value = |value: &ScalarExpr| {
            let column = value.physical.downcast_ref::<Column>()?;
            if column.name() == ROWTIME {
                return Some(WindowBounds::ClosedOpen);
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
                let columns = aggregate.columns.iter();
                columns.map(|(_, value)| value.same(&time).then_some(WindowBounds::OpenClosed)).collect()
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
