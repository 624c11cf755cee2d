//! What was produced and waits for the next commit. What went wrong does not wait: it is told as it comes.

use arrow::array::RecordBatch;

use super::encoded::PART_BYTES;
use super::rows;
use crate::executor::{Produced, RowError};

/// Bytes of records from which on they are committed before more is read: one transaction holds 16 MiB.
const MUCH: usize = 4 << 20;

/// The same while the state rests that is written with them: with what comes of one more read it mostly is one part of results still.
const MUCH_RESTING: usize = PART_BYTES - (1 << 20);

/// Rows that wait.
#[derive(Debug, Default)]
pub(super) struct Held {
    produced: Produced,
    /// What their records take, about.
    bytes: usize,
}

impl Held {
    /// What a call gave. Looks at all of it: work for a thread that may be busy.
    pub(super) fn of(produced: Produced) -> Self {
        let bytes_of =
            |rows: &RecordBatch| (0..rows.num_rows()).map(|row| rows::record_bytes(rows, row)).sum::<usize>();
        let bytes = produced.rows.iter().map(|(_, rows)| bytes_of(rows)).sum();
        Self { produced, bytes }
    }

    /// Adds what another call gave.
    pub(super) fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.produced.extend(other.produced);
    }

    /// Whether no more should wait, though the state rests.
    pub(super) fn is_much(&self, rests: bool) -> bool {
        self.bytes >= if rests { MUCH_RESTING } else { MUCH }
    }

    /// What went wrong, which is to be told.
    pub(super) fn take_errors(&mut self) -> Vec<RowError> {
        std::mem::take(&mut self.produced.errors)
    }

    /// The rows; none wait then.
    pub(super) fn take(&mut self) -> Produced {
        std::mem::take(self).produced
    }
}
