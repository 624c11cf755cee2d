//! Queries and scans: a page of items out of a range of stored keys.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::TableDefinition;
use millstream_storage::{Keyspace, Storage};

use super::Tables;
use super::throttle::Use;
use crate::capacity::read_units;
use crate::error::TableError;
use crate::expression::{Condition, KeyCondition, Projection};
use crate::item::{self, Item};
use crate::{key, stored};

/// Bytes of items that one page looks at before filtering: 1 MB, the service family's own page.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;
/// Segments that a scan can be cut into.
pub const SEGMENTS_MAX: u32 = 1_000_000;
/// Items read from storage in one go: a page of small items in a few goes, of the largest still in bounded memory.
const CHUNK_MAX: usize = 256;
/// Items read in the first go, when their size is not known yet.
const CHUNK_FIRST: usize = 16;

/// Items of one hash key.
#[derive(Debug, Clone)]
pub struct Query {
    /// Which.
    pub condition: KeyCondition,
    /// Falling sort keys instead of rising ones.
    pub reverse: bool,
    /// Items to look at, before the filter.
    pub limit: Option<usize>,
    /// The key that the page before ended with.
    pub start: Option<Item>,
    /// Leaves items out.
    pub filter: Option<Condition>,
    /// Shows parts of items.
    pub projection: Option<Projection>,
    /// Whether it counts as a consistent read.
    pub consistent: bool,
}

/// All items of a table, or a segment of it.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// (this segment, of so many).
    pub segment: Option<(u32, u32)>,
    /// Items to look at, before the filter.
    pub limit: Option<usize>,
    /// The key that the page before ended with.
    pub start: Option<Item>,
    /// Leaves items out.
    pub filter: Option<Condition>,
    /// Shows parts of items.
    pub projection: Option<Projection>,
    /// Whether it counts as a consistent read.
    pub consistent: bool,
}

/// A page of items.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// What passed the filter, as projected.
    pub items: Vec<Item>,
    /// Items looked at.
    pub scanned: usize,
    /// Their bytes.
    pub scanned_bytes: usize,
    /// Read capacity units.
    pub units: f64,
    /// Where the next page starts; `None` when there is nothing more.
    pub last_key: Option<Item>,
}

/// What a page is made of, whatever asked for it.
struct Reading {
    keyspace: Keyspace,
    range: (Bound<Bytes>, Bound<Bytes>),
    reverse: bool,
    limit: usize,
    filter: Option<Condition>,
    projection: Option<Projection>,
}

impl Tables {
    /// A page of the items of one hash key, in the order of their sort keys.
    ///
    /// # Errors
    /// [`TableError::TableNotFound`], [`TableError::StartKey`], those of keys, [`TableError::Throttled`],
    /// [`TableError::Storage`].
    pub async fn query(&self, table: &str, query: Query) -> Result<Page, TableError> {
        let table = self.table(table)?;
        let mut range = query.condition.range(&table)?;
        if let Some(start) = &query.start {
            range = behind(&table, start, range, query.reverse)?;
        }
        let reading = Reading {
            keyspace: key::keyspace(&table),
            range,
            reverse: query.reverse,
            limit: query.limit.unwrap_or(usize::MAX),
            filter: query.filter,
            projection: query.projection,
        };
        self.charged(table, reading, query.consistent).await
    }

    /// A page of all items, in the order of their hash keys' hashes.
    ///
    /// # Errors
    /// As [`Tables::query`], and [`TableError::Segment`].
    pub async fn scan(&self, table: &str, scan: Scan) -> Result<Page, TableError> {
        let table = self.table(table)?;
        let consistent = scan.consistent;
        let reading = Reading::of_scan(&table, scan)?;
        self.charged(table, reading, consistent).await
    }

    /// A page of all items that nobody pays for: the table's own work.
    pub(super) async fn scan_freely(&self, table: &Arc<TableDefinition>, scan: Scan) -> Result<Page, TableError> {
        let (table, reading) = (Arc::clone(table), Reading::of_scan(table, scan)?);
        self.off_worker(move |engine| reading.page(&engine.storage, &table)).await
    }

    async fn charged(
        &self,
        table: Arc<TableDefinition>,
        reading: Reading,
        consistent: bool,
    ) -> Result<Page, TableError> {
        let taken = read_units(0, consistent);
        self.throttle.take(&table, Use::Read, taken)?;
        self.off_worker(move |engine| {
            let mut page = reading.page(&engine.storage, &table)?;
            page.units = read_units(page.scanned_bytes, consistent);
            engine.throttle.correct(&table, Use::Read, taken, page.units);
            Ok(page)
        })
        .await
    }
}

