//! Aggregates over the rows up to a row: of each key the rows that are not too old, accumulated so that none has to be undone.

use std::collections::BTreeMap;

use super::{Results, Rows, Sweep};
use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::{AggregateCall, Extent};
use crate::window::accumulator::Accumulator;
use crate::window::pane::Pane;
use crate::window::queue::Queue;

/// What the state of an aggregate takes beside the first of a row.
const STATE_BYTES: usize = 32;

/// What the results of rows of one instant may take: each may hold all values that it looks back to.
const RESULT_BYTES_MAX: usize = 256 << 20;

/// Aggregates of the same rows, which are kept once.
pub(super) struct Aggregates {
    /// What is computed of the same rows.
    calls: Vec<AggregateCall>,
    pub(super) extent: Extent,
    /// What is accumulated of each row that counts.
    places: Pane,
    /// By key its rows.
    open: BTreeMap<Box<[u8]>, Queue>,
    /// Of the keys.
    bytes: usize,
    sweep: Sweep,
}

impl Aggregates {
    pub(super) fn new(calls: Vec<AggregateCall>, extent: Extent) -> Self {
        let (places, open, sweep) = (Pane::new(&calls), BTreeMap::new(), Sweep::of(extent));
        Self { calls, extent, places, open, bytes: 0, sweep }
    }

    /// The results of each aggregate over rows, and which rows have none; `rows` holds the arguments of those that have one.
    pub(super) fn evaluate(&mut self, rows: &Rows) -> Vec<Results> {
        let places: Vec<u32> = (0..rows.times.len() as u32).collect();
        let (mut single, mut results) = (Pane::new(&self.calls), Pane::new(&self.calls));
        for _ in &places {
            single.place(&[]);
            results.place(&[]);
        }
        let mut arguments = rows.values.iter();
        for (accumulator, call) in single.accumulators.iter_mut().zip(&self.calls) {
            accumulator.add(&places, call.argument.as_ref().and_then(|_| arguments.next()));
        }
        let mut left_out = Vec::new();
        for (row, &time) in places.iter().zip(rows.times) {
            let key = rows.keys.row(*row as usize);
            if rows.counts(*row as usize) {
                self.come(key, time, &single, *row);
            }
            if let Some(queue) = self.open.get_mut(key) {
                leave(queue, self.extent, time, &mut self.places);
                match results.value_bytes() > RESULT_BYTES_MAX {
                    true => left_out.push(*row as usize),
                    false => queue.total(&self.places, &mut results, *row),
                }
            }
        }
        let result = |accumulator: &Accumulator| {
            let failed =
                places.iter().filter_map(|place| Some((*place as usize, accumulator.error(*place)?))).collect();
            (accumulator.finish(&places), failed)
        };
        let mut found: Vec<Results> = results.accumulators.iter().map(result).collect();
        if let Some((_, failed)) = found.first_mut() {
            let mebibytes = RESULT_BYTES_MAX >> 20;
            let told = format!("the rows of this time look back to more than {mebibytes} MiB of values");
            failed.extend(left_out.into_iter().map(|row| (row, told.clone())));
        }
        found
    }

    /// About what one row's results may take, if they hold values one by one.
    pub(super) fn result_bytes(&self) -> usize {
        let holds = self.calls.iter().any(|call| call.distinct || call.function.keeps_values());
        if holds { self.places.value_bytes() } else { 0 }
    }

    /// A row that counts from now on.
    fn come(&mut self, key: &[u8], time: i64, single: &Pane, row: u32) {
        let place = self.places.place(&[]);
        self.places.merge_place(place, single, row);
        let queue = match self.open.get_mut(key) {
            Some(queue) => queue,
            None => {
                self.bytes += key.len();
                self.open.entry(key.into()).or_insert(Queue::new(&mut self.places))
            }
        };
        queue.push(time, place, &mut self.places);
    }

    pub(super) fn forget(&mut self, now: i64) {
        if !self.sweep.is_due(now) {
            return;
        }
        let oldest = self.extent.oldest(now);
        let over = |queue: &Queue| queue.newest().is_none_or(|time| time < oldest);
        let gone: Vec<Box<[u8]>> =
            self.open.iter().filter(|(_, queue)| over(queue)).map(|(key, _)| key.clone()).collect();
        for key in gone {
            let Some(mut queue) = self.open.remove(&key) else { continue };
            self.bytes -= key.len();
            leave(&mut queue, self.extent, now, &mut self.places);
            queue.end(&mut self.places);
        }
    }

    pub(super) fn entries(&self) -> usize {
        self.places.len()
    }

    /// Of keys, and of values that are kept as they are.
    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.places.value_bytes() + self.places.len() * (self.calls.len() - 1) * STATE_BYTES
    }

    /// Writes the rows that those from a time on may count.
    pub(super) fn write(&self, now: i64, writer: &mut Writer) {
        let oldest = self.extent.oldest(now);
        let open = || self.open.iter().filter(|(_, queue)| queue.newest().is_some_and(|time| time >= oldest));
        writer.count(open().count());
        for (key, queue) in open() {
            writer.bytes(key);
            queue.write(writer);
        }
        let order: Vec<u32> = open().flat_map(|(_, queue)| queue.order()).collect();
        self.places.write(&order, writer);
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.open.clear();
        self.bytes = 0;
        let mut next = 0;
        for _ in 0..reader.count()? {
            let key: Box<[u8]> = reader.bytes()?.into();
            self.bytes += key.len();
            self.open.insert(key, Queue::read(&mut next, reader)?);
        }
        self.places = Pane::read_places(&self.calls, reader)?;
        if self.places.len() == next as usize { Ok(()) } else { Err(StateError) }
    }
}

/// Lets rows go to which one of some time does not go back.
fn leave(queue: &mut Queue, extent: Extent, time: i64, places: &mut Pane) {
    let oldest = extent.oldest(time);
    while queue.oldest().is_some_and(|time| time < oldest) || queue.len() > extent.rows() {
        queue.pop(places);
    }
}
