//! What is known of a producer in a shard: pure, and as it is stored.

use std::cmp::Ordering;
use std::collections::VecDeque;

use bytes::{Buf as _, BufMut as _, Bytes};
use millstream_types::Millis;

use crate::error::AppendError;

/// Batches of a producer by which a repetition is known: as many as a producer may have under way.
const BATCHES_KEPT: usize = 5;
/// The form of what is stored. The first one had no number that comes next: it was the one behind the last batch.
const VERSION: u8 = 2;
const WITHOUT_NEXT: u8 = 1;

/// Which batch of which producer it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sequence {
    /// The producer.
    pub producer: u64,
    /// Its epoch, 0 or more.
    pub epoch: i16,
    /// The number of the batch's first record, 0 or more; behind `i32::MAX` comes 0.
    pub first: i32,
    /// Whether the producer has to have announced itself under this epoch. Of one that need not, the first batch is taken at
    /// any number, and a batch of number 0 begins a higher epoch.
    pub announced: bool,
}

/// What a producer says of itself in a shard; what it leaves out is decided here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// Its id.
    pub producer: u64,
    /// Its epoch; without one a producer that was here before begins a new one.
    pub epoch: Option<i16>,
    /// The number of the last record that it knows to be taken.
    pub last: Option<i32>,
}

/// What a producer that announced itself is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcome {
    /// Its epoch.
    pub epoch: i16,
    /// It goes on behind this number.
    pub last: i32,
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

/// How many numbers there are.
const NUMBERS: i64 = 1 << 31;

/// An offset that is not known, as it is stored.
const NO_OFFSET: u64 = u64::MAX;

impl State {
    /// What a batch is beside those that came before.
    ///
    /// # Errors
    /// [`AppendError`] when it is not the next one and not a repetition whose place is known.
    pub(super) fn check(&self, sequence: Sequence, count: u32) -> Result<Checked, AppendError> {
        let found = sequence.first;
        let fenced = AppendError::Fenced { found: sequence.epoch, known: self.epoch };
        match sequence.epoch.cmp(&self.epoch) {
            Ordering::Less => return Err(fenced),
            Ordering::Greater if sequence.announced => return Err(fenced),
            Ordering::Greater if found == 0 => return Ok(Checked::Next),
            Ordering::Greater => return Err(AppendError::OutOfSequence { found, expected: 0 }),
            Ordering::Equal => {}
        }
        let last = last_of(found, count);
        if let Some(batch) = self.batches.iter().find(|batch| (batch.first, batch.last) == (found, last)) {
            return batch.base_offset.map(Checked::Repeated).ok_or(AppendError::Repeated { found });
        }
        if found == self.next {
            return Ok(Checked::Next);
        }
        // Numbers go around: what lies less than half of them back was there before.
        let back = (i64::from(self.next) - i64::from(last)).rem_euclid(NUMBERS);
        let was_there = (1..=NUMBERS / 2).contains(&back);
        let expected = self.next;
        Err(if was_there { AppendError::Repeated { found } } else { AppendError::OutOfSequence { found, expected } })
    }

    /// What is known of a producer that announces itself, and what it is told.
    ///
    /// # Errors
    /// [`AppendError::Fenced`] when a higher epoch holds.
    pub(super) fn announced(
        before: Option<&Self>,
        announced: Announced,
        now: Millis,
    ) -> Result<(Self, Welcome), AppendError> {
        let Some(before) = before else {
            let (epoch, last) = (announced.epoch.unwrap_or(0), announced.last.unwrap_or(0));
            let state = Self { epoch, used: now, next: next(last), batches: VecDeque::new() };
            return Ok((state, Welcome { epoch, last }));
        };
        let epoch = announced.epoch.unwrap_or_else(|| before.epoch.saturating_add(1));
        if epoch < before.epoch {
            return Err(AppendError::Fenced { found: epoch, known: before.epoch });
        }
        let taken = previous(before.next);
        let last = announced.last.unwrap_or(taken);
        // In its epoch it may know less than was taken: the answer was lost, and it sends again what is passed over.
        let same = epoch == before.epoch;
        let state = Self {
            epoch,
            used: now,
            next: next(if same { taken.max(last) } else { last }),
            batches: if same { before.batches.clone() } else { VecDeque::new() },
        };
        Ok((state, Welcome { epoch, last }))
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
        let mut out = Vec::with_capacity(15 + 16 * self.batches.len());
        out.put_u8(VERSION);
        out.put_i16(self.epoch);
        out.put_i64(self.used);
        out.put_i32(self.next);
        for batch in &self.batches {
            out.put_i32(batch.first);
            out.put_i32(batch.last);
            out.put_u64(batch.base_offset.unwrap_or(NO_OFFSET));
        }
        out
    }

