//! Reading for a fetch: partition by partition, again and again until there is enough or the client does not want to wait longer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use millstream_catalog::StreamDefinition;
use millstream_namespace::Right;
use millstream_types::LogId;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use crate::error::ErrorCode;
use crate::fetch_session::{Told, Wanted};
use crate::operation::check_leader_epoch;
use crate::record;
use crate::records::{BatchWriter, gap};
use crate::service::{Kafka, shrink};
use crate::session::Session;
use crate::topic::{self, TopicKey};

/// Bytes that are made room for beside those of the records: the heads of a batch and what a last record takes beyond.
const BATCH_ROOM: usize = 4 << 10;
/// How long records are collected for a client that wants many at once, between two reads.
const COLLECT: Duration = Duration::from_millis(5);

/// How much is read, and how long is waited for it.
pub struct Limits {
    pub wait: Duration,
    pub bytes_min: usize,
    pub bytes_max: usize,
}

/// What was read of a partition.
pub struct Got {
    pub topic: TopicKey,
    /// The topic's stream; `None`: there is none that the client may read.
    pub stream: Option<Arc<StreamDefinition>>,
    pub index: i32,
    pub error: ErrorCode,
    /// The first offset that there is and the one behind the last.
    pub bounds: Option<(u64, u64)>,
    pub count: u64,
    /// Whether there is more than fits.
    full: bool,
    pub records: Bytes,
}

impl Got {
    fn nothing(wanted: &Wanted, error: ErrorCode) -> Self {
        let Wanted { topic, index, .. } = wanted;
        let records = Bytes::new();
        Self { topic: topic.clone(), stream: None, index: *index, error, bounds: None, count: 0, full: false, records }
    }

    /// What an answer tells of it beside its records.
    pub fn told(&self) -> Told {
        Told { error: self.error, bounds: self.bounds, has_records: !self.records.is_empty() }
    }
}

/// The streams of the topics, or why the client may not read them.
type Found = HashMap<TopicKey, Result<Arc<StreamDefinition>, ErrorCode>>;

fn find(kafka: &Kafka, session: &Session, partitions: &[Wanted]) -> Found {
    let mut found = Found::new();
    for wanted in partitions {
        if !found.contains_key(&wanted.topic) {
            found.insert(wanted.topic.clone(), topic::find_by(kafka, session, Right::Listen, &wanted.topic));
        }
    }
    found
}

/// A partition's stream and log.
fn log_of(found: &Found, wanted: &Wanted) -> Result<(Arc<StreamDefinition>, LogId), ErrorCode> {
    let stream = found.get(&wanted.topic).cloned().unwrap_or(Err(ErrorCode::UnknownTopicOrPartition))?;
    let log = topic::partition(&stream, wanted.index)?;
    check_leader_epoch(wanted.leader_epoch)?;
    Ok((stream, log))
}

/// Reads until there is enough, something is wrong, or the client does not want to wait longer.
pub async fn gather(
    kafka: &Kafka,
    session: &Session,
    partitions: &[Wanted],
    limits: &Limits,
) -> (Option<OwnedSemaphorePermit>, Vec<Got>) {
    let until = Instant::now() + limits.wait;
    let mut found = find(kafka, session, partitions);
    // Followed from before the first read, so that nothing is missed between a read and the wait behind it.
    let mut ends: Vec<watch::Receiver<u64>> =
        logs(partitions, &found).map(|(log, _)| kafka.streams.watch(log)).collect();
    loop {
        let (mut held, bytes_max) = match due(kafka, partitions, &found) {
            0 => (None, 0),
            due => kafka.hold_answer(due.min(limits.bytes_max)).await,
        };
        let turn = kafka.turn_to_read(bytes_max).await;
        let got = read(kafka, partitions, &found, bytes_max).await;
        drop(turn);
        let bytes = got.iter().map(|got| got.records.len()).sum();
        shrink(&mut held, bytes);
        let done = bytes >= limits.bytes_min || got.iter().any(|got| got.full || got.error != ErrorCode::None);
        if done || Instant::now() >= until {
            return (held, got);
        }
        // Read again rather than held while the client waits.
        drop((held, got));
        grown(&mut ends, until).await;
        if limits.bytes_min > 1 {
            // A client that wants many bytes at once rather waits than has them read over and over.
            tokio::time::sleep_until(until.min(Instant::now() + COLLECT)).await;
        }
        // Topics come and go, and rights with them.
        found = find(kafka, session, partitions);
    }
}

