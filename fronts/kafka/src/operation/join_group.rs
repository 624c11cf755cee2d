//! JoinGroup: a consumer becomes a member; the answer waits until all members have come together.

use bytes::Bytes;
use millstream_group::{GroupError, Join, Joined};

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
    let session_ms = fields.i32()?;
    let rebalance_ms = if version >= 1 { fields.i32()? } else { session_ms };
    let member = fields.string()?;
    let instance = if version >= 5 { fields.nullable_string()? } else { None };
    let protocol_type = fields.string()?;
    let protocols = fields.array(|fields| {
        // Kept longer than the request, whose bytes a slice would keep too.
        let protocol = (fields.string()?, Bytes::copy_from_slice(&fields.bytes()?));
        fields.tags()?;
        Ok(protocol)
    })?;
    let join = Join {
        member,
        instance,
        client: request.client.clone(),
        host: format!("/{}", session.host),
        session_ms,
        rebalance_ms,
        protocol_type,
        protocols,
        takes_id_first: version >= 4,
        takes_lead_of_given: version >= 9,
    };
    Ok(held(async move {
        let joined = match session.may_read_something(&kafka) {
            true => kafka.groups.join(&session.group(&group), &join).await.map_err(|error| {
                let member = match &error {
                    GroupError::MemberIdRequired { member } => member.clone(),
                    _ => join.member.clone(),
                };
                (ErrorCode::from(&error), member)
            }),
            false => Err((ErrorCode::GroupAuthorizationFailed, join.member.clone())),
        };
        let (error, joined) = match joined {
            Ok(joined) => (ErrorCode::None, joined),
            Err((error, member)) => (error, nobody(member)),
        };
        request.held(&kafka, |out| answer(out, version, error, &joined)).await
    }))
}

/// What an answer holds beside an error.
fn nobody(member: String) -> Joined {
    Joined {
        generation: -1,
        protocol_type: String::new(),
        protocol: String::new(),
        leader: String::new(),
        member,
        members: Vec::new(),
        is_given: false,
    }
}

fn answer(out: &mut Writer, version: i16, error: ErrorCode, joined: &Joined) {
    if version >= 2 {
        out.i32(0);
    }
    out.i16(error.wire());
    out.i32(joined.generation);
    if version >= 7 {
        out.nullable_string(Some(&joined.protocol_type).filter(|name| !name.is_empty()).map(String::as_str));
        out.nullable_string(Some(&joined.protocol).filter(|name| !name.is_empty()).map(String::as_str));
    } else {
        out.string(&joined.protocol);
    }
    out.string(&joined.leader);
    if version >= 9 {
        out.bool(joined.is_given);
    }
    out.string(&joined.member);
    out.array(&joined.members, |out, member| {
        out.string(&member.id);
        if version >= 5 {
            out.nullable_string(member.instance.as_deref());
        }
        out.bytes(&member.metadata);
        out.tags();
    });
    out.tags();
}
