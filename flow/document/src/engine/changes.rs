//! The feed of changes: documents in the order of their last writes, from a point on and without an end.
//!
//! A container's table tells its changes in a stream; the feed reads which documents changed and gives each as it is now. What
//! the stream does not hold any more, or never did, is made up for by a look at all documents, in the order of their keys. So
//! every document comes at least once after its last change; one that changes while a reader is under way may come again.
//! Removed documents are not told.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::{ChangeView, DocumentContainerDefinition, TableChanges};
use millstream_stream::{ReadBatch, StreamError};
use millstream_table::{Change, Item, TableError};
use millstream_types::{BoxFuture, LogId, Millis};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::documents::gone;
use super::feed::Reading;
use super::{Documents, continuation, table_name};
use crate::document::{self, Document};
use crate::error::DocumentError;
use crate::hash_range::HashRange;
use crate::partition::PartitionKey;

/// Documents of a page when the reader does not say how many.
const ROWS_DEFAULT: usize = 1_000;
/// The most that it may ask for.
const ROWS_MAX: usize = 10_000;
/// Bytes of change records read at once.
const READ_BYTES: usize = 256 << 10;
/// Bytes of documents of a page: what the service family answers at most.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// Reads for one page that has something in it: a reader gets an answer in time.
const READS_MAX: usize = 64;
/// Reads for a page that is still empty: for many readers an empty page is the end, so it is put off for about 1 GiB of changes.
const EMPTY_READS_MAX: usize = 4_096;

/// Which changes.
#[derive(Debug, Clone)]
pub struct ChangesRequest {
    /// Only documents of this partition key.
    pub partition: Option<PartitionKey>,
    /// Only documents whose partition keys lie here.
    pub range: Option<HashRange>,
    /// Documents at most.
    pub rows_max: Option<usize>,
    /// From where on.
    pub from: ChangesFrom,
}

/// From where on changes are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangesFrom {
    /// The container's first document.
    Beginning,
    /// What changes from now on.
    Now,
    /// What was written at this time or later.
    Time(Millis),
    /// Where a page ended.
    Continuation(String),
}

/// A page of changed documents.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangesPage {
    /// The documents, each with `_lsn`, its place in the order of changes.
    pub rows: Vec<Value>,
    /// Where the next page begins. There always is one.
    pub continuation: String,
    /// Whether there is more to read already.
    pub more: bool,
}

/// The stream of a container's changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Log {
    id: LogId,
    first: u64,
    next: u64,
    /// Tells the stream from one before it.
    made: Millis,
    /// Whether it tells of every document that there ever was.
    whole: bool,
}

/// Where a page ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Place {
    /// The container's number: a place means nothing to others.
    of: u32,
    /// The stream that `next` is an offset of.
    made: Millis,
    next: u64,
    /// When that was: what a stream that is gone would have told since.
    time: Millis,
    /// The look at all documents that is still under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    look: Option<Look>,
}

/// A look at all documents.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Look {
    /// The last one that was looked at: its partition key in base 64, and its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<(String, String)>,
    /// Only those that were written then or later, in seconds since 1970.
    since: i64,
}

impl Documents {
    /// A page of a container's changed documents.
    ///
    /// # Errors
    /// [`DocumentError::Continuation`], those of partition keys, [`DocumentError::Table`], [`DocumentError::Stream`].
    pub fn changes<'a>(
        &'a self,
        container: &'a Arc<DocumentContainerDefinition>,
        request: ChangesRequest,
    ) -> BoxFuture<'a, Result<ChangesPage, DocumentError>> {
        Box::pin(async move {
            let log = self.log_of_changes(container).await?;
            let mut place = self.place(container, log, &request.from).await?;
            let partition = request.partition.map(|key| key.encode(&container.partition_key_paths)).transpose()?;
            let rows_max = request.rows_max.unwrap_or(ROWS_DEFAULT).clamp(1, ROWS_MAX);
            let reading =
                Reading { documents: self.clone(), container: Arc::clone(container), partition, range: request.range };
            let mut page = Page { rows: Vec::new(), bytes: 0, rows_max };
            let (mut more, mut reads) = (true, 0);
            while more && !page.is_full() && reads < if page.rows.is_empty() { EMPTY_READS_MAX } else { READS_MAX } {
                more = match place.look.take() {
                    Some(look) => reading.look(look, &mut place, &mut page).await?,
                    None => reading.follow(log, &mut place, &mut page).await?,
                };
                reads += 1;
            }
            Ok(ChangesPage { rows: page.rows, continuation: continuation::text(&place), more })
        })
    }

    /// The stream of a container's changes; a container of before there were any gets one now.
    async fn log_of_changes(&self, container: &DocumentContainerDefinition) -> Result<Log, DocumentError> {
        let table = table_name(&container.path);
        let enabled = |changes: &TableChanges| changes.enabled;
        let known = self.tables.table(&table).map_err(|error| gone(container, error))?;
        let made = match known.changes.as_ref().filter(|changes| enabled(changes)) {
            Some(changes) => changes.created,
            None => {
                let begun = self.tables.set_changes(&table, Some(ChangeView::KeysOnly)).await;
                match begun {
                    Ok(_) | Err(TableError::ChangesEnabled { .. }) => {}
                    Err(error) => return Err(gone(container, error)),
                }
                let known = self.tables.table(&table).map_err(|error| gone(container, error))?;
                known.changes.as_ref().map_or(0, |changes| changes.created)
            }
        };
        let stream = self.streams.get(&Change::stream(&table))?;
        let missing = || StreamError::ShardNotFound { stream: stream.name.clone(), shard: "0".to_owned() };
        let id = stream.shards.first().map(|shard| shard.log()).ok_or_else(missing)?;
        let bounds = self.streams.bounds(id);
        // The container is made behind its table: a stream that is older than it was there from the beginning.
        let whole = bounds.first == 0 && made <= container.created;
        Ok(Log { id, first: bounds.first, next: bounds.next, made, whole })
    }

    async fn place(
        &self,
        container: &DocumentContainerDefinition,
        log: Log,
        from: &ChangesFrom,
    ) -> Result<Place, DocumentError> {
        let at = |next| Place { of: container.number, made: log.made, next, time: self.clock.now(), look: None };
        let look_since = |time: Millis| {
            let look = Look { after: None, since: time.div_euclid(1_000) };
            Place { look: Some(look), ..at(log.next) }
        };
        match from {
            ChangesFrom::Now => Ok(at(log.next)),
            ChangesFrom::Beginning if log.whole => Ok(at(0)),
            ChangesFrom::Beginning => Ok(look_since(0)),
            ChangesFrom::Time(time) => {
                let found = self.streams.offset_at_time(log.id, *time).await?;
                // Nothing in the stream is older: there may be more than it tells.
                Ok(if found > log.first || log.whole { at(found) } else { look_since(*time) })
            }
            ChangesFrom::Continuation(text) => {
                let place: Place = continuation::read(text)?;
                if place.of != container.number {
                    return Err(DocumentError::Continuation);
                }
                let told = place.made == log.made && (log.first..=log.next).contains(&place.next);
                Ok(if told { place } else { look_since(place.time) })
            }
        }
    }
}

