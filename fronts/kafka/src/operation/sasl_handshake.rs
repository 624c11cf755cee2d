//! SaslHandshake: which mechanisms there are.

use crate::connection::Request;
use crate::error::ErrorCode;
use crate::sasl::PLAIN;
use crate::wire::{DecodeError, Writer};

pub fn answer(mut request: Request) -> Result<Writer, DecodeError> {
    let known = request.fields.string()? == PLAIN;
    let mut out = request.answer();
    out.i16(if known { ErrorCode::None } else { ErrorCode::UnsupportedSaslMechanism }.wire());
    out.array(&[PLAIN], |out, name| out.string(name));
    Ok(out)
}
