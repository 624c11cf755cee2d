//! From SQL text in one of three languages to a [`Program`].
//!
//! The way: `token.rs` → `parse_expression.rs`, `parse_select.rs`, `parse_join.rs`, `parse_pattern.rs`, `parse_window.rs`, and the language's own
//! statements (`kinesis.rs`, `stream_analytics.rs`, `standard/`) → `syntax.rs` → `plan_program.rs` (who reads whom, with `plan_table.rs`, `plan_time.rs`, `plan_from.rs`,
//! `plan_errors.rs` and `missing.rs`) → `plan_query.rs` (the `SELECT`s of a query and those inside of it, with `plan_distinct.rs`, `plan_order.rs`,
//! `plan_log.rs`, `plan_table_function.rs` and `plan_model.rs`) → `plan_select.rs` (one `SELECT`, with `plan_partition.rs`, `window.rs`, `window_call.rs` and `plan_listing.rs`; in front of it `plan_apply.rs`, `plan_pattern.rs`,
//! `plan_join.rs` with `join_bounds.rs`, and `plan_analytic.rs` with `plan_over.rs`) → `prune.rs` (only the columns used). Everything
//! here is pure: same text and columns, same plan. `translate/` says a query in another system's words.

pub(crate) mod interval;
mod join_bounds;
mod kinesis;
mod missing;
mod parse_expression;
mod parse_join;
mod parse_pattern;
mod parse_select;
mod parse_window;
mod plan_analytic;
mod plan_anomaly;
mod plan_apply;
mod plan_distinct;
mod plan_errors;
mod plan_from;
mod plan_join;
mod plan_listing;
mod plan_log;
mod plan_model;
mod plan_order;
mod plan_over;
mod plan_partition;
mod plan_pattern;
mod plan_program;
mod plan_query;
mod plan_select;
mod plan_stream;
mod plan_table;
mod plan_table_function;
mod plan_time;
mod prune;
mod source;
pub(crate) mod standard;
mod stream_analytics;
pub(crate) mod syntax;
mod token;
pub mod translate;
mod window;
mod window_call;

use millstream_catalog::{ColumnDefinition, QueryDialect, QueryFunction, QueryOutput, ReferenceInput};

use self::plan_program::Planner;
use self::syntax::Statement;
use self::token::Tokens;
pub use self::token::{EXPRESSION_DEPTH_MAX, SQL_BYTES_MAX};
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::plan::{Program, is_error_stream};
use crate::script::Functions;

/// An input of a query, as its plan needs it.
#[derive(Debug, Clone)]
pub struct InputSchema {
    /// The name by which the SQL knows it.
    pub name: String,
    /// Its columns; `None`: not known yet, they are found out from the first records.
    ///
    /// A value inside an object is a column whose name has dots: `Location.Lat`, mapped from `$.Location.Lat`.
    pub columns: Option<Vec<ColumnDefinition>>,
    /// Whether it is a hub: `*` then stands also for the columns that the language adds to a hub's events.
    pub hub: bool,
    /// Whether it is reference data: a table that inputs are joined with.
    pub reference: bool,
}

impl InputSchema {
    /// A stream that is no hub, with its columns if they are known.
    pub fn new(name: impl Into<String>, columns: Option<Vec<ColumnDefinition>>) -> Self {
        Self { name: name.into(), columns, hub: false, reference: false }
    }

    /// A query's inputs and reference data with the columns that they declare. Whether a stream is a hub is taken from the language:
    /// in Stream Analytics' each may be one.
    pub fn declared(
        dialect: QueryDialect,
        inputs: impl IntoIterator<Item = (String, Vec<ColumnDefinition>)>,
        references: &[ReferenceInput],
    ) -> Vec<Self> {
        let schema = |name: String, columns: Vec<ColumnDefinition>, reference: bool| Self {
            name,
            columns: (!columns.is_empty()).then_some(columns),
            hub: dialect == QueryDialect::StreamAnalytics && !reference,
            reference,
        };
        let inputs = inputs.into_iter().map(|(name, columns)| schema(name, columns, false));
        let references = references.iter().map(|input| schema(input.name.clone(), input.columns.clone(), true));
        inputs.chain(references).collect()
    }
}

