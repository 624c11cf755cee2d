//! SyncGroup: the leader brings who reads what; members wait for it.

use bytes::Bytes;
use millstream_group::{Assigned, Seat};

use super::held;
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::wire::{DecodeError, Writer};

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let version = request.version;
    let fields = &mut request.fields;
    let group = fields.string()?;
    let (generation, member) = (fields.i32()?, fields.string()?);
    let instance = if version >= 3 { fields.nullable_string()? } else { None };
    if version >= 5 {
        // Protocol type and name: those of the generation, which is checked.
        fields.nullable_string()?;
        fields.nullable_string()?;
    }
    let assignments = fields.array(|fields| {
        // Kept longer than the request, whose bytes a slice would keep too.
        let given = (fields.string()?, Bytes::copy_from_slice(&fields.bytes()?));
        fields.tags()?;
        Ok(given)
    })?;
    let seat = Seat { member, instance, generation };
    Ok(held(async move {
        let assigned = kafka.groups.sync(&session.group(&group), &seat, assignments).await;
        let error = assigned.as_ref().err().map_or(ErrorCode::None, ErrorCode::from);
        let assigned = assigned.ok();
        request.held(&kafka, |out| answer(out, version, error, assigned.as_ref())).await
    }))
}

fn answer(out: &mut Writer, version: i16, error: ErrorCode, assigned: Option<&Assigned>) {
    if version >= 1 {
        out.i32(0);
    }
    out.i16(error.wire());
    if version >= 5 {
        out.nullable_string(assigned.map(|assigned| assigned.protocol_type.as_str()));
        out.nullable_string(assigned.map(|assigned| assigned.protocol.as_str()));
    }
    out.bytes(assigned.map(|assigned| &assigned.assignment[..]).unwrap_or_default());
    out.tags();
}
