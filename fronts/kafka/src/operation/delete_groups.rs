//! DeleteGroups: groups without members and their offsets go.

use std::collections::BTreeSet;

use super::later;
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::wire::{DecodeError, Reader};

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let names: BTreeSet<String> = request.fields.array(Reader::string)?.into_iter().collect();
    Ok(later(async move {
        let mut deleted = Vec::with_capacity(names.len());
        for name in names {
            let error = match session.may_manage_groups(&kafka) {
                false => ErrorCode::GroupAuthorizationFailed,
                true => {
                    let gone = kafka.groups.delete(&session.group(&name)).await;
                    gone.err().as_ref().map_or(ErrorCode::None, ErrorCode::from)
                }
            };
            deleted.push((name, error));
        }
        let mut out = request.answer();
        out.i32(0);
        out.array(&deleted, |out, (name, error)| {
            out.string(name);
            out.i16(error.wire());
            out.tags();
        });
        out.tags();
        out
    }))
}
