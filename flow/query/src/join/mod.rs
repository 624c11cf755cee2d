//! Joins of two inputs by time: rows of both sides go in, pairs that are near enough come out once the watermark has passed
//! them, in the order of their times.
//!
//! Rows wait until the watermark has passed them and are then taken in the order of time, so what comes out does not depend on
//! the order in which they came. Each is kept for as long as a row of the other side may match it. Whether a pair is one is
//! said by the executor, which evaluates the condition. Knows no SQL. Read next: [`waiting`], [`side`], [`candidates`].

mod candidates;
pub(crate) mod plan;
mod side;
pub(crate) mod table;
mod waiting;

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, TimestampMillisecondArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;

use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::{Join, JoinSide};
use crate::window::key::{KeyEncoder, decode};
pub(crate) use candidates::{Candidate, Candidates};
use side::Side;
use waiting::Waiting;

/// What all rows that one join keeps may cost together, in rows of up to [`ROW_BYTES`]: with what is around each, a gigabyte.
pub(crate) const ROWS_MAX: usize = 2_000_000;

/// As many bytes of a row's values count as a row of their own.
const ROW_BYTES: usize = 256;

/// As many candidates are looked at together: enough for vectors, little to keep.
const TOGETHER: usize = 8_192;

/// As many bytes of their rows' values, too.
const TOGETHER_BYTES: usize = 1 << 20;

/// The most candidates of one instant: each row of one side meets each of the other that has its key.
const CANDIDATES_MAX: usize = 2_000_000;

/// A join would keep or give too much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TooManyRows {
    /// Rows that are kept.
    #[error(
        "a join keeps more than {ROWS_MAX} rows ({ROW_BYTES} bytes of a longer one count as one); narrow its bounds in time, filter its inputs in steps before it, or tolerate less disorder"
    )]
    Kept,
    /// Pairs at one instant.
    #[error(
        "the rows of one instant of a join have more than {CANDIDATES_MAX} pairs; compare more columns of both sides in ON, or narrow its bounds in time"
    )]
    Pairs,
}

/// The state of one join.
pub(crate) struct StreamJoin {
    /// How far the right row's time may be from the left's, at least and at most.
    distance: (i64, i64),
    sides: [Side; 2],
    /// The types of both sides' columns.
    types: [Vec<DataType>; 2],
    /// Rows that the watermark has not passed.
    waiting: Waiting,
    /// Rows before this time are taken.
    done: i64,
    keys: KeyEncoder,
    values: KeyEncoder,
}

impl StreamJoin {
    pub(crate) fn new(plan: &Join) -> Self {
        let [left, right] = &plan.sides;
        let [left_waits, right_waits] = plan.waits_ms();
        let types = |side: &JoinSide| side.columns.iter().map(|(_, column)| column.data_type.clone()).collect();
        Self {
            distance: plan.distance,
            sides: [Side::new(left_waits, left.unmatched_ms), Side::new(right_waits, right.unmatched_ms)],
            types: [types(left), types(right)],
            waiting: Waiting::default(),
            done: i64::MIN,
            keys: KeyEncoder::default(),
            values: KeyEncoder::default(),
        }
    }

    /// Adds rows of a side (0: left, 1: right): their times, keys and columns.
    pub(crate) fn add(
        &mut self,
        side: usize,
        times: &[i64],
        keys: &[ArrayRef],
        columns: &[ArrayRef],
    ) -> Result<(), TooManyRows> {
        // NULL is equal to nothing, not to itself either.
        let nulls: Vec<&NullBuffer> = keys.iter().filter_map(|key| key.nulls()).collect();
        let is_matchable = |row: u32| nulls.iter().all(|nulls| nulls.is_valid(row as usize));
        let given = self.sides[side].gives_unmatched();
        let rows: Vec<(i64, u32)> =
            times.iter().copied().zip(0..).filter(|(_, row)| given || is_matchable(*row)).collect();
        let keys = self.keys.encode(keys, times.len());
        let values = self.values.encode_exact(columns, times.len());
        self.waiting.add(side, &rows, |row, arrivals| {
            let place = row as usize;
            arrivals.push(is_matchable(row).then(|| keys.row(place)), values.row(place))
        });
        if self.weight() > ROWS_MAX { Err(TooManyRows::Kept) } else { Ok(()) }
    }

    /// The next candidates that are decided before a watermark, in the order of time; `None`: there are no more.
    ///
    /// They name rows that may be forgotten when the next ones are taken: before, their columns have to be asked for
    /// ([`StreamJoin::columns`]), and the matches of their rows noted ([`StreamJoin::matched`]).
    pub(crate) fn next(&mut self, watermark: i64) -> Result<Option<Candidates>, TooManyRows> {
        self.sides.iter_mut().for_each(Side::forget);
        // As of windows that are over: what belongs to a time that is decided belongs to nothing any more.
        while self.done > i64::MIN && self.waiting.take(self.done - 1).is_some() {}
        let mut found = Candidates::default();
        while let Some(instant) = self.next_instant().filter(|instant| *instant < watermark) {
            self.take(instant, &mut found)?;
            if found.len() >= TOGETHER || found.bytes() >= TOGETHER_BYTES {
                self.done = instant.saturating_add(1);
                return Ok(Some(found));
            }
        }
        self.done = self.done.max(watermark);
        Ok((found.len() > 0).then_some(found))
    }

