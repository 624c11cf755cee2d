//! Joins at work: rows go into their state, candidates through their condition, and what is left to the steps behind.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch as ArrowBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use super::evaluate::{by_row, true_rows, values};
use super::{ExecuteError, Executor, rowtimes};
use crate::join::{Candidate, Candidates, StreamJoin};
use crate::plan::{Join, Operator, Program, StepInput};

/// The state of each step that joins.
pub(super) fn states(program: &Program) -> Vec<Option<StreamJoin>> {
    let state = |operator: &Operator| match operator {
        Operator::Join(join) => Some(StreamJoin::new(join)),
        _ => None,
    };
    program.steps.iter().map(|step| state(&step.operator)).collect()
}

/// How far what each step reads may be behind the watermark.
pub(super) fn delays(program: &Program) -> Vec<i64> {
    let mut delays: Vec<i64> = Vec::with_capacity(program.steps.len());
    for step in &program.steps {
        let of_input = |input: &StepInput| match input {
            StepInput::Source(_) => 0,
            StepInput::Step(before) => match &program.steps[*before].operator {
                Operator::Join(join) => delays[*before].saturating_add(join.delay_ms()),
                _ => delays[*before],
            },
        };
        delays.push(step.inputs.iter().map(of_input).max().unwrap_or(0));
    }
    delays
}

impl Executor {
    /// Takes rows of an input of a join, for each side that reads it.
    pub(super) fn add_to_join(
        &mut self,
        step: usize,
        join: &Join,
        from: StepInput,
        rows: &ArrowBatch,
    ) -> Result<(), ExecuteError> {
        for (side, plan) in join.sides.iter().enumerate() {
            if self.program.steps[step].inputs.get(side) != Some(&from) {
                continue;
            }
            let wanted = plan.values();
            let (_, inputs, failed) = by_row(rows, |rows| values(&wanted, rows))?;
            self.failed(step, rows, &failed)?;
            let Some(state) = &mut self.joins[step] else { continue };
            let (keys, columns) = inputs.columns()[..wanted.len()].split_at(plan.keys.len());
            let added = state.add(side, rowtimes(&inputs), keys, columns);
            added.map_err(|error| ExecuteError::TooLarge(error.to_string()))?;
        }
        Ok(())
    }

    /// Hands on, of some candidates, the pairs for which the condition is true, and the rows that have no match.
    pub(super) fn joined(
        &mut self,
        step: usize,
        candidates: &Candidates,
        places: Range<usize>,
    ) -> Result<(), ExecuteError> {
        let program = Arc::clone(&self.program);
        let plan = &program.steps[step];
        let Operator::Join(join) = &plan.operator else { return Ok(()) };
        for piece in candidates.pieces(places) {
            let rows = self.piece((step, join), &plan.schema, piece)?;
            self.give(step, &rows)?;
        }
        Ok(())
    }

    /// The rows that come of a piece of candidates.
    fn piece(
        &mut self,
        (step, join): (usize, &Join),
        schema: &SchemaRef,
        candidates: &[Candidate],
    ) -> Result<ArrowBatch, ExecuteError> {
        let Some(state) = &self.joins[step] else { return Ok(ArrowBatch::new_empty(Arc::clone(schema))) };
        let rows = ArrowBatch::try_new(Arc::clone(schema), state.columns(candidates))?;
        let mut chosen: Vec<bool> = candidates.iter().map(Candidate::is_pair).collect();
        if let Some(predicate) = &join.predicate {
            let pairs = only(&rows, &chosen)?;
            let (is_true, failed) = true_rows(predicate, &pairs)?;
            self.failed(step, &pairs, &failed)?;
            let mut is_true = is_true.into_iter();
            chosen.iter_mut().filter(|pair| **pair).for_each(|pair| *pair = is_true.next().unwrap_or_default());
        }
        if let Some(state) = self.joins[step].as_mut().filter(|state| state.gives_unmatched()) {
            candidates.iter().zip(&chosen).filter(|(_, chosen)| **chosen).for_each(|(pair, _)| state.matched(pair));
            for (candidate, chosen) in candidates.iter().zip(&mut chosen) {
                *chosen = *chosen || !(candidate.is_pair() || state.has_match(candidate));
            }
        }
        Ok(only(&rows, &chosen)?)
    }
}

/// The rows that are chosen.
fn only(rows: &ArrowBatch, chosen: &[bool]) -> Result<ArrowBatch, ArrowError> {
    match chosen.contains(&false) {
        true => filter_record_batch(rows, &BooleanArray::from(chosen.to_vec())),
        false => Ok(rows.clone()),
    }
}
