//! Log groups, their streams and their events, as functions print them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use millstream_storage::{Storage, StorageError};
use millstream_types::{Clock, Millis};

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

type Streams = BTreeMap<String, Vec<LogEvent>>;

/// All log groups. Cheap to clone.
#[derive(Clone)]
pub struct Logs {
    clock: Arc<dyn Clock>,
    groups: Arc<Mutex<(u64, BTreeMap<String, Streams>)>>,
}

impl Logs {
    /// Opens the kept groups.
    ///
    /// # Errors
    /// [`StorageError`] when they cannot be read.
    pub fn open(_storage: &Storage, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        Ok(Self { clock, groups: Arc::default() })
    }

    /// Adds events to a stream, which is made if it is new. Never waits.
    pub fn append(&self, group: &str, stream: &str, lines: impl IntoIterator<Item = (Millis, String)>) {
        let ingestion = self.clock.now();
        let mut guard = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, groups) = &mut *guard;
        let events = groups.entry(group.to_owned()).or_default().entry(stream.to_owned()).or_default();
        for (timestamp, message) in lines {
            *next += 1;
            events.push(LogEvent { id: *next, timestamp, ingestion, message });
        }
    }

    /// Names of the groups.
    #[must_use]
    pub fn groups(&self) -> Vec<String> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).1.keys().cloned().collect()
    }

    /// The streams of a group by name; `None` when there is no such group.
    #[must_use]
    pub fn streams(&self, group: &str) -> Option<Vec<LogStreamSummary>> {
        let guard = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let summary = |(name, events): (&String, &Vec<LogEvent>)| LogStreamSummary {
            name: name.clone(),
            created: events.first().map_or(0, |event| event.ingestion),
            first_event: events.first().map_or(0, |event| event.timestamp),
            last_event: events.last().map_or(0, |event| event.timestamp),
        };
        guard.1.get(group).map(|streams| streams.iter().map(summary).collect())
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
        let guard = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<(String, LogEvent)> = guard
            .1
            .get(group)?
            .iter()
            .filter(|(name, _)| stream.is_none_or(|wanted| wanted == name.as_str()))
            .flat_map(|(name, events)| events.iter().map(move |event| (name.clone(), event.clone())))
            .filter(|(_, event)| event.id > after && event.timestamp >= start && event.timestamp < end)
            .collect();
        found.sort_by_key(|(_, event)| event.id);
        found.truncate(limit);
        Some(found)
    }
}
