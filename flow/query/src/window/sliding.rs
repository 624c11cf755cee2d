//! Windows that go with the rows: for each group a result at each instant at which its rows change, because some come or have
//! become too old; or a result for each row that comes.
//!
//! Rows wait until the watermark has passed them, so that they come in the order of their times.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::pane::Pane;
use super::queue::Queue;
use super::slices::Slices;
use super::{CLOSED_ROWS, Closed, Ended, bound, key};
use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::{AggregateCall, Extent, WindowBounds};

/// Which windows there are, and when they have a result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    /// A row leaves when it is that old; `None`: never.
    age_ms: Option<i64>,
    /// The most rows in a window; the oldest leave.
    rows: usize,
    /// How many keys make a group that shares its windows.
    partition: usize,
    /// Whether there is a result for each row that comes, rather than for each change.
    each_row: bool,
}

impl Reach {
    /// A result for each change of a group.
    pub(super) fn changes(size_ms: i64, keys: usize) -> Self {
        Self { age_ms: Some(size_ms), rows: usize::MAX, partition: keys, each_row: false }
    }

    /// A result for each row.
    pub(super) fn rows(extent: Extent, partition: usize) -> Self {
        match extent {
            // Rows that are as old as the extent still belong to the window.
            Extent::Time(size_ms) => Self { age_ms: Some(size_ms + 1), rows: usize::MAX, partition, each_row: true },
            Extent::Rows(count) => Self { age_ms: None, rows: count + 1, partition, each_row: true },
        }
    }
}

pub(super) struct Sliding {
    bounds: WindowBounds,
    reach: Reach,
    key_types: Vec<DataType>,
    /// Rows that are not in their windows yet, by their time.
    waiting: Slices,
    /// Rows before this time are in their windows.
    done: i64,
    /// What is accumulated of each instant of each group, or of each row.
    places: Pane,
    /// By group its rows.
    open: BTreeMap<Box<[u8]>, Queue>,
    /// By time the groups from which rows leave then.
    leaving: BTreeMap<i64, BTreeSet<Box<[u8]>>>,
}

/// Rows of windows that are over, as far as they are not handed on yet.
struct Results {
    pane: Pane,
    ended: Vec<Ended>,
}

impl Sliding {
    pub(super) fn new(
        bounds: WindowBounds,
        reach: Reach,
        key_types: Vec<DataType>,
        aggregates: Vec<AggregateCall>,
    ) -> Self {
        Self {
            bounds,
            reach,
            key_types,
            places: Pane::new(&aggregates),
            waiting: if reach.each_row { Slices::of_rows(aggregates) } else { Slices::new(aggregates) },
            done: i64::MIN,
            open: BTreeMap::new(),
            leaving: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, times: &[i64], keys: &[ArrayRef], arguments: &[Option<ArrayRef>]) {
        self.waiting.add(times, keys, arguments, |time| time);
    }

    pub(super) fn close(&mut self, watermark: i64) -> Vec<Closed> {
        let (mut closed, mut results) = (Vec::new(), Results::new(&self.waiting.aggregates));
        self.waiting.drop_before(self.done);
        while let Some(instant) = self.next_change().filter(|instant| *instant <= bound(self.bounds, watermark)) {
            self.change(instant, &mut results);
            if results.ended.len() >= CLOSED_ROWS {
                let full = std::mem::replace(&mut results, Results::new(&self.waiting.aggregates));
                closed.push(full.pane.finish(full.ended, &self.key_types));
            }
        }
        if !results.ended.is_empty() {
            closed.push(results.pane.finish(results.ended, &self.key_types));
        }
        self.done = self.done.max(watermark);
        closed
    }

    /// Gives the time behind which rows are needed for the windows that are not over at a watermark, and for what leaves them.
    pub(super) fn begin_behind(&self, watermark: i64) -> i64 {
        self.reach.age_ms.map_or(i64::MIN, |age| watermark.saturating_sub(age).saturating_sub(1))
    }

    fn next_change(&self) -> Option<i64> {
        let leaving = self.leaving.keys().next().copied();
        match (self.waiting.first(), leaving) {
            (Some(coming), Some(leaving)) => Some(coming.min(leaving)),
            (coming, leaving) => coming.or(leaving),
        }
    }

    /// What leaves and what comes at an instant. Both together are one change of a group.
    fn change(&mut self, instant: i64, results: &mut Results) {
        let mut changed = self.leaving.remove(&instant).unwrap_or_default();
        let start = self.reach.age_ms.map_or(i64::MIN, |age| instant.saturating_sub(age));
        for group in &changed {
            let Some(queue) = self.open.get_mut(group) else { continue };
            while queue.oldest().is_some_and(|time| time <= start) {
                queue.pop(&mut self.places);
            }
        }
        if let Some(rows) = self.waiting.take(instant) {
            for (row, row_key) in rows.keys().enumerate() {
                let group = key::prefix(row_key, &self.key_types[..self.reach.partition]);
                self.come(instant, group, &rows, row as u32);
                match self.open.get(group) {
                    Some(queue) if self.reach.each_row => results.add(queue, &self.places, row_key, start, instant),
                    _ => {
                        changed.insert(group.into());
                    }
                }
            }
        }
        for group in changed {
            let Some(queue) = self.open.get(&group) else { continue };
            if queue.len() == 0 {
                if let Some(queue) = self.open.remove(&group) {
                    queue.end(&mut self.places);
                }
            } else if !self.reach.each_row {
                results.add(queue, &self.places, &group, start, instant);
            }
        }
    }

    /// A row, or all of a group's at an instant.
    fn come(&mut self, instant: i64, group: &[u8], rows: &Pane, row: u32) {
        let place = self.places.place(&[]);
        self.places.merge_place(place, rows, row);
        let queue = match self.open.get_mut(group) {
            Some(queue) => queue,
            None => self.open.entry(group.into()).or_insert(Queue::new(&mut self.places)),
        };
        queue.push(instant, place, &mut self.places);
        if queue.len() > self.reach.rows {
            queue.pop(&mut self.places);
        }
        if let Some(age) = self.reach.age_ms {
            self.leaving.entry(instant.saturating_add(age)).or_default().insert(group.into());
        }
    }

    pub(super) fn groups(&self) -> usize {
        self.waiting.groups() + self.places.len()
    }

    pub(super) fn weight(&self) -> usize {
        self.waiting.weight() + self.places.len()
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
        self.places.write(&order, writer);
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
            if let Some(age) = self.reach.age_ms {
                for time in queue.times() {
                    self.leaving.entry(time.saturating_add(age)).or_default().insert(group.clone());
                }
            }
            self.open.insert(group, queue);
        }
        self.places = Pane::read_places(&self.waiting.aggregates, reader)?;
        if self.places.len() == next as usize { Ok(()) } else { Err(StateError) }
    }
}

impl Results {
    fn new(aggregates: &[AggregateCall]) -> Self {
        Self { pane: Pane::new(aggregates), ended: Vec::new() }
    }

    /// Adds what a window holds.
    fn add(&mut self, queue: &Queue, places: &Pane, key: &[u8], start: i64, end: i64) {
        let place = self.pane.place(key);
        queue.total(places, &mut self.pane, place);
        self.ended.push(Ended { start, end, place });
    }
}
