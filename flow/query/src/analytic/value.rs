//! The value of another row (`LAG`, `LAST`, `FIRST_VALUE`, `NTH_VALUE`): of each key the values that may be asked for.

use std::collections::{BTreeMap, VecDeque};

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::{ENTRY_BYTES, Rows, Sweep};
use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::{Extent, Place};
use crate::window::key::{Builder, encode_exact};

pub(super) struct Values {
    place: Place,
    pub(super) extent: Extent,
    data_type: DataType,
    held: BTreeMap<Box<[u8]>, Held>,
    /// How many values there are, and what these and the keys take.
    entries: usize,
    bytes: usize,
    sweep: Sweep,
}

/// What is kept of a key.
#[derive(Default)]
struct Held {
    /// How many rows it had, where that counts.
    rows: u64,
    /// The rows that count, oldest first.
    values: VecDeque<Entry>,
}

struct Entry {
    time: i64,
    /// Which row of its key it is, where that counts.
    row: u64,
    value: Box<[u8]>,
}

impl Values {
    pub(super) fn new(place: Place, extent: Extent, data_type: DataType) -> Self {
        let (held, sweep) = (BTreeMap::new(), Sweep::of(extent));
        Self { place, extent, data_type, held, entries: 0, bytes: 0, sweep }
    }

    pub(super) fn evaluate(&mut self, rows: &Rows) -> ArrayRef {
        let mut results = Builder::new(&self.data_type);
        let (mut value, mut default) = (Vec::new(), Vec::new());
        for (row, &time) in rows.times.iter().enumerate() {
            value.clear();
            default.clear();
            for (bytes, input) in [&mut value, &mut default].into_iter().zip(rows.values) {
                encode_exact(input, row, bytes);
            }
            self.begin_row(rows.keys.row(row), time);
            let (key, counts) = (rows.keys.row(row), rows.counts(row));
            let before = matches!(self.place, Place::Before(_));
            if counts && !before {
                self.remember(key, time, &value);
            }
            // No bytes read as NULL.
            results.take(&mut self.find(key).unwrap_or(&default));
            if counts && before {
                self.remember(key, time, &value);
            }
        }
        results.finish()
    }

    /// Counts a row of a key, and lets those go that it does not go back to.
    fn begin_row(&mut self, key: &[u8], time: i64) {
        if matches!(self.extent, Extent::Rows(_)) && !self.held.contains_key(key) {
            self.insert(key);
        }
        let Some(held) = self.held.get_mut(key) else { return };
        held.rows += 1;
        let (oldest, rows) = (self.extent.oldest(time), self.extent.rows() as u64);
        while held.values.front().is_some_and(|first| first.time < oldest || held.rows - first.row >= rows) {
            let Some(gone) = held.values.pop_front() else { break };
            self.entries -= 1;
            self.bytes -= gone.value.len();
        }
    }

    fn insert(&mut self, key: &[u8]) {
        self.bytes += key.len() + ENTRY_BYTES;
        self.held.insert(key.into(), Held::default());
    }

    /// The value that is asked for, if there is such a row.
    fn find(&self, key: &[u8]) -> Option<&[u8]> {
        let values = &self.held.get(key)?.values;
        let place = match self.place {
            Place::Before(rows) | Place::Last(rows) => values.len().checked_sub(rows)?,
            Place::First(row) => row.checked_sub(1)?,
        };
        values.get(place).map(|entry| &*entry.value)
    }

    fn remember(&mut self, key: &[u8], time: i64, value: &[u8]) {
        if !self.held.contains_key(key) {
            self.insert(key);
        }
        let Some(held) = self.held.get_mut(key) else { return };
        held.values.push_back(Entry { time, row: held.rows, value: value.into() });
        self.entries += 1;
        self.bytes += value.len();
        let (Place::Before(most) | Place::Last(most)) = self.place else { return };
        if held.values.len() > most
            && let Some(gone) = held.values.pop_front()
        {
            self.entries -= 1;
            self.bytes -= gone.value.len();
        }
    }

    pub(super) fn forget(&mut self, now: i64) {
        if !self.sweep.is_due(now) {
            return;
        }
        let oldest = self.extent.oldest(now);
        self.held.retain(|_, held| held.counts_still(oldest));
        self.count();
    }

    /// Counts anew what is kept.
    fn count(&mut self) {
        self.entries = self.held.values().map(|held| held.values.len()).sum();
        let values = |held: &Held| held.values.iter().map(|entry| entry.value.len()).sum::<usize>();
        self.bytes = self.held.iter().map(|(key, held)| key.len() + ENTRY_BYTES + values(held)).sum();
    }

    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Writes what rows from a time on may look back to.
    pub(super) fn write(&self, now: i64, writer: &mut Writer) {
        let (oldest, by_rows) = (self.extent.oldest(now), matches!(self.extent, Extent::Rows(_)));
        let held = || self.held.iter().filter(|(_, held)| by_rows || held.counts_still(oldest));
        writer.count(held().count());
        for (key, held) in held() {
            writer.bytes(key);
            // Where rows do not count, how many there were depends on when a key was forgotten.
            let row = |row: u64| if by_rows { row.cast_signed() } else { 0 };
            writer.int(row(held.rows));
            writer.count(held.values.len());
            for entry in &held.values {
                writer.int(entry.time);
                writer.int(row(entry.row));
                writer.bytes(&entry.value);
            }
        }
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.held.clear();
        for _ in 0..reader.count()? {
            let key: Box<[u8]> = reader.bytes()?.into();
            let mut held = Held { rows: reader.int()?.cast_unsigned(), values: VecDeque::new() };
            for _ in 0..reader.count()? {
                let (time, row) = (reader.int()?, reader.int()?.cast_unsigned());
                if row > held.rows {
                    return Err(StateError);
                }
                held.values.push_back(Entry { time, row, value: reader.bytes()?.into() });
            }
            self.held.insert(key, held);
        }
        self.count();
        Ok(())
    }
}

impl Held {
    /// Whether the newest of its values is not too old yet.
    fn counts_still(&self, oldest: i64) -> bool {
        self.values.back().is_some_and(|entry| entry.time >= oldest)
    }
}
