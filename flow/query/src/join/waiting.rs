//! Rows of both sides that the watermark has not passed, by their time.
//!
//! A row is its values, then its key, each as its bytes ([`crate::window::key`]), one behind the other in the memory of its time.
//! No value's bytes begin another's, so rows sort by all of them as they do by their values and then by their keys.

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;

use super::ROW_BYTES;
use super::side::HASH;
use crate::executor::state::{Reader, StateError, Writer};

/// Rows that wait.
#[derive(Default)]
pub(super) struct Waiting {
    times: BTreeMap<i64, [Arrivals; 2]>,
    rows: usize,
    /// What they cost, in rows.
    held: usize,
}

/// The rows of one side at one time.
#[derive(Default)]
pub(super) struct Arrivals {
    bytes: Vec<u8>,
    rows: Vec<Arrival>,
}

/// A row of less than 4 GiB: its place in the bytes.
struct Arrival {
    /// Its first bytes as a number that sorts as they do: most rows differ in them.
    first: u128,
    begin: usize,
    shape: Shape,
}

/// What is known of a row without its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// The key's hash.
    pub(super) hash: u64,
    pub(super) values: u32,
    /// How long the key is.
    pub(super) key: u32,
    /// Whether rows of the same key match it; one of which a key is NULL matches nothing.
    pub(super) keyed: bool,
}

impl Shape {
    pub(super) fn new(key: Option<&[u8]>, values: &[u8]) -> Self {
        let hash = key.map_or(0, |key| HASH.hash_one(key));
        let length = key.map_or(0, |key| key.len() as u32);
        Self { hash, values: values.len() as u32, key: length, keyed: key.is_some() }
    }

    fn length(self) -> usize {
        self.values as usize + self.key as usize
    }

    /// What such a row costs, in rows.
    pub(super) fn weight(self) -> usize {
        1 + self.length() / ROW_BYTES
    }

    /// Writes a row of these bytes.
    pub(super) fn write(self, bytes: &[u8], writer: &mut Writer) {
        let (values, key) = bytes.split_at(self.values as usize);
        writer.bytes(if self.keyed { &[1] } else { &[] });
        writer.bytes(key);
        writer.bytes(values);
    }
}

impl Arrivals {
    /// Adds a row; gives its weight.
    pub(super) fn push(&mut self, key: Option<&[u8]>, values: &[u8]) -> usize {
        let (begin, shape) = (self.bytes.len(), Shape::new(key, values));
        self.bytes.extend_from_slice(values);
        self.bytes.extend_from_slice(key.unwrap_or_default());
        self.rows.push(Arrival { first: first_bytes(&self.bytes[begin..]), begin, shape });
        shape.weight()
    }

    /// The rows: their bytes, and what is known without these.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], Shape)> {
        self.rows.iter().map(|row| (&self.bytes[row.begin..row.begin + row.shape.length()], row.shape))
    }

    /// Puts them in an order that does not depend on the one in which they came.
    fn sort(&mut self) {
        let Self { bytes, rows } = self;
        let of = |row: &Arrival| &bytes[row.begin..row.begin + row.shape.length()];
        rows.sort_unstable_by(|a, b| a.first.cmp(&b.first).then_with(|| of(a).cmp(of(b))));
    }

    fn weight(&self) -> usize {
        self.rows.iter().map(|row| row.shape.weight()).sum()
    }

    fn write(&self, writer: &mut Writer) {
        let mut sorted: Vec<(&[u8], Shape)> = self.iter().collect();
        sorted.sort_unstable_by_key(|(bytes, _)| *bytes);
        writer.count(sorted.len());
        sorted.into_iter().for_each(|(bytes, shape)| shape.write(bytes, writer));
    }
}

impl Waiting {
    /// Adds rows of a side, each by its number: their times, and what pushes one of them.
    pub(super) fn add(&mut self, side: usize, rows: &[(i64, u32)], push: impl Fn(u32, &mut Arrivals) -> usize) {
        for together in rows.chunk_by(|(before, _), (next, _)| before == next) {
            let arrivals = &mut self.times.entry(together[0].0).or_default()[side];
            self.rows += together.len();
            self.held += together.iter().map(|(_, row)| push(*row, arrivals)).sum::<usize>();
        }
    }

    /// The first time of a row.
    pub(super) fn first(&self) -> Option<i64> {
        self.times.keys().next().copied()
    }

    /// Takes the rows of the first time, left and right, if it is this one or before it; each side's are sorted.
    pub(super) fn take(&mut self, until: i64) -> Option<[Arrivals; 2]> {
        let first = self.times.first_entry().filter(|first| *first.key() <= until)?;
        let mut sides = first.remove();
        for arrivals in &mut sides {
            arrivals.sort();
            self.rows -= arrivals.rows.len();
            self.held -= arrivals.weight();
        }
        Some(sides)
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// What the rows cost.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.count(self.times.len());
        for (time, sides) in &self.times {
            writer.int(*time);
            sides.iter().for_each(|arrivals| arrivals.write(writer));
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, StateError> {
        let mut read = Self::default();
        for _ in 0..reader.count()? {
            let (time, mut sides) = (reader.int()?, <[Arrivals; 2]>::default());
            for arrivals in &mut sides {
                for _ in 0..reader.count()? {
                    let (key, values) = read_row(reader)?;
                    read.held += arrivals.push(key, values);
                    read.rows += 1;
                }
            }
            read.times.insert(time, sides);
        }
        Ok(read)
    }
}

/// The key of a row, if it has one, and its values.
pub(super) fn read_row<'r>(reader: &mut Reader<'r>) -> Result<(Option<&'r [u8]>, &'r [u8]), StateError> {
    let keyed = !reader.bytes()?.is_empty();
    let key = reader.bytes()?;
    Ok((keyed.then_some(key), reader.bytes()?))
}

fn first_bytes(bytes: &[u8]) -> u128 {
    let mut first = [0; 16];
    let count = bytes.len().min(first.len());
    first[..count].copy_from_slice(&bytes[..count]);
    u128::from_be_bytes(first)
}
