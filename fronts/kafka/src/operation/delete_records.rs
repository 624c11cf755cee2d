//! DeleteRecords: a partition's records below an offset go.

use millstream_namespace::Right;

use super::later;
use super::of_topic::OfTopic;
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::topic;
use crate::wire::DecodeError;

/// Stands for the offset behind the last record.
const ALL: i64 = -1;

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let topics = OfTopic::read(&mut request.fields, |fields| Ok((fields.i32()?, fields.i64()?)))?;
    request.fields.i32()?;
    Ok(later(async move {
        let mut done = Vec::with_capacity(topics.len());
        for OfTopic { name, partitions } in topics {
            let mut of_topic = Vec::with_capacity(partitions.len());
            for (index, offset) in partitions {
                of_topic.push((index, delete(&kafka, &session, &name, index, offset).await));
            }
            done.push(OfTopic { name, partitions: of_topic });
        }
        let mut out = request.answer();
        out.i32(0);
        OfTopic::write(&done, &mut out, |out, (index, first)| {
            out.i32(*index);
            out.i64(first.map_or(-1, u64::cast_signed));
            out.i16(first.err().unwrap_or(ErrorCode::None).wire());
        });
        out.tags();
        out
    }))
}

/// The first offset that there is then.
async fn delete(kafka: &Kafka, session: &Session, name: &str, index: i32, offset: i64) -> Result<u64, ErrorCode> {
    let stream = topic::find(kafka, session, Right::Manage, name)?;
    let log = topic::partition(&stream, index)?;
    let bounds = kafka.streams.bounds(log);
    let first = match offset {
        ALL => bounds.next,
        offset => u64::try_from(offset).ok().filter(|at| *at <= bounds.next).ok_or(ErrorCode::OffsetOutOfRange)?,
    };
    if first > bounds.first {
        kafka.streams.trim(log, first).await.map_err(|error| ErrorCode::from(&error))?;
    }
    Ok(first.max(bounds.first))
}
