//! Rows that wait until the watermark has passed them, as bytes: they go on in the order of their times, those of one time in
//! the order in which they came.

use std::collections::BTreeMap;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::CLOSED_ROWS;
use super::key::{self, encode_exact};
use crate::executor::state::{Reader, StateError, Writer};

/// What a row or a value takes besides its own bytes: its place, its length and its part of an index.
pub(crate) const ENTRY_BYTES: usize = 96;

#[derive(Default)]
pub(crate) struct Waiting {
    /// By time the rows, each behind its length.
    by_time: BTreeMap<i64, Writer>,
    /// How many wait, and how many bytes they are.
    rows: usize,
    bytes: usize,
}

impl Waiting {
    /// Adds rows: their times, and all that is needed of them.
    pub(crate) fn add(&mut self, times: &[i64], inputs: &[ArrayRef]) {
        let mut encoded = Vec::new();
        for (row, time) in times.iter().enumerate() {
            encoded.clear();
            inputs.iter().for_each(|input| encode_exact(input, row, &mut encoded));
            self.by_time.entry(*time).or_default().bytes(&encoded);
            self.rows += 1;
            self.bytes += encoded.len();
        }
    }

    /// Takes instants that a watermark has passed, with about as many rows as go on together; none: there are no more. What
    /// comes behind `done` has no place among the others any more and is left out.
    pub(crate) fn take_due(&mut self, done: i64, watermark: i64) -> Vec<(i64, Writer)> {
        let (mut taken, mut count) = (Vec::new(), 0);
        while count < CLOSED_ROWS
            && let Some(first) = self.by_time.first_entry()
            && *first.key() < watermark
        {
            let (time, rows) = first.remove_entry();
            let before = self.rows;
            for row in rows_of(&rows) {
                self.rows -= 1;
                self.bytes -= row.len();
            }
            if time >= done {
                count += before - self.rows;
                taken.push((time, rows));
            }
        }
        taken
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// What they take in memory.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.rows * ENTRY_BYTES
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.count(self.by_time.len());
        for (time, rows) in &self.by_time {
            writer.int(*time);
            writer.bytes(&rows.0);
        }
    }

    pub(crate) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        *self = Self::default();
        for _ in 0..reader.count()? {
            let (time, rows) = (reader.int()?, Writer(reader.bytes()?.to_vec()));
            for row in rows_of(&rows) {
                self.rows += 1;
                self.bytes += row.len();
            }
            self.by_time.insert(time, rows);
        }
        Ok(())
    }
}

/// The rows of instants with their times, as columns of the types in which they were added.
pub(crate) fn decoded(instants: &[(i64, Writer)], types: &[DataType]) -> (Vec<i64>, Vec<ArrayRef>) {
    let (mut times, mut rows) = (Vec::new(), Vec::new());
    for (time, instant) in instants {
        rows.extend(rows_of(instant));
        times.resize(rows.len(), *time);
    }
    (times, key::decode(rows.into_iter(), types))
}

/// The rows of an instant, each without its length.
fn rows_of(rows: &Writer) -> impl Iterator<Item = &[u8]> {
    let mut reader = Reader(&rows.0);
    std::iter::from_fn(move || reader.bytes().ok())
}
