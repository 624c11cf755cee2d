//! Log groups as somebody manages them: made, removed, with a retention and tags. A group comes into being with its first line,
//! too, and has no definition then. The lines are in [`crate::logs`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use millstream_catalog::{Collection, LogGroupDefinition};
use millstream_storage::{Transaction, to_the_end};
use millstream_types::{BoxFuture, Clock, Millis};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::error::LogError;
use crate::logs::{LogEvent, LogStreamSummary, Logs};

/// Groups that were made by hand: as many as groups with lines are held.
const GROUPS_MAX: usize = 2_000;
/// Streams of a group that were made by hand.
const STREAMS_MAX: usize = 1_000;
/// Tags of a group: the service's limit.
const TAGS_MAX: usize = 50;
const DAY: Millis = 24 * 3_600_000;

/// All log groups. Cheap to clone.
#[derive(Clone)]
pub struct LogGroups {
    definitions: Collection<LogGroupDefinition>,
    logs: Logs,
    clock: Arc<dyn Clock>,
    /// One change at a time, each to its end.
    changes: Arc<Mutex<()>>,
}

/// A group as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogGroupSummary {
    /// Its name.
    pub name: String,
    /// When it was made, or its first line was taken.
    pub created: Millis,
    /// How many days its lines are shown.
    pub retention_days: Option<u32>,
    /// Bytes of its lines.
    pub bytes: usize,
}

impl LogGroups {
    /// The groups over their definitions and lines.
    #[must_use]
    pub fn new(definitions: Collection<LogGroupDefinition>, logs: Logs, clock: Arc<dyn Clock>) -> Self {
        Self { definitions, logs, clock, changes: Arc::default() }
    }

    /// All groups by name.
    #[must_use]
    pub fn list(&self) -> Vec<LogGroupSummary> {
        let mut names: BTreeSet<String> = self.logs.groups().into_iter().collect();
        names.extend(self.definitions.list().iter().map(|group| group.name.clone()));
        names.into_iter().filter_map(|name| self.summary(name)).collect()
    }

    fn summary(&self, name: String) -> Option<LogGroupSummary> {
        let (definition, extent) = (self.definitions.get(&name), self.logs.extent(&name));
        if definition.is_none() && extent.is_none() {
            return None;
        }
        let first = extent.map(|extent| extent.created);
        let created = definition.as_ref().map(|group| group.created).or(first).unwrap_or_default();
        let retention_days = definition.and_then(|group| group.retention_days);
        Some(LogGroupSummary { name, created, retention_days, bytes: extent.map_or(0, |extent| extent.bytes) })
    }

