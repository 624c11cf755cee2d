//! Windows of time as panes: each row is added to the one pane it falls in, and a window's result is put together from its
//! panes when the watermark has passed its end.
//!
//! Tumbling windows have one pane each; hopping windows share panes of the greatest common divisor of size and hop. Which
//! boundary belongs to a window is a parameter. Knows no SQL. Read next: [`accumulator`], [`key`].

pub(crate) mod accumulator;
pub(crate) mod key;
mod pane;

use std::collections::BTreeMap;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::{AggregateCall, WindowBounds, WindowSpec};
use accumulator::Accumulator;
use key::KeyEncoder;
use pane::Pane;

/// Groups that all panes of one step may hold together: at some hundred bytes each, a quarter of a gigabyte.
pub(crate) const GROUPS_MAX: usize = 2_000_000;

/// The state of one windowed aggregation.
pub(crate) struct Windows {
    spec: WindowSpec,
    pane_ms: i64,
    key_types: Vec<DataType>,
    aggregates: Vec<AggregateCall>,
    panes: BTreeMap<i64, Pane>,
    /// Windows that start before are closed.
    next_start: i64,
    encoder: KeyEncoder,
    slots: Vec<u32>,
}

/// The result of one window.
pub(crate) struct Closed {
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// The key columns, then the aggregates.
    pub(crate) columns: Vec<ArrayRef>,
    /// Groups that have no result, and why.
    pub(crate) errors: Vec<String>,
}

/// Too many groups are open at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("more than {GROUPS_MAX} groups are open at once; use fewer keys, shorter windows or longer hops")]
pub(crate) struct TooManyGroups;

impl Windows {
    pub(crate) fn new(spec: WindowSpec, key_types: Vec<DataType>, aggregates: Vec<AggregateCall>) -> Self {
        let pane_ms = greatest_common_divisor(spec.kind.size_ms(), spec.kind.hop_ms());
        let encoder = KeyEncoder::default();
        Self {
            spec,
            pane_ms,
            key_types,
            aggregates,
            panes: BTreeMap::new(),
            next_start: i64::MIN,
            encoder,
            slots: Vec::new(),
        }
    }

    /// Adds rows: their times, keys and the aggregates' arguments.
    pub(crate) fn add(
        &mut self,
        times: &[i64],
        keys: &[ArrayRef],
        arguments: &[Option<ArrayRef>],
    ) -> Result<(), TooManyGroups> {
        let encoded = self.encoder.encode(keys, times.len());
        let mut from = 0;
        // Rows come nearly in the order of time: a batch is a few runs of rows of one pane, most often one.
        while from < times.len() {
            let start = pane_start(&self.spec, self.pane_ms, times[from]);
            let run =
                times[from..].iter().take_while(|&&time| pane_start(&self.spec, self.pane_ms, time) == start).count();
            let pane = self.panes.entry(start).or_insert_with(|| Pane::new(&self.aggregates));
            self.slots.clear();
            for row in from..from + run {
                self.slots.push(pane.slot(encoded.row(row)));
            }
            for (accumulator, argument) in pane.accumulators.iter_mut().zip(arguments) {
                let argument = argument.as_ref().map(|array| array.slice(from, run));
                accumulator.add(&self.slots, argument.as_ref());
            }
            from += run;
        }
        if self.panes.values().map(Pane::len).sum::<usize>() > GROUPS_MAX { Err(TooManyGroups) } else { Ok(()) }
    }

    /// The windows that no further row can fall in, oldest first, each once.
    pub(crate) fn close(&mut self, watermark: i64) -> Vec<Closed> {
        let mut closed = Vec::new();
        while let Some(&first_pane) = self.panes.keys().next() {
            // The first window that holds the first pane: none before it has rows.
            let Some(start) = self.first_window(first_pane) else {
                self.panes.remove(&first_pane);
                continue;
            };
            let end = start + self.spec.kind.size_ms();
            if end > bound(&self.spec, watermark) {
                break;
            }
            closed.extend(self.window(start, end));
            // Panes before the next window are needed no more.
            self.next_start = start + self.spec.kind.hop_ms();
            while self.panes.first_key_value().is_some_and(|(pane, _)| *pane < self.next_start) {
                self.panes.pop_first();
            }
        }
        closed
    }

