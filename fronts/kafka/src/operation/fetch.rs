//! Fetch: records from offsets on. Waits for enough of them, woken when a partition grows.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use millstream_catalog::StreamDefinition;
use millstream_namespace::Right;
use millstream_namespace::name::stream_of;
use millstream_types::LogId;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use super::of_topic::OfTopic;
use crate::connection::{Answer, Answered, Request};
use crate::error::ErrorCode;
use crate::record;
use crate::records::{BatchWriter, gap};
use crate::service::{Kafka, shrink};
use crate::session::Session;
use crate::throttle;
use crate::topic;
use crate::wire::{DecodeError, Writer};

/// Bytes of one answer's records, whatever the client would take.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Bytes that an answer says of a partition beside its records, at most.
const PARTITION_BYTES: usize = 64;
/// Bytes that are made room for beside those of the records: the heads of a batch and what a last record takes beyond.
const BATCH_ROOM: usize = 4 << 10;
/// How long records are collected for a client that wants many at once, between two reads.
const COLLECT: Duration = Duration::from_millis(5);
/// The longest that a fetch waits, whatever the client would wait.
const WAIT_MAX: Duration = Duration::from_secs(60);

struct Wanted {
    index: i32,
    offset: i64,
    bytes_max: usize,
}

/// A topic's stream, or why the client may not read it.
type Found = Result<Arc<StreamDefinition>, ErrorCode>;

struct Limits {
    wait: Duration,
    bytes_min: usize,
    bytes_max: usize,
}

struct Got {
    index: i32,
    error: ErrorCode,
    /// The first offset that there is and the one behind the last.
    bounds: Option<(u64, u64)>,
    count: u64,
    /// Whether there is more than fits.
    full: bool,
    records: Bytes,
}

impl Got {
    fn nothing(index: i32, error: ErrorCode) -> Self {
        Self { index, error, bounds: None, count: 0, full: false, records: Bytes::new() }
    }
}

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let version = request.version;
    let fields = &mut request.fields;
    fields.i32()?;
    let wait = Duration::from_millis(u64::try_from(fields.i32()?).unwrap_or(0)).min(WAIT_MAX);
    let bytes_min = usize::try_from(fields.i32()?).unwrap_or(0);
    let bytes_max = usize::try_from(fields.i32()?).unwrap_or(0).clamp(1, ANSWER_BYTES_MAX);
    let limits = Limits { wait, bytes_min: bytes_min.min(bytes_max), bytes_max };
    // Isolation: there are no transactions to be isolated from.
    fields.i8()?;
    let mut of_session = false;
    if version >= 7 {
        of_session = fields.i32()? != 0;
        fields.i32()?;
    }
    let topics = OfTopic::read(fields, |fields| {
        let index = fields.i32()?;
        if version >= 9 {
            fields.i32()?;
        }
        let offset = fields.i64()?;
        if version >= 12 {
            fields.i32()?;
        }
        if version >= 5 {
            fields.i64()?;
        }
        Ok(Wanted { index, offset, bytes_max: usize::try_from(fields.i32()?).unwrap_or(0) })
    })?;
    Ok(Box::pin(async move {
        if of_session {
            // No session is ever begun: the client fetches without one.
            return Some(Answered::new(answer(&request, ErrorCode::FetchSessionIdNotFound, &[], 0), None));
        }
        throttle::may_go_out(&kafka, &session.namespace).await;
        let (held, got) = gather(&kafka, &session, &topics, &limits).await;
        let throttle_ms = count(&kafka, &session, &got);
        Some(Answered::new(answer(&request, ErrorCode::None, &got, throttle_ms), held))
    }))
}

