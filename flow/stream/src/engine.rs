//! The operations on streams: records are put, read and let go of.
//! Read next: `engine/definitions.rs` (streams themselves), `engine/resharding.rs` (their shards).

mod commitment;
mod definitions;
mod resharding;
mod settings;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use millstream_catalog::{Catalog, ShardDefinition, StreamDefinition};
use millstream_storage::{LogBounds, Receipt, Storage, StorageError, Ticket, Transaction};
use millstream_types::{BoxFuture, Clock, EncodedRecords, LogId, Millis, RecordBatch};
use tokio::sync::watch;

pub use self::commitment::THROUGHPUT_COMMITTED_MS;
pub use self::definitions::{NewStream, SHARDS_ALL_MAX, SHARDS_MAX, TAGS_MAX};
pub use self::resharding::{SCALINGS_A_DAY_MAX, Scaled};
pub use self::settings::CONSUMERS_MAX;
use crate::distribution::Distribution;
use crate::error::StreamError;
use crate::gate::Gate;
use crate::producer::{Sequence, ShardBatch};
use crate::retention;
use crate::sequence::SequenceNumber;

/// How often a put looks for its shards again when they are closed meanwhile: as often as they may be split in the time that
/// a put waits for one split.
const PUT_ATTEMPTS_MAX: usize = 100;

/// A record to be put.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Decides the shard and is kept with the record.
    pub partition_key: Bytes,
    /// Decides the shard instead of the partition key's hash when given.
    pub explicit_hash_key: Option<u128>,
    /// Protocol properties; empty when none.
    pub headers: Bytes,
    /// The payload.
    pub data: Bytes,
}

/// Where a record landed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The shard's number in its stream.
    pub shard: u32,
    /// The record's name.
    pub sequence: SequenceNumber,
}

/// Durable records of a shard, from one position on.
#[derive(Debug, Clone)]
pub struct ReadBatch {
    /// Whole batches that follow each other; the first may begin before the position asked for: skip what is below it. Or
    /// behind it: what is between is gone, by retention or because the disk lost it.
    pub batches: Vec<RecordBatch>,
    /// Where to read next.
    pub next: u64,
    /// The end of the shard as it was after the read.
    pub end: LogBounds,
}

/// Entries that wait in a caller's transaction: after its commit, [`StagedPut::placements`] tells where they landed.
#[derive(Debug)]
pub struct StagedPut {
    /// Per shard used: its index, its log, and which append of the transaction it is.
    appends: Vec<(u32, LogId, usize)>,
    /// Per entry: position in `appends` and place within it.
    entries: Vec<(u32, u32)>,
}

impl StagedPut {
    /// How many appends of the transaction are this put's.
    #[must_use]
    pub fn appends(&self) -> usize {
        self.appends.len()
    }

    /// Where each entry landed, in their order.
    pub fn placements(&self, receipt: &Receipt) -> impl Iterator<Item = Placement> {
        self.entries.iter().map(move |&(used, within)| {
            let (shard, log, append) = self.appends[used as usize];
            let offset = receipt.base_offsets.get(append).copied().unwrap_or_default() + u64::from(within);
            Placement { shard, sequence: SequenceNumber { log, offset } }
        })
    }

    /// Per shard used: its index, its log and the offsets `from..to` of this put. For the trail.
    pub fn ranges(&self, receipt: &Receipt) -> Vec<(u32, LogId, u64, u64)> {
        let mut counts = vec![0u64; self.appends.len()];
        for &(used, _) in &self.entries {
            counts[used as usize] += 1;
        }
        let range = |(&(shard, log, append), count): (&(u32, LogId, usize), u64)| {
            let from = receipt.base_offsets.get(append).copied().unwrap_or_default();
            (shard, log, from, from + count)
        };
        self.appends.iter().zip(counts).map(range).collect()
    }
}

/// The stream engine. Cheap to clone.
#[derive(Clone)]
pub struct Streams {
    storage: Storage,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    /// Changes of definitions take turns, each to its end: none is lost to another.
    changing: Arc<tokio::sync::Mutex<()>>,
    gate: Gate,
    /// How many puts there were: what lets records go to shards in turn.
    puts: Arc<AtomicU64>,
}

