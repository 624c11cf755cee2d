//! ListOffsets: the first offset, the one behind the last, or the first record of a time or later.

use millstream_namespace::Right;
use millstream_types::LogId;

use super::of_topic::OfTopic;
use super::{LEADER_EPOCH, NO_EPOCH, check_leader_epoch, later};
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::record;
use crate::service::Kafka;
use crate::session::Session;
use crate::topic;
use crate::wire::{DecodeError, Writer};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// Bytes that are looked through for a record of a time: times of producers need not rise.
const SEARCH_BYTES_MAX: usize = 4 << 20;

struct Found {
    index: i32,
    error: ErrorCode,
    time: i64,
    offset: i64,
}

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let version = request.version;
    let fields = &mut request.fields;
    fields.i32()?;
    if version >= 2 {
        fields.i8()?;
    }
    let topics = OfTopic::read(fields, |fields| {
        let index = fields.i32()?;
        let leader_epoch = if version >= 4 { fields.i32()? } else { NO_EPOCH };
        Ok((index, leader_epoch, fields.i64()?))
    })?;
    Ok(later(async move {
        let mut found = Vec::with_capacity(topics.len());
        for OfTopic { name, partitions } in topics {
            let stream = topic::find(&kafka, &session, Right::Any, &name);
            let mut of_topic = Vec::with_capacity(partitions.len());
            for (index, leader_epoch, time) in partitions {
                let log = stream.clone().and_then(|stream| topic::partition(&stream, index));
                let log = log.and_then(|log| check_leader_epoch(leader_epoch).map(|()| log));
                let offset = match log {
                    Ok(log) => offset(&kafka, log, time).await,
                    Err(error) => Err(error),
                };
                of_topic.push(match offset {
                    Ok((time, offset)) => Found { index, error: ErrorCode::None, time, offset },
                    Err(error) => Found { index, error, time: -1, offset: -1 },
                });
            }
            found.push(OfTopic { name, partitions: of_topic });
        }
        answer(&request, &found)
    }))
}

/// Time and offset; both -1 when no record is that young.
async fn offset(kafka: &Kafka, log: LogId, time: i64) -> Result<(i64, i64), ErrorCode> {
    let bounds = kafka.streams.bounds(log);
    match time {
        LATEST => return Ok((-1, bounds.next.cast_signed())),
        EARLIEST => return Ok((-1, bounds.first.cast_signed())),
        ..0 => return Err(ErrorCode::InvalidRequest),
        _ => {}
    }
    // A record is appended after its producer's time: none that was appended earlier can be of that time.
    let appended = kafka.streams.offset_at_time(log, time).await.map_err(|error| ErrorCode::from(&error))?;
    let read = kafka.streams.read(log, appended, SEARCH_BYTES_MAX).await.map_err(|error| ErrorCode::from(&error))?;
    let records = read.batches.iter().flat_map(millstream_types::RecordBatch::iter);
    let young = records.map(|record| (record::time(&record), record.offset.cast_signed()));
    let young = young.filter(|(of_record, offset)| *offset >= appended.cast_signed() && *of_record >= time);
    Ok(young.min_by_key(|(_, offset)| *offset).unwrap_or((-1, -1)))
}

fn answer(request: &Request, topics: &[OfTopic<Found>]) -> Writer {
    let version = request.version;
    let mut out = request.answer();
    if version >= 2 {
        out.i32(0);
    }
    OfTopic::write(topics, &mut out, |out, found| {
        out.i32(found.index);
        out.i16(found.error.wire());
        out.i64(found.time);
        out.i64(found.offset);
        if version >= 4 {
            out.i32(LEADER_EPOCH);
        }
    });
    out.tags();
    out
}