/// Reads until there is enough, something is wrong, or the client does not want to wait longer.
async fn gather(
    kafka: &Kafka,
    session: &Session,
    topics: &[OfTopic<Wanted>],
    limits: &Limits,
) -> (Option<OwnedSemaphorePermit>, Vec<OfTopic<Got>>) {
    let until = Instant::now() + limits.wait;
    let find = || -> Vec<Found> {
        topics.iter().map(|topic| topic::find(kafka, session, Right::Listen, &topic.name)).collect()
    };
    let mut found = find();
    // Followed from before the first read, so that nothing is missed between a read and the wait behind it.
    let mut ends: Vec<watch::Receiver<u64>> = logs(topics, &found).map(|(log, _)| kafka.streams.watch(log)).collect();
    loop {
        let (mut held, bytes_max) = match due(kafka, topics, &found) {
            0 => (None, 0),
            due => kafka.hold_answer(due.min(limits.bytes_max)).await,
        };
        let turn = kafka.turn_to_read(bytes_max).await;
        let got = read(kafka, topics, &found, bytes_max).await;
        drop(turn);
        let all = || got.iter().flat_map(|topic| &topic.partitions);
        let bytes = all().map(|got| got.records.len()).sum();
        shrink(&mut held, bytes);
        let done = bytes >= limits.bytes_min || all().any(|got| got.full || got.error != ErrorCode::None);
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
        found = find();
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
fn logs<'w>(topics: &'w [OfTopic<Wanted>], found: &'w [Found]) -> impl Iterator<Item = (LogId, &'w Wanted)> {
    topics.iter().zip(found).flat_map(|(topic, found)| {
        let stream = found.as_ref().ok();
        topic.partitions.iter().filter_map(move |wanted| Some((topic::partition(stream?, wanted.index).ok()?, wanted)))
    })
}

/// Bytes that an answer may have to hold: those asked for of the partitions that have anything.
fn due(kafka: &Kafka, topics: &[OfTopic<Wanted>], found: &[Found]) -> usize {
    let has = |log: LogId, wanted: &Wanted| kafka.streams.bounds(log).next.cast_signed() > wanted.offset;
    let with_records = logs(topics, found).filter(|(log, wanted)| has(*log, wanted));
    // One byte at least for a client that would take none: its answer holds a record all the same.
    with_records.map(|(_, wanted)| wanted.bytes_max.max(1)).sum()
}

/// Counts what goes out; gives how long the client is told to wait, milliseconds.
fn count(kafka: &Kafka, session: &Session, got: &[OfTopic<Got>]) -> i32 {
    let (mut records, mut bytes) = (0, 0);
    for topic in got {
        let of_topic: u64 = topic.partitions.iter().map(|got| got.count).sum();
        if of_topic > 0 {
            let subject = format!("stream/{}", stream_of(&session.namespace, &topic.name));
            kafka.insight.metrics.counter("records_out", &subject).add(of_topic);
        }
        records += of_topic;
        bytes += topic.partitions.iter().map(|got| got.records.len() as u64).sum::<u64>();
    }
    throttle::went_out(kafka, &session.namespace, records, bytes)
}

async fn read(kafka: &Kafka, topics: &[OfTopic<Wanted>], found: &[Found], bytes_max: usize) -> Vec<OfTopic<Got>> {
    let mut left = bytes_max;
    let mut first = bytes_max > 0;
    let mut got = Vec::with_capacity(topics.len());
    for (OfTopic { name, partitions }, stream) in topics.iter().zip(found) {
        let mut of_topic = Vec::with_capacity(partitions.len());
        for wanted in partitions {
            let stream = stream.as_ref().map_err(|error| *error);
            let log = stream.and_then(|stream| topic::partition(stream, wanted.index));
            let one = match log {
                Ok(log) => partition(kafka, log, wanted, (left, first)).await,
                Err(error) => Got::nothing(wanted.index, error),
            };
            left = left.saturating_sub(one.records.len());
            first &= one.records.is_empty();
            of_topic.push(one);
        }
        got.push(OfTopic { name: name.clone(), partitions: of_topic });
    }
    got
}

/// Records of a partition: within the bytes, but one at least when it is the first that has any, so that a client whose
/// limit is too small gets on.
async fn partition(kafka: &Kafka, log: LogId, wanted: &Wanted, (left, first): (usize, bool)) -> Got {
    let bounds = kafka.streams.bounds(log);
    let mut got = Got { bounds: Some((bounds.first, bounds.next)), ..Got::nothing(wanted.index, ErrorCode::None) };
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

fn answer(request: &Request, error: ErrorCode, topics: &[OfTopic<Got>], throttle_ms: i32) -> Writer {
    let version = request.version;
    let mut out = request.answer();
    let room = |topic: &OfTopic<Got>| topic.name.len() + topic.partitions.len() * PARTITION_BYTES;
    out.reserve(topics.iter().map(room).sum());
    out.i32(throttle_ms);
    if version >= 7 {
        out.i16(error.wire());
        out.i32(0);
    }
    OfTopic::write(topics, &mut out, |out, got| {
        let (first, next) = got.bounds.map_or((-1, -1), |(first, next)| (first.cast_signed(), next.cast_signed()));
        out.i32(got.index);
        out.i16(got.error.wire());
        out.i64(next);
        out.i64(next);
        if version >= 5 {
            out.i64(first);
        }
        out.null_array();
        if version >= 11 {
            out.i32(-1);
        }
        out.shared(got.records.clone());
    });
    out.tags();
    out
}
