//! The different values of each group, for aggregates with `DISTINCT`.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;

use super::key::{float, int, word_of};
use super::listed::cost;
use crate::executor::state::{Reader, StateError, Writer};

/// The values of all groups of a pane, in key encoding.
pub(super) struct Distinct {
    /// The values' type.
    argument: DataType,
    places: Vec<BTreeSet<Box<[u8]>>>,
    /// What they cost, in groups.
    weight: usize,
}

impl Distinct {
    pub(super) fn new(argument: DataType) -> Self {
        Self { argument, places: Vec::new(), weight: 0 }
    }

    /// Makes so many places more.
    pub(super) fn grow(&mut self, places: usize) {
        self.places.resize(self.places.len() + places, BTreeSet::new());
    }

    /// Takes all places away.
    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.weight = 0;
    }

    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// Whether the values are whole numbers, whose sums are exact.
    pub(super) fn is_whole(&self) -> bool {
        self.argument == DataType::Int64
    }

    /// How many different values a group has.
    pub(super) fn count(&self, place: usize) -> i64 {
        self.places[place].len() as i64
    }

    /// Adds a value to a group.
    pub(super) fn add(&mut self, place: usize, value: &[u8]) {
        if !self.places[place].contains(value) {
            self.weight += cost(value);
            self.places[place].insert(value.into());
        }
    }

    /// Adds another pane's values of a place to those of a place here.
    pub(super) fn merge(&mut self, into: usize, other: &Self, from: usize) {
        other.places[from].iter().for_each(|value| self.add(into, value));
    }

    pub(super) fn reset(&mut self, place: usize) {
        self.weight -= self.places[place].iter().map(|value| cost(value)).sum::<usize>();
        self.places[place] = BTreeSet::new();
    }

    /// The sum of a group's values, which are whole.
    pub(super) fn sum(&self, place: usize) -> i128 {
        self.words(place).map(|word| i128::from(int(word))).sum()
    }

    /// The sum of a group's values in floating point.
    pub(super) fn float_sum(&self, place: usize) -> f64 {
        self.words(place).map(float).sum()
    }

    /// The words of a group's numbers.
    fn words(&self, place: usize) -> impl Iterator<Item = [u8; 8]> {
        self.places[place].iter().filter_map(|value| word_of(value)).map(u64::to_be_bytes)
    }

    pub(super) fn write(&self, places: impl Iterator<Item = usize>, writer: &mut Writer) {
        places.for_each(|place| writer.list(self.places[place].iter()));
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        (0..self.places.len()).try_for_each(|place| reader.list(|value| self.add(place, value)))
    }
}
