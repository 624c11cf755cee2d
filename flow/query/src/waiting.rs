//! Rows that wait until the watermark has passed them, so that they go on in the order of time: as bytes, those of one time in the
//! order in which they came. Knows neither what they wait for nor how many may.

use std::collections::BTreeMap;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use crate::executor::state::{Reader, StateError, Writer};
use crate::window::key::{self, encode_exact};

/// What a row takes besides its own bytes: its place, its length and its part of an index.
pub(crate) const ENTRY_BYTES: usize = 96;

/// What a step keeps of rows, those that wait and those that others are seen with, in bytes.
pub(crate) const KEPT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Rows that wait.
pub(crate) struct Waiting {
    types: Vec<DataType>,
    /// By time the rows, each behind its length.
    times: BTreeMap<i64, Writer>,
    rows: usize,
    bytes: usize,
    /// Rows before this time went on.
    done: i64,
}

/// Rows that have waited, in the order of time.
pub(crate) struct Due {
    pub(crate) times: Vec<i64>,
    pub(crate) columns: Vec<ArrayRef>,
}

impl Waiting {
    /// For rows of columns of these types.
    pub(crate) fn new(types: Vec<DataType>) -> Self {
        Self { types, times: BTreeMap::new(), rows: 0, bytes: 0, done: i64::MIN }
    }

    /// Adds rows, each at the time until which it waits.
    pub(crate) fn add(&mut self, times: impl Iterator<Item = i64>, columns: &[ArrayRef]) {
        let mut encoded = Vec::new();
        for (row, time) in times.enumerate() {
            encoded.clear();
            columns.iter().for_each(|column| encode_exact(column, row, &mut encoded));
            self.times.entry(time).or_default().bytes(&encoded);
            self.rows += 1;
            self.bytes += encoded.len();
        }
    }

    /// Takes the rows of instants that a watermark has passed: one instant's after the other's while `more` says so of how many they
    /// are and of their bytes. `None`: there are no more.
    pub(crate) fn take_due(&mut self, watermark: i64, more: impl Fn(usize, usize) -> bool) -> Option<Due> {
        let (mut times, mut taken, mut bytes) = (Vec::new(), Vec::new(), 0);
        while more(times.len(), bytes)
            && let Some(first) = self.times.first_entry()
            && *first.key() < watermark
        {
            let (time, rows) = first.remove_entry();
            let mut count = 0;
            for row in rows_of(&rows) {
                count += 1;
                self.bytes -= row.len();
            }
            self.rows -= count;
            // What comes behind its time has no place among the others any more.
            if time >= self.done {
                times.resize(times.len() + count, time);
                bytes += rows.0.len();
                taken.push(rows);
            }
        }
        if times.is_empty() {
            self.done = self.done.max(watermark);
            return None;
        }
        let columns = key::decode(taken.iter().flat_map(rows_of), &self.types);
        Some(Due { times, columns })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// About what the rows take in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.rows * ENTRY_BYTES
    }

    /// The time before which rows went on.
    pub(crate) fn done(&self) -> i64 {
        self.done
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.int(self.done);
        writer.count(self.times.len());
        for (time, rows) in &self.times {
            writer.int(*time);
            writer.bytes(&rows.0);
        }
    }

    pub(crate) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.done = reader.int()?;
        self.times.clear();
        (self.rows, self.bytes) = (0, 0);
        for _ in 0..reader.count()? {
            let (time, rows) = (reader.int()?, Writer(reader.bytes()?.to_vec()));
            for row in rows_of(&rows) {
                self.rows += 1;
                self.bytes += row.len();
            }
            self.times.insert(time, rows);
        }
        Ok(())
    }
}

/// The rows of an instant, each without its length.
fn rows_of(rows: &Writer) -> impl Iterator<Item = &[u8]> {
    let mut reader = Reader(&rows.0);
    std::iter::from_fn(move || reader.bytes().ok())
}
