//! Functions that look back from each row over those before it, before anything else of a `SELECT` is done with the rows.

use arrow::datatypes::DataType;

use super::{AggregateCall, ScalarExpr};

/// Rows as they come, in the order of their times, each with what some functions tell of those before it.
///
/// The result's schema is `[columns…, calls…, hidden row time]`. A row waits until none can come before it.
#[derive(Debug, Clone)]
pub struct Analytic {
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

/// What a function computes of the rows that count. One as old as a duration counts no more.
#[derive(Debug, Clone)]
pub enum AnalyticFunction {
    /// The value of a row before.
    Lag {
        /// Over the input's schema.
        value: ScalarExpr,
        /// What stands for a row that is not there, over the input's schema and of the value's type; `None`: NULL.
        default: Option<ScalarExpr>,
        /// How many rows back, at most [`super::WINDOW_ROWS_MAX`]; 0: the last one, the row itself if it counts.
        offset: usize,
        /// How old the row before may be, less than this; 1 to [`super::WINDOW_MS_MAX`].
        duration_ms: i64,
    },
    /// 1 where the row counts and is the first of its interval, otherwise 0. Intervals are tumbling windows `(start, end]`.
    IsFirst {
        /// The length of an interval, 1 to [`super::WINDOW_MS_MAX`].
        interval_ms: i64,
    },
    /// An aggregate of the rows before and of the row itself.
    Aggregate {
        /// Never with `distinct`.
        call: AggregateCall,
        /// How old rows may be, less than this; 1 to [`super::WINDOW_MS_MAX`].
        duration_ms: i64,
    },
}

impl Analytic {
    /// All it needs of a row, over the input's schema: the columns that go on, then what each call needs, in the order of
    /// [`AnalyticCall::inputs`].
    pub(crate) fn inputs(&self) -> Vec<&ScalarExpr> {
        let columns = self.columns.iter().map(|(_, value)| value);
        columns.chain(self.calls.iter().flat_map(AnalyticCall::inputs)).collect()
    }

    /// The same, to be changed.
    pub(crate) fn inputs_mut(&mut self) -> Vec<&mut ScalarExpr> {
        let columns = self.columns.iter_mut().map(|(_, value)| value);
        columns.chain(self.calls.iter_mut().flat_map(AnalyticCall::inputs_mut)).collect()
    }
}

impl AnalyticCall {
    /// Keys, condition, value and default, as far as there are any.
    pub(crate) fn inputs(&self) -> Vec<&ScalarExpr> {
        let own = match &self.function {
            AnalyticFunction::Lag { value, default, .. } => [Some(value), default.as_ref()],
            AnalyticFunction::IsFirst { .. } => [None, None],
            AnalyticFunction::Aggregate { call, .. } => [call.argument.as_ref(), None],
        };
        self.partition_by.iter().chain(&self.when).chain(own.into_iter().flatten()).collect()
    }

    fn inputs_mut(&mut self) -> Vec<&mut ScalarExpr> {
        let own = match &mut self.function {
            AnalyticFunction::Lag { value, default, .. } => [Some(value), default.as_mut()],
            AnalyticFunction::IsFirst { .. } => [None, None],
            AnalyticFunction::Aggregate { call, .. } => [call.argument.as_mut(), None],
        };
        self.partition_by.iter_mut().chain(&mut self.when).chain(own.into_iter().flatten()).collect()
    }

    /// Whether both compute the same.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let function = match (&self.function, &other.function) {
            (
                AnalyticFunction::Lag { offset, duration_ms, .. },
                AnalyticFunction::Lag { offset: to, duration_ms: of, .. },
            ) => offset == to && duration_ms == of,
            (AnalyticFunction::IsFirst { interval_ms }, AnalyticFunction::IsFirst { interval_ms: other }) => {
                interval_ms == other
            }
            (
                AnalyticFunction::Aggregate { call, duration_ms },
                AnalyticFunction::Aggregate { call: other, duration_ms: of },
            ) => call.function == other.function && duration_ms == of,
            _ => return false,
        };
        // Inputs of the same number are of the same kinds when keys and condition are as many.
        let shape = |call: &Self| (call.partition_by.len(), call.when.is_some(), call.inputs().len());
        function
            && shape(self) == shape(other)
            && self.inputs().into_iter().zip(other.inputs()).all(|(left, right)| left.same(right))
    }
}
