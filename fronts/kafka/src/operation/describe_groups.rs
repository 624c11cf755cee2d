//! DescribeGroups: groups with their members.

use std::collections::BTreeSet;

use millstream_group::{Description, Phase};

use super::{GROUPS_BYTES_MAX, NO_OPERATIONS, held};
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::wire::{DecodeError, Reader, Writer};

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
    let names: BTreeSet<String> = request.fields.array(Reader::string)?.into_iter().collect();
    Ok(held(async move {
        let may = session.may_read_something(&kafka);
        let mut room = GROUPS_BYTES_MAX;
        let describe = |name: String| {
            let described = match may {
                false => Err(ErrorCode::GroupAuthorizationFailed),
                true => within(&mut room, kafka.groups.describe(&session.group(&name))),
            };
            (name, described)
        };
        let groups: Vec<(String, Result<Option<Description>, ErrorCode>)> = names.into_iter().map(describe).collect();
        request.held(&kafka, |out| answer(out, version, &groups)).await
    }))
}

/// A group's description, if there is room for it.
fn within(room: &mut usize, description: Option<Description>) -> Result<Option<Description>, ErrorCode> {
    let Some(description) = description else { return Ok(None) };
    let said = description.members.iter().map(|member| member.metadata.len() + member.assignment.len());
    *room = room.checked_sub(said.sum()).ok_or(ErrorCode::MessageTooLarge)?;
    Ok(Some(description))
}

fn answer(out: &mut Writer, version: i16, groups: &[(String, Result<Option<Description>, ErrorCode>)]) {
    if version >= 1 {
        out.i32(0);
    }
    out.array(groups, |out, (name, group)| {
        let error = group.as_ref().err().copied().unwrap_or(ErrorCode::None);
        let group = group.as_ref().ok().and_then(Option::as_ref);
        out.i16(error.wire());
        out.string(name);
        out.string(group.map_or("Dead", |group| state(group.phase)));
        out.string(group.map_or("", |group| group.protocol_type.as_str()));
        out.string(group.map_or("", |group| group.protocol.as_str()));
        out.array(group.map_or(&[][..], |group| &group.members), |out, member| {
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
}
