//! DescribeCluster: the broker.

use super::{CLUSTER, NO_OPERATIONS, NODE, later};
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::session::Session;
use crate::wire::DecodeError;

/// The only kind of endpoint there is: brokers.
const BROKERS: i8 = 1;

pub fn begin(session: Session, mut request: Request) -> Result<Answer, DecodeError> {
    let version = request.version;
    request.fields.bool()?;
    let kind = if version >= 1 { request.fields.i8()? } else { BROKERS };
    Ok(later(async move {
        let error = if kind == BROKERS { ErrorCode::None } else { ErrorCode::InvalidRequest };
        let mut out = request.answer();
        out.i32(0);
        out.i16(error.wire());
        out.nullable_string(None);
        if version >= 1 {
            out.i8(BROKERS);
        }
        out.string(CLUSTER);
        out.i32(NODE);
        out.array(&[&session.own], |out, (host, port)| {
            out.i32(NODE);
            out.string(host);
            out.i32(i32::from(*port));
            out.nullable_string(None);
            out.tags();
        });
        out.i32(NO_OPERATIONS);
        out.tags();
        out
    }))
}
