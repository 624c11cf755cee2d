//! Reference data as a join reads them: rows found by their keys. Never changes once it is made.

use std::collections::HashMap;

use arrow::array::{Array as _, ArrayRef};
use foldhash::fast::FixedState;

use crate::window::key::KeyEncoder;

/// The rows of a table.
pub(crate) struct Table {
    /// The places of rows by the bytes of their keys.
    rows: HashMap<Box<[u8]>, Vec<u32>, FixedState>,
    columns: Vec<ArrayRef>,
}

impl Table {
    /// Rows by their keys and columns. Those of which a key is NULL match nothing.
    pub(crate) fn new(keys: &[ArrayRef], columns: Vec<ArrayRef>, count: usize) -> Self {
        let mut rows: HashMap<Box<[u8]>, Vec<u32>, FixedState> = HashMap::with_hasher(FixedState::with_seed(0));
        let mut encoder = KeyEncoder::default();
        let encoded = encoder.encode(keys, count);
        for row in 0..count {
            if keys.iter().all(|key| key.is_valid(row)) {
                // An object's bytes are bounded far below 2^32 rows.
                rows.entry(encoded.row(row).into()).or_default().push(row as u32);
            }
        }
        Self { rows, columns }
    }

    pub(crate) fn columns(&self) -> &[ArrayRef] {
        &self.columns
    }

    /// Visits each row of `count` with the places of the table's rows that it matches, which may be none.
    pub(crate) fn each_match(&self, keys: &[ArrayRef], count: usize, mut visit: impl FnMut(usize, &[u32])) {
        let mut encoder = KeyEncoder::default();
        let encoded = encoder.encode(keys, count);
        for row in 0..count {
            let matchable = keys.iter().all(|key| key.is_valid(row));
            let found = if matchable { self.rows.get(encoded.row(row)) } else { None };
            visit(row, found.map_or(&[], Vec::as_slice));
        }
    }
}
