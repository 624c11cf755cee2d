//! Windows that begin with a row and end by themselves: sessions, and stagger windows.
//!
//! Rows wait until the watermark has passed them, so that they come in the order of their times. A partition (the rows whose
//! first keys are the same) has at most one window open; its groups share a pane with those of all others.

use std::collections::{BTreeSet, HashMap};

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use foldhash::fast::FixedState;

use super::pane::Pane;
use super::slices::Slices;
use super::{CLOSED_ROWS, Closed, Ended, bound, floor_to, key};
use crate::executor::state::{Reader, StateError, Writer};
use crate::plan::{AggregateCall, WindowBounds};

/// When a window ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    /// When nothing has come for the timeout, or at the first multiple of the longest duration at which it is that old.
    Quiet { timeout_ms: i64, longest_ms: i64 },
    /// So long after it began.
    After { size_ms: i64 },
}

pub(super) struct Sessions {
    bounds: WindowBounds,
    ending: Ending,
    /// How many keys make a partition.
    partition: usize,
    key_types: Vec<DataType>,
    /// Rows that are not in their windows yet, by their time.
    waiting: Slices,
    /// Rows before this time are in their windows.
    done: i64,
    /// The open windows' groups.
    groups: Pane,
    /// The open windows, by the bytes of their partitions; nothing depends on the order of the map.
    open: HashMap<Box<[u8]>, Session, FixedState>,
    /// By partition times: at one of them its window ends, or has ended.
    deadlines: BTreeSet<(i64, Box<[u8]>)>,
}

struct Session {
    start: i64,
    last: i64,
    /// Its groups' places; none in one that goes on behind another which became too old, until a row comes.
    places: Vec<u32>,
}

impl Sessions {
    pub(super) fn new(
        bounds: WindowBounds,
        ending: Ending,
        partition: usize,
        key_types: Vec<DataType>,
        aggregates: Vec<AggregateCall>,
    ) -> Self {
        Self {
            bounds,
            ending,
            partition,
            key_types,
            groups: Pane::new(&aggregates),
            waiting: Slices::new(aggregates),
            done: i64::MIN,
            open: HashMap::with_hasher(FixedState::with_seed(0)),
            deadlines: BTreeSet::new(),
        }
    }

    pub(super) fn add(&mut self, times: &[i64], keys: &[ArrayRef], arguments: &[Option<ArrayRef>]) {
        self.waiting.add(times, keys, arguments, |time| (time, time..=time));
    }

    pub(super) fn close(&mut self, watermark: i64) -> Vec<Closed> {
        let (mut closed, mut ended) = (Vec::new(), Vec::new());
        self.waiting.drop_before(self.done);
        while let Some((instant, rows)) = self.waiting.take_before(watermark) {
            self.end_windows(instant, &mut ended, &mut closed);
            self.take(instant, &rows);
        }
        self.end_windows(watermark, &mut ended, &mut closed);
        self.finish(&mut ended, &mut closed);
        self.done = self.done.max(watermark);
        closed
    }

    /// Gives the time behind which rows are needed so that all windows which are not over at a watermark are what they were.
    ///
    /// Sessions that are followed from anywhere are the same as those followed from the beginning after a timeout and two of the
    /// longest durations at most, and an open one began at most two before. Stagger windows depend on all rows before them.
    pub(super) fn begin_behind(&self, watermark: i64) -> i64 {
        match self.ending {
            Ending::Quiet { timeout_ms, longest_ms } => watermark.saturating_sub(4 * longest_ms + timeout_ms + 1),
            Ending::After { .. } => i64::MIN,
        }
    }

    /// The rows of an instant, when no window is open that is over by then.
    fn take(&mut self, instant: i64, rows: &Pane) {
        let mut places = Vec::with_capacity(rows.len());
        for row_key in rows.keys() {
            let partition = key::prefix(row_key, &self.key_types[..self.partition]);
            let session = match self.open.get_mut(partition) {
                Some(session) => session,
                None => self.open.entry(partition.into()).or_insert(Session::begin(instant)),
            };
            let first = session.places.is_empty();
            if first {
                session.start = self.ending.begin(session.start, instant);
            }
            session.last = instant;
            let before = self.groups.len();
            let place = self.groups.slot(row_key);
            if self.groups.len() > before {
                session.places.push(place);
            }
            if first {
                self.deadlines.insert((self.ending.of(session), partition.into()));
            }
            places.push(place);
        }
        self.groups.merge_into(&places, rows);
    }

