//! Whether a row is the first of an interval: of each key the last interval that had a row.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};

use super::{Rows, Sweep};
use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::WindowBounds;
use crate::window::{bound, floor_to};

pub(super) struct Firsts {
    interval_ms: i64,
    bounds: WindowBounds,
    /// By key when its last interval began.
    begun: BTreeMap<Box<[u8]>, i64>,
    bytes: usize,
    sweep: Sweep,
}

impl Firsts {
    pub(super) fn new(interval_ms: i64, bounds: WindowBounds) -> Self {
        Self { interval_ms, bounds, begun: BTreeMap::new(), bytes: 0, sweep: Sweep::new(Some(interval_ms)) }
    }

    /// When the interval of a time began.
    fn interval(&self, time: i64) -> i64 {
        floor_to(bound(self.bounds, time), self.interval_ms)
    }

    /// The time behind which rows belong to the interval of a time.
    pub(super) fn behind(&self, time: i64) -> i64 {
        self.interval(time).saturating_sub(1)
    }

    pub(super) fn evaluate(&mut self, rows: &Rows) -> ArrayRef {
        let is_first = |(row, &time): (usize, &i64)| {
            if !rows.counts(row) {
                return 0;
            }
            let (key, interval) = (rows.keys.row(row), self.interval(time));
            match self.begun.get_mut(key) {
                Some(begun) => i64::from(std::mem::replace(begun, interval) != interval),
                None => {
                    self.bytes += key.len();
                    self.begun.insert(key.into(), interval);
                    1
                }
            }
        };
        Arc::new(rows.times.iter().enumerate().map(is_first).collect::<Int64Array>())
    }

    pub(super) fn forget(&mut self, now: i64) {
        if self.sweep.is_due(now) {
            let interval = self.interval(now);
            self.begun.retain(|_, begun| *begun >= interval);
            self.bytes = self.begun.keys().map(|key| key.len()).sum();
        }
    }

    pub(super) fn entries(&self) -> usize {
        self.begun.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes the intervals that rows from a time on may fall in.
    pub(super) fn write(&self, now: i64, writer: &mut Writer) {
        let interval = self.interval(now);
        let begun = || self.begun.iter().filter(|(_, begun)| **begun >= interval);
        writer.count(begun().count());
        for (key, begun) in begun() {
            writer.bytes(key);
            writer.int(*begun);
        }
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.begun.clear();
        self.bytes = 0;
        for _ in 0..reader.count()? {
            let key: Box<[u8]> = reader.bytes()?.into();
            self.bytes += key.len();
            self.begun.insert(key, reader.int()?);
        }
        Ok(())
    }
}
