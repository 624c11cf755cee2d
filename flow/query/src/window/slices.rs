//! Panes by the time at which they begin: where rows go first, whatever kind of window they will be in.

use std::collections::BTreeMap;

use arrow::array::ArrayRef;

use super::key::KeyEncoder;
use super::pane::Pane;
use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::AggregateCall;

pub(super) struct Slices {
    pub(super) aggregates: Vec<AggregateCall>,
    pub(super) panes: BTreeMap<i64, Pane>,
    /// Whether each row has a place of its own, also among rows of its key.
    apart: bool,
    encoder: KeyEncoder,
    slots: Vec<u32>,
}

impl Slices {
    pub(super) fn new(aggregates: Vec<AggregateCall>) -> Self {
        let (panes, encoder, slots) = (BTreeMap::new(), KeyEncoder::default(), Vec::new());
        Self { aggregates, panes, apart: false, encoder, slots }
    }

    /// Slices that keep rows apart, in the order in which they came.
    pub(super) fn of_rows(aggregates: Vec<AggregateCall>) -> Self {
        Self { apart: true, ..Self::new(aggregates) }
    }

    /// Adds rows: their times, keys and the aggregates' arguments. `start` says when the slice of a time begins.
    pub(super) fn add(
        &mut self,
        times: &[i64],
        keys: &[ArrayRef],
        arguments: &[Option<ArrayRef>],
        start: impl Fn(i64) -> i64,
    ) {
        let encoded = self.encoder.encode(keys, times.len());
        let mut from = 0;
        // Rows come nearly in the order of time: a batch is a few runs of rows of one pane, most often one.
        while from < times.len() {
            let slice = start(times[from]);
            let run = times[from..].iter().take_while(|&&time| start(time) == slice).count();
            let pane = self.panes.entry(slice).or_insert_with(|| Pane::new(&self.aggregates));
            self.slots.clear();
            for row in from..from + run {
                let key = encoded.row(row);
                self.slots.push(if self.apart { pane.place(key) } else { pane.slot(key) });
            }
            for (accumulator, argument) in pane.accumulators.iter_mut().zip(arguments) {
                let argument = argument.as_ref().map(|array| array.slice(from, run));
                accumulator.add(&self.slots, argument.as_ref());
            }
            from += run;
        }
    }

    /// The start of the first slice.
    pub(super) fn first(&self) -> Option<i64> {
        self.panes.keys().next().copied()
    }

    /// Drops all slices that start before.
    pub(super) fn drop_before(&mut self, start: i64) {
        while self.first().is_some_and(|first| first < start) {
            self.panes.pop_first();
        }
    }

    /// Groups over all panes.
    pub(super) fn groups(&self) -> usize {
        self.panes.values().map(Pane::len).sum()
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.count(self.panes.len());
        for (start, pane) in &self.panes {
            writer.int(*start);
            // None of these panes lets a group go.
            let order: Vec<u32> = (0..pane.len() as u32).collect();
            pane.write(&order, writer);
        }
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.panes.clear();
        for _ in 0..reader.count()? {
            let start = reader.int()?;
            let read = if self.apart { Pane::read_places } else { Pane::read };
            self.panes.insert(start, read(&self.aggregates, reader)?);
        }
        Ok(())
    }
}
