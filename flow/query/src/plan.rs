//! The logical plan all dialects end in: sources, steps in topological order, outputs.
//!
//! Owns what a query *means*; differences between the dialects (which end of a window is open, whether an average of
//! integers truncates) are data in here, so that one set of operators serves all. Never executes, never parses.
//! Read next: `dialect/mod.rs` (how SQL text becomes a [`Program`]), `expression/mod.rs` (how a [`ScalarExpr`] is made).

mod aggregate;
mod alone;
mod analytic;
mod errors;
mod pattern;
mod scored;
mod sort;

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion_physical_expr::PhysicalExpr;
use millstream_catalog::{ColumnType, QueryDialect};

pub use crate::join::plan::{Join, JoinSide, Lookup};
pub use aggregate::{AggregateCall, AggregateFunction, Part};
pub use analytic::{Analytic, AnalyticCall, AnalyticFunction, Detector, Extent, Place, Side};
pub(crate) use errors::{ERROR_MESSAGE_CHARS_MAX, ERROR_ROW_BYTES_MAX, ERROR_STREAM, error_schema, is_error_stream};
pub use pattern::{Condition, Kept, KeptOf, PATTERN_ROWS_MAX, Pattern, PatternMatch, Skip, Variable};
pub use scored::{Explanation, Forest, Hotspots, Model, Scored};
pub use sort::{RankOrder, Sort};

/// The name of the hidden column that ends every schema of a [`Program`]: the row's time.
///
/// No SQL name can be spelt like it by accident; it is found by place (the last column), not by name.
pub const ROWTIME: &str = "$rowtime";

/// The type of points in time everywhere in a plan: milliseconds since the epoch, UTC.
pub const TIMESTAMP: DataType = DataType::Timestamp(TimeUnit::Millisecond, None);

/// The type of records, arrays and values without a fixed type: their JSON text on one line, NULL for `null`.
///
/// Only Stream Analytics' language has them. Nothing else is ever of this Arrow type; `value/` computes with it.
pub const VALUE: DataType = DataType::LargeUtf8;

/// The longest window a query may ask for: 7 days, Stream Analytics' own limit. State is kept that long.
pub const WINDOW_MS_MAX: i64 = 7 * 24 * 60 * 60 * 1000;

/// The longest duration of sessions without one: later than any time.
pub const SESSION_WITHOUT_LIMIT: i64 = 1 << 60;

/// The most hops that may overlap one instant: each row belongs to `size / hop` windows, and state grows with it.
pub const HOPS_PER_WINDOW_MAX: i64 = 10_000;

/// The most rows that a window of rows may go back: they are kept for each key.
pub const WINDOW_ROWS_MAX: usize = 10_000;

/// A planned query: what to read, what to do with it, what comes out.
#[derive(Debug, Clone)]
pub struct Program {
    /// The language it was written in.
    pub dialect: QueryDialect,
    /// What is read; each input of the query at most once.
    pub sources: Vec<SourcePlan>,
    /// The tables that rows are joined with.
    pub references: Vec<SourcePlan>,
    /// What is done, each step after all the steps it reads.
    pub steps: Vec<Step>,
    /// What comes out.
    pub outputs: Vec<OutputPlan>,
}

impl Program {
    /// The length of the window that an output's rows come from; 0 when they come from none, or from several kinds.
    pub(crate) fn window_size(&self, step: Option<usize>) -> i64 {
        let Some(step) = step.map(|step| &self.steps[step]) else { return 0 };
        match &step.operator {
            Operator::WindowAggregate(aggregate) => return aggregate.window.kind.size_ms(),
            Operator::Join(_) | Operator::Errors => return 0,
            _ => {}
        }
        let mut sizes = step.inputs.iter().map(|input| match input {
            StepInput::Step(index) => self.window_size(Some(*index)),
            StepInput::Source(_) => 0,
        });
        let first = sizes.next().unwrap_or(0);
        if sizes.all(|size| size == first) { first } else { 0 }
    }

    /// The visible columns of an output, without the hidden row time; `None` when there is no such output.
    #[must_use]
    pub fn output_schema(&self, name: &str) -> Option<&SchemaRef> {
        self.output(name).map(|output| &output.schema)
    }

