//! Drops from each source the columns no expression uses, so that they are never decoded, and from each join, so that they are
//! never kept.

use std::sync::Arc;

use arrow::datatypes::{Field, SchemaRef};
use datafusion_common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::Column;

use crate::plan::{Operator, Program, ScalarExpr, SourcePlan, StepInput, TimeSource, with_rowtime};

/// The same program over smaller sources.
pub(super) fn prune(mut program: Program) -> Program {
    // The last first: a join may read another one.
    for step in (0..program.steps.len()).rev() {
        prune_join(&mut program, step);
    }
    for index in 0..program.sources.len() {
        let mut used = vec![false; program.sources[index].schema.fields().len()];
        let mut note = |expression: &mut ScalarExpr| note_columns(&expression.physical, &mut used);
        each_expression(&mut program, StepInput::Source(index), &mut note);
        let places = shrink(&mut program.sources[index], &used);
        let schema = Arc::clone(&program.sources[index].schema);
        let mut replace = |expression: &mut ScalarExpr| {
            expression.physical = renumber(&expression.physical, &places, &schema);
        };
        each_expression(&mut program, StepInput::Source(index), &mut replace);
    }
    program
}

/// Drops the columns of a join's result that are used by no step behind it nor by its condition.
fn prune_join(program: &mut Program, step: usize) {
    let mut operator = program.steps[step].operator.clone();
    let (sides, predicate) = match &mut operator {
        Operator::Join(join) => (&mut join.sides, &mut join.predicate),
        Operator::Lookup(lookup) => (&mut lookup.sides, &mut lookup.predicate),
        Operator::Project { .. } | Operator::WindowAggregate(_) | Operator::Union => return,
    };
    let mut used = vec![false; program.steps[step].schema.fields().len()];
    let mut note = |expression: &mut ScalarExpr| note_columns(&expression.physical, &mut used);
    predicate.iter_mut().for_each(&mut note);
    each_expression(program, StepInput::Step(step), &mut note);
    let mut place = 0;
    for side in sides.iter_mut() {
        side.columns.retain(|_| {
            place += 1;
            used[place - 1]
        });
    }
    let places = places(&used);
    let kept = program.steps[step].schema.fields()[..place].iter().zip(&used).filter(|(_, used)| **used);
    let schema = with_rowtime(kept.map(|(field, _)| field.as_ref().clone()));
    let mut replace = |expression: &mut ScalarExpr| {
        expression.physical = renumber(&expression.physical, &places, &schema);
    };
    predicate.iter_mut().for_each(&mut replace);
    each_expression(program, StepInput::Step(step), &mut replace);
    program.steps[step].schema = schema;
    program.steps[step].operator = operator;
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
            Operator::Join(join) => {
                let sides = join.sides.iter_mut().zip(&step.inputs).filter(|(_, read)| **read == input);
                for (side, _) in sides {
                    side.keys.iter_mut().chain(side.columns.iter_mut().map(|(_, column)| column)).for_each(&mut *visit);
                }
            }
            Operator::Lookup(lookup) => {
                let side = &mut lookup.sides[0];
                side.keys.iter_mut().chain(side.columns.iter_mut().map(|(_, column)| column)).for_each(&mut *visit);
            }
            Operator::Union => {}
        }
    }
}

/// Notes which columns an expression reads, as far as there is room for.
pub(super) fn note_columns(expression: &Arc<dyn PhysicalExpr>, used: &mut [bool]) {
    let visited = expression.apply(|node| {
        if let Some(column) = node.downcast_ref::<Column>()
            && let Some(used) = used.get_mut(column.index())
        {
            *used = true;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    debug_assert!(visited.is_ok(), "the closure does not fail");
}

/// For each old place the new one, when only what is used stays, and the hidden row time, used or not, as the last.
fn places(used: &[bool]) -> Vec<usize> {
    let mut next = 0;
    let place = |used: &bool| {
        next += usize::from(*used);
        next - usize::from(*used)
    };
    used.iter().map(place).collect()
}

/// Keeps the used columns; returns for each old place the new one.
fn shrink(source: &mut SourcePlan, used: &[bool]) -> Vec<usize> {
    let fields: Vec<Field> = source.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    let kept = fields.into_iter().zip(used).take(source.columns.len()).filter(|(_, used)| **used);
    source.schema = with_rowtime(kept.map(|(field, _)| field));
    let mut place = 0;
    source.columns.retain(|_| {
        place += 1;
        used[place - 1]
    });
    places(used)
}

/// The same expression over a schema in which each column has another place.
pub(super) fn renumber(
    expression: &Arc<dyn PhysicalExpr>,
    places: &[usize],
    schema: &SchemaRef,
) -> Arc<dyn PhysicalExpr> {
    let renumbered = Arc::clone(expression).transform(|node| {
        let Some(column) = node.downcast_ref::<Column>() else { return Ok(Transformed::no(node)) };
        let place = places[column.index()];
        let moved: Arc<dyn PhysicalExpr> = Arc::new(Column::new(schema.field(place).name(), place));
        Ok(Transformed::yes(moved))
    });
    // Rebuilding a node with children of the same types cannot fail.
    renumbered.data().unwrap_or_else(|_| Arc::clone(expression))
}
