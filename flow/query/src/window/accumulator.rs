//! What is accumulated of each group: one column of state per aggregate, a place per group.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray as _, Float64Array, Int64Array, PrimitiveArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};

use super::distinct::Distinct;
use super::key::{Builder, encode_value, has_words, ordered_words, word_bytes, word_of};
use super::listed::{BYTES_A_GROUP, Listed};
use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::{AggregateCall, AggregateFunction, VALUE};
use crate::script::{Answer, UserFunction};
use crate::value::convert;

/// One aggregate of all groups of a pane.
pub(crate) struct Accumulator {
    text: String,
    result: DataType,
    /// Whether the result is the mean of what the state sums.
    average: bool,
    /// What computes the result of the values that are kept.
    script: Option<Arc<UserFunction>>,
    state: State,
}

enum State {
    /// Rows, or values that are not null.
    Count(Vec<i64>),
    /// Integers as 128 bits: no run of 64-bit integers that fits memory overflows them.
    SumInt(Vec<(i128, i64)>),
    /// Floating point sums with the number of values.
    SumFloat(Vec<(f64, i64)>),
    /// Number, mean and sum of squared distances (Welford; merged by Chan's formula).
    Moments(AggregateFunction, Vec<(f64, f64, f64)>),
    /// The least or greatest of numbers or times, as words that sort as they do.
    ExtremeWord { greatest: bool, values: Vec<Option<u64>> },
    /// The least or greatest of other values in key encoding, which sorts as values do; empty: none. With what long ones cost, in groups.
    Extreme { greatest: bool, values: Vec<Vec<u8>>, weight: usize },
    /// The different values.
    Distinct(AggregateFunction, Distinct),
    /// Values one by one.
    Listed(Listed),
}

impl Accumulator {
    pub(crate) fn new(call: &AggregateCall) -> Self {
        let argument = call.argument.as_ref().map_or(DataType::Int64, |argument| argument.data_type.clone());
        let integers = argument == DataType::Int64;
        let state = match call.function {
            function if function.keeps_values() => State::Listed(Listed::new(function, &call.data_type)),
            function if call.distinct => State::Distinct(function, Distinct::new(argument)),
            AggregateFunction::Count => State::Count(Vec::new()),
            AggregateFunction::Sum | AggregateFunction::Avg if integers => State::SumInt(Vec::new()),
            AggregateFunction::Sum | AggregateFunction::Avg => State::SumFloat(Vec::new()),
            AggregateFunction::Min | AggregateFunction::Max => {
                let greatest = call.function == AggregateFunction::Max;
                match has_words(&argument) {
                    true => State::ExtremeWord { greatest, values: Vec::new() },
                    false => State::Extreme { greatest, values: Vec::new(), weight: 0 },
                }
            }
            function => State::Moments(function, Vec::new()),
        };
        let average = call.function == AggregateFunction::Avg;
        Self { text: call.text.clone(), result: call.data_type.clone(), average, script: call.script.clone(), state }
    }

    /// Makes places for more groups.
    pub(crate) fn grow(&mut self, places: usize) {
        match &mut self.state {
            State::Count(counts) => counts.resize(counts.len() + places, 0),
            State::SumInt(sums) => sums.resize(sums.len() + places, (0, 0)),
            State::SumFloat(sums) => sums.resize(sums.len() + places, (0.0, 0)),
            State::Moments(_, moments) => moments.resize(moments.len() + places, (0.0, 0.0, 0.0)),
            State::ExtremeWord { values, .. } => values.resize(values.len() + places, None),
            State::Extreme { values, .. } => values.resize(values.len() + places, Vec::new()),
            State::Distinct(_, distinct) => distinct.grow(places),
            State::Listed(listed) => listed.grow(places),
        }
    }

    /// Takes all places away; their memory is used again.
    pub(crate) fn clear(&mut self) {
        match &mut self.state {
            State::Count(counts) => counts.clear(),
            State::SumInt(sums) => sums.clear(),
            State::SumFloat(sums) => sums.clear(),
            State::Moments(_, moments) => moments.clear(),
            State::ExtremeWord { values, .. } => values.clear(),
            State::Extreme { values, weight, .. } => {
                values.clear();
                *weight = 0;
            }
            State::Distinct(_, distinct) => distinct.clear(),
            State::Listed(listed) => listed.clear(),
        }
    }

