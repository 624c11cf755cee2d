//! What a join may give: pairs of which the condition is still to be evaluated, and rows that may have found no match.

use std::ops::Range;

use super::TOGETHER;
use super::side::NONE;

/// The most bytes of values that become columns together: texts of a column may be 2 GiB in all.
const PIECE_BYTES: usize = 4 << 20;

/// A pair, or a row of one side that is kept no longer.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// The numbers of its rows, left and right.
    pub(super) rows: [u64; 2],
    /// When it is known: no row that comes later changes it.
    decided: i64,
    /// The result's time.
    pub(super) time: i64,
    /// What the values of its rows are long.
    bytes: usize,
}

impl Candidate {
    /// Whether it is a pair, rather than a row that may have no match.
    pub(crate) fn is_pair(&self) -> bool {
        !self.rows.contains(&NONE)
    }
}

/// Candidates in the order in which they are decided.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    found: Vec<Candidate>,
    /// What the values of their rows are long, a row's counted for each candidate that has it.
    bytes: usize,
}

impl Candidates {
    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many, from the first on, are decided before a time.
    pub(crate) fn before(&self, time: i64) -> usize {
        self.found.partition_point(|candidate| candidate.decided < time)
    }

    /// Those of some places, in their order, in pieces that are small enough to be columns: what a row's matches say is noted
    /// of one piece before the next is looked at.
    pub(crate) fn pieces(&self, places: Range<usize>) -> impl Iterator<Item = &[Candidate]> {
        let mut rest = self.found.get(places).unwrap_or_default();
        std::iter::from_fn(move || {
            let mut bytes = 0;
            let fits = |candidate: &&Candidate| {
                bytes += candidate.bytes;
                bytes <= PIECE_BYTES
            };
            let count = rest.iter().take(TOGETHER).take_while(fits).count();
            // One is a piece however long it is.
            let (piece, behind) = rest.split_at(count.max(1).min(rest.len()));
            rest = behind;
            (!piece.is_empty()).then_some(piece)
        })
    }

    /// Two rows whose values are so many bytes, at the later one's time.
    pub(super) fn pair(&mut self, rows: [u64; 2], bytes: usize, instant: i64) {
        self.push(Candidate { rows, decided: instant, time: instant, bytes });
    }

    /// A row of a side that goes at an instant, and its time if it is given for having no match.
    pub(super) fn unmatched(&mut self, side: usize, (row, bytes): (u64, usize), instant: i64, time: i64) {
        let mut rows = [NONE; 2];
        rows[side] = row;
        self.push(Candidate { rows, decided: instant, time, bytes });
    }

    fn push(&mut self, candidate: Candidate) {
        self.bytes += candidate.bytes;
        self.found.push(candidate);
    }

    /// Puts those of one instant, which begin at a place, in an order that is the same however they were found: pairs first,
    /// because rows without a match are told by them. Rows are numbered in an order of their own.
    pub(super) fn sort_from(&mut self, place: usize) {
        self.found[place..].sort_unstable_by_key(|candidate| (!candidate.is_pair(), candidate.rows));
    }
}