/// Plans a query.
///
/// # Errors
///
/// All mistakes of the text that can be told apart, in the order of their places; [`PlanErrorCode::ColumnsUnknown`]
/// when an input it reads has no columns yet.
pub fn plan(dialect: QueryDialect, sql: &str, inputs: &[InputSchema]) -> Result<Program, Vec<PlanError>> {
    plan_with(dialect, sql, inputs, &[])
}

/// Plans a query that may call functions of its own.
///
/// # Errors
/// As [`plan`]. Whether the functions' scripts can be read is not looked at, see [`crate::check_functions`].
pub fn plan_with(
    dialect: QueryDialect,
    sql: &str,
    inputs: &[InputSchema],
    functions: &[QueryFunction],
) -> Result<Program, Vec<PlanError>> {
    planned(dialect, sql, inputs, functions).finish(true)
}

/// Finds the mistakes of a query without needing columns: those of inputs whose columns are unknown may be anything.
#[must_use]
pub fn check(dialect: QueryDialect, sql: &str, inputs: &[InputSchema]) -> Vec<PlanError> {
    check_with(dialect, sql, inputs, &[])
}

/// Finds the mistakes of a query that may call functions of its own, as [`check`] does.
#[must_use]
pub fn check_with(
    dialect: QueryDialect,
    sql: &str,
    inputs: &[InputSchema],
    functions: &[QueryFunction],
) -> Vec<PlanError> {
    planned(dialect, sql, inputs, functions).finish(false).err().unwrap_or_default()
}

/// The names of the inputs that a query's text reads, without needing columns; all inputs' when it has mistakes.
#[must_use]
pub(crate) fn inputs_read(
    dialect: QueryDialect,
    sql: &str,
    inputs: &[InputSchema],
    functions: &[QueryFunction],
) -> Vec<String> {
    planned(dialect, sql, inputs, functions).read()
}

/// The names that a query's text reads and that are none of its `inputs`, nor streams or steps of its own.
#[must_use]
pub fn inputs_missing(dialect: QueryDialect, sql: &str, inputs: &[InputSchema]) -> Vec<String> {
    planned(dialect, sql, inputs, &[]).missing()
}

/// The names of the inputs whose columns a query's text declares itself.
#[must_use]
pub fn inputs_declared(dialect: QueryDialect, sql: &str) -> Vec<String> {
    let declared =
        statements(dialect, sql, &Functions::default()).0.into_iter().filter_map(|statement| match statement {
            Statement::CreateTable { name, .. } => Some(name.text),
            Statement::DeclareTable(table) => Some(table.name.text),
            _ => None,
        });
    let written = match dialect {
        QueryDialect::Standard => output_names(dialect, sql, &[]),
        QueryDialect::Kinesis | QueryDialect::StreamAnalytics => Vec::new(),
    };
    declared.filter(|name| !written.contains(name)).collect()
}

/// The language that a text is written in: Kinesis' writes its results to streams that it creates, by pumps; of the others only the
/// standard dialect has `INSERT INTO`.
#[must_use]
pub fn language_of(sql: &str) -> QueryDialect {
    let words = words(QueryDialect::Kinesis, sql).unwrap_or_default().to_ascii_uppercase();
    let words: Vec<&str> = words.lines().filter(|word| !matches!(*word, "OR" | "REPLACE")).collect();
    let creates = |pair: &[&str]| pair[0] == "CREATE" && matches!(pair[1], "STREAM" | "PUMP");
    let inserts = |pair: &[&str]| pair == ["INSERT", "INTO"];
    match (words.windows(2).any(creates), words.windows(2).any(inserts)) {
        (true, _) => QueryDialect::Kinesis,
        (false, true) => QueryDialect::Standard,
        (false, false) => QueryDialect::StreamAnalytics,
    }
}

