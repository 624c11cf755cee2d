//! Produce: batches go to the log at once, all of a request in one transaction; the answer waits until they are durable.

use std::collections::VecDeque;

use bytes::Bytes;
use millstream_insight::Step;
use millstream_namespace::Right;
use millstream_stream::{Sequence, ShardBatch};
use millstream_types::LogId;

use super::of_topic::OfTopic;
use crate::connection::{Answer, Answered, Refused, Request};
use crate::error::ErrorCode;
use crate::record;
use crate::records::{self, BatchError};
use crate::service::Kafka;
use crate::session::Session;
use crate::throttle::{self, Throttle};
use crate::topic;
use crate::wire::Writer;

/// Bytes of a request's records, unpacked and as the log has them: about what one transaction of the log may be.
const RECORDS_BYTES_MAX: usize = 15 << 20;
/// Bytes of batches, not compressed, that are taken apart without another thread.
const AT_ONCE_BYTES_MAX: usize = 256 << 10;

/// A batch for a partition, and why it is not taken.
struct Partition {
    index: i32,
    records: Option<Bytes>,
    refused: Option<(ErrorCode, Option<String>)>,
    taken: Option<Taken>,
}

/// What is on its way to the log.
struct Taken {
    log: LogId,
    stream: String,
    count: u64,
    bytes: u64,
}

/// What became of a batch.
struct Placed {
    index: i32,
    error: ErrorCode,
    message: Option<String>,
    /// The offset of its first record, and of the first record that there is.
    offsets: Option<(u64, u64)>,
}

pub async fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, Refused> {
    let fields = &mut request.fields;
    let transactional = fields.nullable_string()?.is_some();
    let acks = fields.i16()?;
    // The time within which others should have a copy: there are no others.
    fields.i32()?;
    let mut topics = OfTopic::read(fields, |fields| {
        Ok(Partition { index: fields.i32()?, records: fields.nullable_bytes()?, refused: None, taken: None })
    })?;
    let (topics, batches) = if is_work(&topics) {
        let (kafka_too, session_too) = (kafka.clone(), session.clone());
        let take = move || {
            let batches = take(&kafka_too, &session_too, (transactional, acks), &mut topics);
            (topics, batches)
        };
        kafka.unpack(take).await.ok_or(Refused::Stopping)?
    } else {
        let batches = take(&kafka, &session, (transactional, acks), &mut topics);
        (topics, batches)
    };
    let throttle = throttle(&kafka, &session, &topics);
    let appending = kafka.producers.append(batches);
    Ok(Box::pin(async move {
        let offsets = appending.durable().await.into();
        let placed = placed(&kafka, &request, topics, offsets);
        throttle.wait().await;
        (acks != 0).then(|| Answered::new(answer(&request, &placed, throttle.told_ms), None))
    }))
}

/// Counts what is taken against the namespace's units.
fn throttle(kafka: &Kafka, session: &Session, topics: &[OfTopic<Partition>]) -> Throttle {
    let taken: Vec<&Taken> =
        topics.iter().flat_map(|topic| &topic.partitions).filter_map(|partition| partition.taken.as_ref()).collect();
    let mut streams: Vec<&str> = taken.iter().map(|taken| taken.stream.as_str()).collect();
    streams.dedup();
    let (records, bytes) =
        taken.iter().fold((0, 0), |(records, bytes), taken| (records + taken.count, bytes + taken.bytes));
    throttle::came_in(kafka, &session.namespace, &streams, records, bytes)
}

/// Whether taking the batches apart may keep a thread busy: how much is in a compressed one is not known before.
fn is_work(topics: &[OfTopic<Partition>]) -> bool {
    let batches =
        || topics.iter().flat_map(|topic| &topic.partitions).filter_map(|partition| partition.records.as_ref());
    batches().map(Bytes::len).sum::<usize>() > AT_ONCE_BYTES_MAX || batches().any(|batch| records::is_compressed(batch))
}

