//! Windows that go with the rows: for each group a result at each instant at which its rows change, because some come or have
//! become too old.
//!
//! Rows wait until the watermark has passed them, so that they come in the order of their times.

use std::collections::BTreeMap;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::pane::Pane;
use super::queue::Queue;
use super::slices::Slices;
use super::{CLOSED_BYTES, CLOSED_ROWS, Closed, Ended, bound, over_at};
use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::{AggregateCall, WindowBounds};

/// What results may cost, in groups, that are handed on together: a script sees all values of a window at each change.
const CLOSED_WEIGHT: usize = 262_144;

pub(super) struct Sliding {
    bounds: WindowBounds,
    /// A row leaves when it is that old.
    size_ms: i64,
    key_types: Vec<DataType>,
    /// Rows that are not in their windows yet, by their time.
    waiting: Slices,
    /// Rows before this time are in their windows.
    done: i64,
    /// What is accumulated of each instant of each group.
    places: Pane,
    /// The groups that have rows: each one's place is its number.
    groups: Pane,
    /// By the numbers of groups their rows; those of no group have none.
    queues: Vec<Queue>,
    /// By time the groups from which rows leave then.
    leaving: BTreeMap<i64, Vec<u32>>,
}

/// Rows of windows that are over, as far as they are not handed on yet.
struct Results {
    pane: Pane,
    ended: Vec<Ended>,
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
            places: Pane::new(&aggregates),
            waiting: Slices::new(aggregates),
            done: i64::MIN,
            groups: Pane::new(&[]),
            queues: Vec::new(),
            leaving: BTreeMap::new(),
        }
    }

    pub(super) fn add(&mut self, times: &[i64], keys: &[ArrayRef], arguments: &[Option<ArrayRef>]) {
        self.waiting.add(times, keys, arguments, |time| (time, time..=time));
    }

    pub(super) fn close(&mut self, watermark: i64) -> (Vec<Closed>, i64) {
        let (mut bytes, mut reached) = (0, watermark);
        let (mut closed, mut results) = (Vec::new(), Results::new(&self.waiting.aggregates));
        self.waiting.drop_before(self.done);
        while let Some(instant) = self.next_change().filter(|instant| *instant <= bound(self.bounds, watermark)) {
            self.change(instant, &mut results);
            if results.ended.len() >= CLOSED_ROWS || results.pane.weight() > CLOSED_WEIGHT {
                let full = std::mem::replace(&mut results, Results::new(&self.waiting.aggregates));
                let full = full.pane.finish(full.ended, &self.key_types);
                bytes += full.bytes();
                closed.push(full);
            }
            if bytes > CLOSED_BYTES {
                reached = over_at(self.bounds, instant);
                break;
            }
        }
        if !results.ended.is_empty() {
            closed.push(results.pane.finish(results.ended, &self.key_types));
        }
        self.done = self.done.max(reached);
        (closed, reached)
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

    /// What leaves and what comes at an instant. Both together are one change of a group.
    fn change(&mut self, instant: i64, results: &mut Results) {
        let mut changed = self.leaving.remove(&instant).unwrap_or_default();
        let start = instant.saturating_sub(self.size_ms);
        for group in &changed {
            let queue = &mut self.queues[*group as usize];
            while queue.oldest().is_some_and(|time| time <= start) {
                queue.pop(&mut self.places);
            }
        }
        if let Some(rows) = self.waiting.take(instant) {
            let came: Vec<u32> = rows.keys().zip(0..).map(|(key, row)| self.come(instant, key, &rows, row)).collect();
            let leave = self.leaving.entry(instant.saturating_add(self.size_ms)).or_default();
            leave.extend_from_slice(&came);
            changed.extend(came);
            self.waiting.give_back(rows);
        }
        let mut changed = self.groups.in_order(changed.into_iter());
        changed.dedup();
        for group in changed {
            let queue = &mut self.queues[group as usize];
            if queue.len() > 0 {
                results.add(queue, &self.places, self.groups.key(group), start, instant);
            } else {
                queue.end(&mut self.places);
                self.groups.detach(group);
                self.groups.release(group);
            }
        }
    }

    /// All rows of a group at an instant; gives the group's number.
    fn come(&mut self, instant: i64, key: &[u8], rows: &Pane, row: u32) -> u32 {
        let place = self.places.place(&[]);
        self.places.merge_place(place, rows, row);
        let group = self.group(key);
        self.queues[group as usize].push(instant, place, &mut self.places);
        group
    }

    /// The number of a group, which has a queue of its own then.
    fn group(&mut self, key: &[u8]) -> u32 {
        let before = self.groups.len();
        let group = self.groups.slot(key);
        if self.groups.len() > before {
            let queue = Queue::new(&mut self.places);
            match self.queues.get_mut(group as usize) {
                Some(unused) => *unused = queue,
                None => self.queues.push(queue),
            }
        }
        group
    }

    pub(super) fn groups(&self) -> usize {
        self.waiting.groups() + self.places.len()
    }

    pub(super) fn weight(&self) -> usize {
        self.waiting.weight() + self.places.weight()
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.int(self.done);
        self.waiting.write(writer);
        let open = self.groups.in_order(self.groups.in_use());
        writer.count(open.len());
        for group in &open {
            writer.bytes(self.groups.key(*group));
            self.queues[*group as usize].write(writer);
        }
        let order: Vec<u32> = open.iter().flat_map(|group| self.queues[*group as usize].order()).collect();
        self.places.write(&order, writer);
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.done = reader.int()?;
        self.waiting.read(reader)?;
        self.groups = Pane::new(&[]);
        self.queues.clear();
        self.leaving.clear();
        let mut next = 0;
        for number in 0..reader.count()? {
            let group = self.groups.slot(reader.bytes()?);
            if group as usize != number {
                return Err(StateError);
            }
            let queue = Queue::read(&mut next, reader)?;
            for time in queue.times() {
                self.leaving.entry(time.saturating_add(self.size_ms)).or_default().push(group);
            }
            self.queues.push(queue);
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
