//! Continuous SQL: dialects, plan, windows, watermarks and checkpoints.

mod analytic;
mod decode;
pub mod dialect;
pub mod error;
pub mod executor;
pub mod explain;
mod expression;
mod forest;
mod hotspots;
mod join;
mod pattern;
pub mod plan;
pub mod runtime;
mod scoring;
mod script;
mod sorting;
mod substreams;
mod time_policy;
mod value;
mod waiting;
mod window;

pub use decode::Decoded;
pub use decode::infer::{Delimited, infer_columns, infer_delimited};
pub use dialect::{
    InputSchema, check, check_with, inputs_declared, inputs_missing, language_of, output_names, plan, plan_with,
};
pub use error::{PlanError, PlanErrorCode, Position};
pub use executor::steps::StepCounts;
pub use executor::{Counts, ExecuteError, Executor, Produced, RowError};
pub use explain::explain;
pub use plan::Program;
pub use runtime::{
    DeliveryAnswer, DeliveryRecord, DeliveryStatus, Failing, Missed, NewQuery, OutputCodec, Outside, Preview,
    PreviewStart, PreviewTold, Processed, ProcessingBatch, ProcessingCodec, Queries, QueryError, QueryState,
    QueryStatus, REFERENCE_SCAN, ResultRow, SAMPLE_ARRIVAL, SAMPLE_SHARD, SAMPLE_TEXT, SeenError, TAGS_MAX,
    TRIAL_ROWS_MAX, Trial, TrialAsk, TrialError, TrialInput, TrialOutput, TrialRow, sample_schemas, trial,
};
pub use script::{FUNCTIONS_MAX, FunctionError, SCRIPT_BYTES_MAX, check_functions};
pub use time_policy::OrderCounts;
