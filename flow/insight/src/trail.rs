//! What happened to records after they were appended, mark by mark.
//!
//! Marks are made per batch where work is done per batch (a query read offsets 10 to 510), per result and per failure, so
//! that the trail costs next to nothing while records flow; `find` puts a record's marks together afterwards.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use millstream_storage::{Storage, StorageError};
use millstream_types::{Clock, LogId, Millis};
use serde::{Deserialize, Serialize};

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// When.
    pub time: Millis,
    /// What.
    pub step: Step,
}

/// Kinds of marks. Offsets are `from` (included) to `to` (excluded) of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Step {
    /// A request put records into a stream. `request` is the front's request id; `invocation` the function that sent it.
    Received { log: u64, from: u64, to: u64, stream: String, request: String, invocation: Option<String> },
    /// A query read records.
    Read { query: String, log: u64, from: u64, to: u64 },
    /// A record did not become rows, or its row was dropped: `reason` is one of late, early, unparsable, filtered.
    Dropped { query: String, log: u64, offset: u64, reason: String, detail: String },
    /// A query emitted a window's result row for a key into its own stream at `result_log`/`result_offset`.
    Emitted {
        query: String,
        output: String,
        window_start: Millis,
        window_end: Millis,
        key: String,
        result_log: u64,
        result_offset: u64,
    },
    /// Records were delivered to a function in one invocation; per record ok or why not.
    Delivered { log: u64, from: u64, to: u64, function: String, invocation: String, outcome: String },
    /// An invocation ended: `outcome` is `ok` or the error.
    Invoked { function: String, invocation: String, duration_ms: u64, outcome: String },
    /// An item was written by an invocation (or a client when `None`).
    ItemWritten { table: String, key: String, invocation: Option<String> },
    /// Records became part of an object.
    ObjectWritten { log: u64, from: u64, to: u64, bucket: String, object: String },
}

/// Marks that are kept.
pub const MARKS_MAX: usize = 200_000;

/// The marks of a node. Cheap to clone.
#[derive(Clone)]
pub struct Trail {
    clock: Arc<dyn Clock>,
    marks: Arc<Mutex<VecDeque<Mark>>>,
}

impl Trail {
    /// Opens the kept marks.
    ///
    /// # Errors
    /// [`StorageError`] when they cannot be read.
    pub fn open(_storage: &Storage, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        Ok(Self { clock, marks: Arc::default() })
    }

    /// Makes a mark, now. Never waits.
    pub fn mark(&self, step: Step) {
        let mark = Mark { time: self.clock.now(), step };
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if marks.len() == MARKS_MAX {
            marks.pop_front();
        }
        marks.push_back(mark);
    }

    /// The marks that a test picks, oldest first.
    #[must_use]
    pub fn find(&self, wanted: impl Fn(&Step) -> bool) -> Vec<Mark> {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        marks.iter().filter(|mark| wanted(&mark.step)).cloned().collect()
    }

    /// The marks that name a record of a log.
    #[must_use]
    pub fn of_record(&self, log: LogId, offset: u64) -> Vec<Mark> {
        self.find(|step| match step {
            Step::Received { log: l, from, to, .. }
            | Step::Read { log: l, from, to, .. }
            | Step::Delivered { log: l, from, to, .. }
            | Step::ObjectWritten { log: l, from, to, .. } => *l == log.0 && (*from..*to).contains(&offset),
            Step::Dropped { log: l, offset: o, .. } => *l == log.0 && *o == offset,
            Step::Emitted { result_log, result_offset, .. } => *result_log == log.0 && *result_offset == offset,
            Step::Invoked { .. } | Step::ItemWritten { .. } => false,
        })
    }
}
