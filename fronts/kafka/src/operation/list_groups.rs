//! ListGroups: the groups of the client's namespace.

use millstream_group::Listed;

use super::describe_groups::state;
use super::held;
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::wire::{DecodeError, Reader, Writer};

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let version = request.version;
    let states = if version >= 4 { request.fields.array(Reader::string)? } else { Vec::new() };
    Ok(held(async move {
        let wanted = |listed: &Listed| {
            states.is_empty() || states.iter().any(|wanted| wanted.eq_ignore_ascii_case(state(listed.phase)))
        };
        let may = session.may_read_something(&kafka);
        let groups = if may { kafka.groups.list(&session.namespace) } else { Vec::new() };
        let groups: Vec<Listed> = groups.into_iter().filter(wanted).collect();
        request.held(&kafka, |out| answer(out, version, &groups)).await
    }))
}

fn answer(out: &mut Writer, version: i16, groups: &[Listed]) {
    if version >= 1 {
        out.i32(0);
    }
    out.i16(ErrorCode::None.wire());
    out.array(groups, |out, listed| {
        out.string(&listed.name);
        out.string(&listed.protocol_type);
        if version >= 4 {
            out.string(state(listed.phase));
        }
        out.tags();
    });
    out.tags();
}
