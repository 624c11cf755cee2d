//! Aggregates: what is computed of the rows of a group.

use std::sync::Arc;

use arrow::datatypes::DataType;

use super::ScalarExpr;
use crate::script::UserFunction;

/// One aggregate of a windowed aggregation.
#[derive(Debug, Clone)]
pub struct AggregateCall {
    /// What is computed.
    pub function: AggregateFunction,
    /// Of what, over the input's schema, already of the type the function takes; `None`: of rows (`COUNT(*)`).
    pub argument: Option<ScalarExpr>,
    /// Whether equal values count once; only with [`AggregateFunction::Count`], `Sum` and `Avg`.
    pub distinct: bool,
    /// The query's own function, of [`AggregateFunction::Script`].
    pub(crate) script: Option<Arc<UserFunction>>,
    /// The result's type. An average whose type is `Int64` truncates towards zero.
    pub data_type: DataType,
    /// As the author wrote it.
    pub text: String,
}

/// What an aggregate computes. NULL values take no part; of nothing, all but `Count` are NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// How many values (rows, without an argument).
    Count,
    /// Their sum: `Int64` or `Float64`, an overflow is an error of the query.
    Sum,
    /// Their mean.
    Avg,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// The sample's standard deviation (divided by n - 1); NULL of fewer than two.
    StdDevSample,
    /// The population's standard deviation (divided by n).
    StdDevPopulation,
    /// The sample's variance (divided by n - 1); NULL of fewer than two.
    VarianceSample,
    /// The population's variance (divided by n).
    VariancePopulation,
    /// All values, NULL among them, as an array.
    Collect,
    /// The first so many of values that are ranked, as an array of records `{"rank":1,"value":…}`.
    CollectTop(usize),
    /// The first of values that are ranked.
    TopOne,
    /// The value at a part of the way from the first to the last, interpolated.
    PercentileCont(Part),
    /// The first value up to which such a part of all lies.
    PercentileDisc(Part),
    /// What a script makes of all values, NULL among them, in the order of their times.
    Script,
}

/// A part of values in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// From 0 to 1, as the bits of a float.
    bits: u64,
    /// Whether the greatest value is the first.
    pub descending: bool,
}

impl Part {
    /// A part from 0 to 1.
    #[must_use]
    pub fn new(fraction: f64, descending: bool) -> Self {
        Self { bits: fraction.to_bits(), descending }
    }

    /// How much it is, from 0 to 1.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from_bits(self.bits)
    }
}

impl AggregateFunction {
    /// `SUM`, as plans and messages print it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "COUNT",
            Self::Sum => "SUM",
            Self::Avg => "AVG",
            Self::Min => "MIN",
            Self::Max => "MAX",
            Self::StdDevSample => "STDDEV_SAMP",
            Self::StdDevPopulation => "STDDEV_POP",
            Self::VarianceSample => "VAR_SAMP",
            Self::VariancePopulation => "VAR_POP",
            Self::Collect => "COLLECT",
            Self::CollectTop(_) => "COLLECTTOP",
            Self::TopOne => "TOPONE",
            Self::PercentileCont(_) => "PERCENTILE_CONT",
            Self::PercentileDisc(_) => "PERCENTILE_DISC",
            Self::Script => "UDA",
        }
    }

    /// Whether values are kept one by one.
    pub(crate) fn keeps_values(self) -> bool {
        let all = matches!(self, Self::Collect | Self::PercentileCont(_) | Self::PercentileDisc(_) | Self::Script);
        all || self.ranks().is_some()
    }

    /// Whether the result is values that are kept, as they are.
    pub(crate) fn gives_values(self) -> bool {
        matches!(self, Self::Collect) || self.ranks().is_some()
    }

    /// How many of ranked values are kept.
    pub(crate) fn ranks(self) -> Option<usize> {
        match self {
            Self::CollectTop(count) => Some(count),
            Self::TopOne => Some(1),
            _ => None,
        }
    }
}