    /// What its values cost besides their groups, in groups.
    pub(crate) fn weight(&self) -> usize {
        match &self.state {
            State::Listed(listed) => listed.weight(),
            State::Distinct(_, distinct) => distinct.weight(),
            State::Extreme { weight, .. } => *weight,
            _ => 0,
        }
    }

    /// Adds rows: the place of each row's group, and the argument's values.
    pub(crate) fn add(&mut self, slots: &[u32], argument: Option<&ArrayRef>) {
        match (&mut self.state, argument) {
            (State::Count(counts), None) => slots.iter().for_each(|&slot| counts[slot as usize] += 1),
            (State::Count(counts), Some(array)) => {
                each_present(slots, array, |slot, _| counts[slot] += 1);
            }
            (State::SumInt(sums), Some(array)) => {
                each_value(slots, array.as_primitive::<Int64Type>(), |slot, value| {
                    let (sum, count) = &mut sums[slot];
                    (*sum, *count) = (*sum + i128::from(value), *count + 1);
                });
            }
            (State::SumFloat(sums), Some(array)) => {
                each_value(slots, array.as_primitive::<Float64Type>(), |slot, value| {
                    let (sum, count) = &mut sums[slot];
                    (*sum, *count) = (*sum + value, *count + 1);
                });
            }
            (State::Moments(_, moments), Some(array)) => {
                let value = |row| match array.data_type() {
                    DataType::Int64 => array.as_primitive::<Int64Type>().value(row) as f64,
                    _ => array.as_primitive::<Float64Type>().value(row),
                };
                each_present(slots, array, |slot, row| {
                    moments[slot] = combine(moments[slot], (1.0, value(row), 0.0));
                });
            }
            (State::ExtremeWord { greatest, values }, Some(array)) => {
                let words = ordered_words(array);
                each_present(slots, array, |slot, row| keep_word(*greatest, &mut values[slot], words[row]));
            }
            (State::Extreme { greatest, values, weight }, Some(array)) => {
                let mut encoded = Vec::new();
                each_present(slots, array, |slot, row| {
                    encoded.clear();
                    encode_value(array, row, &mut encoded);
                    keep_extreme(*greatest, weight, &mut values[slot], &encoded);
                });
            }
            (State::Distinct(_, distinct), Some(array)) => {
                let mut encoded = Vec::new();
                each_present(slots, array, |slot, row| {
                    encoded.clear();
                    encode_value(array, row, &mut encoded);
                    distinct.add(slot, &encoded);
                });
            }
            (State::Listed(listed), Some(array)) => {
                slots.iter().enumerate().for_each(|(row, &slot)| listed.add(slot as usize, array, row));
            }
            // The planner gives every aggregate but COUNT(*) an argument.
            (_, None) => {}
        }
    }

    /// Adds another pane's groups: `slots` says where each of them is here.
    pub(crate) fn merge(&mut self, other: &Self, slots: &[u32]) {
        let slot_of = |slot: &u32| *slot as usize;
        match (&mut self.state, &other.state) {
            // Where windows overlap each group of a pane is added once a window: what most of them hold goes by arrays.
            (State::Count(to), State::Count(of)) => {
                slots.iter().map(slot_of).zip(of).for_each(|(slot, count)| to[slot] += count);
            }
            (State::SumInt(to), State::SumInt(of)) => {
                slots
                    .iter()
                    .map(slot_of)
                    .zip(of)
                    .for_each(|(slot, of)| to[slot] = (to[slot].0 + of.0, to[slot].1 + of.1));
            }
            (State::SumFloat(to), State::SumFloat(of)) => {
                slots
                    .iter()
                    .map(slot_of)
                    .zip(of)
                    .for_each(|(slot, of)| to[slot] = (to[slot].0 + of.0, to[slot].1 + of.1));
            }
            _ => slots.iter().zip(0..).for_each(|(&slot, place)| self.merge_place(slot, other, place)),
        }
    }