    /// Whether a window that ends then is over at a watermark.
    pub(crate) fn is_over(&self, end: i64, watermark: i64) -> bool {
        end <= bound(&self.spec, watermark)
    }

    /// Lets windows, of which there are none yet, begin with the first that is not over at a watermark. Gives the time behind
    /// which rows belong to it or to later ones.
    pub(crate) fn begin_behind(&mut self, watermark: i64) -> i64 {
        if watermark == i64::MIN {
            return i64::MIN;
        }
        let (size, hop, offset) = (self.spec.kind.size_ms(), self.spec.kind.hop_ms(), self.spec.offset_ms);
        let over = bound(&self.spec, watermark).saturating_sub(size).saturating_sub(offset);
        self.next_start = floor_to(over, hop).saturating_add(hop).saturating_add(offset);
        self.next_start.saturating_sub(1)
    }

    fn window(&mut self, start: i64, end: i64) -> Option<Closed> {
        let hopping = self.spec.kind.hop_ms() < self.spec.kind.size_ms();
        let pane = if hopping {
            let mut merged = Pane::new(&self.aggregates);
            self.panes.range(start..end).for_each(|(_, pane)| merged.merge(pane));
            merged
        } else {
            // A window of its own panes only, which are the first: when they are one it is taken as it is.
            let (_, mut merged) = self.panes.pop_first()?;
            while let Some(next) = self.panes.first_entry().filter(|next| *next.key() < end) {
                merged.merge(&next.remove());
            }
            merged
        };
        if pane.len() == 0 {
            return None;
        }
        let (columns, errors) = pane.finish(&self.key_types);
        Some(Closed { start, end, columns, errors })
    }

    /// The start of the first window that holds a pane and is not closed yet; `None` when there is none.
    fn first_window(&self, pane: i64) -> Option<i64> {
        let (size, hop) = (self.spec.kind.size_ms(), self.spec.kind.hop_ms());
        let first = floor_to(pane - size - self.spec.offset_ms, hop) + hop + self.spec.offset_ms;
        let start = first.max(self.next_start);
        (start <= pane).then_some(start)
    }

    /// Groups over all panes.
    pub(crate) fn groups(&self) -> usize {
        self.panes.values().map(Pane::len).sum()
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.int(self.next_start);
        writer.count(self.panes.len());
        for (start, pane) in &self.panes {
            writer.int(*start);
            pane.write(writer);
        }
    }

    pub(crate) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.panes.clear();
        self.next_start = reader.int()?;
        for _ in 0..reader.count()? {
            let start = reader.int()?;
            self.panes.insert(start, Pane::read(&self.aggregates, reader)?);
        }
        Ok(())
    }
}

/// A row's time on the scale on which all windows are [start, end): in (start, end] a row at a boundary belongs to what is
/// before it.
fn bound(spec: &WindowSpec, time: i64) -> i64 {
    match spec.bounds {
        WindowBounds::ClosedOpen => time,
        WindowBounds::OpenClosed => time.saturating_sub(1),
    }
}

fn pane_start(spec: &WindowSpec, pane_ms: i64, time: i64) -> i64 {
    floor_to(bound(spec, time).saturating_sub(spec.offset_ms), pane_ms).saturating_add(spec.offset_ms)
}

fn floor_to(time: i64, unit: i64) -> i64 {
    time.saturating_sub(time.rem_euclid(unit))
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a.max(1) } else { greatest_common_divisor(b, a % b) }
}

/// The accumulators of an aggregation, empty.
fn accumulators(aggregates: &[AggregateCall]) -> Vec<Accumulator> {
    aggregates.iter().map(Accumulator::new).collect()
}
