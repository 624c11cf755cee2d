//! CreatePartitions: a topic gets more partitions.

use millstream_namespace::Right;
use millstream_namespace::name::stream_of;

use super::later;
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::topic;
use crate::wire::{DecodeError, Reader};

struct Wanted {
    name: String,
    count: i32,
    assigned: bool,
}

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let fields = &mut request.fields;
    let topics = fields.array(|fields| {
        let (name, count) = (fields.string()?, fields.i32()?);
        let assigned = fields.nullable_array(|fields| {
            fields.array(Reader::i32)?;
            fields.tags()
        })?;
        fields.tags()?;
        Ok(Wanted { name, count, assigned: assigned.is_some_and(|assigned| !assigned.is_empty()) })
    })?;
    fields.i32()?;
    let only_check = fields.bool()?;
    Ok(later(async move {
        let mut made = Vec::with_capacity(topics.len());
        for wanted in topics {
            let refused = grow(&kafka, &session, &wanted, only_check).await.err();
            made.push((wanted.name, refused));
        }
        let mut out = request.answer();
        out.i32(0);
        out.array(&made, |out, (name, refused)| {
            out.string(name);
            out.i16(refused.as_ref().map_or(ErrorCode::None, |(error, _)| *error).wire());
            out.nullable_string(refused.as_ref().map(|(_, text)| text.as_str()));
            out.tags();
        });
        out.tags();
        out
    }))
}

async fn grow(kafka: &Kafka, session: &Session, wanted: &Wanted, only_check: bool) -> Result<(), (ErrorCode, String)> {
    let found = topic::find(kafka, session, Right::Manage, &wanted.name);
    let stream = found.map_err(|error| (error, format!("topic `{}` cannot be changed", wanted.name)))?;
    if wanted.assigned {
        let text = "there is one broker: partitions are not assigned to brokers";
        return Err((ErrorCode::InvalidReplicaAssignment, text.to_owned()));
    }
    let there = stream.numbers() as usize;
    let count = usize::try_from(wanted.count).ok().filter(|count| *count > there).ok_or_else(|| {
        (ErrorCode::InvalidPartitions, format!("expected more than {there} partitions, found {}", wanted.count))
    })?;
    if only_check {
        return Ok(());
    }
    let name = stream_of(&session.namespace, &wanted.name);
    let grown = kafka.streams.add_shards(&name, u32::try_from(count).unwrap_or(u32::MAX)).await;
    grown.map_err(|error| (ErrorCode::from(&error), error.to_string()))
}
