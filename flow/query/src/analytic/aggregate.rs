//! Aggregates over the rows up to a row: of each key the rows that are not too old, accumulated so that none has to be undone.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::concat;
use arrow::error::ArrowError;

use super::{Results, Rows, Sweep};
use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::{AggregateCall, Extent};
use crate::window::CLOSED_BYTES;
use crate::window::listed::BYTES_A_GROUP;
use crate::window::pane::Pane;
use crate::window::queue::Queue;

/// What the state of an aggregate takes beside the first of a row.
const STATE_BYTES: usize = 32;

/// What the results of rows of one instant may take: each may be all values that it looks back to.
const RESULT_BYTES_MAX: usize = 256 << 20;

/// What the results of rows of one instant take.
#[derive(Default)]
struct Instant {
    time: Option<i64>,
    given: usize,
}

impl Instant {
    /// Whether there may be results of one more row of this time.
    fn has_room(&mut self, time: i64) -> bool {
        if self.time.replace(time) != Some(time) {
            self.given = 0;
        }
        self.given <= RESULT_BYTES_MAX
    }
}

/// Results on their way: some rows' values at a time, what is made of those before.
struct Made {
    calls: Arc<[AggregateCall]>,
    /// What the results of the latest rows are made of, a place a row.
    open: Pane,
    /// How many rows were before those.
    before: usize,
    done: Vec<OfCall>,
}

/// What is made of one call.
#[derive(Default)]
struct OfCall {
    made: Vec<ArrayRef>,
    /// The rows that have no result, and why.
    failed: Vec<(usize, String)>,
}

impl Made {
    fn new(calls: &Arc<[AggregateCall]>) -> Self {
        let done = calls.iter().map(|_| OfCall::default()).collect();
        Self { calls: Arc::clone(calls), open: Pane::new(calls), before: 0, done }
    }

    /// Makes a place for the next row.
    fn begin_row(&mut self) {
        if self.open.value_bytes() > CLOSED_BYTES {
            self.close();
        }
        self.open.place(&[]);
    }

    /// Computes over what the last row looks back to, and gives about what its results take.
    fn add(&mut self, queue: &Queue, places: &Pane) -> usize {
        let before = self.listed_bytes();
        let row = self.open.len() as u32 - 1;
        queue.total(places, &mut self.open, row);
        self.listed_bytes() - before
    }

    /// What values take that are results themselves.
    fn listed_bytes(&self) -> usize {
        let accumulators = self.open.accumulators.iter().zip(&*self.calls);
        let listed = accumulators.filter(|(_, call)| call.function.gives_values());
        listed.map(|(accumulator, _)| accumulator.weight() * BYTES_A_GROUP).sum()
    }

    fn leave_out(&mut self, row: usize) {
        if let Some(OfCall { failed, .. }) = self.done.first_mut() {
            let mebibytes = RESULT_BYTES_MAX >> 20;
            failed.push((row, format!("the rows of this time look back to more than {mebibytes} MiB of values")));
        }
    }

    /// Makes the results of the latest rows; their values are let go.
    fn close(&mut self) {
        let places: Vec<u32> = (0..self.open.len() as u32).collect();
        for (OfCall { made, failed }, accumulator) in self.done.iter_mut().zip(&self.open.accumulators) {
            let error = |place: &u32| Some((self.before + *place as usize, accumulator.error(*place)?));
            failed.extend(places.iter().filter_map(error));
            made.push(accumulator.finish(&places));
        }
        self.before += places.len();
        self.open = Pane::new(&self.calls);
    }

    fn finish(mut self) -> Result<Vec<Results>, ArrowError> {
        self.close();
        let joined = |OfCall { made, failed }: OfCall| {
            let made: Vec<&dyn Array> = made.iter().map(AsRef::as_ref).collect();
            Ok((concat(&made)?, failed))
        };
        self.done.into_iter().map(joined).collect()
    }
}

/// Aggregates of the same rows, which are kept once.
pub(super) struct Aggregates {
    /// What is computed of the same rows.
    calls: Arc<[AggregateCall]>,
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
        Self { calls: calls.into(), extent, places, open, bytes: 0, sweep }
    }

    /// The results of each aggregate over rows, and which rows have none; `rows` holds the arguments of those that have one.
    pub(super) fn evaluate(&mut self, rows: &Rows) -> Result<Vec<Results>, ArrowError> {
        let places: Vec<u32> = (0..rows.times.len() as u32).collect();
        let mut single = Pane::new(&self.calls);
        for _ in &places {
            single.place(&[]);
        }
        let mut arguments = rows.values.iter();
        for (accumulator, call) in single.accumulators.iter_mut().zip(&*self.calls) {
            accumulator.add(&places, call.argument.as_ref().and_then(|_| arguments.next()));
        }
        let (mut made, mut instant) = (Made::new(&self.calls), Instant::default());
        for (row, &time) in places.iter().zip(rows.times) {
            let key = rows.keys.row(*row as usize);
            if rows.counts(*row as usize) {
                self.come(key, time, &single, *row);
            }
            made.begin_row();
            if let Some(queue) = self.open.get_mut(key) {
                leave(queue, self.extent, time, &mut self.places);
                match instant.has_room(time) {
                    true => instant.given += made.add(queue, &self.places),
                    false => made.leave_out(*row as usize),
                }
            }
        }
        made.finish()
    }

    /// About what one row's results may take, where they are made of values one by one.
    pub(super) fn result_bytes(&self) -> Option<usize> {
        let holds = self.calls.iter().any(|call| call.distinct || call.function.keeps_values());
        holds.then(|| self.places.value_bytes())
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
