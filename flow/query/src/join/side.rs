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
    /// Its key, if it has one, then its columns, each value as it came.
    bytes: Box<[u8]>,
    /// How long the key is. Rows of the same key match; `None`: it matches nothing, one of its keys is NULL.
    key: Option<u32>,
    /// The key's hash.
    hash: u64,
    matched: AtomicBool,
}

impl Row {
    /// A row of less than 4 GiB.
    pub(super) fn new(time: i64, key: Option<&[u8]>, values: &[u8]) -> Self {
        let hash = key.map_or(0, |key| HASH.hash_one(key));
        let bytes = [key.unwrap_or_default(), values].concat().into();
        Self { time, bytes, key: key.map(|key| key.len() as u32), hash, matched: AtomicBool::new(false) }
    }

    fn key(&self) -> Option<&[u8]> {
        self.key.map(|length| &self.bytes[..length as usize])
    }

    pub(super) fn values(&self) -> &[u8] {
        &self.bytes[self.key.unwrap_or_default() as usize..]
    }

    /// What it costs, in rows.
    pub(super) fn weight(&self) -> usize {
        1 + self.bytes.len() / ROW_BYTES
    }

    pub(super) fn is_matched(&self) -> bool {
        self.matched.load(Memory::Relaxed)
    }

    pub(super) fn set_matched(&self) {
        self.matched.store(true, Memory::Relaxed);
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.bytes(self.key.map_or(&[], |_| &[1]));
        writer.bytes(self.key().unwrap_or_default());
        writer.bytes(self.values());
    }

    pub(super) fn read(time: i64, reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let keyed = !reader.bytes()?.is_empty();
        let key = reader.bytes()?;
        Ok(Self::new(time, keyed.then_some(key), reader.bytes()?))
    }
}

/// By time, then by value.
impl Ord for Row {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.time, self.values(), self.key()).cmp(&(other.time, other.values(), other.key()))
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

/// The rows of a key, oldest first; never empty.
struct OfKey {
    /// Beside them, since the rows are elsewhere in memory.
    hash: u64,
    rows: VecDeque<Arc<Row>>,
}

impl OfKey {
    /// Whether they match a row by key.
    fn is_of(&self, row: &Row) -> bool {
        self.hash == row.hash && self.rows.front().is_some_and(|first| first.key() == row.key())
    }
}

/// The rows of one side that the watermark has passed.
pub(super) struct Side {
    /// How long a row is kept: the last instant at which a row of the other side may match it is so long after it.
    pub(super) waits_ms: i64,
    /// How long after its own time a row without a match is given; `None`: it is not.
    pub(super) unmatched_ms: Option<i64>,
    /// All rows, oldest first.
    rows: VecDeque<Arc<Row>>,
    keys: HashTable<OfKey>,
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
        if row.key.is_some() {
            match self.keys.find_mut(row.hash, |of_key| of_key.is_of(&row)) {
                Some(of_key) => of_key.rows.push_back(Arc::clone(&row)),
                None => {
                    let of_key = OfKey { hash: row.hash, rows: VecDeque::from([Arc::clone(&row)]) };
                    self.keys.insert_unique(row.hash, of_key, |of_key| of_key.hash);
                }
            }
        }
        self.rows.push_back(row);
    }

    /// Visits the rows that another side's row matches by key and whose times are between two, both included.
    pub(super) fn each_match(&self, row: &Row, near: (i64, i64), mut visit: impl FnMut(&Arc<Row>)) {
        if row.key.is_none() {
            return;
        }
        let Some(OfKey { rows, .. }) = self.keys.find(row.hash, |of_key| of_key.is_of(row)) else { return };
        let first = rows.partition_point(|other| other.time < near.0);
        rows.range(first..).take_while(|other| other.time <= near.1).for_each(&mut visit);
    }

    /// Lets the oldest row go if this is its last instant, or later.
    pub(super) fn release(&mut self, instant: i64) -> Option<Arc<Row>> {
        self.first_end().filter(|end| *end <= instant)?;
        let row = self.rows.pop_front()?;
        self.held -= row.weight();
        // Rows of a key are in the order of all rows, so it is the first of its key.
        let is_first = |of_key: &OfKey| of_key.rows.front().is_some_and(|first| Arc::ptr_eq(first, &row));
        if row.key.is_some()
            && let Ok(mut found) = self.keys.find_entry(row.hash, is_first)
        {
            found.get_mut().rows.pop_front();
            if found.get().rows.is_empty() {
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
