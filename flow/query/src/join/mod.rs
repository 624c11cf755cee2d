//! Joins of two inputs by time: rows of both sides go in, pairs that are near enough come out once the watermark has passed
//! them, in the order of their times.
//!
//! Rows wait until the watermark has passed them and are then taken in the order of time, so what comes out does not depend on
//! the order in which they came. Each is kept for as long as a row of the other side may match it. Whether a pair is one is
//! said by the executor, which evaluates the condition. Knows no SQL. Read next: [`side`], [`candidates`].

mod candidates;
pub(crate) mod plan;
mod side;
pub(crate) mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef};
use arrow::datatypes::DataType;

use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::Join;
use crate::window::key::{KeyEncoder, encode_exact};
pub(crate) use candidates::{Candidate, Candidates, columns};
use side::{Row, Side};

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
    /// Rows that the watermark has not passed, by their time: left and right.
    waiting: BTreeMap<i64, [Vec<Arc<Row>>; 2]>,
    /// Rows before this time are taken.
    done: i64,
    /// What the rows cost that wait.
    held: usize,
    encoder: KeyEncoder,
}

impl StreamJoin {
    pub(crate) fn new(plan: &Join) -> Self {
        let [left, right] = &plan.sides;
        let [left_waits, right_waits] = plan.waits_ms();
        Self {
            distance: plan.distance,
            sides: [Side::new(left_waits, left.unmatched_ms), Side::new(right_waits, right.unmatched_ms)],
            waiting: BTreeMap::new(),
            done: i64::MIN,
            held: 0,
            encoder: KeyEncoder::default(),
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
        let encoded = self.encoder.encode(keys, times.len());
        let given = self.sides[side].gives_unmatched();
        let mut values = Vec::new();
        for (row, &time) in times.iter().enumerate() {
            // NULL is equal to nothing, not to itself either.
            let matchable = keys.iter().all(|key| key.is_valid(row));
            if !matchable && !given {
                continue;
            }
            values.clear();
            columns.iter().for_each(|column| encode_exact(column, row, &mut values));
            let row = Row::new(time, matchable.then(|| encoded.row(row)), &values);
            self.held += row.weight();
            self.waiting.entry(time).or_default()[side].push(Arc::new(row));
        }
        if self.weight() > ROWS_MAX { Err(TooManyRows::Kept) } else { Ok(()) }
    }

    /// The next candidates that are decided before a watermark, in the order of time; `None`: there are no more.
    ///
    /// The matches of a row have to be noted ([`Candidate::matched`]) before the next ones are taken.
    pub(crate) fn next(&mut self, watermark: i64) -> Result<Option<Candidates>, TooManyRows> {
        let done = self.done;
        // As of windows that are over: what belongs to a time that is decided belongs to nothing any more.
        while self.waiting.first_key_value().is_some_and(|(time, _)| *time < done) {
            self.take_waiting();
        }
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
        let coming = self.waiting.keys().next().copied();
        coming.into_iter().chain(self.sides.iter().filter_map(Side::first_end)).min()
    }

    /// What happens at an instant: rows come and meet those that are there, then those go for which it is the last.
    fn take(&mut self, instant: i64, found: &mut Candidates) -> Result<(), TooManyRows> {
        let before = found.len();
        if self.waiting.first_key_value().is_some_and(|(time, _)| *time == instant)
            && let Some([left, right]) = self.take_waiting()
        {
            let (low, high) = self.distance;
            let [lefts, rights] = &mut self.sides;
            for row in &left {
                let near = (instant.saturating_add(low), instant.saturating_add(high));
                rights.each_match(row, near, |other| found.pair(row, other, instant));
                if found.len() - before > CANDIDATES_MAX {
                    return Err(TooManyRows::Pairs);
                }
            }
            left.into_iter().for_each(|row| lefts.keep(row));
            for row in &right {
                let near = (instant.saturating_sub(high), instant.saturating_sub(low));
                lefts.each_match(row, near, |other| found.pair(other, row, instant));
                if found.len() - before > CANDIDATES_MAX {
                    return Err(TooManyRows::Pairs);
                }
            }
            right.into_iter().for_each(|row| rights.keep(row));
        }
        for (place, side) in self.sides.iter_mut().enumerate() {
            while let Some(row) = side.release(instant) {
                if let Some(given) = side.unmatched_ms {
                    found.unmatched(place, row, instant, given);
                }
            }
        }
        found.sort_from(before);
        Ok(())
    }

    /// Takes the first rows that wait, in an order that does not depend on the one in which they came.
    fn take_waiting(&mut self) -> Option<[Vec<Arc<Row>>; 2]> {
        let (_, mut rows) = self.waiting.pop_first()?;
        rows.iter_mut().for_each(|rows| rows.sort_unstable());
        self.held -= rows.iter().flatten().map(|row| row.weight()).sum::<usize>();
        Some(rows)
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
        let waiting: usize = self.waiting.values().flatten().map(Vec::len).sum();
        waiting + self.sides.iter().map(Side::len).sum::<usize>()
    }

    fn weight(&self) -> usize {
        self.held + self.sides.iter().map(|side| side.held).sum::<usize>()
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.int(self.done);
        writer.count(self.waiting.len());
        for (time, sides) in &self.waiting {
            writer.int(*time);
            for rows in sides {
                let mut sorted: Vec<&Arc<Row>> = rows.iter().collect();
                sorted.sort_unstable();
                writer.count(sorted.len());
                sorted.iter().for_each(|row| row.write(writer));
            }
        }
        self.sides.iter().for_each(|side| side.write(writer));
    }

    pub(crate) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.done = reader.int()?;
        self.waiting.clear();
        self.held = 0;
        for _ in 0..reader.count()? {
            let time = reader.int()?;
            let mut sides = [Vec::new(), Vec::new()];
            for rows in &mut sides {
                for _ in 0..reader.count()? {
                    let row = Row::read(time, reader)?;
                    self.held += row.weight();
                    rows.push(Arc::new(row));
                }
            }
            self.waiting.insert(time, sides);
        }
        self.sides.iter_mut().try_for_each(|side| side.read(reader))
    }
}

/// The columns of rows as they are kept, of which some may be missing: those are NULLs.
pub(crate) fn decode(rows: &[Option<&Arc<Row>>], types: &[DataType]) -> Vec<ArrayRef> {
    crate::window::key::decode(rows.iter().map(|row| row.map_or(&[][..], |row| row.values())), types)
}
