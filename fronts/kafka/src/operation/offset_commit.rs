//! OffsetCommit: how far a group has read.

use millstream_group::Seat;
use millstream_namespace::Right;

use super::later;
use super::of_topic::OfTopic;
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::topic;
use crate::wire::DecodeError;

struct Wanted {
    index: i32,
    offset: i64,
    metadata: String,
}

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let version = request.version;
    let fields = &mut request.fields;
    let group = fields.string()?;
    let (generation, member) = (fields.i32()?, fields.string()?);
    let instance = if version >= 7 { fields.nullable_string()? } else { None };
    if version <= 4 {
        // How long the offsets are to be kept: the group engine's own time holds for all.
        fields.i64()?;
    }
    let topics = OfTopic::read(fields, |fields| {
        let (index, offset) = (fields.i32()?, fields.i64()?);
        if version >= 6 {
            fields.i32()?;
        }
        Ok(Wanted { index, offset, metadata: fields.nullable_string()?.unwrap_or_default() })
    })?;
    let seat = Seat { member, instance, generation };
    Ok(later(async move {
        let mut offsets = Vec::new();
        let mut check = |OfTopic { name, partitions }: OfTopic<Wanted>| {
            let stream = topic::find(&kafka, &session, Right::Listen, &name);
            let mut one = |wanted: Wanted| {
                let log = stream.clone().and_then(|stream| topic::partition(&stream, wanted.index));
                let offset = u64::try_from(wanted.offset).map_err(|_| ErrorCode::OffsetOutOfRange);
                let good = log.and_then(|log| Ok((log, offset?, wanted.metadata)));
                (wanted.index, good.map(|good| offsets.push(good)).err())
            };
            OfTopic { name, partitions: partitions.into_iter().map(&mut one).collect::<Vec<_>>() }
        };
        let checked: Vec<OfTopic<(i32, Option<ErrorCode>)>> = topics.into_iter().map(&mut check).collect();
        let of_all = match session.may_read_something(&kafka) {
            false => ErrorCode::GroupAuthorizationFailed,
            true => {
                let kept = kafka.groups.commit(&session.group(&group), &seat, offsets).await;
                kept.err().as_ref().map_or(ErrorCode::None, ErrorCode::from)
            }
        };
        let mut out = request.answer();
        if version >= 3 {
            out.i32(0);
        }
        OfTopic::write(&checked, &mut out, |out, (index, error)| {
            out.i32(*index);
            out.i16(error.unwrap_or(of_all).wire());
        });
        out.tags();
        out
    }))
}
