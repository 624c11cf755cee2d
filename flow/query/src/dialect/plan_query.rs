//! One query: its `SELECT`s, with what `DISTINCT` and `ORDER BY` do behind them, and the queries that stand inside of `FROM`.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion_physical_expr::expressions::Column;
use millstream_catalog::QueryDialect;

use super::plan_analytic::{analytic, of_no_source};
use super::plan_distinct::distinct;
use super::plan_log::records;
use super::plan_order::{self, Ordered};
use super::plan_program::Planner;
use super::plan_select::{Target, select};
use super::source::step_scope;
use super::standard::window_table;
use super::syntax::{From, Inner, Query, Select, SelectItem, Statement};
use super::window_call::one_for_each;
use crate::error::{PlanError, PlanErrorCode};
use crate::expression::scope::RowScope;
use crate::expression::{Binder, Scope};
use crate::plan::{Operator, ROWTIME, ScalarExpr, Step, StepInput};

/// How deep streams and queries that read each other may stand before the stack of a thread is at its end.
const DEPTH_MAX: usize = 64;

impl Planner<'_> {
    /// The steps of a query, whose rows together are its result; `None` when it has mistakes.
    pub(super) fn query(
        &mut self,
        query: &Query,
        target: Option<&Target>,
        statements: &[Statement],
    ) -> Option<Vec<usize>> {
        if self.depth == DEPTH_MAX {
            let at = query.selects.first()?.at;
            let message = format!("streams and queries stand more than {DEPTH_MAX} deep inside of each other");
            self.errors.push(PlanError::new(PlanErrorCode::TooLarge, at, message));
            return None;
        }
        self.depth += 1;
        let steps = self.query_of(query, target, statements);
        self.depth -= 1;
        steps
    }

    fn query_of(&mut self, query: &Query, target: Option<&Target>, statements: &[Statement]) -> Option<Vec<usize>> {
        if query.order_by.is_empty() {
            return self.selects_of(query, target, statements);
        }
        let ordered = match query.selects.as_slice() {
            [only] if !only.distinct => {
                let (input, scope) = self.joined(only, statements)?;
                let (input, scope, only) = self.looked_back(only, input, scope);
                self.ordered(&only, query, input, &scope, target)
            }
            // Rows of several SELECTs, or those that are left of equal ones, are ordered by what they are.
            selects => {
                let first = selects.first()?;
                let steps = self.selects_of(query, None, statements)?;
                let step = self.union(steps, first.at)?;
                let scope = self.inner_scope(step, "");
                let all = SelectItem::Wildcard { prefix: Vec::new(), at: first.at };
                let outer = plan_order::over(first, vec![all]);
                self.ordered(&outer, query, StepInput::Step(step), &scope, target)
            }
        };
        ordered.map(|step| vec![step])
    }

    /// The steps of a query's `SELECT`s, one for each of them and of its windows; `None` when one has mistakes.
    fn selects_of(&mut self, query: &Query, target: Option<&Target>, statements: &[Statement]) -> Option<Vec<usize>> {
        let mut steps = Vec::with_capacity(query.selects.len());
        let mut right = true;
        for select_syntax in &query.selects {
            let Some((input, scope)) = self.joined(select_syntax, statements) else {
                right = false;
                continue;
            };
            let (input, scope, select_syntax) = self.looked_back(select_syntax, input, scope);
            let select_syntax = select_syntax.as_ref();
            let several = match self.dialect {
                QueryDialect::Standard => Ok(window_table::one_for_each(select_syntax)),
                QueryDialect::Kinesis | QueryDialect::StreamAnalytics => one_for_each(select_syntax),
            };
            let several = several.unwrap_or_else(|error| {
                self.errors.push(error);
                Some(Vec::new())
            });
            let selects = several.as_deref().unwrap_or(std::slice::from_ref(select_syntax));
            right &= !selects.is_empty();
            for select_syntax in selects {
                match self.selected(select_syntax, input, &scope, target) {
                    Some(step) => steps.push(step),
                    None => right = false,
                }
            }
        }
        right.then_some(steps)
    }

    /// The step of a `SELECT` over what it reads, and those behind it that leave equal rows out.
    fn selected(
        &mut self,
        syntax: &Select,
        input: StepInput,
        scope: &RowScope,
        target: Option<&Target>,
    ) -> Option<usize> {
        let selected = select(self.sql, syntax, &[], scope, target, &mut self.errors)?;
        let distinct = match syntax.distinct.then(|| distinct(self.sql, syntax, scope, &selected)).transpose() {
            Ok(distinct) => distinct,
            Err(error) => {
                self.errors.push(error);
                return None;
            }
        };
        let mut step = self.step(vec![input], selected.operator, selected.schema);
        for (operator, schema) in distinct.into_iter().flatten() {
            step = self.step(vec![StepInput::Step(step)], operator, schema);
        }
        Some(step)
    }

    /// The step of a `SELECT` over what it reads, and the one that orders its rows.
    fn ordered(
        &mut self,
        syntax: &Select,
        query: &Query,
        input: StepInput,
        scope: &RowScope,
        target: Option<&Target>,
    ) -> Option<usize> {
        let keys = plan_order::keys(self.sql, syntax, &query.order_by, scope);
        let Ordered { stretch_ms, keys } = keys.map_err(|error| self.errors.push(error)).ok()?;
        let values: Vec<_> = keys.iter().map(|(key, _)| key.clone()).collect();
        let selected = select(self.sql, syntax, &values, scope, target, &mut self.errors)?;
        let binder = Binder { dialect: self.dialect, sql: self.sql, scope: Scope::Row(scope) };
        let named: Vec<(String, bool)> = keys.iter().map(|(key, down)| (binder.text(&key.span), *down)).collect();
        let (sort, schema) = plan_order::sort(&selected.schema, stretch_ms, &named);
        let step = self.step(vec![input], selected.operator, selected.schema);
        Some(self.step(vec![StepInput::Step(step)], Operator::Sort(Box::new(sort)), schema))
    }

    /// What a `SELECT` reads: a step in front of it where it has functions that look back. What that step does of it is not done
    /// again.
    fn looked_back<'s>(
        &mut self,
        select: &'s Select,
        input: StepInput,
        scope: RowScope,
    ) -> (StepInput, RowScope, Cow<'s, Select>) {
        // Of what is joined they came first, in each of the sources.
        if self.dialect == QueryDialect::StreamAnalytics && !scope.sides.is_empty() {
            let mut scope = scope;
            self.errors.extend(of_no_source(self.sql, select, &mut scope));
            return (input, scope, Cow::Borrowed(select));
        }
        let Some((analytic, scope)) = analytic(self.sql, select, &scope, &[], &mut self.errors) else {
            return (input, scope, Cow::Borrowed(select));
        };
        let select = match self.dialect {
            QueryDialect::Kinesis => Cow::Owned(Select { predicate: None, ..select.clone() }),
            QueryDialect::StreamAnalytics | QueryDialect::Standard => Cow::Borrowed(select),
        };
        let (operator, schema) = (Operator::Analytic(Box::new(analytic)), Arc::clone(&scope.schema));
        (StepInput::Step(self.step(vec![input], operator, schema)), scope, select)
    }

    /// What stands inside of `FROM`, and what its columns are called there.
    pub(super) fn inner(
        &mut self,
        from: &From,
        inner: &Inner,
        statements: &[Statement],
    ) -> Option<(StepInput, RowScope)> {
        let (step, mut scope) = match inner {
            Inner::Query(query) => {
                let steps = self.query(query, None, statements)?;
                let step = self.union(steps, from.name.at)?;
                let records = records(query).map_err(|error| self.errors.push(error)).ok()?;
                (step, RowScope { records, ..self.inner_scope(step, &from.name.text) })
            }
            Inner::Table { function, cursor, arguments } => {
                let steps = self.query(cursor, None, statements)?;
                let step = self.union(steps, from.name.at)?;
                let rows = self.inner_scope(step, &from.name.text);
                let made = self.table_function(function, arguments, step, &rows)?;
                (made, self.inner_scope(made, &from.name.text))
            }
        };
        if !from.columns.is_empty() {
            self.rename(from, &mut scope)?;
        }
        scope.qualifiers.extend(from.alias.iter().map(|alias| alias.text.clone()));
        Some((StepInput::Step(step), scope))
    }

    /// The scope of a step's rows, where columns that are the row's time stand for it.
    pub(super) fn inner_scope(&self, step: usize, name: &str) -> RowScope {
        let scope = step_scope(self.dialect, name, &self.steps[step].schema);
        let scope = RowScope { open: self.reads_unknown(step), ..scope };
        if self.dialect == QueryDialect::Standard {
            return self.timed(step, scope);
        }
        let clocks = self.clocks(step).pop().unwrap_or_default();
        RowScope { clocks: (0..clocks.len()).filter(|place| clocks[*place]).collect(), ..scope }
    }

    /// By step up to this one and by column, whether that is the row's time. Each step is looked at once: several may read it.
    fn clocks(&self, step: usize) -> Vec<Vec<bool>> {
        let mut clocks: Vec<Vec<bool>> = Vec::with_capacity(step + 1);
        for step in &self.steps[..=step] {
            clocks.push(clocks_of(step, &clocks));
        }
        clocks
    }

    /// Gives the columns of what stands inside of `FROM` the names behind its alias.
    fn rename(&mut self, from: &From, scope: &mut RowScope) -> Option<()> {
        let own = scope.schema.fields().len() - 1;
        if from.columns.len() != own {
            let message = format!("{} names for {own} columns", from.columns.len());
            self.errors.push(PlanError::new(PlanErrorCode::ColumnCount, from.name.at, message));
            return None;
        }
        let names: Vec<String> = from.columns.iter().map(|name| name.text.clone()).collect();
        for (record, _) in &mut scope.records {
            if let Ok(place) = scope.schema.index_of(record) {
                record.clone_from(&names[place]);
            }
        }
        scope.schema = renamed(&scope.schema, names);
        Some(())
    }
}