impl Streams {
    /// The engine over a store and its catalog.
    #[must_use]
    pub fn new(storage: Storage, catalog: Catalog, clock: Arc<dyn Clock>) -> Self {
        let gate = Gate::default();
        let streams = catalog.streams.list();
        let closed = streams.iter().flat_map(|stream| &stream.shards).filter(|shard| !shard.is_open());
        gate.close(closed.map(ShardDefinition::log));
        Self { storage, catalog, clock, changing: Arc::default(), gate, puts: Arc::default() }
    }

    /// What keeps records from shards that are closed, for others who append to shards.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.gate.clone()
    }

    /// A stream's definition.
    ///
    /// # Errors
    /// [`StreamError::StreamNotFound`].
    pub fn get(&self, name: &str) -> Result<Arc<StreamDefinition>, StreamError> {
        Ok(self.catalog.streams.require(name)?)
    }

    /// All streams in the order of their names.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<StreamDefinition>> {
        self.catalog.streams.list()
    }

    /// Tells of streams that are made, changed or removed: the value rises with each.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.catalog.streams.watch()
    }

    /// Puts records: all become durable together, in their order within each shard.
    ///
    /// # Errors
    /// [`StreamError::StreamNotFound`]; [`StreamError::LogClosed`] when shards were closed again and again meanwhile;
    /// [`StreamError::Storage`]: none was taken.
    pub fn put<'a>(
        &'a self,
        name: &'a str,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Result<Vec<Placement>, StreamError>> {
        Box::pin(async move {
            let (staged, receipt) = self.put_staged(name, entries).await?;
            Ok(staged.placements(&receipt).collect())
        })
    }

    /// As [`Streams::put`], for who wants to know more of where they landed.
    ///
    /// # Errors
    /// As [`Streams::put`].
    pub fn put_staged<'a>(
        &'a self,
        name: &'a str,
        entries: &'a [Entry],
    ) -> BoxFuture<'a, Result<(StagedPut, Receipt), StreamError>> {
        Box::pin(async move {
            let mut attempts = 1;
            loop {
                let stream = self.get(name)?;
                let mut transaction = Transaction::new();
                let staged = self.stage_in(&stream, entries, &mut transaction, 0);
                match self.submit(transaction) {
                    Ok(ticket) => return Ok((staged, ticket.durable().await?)),
                    Err(StreamError::LogClosed { .. }) if attempts < PUT_ATTEMPTS_MAX => {
                        // Behind the change that is under way the records have another place, or their old one again.
                        drop(self.turn().await);
                        attempts += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
        })
    }

    /// Adds records to a caller's transaction that already holds `appends_before` appends: results that commit with the
    /// positions they came from.
    ///
    /// # Errors
    /// [`StreamError::StreamNotFound`].
    pub fn stage(
        &self,
        name: &str,
        entries: &[Entry],
        transaction: &mut Transaction,
        appends_before: usize,
    ) -> Result<StagedPut, StreamError> {
        Ok(self.stage_in(&*self.get(name)?, entries, transaction, appends_before))
    }

    fn stage_in(
        &self,
        stream: &StreamDefinition,
        entries: &[Entry],
        transaction: &mut Transaction,
        appends_before: usize,
    ) -> StagedPut {
        let put = self.puts.fetch_add(1, Ordering::Relaxed);
        stage(Distribution::of(stream, put), entries, transaction, appends_before)
    }

    /// Entries as a batch for one shard, whatever their keys; to be taken by [`Producers::append`](crate::Producers::append).
    ///
    /// # Errors
    /// [`StreamError::StreamNotFound`], [`StreamError::ShardNotFound`], [`StreamError::ShardClosed`].
    pub fn shard_batch(
        &self,
        name: &str,
        shard: u32,
        entries: &[Entry],
        sequence: Option<Sequence>,
    ) -> Result<ShardBatch, StreamError> {
        let log = self.shard_log(name, shard)?;
        if self.gate.pass().is_closed(log) {
            return Err(StreamError::ShardClosed { stream: name.to_owned(), shard });
        }
        let size = |entry: &Entry| entry.partition_key.len() + entry.headers.len() + entry.data.len() + 15;
        let mut records = EncodedRecords::with_capacity(entries.iter().map(size).sum());
        for entry in entries {
            records.push(&entry.partition_key, &entry.headers, &entry.data);
        }
        Ok(ShardBatch { log, records, sequence })
    }

    /// The log of a shard.
    ///
    /// # Errors
    /// [`StreamError::StreamNotFound`], [`StreamError::ShardNotFound`].
    pub fn shard_log(&self, name: &str, shard: u32) -> Result<LogId, StreamError> {
        let stream = self.get(name)?;
        let found = stream.shards.iter().find(|found| found.index == shard);
        let missing = || StreamError::ShardNotFound { stream: name.to_owned(), shard: shard.to_string() };
        found.map(millstream_catalog::ShardDefinition::log).ok_or_else(missing)
    }

    /// Makes a transaction with staged records durable.
    ///
    /// # Errors
    /// [`StreamError::LogClosed`] when a shard of theirs was closed since: stage them anew; [`StreamError::Storage`]. Nothing
    /// of it was taken then.
    pub fn commit(&self, transaction: Transaction) -> BoxFuture<'_, Result<Receipt, StreamError>> {
        Box::pin(async move {
            match self.submit(transaction) {
                Ok(ticket) => Ok(ticket.durable().await?),
                Err(error) => {
                    if let StreamError::LogClosed { .. } = error {
                        // Behind the change that is under way they find their shards.
                        drop(self.turn().await);
                    }
                    Err(error)
                }
            }
        })
    }

    /// Orders a transaction behind all that came before, if the shards of its records are open.
    fn submit(&self, transaction: Transaction) -> Result<Ticket, StreamError> {
        let passing = self.gate.pass();
        if let Some(log) = transaction.logs().find(|log| passing.is_closed(*log)) {
            return Err(StreamError::LogClosed { log });
        }
        Ok(self.storage.submit(transaction)?)
    }

    /// Durable records of a log from `offset` on, about `max_bytes` of them; empty at the end. An offset that retention
    /// removed reads from the oldest record there is, one that is lost from the next that is there. Does its disk work off
    /// the async workers.
    ///
    /// # Errors
    /// [`StreamError::Storage`].
    pub fn read(&self, log: LogId, offset: u64, max_bytes: usize) -> BoxFuture<'_, Result<ReadBatch, StreamError>> {
        Box::pin(async move {
            let bounds = self.storage.bounds(log);
            let offset = offset.max(bounds.first);
            if offset >= bounds.next {
                return Ok(ReadBatch { batches: Vec::new(), next: offset, end: bounds });
            }
            let storage = self.storage.clone();
            let (batches, next) = tokio::task::spawn_blocking(move || read_present(&storage, log, offset, max_bytes))
                .await
                .map_err(|_| StorageError::Closed)??;
            Ok(ReadBatch { batches, next, end: self.storage.bounds(log) })
        })
    }

    /// The first offset at or after a time.
    ///
    /// # Errors
    /// [`StreamError::Storage`].
    pub fn offset_at_time(&self, log: LogId, time: Millis) -> BoxFuture<'_, Result<u64, StreamError>> {
        Box::pin(async move {
            let storage = self.storage.clone();
            Ok(tokio::task::spawn_blocking(move || storage.offset_at_time(log, time))
                .await
                .map_err(|_| StorageError::Closed)??)
        })
    }

    /// The offset from which on a shard keeps about `bytes`, and no less.
    ///
    /// # Errors
    /// [`StreamError::Storage`].
    pub fn offset_within(&self, log: LogId, bytes: u64) -> BoxFuture<'_, Result<u64, StreamError>> {
        Box::pin(async move {
            let storage = self.storage.clone();
            Ok(tokio::task::spawn_blocking(move || storage.offset_within(log, bytes))
                .await
                .map_err(|_| StorageError::Closed)??)
        })
    }

    /// Whether a reader that goes on at `offset` has read all that will ever be in a shard: it was closed, and there is no more.
    #[must_use]
    pub fn has_ended(&self, shard: &ShardDefinition, offset: u64) -> bool {
        // A shard is told to be closed when all its records are readable.
        !shard.is_open() && offset >= self.storage.bounds(shard.log()).next
    }

    /// How far a shard reaches.
    #[must_use]
    pub fn bounds(&self, log: LogId) -> LogBounds {
        self.storage.bounds(log)
    }

    /// Follows a shard's end.
    #[must_use]
    pub fn watch(&self, log: LogId) -> watch::Receiver<u64> {
        self.storage.watch(log)
    }

    /// See [`Storage::frontier`].
    #[must_use]
    pub fn frontier(&self) -> Millis {
        self.storage.frontier()
    }

    /// How many records of each stream are lost because the disk damaged them, as far as reads have found it. What retention has taken
    /// since is not counted any more.
    #[must_use]
    pub fn lost_records(&self) -> BTreeMap<String, u64> {
        let mut lost = BTreeMap::new();
        for damage in self.storage.segment_damage().into_iter().filter(|damage| !damage.copied) {
            if let Some((stream, _)) = self.owner_of(damage.log) {
                *lost.entry(stream.name.clone()).or_default() += damage.records;
            }
        }
        lost
    }

    /// The stream and shard that own a log.
    #[must_use]
    pub fn owner_of(&self, log: LogId) -> Option<(Arc<StreamDefinition>, u32)> {
        self.list().into_iter().find_map(|stream| {
            let shard = stream.shards.iter().find(|shard| shard.log() == log)?.index;
            Some((stream, shard))
        })
    }

    /// Lets a shard begin at `first`: records before it may go.
    ///
    /// # Errors
    /// [`StreamError::Storage`].
    pub fn trim(&self, log: LogId, first: u64) -> BoxFuture<'_, Result<(), StreamError>> {
        Box::pin(async move {
            let mut transaction = Transaction::new();
            transaction.trim_log(log, first);
            self.storage.commit(transaction).await?;
            Ok(())
        })
    }

    /// Lets go of records that are older than their stream keeps them, or more. The server calls it every minute.
    ///
    /// # Errors
    /// [`StreamError::Storage`].
    pub fn enforce_retention(&self) -> BoxFuture<'_, Result<(), StreamError>> {
        Box::pin(async move { retention::enforce(self, &self.storage, self.clock.now()).await })
    }
}