    /// Makes a group.
    ///
    /// # Errors
    /// [`LogError::GroupExists`], [`LogError::TooMany`], [`LogError::Storage`].
    pub fn create<'a>(&'a self, name: &'a str, tags: BTreeMap<String, String>) -> BoxFuture<'a, Result<(), LogError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            if self.summary(name.to_owned()).is_some() {
                return Err(LogError::GroupExists(name.to_owned()));
            }
            bounded("log groups", self.definitions.list().len() + 1, GROUPS_MAX)?;
            bounded("tags of a log group", tags.len(), TAGS_MAX)?;
            self.write(turn, LogGroupDefinition { tags, ..self.new_definition(name) }).await
        })
    }

    /// Removes a group with its lines.
    ///
    /// # Errors
    /// [`LogError::GroupNotFound`], [`LogError::Storage`].
    pub fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), LogError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            self.known(name)?;
            let (groups, name) = (self.clone(), name.to_owned());
            to_the_end(async move {
                let _turn = turn;
                groups.logs.remove(&name, None).await?;
                if groups.definitions.get(&name).is_some() {
                    groups.definitions.delete(&name, Transaction::new()).await?;
                }
                Ok(())
            })
            .await
        })
    }

    /// Makes a stream.
    ///
    /// # Errors
    /// [`LogError::GroupNotFound`], [`LogError::StreamExists`], [`LogError::TooMany`], [`LogError::Storage`].
    pub fn create_stream<'a>(&'a self, group: &'a str, stream: &'a str) -> BoxFuture<'a, Result<(), LogError>> {
        Box::pin(async move {
            let now = self.clock.now();
            self.change(group, |definition| {
                if self.known_stream(group, stream).is_ok() {
                    return Err(LogError::StreamExists(stream.to_owned()));
                }
                bounded("log streams made by hand in a group", definition.streams.len() + 1, STREAMS_MAX)?;
                definition.streams.insert(stream.to_owned(), now);
                Ok(())
            })
            .await
        })
    }

    /// Removes a stream with its lines.
    ///
    /// # Errors
    /// [`LogError::GroupNotFound`], [`LogError::StreamNotFound`], [`LogError::Storage`].
    pub fn delete_stream<'a>(&'a self, group: &'a str, stream: &'a str) -> BoxFuture<'a, Result<(), LogError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            self.known_stream(group, stream)?;
            let mut definition = self.definition(group)?;
            definition.streams.remove(stream);
            let (groups, group, stream) = (self.clone(), group.to_owned(), stream.to_owned());
            to_the_end(async move {
                let _turn = turn;
                // Before its lines go: a group that came into being with them is written down, and stays.
                groups.definitions.put(definition).await?;
                Ok(groups.logs.remove(&group, Some(&stream)).await?)
            })
            .await
        })
    }

    /// Adds lines to a stream; durable when this returns.
    ///
    /// # Errors
    /// [`LogError::GroupNotFound`], [`LogError::StreamNotFound`]; [`LogError::Busy`] and [`LogError::Storage`], after which
    /// lines may be there all the same.
    pub fn put<'a>(
        &'a self,
        group: &'a str,
        stream: &'a str,
        lines: Vec<(Millis, String)>,
    ) -> BoxFuture<'a, Result<(), LogError>> {
        Box::pin(async move {
            self.known_stream(group, stream)?;
            self.logs.put(group, stream, lines).await
        })
    }

    /// Sets how many days lines are shown; `None`: as long as they are kept.
    ///
    /// # Errors
    /// [`LogError::GroupNotFound`], [`LogError::Storage`].
    pub fn set_retention<'a>(&'a self, group: &'a str, days: Option<u32>) -> BoxFuture<'a, Result<(), LogError>> {
        Box::pin(async move {
            self.change(group, |definition| {
                definition.retention_days = days;
                Ok(())
            })
            .await
        })
    }

    /// The tags of a group.
    ///
    /// # Errors
    /// [`LogError::GroupNotFound`].
    pub fn tags(&self, group: &str) -> Result<BTreeMap<String, String>, LogError> {
        self.known(group)?;
        Ok(self.definitions.get(group).map(|definition| definition.tags.clone()).unwrap_or_default())
    }

    /// Sets some tags; the others stay.
    ///
    /// # Errors
    /// [`LogError::GroupNotFound`], [`LogError::TooMany`], [`LogError::Storage`].
    pub fn tag<'a>(&'a self, group: &'a str, tags: BTreeMap<String, String>) -> BoxFuture<'a, Result<(), LogError>> {
        Box::pin(async move {
            self.change(group, |definition| {
                definition.tags.extend(tags);
                bounded("tags of a log group", definition.tags.len(), TAGS_MAX)
            })
            .await
        })
    }

    /// Removes tags; a key that is not there is no error.
    ///
    /// # Errors
    /// [`LogError::GroupNotFound`], [`LogError::Storage`].
    pub fn untag<'a>(&'a self, group: &'a str, keys: &'a [String]) -> BoxFuture<'a, Result<(), LogError>> {
        Box::pin(async move {
            self.change(group, |definition| {
                definition.tags.retain(|key, _| !keys.contains(key));
                Ok(())
            })
            .await
        })
    }

    /// The streams of a group by name.
    ///
    /// # Errors
    /// [`LogError::GroupNotFound`].
    pub fn streams(&self, group: &str) -> Result<Vec<LogStreamSummary>, LogError> {
        self.known(group)?;
        let with_lines = self.logs.streams(group).unwrap_or_default();
        let mut streams: BTreeMap<String, LogStreamSummary> =
            with_lines.into_iter().map(|stream| (stream.name.clone(), stream)).collect();
        for (name, created) in self.definitions.get(group).iter().flat_map(|definition| &definition.streams) {
            let empty = LogStreamSummary { name: name.clone(), created: *created, events: None };
            streams.entry(name.clone()).or_insert(empty).created = *created;
        }
        Ok(streams.into_values().collect())
    }

    /// Events of a group, see [`Logs::events`]; those older than its retention are not shown.
    ///
    /// # Errors
    /// [`LogError::GroupNotFound`].
    pub fn events(
        &self,
        group: &str,
        stream: Option<&str>,
        (start, end): (Millis, Millis),
        after: u64,
        limit: usize,
    ) -> Result<Vec<(String, LogEvent)>, LogError> {
        self.known(group)?;
        let start = start.max(self.shown_since(group));
        Ok(self.logs.events(group, stream, (start, end), after, limit).unwrap_or_default())
    }

    /// Events before this time are not shown any more.
    #[must_use]
    pub fn shown_since(&self, group: &str) -> Millis {
        let days = self.definitions.get(group).and_then(|definition| definition.retention_days);
        days.map_or(Millis::MIN, |days| self.clock.now() - Millis::from(days) * DAY)
    }

    fn known(&self, group: &str) -> Result<(), LogError> {
        let known = self.definitions.get(group).is_some() || self.logs.extent(group).is_some();
        known.then_some(()).ok_or_else(|| LogError::GroupNotFound(group.to_owned()))
    }

    fn known_stream(&self, group: &str, stream: &str) -> Result<(), LogError> {
        self.known(group)?;
        let made = self.definitions.get(group).is_some_and(|definition| definition.streams.contains_key(stream));
        let known = made || self.logs.has_stream(group, stream);
        known.then_some(()).ok_or_else(|| LogError::StreamNotFound(stream.to_owned()))
    }

    fn new_definition(&self, name: &str) -> LogGroupDefinition {
        LogGroupDefinition {
            name: name.to_owned(),
            created: self.clock.now(),
            retention_days: None,
            tags: BTreeMap::new(),
            streams: BTreeMap::new(),
        }
    }

    /// What is said of a group; of one that has only lines what would be.
    fn definition(&self, group: &str) -> Result<LogGroupDefinition, LogError> {
        let summary = self.summary(group.to_owned()).ok_or_else(|| LogError::GroupNotFound(group.to_owned()))?;
        let known = self.definitions.get(group).map(|definition| (*definition).clone());
        Ok(known.unwrap_or_else(|| LogGroupDefinition { created: summary.created, ..self.new_definition(group) }))
    }

    /// Changes what is said of a group, which is written down for the first time if it has only lines.
    async fn change(
        &self,
        group: &str,
        change: impl FnOnce(&mut LogGroupDefinition) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let turn = self.turn().await;
        let mut definition = self.definition(group)?;
        change(&mut definition)?;
        self.write(turn, definition).await
    }

    async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.changes).lock_owned().await
    }

    /// Writes a definition down; the turn is held until it stands, though who asked goes away.
    async fn write(&self, turn: OwnedMutexGuard<()>, definition: LogGroupDefinition) -> Result<(), LogError> {
        let definitions = self.definitions.clone();
        to_the_end(async move {
            let _turn = turn;
            definitions.put(definition).await?;
            Ok(())
        })
        .await
    }
}