/// Takes the batches of all partitions apart, together into no more bytes than a request may hold; what is refused of them
/// is noted.
fn take(
    kafka: &Kafka,
    session: &Session,
    (transactional, acks): (bool, i16),
    topics: &mut [OfTopic<Partition>],
) -> Vec<ShardBatch> {
    let mut room = RECORDS_BYTES_MAX;
    let mut batches = Vec::new();
    for topic in topics {
        let found = match (transactional, acks) {
            (true, _) => Err(ErrorCode::TransactionalIdAuthorizationFailed),
            (_, -1..=1) => topic::find(kafka, session, Right::Send, &topic.name),
            _ => Err(ErrorCode::InvalidRequiredAcks),
        };
        for partition in &mut topic.partitions {
            let taken = found.clone().and_then(|stream| Ok((topic::partition(&stream, partition.index)?, stream)));
            match taken {
                Err(error) => partition.refused = Some((error, None)),
                Ok((log, stream)) => match decode(partition.records.take().unwrap_or_default(), log, room) {
                    Err(error) => partition.refused = Some((of_batch(error), Some(error.to_string()))),
                    Ok(batch) => {
                        let (count, bytes) = (u64::from(batch.records.count()), batch.records.len() as u64);
                        room = room.saturating_sub(batch.records.len());
                        partition.taken = Some(Taken { log, stream: stream.name.clone(), count, bytes });
                        batches.push(batch);
                    }
                },
            }
        }
    }
    batches
}

fn decode(bytes: Bytes, log: LogId, room: usize) -> Result<ShardBatch, BatchError> {
    let batch = records::decode(bytes, room)?;
    let sequence = batch.sequence.map(|(producer, epoch, first)| Sequence {
        producer: producer.cast_unsigned(),
        epoch,
        first,
        announced: false,
    });
    Ok(ShardBatch { log, records: record::to_log(batch, room)?, sequence })
}

fn of_batch(error: BatchError) -> ErrorCode {
    match error {
        BatchError::Corrupt => ErrorCode::CorruptMessage,
        BatchError::Magic(_) => ErrorCode::UnsupportedForMessageFormat,
        BatchError::Compression => ErrorCode::UnsupportedCompression,
        BatchError::Transactional => ErrorCode::TransactionalIdAuthorizationFailed,
        BatchError::Records => ErrorCode::InvalidRecord,
        BatchError::TooLarge => ErrorCode::MessageTooLarge,
    }
}

/// Puts together what became of each batch, and counts what was taken.
fn placed(
    kafka: &Kafka,
    request: &Request,
    topics: Vec<OfTopic<Partition>>,
    mut offsets: VecDeque<Result<millstream_stream::Placed, millstream_stream::AppendError>>,
) -> Vec<OfTopic<Placed>> {
    let mut place = |partition: Partition| {
        let Partition { index, refused, taken, .. } = partition;
        let Some(taken) = taken else {
            let (error, message) = refused.unwrap_or((ErrorCode::UnknownServerError, None));
            return Placed { index, error, message, offsets: None };
        };
        match offsets.pop_front() {
            Some(Ok(millstream_stream::Placed { offset, repeated })) => {
                if !repeated {
                    count(kafka, request, &taken, offset);
                }
                let first = kafka.streams.bounds(taken.log).first;
                Placed { index, error: ErrorCode::None, message: None, offsets: Some((offset, first)) }
            }
            Some(Err(error)) => {
                Placed { index, error: ErrorCode::from(&error), message: Some(error.to_string()), offsets: None }
            }
            None => Placed { index, error: ErrorCode::UnknownServerError, message: None, offsets: None },
        }
    };
    let of_topic =
        |OfTopic { name, partitions }| OfTopic { name, partitions: partitions.into_iter().map(&mut place).collect() };
    topics.into_iter().map(of_topic).collect()
}

fn count(kafka: &Kafka, request: &Request, taken: &Taken, from: u64) {
    let subject = format!("stream/{}", taken.stream);
    kafka.insight.metrics.counter("records_in", &subject).add(taken.count);
    kafka.insight.metrics.counter("bytes_in", &subject).add(taken.bytes);
    kafka.insight.trail.mark(Step::Received {
        log: taken.log.0,
        from,
        to: from + taken.count,
        stream: taken.stream.clone(),
        request: request.client.clone(),
        invocation: None,
    });
}

fn answer(request: &Request, topics: &[OfTopic<Placed>], throttle_ms: i32) -> Writer {
    let version = request.version;
    let mut out = request.answer();
    OfTopic::write(topics, &mut out, |out, placed| {
        let (offset, first) = placed.offsets.map_or((-1, -1), |(at, first)| (at.cast_signed(), first.cast_signed()));
        out.i32(placed.index);
        out.i16(placed.error.wire());
        out.i64(offset);
        // No append time: producers' times are kept.
        out.i64(-1);
        if version >= 5 {
            out.i64(first);
        }
        if version >= 8 {
            // Records are not refused one by one.
            out.array::<()>(&[], |_, ()| {});
            out.nullable_string(placed.message.as_deref());
        }
    });
    out.i32(throttle_ms);
    out.tags();
    out
}