/// The same columns under other names, the row time last.
fn renamed(schema: &SchemaRef, names: Vec<String>) -> SchemaRef {
    let fields = schema.fields().iter().zip(names);
    crate::plan::with_rowtime(fields.map(|(field, name)| field.as_ref().clone().with_name(name)))
}

/// By column of a step whether it is the row's time, where that is known of the steps before.
fn clocks_of(step: &Step, known: &[Vec<bool>]) -> Vec<bool> {
    let visible = step.schema.fields().len() - 1;
    if let Operator::Union = step.operator {
        let mut clocks = vec![true; visible];
        for input in &step.inputs {
            let own: &[bool] = if let StepInput::Step(before) = input { &known[*before] } else { &[] };
            clocks.iter_mut().enumerate().for_each(|(place, clock)| *clock &= own.get(place) == Some(&true));
        }
        return clocks;
    }
    let before: &[bool] = match step.inputs.first() {
        Some(StepInput::Step(before)) => &known[*before],
        _ => &[],
    };
    let of = |columns: &[(String, ScalarExpr)]| -> Vec<bool> {
        let is_time = |(_, value): &(String, ScalarExpr)| {
            let column = value.physical.downcast_ref::<Column>();
            column.is_some_and(|column| column.name() == ROWTIME || before.get(column.index()) == Some(&true))
        };
        columns.iter().map(is_time).collect()
    };
    let mut clocks = match &step.operator {
        Operator::Project { rowtime: None, columns, .. } => of(columns),
        Operator::Analytic(analytic) => of(&analytic.columns),
        Operator::Sort(sort) if sort.stretch_ms.is_none() => of(&sort.columns),
        Operator::Scored(scored) => of(&scored.columns),
        // Its columns are over groups, whose time is their window's end.
        Operator::WindowAggregate(aggregate) => {
            let is_time = |value: &ScalarExpr| {
                value.physical.downcast_ref::<Column>().is_some_and(|column| column.name() == ROWTIME)
            };
            aggregate.columns.iter().map(|(_, value)| is_time(value)).collect()
        }
        _ => Vec::new(),
    };
    clocks.resize(visible, false);
    clocks
}