fn bounded(what: &'static str, found: usize, limit: usize) -> Result<(), LogError> {
    if found > limit { Err(LogError::TooMany { what, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use millstream_catalog::Catalog;
    use millstream_storage::Storage;
    use millstream_types::ManualClock;

    use super::*;
    use crate::Insight;

    const NOW: Millis = 100 * DAY;

    async fn groups(storage: &Storage) -> (LogGroups, Insight) {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOW));
        let insight = Insight::open(storage, Arc::clone(&clock)).unwrap();
        let definitions = Catalog::open(storage).unwrap().log_groups;
        (LogGroups::new(definitions, insight.logs.clone(), clock), insight)
    }

    fn messages(groups: &LogGroups, group: &str) -> Vec<String> {
        let events = groups.events(group, None, (0, Millis::MAX), 0, usize::MAX).unwrap();
        events.into_iter().map(|(_, event)| event.message).collect()
    }

    #[tokio::test]
    async fn groups_are_made_and_what_is_removed_stays_removed() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(NOW)));
        let (first, insight) = groups(&storage).await;
        first.create("made", BTreeMap::new()).await.unwrap();
        assert!(matches!(first.create("made", BTreeMap::new()).await, Err(LogError::GroupExists(_))));
        let line = |text: &str| vec![(NOW, text.to_owned())];
        assert!(matches!(first.put("made", "s", line("x")).await, Err(LogError::StreamNotFound(_))));
        first.create_stream("made", "s").await.unwrap();
        first.create_stream("made", "t").await.unwrap();
        for stream in ["s", "t"] {
            first.put("made", stream, line(&format!("of {stream}"))).await.unwrap();
        }
        insight.logs.append("printed", "p", [(NOW, "line".to_owned())]);
        insight.flush().await.unwrap();
        first.delete_stream("made", "s").await.unwrap();
        first.delete("printed").await.unwrap();
        assert!(matches!(first.delete("printed").await, Err(LogError::GroupNotFound(_))));

        let (again, insight) = groups(&storage).await;
        assert_eq!(again.list().iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["made"]);
        assert_eq!(messages(&again, "made"), ["of t"]);
        assert_eq!(again.streams("made").unwrap().len(), 1);
        // What comes under a removed name is new, also after the next start.
        insight.logs.append("printed", "p", [(NOW, "anew".to_owned())]);
        insight.flush().await.unwrap();
        assert_eq!(messages(&groups(&storage).await.0, "printed"), ["anew"]);
    }

    #[tokio::test]
    async fn a_group_of_printed_lines_stays_when_its_stream_is_removed() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(NOW)));
        let (first, insight) = groups(&storage).await;
        insight.logs.append("printed", "p", [(NOW, "line".to_owned())]);
        insight.flush().await.unwrap();
        assert!(matches!(first.create_stream("printed", "p").await, Err(LogError::StreamExists(_))));
        assert!(matches!(first.delete_stream("none", "p").await, Err(LogError::GroupNotFound(_))));
        first.delete_stream("printed", "p").await.unwrap();
        assert!(matches!(first.delete_stream("printed", "p").await, Err(LogError::StreamNotFound(_))));
        let (again, _insight) = groups(&storage).await;
        for groups in [first, again] {
            assert_eq!(groups.list().iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["printed"]);
            assert_eq!((groups.streams("printed").unwrap().len(), messages(&groups, "printed").len()), (0, 0));
        }
    }

    #[tokio::test]
    async fn what_was_put_is_durable_and_a_removal_ends_without_its_caller() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(NOW)));
        let (first, _insight) = groups(&storage).await;
        first.create("g", BTreeMap::new()).await.unwrap();
        first.create_stream("g", "s").await.unwrap();
        first.put("g", "s", (0..3).map(|n| (NOW, n.to_string())).collect()).await.unwrap();
        assert_eq!(messages(&groups(&storage).await.0, "g"), ["0", "1", "2"], "without a flush");
        {
            let removal = first.delete("g");
            tokio::pin!(removal);
            assert!(poll_fn(|context| Poll::Ready(removal.as_mut().poll(context).is_pending())).await);
        }
        // The next change waits for its turn, and so for the end of the removal.
        first.create("g", BTreeMap::new()).await.unwrap();
        assert_eq!(messages(&first, "g"), [""; 0]);
        assert_eq!(messages(&groups(&storage).await.0, "g"), [""; 0]);
    }

    #[tokio::test]
    async fn retention_hides_and_tags_stay() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(NOW)));
        let (groups, insight) = groups(&storage).await;
        insight.logs.append("g", "s", [(NOW - 2 * DAY, "old".to_owned()), (NOW, "new".to_owned())]);
        groups.set_retention("g", Some(1)).await.unwrap();
        assert_eq!((messages(&groups, "g"), groups.list()[0].retention_days), (vec!["new".to_owned()], Some(1)));
        groups.set_retention("g", None).await.unwrap();
        assert_eq!(messages(&groups, "g").len(), 2);
        groups.tag("g", BTreeMap::from([("a".into(), "1".into()), ("b".into(), "2".into())])).await.unwrap();
        groups.untag("g", &["a".to_owned()]).await.unwrap();
        assert_eq!(groups.tags("g").unwrap(), BTreeMap::from([("b".into(), "2".into())]));
    }
}
