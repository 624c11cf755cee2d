//! Rows of a stretch of time in another order than that in which they came.

use super::ScalarExpr;

/// The rows of each stretch of time in the order of some values, once no other can come.
///
/// The result's schema is `[columns…, rank, hidden row time]`, the rank only where there is one.
#[derive(Debug, Clone)]
pub struct Sort {
    /// What of a row goes on: names and values, over the input's schema.
    pub columns: Vec<(String, ScalarExpr)>,
    /// What rows are ordered by, over the input's schema, each with whether it descends. NULL is the least value. Rows that are
    /// equal in all of it stay in the order in which they came.
    pub keys: Vec<(ScalarExpr, bool)>,
    /// How long a stretch is, 1 to [`super::WINDOW_MS_MAX`]: stretches are tumbling windows `[start, end)`, and the end is the time of
    /// their rows then. `None`: the rows of one instant, which keep their time.
    pub stretch_ms: Option<i64>,
    /// Whether rows have their rank by the keys as a column, and the order in which they then go on.
    pub rank: Option<RankOrder>,
    /// How many rows of a stretch go on, the first of them; `None`: all.
    pub most: Option<usize>,
}

/// In which order rows with ranks go on. Rows that are equal have the same rank, and those behind them the rank that they would have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RankOrder {
    /// By rank.
    Ascending,
    /// The last rank first.
    Descending,
    /// As they came.
    Arrival,
}

impl Sort {
    /// All it needs of a row, over the input's schema: the columns that go on, then the keys.
    pub(crate) fn inputs(&self) -> Vec<&ScalarExpr> {
        let columns = self.columns.iter().map(|(_, value)| value);
        columns.chain(self.keys.iter().map(|(key, _)| key)).collect()
    }

    /// The same, to be changed.
    pub(crate) fn inputs_mut(&mut self) -> impl Iterator<Item = &mut ScalarExpr> {
        let columns = self.columns.iter_mut().map(|(_, value)| value);
        columns.chain(self.keys.iter_mut().map(|(key, _)| key))
    }
}
