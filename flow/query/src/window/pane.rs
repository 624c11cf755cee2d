//! Groups and what is accumulated of each: those of a slice of time, or those of many windows that begin and end by themselves.
//!
//! A group is known by its place, which never moves; a place that is let go is used again.

use std::hash::BuildHasher as _;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, LargeStringArray};
use arrow::datatypes::DataType;
use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::accumulator::Accumulator;
use super::key::EncodedKeys;
use super::listed::BYTES_A_GROUP;
use super::{Closed, Ended, accumulators, key};
use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::AggregateCall;
use crate::script::{Answer, ScriptError};

/// The hash is the same in each run, so that the order of groups never depends on chance.
const HASH: FixedState = FixedState::with_seed(0);

/// The most groups whose memory is kept for others.
const SPARE_MAX: usize = 65_536;

/// Where a key's group is, with a part of the key's hash: a table that grows need not look at the keys.
struct Entry {
    hash: u32,
    place: u32,
}

impl Entry {
    /// The hash of all 64 bits that a table wants.
    fn spread(&self) -> u64 {
        spread(self.hash)
    }
}

fn hash_of(key: &[u8]) -> u32 {
    HASH.hash_one(key) as u32
}

fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The first eight bytes as a number that sorts as they do.
fn first_bytes(key: &[u8]) -> u64 {
    let mut first = [0; 8];
    first.iter_mut().zip(key).for_each(|(place, byte)| *place = *byte);
    u64::from_be_bytes(first)
}

/// A key's bytes; short ones stand in place, so that comparing them needs no other memory.
enum Key {
    Short(u8, [u8; SHORT_MAX]),
    Long(Box<[u8]>),
}

/// As many bytes as fit where a pointer and what goes with it would be.
const SHORT_MAX: usize = 22;

impl From<&[u8]> for Key {
    fn from(key: &[u8]) -> Self {
        let mut bytes = [0; SHORT_MAX];
        match bytes.get_mut(..key.len()) {
            Some(place) => {
                place.copy_from_slice(key);
                Self::Short(key.len() as u8, bytes)
            }
            None => Self::Long(key.into()),
        }
    }
}

impl Key {
    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(length, bytes) => &bytes[..usize::from(*length)],
            Self::Long(bytes) => bytes,
        }
    }

    /// Whether its bytes are these. Of up to sixteen the first eight and the last eight are all.
    #[inline]
    fn is(&self, key: &[u8]) -> bool {
        let own = self.bytes();
        match (own.first_chunk::<8>(), key.first_chunk::<8>()) {
            (Some(first), Some(of_key)) if own.len() == key.len() && own.len() <= 16 => {
                first == of_key && own.last_chunk::<8>() == key.last_chunk::<8>()
            }
            _ => own == key,
        }
    }
}

pub(crate) struct Pane {
    index: HashTable<Entry>,
    keys: Vec<Key>,
    /// Places that are used by no group.
    free: Vec<u32>,
    pub(crate) accumulators: Vec<Accumulator>,
}

impl Pane {
    pub(crate) fn new(aggregates: &[AggregateCall]) -> Self {
        let accumulators = accumulators(aggregates);
        Self { index: HashTable::new(), keys: Vec::new(), free: Vec::new(), accumulators }
    }

    /// Places in use.
    pub(crate) fn len(&self) -> usize {
        self.keys.len() - self.free.len()
    }

    /// What it costs, in groups.
    pub(super) fn weight(&self) -> usize {
        self.len() + self.accumulators.iter().map(Accumulator::weight).sum::<usize>()
    }

    /// About so many bytes values take besides their groups.
    pub(crate) fn value_bytes(&self) -> usize {
        self.accumulators.iter().map(Accumulator::weight).sum::<usize>() * BYTES_A_GROUP
    }

    pub(super) fn key(&self, place: u32) -> &[u8] {
        self.keys[place as usize].bytes()
    }

    /// The place of a key's group, made if new.
    pub(super) fn slot(&mut self, key: &[u8]) -> u32 {
        self.slot_of(hash_of(key), key)
    }

    /// The places of some rows' groups. All hashes come first, so that the table's memory is waited for by several rows at once.
    pub(super) fn slots(&mut self, keys: &EncodedKeys<'_>, rows: Range<usize>, slots: &mut Vec<u32>) {
        slots.clear();
        slots.extend(rows.clone().map(|row| hash_of(keys.row(row))));
        for (slot, row) in slots.iter_mut().zip(rows) {
            *slot = self.slot_of(*slot, keys.row(row));
        }
    }