    /// Ends all windows that are over when time has come so far, in the order of their ends.
    fn end_windows(&mut self, time: i64, ended: &mut Vec<Ended>, closed: &mut Vec<Closed>) {
        let over = bound(self.bounds, time);
        while self.deadlines.first().is_some_and(|(deadline, _)| *deadline <= over) {
            let Some((deadline, partition)) = self.deadlines.pop_first() else { return };
            let Some(session) = self.open.get_mut(&partition) else { continue };
            let end = self.ending.of(session);
            if end > deadline {
                self.deadlines.insert((end, partition));
                continue;
            }
            let mut places = std::mem::take(&mut session.places);
            places.sort_unstable_by(|a, b| self.groups.key(*a).cmp(self.groups.key(*b)));
            for place in places {
                self.groups.detach(place);
                ended.push(Ended { start: session.start, end, place });
            }
            if self.ending.goes_on(session.last, end) {
                session.start = end;
                self.deadlines.insert((self.ending.of(session), partition));
            } else {
                self.open.remove(&partition);
            }
            if ended.len() >= CLOSED_ROWS {
                self.finish(ended, closed);
            }
        }
    }

    fn finish(&mut self, ended: &mut Vec<Ended>, closed: &mut Vec<Closed>) {
        if ended.is_empty() {
            return;
        }
        let ended = std::mem::take(ended);
        let places: Vec<u32> = ended.iter().map(|ended| ended.place).collect();
        closed.push(self.groups.finish(ended, &self.key_types));
        places.into_iter().for_each(|place| self.groups.release(place));
    }

    pub(super) fn groups(&self) -> usize {
        self.waiting.groups() + self.groups.len()
    }

    pub(super) fn weight(&self) -> usize {
        self.waiting.weight() + self.groups.weight()
    }

    pub(super) fn write(&self, writer: &mut Writer) {
        writer.int(self.done);
        self.waiting.write(writer);
        writer.count(self.open.len());
        let mut order = Vec::with_capacity(self.groups.len());
        let mut open: Vec<(&Box<[u8]>, &Session)> = self.open.iter().collect();
        open.sort_unstable_by_key(|(partition, _)| *partition);
        for (partition, session) in open {
            writer.bytes(partition);
            writer.int(session.start);
            writer.int(session.last);
            writer.count(session.places.len());
            order.extend_from_slice(&session.places);
        }
        self.groups.write(&order, writer);
    }

    pub(super) fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), StateError> {
        self.done = reader.int()?;
        self.waiting.read(reader)?;
        self.open.clear();
        self.deadlines.clear();
        let mut next = 0;
        for _ in 0..reader.count()? {
            let partition: Box<[u8]> = reader.bytes()?.into();
            let (start, last) = (reader.int()?, reader.int()?);
            let count = reader.count()? as u32;
            let session = Session { start, last, places: (next..next + count).collect() };
            next += count;
            self.deadlines.insert((self.ending.of(&session), partition.clone()));
            self.open.insert(partition, session);
        }
        self.groups = Pane::read(&self.waiting.aggregates, reader)?;
        if self.groups.len() == next as usize { Ok(()) } else { Err(StateError) }
    }
}

impl Session {
    fn begin(instant: i64) -> Self {
        Self { start: instant, last: instant, places: Vec::new() }
    }
}

impl Ending {
    /// When a window ends if nothing more comes. One without rows is never too old: it has no result.
    fn of(self, session: &Session) -> i64 {
        match self {
            Self::Quiet { timeout_ms, longest_ms } => {
                let quiet = session.last.saturating_add(timeout_ms);
                if session.places.is_empty() {
                    return quiet;
                }
                let old = session.start.saturating_add(longest_ms);
                quiet.min(floor_to(old.saturating_add(longest_ms - 1), longest_ms))
            }
            Self::After { size_ms } => session.start.saturating_add(size_ms),
        }
    }

    /// Whether another window begins where one has ended whose last row was then.
    fn goes_on(self, last: i64, end: i64) -> bool {
        match self {
            Self::Quiet { timeout_ms, .. } => end < last.saturating_add(timeout_ms),
            Self::After { .. } => false,
        }
    }

    /// When the window began that a first row falls in: with the row, or where the last one ended that would have become too
    /// old before it, had it had rows.
    fn begin(self, start: i64, row: i64) -> i64 {
        match self {
            Self::Quiet { longest_ms, .. } if start < row => start.max(floor_to(row - 1, longest_ms)),
            _ => start,
        }
    }
}