    pub(super) fn decode(mut value: Bytes) -> Option<Self> {
        let version = value.try_get_u8().ok().filter(|version| [VERSION, WITHOUT_NEXT].contains(version))?;
        let (epoch, used) = (value.try_get_i16().ok()?, value.try_get_i64().ok()?);
        let comes_next = if version == VERSION { Some(value.try_get_i32().ok()?) } else { None };
        let mut batches = VecDeque::new();
        while !value.is_empty() {
            let (first, last) = (value.try_get_i32().ok()?, value.try_get_i32().ok()?);
            let base_offset = Some(value.try_get_u64().ok()?).filter(|offset| *offset != NO_OFFSET);
            batches.push_back(Batch { first, last, base_offset });
        }
        let next = comes_next.unwrap_or_else(|| batches.back().map_or(0, |latest: &Batch| next(latest.last)));
        Some(Self { epoch, used, next, batches })
    }
}

/// The number behind a number.
fn next(number: i32) -> i32 {
    if number == i32::MAX { 0 } else { number + 1 }
}

/// The number before a number.
fn previous(number: i32) -> i32 {
    if number == 0 { i32::MAX } else { number - 1 }
}

/// The number of a batch's last record.
fn last_of(first: i32, count: u32) -> i32 {
    let last = i64::from(first) + i64::from(count) - 1;
    // Behind the largest number comes 0.
    (last % NUMBERS) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNOUNCED: Sequence = Sequence { producer: 7, epoch: 3, first: 11, announced: true };

    /// A producer of epoch 3 of which 8 to 10 were taken as one batch.
    fn known(last: i32) -> State {
        let before = State { epoch: 3, used: 0, next: last - 2, batches: VecDeque::new() };
        State::after(Some(&before), Sequence { first: last - 2, ..ANNOUNCED }, 3, 0)
    }

    #[test]
    fn behind_the_largest_number_comes_zero() {
        assert_eq!((last_of(i32::MAX, 1), last_of(i32::MAX, 2)), (i32::MAX, 0));
        assert_eq!((next(i32::MAX), next(4)), (0, 5));
        assert_eq!((previous(0), previous(5)), (i32::MAX, 4));
        let state = known(i32::MAX);
        assert_eq!(state.check(Sequence { first: 0, ..ANNOUNCED }, 2).unwrap(), Checked::Next);
        let over = State::after(Some(&state), Sequence { first: 0, ..ANNOUNCED }, 2, 0);
        let again = over.check(Sequence { first: i32::MAX, ..ANNOUNCED }, 2);
        assert!(matches!(again, Err(AppendError::Repeated { .. })), "{again:?}");
    }

    #[test]
    fn only_what_is_next_is_taken() {
        let state = known(10);
        for (first, count) in [(11, 1), (11, 100)] {
            assert_eq!(state.check(Sequence { first, ..ANNOUNCED }, count).unwrap(), Checked::Next);
        }
        for (first, count) in [(10, 1), (1, 10)] {
            let checked = state.check(Sequence { first, ..ANNOUNCED }, count);
            assert!(matches!(checked, Err(AppendError::Repeated { .. })), "{first} {count}: {checked:?}");
        }
        for (first, count) in [(9, 5), (12, 1)] {
            let checked = state.check(Sequence { first, ..ANNOUNCED }, count);
            assert!(matches!(checked, Err(AppendError::OutOfSequence { expected: 11, .. })), "{first}: {checked:?}");
        }
        for epoch in [2, 4] {
            let checked = state.check(Sequence { epoch, first: 0, ..ANNOUNCED }, 1);
            assert!(matches!(checked, Err(AppendError::Fenced { known: 3, .. })), "{epoch}: {checked:?}");
        }
    }

    #[test]
    fn a_known_producer_goes_on_where_it_was() {
        let told = |epoch, last| State::announced(Some(&known(10)), Announced { producer: 7, epoch, last }, 0);
        for (epoch, last, welcome, next) in [
            (Some(3), Some(8), Welcome { epoch: 3, last: 8 }, 11),
            (Some(3), None, Welcome { epoch: 3, last: 10 }, 11),
            (Some(4), Some(0), Welcome { epoch: 4, last: 0 }, 1),
            (None, None, Welcome { epoch: 4, last: 10 }, 11),
        ] {
            let (state, found) = told(epoch, last).unwrap();
            assert_eq!((found, state.next), (welcome, next));
        }
        assert!(matches!(told(Some(2), None), Err(AppendError::Fenced { found: 2, known: 3 })));
    }

    #[test]
    fn what_is_stored_is_read_again() {
        let mut state = known(10);
        state.place_latest(Some(99));
        assert_eq!(State::decode(state.encode().into()), Some(state.clone()));
        // As it was stored before the number that comes next was.
        let mut old = vec![WITHOUT_NEXT];
        old.extend_from_slice(&state.encode()[1..11]);
        old.extend_from_slice(&state.encode()[15..]);
        assert_eq!(State::decode(old.into()), Some(state));
        assert_eq!(State::decode(Bytes::from_static(&[9])), None);
    }
}
