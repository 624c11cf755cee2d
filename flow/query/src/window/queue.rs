//! What is accumulated over a queue of places from which the oldest leave: two stacks, so that no aggregate has to be undone
//! and each place is added up a constant number of times.
//!
//! The places at the front hold what is accumulated from them to the last of the front; behind them each holds its own, and one
//! more holds what is accumulated of these. Values that are kept one by one are not added up: each place keeps its own.

use std::collections::VecDeque;

use super::pane::Pane;
use crate::executor::state::{Reader, StateError, Writer};

pub(crate) struct Queue {
    /// Times and places, oldest first.
    places: VecDeque<(i64, u32)>,
    /// How many are the front.
    front: usize,
    /// What is accumulated of those behind the front.
    back: u32,
}

impl Queue {
    pub(crate) fn new(pane: &mut Pane) -> Self {
        Self { places: VecDeque::new(), front: 0, back: pane.place(&[]) }
    }

    pub(crate) fn oldest(&self) -> Option<i64> {
        self.places.front().map(|(time, _)| *time)
    }

    pub(crate) fn newest(&self) -> Option<i64> {
        self.places.back().map(|(time, _)| *time)
    }

    /// How many places it has.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Adds a place, which it gives up when it leaves.
    pub(crate) fn push(&mut self, time: i64, place: u32, pane: &mut Pane) {
        pane.fold(self.back, place);
        self.places.push_back((time, place));
    }

    /// Lets the oldest leave.
    pub(crate) fn pop(&mut self, pane: &mut Pane) {
        if self.front == 0 {
            for newer in (1..self.places.len()).rev() {
                pane.fold(self.places[newer - 1].1, self.places[newer].1);
            }
            self.front = self.places.len();
            pane.reset(self.back);
        }
        if let Some((_, place)) = self.places.pop_front() {
            pane.release(place);
            self.front -= 1;
        }
    }

    /// Adds what is accumulated over the whole queue to a place of another pane.
    pub(crate) fn total(&self, pane: &Pane, results: &mut Pane, into: u32) {
        let front = self.places.front().filter(|_| self.front > 0).map(|(_, place)| *place);
        results.merge_queue(into, pane, (front, self.back), self.places.iter().map(|(_, place)| *place));
    }

    /// Gives up the last place of an empty queue, which is one no more.
    pub(crate) fn end(&self, pane: &mut Pane) {
        pane.release(self.back);
    }

    /// All its places, in the order in which it is written.
    pub(crate) fn order(&self) -> impl Iterator<Item = u32> {
        std::iter::once(self.back).chain(self.places.iter().map(|(_, place)| *place))
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.count(self.places.len());
        writer.int(self.front as i64);
        self.places.iter().for_each(|(time, _)| writer.int(*time));
    }

    /// Reads a queue whose places are those from `next` on; moves that behind them.
    pub(crate) fn read(next: &mut u32, reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let count = reader.count()?;
        let front = usize::try_from(reader.int()?).ok().filter(|front| *front <= count).ok_or(StateError)?;
        let back = *next;
        let mut places = VecDeque::with_capacity(count);
        for _ in 0..count {
            *next += 1;
            places.push_back((reader.int()?, *next));
        }
        *next += 1;
        Ok(Self { places, front, back })
    }

    /// Times, oldest first.
    pub(crate) fn times(&self) -> impl Iterator<Item = i64> {
        self.places.iter().map(|(time, _)| *time)
    }
}