/// A query's text without what does not count: comments, blanks and the breaks of lines. `None` when it cannot be read.
#[must_use]
pub(crate) fn words(dialect: QueryDialect, sql: &str) -> Option<String> {
    let mut tokens = Tokens::new(dialect, sql).ok()?;
    let mut words = String::with_capacity(sql.len());
    while !tokens.at_end() {
        words.push_str(&tokens.take().to_string());
        // Two words never become one, nor a quoted text two.
        words.push('\n');
    }
    Some(words)
}

/// The names of what a query's text writes to, known without any column, as far as it can be read; and the error stream of Kinesis'
/// language where one of the query's `outputs` is of it, though no text writes to that.
#[must_use]
pub fn output_names(dialect: QueryDialect, sql: &str, outputs: &[QueryOutput]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for statement in statements(dialect, sql, &Functions::default()).0 {
        let name = match statement {
            Statement::CreateStream { name, .. } => name.text,
            Statement::Select(query) => plan_program::into(&query).text,
            Statement::Insert { target, .. } => target.text,
            _ => continue,
        };
        if !names.iter().any(|known| match dialect {
            QueryDialect::Kinesis | QueryDialect::Standard => *known == name,
            QueryDialect::StreamAnalytics => known.eq_ignore_ascii_case(&name),
        }) {
            names.push(name);
        }
    }
    let errors = outputs.iter().map(|output| &output.name).find(|name| is_error_stream(dialect, name));
    if let Some(name) = errors.filter(|name| !names.contains(name)) {
        names.push(name.clone());
    }
    names
}

fn planned<'a>(
    dialect: QueryDialect,
    sql: &'a str,
    inputs: &'a [InputSchema],
    functions: &[QueryFunction],
) -> Planner<'a> {
    // Only the language of Stream Analytics has them.
    let functions = if dialect == QueryDialect::StreamAnalytics { functions } else { &[] };
    let (statements, errors) = statements(dialect, sql, &Functions::new(functions));
    let mut planner = Planner::new(dialect, sql, inputs, errors);
    planner.program(&statements);
    planner
}

/// The statements that can be read, and what is wrong with the others.
fn statements(dialect: QueryDialect, sql: &str, functions: &Functions) -> (Vec<Statement>, Vec<PlanError>) {
    let mut tokens = match Tokens::new(dialect, sql) {
        Ok(tokens) => tokens,
        Err(error) => return (Vec::new(), vec![error]),
    };
    tokens.functions = functions.clone();
    let (mut statements, mut errors) = (Vec::new(), Vec::new());
    while !tokens.at_end() {
        let read = match dialect {
            QueryDialect::Kinesis => kinesis::statement(&mut tokens).map(|statement| statements.push(statement)),
            QueryDialect::StreamAnalytics => stream_analytics::statement(&mut tokens, &mut statements),
            QueryDialect::Standard => standard::statement(&mut tokens, &mut statements),
        };
        if let Err(error) = read {
            errors.push(error);
            tokens.skip_statement();
        }
    }
    if statements.is_empty() && errors.is_empty() {
        let error = PlanError::new(PlanErrorCode::Empty, Position { line: 1, column: 1 }, "the query is empty");
        errors.push(error.hint(match dialect {
            QueryDialect::Kinesis => {
                "CREATE OR REPLACE STREAM \"OUT\" (…); CREATE OR REPLACE PUMP \"P\" AS INSERT INTO \"OUT\" SELECT STREAM …"
            }
            QueryDialect::StreamAnalytics => "SELECT * INTO out FROM input",
            QueryDialect::Standard => "CREATE TABLE input (…); INSERT INTO output SELECT … FROM input",
        }));
    }
    errors.extend(tokens.into_skipped());
    (statements, errors)
}