impl Reading {
    fn of_scan(table: &TableDefinition, scan: Scan) -> Result<Self, TableError> {
        let mut range = match scan.segment {
            None => (Bound::Unbounded, Bound::Unbounded),
            Some((segment, total)) if segment >= total || total > SEGMENTS_MAX => {
                return Err(TableError::Segment { segment, total });
            }
            Some((segment, total)) => {
                let bytes = |start: [u8; 8]| Bytes::copy_from_slice(&start);
                (
                    key::segment_start(segment, total).map_or(Bound::Unbounded, |start| Bound::Included(bytes(start))),
                    key::segment_start(segment + 1, total).map_or(Bound::Unbounded, |end| Bound::Excluded(bytes(end))),
                )
            }
        };
        if let Some(start) = &scan.start {
            range = behind(table, start, range, false)?;
        }
        Ok(Self {
            keyspace: key::keyspace(table),
            range,
            reverse: false,
            limit: scan.limit.unwrap_or(usize::MAX),
            filter: scan.filter,
            projection: scan.projection,
        })
    }
}

/// What of a range lies behind a key that must be inside of it.
fn behind(
    table: &TableDefinition,
    start: &Item,
    (low, high): (Bound<Bytes>, Bound<Bytes>),
    reverse: bool,
) -> Result<(Bound<Bytes>, Bound<Bytes>), TableError> {
    let start = key::encode_of_key(table, start)?;
    let above = match &low {
        Bound::Included(low) | Bound::Excluded(low) => start >= *low,
        Bound::Unbounded => true,
    };
    let below = match &high {
        Bound::Included(high) => start <= *high,
        Bound::Excluded(high) => start < *high,
        Bound::Unbounded => true,
    };
    match (above && below, reverse) {
        (false, _) => Err(TableError::StartKey),
        (true, false) => Ok((Bound::Excluded(start), high)),
        (true, true) => Ok((low, Bound::Excluded(start))),
    }
}

/// A range that nothing can be in; ordered maps refuse such ranges with a panic.
fn is_empty(range: &(Bound<Bytes>, Bound<Bytes>)) -> bool {
    use Bound::{Excluded, Included, Unbounded};
    match range {
        (Unbounded, _) | (_, Unbounded) => false,
        (Included(low), Included(high)) => low > high,
        (Included(low) | Excluded(low), Included(high) | Excluded(high)) => low >= high,
    }
}

impl Reading {
    fn page(mut self, storage: &Storage, table: &TableDefinition) -> Result<Page, TableError> {
        let mut page = Page::default();
        let mut chunk = CHUNK_FIRST;
        while !is_empty(&self.range) {
            let wanted = chunk.min(self.limit.saturating_sub(page.scanned));
            let found = storage.scan(
                &self.keyspace,
                (self.range.0.as_ref().map(|key| &key[..]), self.range.1.as_ref().map(|key| &key[..])),
                self.reverse,
                wanted,
            )?;
            let (count, last) = (found.len(), found.last().map(|(key, _)| key.clone()));
            for (_, value) in found {
                let item = stored::decode(value)?;
                page.scanned += 1;
                page.scanned_bytes += item::size(&item);
                // A page that reached its limit tells where it ended, even when nothing comes behind.
                if page.scanned == self.limit || page.scanned_bytes >= PAGE_BYTES_MAX {
                    page.last_key = Some(key::of_item(table, &item));
                }
                self.keep(item, &mut page);
                if page.last_key.is_some() {
                    return Ok(page);
                }
            }
            let Some(last) = last.filter(|_| count == wanted) else { break };
            if self.reverse {
                self.range.1 = Bound::Excluded(last);
            } else {
                self.range.0 = Bound::Excluded(last);
            }
            let average = (page.scanned_bytes / page.scanned.max(1)).max(1);
            let room = PAGE_BYTES_MAX.saturating_sub(page.scanned_bytes);
            chunk = (room / average + 1).min(CHUNK_MAX);
        }
        Ok(page)
    }

    fn keep(&self, item: Item, page: &mut Page) {
        if self.filter.as_ref().is_some_and(|filter| !filter.holds(&item)) {
            return;
        }
        page.items.push(match &self.projection {
            Some(projection) => projection.apply(&item),
            None => item,
        });
    }
}
