//! Queries and scans: a page of items out of a range of stored keys.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::{TableDefinition, TableIndex};
use millstream_storage::{Keyspace, Storage};
use millstream_types::BoxFuture;

use super::throttle::Use;
use super::{Tables, read};
use crate::capacity::read_units;
use crate::error::TableError;
use crate::expression::{Condition, KeyCondition, Projection};
use crate::item::{self, Item};
use crate::{index, key, stored};

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
    /// Look into this index instead of the table.
    pub index: Option<String>,
    /// Whole items, not what the index's entries hold of them.
    pub whole: bool,
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
    /// Look into this index instead of the table.
    pub index: Option<String>,
    /// Whole items, not what the index's entries hold of them.
    pub whole: bool,
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

/// Stored keys from a bound to a bound.
type KeyRange = (Bound<Bytes>, Bound<Bytes>);

/// What a page is made of, whatever asked for it.
struct Reading {
    place: Place,
    range: KeyRange,
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
    pub fn query<'a>(&'a self, table: &'a str, query: Query) -> BoxFuture<'a, Result<Page, TableError>> {
        Box::pin(async move {
            let table = self.table(table)?;
            let place = Place::of(&table, query.index.as_deref(), query.whole)?;
            let mut range = place.range(&table, &query.condition)?;
            if let Some(start) = &query.start {
                range = behind(place.encode_of_key(&table, start)?, range, query.reverse)?;
            }
            let reading = Reading {
                place,
                range,
                reverse: query.reverse,
                limit: query.limit.unwrap_or(usize::MAX),
                filter: query.filter,
                projection: query.projection,
            };
            self.charged(table, reading, query.consistent).await
        })
    }

    /// A page of all items, in the order of their hash keys' hashes.
    ///
    /// # Errors
    /// As [`Tables::query`], and [`TableError::Segment`].
    pub fn scan<'a>(&'a self, table: &'a str, scan: Scan) -> BoxFuture<'a, Result<Page, TableError>> {
        Box::pin(async move {
            let table = self.table(table)?;
            let consistent = scan.consistent;
            let reading = Reading::of_scan(&table, scan)?;
            self.charged(table, reading, consistent).await
        })
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
        let place = Place::of(table, scan.index.as_deref(), scan.whole)?;
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
            range = behind(place.encode_of_key(table, start)?, range, false)?;
        }
        Ok(Self {
            place,
            range,
            reverse: false,
            limit: scan.limit.unwrap_or(usize::MAX),
            filter: scan.filter,
            projection: scan.projection,
        })
    }
}

/// What of a range lies behind a key that must be inside of it.
fn behind(start: Bytes, (low, high): KeyRange, reverse: bool) -> Result<KeyRange, TableError> {
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
fn is_empty(range: &KeyRange) -> bool {
    use Bound::{Excluded, Included, Unbounded};
    match range {
        (Unbounded, _) | (_, Unbounded) => false,
        (Included(low), Included(high)) => low > high,
        (Included(low) | Excluded(low), Included(high) | Excluded(high)) => low >= high,
    }
}

/// Where a page comes from.
enum Place {
    Table,
    /// An index; `whole`: with the items that its entries stand for.
    Index {
        index: TableIndex,
        whole: bool,
    },
}

impl Place {
    fn of(table: &TableDefinition, index: Option<&str>, whole: bool) -> Result<Self, TableError> {
        match index {
            Some(name) => Ok(Self::Index { index: index::find(table, name)?.clone(), whole }),
            None => Ok(Self::Table),
        }
    }

    fn keyspace(&self, table: &TableDefinition) -> Keyspace {
        match self {
            Self::Table => key::keyspace(table),
            Self::Index { index, .. } => index::keyspace(table, index),
        }
    }

    fn range(&self, table: &TableDefinition, condition: &KeyCondition) -> Result<KeyRange, TableError> {
        match self {
            Self::Table => condition.range(table),
            Self::Index { index, .. } => index::range(index, condition),
        }
    }

    fn encode_of_key(&self, table: &TableDefinition, given: &Item) -> Result<Bytes, TableError> {
        match self {
            Self::Table => key::encode_of_key(table, given),
            Self::Index { index, .. } => index::encode_of_key(table, index, given),
        }
    }

    fn key_of(&self, table: &TableDefinition, found: &Item) -> Item {
        match self {
            Self::Table => key::of_item(table, found),
            Self::Index { index, .. } => index::of_entry(table, index, found),
        }
    }

    /// What is shown of what was found. An item that went since its entry was read is shown as the entry has it.
    fn shown(&self, storage: &Storage, table: &TableDefinition, found: Item) -> Result<Item, TableError> {
        match self {
            Self::Index { whole: true, .. } => {
                let item = read(storage, &key::keyspace(table), &key::encode_of_item(table, &found)?)?;
                Ok(item.unwrap_or(found))
            }
            _ => Ok(found),
        }
    }
}

impl Reading {
    fn page(mut self, storage: &Storage, table: &TableDefinition) -> Result<Page, TableError> {
        let mut page = Page::default();
        let mut chunk = CHUNK_FIRST;
        while !is_empty(&self.range) {
            let wanted = chunk.min(self.limit.saturating_sub(page.scanned));
            let found = storage.scan(
                &self.place.keyspace(table),
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
                    page.last_key = Some(self.place.key_of(table, &item));
                }
                self.keep(self.place.shown(storage, table, item)?, &mut page);
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