    /// An output by its name. Names of Stream Analytics' outputs ignore case.
    #[must_use]
    pub fn output(&self, name: &str) -> Option<&OutputPlan> {
        self.outputs.iter().find(|output| match self.dialect {
            QueryDialect::Kinesis | QueryDialect::Standard => output.name == name,
            QueryDialect::StreamAnalytics => output.name.eq_ignore_ascii_case(name),
        })
    }

    /// The visible columns of an output in the catalog's types; `None` when there is no such output.
    #[must_use]
    pub fn output_columns(&self, name: &str) -> Option<Vec<(String, ColumnType)>> {
        let column = |field: &Arc<Field>| {
            let column_type = match field.data_type() {
                DataType::Int64 => ColumnType::BigInt,
                DataType::Float64 => ColumnType::Double,
                DataType::Boolean => ColumnType::Boolean,
                DataType::Timestamp(..) => ColumnType::Timestamp,
                DataType::LargeUtf8 => ColumnType::Value,
                _ => ColumnType::Text,
            };
            (field.name().clone(), column_type)
        };
        Some(self.output_schema(name)?.fields().iter().map(column).collect())
    }

    /// The names of all outputs.
    pub fn output_names(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(|output| output.name.as_str())
    }

    /// The schema (hidden row time included) of what an input of a step delivers.
    #[must_use]
    pub fn input_schema(&self, input: StepInput) -> &SchemaRef {
        match input {
            StepInput::Source(index) => &self.sources[index].schema,
            StepInput::Step(index) => &self.steps[index].schema,
        }
    }
}

/// An input of the query, as far as the query uses it.
#[derive(Debug, Clone)]
pub struct SourcePlan {
    /// The input's name as the caller gave it.
    pub name: String,
    /// The columns to decode, in the order of `schema`; only those the query uses.
    pub columns: Vec<SourceColumn>,
    /// The columns, then the hidden row time.
    pub schema: SchemaRef,
    /// Where the row time comes from.
    pub time: TimeSource,
    /// How far rows may be behind the latest of their shard, where the query's text says it (`WATERMARK FOR`): they then go by their
    /// own time alone, whenever they arrived, and one that is further behind is dropped.
    pub watermark_ms: Option<i64>,
    /// Rows for which these differ have timelines of their own: none is out of order for the sake of another. Over `schema`;
    /// nothing: all rows of a shard have one.
    pub timelines: Vec<ScalarExpr>,
    /// Where a record's rows are in it; `None`: the record is a row.
    pub rows_within: Option<RowsWithin>,
}

/// An array of a record whose elements are its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsWithin {
    /// The names that lead to the array. Columns whose way begins with them are its elements', others stand beside it and are in each row.
    pub path: Vec<String>,
    /// Whether a record has a row in any case, without values of elements where there are none.
    pub always: bool,
}

/// A column of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumn {
    /// Its name in the SQL.
    pub name: String,
    /// `Int64`, `Float64`, `Utf8`, `Boolean`, [`TIMESTAMP`] or [`VALUE`].
    pub data_type: DataType,
    /// Where its value is found.
    pub origin: ColumnOrigin,
    /// Which values it takes.
    pub fit: Fit,
}

/// Which values a column takes; a record with another one is no row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// What becomes the column's type. A column that nobody reads is not looked at.
    Converted,
    /// What is of the column's type, read or not: the query declares it (`CREATE TABLE`).
    Exact,
    /// As [`Fit::Exact`], records of a column of type [`VALUE`].
    Record,
    /// As [`Fit::Exact`], arrays of a column of type [`VALUE`].
    Array,
}

/// Where a source column's value is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnOrigin {
    /// In the record.
    Field {
        /// The way from the top of a JSON object to the value; never empty.
        path: Vec<String>,
        /// The place in delimited text, from 0.
        position: usize,
    },
    /// The time the record arrived, whatever the row time is.
    Arrival,
    /// The number of the shard that the record lay in.
    Shard,
    /// The time at which the record was read.
    Processed,
    /// The record's number in its shard.
    Sequence,
    /// The record's partition key; NULL where it has none, or one that is no text.
    PartitionKey,
}

/// Where a source's row time comes from.
#[derive(Debug, Clone)]
pub enum TimeSource {
    /// The time the record was stored: rising, so no row is ever late.
    Arrival,
    /// A value of the row, of type [`TIMESTAMP`], over the source's schema (whose hidden column then holds the
    /// arrival). Rows may be late or out of order.
    Event(ScalarExpr),
}