    /// Adds one place of another pane to one of these.
    pub(crate) fn merge_place(&mut self, into: u32, other: &Self, from: u32) {
        let (into, from) = (into as usize, from as usize);
        match (&mut self.state, &other.state) {
            (State::Count(to), State::Count(of)) => to[into] += of[from],
            (State::SumInt(to), State::SumInt(of)) => to[into] = (to[into].0 + of[from].0, to[into].1 + of[from].1),
            (State::SumFloat(to), State::SumFloat(of)) => to[into] = (to[into].0 + of[from].0, to[into].1 + of[from].1),
            (State::Moments(_, to), State::Moments(_, of)) => to[into] = combine(to[into], of[from]),
            (State::ExtremeWord { greatest, values: to }, State::ExtremeWord { values: of, .. }) => {
                of[from].into_iter().for_each(|word| keep_word(*greatest, &mut to[into], word));
            }
            (State::Extreme { greatest, values: to, weight }, State::Extreme { values: of, .. })
                if !of[from].is_empty() =>
            {
                keep_extreme(*greatest, weight, &mut to[into], &of[from]);
            }
            (State::Distinct(_, to), State::Distinct(_, of)) => to.merge(into, of, from),
            (State::Listed(to), State::Listed(of)) => to.merge(into, of, from),
            // Both come from the same aggregate; an extreme of nothing adds nothing.
            _ => {}
        }
    }

    /// Adds one place to another of the same pane, and keeps it.
    pub(crate) fn fold(&mut self, into: u32, from: u32) {
        let (into, from) = (into as usize, from as usize);
        match &mut self.state {
            State::Count(counts) => counts[into] += counts[from],
            State::SumInt(sums) => sums[into] = (sums[into].0 + sums[from].0, sums[into].1 + sums[from].1),
            State::SumFloat(sums) => sums[into] = (sums[into].0 + sums[from].0, sums[into].1 + sums[from].1),
            State::Moments(_, moments) => moments[into] = combine(moments[into], moments[from]),
            State::ExtremeWord { greatest, values } => {
                values[from].into_iter().for_each(|word| keep_word(*greatest, &mut values[into], word));
            }
            State::Extreme { greatest, values, weight } => {
                let value = std::mem::take(&mut values[from]);
                if !value.is_empty() {
                    keep_extreme(*greatest, weight, &mut values[into], &value);
                }
                values[from] = value;
            }
            State::Listed(listed) if listed.adds_up() => listed.fold(into, from),
            // These stay with their places.
            State::Distinct(..) | State::Listed(_) => {}
        }
    }

    /// Whether places are added to each other. Values that are kept one by one stay with their place: there would be as many
    /// copies of each as places that it is in the sum of.
    pub(crate) fn adds_up(&self) -> bool {
        match &self.state {
            State::Distinct(..) => false,
            State::Listed(listed) => listed.adds_up(),
            _ => true,
        }
    }

    /// The results of groups that a script computes, in the order given; `None`: none does.
    pub(crate) fn answers(&self, order: &[u32]) -> Option<Vec<Answer>> {
        let (Some(script), State::Listed(listed)) = (&self.script, &self.state) else { return None };
        Some(listed.answers(script, order))
    }

    /// Makes a place as good as new.
    pub(crate) fn reset(&mut self, place: u32) {
        let place = place as usize;
        match &mut self.state {
            State::Count(counts) => counts[place] = 0,
            State::SumInt(sums) => sums[place] = (0, 0),
            State::SumFloat(sums) => sums[place] = (0.0, 0),
            State::Moments(_, moments) => moments[place] = (0.0, 0.0, 0.0),
            State::ExtremeWord { values, .. } => values[place] = None,
            State::Extreme { values, weight, .. } => *weight -= long_cost(&std::mem::take(&mut values[place])),
            State::Distinct(_, distinct) => distinct.reset(place),
            State::Listed(listed) => listed.reset(place),
        }
    }

    /// Why a group has no result: a sum of integers that no integer holds.
    pub(crate) fn error(&self, slot: u32) -> Option<String> {
        let (sum, _) = match &self.state {
            State::SumInt(sums) if !self.average => sums[slot as usize],
            State::Distinct(AggregateFunction::Sum, distinct) if distinct.is_whole() => {
                (distinct.sum(slot as usize), 0)
            }
            _ => return None,
        };
        i64::try_from(sum).err().map(|_| format!("{} is {sum}, which no BIGINT holds", self.text))
    }

