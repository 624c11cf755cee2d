//! The different values of each group, for aggregates with `DISTINCT`.

use std::collections::BTreeSet;

use arrow::array::AsArray as _;
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use super::key::Builder;
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
        let mut builder = Builder::new(&DataType::Int64);
        self.places[place].iter().for_each(|value| builder.take(&mut &**value));
        let found = builder.finish();
        let values = found.as_primitive::<Int64Type>();
        (0..values.len()).map(|row| i128::from(values.value(row))).sum()
    }

    /// The sum of a group's values in floating point.
    pub(super) fn float_sum(&self, place: usize) -> f64 {
        let mut builder = Builder::new(&DataType::Float64);
        self.places[place].iter().for_each(|value| builder.take(&mut &**value));
        builder.finish().as_primitive::<Float64Type>().values().iter().sum()
    }

    pub(super) fn write(&self, places: impl Iterator<Item = usize>, writer: &mut Writer) {
        for values in places.map(|place| &self.places[place]) {
            writer.count(values.len());
            values.iter().for_each(|value| writer.bytes(value));
        }
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        for place in 0..self.places.len() {
            for _ in 0..reader.count()? {
                self.add(place, reader.bytes()?);
            }
        }
        Ok(())
    }
}
