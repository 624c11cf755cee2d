//! What a search for patterns of rows means (`MATCH_RECOGNIZE`). Part of [`mod@crate::plan`].

use arrow::datatypes::SchemaRef;

use super::ScalarExpr;

/// The most places for a row that a pattern may have once its repetitions are written out.
pub const PATTERN_ROWS_MAX: usize = 256;

/// Rows of a key that follow each other directly and together match a pattern: of those that begin with the same row the one
/// that the pattern prefers, as regular expressions do. Each match is a row.
///
/// Rows are in the order of their times, those of one time in the order in which they came. A match has the time at which it
/// is known: of the row behind which no preferred match can come any more, or when it becomes too long.
#[derive(Debug, Clone)]
pub struct PatternMatch {
    /// The rows of a match are those for which these are the same; over the input's schema.
    pub partition_by: Vec<ScalarExpr>,
    /// How much later than the first row of a match its last one may be, 0 to less than [`super::WINDOW_MS_MAX`].
    pub within_ms: i64,
    /// Where the next match may begin.
    pub skip: Skip,
    /// What is looked for; it never matches without any row.
    pub pattern: Pattern,
    /// The kinds of rows that the pattern is made of.
    pub variables: Vec<Variable>,
    /// What may be kept of a row, over the input's schema.
    pub values: Vec<ScalarExpr>,
    /// What is kept of the rows of a match.
    pub kept: Vec<Kept>,
    /// Whether the kinds of all its rows are listed.
    pub lists_variables: bool,
    /// What the following are over: `[kept…, the kinds of its rows as a list, hidden row time]`.
    pub schema: SchemaRef,
    /// Names and values of the result, over `schema`.
    pub columns: Vec<(String, ScalarExpr)>,
}

/// Where the next match may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip {
    /// At the row behind the first of a match: matches may overlap.
    ToNextRow,
    /// At the row behind the last of a match.
    PastLastRow,
}

/// A kind of rows.
#[derive(Debug, Clone)]
pub struct Variable {
    /// What it is called.
    pub name: String,
    /// Which rows are of it.
    pub condition: Condition,
}

/// Which rows are of a kind.
#[derive(Debug, Clone)]
pub enum Condition {
    /// All.
    Always,
    /// Those for which this is true; over the input's schema.
    OfRow(ScalarExpr),
    /// Those for which this is true of the match so far with the row in it; over [`PatternMatch::schema`].
    OfMatch(ScalarExpr),
}

/// A value kept of the rows of a match that are of one kind.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Which of [`PatternMatch::variables`].
    pub variable: usize,
    /// Of which of its rows.
    pub of: KeptOf,
    /// Which of [`PatternMatch::values`].
    pub value: usize,
    /// Whether it may decide how a match goes on: matches so far that differ in it are different ones.
    pub decides: bool,
}

/// Of which rows a value is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptOf {
    /// The first.
    First,
    /// The last.
    Last,
    /// That with the least value; NULL does not count.
    Least,
    /// That with the greatest value; NULL does not count.
    Greatest,
}

/// A regular expression over rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// A row of a kind, one of [`PatternMatch::variables`].
    Row(usize),
    /// One behind the other.
    Sequence(Vec<Pattern>),
    /// One of these, an earlier one rather than a later one.
    Either(Vec<Pattern>),
    /// One several times.
    Repeat {
        /// What is repeated.
        pattern: Box<Pattern>,
        /// At least so often.
        least: usize,
        /// At most so often; `None`: without bound.
        most: Option<usize>,
        /// Rather more often than less.
        greedy: bool,
    },
}

impl Pattern {
    /// Whether it matches without any row.
    #[must_use]
    pub fn matches_nothing(&self) -> bool {
        match self {
            Self::Row(_) => false,
            Self::Sequence(parts) => parts.iter().all(Self::matches_nothing),
            Self::Either(parts) => parts.iter().any(Self::matches_nothing),
            Self::Repeat { pattern, least, .. } => *least == 0 || pattern.matches_nothing(),
        }
    }

    /// How many places for a row there are once repetitions are written out.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::Row(_) => 1,
            Self::Sequence(parts) | Self::Either(parts) => parts.iter().map(Self::rows).fold(0, usize::saturating_add),
            Self::Repeat { pattern, least, most, .. } => {
                pattern.rows().saturating_mul(most.unwrap_or(least.saturating_add(1)).max(1))
            }
        }
    }
}

impl PatternMatch {
    /// All it needs of a row, over the input's schema: keys, the conditions of single rows in the order of their variables,
    /// and the values.
    pub(crate) fn inputs(&self) -> Vec<&ScalarExpr> {
        let conditions = self.variables.iter().filter_map(|variable| match &variable.condition {
            Condition::OfRow(condition) => Some(condition),
            Condition::Always | Condition::OfMatch(_) => None,
        });
        self.partition_by.iter().chain(conditions).chain(&self.values).collect()
    }

    /// The same, to be changed.
    pub(crate) fn inputs_mut(&mut self) -> Vec<&mut ScalarExpr> {
        let conditions = self.variables.iter_mut().filter_map(|variable| match &mut variable.condition {
            Condition::OfRow(condition) => Some(condition),
            Condition::Always | Condition::OfMatch(_) => None,
        });
        self.partition_by.iter_mut().chain(conditions).chain(&mut self.values).collect()
    }
}