    /// The results of groups, in the order given.
    pub(crate) fn finish(&self, order: &[u32]) -> ArrayRef {
        let found = self.values(order);
        // Of values without a fixed type numbers are taken, and given back as such.
        let numbers = self.result == VALUE && !matches!(self.state, State::Listed(_));
        if numbers { convert::numbers_to_values(&found) } else { found }
    }

    fn values(&self, order: &[u32]) -> ArrayRef {
        let slots = order.iter().map(|&slot| slot as usize);
        match &self.state {
            State::Count(counts) => Arc::new(slots.map(|slot| counts[slot]).collect::<Int64Array>()),
            State::SumInt(sums) => self.integers(slots.map(|slot| sums[slot])),
            State::SumFloat(sums) => self.floats(slots.map(|slot| sums[slot])),
            State::Moments(function, moments) => {
                Arc::new(slots.map(|slot| deviation(*function, moments[slot])).collect::<Float64Array>())
            }
            State::ExtremeWord { values, .. } => {
                let mut builder = self.extremes();
                slots.for_each(|slot| match values[slot].map(word_bytes) {
                    Some(bytes) => builder.take(&mut &bytes[..]),
                    None => builder.take(&mut &[][..]),
                });
                builder.finish()
            }
            State::Extreme { values, .. } => {
                let mut builder = self.extremes();
                slots.for_each(|slot| builder.take(&mut values[slot].as_slice()));
                builder.finish()
            }
            State::Distinct(AggregateFunction::Count, distinct) => {
                Arc::new(slots.map(|slot| distinct.count(slot)).collect::<Int64Array>())
            }
            State::Distinct(_, distinct) if distinct.is_whole() => {
                self.integers(slots.map(|slot| (distinct.sum(slot), distinct.count(slot))))
            }
            State::Listed(listed) => listed.finish(slots),
            State::Distinct(_, distinct) => {
                self.floats(slots.map(|slot| (distinct.float_sum(slot), distinct.count(slot))))
            }
        }
    }

    /// What extremes are read with. An empty value has no tag, which reads as null.
    fn extremes(&self) -> Builder {
        Builder::new(if self.result == VALUE { &DataType::Float64 } else { &self.result })
    }

    fn integers(&self, sums: impl Iterator<Item = (i128, i64)>) -> ArrayRef {
        let (average, whole) = (self.average, self.result == DataType::Int64);
        if whole {
            let value = |(sum, count): (i128, i64)| {
                let value = if average { sum / i128::from(count.max(1)) } else { sum };
                (count > 0).then(|| i64::try_from(value).unwrap_or_default())
            };
            return Arc::new(sums.map(value).collect::<Int64Array>());
        }
        self.floats(sums.map(|(sum, count)| (sum as f64, count)))
    }

    fn floats(&self, sums: impl Iterator<Item = (f64, i64)>) -> ArrayRef {
        let average = self.average;
        let value = |(sum, count): (f64, i64)| (count > 0).then(|| if average { sum / count as f64 } else { sum });
        Arc::new(sums.map(value).collect::<Float64Array>())
    }

    /// Writes the state of places, in the order given.
    pub(crate) fn write(&self, order: &[u32], writer: &mut Writer) {
        let places = order.iter().map(|&place| place as usize);
        match &self.state {
            State::Count(counts) => places.for_each(|place| writer.int(counts[place])),
            State::SumInt(sums) => places.for_each(|place| {
                writer.bytes(&sums[place].0.to_be_bytes());
                writer.int(sums[place].1);
            }),
            State::SumFloat(sums) => places.for_each(|place| {
                writer.float(sums[place].0);
                writer.int(sums[place].1);
            }),
            State::Moments(_, moments) => places.for_each(|place| {
                let (count, mean, squares) = moments[place];
                [count, mean, squares].into_iter().for_each(|value| writer.float(value));
            }),
            State::ExtremeWord { values, .. } => places.for_each(|place| match values[place].map(word_bytes) {
                Some(bytes) => writer.bytes(&bytes),
                None => writer.bytes(&[]),
            }),
            State::Extreme { values, .. } => places.for_each(|place| writer.bytes(&values[place])),
            State::Distinct(_, distinct) => distinct.write(places, writer),
            State::Listed(listed) => listed.write(places, writer),
        }
    }

