//! FindCoordinator: who keeps a group. Transactions have no coordinator here.

use super::{NODE, later};
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::session::Session;
use crate::wire::{DecodeError, Reader};

const OF_GROUP: i8 = 0;

pub fn begin(kafka: Kafka, session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let version = request.version;
    let fields = &mut request.fields;
    let mut keys = if version < 4 { vec![fields.string()?] } else { Vec::new() };
    let kind = if version >= 1 { fields.i8()? } else { OF_GROUP };
    if version >= 4 {
        keys = fields.array(Reader::string)?;
        keys.sort();
        keys.dedup();
    }
    Ok(later(async move {
        let (error, message) = match kind {
            OF_GROUP if session.may_read_something(&kafka) => (ErrorCode::None, None),
            OF_GROUP => (ErrorCode::GroupAuthorizationFailed, Some("the right to read is missing")),
            _ => (ErrorCode::TransactionalIdAuthorizationFailed, Some("transactions are not supported")),
        };
        let (host, port) = match error {
            ErrorCode::None => (session.own.0.as_str(), i32::from(session.own.1)),
            _ => ("", -1),
        };
        let node = if error == ErrorCode::None { NODE } else { -1 };
        let mut out = request.answer();
        if version >= 1 {
            out.i32(0);
        }
        if version < 4 {
            out.i16(error.wire());
            if version >= 1 {
                out.nullable_string(message);
            }
            out.i32(node);
            out.string(host);
            out.i32(port);
        } else {
            out.array(&keys, |out, key| {
                out.string(key);
                out.i32(node);
                out.string(host);
                out.i32(port);
                out.i16(error.wire());
                out.nullable_string(message);
                out.tags();
            });
        }
        out.tags();
        out
    }))
}
