//! LeaveGroup: members go.

use super::later;
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::wire::DecodeError;

struct Leaving {
    member: String,
    instance: Option<String>,
}

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let version = request.version;
    let fields = &mut request.fields;
    let group = fields.string()?;
    let leaving = if version < 3 {
        vec![Leaving { member: fields.string()?, instance: None }]
    } else {
        fields.array(|fields| {
            let leaving = Leaving { member: fields.string()?, instance: fields.nullable_string()? };
            if version >= 5 {
                fields.nullable_string()?;
            }
            fields.tags()?;
            Ok(leaving)
        })?
    };
    Ok(later(async move {
        let group = session.group(&group);
        let left = leaving.into_iter().map(|leaving| {
            // A fixed name can be guessed.
            let error = match session.may_read_something(&kafka) {
                false => ErrorCode::GroupAuthorizationFailed,
                true => {
                    let left = kafka.groups.leave(&group, &leaving.member, leaving.instance.as_deref());
                    left.err().as_ref().map_or(ErrorCode::None, ErrorCode::from)
                }
            };
            (leaving, error)
        });
        let left: Vec<(Leaving, ErrorCode)> = left.collect();
        let mut out = request.answer();
        if version >= 1 {
            out.i32(0);
        }
        let only = left.first().map_or(ErrorCode::None, |(_, error)| *error);
        out.i16(if version < 3 { only } else { ErrorCode::None }.wire());
        if version >= 3 {
            out.array(&left, |out, (leaving, error)| {
                out.string(&leaving.member);
                out.nullable_string(leaving.instance.as_deref());
                out.i16(error.wire());
                out.tags();
            });
        }
        out.tags();
        out
    }))
}