/// Waits until one of the partitions has grown, or the time is over.
async fn grown(ends: &mut [watch::Receiver<u64>], until: Instant) {
    {
        let mut changes: FuturesUnordered<_> = ends.iter_mut().map(watch::Receiver::changed).collect();
        // No partitions grow never; one that is deleted is found out by the next read.
        let grown = async {
            if changes.next().await.is_none() {
                std::future::pending::<()>().await
            }
        };
        let _ = tokio::time::timeout_at(until, grown).await;
    }
    ends.iter_mut().for_each(watch::Receiver::mark_unchanged);
}

/// The logs that are read, and from which offset on.
fn logs<'w>(partitions: &'w [Wanted], found: &'w Found) -> impl Iterator<Item = (LogId, &'w Wanted)> {
    partitions.iter().filter_map(|wanted| Some((log_of(found, wanted).ok()?.1, wanted)))
}

/// Bytes that an answer may have to hold: those asked for of the partitions that have anything.
fn due(kafka: &Kafka, partitions: &[Wanted], found: &Found) -> usize {
    let has = |log: LogId, wanted: &Wanted| kafka.streams.bounds(log).next.cast_signed() > wanted.offset;
    let with_records = logs(partitions, found).filter(|(log, wanted)| has(*log, wanted));
    // One byte at least for a client that would take none: its answer holds a record all the same.
    with_records.map(|(_, wanted)| wanted.bytes_max.max(1)).sum()
}

async fn read(kafka: &Kafka, partitions: &[Wanted], found: &Found, bytes_max: usize) -> Vec<Got> {
    let mut left = bytes_max;
    let mut first = bytes_max > 0;
    let mut got = Vec::with_capacity(partitions.len());
    for wanted in partitions {
        let one = match log_of(found, wanted) {
            Ok((stream, log)) => Got { stream: Some(stream), ..partition(kafka, log, wanted, (left, first)).await },
            Err(error) => Got::nothing(wanted, error),
        };
        left = left.saturating_sub(one.records.len());
        first &= one.records.is_empty();
        got.push(one);
    }
    got
}

/// Records of a partition: within the bytes, but one at least when it is the first that has any, so that a client whose
/// limit is too small gets on.
async fn partition(kafka: &Kafka, log: LogId, wanted: &Wanted, (left, first): (usize, bool)) -> Got {
    let bounds = kafka.streams.bounds(log);
    let mut got = Got { bounds: Some((bounds.first, bounds.next)), ..Got::nothing(wanted, ErrorCode::None) };
    let offset = match u64::try_from(wanted.offset) {
        Ok(offset) if (bounds.first..=bounds.next).contains(&offset) => offset,
        _ => {
            got.error = ErrorCode::OffsetOutOfRange;
            return got;
        }
    };
    let room = wanted.bytes_max.min(left);
    if offset == bounds.next {
        return got;
    }
    if room == 0 && !first {
        got.full = true;
        return got;
    }
    match kafka.streams.read(log, offset, room.max(1)).await {
        Err(error) => got.error = ErrorCode::from(&error),
        Ok(read) => {
            let stored: usize = read.batches.iter().map(|batch| batch.bytes.len()).sum();
            let mut out = BatchWriter::with_capacity(stored.min(room) + BATCH_ROOM);
            let records = read.batches.iter().flat_map(|batch| batch.iter().map(move |record| (batch, record)));
            for (batch, record) in records.filter(|(_, record)| record.offset >= offset) {
                let fits = out.len() + record.data.len() + record.headers.len() + record.partition_key.len() <= room;
                if !fits && (out.len() > 0 || !first) {
                    got.full = true;
                    break;
                }
                record::from_log(kafka, batch, record, &mut out);
                got.count += 1;
            }
            got.bounds = Some((read.end.first, read.end.next));
            got.records = out.finish();
            if read.batches.is_empty() && read.next > offset {
                // What is left is lost: a client that was not told to go on behind it would ask for it again and again.
                got.records = gap(offset, read.next);
                got.full = true;
            }
        }
    }
    got
}
