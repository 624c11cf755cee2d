//! Panes by the time at which they begin: where rows go first, whatever kind of window they will be in.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use arrow::array::ArrayRef;

use super::key::KeyEncoder;
use super::pane::Pane;
use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::AggregateCall;

/// What a pane costs besides its groups, in groups, and what it costs for each aggregate.
const PANE_WEIGHT: usize = 2;

pub(super) struct Slices {
    pub(super) aggregates: Vec<AggregateCall>,
    panes: BTreeMap<i64, Pane>,
    /// What all panes cost, in groups.
    held: usize,
    /// A pane that was let go, for the next that is begun.
    spare: Option<Pane>,
    encoder: KeyEncoder,
    slots: Vec<u32>,
}

impl Slices {
    pub(super) fn new(aggregates: Vec<AggregateCall>) -> Self {
        let (panes, encoder, slots) = (BTreeMap::new(), KeyEncoder::default(), Vec::new());
        Self { aggregates, panes, held: 0, spare: None, encoder, slots }
    }

    /// Adds rows: their times, keys and the aggregates' arguments. `slice` says when the slice of a time begins, and which times
    /// it has.
    pub(super) fn add(
        &mut self,
        times: &[i64],
        keys: &[ArrayRef],
        arguments: &[Option<ArrayRef>],
        slice: impl Fn(i64) -> (i64, RangeInclusive<i64>),
    ) {
        let encoded = self.encoder.encode(keys, times.len());
        let mut from = 0;
        // Rows come nearly in the order of time: a batch is a few runs of rows of one pane, most often one.
        while from < times.len() {
            let (start, of_slice) = slice(times[from]);
            let run = times[from..].iter().take_while(|time| of_slice.contains(time)).count();
            let new = || self.spare.take().unwrap_or_else(|| Pane::new(&self.aggregates));
            let pane = self.panes.entry(start).or_insert_with(new);
            let before = pane.weight();
            pane.slots(&encoded, from..from + run, &mut self.slots);
            for (accumulator, argument) in pane.accumulators.iter_mut().zip(arguments) {
                let argument = argument.as_ref().map(|array| array.slice(from, run));
                accumulator.add(&self.slots, argument.as_ref());
            }
            // It may cost less than before: a long value that is no longer among the first of an order is let go.
            self.held = self.held + pane.weight() - before;
            from += run;
        }
    }

    /// The start of the first slice.
    pub(super) fn first(&self) -> Option<i64> {
        self.panes.keys().next().copied()
    }

    /// The slices that start from one time on and before another: when, and their panes.
    pub(super) fn between(&self, start: i64, end: i64) -> impl Iterator<Item = (i64, &Pane)> {
        self.panes.range(start..end).map(|(begin, pane)| (*begin, pane))
    }

    /// Takes the slice that starts then.
    pub(super) fn take(&mut self, start: i64) -> Option<Pane> {
        let pane = self.panes.remove(&start)?;
        self.held -= pane.weight();
        Some(pane)
    }

    /// Takes the first slice if it starts before.
    pub(super) fn take_before(&mut self, end: i64) -> Option<(i64, Pane)> {
        let first = self.first().filter(|first| *first < end)?;
        Some((first, self.take(first)?))
    }

    /// Drops all slices that start before.
    pub(super) fn drop_before(&mut self, start: i64) {
        while let Some((_, pane)) = self.take_before(start) {
            self.give_back(pane);
        }
    }

    /// Gives back a pane that was taken and is needed no more.
    pub(super) fn give_back(&mut self, pane: Pane) {
        self.spare = pane.emptied();
    }

    /// Groups over all panes, and what is kept of them.
    pub(super) fn groups(&self) -> usize {
        self.held
    }

    /// What they cost, in groups: a pane of one group costs as much as several in one.
    pub(super) fn weight(&self) -> usize {
        self.held + self.panes.len() * PANE_WEIGHT * (1 + self.aggregates.len())
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
        self.held = 0;
        for _ in 0..reader.count()? {
            let start = reader.int()?;
            let pane = Pane::read(&self.aggregates, reader)?;
            self.held += pane.weight();
            self.panes.insert(start, pane);
        }
        Ok(())
    }
}
