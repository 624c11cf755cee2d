//! Values that an aggregate keeps one by one: all of them in the order in which they came, or the first of an order.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Float64Array, LargeStringArray};
use arrow::datatypes::{DataType, Float64Type};

use super::key::{Builder, encode_exact};
use crate::executor::state::{Reader, StateError, Writer};
use crate::expression::user_defined::timed_parts;
use crate::plan::{AggregateFunction, Part};
use crate::script::{Answer, UserFunction};
use crate::value::record::of_rank;

/// So many bytes of values count as much as a group.
pub(crate) const BYTES_A_GROUP: usize = 128;

/// The most ranked values that are kept of sums, too: what is kept of all values is kept once.
const RANKS_ADDED_UP: usize = 16;

/// As many values are given to a script at once.
const SCRIPTED_VALUES: usize = 65_536;

/// The values of all groups of a pane.
pub(super) struct Listed {
    function: AggregateFunction,
    result: DataType,
    places: Vec<Vec<Box<[u8]>>>,
    /// What they cost, in groups.
    weight: usize,
}

impl Listed {
    /// The state of a function that keeps values.
    pub(super) fn new(function: AggregateFunction, result: &DataType) -> Self {
        Self { function, result: result.clone(), places: Vec::new(), weight: 0 }
    }

    pub(super) fn grow(&mut self, places: usize) {
        self.places.resize(self.places.len() + places, Vec::new());
    }

    pub(super) fn weight(&self) -> usize {
        self.weight
    }

    /// Whether values of places are added to each other, rather than kept once with their place.
    pub(super) fn adds_up(&self) -> bool {
        self.function.ranks().is_some_and(|ranks| ranks <= RANKS_ADDED_UP)
    }

    /// Adds the value of a row. NULL is one of the values of an array, and otherwise none.
    pub(super) fn add(&mut self, place: usize, array: &ArrayRef, row: usize) {
        let value: Box<[u8]> = match array.data_type() {
            _ if array.is_null(row) && self.function == AggregateFunction::Collect => b"null".as_slice().into(),
            _ if array.is_null(row) => return,
            DataType::Binary => array.as_binary::<i32>().value(row).into(),
            DataType::LargeUtf8 => array.as_string::<i64>().value(row).as_bytes().into(),
            _ => {
                let mut bytes = Vec::new();
                encode_exact(array, row, &mut bytes);
                bytes.into()
            }
        };
        self.keep(place, value);
    }

    fn keep(&mut self, place: usize, value: Box<[u8]>) {
        let values = &mut self.places[place];
        self.weight += cost(&value);
        let Some(most) = self.function.ranks() else { return values.push(value) };
        let rank = values.partition_point(|other| *other <= value);
        values.insert(rank, value);
        if values.len() > most
            && let Some(last) = values.pop()
        {
            self.weight -= cost(&last);
        }
    }

    /// Adds another pane's values of a place to those of a place here.
    pub(super) fn merge(&mut self, into: usize, other: &Self, from: usize) {
        other.places[from].iter().for_each(|value| self.keep(into, value.clone()));
    }

