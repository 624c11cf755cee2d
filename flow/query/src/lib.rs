//! Continuous SQL: dialects, plan, windows, watermarks and checkpoints.

pub mod error;
pub mod plan;

pub use error::{PlanError, PlanErrorCode, QueryError};
