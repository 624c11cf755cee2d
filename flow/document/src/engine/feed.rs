//! Pages of all documents of a container, and of a query's rows.
//!
//! A page is bounded in rows, in bytes and in what is read for it, so an empty page may be followed by others. Where it
//! ended is told as an opaque text: for most queries the key of the last document, so that nothing is read twice; queries that
//! need all documents before their first row are computed again for each page and skip what was told.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::DocumentContainerDefinition;
use millstream_storage::StorageError;
use millstream_table::expression::KeyCondition;
use millstream_table::{AttributeValue, Item, Page, Query as TableQuery, Scan, TableError};
use millstream_types::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::documents::gone;
use super::{Documents, continuation, table_name};
use crate::document::{Document, PARTITION};
use crate::error::DocumentError;
use crate::hash_range::HashRange;
use crate::partition::PartitionKey;
use crate::query::{Collector, Query, weight};

/// Rows of a page when the client does not say how many.
const ROWS_DEFAULT: usize = 1000;
/// The same for queries that are computed again for each page.
const COLLECTED_ROWS_DEFAULT: usize = 10_000;
/// About how many bytes of rows a page has: what the service family answers at most.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Bytes of documents read for one page: a query that finds little still answers in time.
const READ_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Which page.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// Only documents of this partition key.
    pub partition: Option<PartitionKey>,
    /// Only documents whose partition keys lie here.
    pub range: Option<HashRange>,
    /// Rows at most.
    pub rows_max: Option<usize>,
    /// Where the page before ended.
    pub continuation: Option<String>,
}

/// A page of rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Feed {
    /// Documents, or what a query makes of them.
    pub rows: Vec<Value>,
    /// Where the next page starts; `None` when there is nothing more.
    pub continuation: Option<String>,
}

/// Where a page ended.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Position {
    /// A checksum of the container and the query: a position means nothing to others.
    of: u32,
    /// The last document that was read to its end: its partition key in base 64, and its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<(String, String)>,
    /// Rows of the document behind that one that were told already.
    #[serde(default)]
    inside: usize,
    /// Rows that the query made so far, told or left out by OFFSET.
    #[serde(default)]
    rows: u64,
}

impl Documents {
    /// A page of a container's documents.
    ///
    /// # Errors
    /// [`DocumentError::Continuation`], those of partition keys, [`DocumentError::Table`].
    pub fn list<'a>(
        &'a self,
        container: &'a Arc<DocumentContainerDefinition>,
        request: PageRequest,
    ) -> BoxFuture<'a, Result<Feed, DocumentError>> {
        Box::pin(async move { self.query(container, "SELECT * FROM c", &[], request).await })
    }

    /// A page of a query's rows; `parameters` are the values of its `@names`.
    ///
    /// # Errors
    /// [`DocumentError::Query`], [`DocumentError::Continuation`], those of partition keys, [`DocumentError::Table`].
    pub fn query<'a>(
        &'a self,
        container: &'a Arc<DocumentContainerDefinition>,
        text: &'a str,
        parameters: &'a [(String, Value)],
        request: PageRequest,
    ) -> BoxFuture<'a, Result<Feed, DocumentError>> {
        Box::pin(async move {
            let query = Arc::new(Query::parse(text, parameters)?);
            let of = checksum(container, text);
            let position = match &request.continuation {
                Some(text) => Position::read(text, of)?,
                None => Position { of, ..Position::default() },
            };
            let partition =
                request.partition.or_else(|| PartitionKey::of_query(&query, &container.partition_key_paths));
            let partition = partition.map(|key| key.encode(&container.partition_key_paths)).transpose()?;
            let streaming = query.reads_documents() && query.is_streaming();
            let rows_default = if streaming { ROWS_DEFAULT } else { COLLECTED_ROWS_DEFAULT };
            let rows_max = request.rows_max.unwrap_or(rows_default).max(1);
            let documents =
                Reading { documents: self.clone(), container: Arc::clone(container), partition, range: request.range };
            if streaming {
                documents.stream(query, position, rows_max).await
            } else {
                documents.collect(query, position, rows_max).await
            }
        })
    }
}

/// The documents that a query looks at.
pub(super) struct Reading {
    pub documents: Documents,
    pub container: Arc<DocumentContainerDefinition>,
    pub partition: Option<Bytes>,
    pub range: Option<HashRange>,
}

impl Reading {
    /// Rows as documents are read.
    async fn stream(self, query: Arc<Query>, position: Position, rows_max: usize) -> Result<Feed, DocumentError> {
        let mut page = Streamed { query, position, rows_max, rows: Vec::new(), bytes: 0, left_over: false };
        let mut start = page.position.start()?;
        let mut read = 0;
        loop {
            let items = self.items(start.take()).await?;
            read += items.scanned_bytes;
            start = items.last_key;
            let container = Arc::clone(&self.container);
            page = off_worker(move || page.take(&container, &items.items)).await?;
            if page.is_full() || read >= READ_BYTES_MAX || start.is_none() {
                break;
            }
        }
        let more = !page.is_complete() && (page.left_over || start.is_some());
        let continuation = more.then(|| continuation::text(&page.position));
        Ok(Feed { rows: page.rows, continuation })
    }