/// One operator at work, its inputs and its result.
#[derive(Debug, Clone)]
pub struct Step {
    /// Its place in [`Program::steps`].
    pub id: usize,
    /// The in-application stream or `WITH` step it makes, where it has a name.
    pub name: Option<String>,
    /// The pump that it is a part of, in Kinesis' language.
    pub pump: Option<String>,
    /// What it reads; several only for [`Operator::Union`] and [`Operator::Errors`], and two for [`Operator::Join`]: left and right.
    pub inputs: Vec<StepInput>,
    /// What it does.
    pub operator: Operator,
    /// The columns it makes, then the hidden row time.
    pub schema: SchemaRef,
}

/// What a step reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepInput {
    /// `Program::sources[_]`.
    Source(usize),
    /// `Program::steps[_]`, an earlier one.
    Step(usize),
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Operator {
    /// Row in, row out: keep the rows for which the predicate is true (not false, not NULL), compute the columns.
    Project {
        /// Over the input's schema, of type `Boolean`.
        predicate: Option<ScalarExpr>,
        /// Over the input's schema: names and values of the result.
        columns: Vec<(String, ScalarExpr)>,
        /// The result's row time, over the input's schema; `None`: the row keeps its time.
        rowtime: Option<ScalarExpr>,
    },
    /// Row in, rows out: one for each element of an array, or for each property of a record.
    Apply(Box<Apply>),
    /// Groups of rows within windows of time, one row per group and window once the window is over.
    WindowAggregate(Box<WindowAggregate>),
    /// Rows as they are, each with what functions tell of those before it.
    Analytic(Box<Analytic>),
    /// A row for each run of rows that matches a pattern.
    PatternMatch(Box<PatternMatch>),
    /// Rows of a stretch of time in another order.
    Sort(Box<Sort>),
    /// Rows as they are, each with what a model says of it.
    Scored(Box<Scored>),
    /// All rows of all inputs, whose schemas are the same.
    Union,
    /// Pairs of rows of two inputs that are near each other in time.
    Join(Box<Join>),
    /// Rows beside those of a table that they match.
    Lookup(Box<Lookup>),
    /// The error stream: a row for each record that is none, and for each row and group that fails in one of its inputs. Rows of these
    /// are none of its rows.
    Errors,
}

/// `CROSS APPLY`, `OUTER APPLY`: a row again for each part of a value in it, with the row's time.
#[derive(Debug, Clone)]
pub struct Apply {
    /// The array or record, over the input's schema, of type [`VALUE`].
    pub value: ScalarExpr,
    /// What it is taken apart into.
    pub parts: Parts,
    /// Whether a row without parts stays, with NULL in the columns that are made of them.
    pub outer: bool,
    /// The columns of its rows.
    pub columns: Vec<AppliedColumn>,
}

/// What a value is taken apart into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// The elements of an array; anything else has none.
    Elements,
    /// The properties of a record; anything else has none.
    Properties,
}

/// A column of what `APPLY` gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppliedColumn {
    /// The input's column of this place, the same for all parts.
    Carried(usize),
    /// A record of the part's key and value, of type [`VALUE`].
    Part,
    /// An element's index, from 0 and of type `Int64`, or a property's name.
    Key,
    /// The element's or the property's value, of type [`VALUE`].
    Value,
}

/// A windowed aggregation.
#[derive(Debug, Clone)]
pub struct WindowAggregate {
    /// Rows for which this is not true take no part; over the input's schema.
    pub predicate: Option<ScalarExpr>,
    /// How time is cut.
    pub window: WindowSpec,
    /// What rows are grouped by within a window, over the input's schema; NULL is a group of its own.
    pub keys: Vec<ScalarExpr>,
    /// What is computed per group.
    pub aggregates: Vec<AggregateCall>,
    /// The schema the two following are over: `[keys…, aggregates…, window start, hidden row time]`, where the row
    /// time is the window's end.
    pub group_schema: SchemaRef,
    /// Groups for which this is not true are not emitted; over `group_schema`.
    pub having: Option<ScalarExpr>,
    /// Names and values of the result, over `group_schema`.
    pub columns: Vec<(String, ScalarExpr)>,
}

