//! Continuous SQL: dialects, plan, windows, watermarks and checkpoints.

mod decode;
pub mod dialect;
pub mod error;
pub mod executor;
pub mod explain;
mod expression;
pub mod plan;
mod time_policy;
mod window;

pub use decode::infer::infer_columns;
pub use dialect::{InputSchema, check, plan};
pub use error::{PlanError, PlanErrorCode, Position, QueryError};
pub use executor::{Counts, ExecuteError, Executor, Produced, RowError};
pub use explain::explain;
pub use time_policy::OrderCounts;
