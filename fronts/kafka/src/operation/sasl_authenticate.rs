//! SaslAuthenticate: who the client is.

use crate::connection::Request;
use crate::error::ErrorCode;
use crate::sasl;
use crate::service::Kafka;
use crate::session::Session;
use crate::wire::{DecodeError, Writer};

pub fn answer(kafka: &Kafka, session: &mut Session, mut request: Request) -> Result<Writer, DecodeError> {
    let message = request.fields.bytes()?;
    let refused = sasl::authenticate(kafka, session, &message).err();
    let mut out = request.answer();
    let error = if refused.is_some() { ErrorCode::SaslAuthenticationFailed } else { ErrorCode::None };
    out.i16(error.wire());
    out.nullable_string(refused.as_deref());
    out.bytes(&[]);
    if request.version >= 1 {
        // The session does not end.
        out.i64(0);
    }
    out.tags();
    Ok(out)
}