    /// Adds the values of a place to those of another.
    pub(super) fn fold(&mut self, into: usize, from: usize) {
        for value in self.places[from].clone() {
            self.keep(into, value);
        }
    }

    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.weight = 0;
    }

    pub(super) fn reset(&mut self, place: usize) {
        self.weight -= self.places[place].iter().map(|value| cost(value)).sum::<usize>();
        self.places[place] = Vec::new();
    }

    /// The results of places.
    pub(super) fn finish(&self, places: impl Iterator<Item = usize>) -> ArrayRef {
        let places = places.map(|place| self.places[place].as_slice());
        match self.function {
            AggregateFunction::TopOne => {
                let first = |values: &[Box<[u8]>]| values.first().map(|value| of_rank(value).to_owned());
                Arc::new(places.map(first).collect::<LargeStringArray>())
            }
            AggregateFunction::CollectTop(_) => Arc::new(places.map(ranking).map(Some).collect::<LargeStringArray>()),
            AggregateFunction::PercentileCont(part) => {
                Arc::new(places.map(|values| interpolated(values, part)).collect::<Float64Array>())
            }
            AggregateFunction::PercentileDisc(part) => {
                let mut builder = Builder::new(&self.result);
                // No bytes read as NULL.
                places.for_each(|values| builder.take(&mut nth(values, part).as_slice()));
                builder.finish()
            }
            _ => Arc::new(places.map(array).map(Some).collect::<LargeStringArray>()),
        }
    }

    /// What a script makes of the values of places, each place's in the order of their times, those of one time as they came.
    pub(super) fn answers(&self, script: &UserFunction, order: &[u32]) -> Vec<Answer> {
        let (mut answers, mut groups, mut count) = (Vec::with_capacity(order.len()), Vec::new(), 0);
        for place in order {
            let values = self.places[*place as usize].iter().filter_map(|value| timed_parts(value));
            let mut group: Vec<(i64, String)> = values.map(|(time, json)| (time, json.to_owned())).collect();
            group.sort_by_key(|(time, _)| *time);
            count += group.len();
            groups.push(group);
            if count >= SCRIPTED_VALUES {
                answers.extend(script.aggregate(std::mem::take(&mut groups)));
                count = 0;
            }
        }
        answers.extend(script.aggregate(groups));
        answers
    }

    pub(super) fn write(&self, places: impl Iterator<Item = usize>, writer: &mut Writer) {
        places.for_each(|place| writer.list(self.places[place].iter()));
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        (0..self.places.len()).try_for_each(|place| reader.list(|value| self.keep(place, value.into())))
    }
}

/// What a value costs, in groups.
pub(super) fn cost(value: &[u8]) -> usize {
    1 + value.len() / BYTES_A_GROUP
}

/// JSON texts as an array of them.
fn array(values: &[Box<[u8]>]) -> String {
    let texts = values.iter().map(|value| std::str::from_utf8(value).unwrap_or("null"));
    format!("[{}]", texts.collect::<Vec<_>>().join(","))
}

/// Ranked values as an array of records `{"rank":1,"value":…}`.
fn ranking(values: &[Box<[u8]>]) -> String {
    let mut json = String::from("[");
    for (place, value) in values.iter().enumerate() {
        let comma = if place == 0 { "" } else { "," };
        // Writing into a text does not fail.
        let _ = write!(json, "{comma}{{\"rank\":{},\"value\":{}}}", place + 1, of_rank(value));
    }
    json.push(']');
    json
}

/// The values in the order of a percentile: least first, or greatest.
fn sorted(values: &[Box<[u8]>], part: Part) -> Vec<&[u8]> {
    let mut sorted: Vec<&[u8]> = values.iter().map(|value| &**value).collect();
    sorted.sort_unstable();
    if part.descending {
        sorted.reverse();
    }
    sorted
}

/// The first value up to which such a part of all values lies.
fn nth(values: &[Box<[u8]>], part: Part) -> Vec<u8> {
    let sorted = sorted(values, part);
    let reaches = |count: usize| count as f64 / sorted.len() as f64 >= part.fraction();
    // Where values begin that are enough: the share of the first ones only grows.
    let (mut below, mut enough) = (0, sorted.len());
    while enough - below > 1 {
        let middle = below.midpoint(enough);
        if reaches(middle) { enough = middle } else { below = middle }
    }
    sorted.get(enough.saturating_sub(1)).map_or_else(Vec::new, |value| value.to_vec())
}

/// The value at such a part of the way from the first value to the last, between two of them in proportion.
fn interpolated(values: &[Box<[u8]>], part: Part) -> Option<f64> {
    let mut builder = Builder::new(&DataType::Float64);
    sorted(values, part).into_iter().for_each(|mut value| builder.take(&mut value));
    let floats = builder.finish();
    let floats = floats.as_primitive::<Float64Type>();
    let place = part.fraction() * (floats.len().checked_sub(1)? as f64);
    let (low, high) = (floats.value(place.floor() as usize), floats.value(place.ceil() as usize));
    Some(low + (high - low) * place.fract())
}
