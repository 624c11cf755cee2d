//! What a join may give: pairs of which the condition is still to be evaluated, and rows that may have found no match.

use std::sync::Arc;

use arrow::array::{ArrayRef, TimestampMillisecondArray};
use arrow::datatypes::DataType;

use super::decode;
use super::side::Row;

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
pub(crate) struct Candidates(Vec<Candidate>);

impl Candidates {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Candidate> {
        self.0.iter()
    }

    /// Those that are decided before a time, and the others.
    pub(crate) fn split_at(mut self, time: i64) -> (Self, Self) {
        let behind = self.0.split_off(self.0.partition_point(|candidate| candidate.decided < time));
        (self, Self(behind))
    }

    pub(super) fn pair(&mut self, left: &Arc<Row>, right: &Arc<Row>, instant: i64) {
        let rows = [Some(Arc::clone(left)), Some(Arc::clone(right))];
        self.0.push(Candidate { rows, decided: instant, time: instant });
    }

    /// A row of a side that goes at an instant and is given so long after its time if it has no match.
    pub(super) fn unmatched(&mut self, side: usize, row: Arc<Row>, instant: i64, given_ms: i64) {
        let time = row.time.saturating_add(given_ms);
        let mut rows = [None, None];
        rows[side] = Some(row);
        self.0.push(Candidate { rows, decided: instant, time });
    }

    /// Puts those of one instant, which begin at a place, in an order that is the same however they were found: pairs first,
    /// because rows without a match are told by them.
    pub(super) fn sort_from(&mut self, place: usize) {
        self.0[place..].sort_unstable_by(|a, b| b.is_pair().cmp(&a.is_pair()).then_with(|| a.rows.cmp(&b.rows)));
    }

    /// The columns of those for which `chosen` is true, both sides' and the time.
    pub(crate) fn columns(&self, chosen: &[bool], types: [&[DataType]; 2]) -> Vec<ArrayRef> {
        let chosen: Vec<&Candidate> =
            self.0.iter().zip(chosen).filter(|(_, chosen)| **chosen).map(|(one, _)| one).collect();
        let mut columns = Vec::with_capacity(types[0].len() + types[1].len() + 1);
        for (side, types) in types.into_iter().enumerate() {
            let rows: Vec<Option<&Arc<Row>>> = chosen.iter().map(|one| one.rows[side].as_ref()).collect();
            columns.extend(decode(&rows, types));
        }
        let times: Vec<i64> = chosen.iter().map(|candidate| candidate.time).collect();
        columns.push(Arc::new(TimestampMillisecondArray::from(times)));
        columns
    }
}
