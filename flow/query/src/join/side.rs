//! One side of a join: the rows that may still have matches, found by their keys, let go in the order of their times.
//!
//! Rows have numbers in the order in which they come, which is that of their times. What is kept of all of them is a queue, and
//! their bytes are pieces of memory that are let go when their last row is: no row is one of its own. The rows of a key are a
//! chain from the newest to the oldest; where it is longer than its rows are kept it ends at the first that is not.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::waiting::{Shape, read_row};
use crate::executor::state::{Reader, StateError, Writer};

/// The hash is the same in each run; nothing depends on the order of the table all the same.
pub(super) const HASH: FixedState = FixedState::with_seed(0);

/// Bytes of a piece behind which another is begun.
const PIECE_BYTES: usize = 64 << 10;

/// The number of no row: the first has the next.
pub(super) const NONE: u64 = 0;

/// A row that is kept.
struct Kept {
    time: i64,
    /// The number of the row of the same key before it, or of one that is no longer kept.
    older: u64,
    /// The number of the piece of its bytes, and where they begin in it.
    piece: u64,
    begin: u32,
    matched: bool,
    shape: Shape,
}

/// The newest row of a key.
struct OfKey {
    hash: u64,
    newest: u64,
}

/// The rows of one side that the watermark has passed.
pub(super) struct Side {
    /// How long a row is kept: the last instant at which a row of the other side may match it is so long after it.
    pub(super) waits_ms: i64,
    /// How long after its own time a row without a match is given; `None`: it is not.
    pub(super) unmatched_ms: Option<i64>,
    rows: VecDeque<Kept>,
    /// The number of the first row that is there.
    first: u64,
    /// The number of the first row that is kept: those before it went, and are there as long as candidates may name them.
    kept: u64,
    /// The number of the first row that is not found by its key yet.
    unfound: u64,
    keys: HashTable<OfKey>,
    pieces: VecDeque<Vec<u8>>,
    first_piece: u64,
    /// What the rows cost.
    pub(super) held: usize,
}

impl Side {
    pub(super) fn new(waits_ms: i64, unmatched_ms: Option<i64>) -> Self {
        Self {
            waits_ms,
            unmatched_ms,
            rows: VecDeque::new(),
            first: NONE + 1,
            kept: NONE + 1,
            unfound: NONE + 1,
            keys: HashTable::new(),
            pieces: VecDeque::new(),
            first_piece: 0,
            held: 0,
        }
    }

    pub(super) fn gives_unmatched(&self) -> bool {
        self.unmatched_ms.is_some()
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len() - (self.kept - self.first) as usize
    }

    /// The first instant that is a row's last.
    pub(super) fn first_end(&self) -> Option<i64> {
        self.row(self.kept).map(|row| row.time.saturating_add(self.waits_ms))
    }

    /// Keeps a row that is not older than those that are kept, nor before them in the order of its time; gives its number.
    pub(super) fn keep(&mut self, time: i64, bytes: &[u8], shape: Shape) -> u64 {
        self.held += shape.weight();
        if self.pieces.back().is_none_or(|piece| piece.len() >= PIECE_BYTES) {
            self.pieces.push_back(Vec::with_capacity(bytes.len()));
        }
        let piece = self.first_piece + self.pieces.len() as u64 - 1;
        let mut begin = 0;
        if let Some(last) = self.pieces.back_mut() {
            begin = last.len() as u32;
            last.extend_from_slice(bytes);
        }
        self.rows.push_back(Kept { time, older: NONE, piece, begin, matched: false, shape });
        self.first + self.rows.len() as u64 - 1
    }

    /// Visits the rows of a key whose times are between two, both included, newest first: their numbers, and how many bytes their
    /// values are. Neither time is before that of another call.
    pub(super) fn each_match(&self, (hash, key): (u64, &[u8]), oldest: i64, mut visit: impl FnMut(u64, usize)) {
        let Some(OfKey { newest, .. }) = self.keys.find(hash, |of_key| self.is_of(of_key, hash, key)) else { return };
        let mut number = *newest;
        while number >= self.kept
            && let Some(row) = self.row(number)
            && row.time >= oldest
        {
            visit(number, row.shape.values as usize);
            number = row.older;
        }
    }

    /// Lets the rows up to a time be found by their keys: those behind it match nothing yet, and need not be passed over.
    pub(super) fn find_until(&mut self, time: i64) {
        self.unfound = self.unfound.max(self.kept);
        while let Some(row) = self.row(self.unfound).filter(|row| row.time <= time) {
            let (number, Shape { hash, keyed, .. }) = (self.unfound, row.shape);
            self.unfound += 1;
            if keyed {
                self.find(number, hash);
            }
        }
    }

    fn find(&mut self, number: u64, hash: u64) {
        if self.keys.len() == self.keys.capacity() {
            // Keys of which no row is kept are let go together, when there is no room without.
            self.keys.retain(|of_key| of_key.newest >= self.kept);
            self.keys.reserve(self.keys.len() / 2 + 1, |of_key| of_key.hash);
        }
        let mut keys = std::mem::take(&mut self.keys);
        let key = self.key(number);
        let older = match keys.find_mut(hash, |of_key| self.is_of(of_key, hash, key)) {
            Some(of_key) => std::mem::replace(&mut of_key.newest, number),
            None => {
                keys.insert_unique(hash, OfKey { hash, newest: number }, |of_key| of_key.hash);
                NONE
            }
        };
        self.keys = keys;
        if let Some(row) = self.rows.get_mut((number - self.first) as usize) {
            row.older = older;
        }
    }