    /// Everything is given that was decided before this time.
    pub(crate) fn done(&self) -> i64 {
        self.done
    }

    /// When rows come next, or are kept no longer.
    fn next_instant(&self) -> Option<i64> {
        self.waiting.first().into_iter().chain(self.sides.iter().filter_map(Side::first_end)).min()
    }

    /// What happens at an instant: rows come and meet those that are there, then those go for which it is the last.
    fn take(&mut self, instant: i64, found: &mut Candidates) -> Result<(), TooManyRows> {
        let before = found.len();
        if let Some(arrivals) = self.waiting.take(instant) {
            let (low, high) = self.distance;
            // From when to when rows of the other side match: what comes from the right meets what came from the left just now.
            let near = [
                (instant.saturating_add(low), instant.saturating_add(high)),
                (instant.saturating_sub(high), instant.saturating_sub(low)),
            ];
            for (side, (oldest, newest)) in near.into_iter().enumerate() {
                let [lefts, rights] = &mut self.sides;
                let (own, other) = if side == 0 { (lefts, rights) } else { (rights, lefts) };
                other.find_until(newest);
                for (bytes, shape) in arrivals[side].iter() {
                    let row = own.keep(instant, bytes, shape);
                    let (values, key) = bytes.split_at(shape.values as usize);
                    if !shape.keyed {
                        continue;
                    }
                    other.each_match((shape.hash, key), oldest, |matching, length| {
                        let rows = if side == 0 { [row, matching] } else { [matching, row] };
                        found.pair(rows, values.len() + length, instant);
                    });
                    if found.len() - before > CANDIDATES_MAX {
                        return Err(TooManyRows::Pairs);
                    }
                }
            }
        }
        for (place, side) in self.sides.iter_mut().enumerate() {
            while let Some(row) = side.release(instant) {
                if let Some(given) = side.unmatched_ms {
                    let time = side.time(row).saturating_add(given);
                    found.unmatched(place, (row, side.values(row).len()), instant, time);
                }
            }
        }
        found.sort_from(before);
        Ok(())
    }

    /// The columns of candidates: the left side's, the right side's, with NULLs where there is no row, and the time.
    pub(crate) fn columns(&self, candidates: &[Candidate]) -> Vec<ArrayRef> {
        let mut columns = Vec::with_capacity(self.types[0].len() + self.types[1].len() + 1);
        for (place, (side, types)) in self.sides.iter().zip(&self.types).enumerate() {
            columns.extend(decode(candidates.iter().map(|one| side.values(one.rows[place])), types));
        }
        let times: Vec<i64> = candidates.iter().map(|candidate| candidate.time).collect();
        columns.push(Arc::new(TimestampMillisecondArray::from(times)));
        columns
    }

    /// Whether rows without a match are given.
    pub(crate) fn gives_unmatched(&self) -> bool {
        self.sides.iter().any(Side::gives_unmatched)
    }

    /// Notes that the rows of a pair belong together.
    pub(crate) fn matched(&mut self, pair: &Candidate) {
        self.sides.iter_mut().zip(pair.rows).for_each(|(side, row)| side.set_matched(row));
    }

    /// Whether a row of a candidate has found a match by now.
    pub(crate) fn has_match(&self, candidate: &Candidate) -> bool {
        self.sides.iter().zip(candidate.rows).any(|(side, row)| side.is_matched(row))
    }

    /// Gives the time behind which rows are needed so that everything that is decided at a time or later is what it was. Of a
    /// row that waits for a match, all that could have matched it before count as well.
    pub(crate) fn begin_behind(&self, time: i64) -> i64 {
        if time == i64::MIN {
            return i64::MIN;
        }
        let waits: i64 = self.sides.iter().map(|side| side.waits_ms).sum();
        time.saturating_sub(waits).saturating_sub(1)
    }

    /// Rows that it keeps.
    pub(crate) fn rows(&self) -> usize {
        self.waiting.rows() + self.sides.iter().map(Side::len).sum::<usize>()
    }

    fn weight(&self) -> usize {
        self.waiting.held() + self.sides.iter().map(|side| side.held).sum::<usize>()
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.int(self.done);
        self.waiting.write(writer);
        self.sides.iter().for_each(|side| side.write(writer));
    }

    pub(crate) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.done = reader.int()?;
        self.waiting = Waiting::read(reader)?;
        self.sides.iter_mut().try_for_each(|side| side.read(reader))
    }
}
