//! DescribeGroups: groups with their members.

use millstream_group::{Description, Phase};

use super::{NO_OPERATIONS, later};
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::wire::{DecodeError, Reader};

/// What the protocol calls a group's phase.
pub fn state(phase: Phase) -> &'static str {
    match phase {
        Phase::Empty => "Empty",
        Phase::Joining => "PreparingRebalance",
        Phase::Syncing => "CompletingRebalance",
        Phase::Stable => "Stable",
    }
}

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let version = request.version;
    let names = request.fields.array(Reader::string)?;
    Ok(later(async move {
        let may = session.may_read_something(&kafka);
        let describe = |name: String| {
            let described = if may { kafka.groups.describe(&session.group(&name)) } else { None };
            (name, described)
        };
        let groups: Vec<(String, Option<Description>)> = names.into_iter().map(describe).collect();
        let mut out = request.answer();
        if version >= 1 {
            out.i32(0);
        }
        out.array(&groups, |out, (name, group)| {
            out.i16(if may { ErrorCode::None } else { ErrorCode::GroupAuthorizationFailed }.wire());
            out.string(name);
            out.string(group.as_ref().map_or("Dead", |group| state(group.phase)));
            out.string(group.as_ref().map_or("", |group| group.protocol_type.as_str()));
            out.string(group.as_ref().map_or("", |group| group.protocol.as_str()));
            out.array(group.as_ref().map_or(&[][..], |group| &group.members), |out, member| {
                out.string(&member.id);
                if version >= 4 {
                    out.nullable_string(member.instance.as_deref());
                }
                out.string(&member.client);
                out.string(&member.host);
                out.bytes(&member.metadata);
                out.bytes(&member.assignment);
                out.tags();
            });
            if version >= 3 {
                out.i32(NO_OPERATIONS);
            }
            out.tags();
        });
        out.tags();
        out
    }))
}
