//! Log groups, their streams and their events, as functions print them.
//!
//! Of each group the last events are held in memory, of all groups together the last are kept on disk. When all groups
//! together are too large, the one that was used longest ago is let go.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_storage::{Storage, StorageError, Transaction};
use millstream_types::{Clock, Millis};
use serde::{Deserialize, Serialize};

use crate::journal::{Bounds, Journal};

/// Events of one group that are held: at some hundred bytes each, a few megabytes.
pub const EVENTS_PER_GROUP_MAX: usize = 10_000;
/// About what an event takes besides its message.
const EVENT_BYTES: usize = 96;
/// Bytes of events of one group that are held.
const BYTES_PER_GROUP_MAX: usize = 8 << 20;
/// Bytes of events of all groups that are held.
const BYTES_MAX: usize = 64 << 20;
/// Events of all groups that are kept on disk, and bytes of them: as much as is held.
const KEPT_MAX: Bounds = Bounds { entries: 100_000, bytes: BYTES_MAX };
/// Groups that are held: each function is one.
const GROUPS_MAX: usize = 2_000;
/// A message is cut here: the largest event of the log service.
const MESSAGE_BYTES_MAX: usize = 256 << 10;

/// A printed line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// Rises with each event of the node; unique.
    pub id: u64,
    /// When it was printed.
    pub timestamp: Millis,
    /// When it was taken.
    pub ingestion: Millis,
    /// The line, without its end.
    pub message: String,
}

impl LogEvent {
    fn bytes(&self) -> usize {
        EVENT_BYTES + self.message.len()
    }
}

/// A log stream as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStreamSummary {
    /// Its name.
    pub name: String,
    /// When its first event was taken.
    pub created: Millis,
    /// Time of the first event.
    pub first_event: Millis,
    /// Time of the last event.
    pub last_event: Millis,
}

/// All log groups. Cheap to clone.
#[derive(Clone)]
pub struct Logs {
    clock: Arc<dyn Clock>,
    held: Arc<Mutex<Held>>,
    journal: Arc<Journal<Kept>>,
}

struct Held {
    next_id: u64,
    groups: BTreeMap<String, Group>,
    /// Bytes of events of all groups.
    bytes: usize,
    /// Rises with each use of a group.
    uses: u64,
}

/// The last events of a group, each with its stream's name.
#[derive(Default)]
struct Group {
    /// Which of all uses was the last of this group.
    used: u64,
    bytes: usize,
    events: VecDeque<(Arc<str>, LogEvent)>,
}

/// An event as kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    group: String,
    stream: String,
    id: u64,
    timestamp: Millis,
    ingestion: Millis,
    message: String,
}

impl Held {
    fn hold(&mut self, name: &str, stream: Arc<str>, event: LogEvent) {
        self.next_id = self.next_id.max(event.id + 1);
        self.uses += 1;
        self.bytes += event.bytes();
        let group = self.groups.entry(name.to_owned()).or_default();
        group.used = self.uses;
        group.bytes += event.bytes();
        group.events.push_back((stream, event));
        while group.events.len() > EVENTS_PER_GROUP_MAX || group.bytes > BYTES_PER_GROUP_MAX {
            let Some((_, gone)) = group.events.pop_front() else { break };
            group.bytes -= gone.bytes();
            self.bytes -= gone.bytes();
        }
        while self.groups.len() > GROUPS_MAX || self.bytes > BYTES_MAX {
            self.let_go_of_the_least_used();
        }
    }

    fn let_go_of_the_least_used(&mut self) {
        let least = self.groups.iter().min_by_key(|(_, group)| group.used).map(|(name, _)| name.clone());
        let gone = least.and_then(|name| self.groups.remove(&name));
        self.bytes -= gone.map_or(self.bytes, |group| group.bytes);
    }

