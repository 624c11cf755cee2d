//! What is known of a producer in a shard: pure, and as it is stored.

use std::cmp::Ordering;
use std::collections::VecDeque;

use bytes::{Buf as _, BufMut as _, Bytes};
use millstream_types::Millis;

use crate::error::AppendError;

/// Batches of a producer by which a repetition is known: as many as a producer may have under way.
const BATCHES_KEPT: usize = 5;
const VERSION: u8 = 1;

/// Which batch of which producer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// The producer.
    pub producer: u64,
    /// Its epoch, 0 or more.
    pub epoch: i16,
    /// The number of the batch's first record, 0 or more; behind `i32::MAX` comes 0.
    pub first: i32,
}

/// What a batch is beside those that came before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checked {
    /// The next one.
    Next,
    /// One that came before, and the offset that it got.
    Repeated(u64),
}

/// What is known of a producer in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct State {
    pub(super) epoch: i16,
    pub(super) used: Millis,
    /// The number that comes next.
    next: i32,
    /// The last batches, the latest last.
    batches: VecDeque<Batch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Batch {
    first: i32,
    last: i32,
    /// Where it begins. The offset is given after the state is written, so a restart forgets it for the latest batch.
    base_offset: Option<u64>,
}

/// An offset that is not known, as it is stored.
const NO_OFFSET: u64 = u64::MAX;

impl State {
    /// What a batch is beside those that came before.
    ///
    /// # Errors
    /// [`AppendError`] when it is not the next one and not a repetition whose place is known.
    pub(super) fn check(&self, sequence: Sequence, count: u32) -> Result<Checked, AppendError> {
        let found = sequence.first;
        match sequence.epoch.cmp(&self.epoch) {
            Ordering::Less => return Err(AppendError::Fenced { found: sequence.epoch, known: self.epoch }),
            Ordering::Greater if found == 0 => return Ok(Checked::Next),
            Ordering::Greater => return Err(AppendError::OutOfSequence { found }),
            Ordering::Equal => {}
        }
        let last = last_of(found, count);
        if let Some(batch) = self.batches.iter().find(|batch| (batch.first, batch.last) == (found, last)) {
            return batch.base_offset.map(Checked::Repeated).ok_or(AppendError::Repeated { found });
        }
        if found == self.next {
            return Ok(Checked::Next);
        }
        let is_old = self.batches.back().is_some_and(|latest| last <= latest.last);
        Err(if is_old { AppendError::Repeated { found } } else { AppendError::OutOfSequence { found } })
    }

    /// The latest batch got its place.
    pub(super) fn place_latest(&mut self, offset: Option<u64>) {
        if let Some(latest) = self.batches.back_mut() {
            latest.base_offset = offset;
        }
    }

    /// Whether a batch was taken and has this place.
    pub(super) fn has(&self, sequence: Sequence, offset: u64) -> bool {
        let same = |batch: &Batch| batch.first == sequence.first && batch.base_offset == Some(offset);
        self.epoch == sequence.epoch && self.batches.iter().any(same)
    }

    /// Forgets a batch and those behind it: it comes again.
    pub(super) fn take_back(&mut self, first: i32) {
        if let Some(at) = self.batches.iter().position(|batch| batch.first == first) {
            self.batches.truncate(at);
            self.next = first;
        }
    }

    /// What is known when a batch is taken.
    pub(super) fn after(before: Option<&Self>, sequence: Sequence, count: u32, now: Millis) -> Self {
        let same = before.filter(|before| before.epoch == sequence.epoch);
        let mut batches = same.map(|before| before.batches.clone()).unwrap_or_default();
        while batches.len() >= BATCHES_KEPT {
            batches.pop_front();
        }
        let last = last_of(sequence.first, count);
        batches.push_back(Batch { first: sequence.first, last, base_offset: None });
        Self { epoch: sequence.epoch, used: now, next: next(last), batches }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(11 + 16 * self.batches.len());
        out.put_u8(VERSION);
        out.put_i16(self.epoch);
        out.put_i64(self.used);
        for batch in &self.batches {
            out.put_i32(batch.first);
            out.put_i32(batch.last);
            out.put_u64(batch.base_offset.unwrap_or(NO_OFFSET));
        }
        out
    }

    pub(super) fn decode(mut value: Bytes) -> Option<Self> {
        if value.try_get_u8().ok()? != VERSION {
            return None;
        }
        let (epoch, used) = (value.try_get_i16().ok()?, value.try_get_i64().ok()?);
        let mut batches = VecDeque::new();
        while !value.is_empty() {
            let (first, last) = (value.try_get_i32().ok()?, value.try_get_i32().ok()?);
            let base_offset = Some(value.try_get_u64().ok()?).filter(|offset| *offset != NO_OFFSET);
            batches.push_back(Batch { first, last, base_offset });
        }
        let next = batches.back().map_or(0, |latest: &Batch| next(latest.last));
        Some(Self { epoch, used, next, batches })
    }
}

/// The number behind a number.
fn next(number: i32) -> i32 {
    if number == i32::MAX { 0 } else { number + 1 }
}

/// The number of a batch's last record.
fn last_of(first: i32, count: u32) -> i32 {
    let last = i64::from(first) + i64::from(count) - 1;
    // Behind the largest number comes 0.
    (last % (i64::from(i32::MAX) + 1)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_the_largest_number_comes_zero() {
        assert_eq!((last_of(i32::MAX, 1), last_of(i32::MAX, 2)), (i32::MAX, 0));
        assert_eq!((next(i32::MAX), next(4)), (0, 5));
    }
}