    #[inline]
    fn slot_of(&mut self, hash: u32, key: &[u8]) -> u32 {
        let keys = &self.keys;
        let same = |entry: &Entry| entry.hash == hash && keys[entry.place as usize].is(key);
        if let Some(entry) = self.index.find(spread(hash), same) {
            return entry.place;
        }
        let place = self.place(key);
        self.index.insert_unique(spread(hash), Entry { hash, place }, Entry::spread);
        place
    }

    /// A new place under a key by which it is not found again; there may be several of a key.
    pub(crate) fn place(&mut self, key: &[u8]) -> u32 {
        if let Some(place) = self.free.pop() {
            self.keys[place as usize] = key.into();
            return place;
        }
        // Far below 2^32 groups are refused.
        let place = self.keys.len() as u32;
        self.keys.push(key.into());
        self.accumulators.iter_mut().for_each(|accumulator| accumulator.grow(1));
        place
    }

    /// Lets a key's group be found no more; it keeps its place.
    pub(super) fn detach(&mut self, slot: u32) {
        let hash = hash_of(self.key(slot));
        if let Ok(found) = self.index.find_entry(spread(hash), |entry| entry.place == slot) {
            found.remove();
        }
    }

    /// Gives up a place.
    pub(super) fn release(&mut self, place: u32) {
        self.reset(place);
        self.keys[place as usize] = Key::from(&[][..]);
        self.free.push(place);
    }

    pub(super) fn reset(&mut self, place: u32) {
        self.accumulators.iter_mut().for_each(|accumulator| accumulator.reset(place));
    }

    /// Makes all places as good as new; groups keep them.
    pub(super) fn reset_all(&mut self) {
        let places = self.keys.len();
        for accumulator in &mut self.accumulators {
            accumulator.clear();
            accumulator.grow(places);
        }
    }

    /// Lets all groups go; their memory is used again, unless it is that of very many.
    pub(super) fn emptied(mut self) -> Option<Self> {
        if self.keys.capacity() > SPARE_MAX {
            return None;
        }
        self.index.clear();
        self.keys.clear();
        self.free.clear();
        self.accumulators.iter_mut().for_each(Accumulator::clear);
        Some(self)
    }

    /// Adds what is accumulated in one place to another, and keeps it.
    pub(super) fn fold(&mut self, into: u32, from: u32) {
        self.accumulators.iter_mut().for_each(|accumulator| accumulator.fold(into, from));
    }

    /// Adds what is accumulated in a place of another pane to one of this.
    pub(crate) fn merge_place(&mut self, into: u32, other: &Self, from: u32) {
        for (own, other) in self.accumulators.iter_mut().zip(&other.accumulators) {
            own.merge_place(into, other, from);
        }
    }

    /// Adds what is accumulated over a queue's places of another pane to a place of this: the first and the last sum hold all of it, but
    /// for what is not added up.
    pub(super) fn merge_queue(
        &mut self,
        into: u32,
        other: &Self,
        sums: (Option<u32>, u32),
        places: impl Iterator<Item = u32> + Clone,
    ) {
        for (own, other) in self.accumulators.iter_mut().zip(&other.accumulators) {
            if own.adds_up() {
                sums.0.into_iter().chain([sums.1]).for_each(|place| own.merge_place(into, other, place));
            } else {
                places.clone().for_each(|place| own.merge_place(into, other, place));
            }
        }
    }

    /// Adds another pane's groups, which are all it has, to these places.
    pub(super) fn merge_into(&mut self, slots: &[u32], other: &Self) {
        for (into, from) in self.accumulators.iter_mut().zip(&other.accumulators) {
            into.merge(from, slots);
        }
    }

    /// Adds another pane's groups to these.
    pub(super) fn merge(&mut self, other: &Self) {
        let slots: Vec<u32> = other.keys.iter().map(|key| self.slot(key.bytes())).collect();
        self.merge_into(&slots, other);
    }

    /// The places that are found by their keys, in no order.
    pub(super) fn in_use(&self) -> impl Iterator<Item = u32> {
        self.index.iter().map(|entry| entry.place)
    }

    /// All places of a pane that let none go, in the order of their keys.
    pub(super) fn sorted(&self) -> Vec<u32> {
        self.in_order(0..self.keys.len() as u32)
    }

