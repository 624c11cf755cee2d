//! Drops from each source the columns no expression uses, so that they are never decoded, and so from rows that have to wait.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion_common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::Column;

use crate::plan::{Operator, Program, ScalarExpr, StepInput, TimeSource};

/// The same program over smaller sources.
pub(super) fn prune(mut program: Program) -> Program {
    for index in (0..program.steps.len()).rev() {
        let Operator::Analytic(analytic) = &program.steps[index].operator else { continue };
        let (own, calls) = (analytic.columns.len(), analytic.calls.len());
        let mut used = used_columns(&mut program, StepInput::Step(index));
        used[own..own + calls].fill(true);
        let step = &mut program.steps[index];
        if let Operator::Analytic(analytic) = &mut step.operator {
            analytic.columns = kept(std::mem::take(&mut analytic.columns), &used);
        }
        step.schema = without(&step.schema, &used);
        move_columns(&mut program, StepInput::Step(index), &used);
    }
    for index in 0..program.sources.len() {
        let used = used_columns(&mut program, StepInput::Source(index));
        let source = &mut program.sources[index];
        source.columns = kept(std::mem::take(&mut source.columns), &used);
        source.schema = without(&source.schema, &used);
        move_columns(&mut program, StepInput::Source(index), &used);
    }
    program
}

/// Which columns of an input some expression uses. The hidden row time stays, used or not.
fn used_columns(program: &mut Program, input: StepInput) -> Vec<bool> {
    let mut used = vec![false; program.input_schema(input).fields().len()];
    each_expression(program, input, &mut |expression| note_columns(&expression.physical, &mut used));
    if let Some(last) = used.last_mut() {
        *last = true;
    }
    used
}

/// Lets expressions find the columns that are left of an input.
fn move_columns(program: &mut Program, input: StepInput, used: &[bool]) {
    let mut next = 0;
    let place = |used: &bool| {
        next += usize::from(*used);
        next.saturating_sub(1)
    };
    let places: Vec<usize> = used.iter().map(place).collect();
    let schema = Arc::clone(program.input_schema(input));
    each_expression(program, input, &mut |expression| {
        expression.physical = renumber(&expression.physical, &places, &schema);
    });
}

fn kept<T>(columns: Vec<T>, used: &[bool]) -> Vec<T> {
    columns.into_iter().zip(used).filter(|(_, used)| **used).map(|(column, _)| column).collect()
}

fn without(schema: &SchemaRef, used: &[bool]) -> SchemaRef {
    Arc::new(Schema::new(kept(schema.fields().to_vec(), used)))
}

/// Visits every expression over an input's schema.
fn each_expression(program: &mut Program, input: StepInput, visit: &mut dyn FnMut(&mut ScalarExpr)) {
    if let StepInput::Source(source) = input
        && let TimeSource::Event(time) = &mut program.sources[source].time
    {
        visit(time);
    }
    for step in program.steps.iter_mut().filter(|step| step.inputs.contains(&input)) {
        match &mut step.operator {
            Operator::Project { predicate, columns, rowtime } => {
                let columns = columns.iter_mut().map(|(_, column)| column);
                predicate.iter_mut().chain(columns).chain(rowtime).for_each(&mut *visit);
            }
            Operator::WindowAggregate(aggregate) => {
                let arguments = aggregate.aggregates.iter_mut().filter_map(|call| call.argument.as_mut());
                aggregate.predicate.iter_mut().chain(&mut aggregate.keys).chain(arguments).for_each(&mut *visit);
            }
            Operator::Analytic(analytic) => analytic.expressions_mut().into_iter().for_each(&mut *visit),
            Operator::Union => {}
        }
    }
}

fn note_columns(expression: &Arc<dyn PhysicalExpr>, used: &mut [bool]) {
    let visited = expression.apply(|node| {
        if let Some(column) = node.downcast_ref::<Column>() {
            used[column.index()] = true;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(visited.is_ok(), "the closure does not fail");
}

fn renumber(expression: &Arc<dyn PhysicalExpr>, places: &[usize], schema: &SchemaRef) -> Arc<dyn PhysicalExpr> {
    let renumbered = Arc::clone(expression).transform(|node| {
        let Some(column) = node.downcast_ref::<Column>() else { return Ok(Transformed::no(node)) };
        let place = places[column.index()];
        let moved: Arc<dyn PhysicalExpr> = Arc::new(Column::new(schema.field(place).name(), place));
        Ok(Transformed::yes(moved))
    });
    // Rebuilding a node with children of the same types cannot fail.
    renumbered.data().unwrap_or_else(|_| Arc::clone(expression))
}
