//! Who reads whom: statements become sources, steps in topological order, and outputs.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use millstream_catalog::QueryDialect;

use super::InputSchema;
use super::plan_partition::{apart_by, partition};
use super::plan_select::keep;
use super::plan_stream::{declared, target};
use super::plan_table::Tables;
use super::prune;
use super::source::{source, step_scope};
use super::syntax::{From, Ident, Query, Statement};
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::expression::scope::RowScope;
use crate::expression::types;
use crate::plan::{Operator, OutputPlan, Program, SourcePlan, Step, StepInput, is_error_stream, visible};

/// A plan in the making.
pub(super) struct Planner<'a> {
    pub(super) dialect: QueryDialect,
    pub(super) sql: &'a str,
    pub(super) inputs: &'a [InputSchema],
    pub(super) sources: Vec<Read>,
    /// Queries that are planned inside of each other, by streams and by `SELECT`s inside `FROM`.
    pub(super) depth: usize,
    pub(super) references: Vec<(SourcePlan, RowScope)>,
    pub(super) steps: Vec<Step>,
    pub(super) outputs: Vec<OutputPlan>,
    /// Streams and `WITH` steps that are planned; `None`: it has mistakes, which were reported.
    pub(super) named: Vec<(String, Option<usize>)>,
    /// What `CREATE TABLE` declares.
    pub(super) tables: Tables,
    /// Streams being planned, to notice those that read each other.
    open: Vec<String>,
    /// By the places of pumps their steps, once they are planned.
    pumped: BTreeMap<usize, Vec<usize>>,
    /// The pump that is being planned.
    pump_open: Option<String>,
    /// The step that holds what goes wrong, where a pump reads it.
    pub(super) error_step: Option<usize>,
    pub(super) errors: Vec<PlanError>,
    /// Names that stand where inputs do and are none.
    pub(super) missing: Vec<String>,
    /// Whether statements are missing that could not be read.
    unread: bool,
}

/// An input that is read.
pub(super) struct Read {
    pub(super) plan: SourcePlan,
    pub(super) scope: RowScope,
    /// Whether some `SELECT` has said by which time it goes.
    pub(super) timed: bool,
}

impl<'a> Planner<'a> {
    pub(super) fn new(dialect: QueryDialect, sql: &'a str, inputs: &'a [InputSchema], errors: Vec<PlanError>) -> Self {
        let (sources, references, steps) = (Vec::new(), Vec::new(), Vec::new());
        let (outputs, named, open) = (Vec::new(), Vec::new(), Vec::new());
        let unread = errors.iter().any(|error| error.code != PlanErrorCode::Empty);
        let tables = Tables::default();
        let missing = Vec::new();
        let depth = 0;
        Self {
            dialect,
            sql,
            inputs,
            sources,
            depth,
            references,
            steps,
            outputs,
            named,
            tables,
            open,
            pumped: BTreeMap::new(),
            pump_open: None,
            error_step: None,
            errors,
            missing,
            unread,
        }
    }

    /// Plans all statements.
    pub(super) fn program(&mut self, statements: &[Statement]) {
        self.refuse_duplicates(statements);
        match self.dialect {
            QueryDialect::Kinesis => self.streams(statements),
            QueryDialect::StreamAnalytics => self.selects(statements),
            QueryDialect::Standard => self.inserts(statements),
        }
        if self.outputs.iter().all(|output| output.step.is_none()) && self.errors.is_empty() {
            let message = "nothing is written to any output";
            let hint = match self.dialect {
                QueryDialect::Kinesis => "CREATE OR REPLACE PUMP \"P\" AS INSERT INTO \"OUT\" SELECT STREAM …",
                QueryDialect::StreamAnalytics => "SELECT * INTO out FROM step",
                QueryDialect::Standard => "INSERT INTO output SELECT …",
            };
            self.errors.push(PlanError::new(PlanErrorCode::Empty, Position { line: 1, column: 1 }, message).hint(hint));
        }
    }