/// The batches behind `offset` that are there, up to the next that is lost, and where to read next. So what is lost always lies
/// in front of a read, as what retention removed does, and never in its middle.
fn read_present(
    storage: &Storage,
    log: LogId,
    mut offset: u64,
    max_bytes: usize,
) -> Result<(Vec<RecordBatch>, u64), StorageError> {
    loop {
        let mut batches = storage.read(log, offset, max_bytes)?;
        let lost = batches.iter().take_while(|batch| batch.is_lost()).count();
        batches.drain(..lost).for_each(|lost| offset = lost.next_offset());
        let present = batches.iter().take_while(|batch| !batch.is_lost()).count();
        batches.truncate(present);
        if let Some(last) = batches.last() {
            let next = last.next_offset();
            return Ok((batches, next));
        }
        if lost == 0 {
            return Ok((batches, offset));
        }
    }
}

fn stage(
    mut distribution: Distribution<'_>,
    entries: &[Entry],
    transaction: &mut Transaction,
    appends_before: usize,
) -> StagedPut {
    let shards = distribution.shards().len();
    let mut per_shard: Vec<Option<(usize, EncodedRecords)>> = (0..shards).map(|_| None).collect();
    let mut used: Vec<usize> = Vec::new();
    let mut places = Vec::with_capacity(entries.len());
    let capacity = entries.iter().map(|entry| entry.partition_key.len() + entry.data.len() + 15).sum::<usize>();
    for entry in entries {
        let shard = distribution.place(entry);
        let (slot, records) = per_shard[shard].get_or_insert_with(|| {
            used.push(shard);
            (used.len() - 1, EncodedRecords::with_capacity(capacity / shards + 256))
        });
        places.push((*slot as u32, records.count()));
        records.push(&entry.partition_key, &entry.headers, &entry.data);
    }
    let mut appends = Vec::with_capacity(used.len());
    for (position, shard) in used.into_iter().enumerate() {
        if let Some((_, records)) = per_shard[shard].take() {
            let shard = distribution.shards()[shard];
            transaction.append(shard.log(), records);
            appends.push((shard.index, shard.log(), appends_before + position));
        }
    }
    StagedPut { appends, entries: places }
}
