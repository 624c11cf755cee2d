//! Which logs take no more records: those of shards that were split or merged.
//!
//! Whoever appends passes the gate while it submits. Once a log is closed, all that was let through before is ordered before
//! whatever is submitted next: a shard's last record is older than the first one of the shards that come of it.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use millstream_types::LogId;

/// The gate of all logs of a node. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    closed: Arc<RwLock<HashSet<LogId>>>,
}

/// Held while records are submitted.
pub(crate) struct Passing<'g> {
    closed: RwLockReadGuard<'g, HashSet<LogId>>,
}

impl Passing<'_> {
    pub(crate) fn is_closed(&self, log: LogId) -> bool {
        // Most nodes have never split a shard.
        !self.closed.is_empty() && self.closed.contains(&log)
    }
}

impl Gate {
    pub(crate) fn pass(&self) -> Passing<'_> {
        Passing { closed: self.closed.read().unwrap_or_else(PoisonError::into_inner) }
    }

    /// Waits for those that pass, and lets nobody through any more.
    pub(crate) fn close(&self, logs: impl Iterator<Item = LogId>) {
        self.closed.write().unwrap_or_else(PoisonError::into_inner).extend(logs);
    }

    /// Lets records through again, or forgets logs that are no more.
    pub(crate) fn open(&self, logs: impl Iterator<Item = LogId>) {
        let mut closed = self.closed.write().unwrap_or_else(PoisonError::into_inner);
        logs.for_each(|log| {
            closed.remove(&log);
        });
    }
}