    /// The plan, or the mistakes in the order of their places. `complete`: all columns have to be known.
    pub(super) fn finish(mut self, complete: bool) -> Result<Program, Vec<PlanError>> {
        let references = self.references.iter().map(|(plan, scope)| (plan, scope));
        let mut all = self.sources.iter().map(|read| (&read.plan, &read.scope)).chain(references);
        let unknown = all.find(|(_, scope)| scope.open);
        if let (Some((plan, _)), true) = (unknown, complete && self.errors.is_empty()) {
            self.errors.push(PlanError::columns_unknown(&plan.name));
        }
        if self.unread {
            // What is missing may stand in a statement that could not be read.
            let sure = |code| !matches!(code, PlanErrorCode::UnknownStream | PlanErrorCode::Empty);
            self.errors.retain(|error| sure(error.code));
        }
        if !self.errors.is_empty() {
            self.errors.sort_by_key(|error| (error.line, error.column));
            self.errors.dedup();
            return Err(self.errors);
        }
        let sources = self.sources.into_iter().map(|read| read.plan).collect();
        let references = self.references.into_iter().map(|(plan, _)| plan).collect();
        let Self { dialect, steps, outputs, .. } = self;
        Ok(prune::prune(Program { dialect, sources, references, steps, outputs }))
    }

    /// The names of the inputs that the statements read; all inputs' when there are mistakes.
    pub(super) fn read(self) -> Vec<String> {
        if !self.errors.is_empty() {
            return self.inputs.iter().map(|input| input.name.clone()).collect();
        }
        let sources = self.sources.into_iter().map(|read| read.plan.name);
        sources.chain(self.references.into_iter().map(|(plan, _)| plan.name)).collect()
    }

    fn refuse_duplicates(&mut self, statements: &[Statement]) {
        let mut seen: Vec<&str> = Vec::new();
        for statement in statements {
            let (Statement::CreateStream { name, .. } | Statement::With { name, .. }) = statement else { continue };
            let taken = seen.contains(&name.text.as_str()) || self.input(&name.text).is_some();
            if taken {
                let message = format!("`{}` is defined already", name.text);
                self.errors.push(PlanError::new(PlanErrorCode::Duplicate, name.at, message).hint("another name"));
            }
            seen.push(&name.text);
        }
    }

    // Kinesis: streams, and pumps into them.

    fn streams(&mut self, statements: &[Statement]) {
        self.errors_first(statements);
        for statement in statements {
            match statement {
                Statement::CreateStream { name, .. } => {
                    let step = self.stream(name, statements);
                    self.stream_output(name, step, statements);
                }
                Statement::CreatePump { target, .. } if declared(statements, &target.text).is_none() => {
                    let error = self.unknown_stream(target, statements);
                    self.errors.push(error.hint(format!("CREATE OR REPLACE STREAM \"{}\" (…)", target.text)));
                }
                _ => {}
            }
        }
    }

    /// The step that holds all rows of a stream; `None` when nothing (right) is pumped into it.
    fn stream(&mut self, name: &Ident, statements: &[Statement]) -> Option<usize> {
        if let Some((_, step)) = self.named.iter().find(|(known, _)| *known == name.text) {
            return *step;
        }
        if self.open.contains(&name.text) {
            let message = format!("the stream `{}` is pumped into itself: {}", name.text, self.open.join(" → "));
            self.errors.push(PlanError::new(PlanErrorCode::Cycle, name.at, message).hint("pump into another stream"));
            return None;
        }
        self.open.push(name.text.clone());
        let mut written = Vec::new();
        for (place, statement) in statements.iter().enumerate() {
            if matches!(statement, Statement::CreatePump { target, .. } if target.text == name.text) {
                written.extend(self.pump(place, statements));
            }
        }
        self.open.pop();
        let step = self.union(written, name.at);
        if let Some(step) = step {
            self.steps[step].name = Some(name.text.clone());
        }
        self.named.push((name.text.clone(), step));
        step
    }

    /// The steps of the pump at a place, which are planned once.
    pub(super) fn pump(&mut self, place: usize, statements: &[Statement]) -> Vec<usize> {
        if let Some(steps) = self.pumped.get(&place) {
            return steps.clone();
        }
        let Some(Statement::CreatePump { name, target: into, columns: list, query }) = statements.get(place) else {
            return Vec::new();
        };
        let outer = self.pump_open.replace(name.text.clone());
        let columns = declared(statements, &into.text).flatten();
        let steps = match columns.map(|columns| target(columns, list.as_deref(), into)).transpose() {
            Ok(target) => self.query(query, target.as_ref(), statements).unwrap_or_default(),
            Err(error) => {
                self.errors.push(error);
                Vec::new()
            }
        };
        self.pump_open = outer;
        self.pumped.insert(place, steps.clone());
        steps
    }

