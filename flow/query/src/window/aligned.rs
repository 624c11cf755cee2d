//! Tumbling and hopping windows: a window's result is put together from its panes when the watermark has passed its end.
//!
//! Tumbling windows have one pane each; hopping windows share panes of the greatest common divisor of size and hop. Read next:
//! [`super::merged`].

use std::ops::RangeInclusive;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::merged::Merged;
use super::slices::Slices;
use super::{CLOSED_BYTES, Closed, Ended, bound, floor_to, over_at};
use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::{AggregateCall, WindowSpec};

pub(super) struct Aligned {
    spec: WindowSpec,
    size_ms: i64,
    hop_ms: i64,
    pane_ms: i64,
    key_types: Vec<DataType>,
    slices: Slices,
    /// Where the panes of hopping windows are added up.
    merged: Merged,
    /// Windows that start before are closed.
    next_start: i64,
}

impl Aligned {
    pub(super) fn new(
        spec: WindowSpec,
        (size_ms, hop_ms): (i64, i64),
        key_types: Vec<DataType>,
        aggregates: Vec<AggregateCall>,
    ) -> Self {
        let pane_ms = greatest_common_divisor(size_ms, hop_ms);
        let (merged, slices) = (Merged::new(&aggregates), Slices::new(aggregates));
        Self { spec, size_ms, hop_ms, pane_ms, key_types, slices, merged, next_start: i64::MIN }
    }

    pub(super) fn add(&mut self, times: &[i64], keys: &[ArrayRef], arguments: &[Option<ArrayRef>]) {
        let (spec, pane_ms) = (self.spec, self.pane_ms);
        self.slices.add(times, keys, arguments, |time| pane_of(&spec, pane_ms, time));
    }

    pub(super) fn close(&mut self, watermark: i64) -> (Vec<Closed>, i64) {
        let (mut closed, mut bytes) = (Vec::new(), 0);
        while let Some(first_pane) = self.slices.first() {
            // The first window that holds the first pane: none before it has rows.
            let Some(start) = self.first_window(first_pane) else {
                self.slices.take(first_pane);
                continue;
            };
            let end = start + self.size_ms;
            if end > bound(self.spec.bounds, watermark) {
                break;
            }
            if let Some(window) = self.window(start, end) {
                bytes += window.bytes();
                closed.push(window);
            }
            // Panes before the next window are needed no more.
            self.next_start = start + self.hop_ms;
            self.slices.drop_before(self.next_start);
            self.merged.drop_before(self.next_start);
            if bytes > CLOSED_BYTES {
                return (closed, over_at(self.spec.bounds, end));
            }
        }
        (closed, watermark)
    }

    /// Begins with the first window that is not over at a watermark.
    pub(super) fn begin_behind(&mut self, watermark: i64) -> i64 {
        let over = bound(self.spec.bounds, watermark).saturating_sub(self.size_ms).saturating_sub(self.spec.offset_ms);
        self.next_start = floor_to(over, self.hop_ms).saturating_add(self.hop_ms).saturating_add(self.spec.offset_ms);
        self.next_start.saturating_sub(1)
    }

    fn window(&mut self, start: i64, end: i64) -> Option<Closed> {
        if self.hop_ms < self.size_ms {
            return self.merged.window((start, end), self.slices.between(start, end), &self.key_types);
        }
        // A window of its own panes only, which are the first: when they are one it is taken as it is.
        let (_, mut pane) = self.slices.take_before(end)?;
        while let Some((_, next)) = self.slices.take_before(end) {
            pane.merge(&next);
        }
        let ended = pane.sorted().into_iter().map(|place| Ended { start, end, place }).collect();
        let closed = (pane.len() > 0).then(|| pane.finish(ended, &self.key_types));
        self.slices.give_back(pane);
        closed
    }

    /// The start of the first window that holds a pane and is not closed yet; `None` when there is none.
    fn first_window(&self, pane: i64) -> Option<i64> {
        let first =
            floor_to(pane - self.size_ms - self.spec.offset_ms, self.hop_ms) + self.hop_ms + self.spec.offset_ms;
        let start = first.max(self.next_start);
        (start <= pane).then_some(start)
    }

    pub(super) fn groups(&self) -> usize {
        self.slices.groups()
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.int(self.next_start);
        self.slices.write(writer);
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.next_start = reader.int()?;
        self.merged = Merged::new(&self.slices.aggregates);
        self.slices.read(reader)
    }
}

/// The start of the pane that a time belongs to, and the times that do.
fn pane_of(spec: &WindowSpec, pane_ms: i64, time: i64) -> (i64, RangeInclusive<i64>) {
    let bound = bound(spec.bounds, time);
    let start = floor_to(bound.saturating_sub(spec.offset_ms), pane_ms).saturating_add(spec.offset_ms);
    let first = start.saturating_add(time.saturating_sub(bound));
    match first.checked_add(pane_ms - 1) {
        Some(last) if start > i64::MIN / 2 => (start, first..=last),
        // Where sums end at the bounds of numbers a time is looked at for itself.
        _ => (start, time..=time),
    }
}

fn greatest_common_divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a.max(1) } else { greatest_common_divisor(b, a % b) }
}
