//! InitProducerId: an id for a producer that numbers its batches. Transactions are refused.

use super::later;
use crate::connection::{Answer, Request};
use crate::error::ErrorCode;
use crate::service::Kafka;
use crate::wire::DecodeError;

pub fn begin(kafka: Kafka, mut request: Request) -> Result<Answer, DecodeError> {
    let fields = &mut request.fields;
    let transactional = fields.nullable_string()?.is_some();
    fields.i32()?;
    // The id and the epoch that a producer had before: it gets another id, under which nothing of it is known.
    if request.version >= 3 {
        fields.i64()?;
        fields.i16()?;
    }
    Ok(later(async move {
        let id = match transactional {
            true => Err(ErrorCode::TransactionalIdAuthorizationFailed),
            false => kafka.catalog.next_id().await.map_err(|_| ErrorCode::CoordinatorNotAvailable),
        };
        let mut out = request.answer();
        out.i32(0);
        out.i16(id.err().unwrap_or(ErrorCode::None).wire());
        out.i64(id.map_or(-1, u64::cast_signed));
        out.i16(if id.is_ok() { 0 } else { -1 });
        out.tags();
        out
    }))
}
