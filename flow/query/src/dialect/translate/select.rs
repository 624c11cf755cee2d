//! One `SELECT` in the other language's words.

use arrow::datatypes::DataType;
use millstream_catalog::QueryDialect;

use super::super::plan_select::{default_name, expand};
use super::super::standard;
use super::super::syntax::{Expr, ExprKind, From, Inner, JoinClause, Select, SelectItem, Statement};
use super::Writer;
use super::expression::{Place, aggregates_of, looks_back};
use super::program::{Destination, ROW_TIME};
use super::spelling::Spelling;
use super::window::Windowed;
use crate::error::Position;
use crate::expression::scope::RowScope;
use crate::plan::{ColumnOrigin, StepInput, TimeSource};

/// What a `SELECT` reads.
pub(super) struct Read {
    pub scope: RowScope,
    /// The name of the column that its rows go by in the other language; `None`: none that windows may be made of.
    pub time: Option<String>,
    /// The name, with its alias.
    pub source: String,
    /// Its name alone.
    pub name: String,
}

impl Writer<'_> {
    /// A `SELECT` with its rows' way; `None`: it is refused as a whole.
    pub(super) fn select(&mut self, select: &Select, into: Destination<'_>) -> Option<String> {
        if self.is_refused(select) {
            return None;
        }
        let read = self.read(select)?;
        let windowed = self.windowed(select, &read)?;
        let place = Place { read: &read, windowed: windowed.as_ref() };
        self.predicates.clear();
        let items = self.items(select, place, into);
        let rows = Place { read: &read, windowed: None };
        let of_rows = select.predicate.as_ref().map(|predicate| self.condition(predicate, rows));
        let having = select.having.as_ref().map(|having| self.condition(having, place));
        let added = std::mem::take(&mut self.predicates);
        let mut told = format!("SELECT {}", items.join(", "));
        if let (Destination::Output { name, .. }, Spelling::StreamAnalytics) = (into, self.spelling) {
            told.push_str(&format!("\nINTO {}", self.spelling.name(name)));
        }
        let from = windowed.as_ref().map_or(&read.source, |windowed| &windowed.source);
        told.push_str(&format!("\nFROM {from}"));
        let (of_rows, of_groups): (Vec<String>, Vec<String>) = match windowed.is_some() {
            true => (of_rows.into_iter().collect(), having.into_iter().chain(added).collect()),
            false => (of_rows.into_iter().chain(added).collect(), Vec::new()),
        };
        if !of_rows.is_empty() {
            told.push_str(&format!("\nWHERE {}", of_rows.join(" AND ")));
        }
        if let Some(windowed) = &windowed {
            let mut keys = windowed.keys.clone();
            for key in &windowed.key_syntax {
                keys.push(self.expression(key, rows));
            }
            told.push_str(&format!("\nGROUP BY {}", keys.join(", ")));
        }
        if !of_groups.is_empty() {
            told.push_str(&format!("\nHAVING {}", of_groups.join(" AND ")));
        }
        Some(told)
    }

    /// Whether a `SELECT` has what is not carried over; notes it.
    fn is_refused(&mut self, select: &Select) -> bool {
        let from = &select.from;
        let mut refused = Vec::new();
        let mut refuse = |there: bool, at, why: &str| {
            if there {
                refused.push((at, why.to_owned()));
            }
        };
        let at = from.name.at;
        refuse(select.distinct, select.at, "DISTINCT within a stretch of ROWTIME");
        refuse(select.stagger.is_some(), select.at, "STAGGER: windows that begin with a key's first row");
        refuse(select.window_id.is_some(), select.at, "Windows(…): one SELECT for each window says the same");
        refuse(!from.timelines.is_empty(), at, "TIMESTAMP BY … OVER: timelines of their own");
        refuse(!from.partition_by.is_empty(), at, "PARTITION BY behind a source: rows that are computed apart");
        refuse(!from.applies.is_empty(), at, "APPLY: values without a fixed type");
        refuse(from.recognize.is_some(), at, "MATCH_RECOGNIZE");
        let inner = matches!(from.inner.as_deref(), Some(Inner::Table { .. }));
        refuse(inner, at, "functions that give rows");
        refuse(from.inner.is_some() && !inner, at, "a SELECT inside FROM: a step of its own says the same");
        let same = self.is_same_language();
        for join in &from.joins {
            refuse(!same || join.right.inner.is_some(), join.at, "a join");
        }
        for item in &select.items {
            if let (SelectItem::Wildcard { at, .. }, false) = (item, from.joins.is_empty()) {
                refuse(true, *at, "`*` of what is joined");
            }
        }
        for expr in select.expressions() {
            if let Some(call) = looks_back(self.ask.dialect, expr) {
                refuse(true, call, "functions that look back from a row");
            }
        }
        let any = !refused.is_empty();
        for (at, why) in refused {
            self.refuse(at, format!("{why}: not carried over"));
        }
        any
    }

    /// What a `SELECT` reads.
    fn read(&mut self, select: &Select) -> Option<Read> {
        let statements = self.statements;
        let (input, scope) = self.planner.joined(select, statements)?;
        let from = &select.from;
        let (time, name) = match input {
            StepInput::Source(index) => {
                let name = self.planner.sources[index].plan.name.clone();
                (self.input_time(index, from), name)
            }
            StepInput::Step(_) if standard::declared(self.statements, &from.name.text).is_some() => {
                (self.computed_time(from), from.name.text.clone())
            }
            StepInput::Step(step) => {
                let name = self.planner.steps[step].name.clone().unwrap_or_else(|| from.name.text.clone());
                (self.step_time(select, &name), name)
            }
        };
        let quoted = self.spelling.name(&name);
        let mut source = self.aliased(&name, from);
        for join in &from.joins {
            source.push_str(&self.joined(join));
        }
        if let (Spelling::StreamAnalytics, StepInput::Source(_), Some(time)) = (self.spelling, input, &time)
            && !self.is_arrival(input)
        {
            source.push_str(&format!(" TIMESTAMP BY {}", self.spelling.name(time)));
        }
        Some(Read { scope, time, source, name: quoted })
    }

    fn aliased(&self, name: &str, from: &From) -> String {
        let alias = from.alias.iter().map(|alias| format!(" AS {}", self.spelling.name(&alias.text)));
        format!("{}{}", self.spelling.name(name), alias.collect::<String>())
    }

    /// A join, where both languages are one.
    fn joined(&mut self, join: &JoinClause) -> String {
        let kind = match join.outer {
            [false, false] => "JOIN",
            [true, false] => "LEFT JOIN",
            [false, true] => "RIGHT JOIN",
            [true, true] => "FULL JOIN",
        };
        self.computed_time(&join.right);
        let on = join.on.as_ref().map_or_else(|| "TRUE".to_owned(), |on| self.as_written(on));
        format!("\n{kind} {} ON {on}", self.aliased(&join.right.name.text, &join.right))
    }

    /// The time column of a table that is read behind what computes its columns, or on the right of a join; `None`: of a view.
    fn computed_time(&mut self, from: &From) -> Option<String> {
        if self.spelling == Spelling::StreamAnalytics {
            self.refuse(from.name.at, "columns that are computed in a table");
        }
        let index = self.planner.sources.iter().position(|read| read.plan.name == from.name.text)?;
        self.input_time(index, from)
    }

    /// The column that the rows of a step go by.
    fn step_time(&self, select: &Select, step: &str) -> Option<String> {
        match (self.ask.dialect, &select.from.windows) {
            (QueryDialect::Standard, Some(table)) => Some(table.time.text.clone()),
            (QueryDialect::Standard, None) => None,
            _ => {
                let windows = self.views.iter().any(|(view, windows)| view.eq_ignore_ascii_case(step) && *windows);
                windows.then(|| ROW_TIME.to_owned())
            }
        }
    }

    fn is_arrival(&self, input: StepInput) -> bool {
        let StepInput::Source(index) = input else { return false };
        matches!(self.planner.sources[index].plan.time, TimeSource::Arrival)
    }

    /// The values, each under its name.
    fn items(&mut self, select: &Select, place: Place<'_>, into: Destination<'_>) -> Vec<String> {
        let mut told: Vec<(String, String, Option<DataType>, Position)> = Vec::new();
        for (number, item) in select.items.iter().enumerate() {
            match item {
                SelectItem::Wildcard { prefix, at } => {
                    for column in expand(&place.read.scope, prefix, *at).unwrap_or_default() {
                        let value = self.column(&column.name, place, *at);
                        told.push((value, column.name, Some(column.value.data_type), *at));
                    }
                }
                SelectItem::Column { value, alias } => {
                    let name = alias
                        .as_ref()
                        .map_or_else(|| default_name(self.ask.dialect, value, number), |alias| alias.text.clone());
                    let data_type = self.type_of(value, place);
                    let text = self.expression(value, place);
                    told.push((text, name, data_type, value.at));
                }
            }
        }
        let own = told.iter().find(|(_, name, ..)| name.eq_ignore_ascii_case(ROW_TIME)).map(|(.., at)| *at);
        let mut items = Vec::with_capacity(told.len() + 1);
        for (index, (value, name, data_type, at)) in told.into_iter().enumerate() {
            let Some(column) = into.columns().and_then(|columns| columns.get(index)).cloned() else {
                items.push(format!("{value} AS {}", self.spelling.name(&name)));
                continue;
            };
            let value = self.assigned(value, data_type, column.declared.as_ref(), at);
            items.push(format!("{value} AS {}", self.spelling.name(&column.name)));
        }
        if let (Destination::Step, Spelling::Flink, false) =
            (into, self.spelling, self.ask.dialect == QueryDialect::Standard)
        {
            items.extend(self.step_row_time(select, place));
            if let Some(at) = own {
                self.refuse(at, format!("a column `{ROW_TIME}` of a step: the time of its rows gets this name"));
            }
        }
        items
    }

    /// A value as the declared column of an output takes it.
    fn assigned(
        &mut self,
        value: String,
        data_type: Option<DataType>,
        declared: Option<&(DataType, Option<usize>)>,
        at: Position,
    ) -> String {
        let Some((wanted, length)) = declared else { return value };
        if let (Some(length), DataType::Utf8, QueryDialect::Kinesis) = (length, wanted, self.ask.dialect) {
            let characters = match self.spelling {
                Spelling::Flink => format!("CHAR_LENGTH({value})"),
                // Alone LEN does not count blanks at the end.
                Spelling::StreamAnalytics => format!("LEN({value} + '.') - 1"),
            };
            self.predicates.push(format!("({value} IS NULL OR {characters} <= {length})"));
            let how = "a row whose text is longer than its column is left out by a condition; here it is told as an error, too";
            self.rewritten(at, how);
        }
        match (data_type, wanted) {
            (Some(DataType::Float64), DataType::Int64) if self.spelling == Spelling::Flink => {
                self.rewritten(at, "a double becomes a whole number by ROUND and CAST");
                format!("CAST(ROUND({value}, 0) AS BIGINT)")
            }
            (Some(DataType::Float64), DataType::Int64) => self.refuse(at, "a double that is rounded to a whole number"),
            (Some(DataType::Int64), DataType::Float64) => match self.spelling {
                Spelling::Flink => format!("CAST({value} AS DOUBLE)"),
                Spelling::StreamAnalytics => format!("CAST({value} AS float)"),
            },
            (None, DataType::Int64 | DataType::Float64) => {
                self.refuse(at, "a value whose type is not known here, for a column of numbers; CAST says it")
            }
            _ => value,
        }
    }

    /// The column of a step that its rows go by.
    fn step_row_time(&mut self, select: &Select, place: Place<'_>) -> Option<String> {
        let name = self.statements.iter().find_map(|statement| match statement {
            Statement::With { name, query } => {
                query.selects.iter().any(|own| own.at == select.at).then(|| name.text.clone())
            }
            _ => None,
        })?;
        let (value, windows) = match place.windowed {
            Some(Windowed { shifted: true, .. }) => ("`window_time`".to_owned(), true),
            Some(_) => ("`window_end`".to_owned(), false),
            None => {
                let time = place.read.time.clone()?;
                (self.spelling.name(&time), true)
            }
        };
        if !self.views.iter().any(|(view, _)| *view == name) {
            self.views.push((name, windows));
        }
        Some(format!("{value} AS {}", self.spelling.name(ROW_TIME)))
    }

    /// A column by its name as the plan knows it.
    pub(super) fn column(&mut self, name: &str, place: Place<'_>, at: Position) -> String {
        let source = self.planner.sources.iter().find(|read| place.read.scope.is_qualifier(&read.plan.name));
        let origin = source.and_then(|read| read.plan.columns.iter().find(|column| column.name == name));
        match origin.map(|column| column.origin.clone()) {
            Some(ColumnOrigin::Arrival) => match &place.read.time {
                Some(time) if self.ask.dialect != QueryDialect::Standard && self.spelling == Spelling::Flink => {
                    self.spelling.name(time)
                }
                _ => self.spelling.name(name),
            },
            Some(ColumnOrigin::Field { path, .. }) if path != [name] => {
                self.refuse(at, format!("`{name}`, which is found at `{}` of a record", path.join(".")))
            }
            Some(ColumnOrigin::Field { .. }) | None => self.spelling.name(name),
            Some(_) => self.refuse(at, format!("`{name}`, which the service adds to events")),
        }
    }

    fn condition(&mut self, expr: &Expr, place: Place<'_>) -> String {
        let told = self.expression(expr, place);
        match expr.kind {
            ExprKind::Binary { .. } => format!("({told})"),
            _ => told,
        }
    }

    /// Whether a `SELECT` has groups.
    pub(super) fn is_grouped(&self, select: &Select) -> bool {
        !select.group_by.is_empty() || select.expressions().any(|expr| aggregates_of(self.ask.dialect, expr))
    }
}
