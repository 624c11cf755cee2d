//! Drops from each source the columns no expression uses, so that they are never decoded.

use std::sync::Arc;

use arrow::datatypes::{Field, SchemaRef};
use datafusion_common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::Column;

use crate::plan::{Operator, Program, ScalarExpr, SourcePlan, StepInput, TimeSource, with_rowtime};

/// The same program over smaller sources.
pub(super) fn prune(mut program: Program) -> Program {
    for index in 0..program.sources.len() {
        let mut used = vec![false; program.sources[index].schema.fields().len()];
        let mut note = |expression: &mut ScalarExpr| note_columns(&expression.physical, &mut used);
        each_expression(&mut program, index, &mut note);
        let places = shrink(&mut program.sources[index], &used);
        let schema = Arc::clone(&program.sources[index].schema);
        let mut replace = |expression: &mut ScalarExpr| {
            expression.physical = renumber(&expression.physical, &places, &schema);
        };
        each_expression(&mut program, index, &mut replace);
    }
    program
}

/// Visits every expression over a source's schema.
fn each_expression(program: &mut Program, source: usize, visit: &mut dyn FnMut(&mut ScalarExpr)) {
    if let TimeSource::Event(time) = &mut program.sources[source].time {
        visit(time);
    }
    for step in program.steps.iter_mut().filter(|step| step.inputs.contains(&StepInput::Source(source))) {
        match &mut step.operator {
            Operator::Project { predicate, columns, rowtime } => {
                let columns = columns.iter_mut().map(|(_, column)| column);
                predicate.iter_mut().chain(columns).chain(rowtime).for_each(&mut *visit);
            }
            Operator::WindowAggregate(aggregate) => {
                let arguments = aggregate.aggregates.iter_mut().filter_map(|call| call.argument.as_mut());
                aggregate.predicate.iter_mut().chain(&mut aggregate.keys).chain(arguments).for_each(&mut *visit);
            }
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

/// Keeps the used columns; returns for each old place the new one.
fn shrink(source: &mut SourcePlan, used: &[bool]) -> Vec<usize> {
    let mut places = Vec::with_capacity(used.len());
    let mut next = 0;
    for used in used {
        places.push(next);
        next += usize::from(*used);
    }
    let fields: Vec<Field> = source.schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    let kept = fields.into_iter().zip(used).take(source.columns.len()).filter(|(_, used)| **used);
    source.schema = with_rowtime(kept.map(|(field, _)| field));
    let mut place = 0;
    source.columns.retain(|_| {
        place += 1;
        used[place - 1]
    });
    // The hidden row time stays the last, used or not.
    if let Some(last) = places.last_mut() {
        *last = source.columns.len();
    }
    places
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
