//! Windows of time: rows go in, and a window's result comes out once when the watermark has passed its end.
//!
//! Rows are accumulated in slices of time first. `aligned.rs` puts windows together from these; `session.rs` and `sliding.rs`
//! take them in the order of time into the windows of each group. Which boundary belongs to a window is a parameter. Knows no
//! SQL. Read next: [`accumulator`], [`key`].

pub(crate) mod accumulator;
mod aligned;
mod distinct;
pub(crate) mod key;
pub(crate) mod listed;
mod merged;
pub(crate) mod pane;
pub(crate) mod queue;
mod session;
mod slices;
mod sliding;

use arrow::array::{Array as _, ArrayRef};
use arrow::datatypes::DataType;

use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::{AggregateCall, WindowBounds, WindowKind, WindowSpec};
use accumulator::Accumulator;
use aligned::Aligned;
use listed::BYTES_A_GROUP;
use session::{Ending, Sessions};
use sliding::Sliding;

/// Groups that all panes of one step may hold together, rows that wait for the watermark counted by what they cost: at some hundred
/// bytes each, a quarter of a gigabyte.
pub(crate) const GROUPS_MAX: usize = 2_000_000;

/// As many rows of windows that end at different times are handed on together: enough for vectors, little to keep.
pub(crate) const CLOSED_ROWS: usize = 8_192;

/// Bytes of results from which on they are handed on before more windows are put together: each value may be in the results of very
/// many windows that are over at once.
pub(crate) const CLOSED_BYTES: usize = 32 << 20;

/// The state of one windowed aggregation.
pub(crate) struct Windows {
    bounds: WindowBounds,
    kind: Kind,
}

enum Kind {
    Aligned(Aligned),
    Sessions(Sessions),
    Sliding(Sliding),
}

/// Results of windows, in the order of their ends; or rows, whose windows end with them.
pub(crate) struct Closed {
    /// By row: when its window began.
    pub(crate) starts: Vec<i64>,
    /// By row: when its window ended.
    pub(crate) ends: Vec<i64>,
    /// The key columns, then the aggregates.
    pub(crate) columns: Vec<ArrayRef>,
    /// Groups that have no result: when their window ended, and why.
    pub(crate) errors: Vec<(i64, String)>,
    /// Why the query cannot go on behind them.
    pub(crate) stops: Option<String>,
}

/// A group of a window that is over: its place in a pane.
struct Ended {
    start: i64,
    end: i64,
    place: u32,
}

/// Too many groups are open at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "more than {GROUPS_MAX} groups are open at once, or as much of what aggregates keep of their events ({BYTES_A_GROUP} bytes count as a \
     group); use fewer keys, shorter windows, longer hops, less tolerance for disorder, or aggregates that keep fewer values"
)]
pub(crate) struct TooManyGroups;

impl Windows {
    pub(crate) fn new(spec: WindowSpec, key_types: Vec<DataType>, aggregates: Vec<AggregateCall>) -> Self {
        let bounds = spec.bounds;
        let kind = match spec.kind {
            WindowKind::Tumbling { size_ms } => {
                Kind::Aligned(Aligned::new(spec, (size_ms, size_ms), key_types, aggregates))
            }
            WindowKind::Hopping { size_ms, hop_ms } => {
                Kind::Aligned(Aligned::new(spec, (size_ms, hop_ms), key_types, aggregates))
            }
            WindowKind::Sliding { size_ms } => Kind::Sliding(Sliding::new(bounds, size_ms, key_types, aggregates)),
            WindowKind::Session { timeout_ms, longest_ms, partition } => {
                let ending = Ending::Quiet { timeout_ms, longest_ms };
                Kind::Sessions(Sessions::new(bounds, ending, partition, key_types, aggregates))
            }
            WindowKind::Stagger { size_ms } => {
                let (ending, partition) = (Ending::After { size_ms }, key_types.len());
                Kind::Sessions(Sessions::new(bounds, ending, partition, key_types, aggregates))
            }
        };
        Self { bounds, kind }
    }

    /// Adds rows: their times, keys and the aggregates' arguments.
    pub(crate) fn add(
        &mut self,
        times: &[i64],
        keys: &[ArrayRef],
        arguments: &[Option<ArrayRef>],
    ) -> Result<(), TooManyGroups> {
        match &mut self.kind {
            Kind::Aligned(windows) => windows.add(times, keys, arguments),
            Kind::Sessions(windows) => windows.add(times, keys, arguments),
            Kind::Sliding(windows) => windows.add(times, keys, arguments),
        }
        if self.weight() > GROUPS_MAX { Err(TooManyGroups) } else { Ok(()) }
    }

