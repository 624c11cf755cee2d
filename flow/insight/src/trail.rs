//! What happened to records after they were appended, mark by mark.
//!
//! Marks are made per batch where work is done per batch (a query read offsets 10 to 510), per result and per failure, so
//! that the trail costs next to nothing while records flow; `find` puts a record's marks together afterwards. Marks lie in
//! full chunks that never change again and one that fills: a search takes the lock only to get hold of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_storage::{Storage, StorageError};
use millstream_types::{Clock, LogId, Millis};
use serde::{Deserialize, Serialize};

use crate::journal::{Bounds, Journal};

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
    /// Records were removed from their stream before a reader (`delivery/NAME`) came to them.
    Expired { reader: String, log: u64, from: u64, to: u64 },
}

/// Marks that are held in memory.
pub const MARKS_MAX: usize = 100_000;
/// About the size of a mark in memory.
const MARK_BYTES: usize = 256;
/// Marks that are kept on disk, and bytes of them.
const KEPT_MAX: Bounds = Bounds { entries: 50_000, bytes: 32 << 20 };
/// Marks of one chunk.
const CHUNK_MARKS: usize = 500;

/// The marks of a node. Cheap to clone.
#[derive(Clone)]
pub struct Trail {
    clock: Arc<dyn Clock>,
    held: Arc<Mutex<Held>>,
    journal: Arc<Journal<Mark>>,
}

/// The last marks, oldest first.
#[derive(Default)]
struct Held {
    full: VecDeque<Arc<Vec<Arc<Mark>>>>,
    filling: Vec<Arc<Mark>>,
}

impl Held {
    fn push(&mut self, mark: Arc<Mark>) {
        self.filling.push(mark);
        if self.filling.len() == CHUNK_MARKS {
            let chunk = std::mem::replace(&mut self.filling, Vec::with_capacity(CHUNK_MARKS));
            self.full.push_back(Arc::new(chunk));
        }
        if self.full.len() * CHUNK_MARKS > MARKS_MAX {
            self.full.pop_front();
        }
    }
}

impl Trail {
    /// Opens the kept marks. Reads the disk.
    ///
    /// # Errors
    /// [`StorageError`] when they cannot be read.
    pub fn open(storage: &Storage, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        let (journal, marks) = Journal::open(storage, "insight/trail", KEPT_MAX)?;
        let mut held = Held::default();
        marks.into_iter().for_each(|mark| held.push(Arc::new(mark)));
        Ok(Self { clock, held: Arc::new(Mutex::new(held)), journal: Arc::new(journal) })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a mark, now. Never waits.
    pub fn mark(&self, step: Step) {
        let mark = Arc::new(Mark { time: self.clock.now(), step });
        let mut held = self.held();
        self.journal.push(Arc::clone(&mark), MARK_BYTES);
        held.push(mark);
    }

    /// Keeps the marks that were made before.
    pub(crate) async fn keep(&self) -> Result<(), StorageError> {
        self.journal.keep(self.journal.added()).await
    }

    /// The marks that a test picks, oldest first.
    #[must_use]
    pub fn find(&self, wanted: impl Fn(&Step) -> bool) -> Vec<Mark> {
        let (full, filling) = {
            let held = self.held();
            (held.full.clone(), held.filling.clone())
        };
        let marks = full.iter().flat_map(|chunk| chunk.iter()).chain(&filling);
        marks.filter(|mark| wanted(&mark.step)).map(|mark| Mark::clone(mark)).collect()
    }

    /// The marks that name a record of a log.
    #[must_use]
    pub fn of_record(&self, log: LogId, offset: u64) -> Vec<Mark> {
        self.find(|step| match step {
            Step::Received { log: l, from, to, .. }
            | Step::Read { log: l, from, to, .. }
            | Step::Delivered { log: l, from, to, .. }
            | Step::ObjectWritten { log: l, from, to, .. }
            | Step::Expired { log: l, from, to, .. } => *l == log.0 && (*from..*to).contains(&offset),
            Step::Dropped { log: l, offset: o, .. } => *l == log.0 && *o == offset,
            Step::Emitted { result_log, result_offset, .. } => *result_log == log.0 && *result_offset == offset,
            Step::Invoked { .. } | Step::ItemWritten { .. } => false,
        })
    }
}