    /// Rows after all documents were read.
    async fn collect(self, query: Arc<Query>, mut position: Position, rows_max: usize) -> Result<Feed, DocumentError> {
        let rows = if query.reads_documents() {
            // One row more than the page has tells whether another page follows.
            let wanted = query.bounds().0.saturating_add(position.rows).saturating_add(rows_max as u64 + 1);
            let mut collector = Collector::new(Arc::clone(&query), wanted);
            let mut start = None;
            loop {
                let items = self.items(start.take()).await?;
                start = items.last_key;
                let container = Arc::clone(&self.container);
                collector = off_worker(move || {
                    for item in &items.items {
                        collector.add(&Document::of_item(&container, item)?.value)?;
                    }
                    Ok(collector)
                })
                .await?;
                if start.is_none() {
                    break;
                }
            }
            off_worker(move || Ok(collector.finish())).await?
        } else {
            query.row_without_documents().into_iter().collect()
        };
        let (skip, take) = query.bounds();
        let usize_of = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let mut left = rows.into_iter().skip(usize_of(skip)).take(take.map_or(usize::MAX, usize_of));
        let mut left = left.by_ref().skip(usize_of(position.rows)).peekable();
        let (mut page, mut bytes) = (Vec::new(), 0);
        while page.len() < rows_max && bytes < PAGE_BYTES_MAX {
            let Some(row) = left.next() else { break };
            bytes += weight(&row);
            page.push(row);
        }
        position.rows += page.len() as u64;
        let continuation = left.peek().is_some().then(|| continuation::text(&position));
        Ok(Feed { rows: page, continuation })
    }

    /// An item that is there and among those looked at.
    pub(super) async fn item(&self, key: &Item) -> Result<Option<Item>, DocumentError> {
        if !self.is_meant(key) {
            return Ok(None);
        }
        let found = self.documents.tables.get(&table_name(&self.container.path), key).await;
        let expiry = self.documents.expiry(&self.container);
        Ok(found.map_err(|error| gone(&self.container, error))?.filter(|item| !expiry.is_over(item)))
    }

    /// Whether an item's partition key is one of those looked at.
    pub(super) fn is_meant(&self, item: &Item) -> bool {
        let Some(AttributeValue::Binary(partition)) = item.get(PARTITION) else { return false };
        self.partition.as_ref().is_none_or(|wanted| wanted == partition)
            && self.range.as_ref().is_none_or(|range| {
                PartitionKey::decode(partition.clone()).is_some_and(|partition| range.holds(&partition))
            })
    }

    /// A page of items of the table, without those whose time is over.
    pub(super) async fn items(&self, start: Option<Item>) -> Result<Page, DocumentError> {
        let table = table_name(&self.container.path);
        let tables = &self.documents.tables;
        let page = match &self.partition {
            None => tables.scan(&table, Scan { start, ..Scan::default() }).await,
            Some(partition) => {
                let condition = KeyCondition { hash: AttributeValue::Binary(partition.clone()), sort: None };
                let query = TableQuery {
                    condition,
                    reverse: false,
                    limit: None,
                    start,
                    filter: None,
                    projection: None,
                    consistent: true,
                    index: None,
                    whole: false,
                };
                tables.query(&table, query).await
            }
        };
        let mut page = page.map_err(|error| match error {
            TableError::StartKey => DocumentError::Continuation,
            other => gone(&self.container, other),
        })?;
        let expiry = self.documents.expiry(&self.container);
        page.items.retain(|item| !expiry.is_over(item) && self.is_meant(item));
        Ok(page)
    }
}

/// A page under way.
struct Streamed {
    query: Arc<Query>,
    position: Position,
    rows_max: usize,
    rows: Vec<Value>,
    bytes: usize,
    /// Something that was read did not fit in.
    left_over: bool,
}

impl Streamed {
    fn take(mut self, container: &DocumentContainerDefinition, items: &[Item]) -> Result<Self, DocumentError> {
        for item in items {
            if self.is_full() {
                self.left_over = true;
                break;
            }
            let rows = self.query.rows(&Document::of_item(container, item)?.value)?;
            let (skip, _) = self.query.bounds();
            let inside = std::mem::take(&mut self.position.inside);
            for (at, row) in rows.into_iter().enumerate().skip(inside) {
                if self.is_full() {
                    self.position.inside = at;
                    self.left_over = true;
                    return Ok(self);
                }
                self.position.rows += 1;
                if self.position.rows > skip {
                    self.bytes += weight(&row);
                    self.rows.push(row);
                }
            }
            self.position.after = continuation::key_text(item);
        }
        Ok(self)
    }

    /// Whether nothing more fits in, or nothing more is wanted.
    fn is_full(&self) -> bool {
        self.rows.len() >= self.rows_max || self.bytes >= PAGE_BYTES_MAX || self.is_complete()
    }

    /// Whether the query wants no more rows.
    fn is_complete(&self) -> bool {
        let (skip, take) = self.query.bounds();
        take.is_some_and(|take| self.position.rows >= skip.saturating_add(take))
    }
}

impl Position {
    fn read(text: &str, of: u32) -> Result<Self, DocumentError> {
        let position: Self = continuation::read(text)?;
        if position.of == of { Ok(position) } else { Err(DocumentError::Continuation) }
    }

    /// The key that reading starts behind.
    fn start(&self) -> Result<Option<Item>, DocumentError> {
        self.after.as_ref().map(continuation::key_of).transpose()
    }
}

fn checksum(container: &DocumentContainerDefinition, text: &str) -> u32 {
    let name = format!("{}\n{text}", container.number);
    // A 32-bit checksum, so nothing is cut off.
    crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, name.as_bytes()) as u32
}

/// Runs a query's work where it keeps nobody waiting.
async fn off_worker<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DocumentError> + Send + 'static,
) -> Result<T, DocumentError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| DocumentError::Table(TableError::Storage(StorageError::Closed)))?
}
