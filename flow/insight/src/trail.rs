//! What happened to records after they were appended, mark by mark.
//!
//! Marks are made per batch where work is done per batch (a query read offsets 10 to 510), per result and per failure, so
//! that the trail costs next to nothing while records flow; `find` puts a record's marks together afterwards.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_storage::{Storage, StorageError, Transaction};
use millstream_types::{Clock, LogId, Millis};
use serde::{Deserialize, Serialize};

use crate::journal::Journal;

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

/// Marks that are held in memory.
pub const MARKS_MAX: usize = 100_000;
/// About the size of a mark in memory.
const MARK_BYTES: usize = 256;
/// Marks that are kept on disk.
const MARKS_KEPT_MAX: usize = 50_000;

/// The marks of a node. Cheap to clone.
#[derive(Clone)]
pub struct Trail {
    clock: Arc<dyn Clock>,
    held: Arc<Mutex<Held>>,
}

struct Held {
    marks: VecDeque<Mark>,
    journal: Journal<Mark>,
}

impl Trail {
    /// Opens the kept marks. Reads the disk.
    ///
    /// # Errors
    /// [`StorageError`] when they cannot be read.
    pub fn open(storage: &Storage, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        let (journal, marks) = Journal::open(storage, "insight/trail", MARKS_KEPT_MAX)?;
        Ok(Self { clock, held: Arc::new(Mutex::new(Held { marks: marks.into(), journal })) })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a mark, now. Never waits.
    pub fn mark(&self, step: Step) {
        let mark = Mark { time: self.clock.now(), step };
        let mut held = self.held();
        if held.marks.len() == MARKS_MAX {
            held.marks.pop_front();
        }
        held.journal.push(mark.clone(), MARK_BYTES);
        held.marks.push_back(mark);
    }

    pub(crate) fn flush(&self, transaction: &mut Transaction) -> usize {
        self.held().journal.flush(transaction)
    }

    pub(crate) fn flushed(&self, count: usize) {
        self.held().journal.flushed(count);
    }

    /// The marks that a test picks, oldest first.
    #[must_use]
    pub fn find(&self, wanted: impl Fn(&Step) -> bool) -> Vec<Mark> {
        self.held().marks.iter().filter(|mark| wanted(&mark.step)).cloned().collect()
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
