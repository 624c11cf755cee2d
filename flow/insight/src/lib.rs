//! What happened: the lines functions print, the rates of every stage, and each record's trail.
//!
//! Everything here is bounded and never makes the work it watches wait.
//! Read next: [`logs`], [`metrics`], [`trail`].

pub mod logs;
pub mod metrics;
pub mod trail;

use std::sync::Arc;

use millstream_storage::{Storage, StorageError};
use millstream_types::Clock;

pub use logs::{LogEvent, LogStreamSummary, Logs};
pub use metrics::{Counter, Gauge, Metrics, Sample};
pub use trail::{Mark, Step, Trail};

/// The three views. Cheap to clone.
#[derive(Clone)]
pub struct Insight {
    /// What functions print.
    pub logs: Logs,
    /// Rates and levels.
    pub metrics: Metrics,
    /// What happened to records.
    pub trail: Trail,
}

impl Insight {
    /// Opens the views over a store. Touches the disk: not for an async worker.
    ///
    /// # Errors
    /// [`StorageError`] when stored lines cannot be read.
    pub fn open(storage: &Storage, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        Ok(Self {
            logs: Logs::open(storage, Arc::clone(&clock))?,
            metrics: Metrics::new(Arc::clone(&clock)),
            trail: Trail::open(storage, clock)?,
        })
    }
}
