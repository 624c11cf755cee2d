//! Functions that look back from each row over those before it, before anything else of a `SELECT` is done with the rows.

use arrow::datatypes::DataType;

use super::{AggregateCall, ScalarExpr, WindowBounds};
pub use crate::analytic::density::Side;

/// Rows as they come, in the order of their times, each with what some functions tell of those before it.
///
/// The result's schema is `[columns…, calls…, hidden row time]`. A row waits until none can come before it. Rows of one time are in the
/// order in which they came.
#[derive(Debug, Clone)]
pub struct Analytic {
    /// Rows for which this is not true take no part and do not go on; over the input's schema.
    pub predicate: Option<ScalarExpr>,
    /// What of a row goes on: names and values, over the input's schema.
    pub columns: Vec<(String, ScalarExpr)>,
    /// What is added to it.
    pub calls: Vec<AnalyticCall>,
}

/// One function of the rows up to a row.
#[derive(Debug, Clone)]
pub struct AnalyticCall {
    /// What is computed.
    pub function: AnalyticFunction,
    /// Of the rows before only those count for which these are the same; over the input's schema.
    pub partition_by: Vec<ScalarExpr>,
    /// Only rows count for which this is true; over the input's schema.
    pub when: Option<ScalarExpr>,
    /// The result's type.
    pub data_type: DataType,
    /// As the author wrote it.
    pub text: String,
}

/// What a function computes of the rows that count: those up to a row, itself among them.
#[derive(Debug, Clone)]
pub enum AnalyticFunction {
    /// The value of one of these rows.
    Value {
        /// Over the input's schema.
        value: ScalarExpr,
        /// What stands for a row that is not there, over the input's schema and of the value's type; `None`: NULL.
        default: Option<ScalarExpr>,
        /// Which row.
        place: Place,
        /// How far rows go back.
        extent: Extent,
    },
    /// 1 where the row counts and is the first of its interval, otherwise 0.
    IsFirst {
        /// The length of an interval, 1 to [`super::WINDOW_MS_MAX`]: intervals are tumbling windows.
        interval_ms: i64,
        /// Which of its two boundaries belongs to an interval.
        bounds: WindowBounds,
    },
    /// Whether the row's value is an anomaly among those of the rows before: a record of `IsAnomaly` and `Score`.
    Anomaly {
        /// Over the input's schema, of type `Float64`.
        value: ScalarExpr,
        /// What is looked for.
        detector: Detector,
        /// How far rows go back that are learned from.
        extent: Extent,
    },
    /// An aggregate of these rows.
    Aggregate {
        /// Of what.
        call: AggregateCall,
        /// How far rows go back. With [`Extent::Rows`] all rows count.
        extent: Extent,
    },
}

/// What is looked for in values that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Detector {
    /// Single values that are unlikely on a side; `None`: changes that last.
    pub side: Option<Side>,
    /// How sure a verdict is, in hundredths of a percent: 100 to 10,000.
    pub confidence: u32,
    /// The most values that are learned from, 1 to [`super::WINDOW_ROWS_MAX`].
    pub history: usize,
}

impl Detector {
    /// How sure a verdict is, from 0.01 to 1.
    pub(crate) fn confidence(self) -> f64 {
        f64::from(self.confidence) / 10_000.0
    }
}

/// Which of some rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// So many before the row itself, from 1 to [`super::WINDOW_ROWS_MAX`].
    Before(usize),
    /// So many-th from the last, which is 1, to [`super::WINDOW_ROWS_MAX`].
    Last(usize),
    /// So many-th from the first, which is 1.
    First(usize),
}

/// How far rows go back from a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// To those that are older by so many milliseconds, these included; 0 to [`super::WINDOW_MS_MAX`].
    Time(i64),
    /// To so many rows before, 1 to [`super::WINDOW_ROWS_MAX`].
    Rows(usize),
}

impl Extent {
    /// The time of the oldest rows that a row of some time goes back to.
    pub(crate) fn oldest(self, time: i64) -> i64 {
        match self {
            Self::Time(length_ms) => time.saturating_sub(length_ms),
            Self::Rows(_) => i64::MIN,
        }
    }

