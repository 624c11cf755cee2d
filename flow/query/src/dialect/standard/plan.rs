//! A program of the standard dialect: views are steps, `INSERT INTO` writes outputs, and what `CREATE TABLE` says of inputs and
//! outputs is put into effect.

use arrow::datatypes::Field;

use super::super::plan_program::{Planner, Read};
use super::super::plan_select::keep;
use super::super::plan_stream::target;
use super::super::source::origin;
use super::super::syntax::{Ident, Query, Statement, TableSyntax, Watermark, WindowTable};
use super::time_column::TimeColumn;
use super::window_table;
use crate::error::{PlanError, PlanErrorCode};
use crate::expression::scope::{RowScope, column};
use crate::expression::suggest::nearest;
use crate::expression::{Binder, Scope, types};
use crate::plan::{
    ColumnOrigin, Fit, Operator, OutputPlan, ScalarExpr, SourceColumn, SourcePlan, StepInput, TIMESTAMP, TimeSource,
    WindowBounds, visible, with_rowtime,
};

impl Planner<'_> {
    /// Plans all statements, each of which sees the views before it.
    pub(in crate::dialect) fn inserts(&mut self, statements: &[Statement]) {
        self.declared_inputs(statements);
        let mut written: Vec<(Ident, Vec<usize>)> = Vec::new();
        for statement in statements {
            match statement {
                Statement::With { name, query } => {
                    let steps = self.query(query, None, statements).unwrap_or_default();
                    let step = self.union(steps, name.at);
                    if let Some(step) = step {
                        self.steps[step].name = Some(name.text.clone());
                    }
                    self.named.push((name.text.clone(), step));
                }
                Statement::Insert { target, columns, query } => {
                    let steps = self.insert(target, columns.as_deref(), query, statements);
                    match written.iter_mut().find(|(name, _)| name.text == target.text) {
                        Some((_, all)) => all.extend(steps),
                        None => written.push((target.clone(), steps)),
                    }
                }
                _ => {}
            }
        }
        for (name, steps) in written {
            let Some(step) = self.union(steps, name.at) else { continue };
            let schema = visible(&self.steps[step].schema);
            self.outputs.push(OutputPlan { name: name.text, step: Some(step), schema });
        }
    }

    /// The steps whose rows an `INSERT INTO` writes.
    fn insert(
        &mut self,
        into: &Ident,
        columns: Option<&[Ident]>,
        query: &Query,
        statements: &[Statement],
    ) -> Vec<usize> {
        let Some(table) = declared(statements, &into.text) else {
            if let Some(first) = columns.and_then(<[Ident]>::first) {
                let message = format!("the columns of `{}` are named, and it is not declared", into.text);
                let error = PlanError::new(PlanErrorCode::UnknownColumn, first.at, message);
                self.errors.push(error.hint(format!("CREATE TABLE {} (…)", into.text)));
                return Vec::new();
            }
            return self.query(query, None, statements).unwrap_or_default();
        };
        let target = match target(&table.columns, columns, into) {
            Ok(target) => target,
            Err(error) => {
                self.errors.push(error);
                return Vec::new();
            }
        };
        self.query(query, Some(&target), statements).unwrap_or_default()
    }

    /// Notes what the statements say of the columns of inputs.
    fn declared_inputs(&mut self, statements: &[Statement]) {
        let mut seen: Vec<&str> = Vec::new();
        for statement in statements {
            let Statement::DeclareTable(table) = statement else { continue };
            if seen.contains(&table.name.text.as_str()) {
                let message = format!("the table `{}` is declared twice", table.name.text);
                self.errors.push(PlanError::new(PlanErrorCode::Duplicate, table.name.at, message));
                continue;
            }
            seen.push(&table.name.text);
            if self.input(&table.name.text).is_some() {
                let columns = self.columns(table).map_err(|error| self.errors.push(error)).ok();
                self.tables.declare(&table.name.text, columns);
            }
        }
    }

    /// The columns of an input's records, and the one that is when they were stored, in the order of the text.
    fn columns(&self, table: &TableSyntax) -> Result<Vec<SourceColumn>, PlanError> {
        let mut columns = Vec::with_capacity(table.order.len());
        for (position, name) in table.order.iter().enumerate() {
            if table.arrival.as_ref().is_some_and(|arrival| arrival.text == *name) {
                let (name, origin) = (name.clone(), ColumnOrigin::Arrival);
                columns.push(SourceColumn { name, data_type: TIMESTAMP, origin, fit: Fit::Converted });
            }
            let Some((_, column_type)) = table.columns.iter().find(|(column, _)| column.text == *name) else {
                continue;
            };
            let data_type = types::of_name(self.dialect, column_type)?;
            let input = self.input(&table.name.text);
            let defined = input.and_then(|input| Some((input, input.columns.as_ref()?)));
            let mapped = defined.and_then(|(input, all)| Some((input, all.iter().find(|own| own.name == *name)?)));
            let origin = match mapped {
                Some((input, definition)) => origin(input, definition, position)?,
                None => ColumnOrigin::Field { path: vec![name.clone()], position },
            };
            columns.push(SourceColumn { name: name.clone(), data_type, origin, fit: Fit::Converted });
        }
        Ok(columns)
    }

    /// An input that is read for the first time: with its time, and a step behind it where columns of it are computed.
    pub(in crate::dialect) fn declared_source(
        &mut self,
        mut plan: SourcePlan,
        mut scope: RowScope,
        statements: &[Statement],
    ) -> Option<StepInput> {
        let table = declared(statements, &plan.name);
        let mut computed: Vec<(String, ScalarExpr)> = Vec::new();
        if let Some(table) = table {
            let binder = Binder { dialect: self.dialect, sql: self.sql, scope: Scope::Row(&scope) };
            for (name, value) in &table.computed {
                computed.push((name.text.clone(), keep(binder.bind(value), &mut self.errors)?));
            }
            if let Some(mark) = &table.watermark {
                keep(set_time(&mut plan, &mut scope, &computed, table, mark), &mut self.errors)?;
            }
        }
        let name = plan.name.clone();
        let index = self.sources.len();
        let rowtime = scope.rowtime();
        let columns = table.filter(|_| !computed.is_empty()).map(|table| arranged(table, &scope, computed, &rowtime));
        self.sources.push(Read { plan, scope, timed: true });
        let Some(columns) = columns else { return Some(StepInput::Source(index)) };
        let schema = with_rowtime(columns.iter().map(|(name, value)| Field::new(name, value.data_type.clone(), true)));
        let operator = Operator::Project { predicate: None, columns, rowtime: None };
        let step = self.step(vec![StepInput::Source(index)], operator, schema);
        self.named.push((name, Some(step)));
        Some(StepInput::Step(step))
    }

    /// Which boundary belongs to the windows that a window table puts rows into: the end where rows go by `window_time`, which is a
    /// millisecond before their time here.
    pub(in crate::dialect) fn windowed(
        &self,
        table: &WindowTable,
        input: StepInput,
        scope: &RowScope,
    ) -> Result<WindowBounds, PlanError> {
        let fields = &scope.schema.fields()[..scope.schema.fields().len() - 1];
        if let Some(taken) = fields.iter().find(|field| window_table::COLUMNS.contains(&field.name().as_str())) {
            // The one that rows go by is what the new windows are made of.
            if *taken.name() != table.time.text {
                let message = format!("`{}` has a column `{}` already", scope.name(), taken.name());
                let error = PlanError::new(PlanErrorCode::Duplicate, table.at, message);
                return Err(error.hint(format!("{} AS another name", taken.name())));
            }
        }
        let place = fields.iter().position(|field| *field.name() == table.time.text);
        let Some(place) = place else {
            let message = format!("`{}` has no column `{}`", scope.name(), table.time.text);
            let error = PlanError::new(PlanErrorCode::UnknownColumn, table.time.at, message);
            let near = nearest(&table.time.text, fields.iter().map(|field| field.name().as_str()));
            return Err(near.into_iter().fold(error, |error, near| error.hint(near)));
        };
        let of_step = match input {
            StepInput::Step(step) => self.time_columns(step)[place].and_then(TimeColumn::bounds),
            StepInput::Source(_) => scope.clocks.contains(&place).then_some(WindowBounds::ClosedOpen),
        };
        of_step.ok_or_else(|| {
            let message = format!("rows of `{}` do not go by `{}`", scope.name(), table.time.text);
            PlanError::new(PlanErrorCode::Window, table.time.at, message).hint(format!(
                "CREATE TABLE … (…, WATERMARK FOR {0} AS {0} - INTERVAL '5' SECOND); of a window's results window_time",
                table.time.text
            ))
        })
    }
}

