//! One side of a join: the rows that may still have matches, found by their keys, let go in the order of their times.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering as Memory};

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::ROW_BYTES;
use crate::executor::state::{Reader, StateError, Writer};

/// The hash is the same in each run; nothing depends on the order of the table all the same.
const HASH: FixedState = FixedState::with_seed(0);

/// A row as it is kept.
#[derive(Debug)]
pub(crate) struct Row {
    pub(super) time: i64,
    /// Rows of the same bytes match; `None`: it matches nothing, one of its keys is NULL.
    key: Option<Box<[u8]>>,
    /// Its columns, each value as it came.
    values: Box<[u8]>,
    matched: AtomicBool,
}

impl Row {
    pub(super) fn new(time: i64, key: Option<Box<[u8]>>, values: Box<[u8]>) -> Self {
        Self { time, key, values, matched: AtomicBool::new(false) }
    }

    pub(super) fn values(&self) -> &[u8] {
        &self.values
    }

    /// What it costs, in rows.
    pub(super) fn weight(&self) -> usize {
        1 + (self.values.len() + self.key.as_ref().map_or(0, |key| key.len())) / ROW_BYTES
    }

    pub(super) fn is_matched(&self) -> bool {
        self.matched.load(Memory::Relaxed)
    }

    pub(super) fn set_matched(&self) {
        self.matched.store(true, Memory::Relaxed);
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.bytes(self.key.as_ref().map_or(&[], |_| &[1]));
        writer.bytes(self.key.as_deref().unwrap_or_default());
        writer.bytes(&self.values);
    }

    pub(super) fn read(time: i64, reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let keyed = !reader.bytes()?.is_empty();
        let key = reader.bytes()?;
        Ok(Self::new(time, keyed.then(|| key.into()), reader.bytes()?.into()))
    }
}

/// By time, then by value.
impl Ord for Row {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.time, &self.values, &self.key).cmp(&(other.time, &other.values, &other.key))
    }
}

impl PartialOrd for Row {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Row {}

/// The rows of one side that the watermark has passed.
pub(super) struct Side {
    /// How long a row is kept: the last instant at which a row of the other side may match it is so long after it.
    pub(super) waits_ms: i64,
    /// How long after its own time a row without a match is given; `None`: it is not.
    pub(super) unmatched_ms: Option<i64>,
    /// All rows, oldest first.
    rows: VecDeque<Arc<Row>>,
    /// Rows of a key, oldest first; never empty.
    keys: HashTable<VecDeque<Arc<Row>>>,
    /// What the rows cost.
    pub(super) held: usize,
}

impl Side {
    pub(super) fn new(waits_ms: i64, unmatched_ms: Option<i64>) -> Self {
        Self { waits_ms, unmatched_ms, rows: VecDeque::new(), keys: HashTable::new(), held: 0 }
    }

    pub(super) fn gives_unmatched(&self) -> bool {
        self.unmatched_ms.is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The first instant that is a row's last.
    pub(super) fn first_end(&self) -> Option<i64> {
        self.rows.front().map(|row| row.time.saturating_add(self.waits_ms))
    }

    /// Keeps a row that is not older than those that are kept.
    pub(super) fn keep(&mut self, row: Arc<Row>) {
        self.held += row.weight();
        if let Some(key) = &row.key {
            let hash = HASH.hash_one(&**key);
            match self.keys.find_mut(hash, |rows| of_key(rows, key)) {
                Some(rows) => rows.push_back(Arc::clone(&row)),
                None => {
                    let rows = VecDeque::from([Arc::clone(&row)]);
                    self.keys.insert_unique(hash, rows, |rows| HASH.hash_one(key_of(rows)));
                }
            }
        }
        self.rows.push_back(row);
    }

    /// Visits the rows that another side's row matches by key and whose times are between two, both included.
    pub(super) fn each_match(&self, row: &Row, near: (i64, i64), mut visit: impl FnMut(&Arc<Row>)) {
        let Some(key) = &row.key else { return };
        let Some(rows) = self.keys.find(HASH.hash_one(&**key), |rows| of_key(rows, key)) else { return };
        let first = rows.partition_point(|other| other.time < near.0);
        rows.range(first..).take_while(|other| other.time <= near.1).for_each(&mut visit);
    }

    /// Lets the oldest row go if this is its last instant, or later.
    pub(super) fn release(&mut self, instant: i64) -> Option<Arc<Row>> {
        self.first_end().filter(|end| *end <= instant)?;
        let row = self.rows.pop_front()?;
        self.held -= row.weight();
        if let Some(key) = &row.key
            && let Ok(mut found) = self.keys.find_entry(HASH.hash_one(&**key), |rows| of_key(rows, key))
        {
            // Rows of a key are in the order of all rows, so it is the first of its key.
            found.get_mut().pop_front();
            if found.get().is_empty() {
                found.remove();
            }
        }
        Some(row)
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.count(self.rows.len());
        for row in &self.rows {
            writer.int(row.time);
            writer.bytes(if row.is_matched() { &[1] } else { &[] });
            row.write(writer);
        }
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        *self = Self::new(self.waits_ms, self.unmatched_ms);
        for _ in 0..reader.count()? {
            let (time, matched) = (reader.int()?, !reader.bytes()?.is_empty());
            let row = Row::read(time, reader)?;
            if matched {
                row.set_matched();
            }
            if self.rows.back().is_some_and(|last| last.time > time) {
                return Err(StateError);
            }
            self.keep(Arc::new(row));
        }
        Ok(())
    }
}

fn key_of(rows: &VecDeque<Arc<Row>>) -> &[u8] {
    rows.front().and_then(|row| row.key.as_deref()).unwrap_or_default()
}

fn of_key(rows: &VecDeque<Arc<Row>>, key: &[u8]) -> bool {
    key_of(rows) == key
}
