//! Drops from each source the columns no expression uses, so that they are never decoded, and from each step that repeats a row's
//! columns or keeps them (`APPLY`, joins, functions that look back) those that nobody reads behind it.

use std::sync::Arc;

use arrow::datatypes::{Field, SchemaRef};
use datafusion_common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::Column;

use crate::plan::{
    AppliedColumn, Fit, JoinSide, Operator, Program, ScalarExpr, SourcePlan, StepInput, TimeSource, with_rowtime,
};

/// The same program over smaller sources.
pub(super) fn prune(mut program: Program) -> Program {
    // Those that are read come behind those that they read.
    for index in (0..program.steps.len()).rev() {
        if makes_columns(&program.steps[index].operator) {
            continue;
        }
        let (used, places, schema) = kept(&mut program, StepInput::Step(index));
        let step = &mut program.steps[index];
        step.schema = Arc::clone(&schema);
        match &mut step.operator {
            Operator::Apply(apply) => retain(&mut apply.columns, &used),
            Operator::Analytic(analytic) => retain(&mut analytic.columns, &used),
            Operator::Join(join) => retain_of_sides(&mut join.sides, &used),
            Operator::Lookup(lookup) => retain_of_sides(&mut lookup.sides, &used),
            _ => {}
        }
        replace(&mut program, StepInput::Step(index), &places, &schema);
    }
    for index in 0..program.sources.len() {
        let (used, places, schema) = kept(&mut program, StepInput::Source(index));
        let source = &mut program.sources[index];
        source.schema = Arc::clone(&schema);
        retain(&mut source.columns, &used);
        replace(&mut program, StepInput::Source(index), &places, &schema);
    }
    program
}

/// Whether a step's columns are those that its author named.
fn makes_columns(operator: &Operator) -> bool {
    match operator {
        Operator::Project { .. } | Operator::WindowAggregate(_) | Operator::Union => true,
        Operator::Sort(_) | Operator::Scored(_) | Operator::PatternMatch(_) | Operator::Errors => true,
        Operator::Apply(_) | Operator::Analytic(_) | Operator::Join(_) | Operator::Lookup(_) => false,
    }
}

/// Which columns of an input are used, for each old place the new one, and the schema of those that are kept.
fn kept(program: &mut Program, input: StepInput) -> (Vec<bool>, Vec<usize>, SchemaRef) {
    let schema = Arc::clone(program.input_schema(input));
    let visible = schema.fields().len() - 1;
    let mut used = vec![false; visible + 1];
    if let StepInput::Source(source) = input {
        // What the query declares is looked at in every record.
        let columns = &program.sources[source].columns;
        used.iter_mut().zip(columns).for_each(|(used, column)| *used = column.fit != Fit::Converted);
    }
    each_expression(program, input, &mut |expression| note_columns(&expression.physical, &mut used));
    each_carried(program, input, &mut |place| used[*place] = true);
    if let StepInput::Step(step) = input
        && let Operator::Analytic(analytic) = &program.steps[step].operator
    {
        // What is computed stays.
        used[analytic.columns.len()..visible].fill(true);
    }
    let mut places = Vec::with_capacity(used.len());
    let mut next = 0;
    for used in &used[..visible] {
        places.push(next);
        next += usize::from(*used);
    }
    // The hidden row time stays the last, used or not.
    places.push(next);
    let fields: Vec<Field> = schema.fields().iter().map(|field| field.as_ref().clone()).collect();
    let kept = fields.into_iter().zip(&used).take(visible).filter(|(_, used)| **used);
    let schema = with_rowtime(kept.map(|(field, _)| field));
    (used, places, schema)
}

/// Points what reads an input to the places that its columns have now.
fn replace(program: &mut Program, input: StepInput, places: &[usize], schema: &SchemaRef) {
    each_expression(program, input, &mut |expression| {
        expression.physical = renumber(&expression.physical, places, schema);
    });
    each_carried(program, input, &mut |place| *place = places[*place]);
}

fn retain<T>(columns: &mut Vec<T>, used: &[bool]) {
    let mut place = 0;
    columns.retain(|_| {
        place += 1;
        used[place - 1]
    });
}

/// The columns of two sides are one behind the other.
fn retain_of_sides([left, right]: &mut [JoinSide; 2], used: &[bool]) {
    let (of_left, of_right) = used.split_at(left.columns.len());
    retain(&mut left.columns, of_left);
    retain(&mut right.columns, of_right);
}

/// Visits every expression over an input's schema.
fn each_expression(program: &mut Program, input: StepInput, visit: &mut dyn FnMut(&mut ScalarExpr)) {
    if let StepInput::Source(source) = input
        && let SourcePlan { time: TimeSource::Event(time), timelines, .. } = &mut program.sources[source]
    {
        visit(time);
        timelines.iter_mut().for_each(&mut *visit);
    }
    // A join's condition is over the rows that it makes.
    if let StepInput::Step(step) = input {
        match &mut program.steps[step].operator {
            Operator::Join(join) => join.predicate.iter_mut().for_each(&mut *visit),
            Operator::Lookup(lookup) => lookup.predicate.iter_mut().for_each(&mut *visit),
            _ => {}
        }
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
            Operator::Apply(apply) => visit(&mut apply.value),
            Operator::Analytic(analytic) => analytic.expressions_mut().into_iter().for_each(&mut *visit),
            Operator::PatternMatch(pattern) => pattern.inputs_mut().into_iter().for_each(&mut *visit),
            Operator::Sort(sort) => sort.inputs_mut().for_each(&mut *visit),
            Operator::Scored(scored) => scored.inputs_mut().for_each(&mut *visit),
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
            Operator::Union | Operator::Errors => {}
        }
    }
}

/// Visits every place of an input's column that is passed on as it is.
fn each_carried(program: &mut Program, input: StepInput, visit: &mut dyn FnMut(&mut usize)) {
    for step in program.steps.iter_mut().filter(|step| step.inputs.contains(&input)) {
        let Operator::Apply(apply) = &mut step.operator else { continue };
        for column in &mut apply.columns {
            if let AppliedColumn::Carried(place) = column {
                visit(place);
            }
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
