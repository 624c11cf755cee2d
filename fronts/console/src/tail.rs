//! The newest records of a stream, for pages: bounded in shards, bytes and records.

use millstream_catalog::StreamDefinition;
use millstream_stream::{SequenceNumber, StreamError, Streams};
use millstream_types::{LogId, Record};

/// Shards that one look reads: those that took records last.
const SHARDS_MAX: usize = 16;
/// Bytes that one look at a shard reads, about.
const SHARD_BYTES_MAX: usize = 4 << 20;
/// Bytes asked for at a time.
const READ_BYTES: usize = 256 << 10;

/// A record and its place.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The shard's number.
    pub shard: u32,
    /// The record's name in the node.
    pub sequence: SequenceNumber,
    /// The record.
    pub record: Record,
}

/// The newest records, newest first.
///
/// # Errors
/// [`StreamError::Storage`].
pub async fn newest(streams: &Streams, stream: &StreamDefinition, limit: usize) -> Result<Vec<Placed>, StreamError> {
    let mut shards: Vec<_> =
        stream.shards.iter().map(|shard| (streams.bounds(shard.log()).last_append_time, shard)).collect();
    shards.sort_by_key(|(last, _)| std::cmp::Reverse(*last));
    let mut found = Vec::new();
    for (_, shard) in shards.into_iter().take(SHARDS_MAX) {
        let records = newest_of_shard(streams, shard.log(), limit).await?;
        let place = |record: Record| Placed {
            shard: shard.index,
            sequence: SequenceNumber { log: shard.log(), offset: record.offset },
            record,
        };
        found.extend(records.into_iter().map(place));
    }
    found.sort_by_key(|placed| std::cmp::Reverse((placed.record.append_time, placed.sequence)));
    found.truncate(limit);
    Ok(found)
}

async fn newest_of_shard(streams: &Streams, log: LogId, limit: usize) -> Result<Vec<Record>, StreamError> {
    let bounds = streams.bounds(log);
    let mut offset = bounds.next.saturating_sub(limit as u64).max(bounds.first);
    let (mut records, mut bytes) = (Vec::new(), 0);
    while offset < bounds.next {
        // Records too large for the budget: what is newest matters most, so the look jumps to the last one.
        let from = if bytes < SHARD_BYTES_MAX { offset } else { bounds.next - 1 };
        let read = streams.read(log, from, READ_BYTES).await?;
        if read.batches.is_empty() {
            break;
        }
        for batch in &read.batches {
            bytes += batch.bytes.len();
            records.extend(batch.records().filter(|record| record.offset >= from && record.offset < bounds.next));
        }
        offset = read.next;
    }
    Ok(records)
}

/// One record; `None` when it is not there (any more, or yet).
///
/// # Errors
/// [`StreamError::Storage`].
pub async fn one(streams: &Streams, sequence: SequenceNumber) -> Result<Option<Record>, StreamError> {
    let read = streams.read(sequence.log, sequence.offset, 1).await?;
    let found = read.batches.iter().flat_map(|batch| batch.records()).find(|record| record.offset == sequence.offset);
    Ok(found)
}
