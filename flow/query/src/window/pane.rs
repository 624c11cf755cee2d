//! A slice of time: its groups and what is accumulated of each.

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher as _;

use super::accumulator::Accumulator;
use super::{accumulators, key};
use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::AggregateCall;

/// The hash is the same in each run, so that the order of groups never depends on chance.
const HASH: FixedState = FixedState::with_seed(0);

pub(super) struct Pane {
    index: HashTable<u32>,
    keys: Vec<Box<[u8]>>,
    pub(super) accumulators: Vec<Accumulator>,
}

impl Pane {
    pub(super) fn new(aggregates: &[AggregateCall]) -> Self {
        Self { index: HashTable::new(), keys: Vec::new(), accumulators: accumulators(aggregates) }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The place of a key's group, made if new.
    pub(super) fn slot(&mut self, key: &[u8]) -> u32 {
        let hash = HASH.hash_one(key);
        let keys = &self.keys;
        if let Some(&slot) = self.index.find(hash, |&slot| *keys[slot as usize] == *key) {
            return slot;
        }
        // Far below 2^32 groups are refused.
        let slot = self.keys.len() as u32;
        self.keys.push(key.into());
        let keys = &self.keys;
        self.index.insert_unique(hash, slot, |&slot| HASH.hash_one(&*keys[slot as usize]));
        self.accumulators.iter_mut().for_each(Accumulator::grow);
        slot
    }

    /// Adds another pane's groups to these.
    pub(super) fn merge(&mut self, other: &Self) {
        let slots: Vec<u32> = other.keys.iter().map(|key| self.slot(key)).collect();
        for (into, from) in self.accumulators.iter_mut().zip(&other.accumulators) {
            into.merge(from, &slots);
        }
    }

    /// The groups in the order of their keys: key columns, then aggregates; and those that have no result.
    pub(super) fn finish(self, key_types: &[DataType]) -> (Vec<ArrayRef>, Vec<String>) {
        let mut order: Vec<u32> = (0..self.keys.len() as u32).collect();
        order.sort_unstable_by(|a, b| self.keys[*a as usize].cmp(&self.keys[*b as usize]));
        let mut errors = Vec::new();
        for accumulator in &self.accumulators {
            order.retain(|&slot| match accumulator.error(slot) {
                Some(error) => {
                    errors.push(error);
                    false
                }
                None => true,
            });
        }
        let sorted = order.iter().map(|&slot| &*self.keys[slot as usize]);
        let mut columns = key::decode(sorted, key_types);
        columns.extend(self.accumulators.iter().map(|accumulator| accumulator.finish(&order)));
        (columns, errors)
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.count(self.keys.len());
        self.keys.iter().for_each(|key| writer.bytes(key));
        self.accumulators.iter().for_each(|accumulator| accumulator.write(writer));
    }

    pub(super) fn read(aggregates: &[AggregateCall], reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let mut pane = Self::new(aggregates);
        for _ in 0..reader.count()? {
            let key = reader.bytes()?.to_vec();
            pane.slot(&key);
        }
        for accumulator in &mut pane.accumulators {
            accumulator.read(reader)?;
        }
        Ok(pane)
    }
}