/// A page under way.
struct Page {
    rows: Vec<Value>,
    bytes: usize,
    rows_max: usize,
}

impl Page {
    fn is_full(&self) -> bool {
        self.rows.len() >= self.rows_max || self.bytes >= PAGE_BYTES_MAX
    }

    fn add(&mut self, container: &DocumentContainerDefinition, item: &Item, lsn: u64) -> Result<(), DocumentError> {
        let mut document = Document::of_item(container, item)?.value;
        if let Some(properties) = document.as_object_mut() {
            properties.insert("_lsn".into(), lsn.into());
        }
        self.bytes += millstream_table::item::size(item);
        self.rows.push(document);
        Ok(())
    }
}

impl Reading {
    /// Looks at further documents; gives whether there is more to read.
    async fn look(&self, look: Look, place: &mut Place, page: &mut Page) -> Result<bool, DocumentError> {
        let start = look.after.as_ref().map(continuation::key_of).transpose()?;
        let items = self.items(start).await?;
        let mut after = look.after;
        for item in &items.items {
            if page.is_full() {
                place.look = Some(Look { after, since: look.since });
                return Ok(true);
            }
            if document::written(item) >= look.since {
                page.add(&self.container, item, place.next)?;
            }
            after = continuation::key_text(item).or(after);
        }
        if let Some(last) = &items.last_key {
            place.look = Some(Look { after: continuation::key_text(last).or(after), since: look.since });
        }
        Ok(true)
    }

    /// Reads further changes; gives whether there are more.
    async fn follow(&self, log: Log, place: &mut Place, page: &mut Page) -> Result<bool, DocumentError> {
        let read = self.documents.streams.read(log.id, place.next, READ_BYTES).await?;
        let wanted = page.rows_max - page.rows.len();
        let (changed, next) = changed(&read, place.next, wanted, |key| self.is_meant(key))?;
        for Changed { offset, time, key } in changed {
            if page.is_full() {
                place.next = offset;
                return Ok(true);
            }
            place.time = time;
            if let Some(item) = self.item(&key).await? {
                page.add(&self.container, &item, offset + 1)?;
            }
        }
        place.next = next;
        Ok(next < read.end.next)
    }
}

/// A document that changed.
struct Changed {
    offset: u64,
    time: Millis,
    key: Item,
}

/// The documents that changed from an offset on, at most `wanted` of those that are meant, each at its last change of those that
/// were read; and the offset behind them.
fn changed(
    read: &ReadBatch,
    from: u64,
    wanted: usize,
    is_meant: impl Fn(&Item) -> bool,
) -> Result<(Vec<Changed>, u64), DocumentError> {
    let (mut last, mut next) = (BTreeMap::new(), from);
    for record in read.batches.iter().flat_map(millstream_types::RecordBatch::records) {
        if record.offset < from {
            continue;
        }
        let change = Change::decode(record.data)?;
        let Some(name) = continuation::key_text(&change.keys).filter(|_| is_meant(&change.keys)) else {
            next = record.offset + 1;
            continue;
        };
        if last.len() >= wanted && !last.contains_key(&name) {
            break;
        }
        last.insert(name, Changed { offset: record.offset, time: record.append_time, key: change.keys });
        next = record.offset + 1;
    }
    if last.is_empty() {
        next = next.max(read.next);
    }
    let mut changed: Vec<Changed> = last.into_values().collect();
    changed.sort_by_key(|changed| changed.offset);
    Ok((changed, next))
}
