//! `LAG` and `LAST`: of each key the last values, as many as are looked back to.

use std::collections::{BTreeMap, VecDeque};

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::{Rows, Sweep};
use crate::executor::state::{Reader, StateError, Writer};
use crate::window::key::{Builder, encode_exact};

pub(super) struct Lags {
    /// How many rows back; 0: the last one, the row itself if it counts.
    offset: usize,
    /// A row as old as this is looked back to no more.
    pub(super) duration_ms: i64,
    data_type: DataType,
    /// By key times and values, oldest first, at most as many as are looked back to.
    values: BTreeMap<Box<[u8]>, VecDeque<(i64, Box<[u8]>)>>,
    /// How many values there are, and the bytes of these and of the keys.
    entries: usize,
    bytes: usize,
    sweep: Sweep,
}

impl Lags {
    pub(super) fn new(offset: usize, duration_ms: i64, data_type: DataType) -> Self {
        let (values, sweep) = (BTreeMap::new(), Sweep::new(duration_ms));
        Self { offset, duration_ms, data_type, values, entries: 0, bytes: 0, sweep }
    }

    pub(super) fn evaluate(&mut self, rows: &Rows) -> ArrayRef {
        let mut results = Builder::new(&self.data_type);
        let (mut encoded, mut default) = (Vec::new(), Vec::new());
        for (row, &time) in rows.times.iter().enumerate() {
            let key = rows.keys.row(row);
            encoded.clear();
            default.clear();
            if let Some(value) = rows.values.first() {
                encode_exact(value, row, &mut encoded);
            }
            if let Some(value) = rows.values.get(1) {
                encode_exact(value, row, &mut default);
            }
            let (counts, itself) = (rows.counts(row), self.offset == 0);
            if counts && itself {
                self.remember(key, time, &encoded);
            }
            let found = self.look_back(key, time).unwrap_or(&default);
            // No bytes read as NULL.
            results.take(&mut &*found);
            if counts && !itself {
                self.remember(key, time, &encoded);
            }
        }
        results.finish()
    }

    /// The value so many rows back, if that row is not too old.
    fn look_back(&self, key: &[u8], time: i64) -> Option<&[u8]> {
        let values = self.values.get(key)?;
        let place = values.len().checked_sub(self.offset.max(1))?;
        let (then, value) = values.get(place)?;
        (*then > time.saturating_sub(self.duration_ms)).then_some(value)
    }

    fn remember(&mut self, key: &[u8], time: i64, value: &[u8]) {
        let values = match self.values.get_mut(key) {
            Some(values) => values,
            None => {
                self.bytes += key.len();
                self.values.entry(key.into()).or_default()
            }
        };
        values.push_back((time, value.into()));
        self.bytes += value.len();
        self.entries += 1;
        let oldest = time.saturating_sub(self.duration_ms);
        while values.front().is_some_and(|(then, _)| *then <= oldest) || values.len() > self.offset.max(1) {
            let Some((_, gone)) = values.pop_front() else { break };
            self.bytes -= gone.len();
            self.entries -= 1;
        }
    }

    pub(super) fn forget(&mut self, now: i64) {
        if !self.sweep.is_due(now) {
            return;
        }
        let oldest = now.saturating_sub(self.duration_ms);
        let (mut entries, mut bytes) = (0, 0);
        self.values.retain(|key, values| {
            let keep = counts_still(values, oldest);
            if keep {
                entries += values.len();
                bytes += key.len() + values.iter().map(|(_, value)| value.len()).sum::<usize>();
            }
            keep
        });
        (self.entries, self.bytes) = (entries, bytes);
    }

    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes what rows from a time on may look back to.
    pub(super) fn write(&self, now: i64, writer: &mut Writer) {
        let oldest = now.saturating_sub(self.duration_ms);
        let values = || self.values.iter().filter(|(_, values)| counts_still(values, oldest));
        writer.count(values().count());
        for (key, values) in values() {
            writer.bytes(key);
            writer.count(values.len());
            for (time, value) in values {
                writer.int(*time);
                writer.bytes(value);
            }
        }
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.values.clear();
        (self.entries, self.bytes) = (0, 0);
        for _ in 0..reader.count()? {
            let key: Box<[u8]> = reader.bytes()?.into();
            self.bytes += key.len();
            let mut values = VecDeque::new();
            for _ in 0..reader.count()? {
                let (time, value) = (reader.int()?, reader.bytes()?);
                self.bytes += value.len();
                values.push_back((time, value.into()));
            }
            self.entries += values.len();
            self.values.insert(key, values);
        }
        Ok(())
    }
}

/// Whether the newest of a key's values is not too old yet.
fn counts_still(values: &VecDeque<(i64, Box<[u8]>)>, oldest: i64) -> bool {
    values.back().is_some_and(|(time, _)| *time > oldest)
}