    /// The windows that no further row can fall in, oldest first, each once, or the first of them where they give much; and the
    /// watermark at which these are all that are over.
    pub(crate) fn close(&mut self, watermark: i64) -> (Vec<Closed>, i64) {
        match &mut self.kind {
            Kind::Aligned(windows) => windows.close(watermark),
            Kind::Sessions(windows) => (windows.close(watermark), watermark),
            Kind::Sliding(windows) => windows.close(watermark),
        }
    }

    /// Whether a window that ends then is over at a watermark.
    pub(crate) fn is_over(&self, end: i64, watermark: i64) -> bool {
        end <= bound(self.bounds, watermark)
    }

    /// Lets windows, of which there are none yet, begin with the first that is not over at a watermark. Gives the time behind
    /// which rows belong to it or to later ones; results of windows that are over may come again.
    pub(crate) fn begin_behind(&mut self, watermark: i64) -> i64 {
        if watermark == i64::MIN {
            return i64::MIN;
        }
        match &mut self.kind {
            Kind::Aligned(windows) => windows.begin_behind(watermark),
            Kind::Sessions(windows) => windows.begin_behind(watermark),
            Kind::Sliding(windows) => windows.begin_behind(watermark),
        }
    }

    /// Groups over all panes.
    pub(crate) fn groups(&self) -> usize {
        match &self.kind {
            Kind::Aligned(windows) => windows.groups(),
            Kind::Sessions(windows) => windows.groups(),
            Kind::Sliding(windows) => windows.groups(),
        }
    }

    /// What the state costs, in groups. Aligned windows have few panes for many groups.
    fn weight(&self) -> usize {
        match &self.kind {
            Kind::Aligned(windows) => windows.groups(),
            Kind::Sessions(windows) => windows.weight(),
            Kind::Sliding(windows) => windows.weight(),
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        match &self.kind {
            Kind::Aligned(windows) => windows.write(writer),
            Kind::Sessions(windows) => windows.write(writer),
            Kind::Sliding(windows) => windows.write(writer),
        }
    }

    pub(crate) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        match &mut self.kind {
            Kind::Aligned(windows) => windows.read(reader),
            Kind::Sessions(windows) => windows.read(reader),
            Kind::Sliding(windows) => windows.read(reader),
        }
    }
}

impl Closed {
    /// How many bytes its columns take.
    pub(crate) fn bytes(&self) -> usize {
        self.columns.iter().map(|column| column.get_array_memory_size()).sum()
    }

    /// Those whose windows ended at times of which something is true that is not true of later ones, and the others.
    pub(crate) fn split(self, ended: impl Fn(i64) -> bool) -> (Self, Self) {
        let rows = self.ends.partition_point(|end| ended(*end));
        let (errors_before, errors) = self.errors.into_iter().partition(|(end, _)| ended(*end));
        let (count, (first, behind)) = (self.ends.len(), (self.columns.clone(), self.columns));
        let slice = |columns: Vec<ArrayRef>, from, length| -> Vec<ArrayRef> {
            columns.into_iter().map(|column| column.slice(from, length)).collect()
        };
        let before = Self {
            starts: self.starts[..rows].to_vec(),
            ends: self.ends[..rows].to_vec(),
            columns: slice(first, 0, rows),
            errors: errors_before,
            stops: None,
        };
        let after = Self {
            starts: self.starts[rows..].to_vec(),
            ends: self.ends[rows..].to_vec(),
            columns: slice(behind, rows, count - rows),
            errors,
            stops: self.stops,
        };
        (before, after)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty() && self.errors.is_empty()
    }
}

/// A time on the scale on which all windows are [start, end): in (start, end] a row at a boundary belongs to what is before it.
pub(crate) fn bound(bounds: WindowBounds, time: i64) -> i64 {
    match bounds {
        WindowBounds::ClosedOpen => time,
        WindowBounds::OpenClosed => time.saturating_sub(1),
    }
}

/// The first watermark at which a window that ends then is over.
fn over_at(bounds: WindowBounds, end: i64) -> i64 {
    match bounds {
        WindowBounds::ClosedOpen => end,
        WindowBounds::OpenClosed => end.saturating_add(1),
    }
}

pub(crate) fn floor_to(time: i64, unit: i64) -> i64 {
    time.saturating_sub(time.rem_euclid(unit))
}

/// The accumulators of an aggregation, empty.
fn accumulators(aggregates: &[AggregateCall]) -> Vec<Accumulator> {
    aggregates.iter().map(Accumulator::new).collect()
}