    fn is_of(&self, of_key: &OfKey, hash: u64, key: &[u8]) -> bool {
        of_key.hash == hash && of_key.newest >= self.kept && self.key(of_key.newest) == key
    }

    fn row(&self, number: u64) -> Option<&Kept> {
        self.rows.get(number.checked_sub(self.first)? as usize)
    }

    /// The bytes of a row from a place in it on, so many.
    fn bytes(&self, row: &Kept, from: u32, length: u32) -> &[u8] {
        let begin = row.begin as usize + from as usize;
        let piece = self.pieces.get((row.piece - self.first_piece) as usize);
        piece.and_then(|piece| piece.get(begin..begin + length as usize)).unwrap_or_default()
    }

    fn key(&self, number: u64) -> &[u8] {
        self.row(number).map_or(&[], |row| self.bytes(row, row.shape.values, row.shape.key))
    }

    /// The values of a row; of none there are no bytes.
    pub(super) fn values(&self, number: u64) -> &[u8] {
        self.row(number).map_or(&[], |row| self.bytes(row, 0, row.shape.values))
    }

    pub(super) fn time(&self, number: u64) -> i64 {
        self.row(number).map_or(i64::MIN, |row| row.time)
    }

    pub(super) fn is_matched(&self, number: u64) -> bool {
        self.row(number).is_some_and(|row| row.matched)
    }

    pub(super) fn set_matched(&mut self, number: u64) {
        if let Some(row) = number.checked_sub(self.first).and_then(|place| self.rows.get_mut(place as usize)) {
            row.matched = true;
        }
    }

    /// Lets the oldest row go if this is its last instant, or later; it is there until [`Side::forget`].
    pub(super) fn release(&mut self, instant: i64) -> Option<u64> {
        self.first_end().filter(|end| *end <= instant)?;
        self.held -= self.row(self.kept)?.shape.weight();
        self.kept += 1;
        Some(self.kept - 1)
    }

    /// Forgets the rows that went.
    pub(super) fn forget(&mut self) {
        self.rows.drain(..(self.kept - self.first) as usize);
        self.first = self.kept;
        let needed = self.rows.front().map_or(self.first_piece + self.pieces.len() as u64, |row| row.piece);
        self.pieces.drain(..(needed - self.first_piece) as usize);
        self.first_piece = needed;
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.count(self.len());
        for row in self.rows.range((self.kept - self.first) as usize..) {
            writer.int(row.time);
            writer.bytes(if row.matched { &[1] } else { &[] });
            row.shape.write(self.bytes(row, 0, row.shape.values + row.shape.key), writer);
        }
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        *self = Self::new(self.waits_ms, self.unmatched_ms);
        let mut bytes = Vec::new();
        for _ in 0..reader.count()? {
            let (time, matched) = (reader.int()?, !reader.bytes()?.is_empty());
            let (key, values) = read_row(reader)?;
            if self.rows.back().is_some_and(|last| last.time > time) {
                return Err(StateError);
            }
            bytes.clear();
            bytes.extend_from_slice(values);
            bytes.extend_from_slice(key.unwrap_or_default());
            let number = self.keep(time, &bytes, Shape::new(key, values));
            if matched {
                self.set_matched(number);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::waiting::Shape;
    use super::*;

    /// A row of one text of this length, and its key.
    fn row(key: u8, length: usize) -> (Vec<u8>, Shape) {
        let values = vec![b'x'; length];
        let keyed = (key > 0).then_some([key]);
        let key = keyed.as_ref().map(<[u8; 1]>::as_slice);
        let shape = Shape::new(key, &values);
        ([values.as_slice(), key.unwrap_or_default()].concat(), shape)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        /// Rows of few keys, some of them (key 0) of none, some longer than a piece, are found while they are kept and let go in order.
        #[test]
        fn rows_are_found_as_long_as_they_are_kept(
            rows in prop::collection::vec((0i64..4, 0u8..5, prop_oneof![9 => 0usize..40, 1 => 30_000usize..90_000]), 1..120),
            waits in 0i64..20,
            behind in 0i64..6,
            forgets in 1usize..5,
        ) {
            let mut side = Side::new(waits, None);
            let (mut now, mut kept): (i64, Vec<(u64, i64, u8, usize)>) = (0, Vec::new());
            for (place, (later, key, length)) in rows.into_iter().enumerate() {
                now += later;
                while let Some(number) = side.release(now - 1) {
                    prop_assert_eq!(number, kept.remove(0).0);
                }
                if place % forgets == 0 {
                    side.forget();
                }
                let (bytes, shape) = row(key, length);
                let number = side.keep(now, &bytes, shape);
                kept.push((number, now, key, length));
                side.find_until(now - behind);
                for wanted in 1..5 {
                    let mut found = Vec::new();
                    let probe = Shape::new(Some(&[wanted]), &[]);
                    side.each_match((probe.hash, &[wanted]), now - behind - 5, |number, length| found.push((number, length)));
                    let near = |time: &i64| (now - behind - 5..=now - behind).contains(time);
                    let of_key = kept.iter().rev().filter(|(_, time, key, _)| *key == wanted && near(time));
                    prop_assert_eq!(found, of_key.map(|(number, _, _, length)| (*number, *length)).collect::<Vec<_>>());
                }
                prop_assert_eq!(side.len(), kept.len());
                let is_there = |(number, time, _, length): &(u64, i64, u8, usize)| {
                    side.values(*number).len() == *length && side.time(*number) == *time
                };
                prop_assert!(kept.iter().all(is_there));
            }
            while side.release(i64::MAX).is_some() {}
            side.forget();
            prop_assert_eq!((side.len(), side.held, side.pieces.len()), (0, 0, 0));
        }
    }
}
