//! A query in another system's words: Flink SQL, its tables over Kafka, or Stream Analytics' language.
//!
//! Each construct has one of three ends: it is said exactly, it is said exactly in other words or with something named beside it
//! ([`Outcome::Rewritten`]), or it is refused ([`Outcome::Refused`]); nothing is said approximately. What is written is taken from the
//! syntax tree, what it means from the plan: windows, types, and which time rows go by.
//!
//! The way: `program.rs` (statements) → `select.rs` (one `SELECT`) → `window.rs`, `expression.rs` and `function.rs`; `tables.rs` writes
//! `CREATE TABLE`. `spelling.rs` knows how names, types and lengths of time are written.

mod expression;
mod function;
mod program;
mod select;
mod spelling;
mod tables;
mod window;

use millstream_catalog::{EventOrder, QueryDialect, QueryFunction};

use super::plan_program::Planner;
use super::syntax::Statement;
use super::{InputSchema, statements};
use crate::error::{PlanError, Position};
use crate::plan::Program;
use crate::script::Functions;
use spelling::Spelling;

/// What a query is translated to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The statements of Apache Flink's SQL: views and `INSERT INTO`.
    Flink,
    /// The tables that these read and write, as Kafka topics of JSON.
    FlinkTables,
    /// Azure Stream Analytics' language.
    StreamAnalytics,
}

/// What is to be translated.
#[derive(Debug, Clone, Copy)]
pub struct TranslationAsk<'a> {
    /// The language of the text.
    pub dialect: QueryDialect,
    /// The text.
    pub sql: &'a str,
    /// Its inputs with their columns.
    pub inputs: &'a [InputSchema],
    /// Functions of its own.
    pub functions: &'a [QueryFunction],
    /// How event time is treated.
    pub order: EventOrder,
    /// Whether somebody knows that no event is earlier, later or more out of order than the tolerances allow.
    pub within_tolerance: bool,
    /// The servers of Kafka that tables name.
    pub bootstrap: &'a str,
}

/// A query in other words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translation {
    /// The text. A part that is refused is missing in it, or stands there as NULL.
    pub text: String,
    /// What is not simply the same, in the order of its places.
    pub notes: Vec<TranslationNote>,
}

impl Translation {
    /// Whether all was carried over.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.notes.iter().all(|note| note.outcome == Outcome::Rewritten)
    }
}

/// What became of a construct that is not simply the same in both languages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TranslationNote {
    /// The line in the query's text, from 1.
    pub line: u64,
    /// The column, from 1, in characters.
    pub column: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// How it is said, or why not.
    pub message: String,
}

/// What became of a construct.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It means the same in other words, or with what the note names.
    Rewritten,
    /// It is not carried over.
    Refused,
}

/// Translates a query.
///
/// # Errors
/// All mistakes of its text, as [`super::plan_with`] finds them.
pub fn translate(ask: &TranslationAsk<'_>, goal: Goal) -> Result<Translation, Vec<PlanError>> {
    let program = super::plan_with(ask.dialect, ask.sql, ask.inputs, ask.functions)?;
    if (ask.dialect, goal) == (QueryDialect::StreamAnalytics, Goal::StreamAnalytics) {
        return Ok(Translation { text: ask.sql.to_owned(), notes: Vec::new() });
    }
    let functions = if ask.dialect == QueryDialect::StreamAnalytics { ask.functions } else { &[] };
    let (statements, errors) = statements(ask.dialect, ask.sql, &Functions::new(functions));
    // A second one, which still knows what names mean in each place.
    let mut planner = Planner::new(ask.dialect, ask.sql, ask.inputs, errors);
    planner.program(&statements);
    let spelling = if goal == Goal::StreamAnalytics { Spelling::StreamAnalytics } else { Spelling::Flink };
    let mut writer = Writer {
        ask,
        program: &program,
        statements: &statements,
        planner,
        spelling,
        notes: Vec::new(),
        times: Vec::new(),
        views: Vec::new(),
        predicates: Vec::new(),
    };
    let told = writer.told();
    let text = match goal {
        Goal::FlinkTables => writer.tables(),
        Goal::Flink | Goal::StreamAnalytics => told,
    };
    let mut notes = writer.notes;
    notes.sort();
    notes.dedup();
    Ok(Translation { text, notes })
}

/// A translation in the making.
struct Writer<'a> {
    ask: &'a TranslationAsk<'a>,
    program: &'a Program,
    statements: &'a [Statement],
    planner: Planner<'a>,
    spelling: Spelling,
    notes: Vec<TranslationNote>,
    /// By the place of an input among the planner's: which time its rows go by.
    times: Vec<(usize, tables::InputTime)>,
    /// The steps that are written, and whether their `row_time` is one that windows may be made of.
    views: Vec<(String, bool)>,
    /// Conditions that the `SELECT` at hand needs beside its own.
    predicates: Vec<String>,
}

impl Writer<'_> {
    /// Says that something is not carried over, and what stands in its place.
    fn refuse(&mut self, at: Position, why: impl Into<String>) -> String {
        self.note(at, Outcome::Refused, why.into());
        "NULL".to_owned()
    }

    /// Says that something is told in other words.
    fn rewritten(&mut self, at: Position, how: impl Into<String>) {
        self.note(at, Outcome::Rewritten, how.into());
    }

    fn note(&mut self, at: Position, outcome: Outcome, message: String) {
        self.notes.push(TranslationNote { line: at.line, column: at.column, outcome, message });
    }
}