    fn stream_output(&mut self, name: &Ident, step: Option<usize>, statements: &[Statement]) {
        let schema = match (step, declared(statements, &name.text).flatten()) {
            (Some(step), _) => visible(&self.steps[step].schema),
            (None, columns) => {
                let mut fields = Vec::new();
                for (column, column_type) in columns.unwrap_or_default() {
                    match types::of_name(self.dialect, column_type) {
                        Ok(data_type) => fields.push(Field::new(&column.text, data_type, true)),
                        Err(error) => self.errors.push(error),
                    }
                }
                Arc::new(Schema::new(fields))
            }
        };
        self.outputs.push(OutputPlan { name: name.text.clone(), step, schema });
    }

    // Stream Analytics: `WITH` steps, and `SELECT … INTO`.

    fn selects(&mut self, statements: &[Statement]) {
        self.tables = self.declared_tables(statements);
        let mut written: Vec<(Ident, Vec<usize>)> = Vec::new();
        for (place, statement) in statements.iter().enumerate() {
            // A step sees those before it.
            let before = &statements[..place];
            match statement {
                Statement::With { name, query } => {
                    let steps = self.query(query, None, before).unwrap_or_default();
                    let step = self.union(steps, name.at);
                    if let Some(step) = step {
                        self.steps[step].name = Some(name.text.clone());
                    }
                    self.named.push((name.text.to_lowercase(), step));
                }
                Statement::Select(query) => {
                    let into = into(query);
                    let steps = self.query(query, None, before).unwrap_or_default();
                    match written.iter_mut().find(|(name, _)| name.text.eq_ignore_ascii_case(&into.text)) {
                        Some((_, all)) => all.extend(steps),
                        None => written.push((into, steps)),
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

    // All.

    /// The scope of the rows of a step that has a name.
    fn named_scope(&self, step: usize, name: &str) -> RowScope {
        let scope = step_scope(self.dialect, name, &self.steps[step].schema);
        match self.dialect {
            QueryDialect::Standard => self.timed(step, scope),
            QueryDialect::Kinesis | QueryDialect::StreamAnalytics => scope,
        }
    }

    pub(super) fn step(&mut self, inputs: Vec<StepInput>, operator: Operator, schema: SchemaRef) -> usize {
        let id = self.steps.len();
        let pump = self.pump_open.clone();
        self.steps.push(Step { id, name: None, pump, inputs, operator, schema });
        id
    }

    /// Whether columns of what a step reads are not known, however many steps are between.
    pub(super) fn reads_unknown(&self, step: usize) -> bool {
        // Forward, each step once: several may read one.
        let mut unknown = Vec::with_capacity(step + 1);
        for plan in &self.steps[..=step] {
            let open = plan.inputs.iter().any(|input| match input {
                StepInput::Source(source) => self.sources[*source].scope.open,
                StepInput::Step(before) => unknown[*before],
            });
            unknown.push(open);
        }
        unknown[step]
    }

    /// One step for the rows of several, which have to have the same columns.
    pub(super) fn union(&mut self, steps: Vec<usize>, at: Position) -> Option<usize> {
        let (first, rest) = steps.split_first()?;
        if rest.is_empty() {
            return Some(*first);
        }
        let schema = Arc::clone(&self.steps[*first].schema);
        // In Kinesis' language columns go by their place.
        let by_name = self.dialect == QueryDialect::StreamAnalytics;
        let shape = |schema: &Schema| {
            let name = |field: &Field| if by_name { field.name().to_lowercase() } else { String::new() };
            let columns = schema.fields().iter().map(|field| (name(field), field.data_type().clone()));
            columns.collect::<Vec<_>>()
        };
        if let Some(other) = rest.iter().find(|step| shape(&self.steps[**step].schema) != shape(&schema)) {
            let message = format!(
                "not supported yet: rows of different columns in one output: ({}) and ({})",
                describe(self.dialect, &schema),
                describe(self.dialect, &self.steps[*other].schema)
            );
            self.errors.push(
                PlanError::new(PlanErrorCode::NotSupported, at, message)
                    .hint("the same names and types in the same order, with AS and CAST"),
            );
            return None;
        }
        let inputs = steps.into_iter().map(StepInput::Step).collect();
        Some(self.step(inputs, Operator::Union, schema))
    }

    /// What a `FROM` reads, and what its columns are called there.
    pub(super) fn relation(&mut self, from: &From, statements: &[Statement]) -> Option<(StepInput, RowScope)> {
        if let Some(inner) = &from.inner {
            return self.inner(from, inner, statements);
        }
        let (input, mut scope) = match self.find(&from.name, statements)? {
            StepInput::Source(index) => {
                // In the standard dialect the declaration says it.
                if self.dialect != QueryDialect::Standard {
                    self.time(index, from);
                }
                (StepInput::Source(index), self.sources[index].scope.clone())
            }
            StepInput::Step(index) => {
                if let Some(time) = &from.timestamp_by {
                    let message = format!("TIMESTAMP BY stands behind inputs, `{}` is a step", from.name.text);
                    self.errors.push(
                        PlanError::new(PlanErrorCode::Syntax, time.at, message)
                            .hint("TIMESTAMP BY where the step reads its input"),
                    );
                }
                (StepInput::Step(index), self.named_scope(index, &from.name.text))
            }
        };
        if let Some(table) = &from.windows {
            scope.windowed = Some(keep(self.windowed(table, input, &scope), &mut self.errors)?);
        }
        scope.qualifiers.extend(from.alias.iter().map(|alias| alias.text.clone()));
        scope.apart_by = apart_by(from);
        keep(partition(self.sql, &scope), &mut self.errors)?;
        Some((input, scope))
    }

    /// The step or source of a name. `None`: there is none, or it has mistakes; both are reported.
    fn find(&mut self, name: &Ident, statements: &[Statement]) -> Option<StepInput> {
        match self.dialect {
            QueryDialect::Kinesis if declared(statements, &name.text).is_some() => {
                let reported = self.errors.len();
                let step = self.stream(name, statements);
                let pumped = statements.iter().any(
                    |statement| matches!(statement, Statement::CreatePump { target, .. } if target.text == name.text),
                );
                if step.is_none() && !pumped && self.errors.len() == reported {
                    let message = format!("nothing is written to the stream `{}`", name.text);
                    let hint = format!("CREATE OR REPLACE PUMP \"P\" AS INSERT INTO \"{}\" SELECT STREAM …", name.text);
                    self.errors.push(PlanError::new(PlanErrorCode::Empty, name.at, message).hint(hint));
                }
                return step.map(StepInput::Step);
            }
            QueryDialect::StreamAnalytics => {
                let lower = name.text.to_lowercase();
                if let Some((_, step)) = self.named.iter().find(|(known, _)| *known == lower) {
                    return step.map(StepInput::Step);
                }
            }
            QueryDialect::Standard => {
                if let Some((_, step)) = self.named.iter().find(|(known, _)| *known == name.text) {
                    return step.map(StepInput::Step);
                }
            }
            QueryDialect::Kinesis => {}
        }
        let Some(input) = self.input(&name.text) else {
            if is_error_stream(self.dialect, &name.text) {
                return self.error_step.map(StepInput::Step);
            }
            self.no_input(name, statements);
            return None;
        };
        if input.reference {
            let message = format!("`{}` is reference data, which only stand on the right of a JOIN", name.text);
            let hint = format!("FROM stream AS s JOIN {} AS r ON s.key = r.key", name.text);
            self.errors.push(PlanError::new(PlanErrorCode::Syntax, name.at, message).hint(hint));
            return None;
        }
        if let Some(index) = self.sources.iter().position(|read| read.plan.name == input.name) {
            return Some(StepInput::Source(index));
        }
        match source(self.dialect, input, self.tables.of(&input.name)?) {
            Ok((plan, scope)) if self.dialect == QueryDialect::Standard => {
                return self.declared_source(plan, scope, statements);
            }
            Ok((plan, scope)) => self.sources.push(Read { plan, scope, timed: false }),
            Err(error) => {
                self.errors.push(error);
                return None;
            }
        }
        Some(StepInput::Source(self.sources.len() - 1))
    }

    pub(super) fn input(&self, name: &str) -> Option<&'a InputSchema> {
        self.inputs.iter().find(|input| match self.dialect {
            QueryDialect::Kinesis | QueryDialect::Standard => input.name == name,
            QueryDialect::StreamAnalytics => input.name.eq_ignore_ascii_case(name),
        })
    }
}

/// What a query of Stream Analytics writes to: the name behind `INTO`, or `output`.
pub(super) fn into(query: &Query) -> Ident {
    let named = query.selects.iter().find_map(|select| select.into.clone());
    let at = query.selects.first().map_or(Position { line: 1, column: 1 }, |select| select.at);
    named.unwrap_or_else(|| Ident { text: "output".to_owned(), at })
}

fn describe(dialect: QueryDialect, schema: &Schema) -> String {
    let fields = schema.fields().iter().take(schema.fields().len() - 1);
    let columns: Vec<String> =
        fields.map(|field| format!("{} {}", field.name(), types::name(dialect, field.data_type()))).collect();
    columns.join(", ")
}
