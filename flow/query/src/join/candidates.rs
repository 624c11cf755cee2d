//! What a join may give: pairs of which the condition is still to be evaluated, and rows that may have found no match.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, TimestampMillisecondArray};
use arrow::datatypes::DataType;

use super::side::Row;
use super::{TOGETHER, decode};

/// The most bytes of values that become columns together: texts of a column may be 2 GiB in all.
const PIECE_BYTES: usize = 4 << 20;

/// A pair, or a row of one side that is kept no longer.
#[derive(Debug)]
pub(crate) struct Candidate {
    rows: [Option<Arc<Row>>; 2],
    /// When it is known: no row that comes later changes it.
    pub(crate) decided: i64,
    /// The result's time.
    time: i64,
}

impl Candidate {
    /// Whether it is a pair, rather than a row that may have no match.
    pub(crate) fn is_pair(&self) -> bool {
        self.rows.iter().all(Option::is_some)
    }

    /// What the values of its rows are long.
    fn bytes(&self) -> usize {
        self.rows.iter().flatten().map(|row| row.values().len()).sum()
    }

    /// Notes that its rows belong together.
    pub(crate) fn matched(&self) {
        self.rows.iter().flatten().for_each(|row| row.set_matched());
    }

    /// Whether its row has found a match by now.
    pub(crate) fn has_match(&self) -> bool {
        self.rows.iter().flatten().any(|row| row.is_matched())
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
                bytes += candidate.bytes();
                bytes <= PIECE_BYTES
            };
            let count = rest.iter().take(TOGETHER).take_while(fits).count();
            // One is a piece however long it is.
            let (piece, behind) = rest.split_at(count.max(1).min(rest.len()));
            rest = behind;
            (!piece.is_empty()).then_some(piece)
        })
    }

    pub(super) fn pair(&mut self, left: &Arc<Row>, right: &Arc<Row>, instant: i64) {
        let rows = [Some(Arc::clone(left)), Some(Arc::clone(right))];
        self.push(Candidate { rows, decided: instant, time: instant });
    }

    /// A row of a side that goes at an instant and is given so long after its time if it has no match.
    pub(super) fn unmatched(&mut self, side: usize, row: Arc<Row>, instant: i64, given_ms: i64) {
        let time = row.time.saturating_add(given_ms);
        let mut rows = [None, None];
        rows[side] = Some(row);
        self.push(Candidate { rows, decided: instant, time });
    }

    fn push(&mut self, candidate: Candidate) {
        self.bytes += candidate.bytes();
        self.found.push(candidate);
    }

    /// Puts those of one instant, which begin at a place, in an order that is the same however they were found: pairs first,
    /// because rows without a match are told by them.
    pub(super) fn sort_from(&mut self, place: usize) {
        self.found[place..].sort_unstable_by(|a, b| b.is_pair().cmp(&a.is_pair()).then_with(|| a.rows.cmp(&b.rows)));
    }
}

/// The columns of those for which `chosen` is true, both sides' and the time.
pub(crate) fn columns(candidates: &[Candidate], chosen: &[bool], types: [&[DataType]; 2]) -> Vec<ArrayRef> {
    let chosen: Vec<&Candidate> =
        candidates.iter().zip(chosen).filter(|(_, chosen)| **chosen).map(|(one, _)| one).collect();
    let mut columns = Vec::with_capacity(types[0].len() + types[1].len() + 1);
    for (side, types) in types.into_iter().enumerate() {
        let rows: Vec<Option<&Arc<Row>>> = chosen.iter().map(|one| one.rows[side].as_ref()).collect();
        columns.extend(decode(&rows, types));
    }
    let times: Vec<i64> = chosen.iter().map(|candidate| candidate.time).collect();
    columns.push(Arc::new(TimestampMillisecondArray::from(times)));
    columns
}