    /// Reads the state of as many groups as there are places.
    pub(crate) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        match &mut self.state {
            State::Count(counts) => counts.iter_mut().try_for_each(|count| reader.int().map(|read| *count = read)),
            State::SumInt(sums) => sums.iter_mut().try_for_each(|sum| {
                let bytes = reader.bytes()?.try_into().map_err(|_| StateError)?;
                *sum = (i128::from_be_bytes(bytes), reader.int()?);
                Ok(())
            }),
            State::SumFloat(sums) => sums.iter_mut().try_for_each(|sum| {
                *sum = (reader.float()?, reader.int()?);
                Ok(())
            }),
            State::Moments(_, moments) => moments.iter_mut().try_for_each(|moment| {
                *moment = (reader.float()?, reader.float()?, reader.float()?);
                Ok(())
            }),
            State::ExtremeWord { values, .. } => values.iter_mut().try_for_each(|value| {
                let bytes = reader.bytes()?;
                *value = if bytes.is_empty() { None } else { Some(word_of(bytes).ok_or(StateError)?) };
                Ok(())
            }),
            State::Extreme { values, weight, .. } => values.iter_mut().try_for_each(|value| {
                *value = reader.bytes()?.to_vec();
                *weight += long_cost(value);
                Ok(())
            }),
            State::Listed(listed) => listed.read(reader),
            State::Distinct(_, distinct) => distinct.read(reader),
        }
    }
}

/// Visits the rows whose value is there: the place of the group, and the row.
fn each_present(slots: &[u32], array: &ArrayRef, mut visit: impl FnMut(usize, usize)) {
    let rows = slots.iter().enumerate().map(|(row, &slot)| (slot as usize, row));
    match array.nulls() {
        None => rows.for_each(|(slot, row)| visit(slot, row)),
        Some(nulls) => rows.filter(|&(_, row)| nulls.is_valid(row)).for_each(|(slot, row)| visit(slot, row)),
    }
}

/// Visits the values of numbers that are there, each with the place of its group.
fn each_value<T: ArrowPrimitiveType>(
    slots: &[u32],
    array: &PrimitiveArray<T>,
    mut visit: impl FnMut(usize, T::Native),
) {
    let values = slots.iter().map(|&slot| slot as usize).zip(array.values().iter().copied());
    match array.nulls() {
        None => values.for_each(|(slot, value)| visit(slot, value)),
        Some(nulls) => {
            values.zip(nulls).filter(|(_, there)| *there).for_each(|((slot, value), _)| visit(slot, value));
        }
    }
}

/// What a value costs besides its group, in groups: nothing, if it is a number.
fn long_cost(value: &[u8]) -> usize {
    value.len() / BYTES_A_GROUP
}

fn keep_word(greatest: bool, kept: &mut Option<u64>, word: u64) {
    let better = kept.is_none_or(|kept| if greatest { word > kept } else { word < kept });
    if better {
        *kept = Some(word);
    }
}

fn keep_extreme(greatest: bool, weight: &mut usize, kept: &mut Vec<u8>, value: &[u8]) {
    let better = kept.is_empty() || if greatest { value > kept.as_slice() } else { value < kept.as_slice() };
    if better {
        *weight = *weight + long_cost(value) - long_cost(kept);
        kept.clear();
        kept.extend_from_slice(value);
    }
}

fn combine(left: (f64, f64, f64), right: (f64, f64, f64)) -> (f64, f64, f64) {
    let count = left.0 + right.0;
    if count == 0.0 {
        return left;
    }
    let distance = right.1 - left.1;
    let mean = left.1 + distance * right.0 / count;
    (count, mean, left.2 + right.2 + distance * distance * left.0 * right.0 / count)
}

fn deviation(function: AggregateFunction, (count, _, squares): (f64, f64, f64)) -> Option<f64> {
    let sample = matches!(function, AggregateFunction::StdDevSample | AggregateFunction::VarianceSample);
    let divisor = if sample { count - 1.0 } else { count };
    let variance = (divisor > 0.0).then(|| squares / divisor)?;
    let root = matches!(function, AggregateFunction::StdDevSample | AggregateFunction::StdDevPopulation);
    Some(if root { variance.sqrt() } else { variance })
}