    /// The most rows there are, the row itself among them.
    pub(crate) fn rows(self) -> usize {
        match self {
            Self::Time(_) => usize::MAX,
            Self::Rows(before) => before + 1,
        }
    }
}

impl Analytic {
    /// All it needs of a row that takes part, over the input's schema: the columns that go on, then what each call needs, in the order of
    /// [`AnalyticCall::inputs`].
    pub(crate) fn inputs(&self) -> Vec<&ScalarExpr> {
        let columns = self.columns.iter().map(|(_, value)| value);
        columns.chain(self.calls.iter().flat_map(AnalyticCall::inputs)).collect()
    }

    /// All expressions over the input's schema, to be changed.
    pub(crate) fn expressions_mut(&mut self) -> Vec<&mut ScalarExpr> {
        let columns = self.columns.iter_mut().map(|(_, value)| value);
        self.predicate
            .iter_mut()
            .chain(columns)
            .chain(self.calls.iter_mut().flat_map(AnalyticCall::inputs_mut))
            .collect()
    }
}

impl AnalyticCall {
    /// Keys, condition, value and default, as far as there are any.
    pub(crate) fn inputs(&self) -> Vec<&ScalarExpr> {
        let own = match &self.function {
            AnalyticFunction::Value { value, default, .. } => [Some(value), default.as_ref()],
            AnalyticFunction::IsFirst { .. } => [None, None],
            AnalyticFunction::Anomaly { value, .. } => [Some(value), None],
            AnalyticFunction::Aggregate { call, .. } => [call.argument.as_ref(), None],
        };
        self.partition_by.iter().chain(&self.when).chain(own.into_iter().flatten()).collect()
    }

    fn inputs_mut(&mut self) -> Vec<&mut ScalarExpr> {
        let own = match &mut self.function {
            AnalyticFunction::Value { value, default, .. } => [Some(value), default.as_mut()],
            AnalyticFunction::IsFirst { .. } => [None, None],
            AnalyticFunction::Anomaly { value, .. } => [Some(value), None],
            AnalyticFunction::Aggregate { call, .. } => [call.argument.as_mut(), None],
        };
        self.partition_by.iter_mut().chain(&mut self.when).chain(own.into_iter().flatten()).collect()
    }

    /// Whether both are aggregates, and of the same rows.
    pub(crate) fn counts_same_rows(&self, other: &Self) -> bool {
        let (AnalyticFunction::Aggregate { extent, .. }, AnalyticFunction::Aggregate { extent: reach, .. }) =
            (&self.function, &other.function)
        else {
            return false;
        };
        let counted = |call: &Self| call.partition_by.iter().chain(&call.when).cloned().collect::<Vec<_>>();
        let (own, others) = (counted(self), counted(other));
        extent == reach
            && self.when.is_some() == other.when.is_some()
            && own.len() == others.len()
            && own.iter().zip(&others).all(|(left, right)| left.same(right))
    }

    /// Whether both compute the same.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let function = match (&self.function, &other.function) {
            (
                AnalyticFunction::Value { place, extent, .. },
                AnalyticFunction::Value { place: other, extent: reach, .. },
            ) => place == other && extent == reach,
            (AnalyticFunction::IsFirst { interval_ms, .. }, AnalyticFunction::IsFirst { interval_ms: other, .. }) => {
                interval_ms == other
            }
            (
                AnalyticFunction::Anomaly { detector, extent, .. },
                AnalyticFunction::Anomaly { detector: other, extent: reach, .. },
            ) => detector == other && extent == reach,
            (
                AnalyticFunction::Aggregate { call, extent },
                AnalyticFunction::Aggregate { call: other, extent: reach },
            ) => call.function == other.function && extent == reach,
            _ => return false,
        };
        // Inputs of the same number are of the same kinds when keys and condition are as many.
        let shape = |call: &Self| (call.partition_by.len(), call.when.is_some(), call.inputs().len());
        function
            && shape(self) == shape(other)
            && self.inputs().into_iter().zip(other.inputs()).all(|(left, right)| left.same(right))
    }
}
