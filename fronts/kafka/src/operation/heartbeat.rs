//! Heartbeat: a member says that it is there.

use millstream_group::Seat;

use super::later;
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::wire::DecodeError;

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let version = request.version;
    let fields = &mut request.fields;
    let group = fields.string()?;
    let (generation, member) = (fields.i32()?, fields.string()?);
    let instance = if version >= 3 { fields.nullable_string()? } else { None };
    Ok(later(async move {
        let beat = kafka.groups.heartbeat(&session.group(&group), &Seat { member, instance, generation });
        let mut out = request.answer();
        if version >= 1 {
            out.i32(0);
        }
        out.i16(beat.err().as_ref().map_or(ErrorCode::None, ErrorCode::from).wire());
        out.tags();
        out
    }))
}
