//! Log groups, their streams and their events, as functions print them.
//!
//! Of each group the last events are held in memory, of all groups together the last are kept on disk. When all groups
//! together are too large, the one that was used longest ago is let go. What is removed on purpose is noted with the last id
//! before, so that its lines on disk are passed over.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use millstream_storage::{Keyspace, Storage, StorageError, Transaction};
use millstream_types::{BoxFuture, Clock, Millis};
use serde::{Deserialize, Serialize};

use crate::error::LogError;
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

/// Where it is noted what was removed: by group or stream the last id before.
const REMOVED: &str = "insight/logs_removed";
/// Ids that events on disk, or on their way there, may have: twice what is kept, to be sure.
const IDS_KEPT: u64 = 2 * KEPT_MAX.entries as u64;

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
    /// When its first event was taken, or it was made.
    pub created: Millis,
    /// Times of its first and its last event.
    pub events: Option<(Millis, Millis)>,
}

/// How far a group goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// When its first event was taken.
    pub(crate) created: Millis,
    pub(crate) bytes: usize,
}

/// All log groups. Cheap to clone.
#[derive(Clone)]
pub struct Logs {
    clock: Arc<dyn Clock>,
    held: Arc<Mutex<Held>>,
    journal: Arc<Journal<Kept>>,
    storage: Storage,
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

    /// Lets go of a group's events up to an id, or of one stream's.
    fn remove(&mut self, name: &str, stream: Option<&str>, last: u64) {
        if let Some(group) = self.groups.get_mut(name) {
            let before = group.bytes;
            group.events.retain(|(of, event)| event.id > last || stream.is_some_and(|stream| stream != &**of));
            group.bytes = group.events.iter().map(|(_, event)| event.bytes()).sum();
            self.bytes -= before - group.bytes;
            if group.events.is_empty() {
                self.groups.remove(name);
            }
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
        let removed: BTreeMap<Bytes, u64> = removed(storage)?.into_iter().collect();
        // An id of what is removed is not given again: its line would be passed over, too.
        held.next_id = removed.values().max().map_or(1, |last| last + 1);
        for Kept { group, stream, id, timestamp, ingestion, message } in kept {
            let keys = [removed_key(&group, None), removed_key(&group, Some(&stream))];
            if keys.iter().any(|key| removed.get(key.as_slice()).is_some_and(|last| id <= *last)) {
                held.next_id = held.next_id.max(id + 1);
                continue;
            }
            held.hold(&group, stream.into(), LogEvent { id, timestamp, ingestion, message });
        }
        let (held, journal) = (Arc::new(Mutex::new(held)), Arc::new(journal));
        Ok(Self { clock, held, journal, storage: storage.clone() })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds events to a stream, which is made if it is new. Never waits: a crash may lose those of the last second.
    pub fn append(&self, group: &str, stream: &str, lines: impl IntoIterator<Item = (Millis, String)>) {
        self.add(group, stream, lines);
    }

    /// As [`Logs::append`], and waits until the events are durable; they may be seen a little before that.
    ///
    /// # Errors
    /// [`LogError::Busy`] when more waits for the disk than there is room for; [`LogError::Storage`]. What was added may be
    /// kept all the same.
    pub fn put<'a>(
        &'a self,
        group: &'a str,
        stream: &'a str,
        lines: Vec<(Millis, String)>,
    ) -> BoxFuture<'a, Result<(), LogError>> {
        Box::pin(async move {
            let bytes = lines.iter().map(|(_, message)| kept_bytes(group, stream, message)).sum();
            if !self.journal.has_room(lines.len(), bytes) {
                return Err(LogError::Busy);
            }
            let Some((before, up_to)) = self.add(group, stream, lines) else { return Ok(()) };
            self.journal.keep(up_to).await?;
            if self.journal.has_lost(before) { Err(LogError::Busy) } else { Ok(()) }
        })
    }

