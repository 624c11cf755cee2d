//! Batches: records of a lane in their order, until they are enough, too many bytes, or have waited long enough.

use std::time::Duration;

use bytes::Bytes;
use millstream_insight::Step;
use millstream_stream::hash_key;
use millstream_types::Record;
use tokio::time::{Instant, sleep_until};

use super::{Item, Lane};
use crate::error::MappingError;
use crate::status::LastResult;
use crate::window::STATE_BYTES_MAX;
use crate::work::{EVENT_BYTES_MAX, stopping};

/// Bytes asked of a shard at once; each lane holds so many in memory.
const READ_BYTES: usize = 512 << 10;
/// Longest wait for records before the end of the shard is looked at again.
const LOOK: Duration = Duration::from_secs(1);
/// How often the place is kept while there is nothing for the function.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// Tells of changes.
type Changes = tokio::sync::watch::Receiver<u64>;

/// How much a batch may hold.
struct Room {
    records: usize,
    bytes: usize,
    /// The offset behind its last record, when it was a batch before.
    until: Option<u64>,
}

/// What a lane has to do next.
pub(super) enum Gathered {
    /// A batch, or what is left of one that failed.
    Batch(Vec<Item>),
    /// Nothing more comes for the window that is open.
    WindowOver,
    /// It is asked to stop, or all is done of a shard that was split or merged.
    Nothing,
}

#[derive(Default)]
struct Batch {
    items: Vec<Item>,
    bytes: usize,
}

impl Lane {
    /// What comes next. The records of a batch are [`Lane::taken`] then.
    pub(super) async fn gather(&mut self) -> Result<Gathered, MappingError> {
        let settings = &self.work.definition.settings;
        let window = Duration::from_secs(settings.window_seconds.into());
        let until = self.progress.pieces.last().map(|piece| piece.to);
        let room = match until {
            None => Room { records: settings.batch_size as usize, bytes: self.event_bytes_max(), until },
            // It was within its bounds once.
            Some(_) => Room { records: usize::MAX, bytes: usize::MAX, until },
        };
        let mut batch = Batch::default();
        let mut over = None;
        let mut watched = self.work.streams.watch(self.origin.log);
        let mut changes = self.work.streams.changes();
        loop {
            watched.borrow_and_update();
            changes.borrow_and_update();
            // Before reading: what is read then is everything that was taken before this time.
            let frontier = self.work.streams.frontier();
            let at_end = self.read_ahead().await?;
            if batch.items.is_empty() && until.is_none() && self.is_window_over(frontier) {
                return Ok(Gathered::WindowOver);
            }
            if self.fill(&mut batch, &room) || (at_end && until.is_some()) {
                if batch.items.is_empty() && until.is_none() {
                    // Only records of a later window are left.
                    continue;
                }
                return Ok(Gathered::Batch(batch.items));
            }
            if !batch.items.is_empty()
                && at_end
                && self.batch_end(batch.items.first()).is_some_and(|end| end <= frontier)
            {
                return Ok(Gathered::Batch(batch.items));
            }
            if at_end && self.has_ended() {
                if !batch.items.is_empty() {
                    return Ok(Gathered::Batch(batch.items));
                }
                // A window that is open is closed first, when its time has come.
                if self.progress.window.is_none() {
                    return self.end().await.map(|()| Gathered::Nothing);
                }
            }
            if !batch.items.is_empty() {
                let over = *over.get_or_insert_with(|| Instant::now() + window);
                if Instant::now() >= over && (at_end || !window.is_zero()) {
                    return Ok(Gathered::Batch(batch.items));
                }
            }
            if at_end {
                let next = Instant::now() + LOOK;
                if batch.items.is_empty() {
                    self.keep_skipped().await?;
                }
                self.wait_for_more((&mut watched, &mut changes), over.map_or(next, |over| over.min(next))).await;
            }
            if stopping(&self.stop) {
                return Ok(Gathered::Nothing);
            }
        }
    }

    /// Whether the shard was split or merged, and all of it is taken.
    fn has_ended(&self) -> bool {
        let streams = &self.work.streams;
        let Some(stream) = self.work.definition.source.stream().and_then(|name| streams.get(&name).ok()) else {
            return false;
        };
        let shard = stream.shards.iter().find(|shard| shard.log() == self.origin.log);
        shard.is_some_and(|shard| streams.has_ended(shard, self.taken))
    }