    /// A group that somebody looks at.
    fn used(&mut self, name: &str) -> Option<&Group> {
        self.uses += 1;
        let group = self.groups.get_mut(name)?;
        group.used = self.uses;
        Some(group)
    }
}

impl Logs {
    /// Opens the kept groups. Reads the disk.
    ///
    /// # Errors
    /// [`StorageError`] when they cannot be read.
    pub fn open(storage: &Storage, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        let (journal, kept) = Journal::<Kept>::open(storage, "insight/logs", KEPT_MAX)?;
        let mut held = Held { next_id: 1, groups: BTreeMap::new(), bytes: 0, uses: 0 };
        for Kept { group, stream, id, timestamp, ingestion, message } in kept {
            held.hold(&group, stream.into(), LogEvent { id, timestamp, ingestion, message });
        }
        Ok(Self { clock, held: Arc::new(Mutex::new(held)), journal: Arc::new(journal) })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds events to a stream, which is made if it is new. Never waits.
    pub fn append(&self, group: &str, stream: &str, lines: impl IntoIterator<Item = (Millis, String)>) {
        let ingestion = self.clock.now();
        let shared: Arc<str> = stream.into();
        let mut held = self.held();
        for (timestamp, mut message) in lines {
            cut(&mut message);
            let id = held.next_id;
            let (group, stream) = (group.to_owned(), stream.to_owned());
            let bytes = message.len() + group.len() + stream.len() + 64;
            let kept = Kept { group: group.clone(), stream, id, timestamp, ingestion, message: message.clone() };
            self.journal.push(Arc::new(kept), bytes);
            held.hold(&group, Arc::clone(&shared), LogEvent { id, timestamp, ingestion, message });
        }
    }

    /// Names of the groups.
    #[must_use]
    pub fn groups(&self) -> Vec<String> {
        self.held().groups.keys().cloned().collect()
    }

    /// The streams of a group by name; `None` when there is no such group.
    #[must_use]
    pub fn streams(&self, group: &str) -> Option<Vec<LogStreamSummary>> {
        let mut held = self.held();
        let mut streams: BTreeMap<&str, LogStreamSummary> = BTreeMap::new();
        for (stream, event) in &held.used(group)?.events {
            let summary = streams.entry(stream).or_insert_with(|| LogStreamSummary {
                name: stream.to_string(),
                created: event.ingestion,
                first_event: event.timestamp,
                last_event: event.timestamp,
            });
            summary.last_event = summary.last_event.max(event.timestamp);
        }
        Some(streams.into_values().collect())
    }

    /// Events of one stream (or of all when `stream` is `None`) with `start <= timestamp < end` and an id above `after`,
    /// in the order of their ids, at most `limit`, each with its stream's name; `None` when there is no such group.
    #[must_use]
    pub fn events(
        &self,
        group: &str,
        stream: Option<&str>,
        (start, end): (Millis, Millis),
        after: u64,
        limit: usize,
    ) -> Option<Vec<(String, LogEvent)>> {
        let mut held = self.held();
        let events = &held.used(group)?.events;
        let first = events.partition_point(|(_, event)| event.id <= after);
        let wanted = |(name, event): &&(Arc<str>, LogEvent)| {
            stream.is_none_or(|stream| stream == &**name) && event.timestamp >= start && event.timestamp < end
        };
        let found = events.range(first..).filter(wanted).take(limit);
        Some(found.map(|(name, event)| (name.to_string(), event.clone())).collect())
    }

    pub(crate) fn flush(&self, transaction: &mut Transaction) -> usize {
        self.journal.flush(transaction)
    }

    pub(crate) fn flushed(&self, count: usize) {
        self.journal.flushed(count);
    }
}

/// Cuts a message at the limit, between characters.
fn cut(message: &mut String) {
    if message.len() > MESSAGE_BYTES_MAX {
        let end = (0..=MESSAGE_BYTES_MAX).rev().find(|&end| message.is_char_boundary(end)).unwrap_or(0);
        message.truncate(end);
    }
}
