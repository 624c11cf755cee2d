//! Continuous SQL: dialects, plan, windows, watermarks and checkpoints.

pub mod dialect;
pub mod error;
pub mod explain;
mod expression;
pub mod plan;

pub use dialect::{InputSchema, check, plan};
pub use error::{PlanError, PlanErrorCode, Position, QueryError};
pub use explain::explain;