    /// Gives how many were added to the journal before the first and up to the last; `None` without lines.
    fn add(&self, group: &str, stream: &str, lines: impl IntoIterator<Item = (Millis, String)>) -> Option<(u64, u64)> {
        let mut added: Option<(u64, u64)> = None;
        let ingestion = self.clock.now();
        let shared: Arc<str> = stream.into();
        let mut held = self.held();
        for (timestamp, mut message) in lines {
            cut(&mut message);
            let id = held.next_id;
            let (group, stream) = (group.to_owned(), stream.to_owned());
            let bytes = kept_bytes(&group, &stream, &message);
            let kept = Kept { group: group.clone(), stream, id, timestamp, ingestion, message: message.clone() };
            let up_to = self.journal.push(Arc::new(kept), bytes);
            added = Some((added.map_or(up_to - 1, |(before, _)| before), up_to));
            held.hold(&group, Arc::clone(&shared), LogEvent { id, timestamp, ingestion, message });
        }
        added
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
                events: None,
            });
            let (first, last) = summary.events.unwrap_or((event.timestamp, event.timestamp));
            summary.events = Some((first.min(event.timestamp), last.max(event.timestamp)));
        }
        Some(streams.into_values().collect())
    }

    /// Whether a group holds a line of a stream. The last lines are looked at first: who writes has mostly just written.
    pub(crate) fn has_stream(&self, group: &str, stream: &str) -> bool {
        let held = self.held();
        held.groups.get(group).is_some_and(|group| group.events.iter().rev().any(|(name, _)| **name == *stream))
    }

    /// How far a group goes; `None` when there is no such group.
    pub(crate) fn extent(&self, group: &str) -> Option<Extent> {
        let held = self.held();
        let group = held.groups.get(group)?;
        let created = group.events.front().map_or(0, |(_, event)| event.ingestion);
        Some(Extent { created, bytes: group.bytes - EVENT_BYTES * group.events.len() })
    }

    /// Removes the events of a group, or of one stream of it, for good: those that there are when it begins. Who calls it
    /// runs it to its end.
    ///
    /// # Errors
    /// [`StorageError`]: then nothing is removed.
    pub(crate) async fn remove(&self, group: &str, stream: Option<&str>) -> Result<(), StorageError> {
        let last = self.held().next_id - 1;
        let storage = self.storage.clone();
        let noted =
            tokio::task::spawn_blocking(move || removed(&storage)).await.map_err(|_| StorageError::Closed)??;
        let keyspace = Keyspace::new(REMOVED);
        let mut transaction = Transaction::new();
        // Each event has one id: what lies so far behind is not kept any more.
        for (key, _) in noted.into_iter().filter(|(_, id)| id + IDS_KEPT < last) {
            transaction.delete(&keyspace, key.to_vec());
        }
        transaction.put(&keyspace, removed_key(group, stream), last.to_be_bytes().to_vec());
        self.storage.commit(transaction).await?;
        self.held().remove(group, stream, last);
        Ok(())
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

    /// Keeps the events that were added before.
    pub(crate) async fn keep(&self) -> Result<(), StorageError> {
        self.journal.keep(self.journal.added()).await
    }
}

/// What was removed, as it is noted. Reads the disk.
fn removed(storage: &Storage) -> Result<Vec<(Bytes, u64)>, StorageError> {
    let all = (Bound::Unbounded, Bound::Unbounded);
    let noted = storage.scan(&Keyspace::new(REMOVED), all, false, usize::MAX)?;
    let id = |value: Bytes| value.as_ref().try_into().map(u64::from_be_bytes).unwrap_or_default();
    Ok(noted.into_iter().map(|(key, value)| (key, id(value))).collect())
}

/// About the bytes of an event as it is kept.
fn kept_bytes(group: &str, stream: &str, message: &str) -> usize {
    message.len() + group.len() + stream.len() + 64
}

/// Names of groups hold no zero byte.
fn removed_key(group: &str, stream: Option<&str>) -> Vec<u8> {
    stream.map_or_else(|| group.to_owned(), |stream| format!("{group}\0{stream}")).into_bytes()
}

/// Cuts a message at the limit, between characters.
fn cut(message: &mut String) {
    if message.len() > MESSAGE_BYTES_MAX {
        let end = (0..=MESSAGE_BYTES_MAX).rev().find(|&end| message.is_char_boundary(end)).unwrap_or(0);
        message.truncate(end);
    }
}