/// The declaration of a table.
pub(in crate::dialect) fn declared<'s>(statements: &'s [Statement], name: &str) -> Option<&'s TableSyntax> {
    statements.iter().find_map(|statement| match statement {
        Statement::DeclareTable(table) if table.name.text == name => Some(&**table),
        _ => None,
    })
}

/// Lets rows go by the column behind `WATERMARK FOR`.
fn set_time(
    plan: &mut SourcePlan,
    scope: &mut RowScope,
    computed: &[(String, ScalarExpr)],
    table: &TableSyntax,
    mark: &Watermark,
) -> Result<(), PlanError> {
    let name = &mark.column.text;
    let place = plan.columns.iter().position(|column| column.name == *name);
    let value = match (place, computed.iter().find(|(column, _)| column == name)) {
        (Some(place), _) => column(&scope.schema, place),
        (None, Some((_, value))) => value.clone(),
        (None, None) => {
            let message = format!("`{}` has no column `{name}`", table.name.text);
            return Err(PlanError::new(PlanErrorCode::UnknownColumn, mark.column.at, message));
        }
    };
    if value.data_type != TIMESTAMP {
        let message = format!("rows go by a TIMESTAMP(3), and `{name}` is none");
        let hint = format!("ts AS TO_TIMESTAMP_LTZ({name}, 3), WATERMARK FOR ts AS ts");
        return Err(PlanError::new(PlanErrorCode::Type, mark.column.at, message).hint(hint));
    }
    scope.clocks = place.into_iter().collect();
    if place.is_some_and(|place| plan.columns[place].origin == ColumnOrigin::Arrival) {
        return Ok(());
    }
    plan.time = TimeSource::Event(value);
    plan.watermark_ms = Some(mark.delay_ms);
    Ok(())
}

/// All columns of a table in the order of the text. Of these the one that rows go by is their time.
fn arranged(
    table: &TableSyntax,
    scope: &RowScope,
    computed: Vec<(String, ScalarExpr)>,
    rowtime: &ScalarExpr,
) -> Vec<(String, ScalarExpr)> {
    let time = table.watermark.as_ref().map(|mark| mark.column.text.as_str());
    let value = |name: &String| {
        if time == Some(name) {
            return Some(rowtime.clone());
        }
        let own = computed.iter().find(|(column, _)| column == name).map(|(_, value)| value.clone());
        own.or_else(|| Some(column(&scope.schema, scope.schema.index_of(name).ok()?)))
    };
    table.order.iter().filter_map(|name| Some((name.clone(), value(name)?))).collect()
}