    /// Some places in the order of their keys. Most keys differ in their first bytes, which are a number that lies beside the place.
    pub(super) fn in_order(&self, places: impl Iterator<Item = u32>) -> Vec<u32> {
        let mut order: Vec<(u64, u32)> = places.map(|place| (first_bytes(self.key(place)), place)).collect();
        order.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.key(a.1).cmp(self.key(b.1))));
        order.into_iter().map(|(_, place)| place).collect()
    }

    /// The keys of the groups in the order in which they came, of a pane that let none go.
    pub(super) fn keys(&self) -> impl Iterator<Item = &[u8]> {
        self.keys.iter().map(Key::bytes)
    }

    /// The results of windows' groups, in the order given; those that have no result are told.
    pub(super) fn finish(&self, mut ended: Vec<Ended>, key_types: &[DataType]) -> Closed {
        let mut errors = Vec::new();
        for accumulator in &self.accumulators {
            ended.retain(|ended| match accumulator.error(ended.place) {
                Some(error) => {
                    errors.push((ended.end, error));
                    false
                }
                None => true,
            });
        }
        let (scripted, stops) = self.scripted(&mut ended, &mut errors);
        let order: Vec<u32> = ended.iter().map(|ended| ended.place).collect();
        let mut columns = key::decode(order.iter().map(|place| self.key(*place)), key_types);
        let results = self.accumulators.iter().zip(scripted);
        columns.extend(results.map(|(accumulator, found)| found.unwrap_or_else(|| accumulator.finish(&order))));
        let starts = ended.iter().map(|ended| ended.start).collect();
        let ends = ended.iter().map(|ended| ended.end).collect();
        Closed { starts, ends, columns, errors, stops }
    }

    /// By accumulator the results that a script computes, if it does, without the groups for which one fails; and why the query
    /// cannot go on.
    fn scripted(
        &self,
        ended: &mut Vec<Ended>,
        errors: &mut Vec<(i64, String)>,
    ) -> (Vec<Option<ArrayRef>>, Option<String>) {
        let order: Vec<u32> = ended.iter().map(|ended| ended.place).collect();
        let answers: Vec<_> = self.accumulators.iter().map(|accumulator| accumulator.answers(&order)).collect();
        let (mut kept, mut stops) = (vec![true; order.len()], None);
        for (row, answer) in answers.iter().flatten().flat_map(|answers| answers.iter().enumerate()) {
            match answer {
                Ok(_) => {}
                Err(ScriptError::Query(reason)) => stops = Some(reason.clone()),
                Err(ScriptError::Row(reason)) => {
                    if std::mem::replace(&mut kept[row], false) {
                        errors.push((ended[row].end, reason.clone()));
                    }
                }
            }
        }
        let mut keeps = kept.iter();
        ended.retain(|_| *keeps.next().unwrap_or(&true));
        let column = |answers: Vec<Answer>| {
            let of_kept = answers.into_iter().zip(&kept).filter(|(_, kept)| **kept);
            Arc::new(of_kept.map(|(answer, _)| answer.ok().flatten()).collect::<LargeStringArray>()) as ArrayRef
        };
        (answers.into_iter().map(|answers| answers.map(column)).collect(), stops)
    }

    /// Writes places in an order, which is the one they have when they are read.
    pub(crate) fn write(&self, order: &[u32], writer: &mut Writer) {
        writer.count(order.len());
        order.iter().for_each(|place| writer.bytes(self.key(*place)));
        self.accumulators.iter().for_each(|accumulator| accumulator.write(order, writer));
    }

    /// Reads groups, each of which is found by its key.
    pub(super) fn read(aggregates: &[AggregateCall], reader: &mut Reader<'_>) -> Result<Self, StateError> {
        Self::read_by(aggregates, reader, |pane, key| pane.slot(key))
    }

    /// Reads places that are found by no key.
    pub(crate) fn read_places(aggregates: &[AggregateCall], reader: &mut Reader<'_>) -> Result<Self, StateError> {
        Self::read_by(aggregates, reader, |pane, key| pane.place(key))
    }

    fn read_by(
        aggregates: &[AggregateCall],
        reader: &mut Reader<'_>,
        add: impl Fn(&mut Self, &[u8]) -> u32,
    ) -> Result<Self, StateError> {
        let mut pane = Self::new(aggregates);
        for place in 0..reader.count()? {
            let key = reader.bytes()?;
            if add(&mut pane, key) as usize != place {
                return Err(StateError);
            }
        }
        for accumulator in &mut pane.accumulators {
            accumulator.read(reader)?;
        }
        Ok(pane)
    }
}