/// How time is cut into windows, by row time. Each window is emitted once, when the watermark has passed its end; a
/// result's row time is its window's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowSpec {
    /// Which windows there are.
    pub kind: WindowKind,
    /// The boundaries of aligned windows are the multiples of the size (or the hop) plus this.
    pub offset_ms: i64,
    /// Which of its two boundaries belongs to a window.
    pub bounds: WindowBounds,
}

/// Which windows there are. Tumbling and hopping windows are aligned to the epoch; the others begin with the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowKind {
    /// One after the other: each instant is in one window.
    Tumbling {
        /// The length, 1 to [`WINDOW_MS_MAX`].
        size_ms: i64,
    },
    /// A new window each hop: an instant is in `size / hop` windows (in none or one when the hop is the longer).
    Hopping {
        /// The length, 1 to [`WINDOW_MS_MAX`].
        size_ms: i64,
        /// From one window's start to the next, 1 to [`WINDOW_MS_MAX`].
        hop_ms: i64,
    },
    /// For each group a window that ends at each instant at which its rows change: one comes, or one has become too old.
    /// A window without rows has no result.
    Sliding {
        /// The length, 1 to [`WINDOW_MS_MAX`].
        size_ms: i64,
    },
    /// Rows that follow each other closely: a window ends when nothing has come for the timeout, or at the first multiple of
    /// the longest duration at which it is as old as that. Then another begins at once, and holds what still follows closely.
    Session {
        /// How far behind the last row of a window the next one may be, 1 to [`WINDOW_MS_MAX`].
        timeout_ms: i64,
        /// How old a window may be at the multiples of this, 1 to [`WINDOW_MS_MAX`]; so it lasts at most twice as long.
        longest_ms: i64,
        /// Rows whose first so many keys are the same share their windows.
        partition: usize,
    },
    /// For each group a window that begins with its first row; the next begins with the first row behind it.
    Stagger {
        /// The length, 1 to [`WINDOW_MS_MAX`].
        size_ms: i64,
    },
}

impl WindowKind {
    /// The length of a window; 0 of those that each have their own.
    #[must_use]
    pub fn size_ms(self) -> i64 {
        match self {
            Self::Tumbling { size_ms }
            | Self::Hopping { size_ms, .. }
            | Self::Sliding { size_ms }
            | Self::Stagger { size_ms } => size_ms,
            Self::Session { .. } => 0,
        }
    }
}

/// Which of its two boundaries belongs to a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowBounds {
    /// `[start, end)`: Kinesis Data Analytics.
    ClosedOpen,
    /// `(start, end]`: Stream Analytics.
    OpenClosed,
}

/// An expression ready to run on Arrow batches of the schema it was made for.
///
/// Evaluating a batch can fail for a row's sake (division by zero, a failed CAST); the executor then finds the row.
#[derive(Clone)]
pub struct ScalarExpr {
    /// What runs.
    pub physical: Arc<dyn PhysicalExpr>,
    /// The type of the result.
    pub data_type: DataType,
    /// Whether NULL may come out.
    pub nullable: bool,
    /// As the author wrote it, for plans and messages.
    pub text: String,
}

impl ScalarExpr {
    /// Whether both compute the same from the same rows, however they are written.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        *self.physical == *other.physical
    }
}

impl fmt::Debug for ScalarExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.physical, self.data_type)
    }
}

/// A result stream: an in-application stream, or what `INTO` names.
#[derive(Debug, Clone)]
pub struct OutputPlan {
    /// Its name in the SQL.
    pub name: String,
    /// The step whose rows it holds; `None` when nothing is written to it.
    pub step: Option<usize>,
    /// Its visible columns, without the hidden row time.
    pub schema: SchemaRef,
}

/// A schema without its hidden row time.
pub(crate) fn visible(schema: &SchemaRef) -> SchemaRef {
    let fields = &schema.fields()[..schema.fields().len() - 1];
    Arc::new(Schema::new(fields.to_vec()))
}

/// The schema of a batch in flight: the columns, then the hidden row time.
#[must_use]
pub fn with_rowtime(columns: impl IntoIterator<Item = Field>) -> SchemaRef {
    let rowtime = Field::new(ROWTIME, TIMESTAMP, false);
    let fields: Vec<Field> = columns.into_iter().chain([rowtime]).collect();
    Arc::new(Schema::new(fields))
}