    /// Keeps that the shard is done.
    async fn end(&mut self) -> Result<(), MappingError> {
        self.progress.position = self.taken;
        self.tell(None);
        self.keep().await?;
        self.settle().await?;
        self.ended = true;
        Ok(())
    }

    /// Bytes of a batch's records. The state of a window needs its room, also one that grows between the pieces of a batch.
    fn event_bytes_max(&self) -> usize {
        let has_windows = self.work.definition.settings.tumbling_window_seconds.is_some();
        EVENT_BYTES_MAX - if has_windows { STATE_BYTES_MAX } else { 0 }
    }

    /// Reads records when none are left; whether the shard has no more.
    async fn read_ahead(&mut self) -> Result<bool, MappingError> {
        if !self.ahead.is_empty() {
            return Ok(false);
        }
        self.work.permitted()?;
        let read = self.work.streams.read(self.origin.log, self.taken, READ_BYTES).await?;
        let first = read.batches.first().map_or(read.next, |batch| batch.base_offset);
        if first > self.taken {
            self.expired(self.taken, first);
            self.taken = first;
        }
        let from = self.taken;
        self.ahead.extend(read.batches.iter().flat_map(|batch| batch.records()).filter(|record| record.offset >= from));
        Ok(self.ahead.is_empty())
    }

    /// Moves records into a batch; whether it is full.
    fn fill(&mut self, batch: &mut Batch, room: &Room) -> bool {
        while let Some(record) = self.ahead.front() {
            let other_window = self.batch_end(batch.items.first()).is_some_and(|end| record.append_time >= end);
            if batch.items.len() >= room.records
                || room.until.is_some_and(|until| record.offset >= until)
                || (other_window && room.until.is_none())
            {
                return true;
            }
            if let Some(encoded) = self.encoded(record) {
                if !batch.items.is_empty() && batch.bytes + encoded.len() + 1 > room.bytes {
                    return true;
                }
                batch.bytes += encoded.len() + 1;
                batch.items.push(Item { offset: record.offset, append_time: record.append_time, encoded });
            }
            self.taken = record.offset + 1;
            self.ahead.pop_front();
        }
        batch.items.len() >= room.records || room.until.is_some_and(|until| self.taken >= until)
    }

    /// A record as the function's event holds it; `None` when it is not for this lane or not for the function.
    fn encoded(&self, record: &Record) -> Option<Bytes> {
        let lanes = u128::from(self.share.lanes);
        if lanes > 1 && hash_key::of_partition_key(&record.partition_key) % lanes != u128::from(self.share.lane) {
            return None;
        }
        match self.work.outside.codec.wanted(&self.origin, record, &|encoded: &[u8]| self.work.wants(encoded)) {
            Ok(encoded) => encoded,
            Err(reason) => {
                let (mapping, offset) = (&self.work.definition.id, record.offset);
                tracing::error!(
                    mapping,
                    log = self.origin.log.0,
                    offset,
                    reason,
                    "a record cannot be shown; it is skipped"
                );
                self.work.insight.metrics.counter("records_unreadable", &self.work.subject()).add(1);
                self.work.status.ended(LastResult::Problem(reason));
                None
            }
        }
    }

    /// Keeps the place behind records that were skipped, now and then.
    async fn keep_skipped(&mut self) -> Result<(), MappingError> {
        self.tell(None);
        if self.taken > self.progress.position && self.kept.elapsed() >= KEEP_EVERY {
            self.progress.position = self.taken;
            self.keep().await?;
        }
        Ok(())
    }

    /// Waits for records, for a change of the stream, or until a time.
    async fn wait_for_more(&self, (watched, changes): (&mut Changes, &mut Changes), until: Instant) {
        let mut stop = self.stop.clone();
        let changed = async {
            if watched.changed().await.is_err() {
                // The log is gone; whoever stops this lane will come to know.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = changed => {}
            _ = changes.changed() => {}
            _ = stop.wait_for(|stopped| *stopped) => {}
            () = sleep_until(until) => {}
        }
    }

    /// Tells of records that retention took before the function had them. Of several lanes one tells.
    pub(super) fn expired(&self, from: u64, to: u64) {
        // A shard without a place begins with its oldest record.
        if self.share.lane > 0 || from == 0 {
            return;
        }
        let reader = self.work.subject();
        tracing::error!(%reader, log = self.origin.log.0, from, to, "records were removed before the function had them");
        self.work.insight.metrics.counter("records_expired", &reader).add(to - from);
        self.work.insight.trail.mark(Step::Expired { reader, log: self.origin.log.0, from, to });
    }
}
