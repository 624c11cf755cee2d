//! Sliding windows: for each group a result at each instant at which its rows change, because some come or have become too old.
//!
//! Rows wait until the watermark has passed them, so that they come in the order of their times.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::pane::Pane;
use super::queue::Queue;
use super::slices::Slices;
use super::{CLOSED_ROWS, Closed, Ended, bound};
use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::{AggregateCall, WindowBounds};

pub(super) struct Sliding {
    bounds: WindowBounds,
    size_ms: i64,
    key_types: Vec<DataType>,
    /// Rows that are not in their windows yet, by their time.
    waiting: Slices,
    /// Rows before this time are in their windows.
    done: i64,
    /// What is accumulated of each instant of each group.
    instants: Pane,
    /// By group its rows.
    open: BTreeMap<Box<[u8]>, Queue>,
    /// By time the groups from which rows leave then.
    leaving: BTreeMap<i64, BTreeSet<Box<[u8]>>>,
}

impl Sliding {
    pub(super) fn new(
        bounds: WindowBounds,
        size_ms: i64,
        key_types: Vec<DataType>,
        aggregates: Vec<AggregateCall>,
    ) -> Self {
        Self {
            bounds,
            size_ms,
            key_types,
            instants: Pane::new(&aggregates),
            waiting: Slices::new(aggregates),
            done: i64::MIN,
            open: BTreeMap::new(),
            leaving: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, times: &[i64], keys: &[ArrayRef], arguments: &[Option<ArrayRef>]) {
        self.waiting.add(times, keys, arguments, |time| time);
    }

    pub(super) fn close(&mut self, watermark: i64) -> Vec<Closed> {
        let mut closed = Vec::new();
        let (mut results, mut ended) = (Pane::new(&self.waiting.aggregates), Vec::new());
        self.waiting.drop_before(self.done);
        while let Some(instant) = self.next_change().filter(|instant| *instant <= bound(self.bounds, watermark)) {
            self.change(instant, &mut results, &mut ended);
            if ended.len() >= CLOSED_ROWS {
                closed.push(results.finish(std::mem::take(&mut ended), &self.key_types));
                results = Pane::new(&self.waiting.aggregates);
            }
        }
        if !ended.is_empty() {
            closed.push(results.finish(ended, &self.key_types));
        }
        self.done = self.done.max(watermark);
        closed
    }

    /// Gives the time behind which rows are needed for the windows that are not over at a watermark, and for what leaves them.
    pub(super) fn begin_behind(&self, watermark: i64) -> i64 {
        watermark.saturating_sub(self.size_ms).saturating_sub(1)
    }

    fn next_change(&self) -> Option<i64> {
        let leaving = self.leaving.keys().next().copied();
        match (self.waiting.first(), leaving) {
            (Some(coming), Some(leaving)) => Some(coming.min(leaving)),
            (coming, leaving) => coming.or(leaving),
        }
    }

    /// What comes and what leaves at an instant is one change of a group.
    fn change(&mut self, instant: i64, results: &mut Pane, ended: &mut Vec<Ended>) {
        let mut changed = self.leaving.remove(&instant).unwrap_or_default();
        let start = instant.saturating_sub(self.size_ms);
        for group in &changed {
            let Some(queue) = self.open.get_mut(group) else { continue };
            while queue.oldest().is_some_and(|time| time <= start) {
                queue.pop(&mut self.instants);
            }
        }
        if let Some(rows) = self.waiting.panes.remove(&instant) {
            for (row, group) in rows.keys().enumerate() {
                let place = self.instants.place(&[]);
                self.instants.merge_place(place, &rows, row as u32);
                let queue = match self.open.get_mut(group) {
                    Some(queue) => queue,
                    None => self.open.entry(group.into()).or_insert(Queue::new(&mut self.instants)),
                };
                queue.push(instant, place, &mut self.instants);
                self.leaving.entry(instant.saturating_add(self.size_ms)).or_default().insert(group.into());
                changed.insert(group.into());
            }
        }
        for group in changed {
            let Some(queue) = self.open.get(&group) else { continue };
            if queue.oldest().is_some() {
                let place = results.place(&group);
                queue.total(&self.instants, results, place);
                ended.push(Ended { start, end: instant, place });
            } else if let Some(queue) = self.open.remove(&group) {
                queue.end(&mut self.instants);
            }
        }
    }

    pub(super) fn groups(&self) -> usize {
        self.waiting.groups() + self.instants.len()
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.int(self.done);
        self.waiting.write(writer);
        writer.count(self.open.len());
        for (group, queue) in &self.open {
            writer.bytes(group);
            queue.write(writer);
        }
        let order: Vec<u32> = self.open.values().flat_map(Queue::order).collect();
        self.instants.write(&order, writer);
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.done = reader.int()?;
        self.waiting.read(reader)?;
        self.open.clear();
        self.leaving.clear();
        let mut next = 0;
        for _ in 0..reader.count()? {
            let group: Box<[u8]> = reader.bytes()?.into();
            let queue = Queue::read(&mut next, reader)?;
            for time in queue.times() {
                self.leaving.entry(time.saturating_add(self.size_ms)).or_default().insert(group.clone());
            }
            self.open.insert(group, queue);
        }
        self.instants = Pane::read_places(&self.waiting.aggregates, reader)?;
        if self.instants.len() == next as usize { Ok(()) } else { Err(StateError) }
    }
}
