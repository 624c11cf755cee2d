//! Windows that begin with a row and end by themselves: sessions, and stagger windows.
//!
//! Rows wait until the watermark has passed them, so that they come in the order of their times. A partition (the rows whose
//! first keys are the same) has at most one window open; its groups share a pane with those of all others.

use std::collections::BTreeMap;
use std::hash::BuildHasher as _;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use foldhash::fast::FixedState;
use hashbrown::HashTable;

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
    /// The open windows' groups, and by their places the numbers of the sessions that they are in.
    groups: Pane,
    session_of: Vec<u32>,
    /// By number; those that are over have no rows and no partition, and their numbers are used again.
    sessions: Vec<Session>,
    free: Vec<u32>,
    /// The numbers of the open sessions, by the bytes of their partitions; nothing depends on the order of the table.
    open: HashTable<u32>,
    /// By time the sessions whose window may end then. Of a session those of other times than its deadline count no more.
    deadlines: BTreeMap<i64, Vec<u32>>,
}

/// The hash is the same in each run.
const HASH: FixedState = FixedState::with_seed(0);

struct Session {
    partition: Box<[u8]>,
    start: i64,
    last: i64,
    /// When it is looked at next: never after its window ends. Before all times in one that is over.
    deadline: i64,
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
            session_of: Vec::new(),
            sessions: Vec::new(),
            free: Vec::new(),
            open: HashTable::new(),
            deadlines: BTreeMap::new(),
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
            self.waiting.give_back(rows);
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
            let before = self.groups.len();
            let place = self.groups.slot(row_key);
            // A group that is there is in an open window.
            let is_new = self.groups.len() > before;
            let number = if is_new { self.session(row_key, instant) } else { self.session_of[place as usize] };
            let session = &mut self.sessions[number as usize];
            let first = session.places.is_empty();
            if first {
                session.start = self.ending.begin(session.start, instant);
            }
            session.last = instant;
            if is_new {
                session.places.push(place);
                if self.session_of.len() <= place as usize {
                    self.session_of.resize(place as usize + 1, number);
                }
                self.session_of[place as usize] = number;
            }
            if first {
                self.look_again(number);
            }
            places.push(place);
        }
        self.groups.merge_into(&places, rows);
    }

    /// The open session of a key's partition, begun with a row if there is none.
    fn session(&mut self, row_key: &[u8], instant: i64) -> u32 {
        let partition = key::prefix(row_key, &self.key_types[..self.partition]);
        let sessions = &self.sessions;
        let same = |number: &u32| *sessions[*number as usize].partition == *partition;
        match self.open.find(HASH.hash_one(partition), same) {
            Some(number) => *number,
            None => self.begin(Session::begin(partition, instant)),
        }
    }

    fn begin(&mut self, session: Session) -> u32 {
        let hash = HASH.hash_one(&*session.partition);
        let number = match self.free.pop() {
            Some(number) => {
                self.sessions[number as usize] = session;
                number
            }
            None => {
                self.sessions.push(session);
                // There are no more than groups.
                self.sessions.len() as u32 - 1
            }
        };
        let sessions = &self.sessions;
        self.open.insert_unique(hash, number, |number| HASH.hash_one(&*sessions[*number as usize].partition));
        number
    }

    /// Lets a session be looked at when its window ends, as far as is known.
    fn look_again(&mut self, number: u32) {
        let session = &mut self.sessions[number as usize];
        session.deadline = self.ending.of(session);
        self.deadlines.entry(session.deadline).or_default().push(number);
    }

    /// Ends all windows that are over when time has come so far, in the order of their ends.
    fn end_windows(&mut self, time: i64, ended: &mut Vec<Ended>, closed: &mut Vec<Closed>) {
        let over = bound(self.bounds, time);
        while let Some(first) = self.deadlines.first_entry().filter(|first| *first.key() <= over) {
            let (deadline, mut numbers) = first.remove_entry();
            let sessions = &self.sessions;
            numbers.retain(|number| sessions[*number as usize].deadline == deadline);
            numbers.sort_unstable_by(|a, b| sessions[*a as usize].partition.cmp(&sessions[*b as usize].partition));
            for number in numbers {
                self.end_window(number, deadline, ended);
                if ended.len() >= CLOSED_ROWS {
                    self.finish(ended, closed);
                }
            }
        }
    }

    /// Ends the window of a session whose deadline it is, unless rows have come since that put it off.
    fn end_window(&mut self, number: u32, deadline: i64, ended: &mut Vec<Ended>) {
        let session = &mut self.sessions[number as usize];
        let end = self.ending.of(session);
        if session.deadline != deadline {
            // It is named twice at this time, and has gone on already.
            return;
        }
        if end > deadline {
            self.look_again(number);
            return;
        }
        let mut places = std::mem::take(&mut session.places);
        places.sort_unstable_by(|a, b| self.groups.key(*a).cmp(self.groups.key(*b)));
        for place in places {
            self.groups.detach(place);
            ended.push(Ended { start: session.start, end, place });
        }
        if self.ending.goes_on(session.last, end) {
            session.start = end;
            self.look_again(number);
        } else {
            self.close_session(number);
        }
    }

    /// Lets go of a session.
    fn close_session(&mut self, number: u32) {
        let session = std::mem::replace(&mut self.sessions[number as usize], Session::begin(&[], i64::MIN));
        if let Ok(found) = self.open.find_entry(HASH.hash_one(&*session.partition), |open| *open == number) {
            found.remove();
        }
        self.free.push(number);
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
        let mut open: Vec<&Session> = self.open.iter().map(|number| &self.sessions[*number as usize]).collect();
        open.sort_unstable_by_key(|session| &session.partition);
        for session in open {
            writer.bytes(&session.partition);
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
        self.sessions.clear();
        self.session_of.clear();
        self.free.clear();
        self.deadlines.clear();
        let mut next = 0;
        for _ in 0..reader.count()? {
            let partition = reader.bytes()?;
            let (start, last) = (reader.int()?, reader.int()?);
            let places: Vec<u32> = (next..next + reader.count()? as u32).collect();
            next += places.len() as u32;
            let of_places = places.len();
            let number = self.begin(Session { start, last, places, ..Session::begin(partition, start) });
            self.session_of.extend(std::iter::repeat_n(number, of_places));
            self.look_again(number);
        }
        self.groups = Pane::read(&self.waiting.aggregates, reader)?;
        if self.groups.len() == next as usize { Ok(()) } else { Err(StateError) }
    }
}

impl Session {
    fn begin(partition: &[u8], instant: i64) -> Self {
        Self { partition: partition.into(), start: instant, last: instant, deadline: i64::MIN, places: Vec::new() }
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
