//! Frames: how a stream of bytes is cut (part 2.3), and what the frames of the security layer say (part 5.3).

use bytes::{BufMut as _, Bytes, BytesMut};

use crate::codec::decode::Reader;
use crate::codec::fields::{FieldReader, FieldWriter};
use crate::codec::performative::{Performative, descriptor};
use crate::codec::{Array, Text, Value};
use crate::condition;
use crate::error::{AmqpError, DecodeError};

/// Bytes of a frame's head.
pub const HEAD_BYTES: usize = 8;
/// The smallest frame that every peer takes, in bytes.
pub const FRAME_BYTES_MIN: u32 = 512;
/// The first eight bytes of either direction: plain AMQP.
pub const AMQP_HEADER: [u8; 8] = *b"AMQP\x00\x01\x00\x00";
/// The first eight bytes of either direction: the security layer.
pub const SASL_HEADER: [u8; 8] = *b"AMQP\x03\x01\x00\x00";

/// What a frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The connection and its sessions.
    Amqp,
    /// The security layer.
    Sasl,
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it belongs to.
    pub kind: Kind,
    /// The session's channel.
    pub channel: u16,
    /// What is behind the head; empty in a frame that only says that the peer is there.
    pub body: Bytes,
}

/// Takes the first frame off what came; `None` when it is not whole yet.
///
/// # Errors
/// Sizes that cannot be, an unknown kind, more than `bytes_max`.
pub fn take(input: &mut BytesMut, bytes_max: u32) -> Result<Option<Frame>, AmqpError> {
    let Some(&[a, b, c, d, offset, kind, high, low]) = input.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
    let size = u32::from_be_bytes([a, b, c, d]);
    let offset = usize::from(offset) * 4;
    if size > bytes_max {
        let text = format!("expected frames of at most {bytes_max} bytes, found {size}");
        return Err(AmqpError::new(condition::FRAMING_ERROR, text));
    }
    let size = size as usize;
    if offset < HEAD_BYTES || offset > size {
        let text = format!("expected a data offset of 8 to {size} bytes, found {offset}");
        return Err(AmqpError::new(condition::FRAMING_ERROR, text));
    }
    let kind = match kind {
        0 => Kind::Amqp,
        1 => Kind::Sasl,
        other => return Err(AmqpError::new(condition::FRAMING_ERROR, format!("no frame has the type {other}"))),
    };
    if input.len() < size {
        return Ok(None);
    }
    let body = input.split_to(size).freeze().slice(offset..);
    Ok(Some(Frame { kind, channel: u16::from_be_bytes([high, low]), body }))
}

/// Writes a frame with what `body` writes.
pub fn put(out: &mut BytesMut, kind: Kind, channel: u16, body: impl FnOnce(&mut BytesMut)) {
    let start = out.len();
    out.put_u32(0);
    out.put_slice(&[2, if kind == Kind::Sasl { 1 } else { 0 }]);
    out.put_u16(channel);
    body(out);
    let size = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

/// Writes a frame of the connection.
pub fn put_performative(out: &mut BytesMut, channel: u16, performative: &Performative) {
    put(out, Kind::Amqp, channel, |out| performative.encode(out));
}

/// Writes the mechanisms that a client may choose from.
pub fn put_mechanisms(out: &mut BytesMut, mechanisms: &[&'static str]) {
    let names = Array::symbols(mechanisms.iter().copied().map(Text::from));
    put(out, Kind::Sasl, 0, |out| FieldWriter::begin(out, 0x40).value(&Value::Array(names)).end());
}

/// Writes the outcome of the security layer: code 0 is success, 1 a refusal.
pub fn put_outcome(out: &mut BytesMut, code: u8, data: Option<&[u8]>) {
    put(out, Kind::Sasl, 0, |out| FieldWriter::begin(out, 0x44).ubyte(Some(code)).binary(data).end());
}

/// The client's choice of a mechanism.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaslInit {
    /// The mechanism.
    pub mechanism: Text,
    /// What the mechanism begins with; empty without.
    pub response: Bytes,
}

impl SaslInit {
    /// From a frame's body.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(body: Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        match descriptor(&mut reader, "a choice of a mechanism")? {
            0x41 => {
                let mut fields = FieldReader::of(&mut reader)?;
                Ok(Self {
                    mechanism: fields.symbol("mechanism")?.ok_or(DecodeError::Missing("mechanism"))?,
                    response: fields.binary("initial-response")?.unwrap_or_default(),
                })
            }
            other => {
                Err(DecodeError::Descriptor { expected: "a choice of a mechanism", found: format!("0x{other:x}") })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_piece_by_piece() {
        let mut bytes = BytesMut::new();
        put_performative(&mut bytes, 3, &Performative::End(None));
        put(&mut bytes, Kind::Amqp, 0, |_| {});
        let mut input = BytesMut::new();
        let mut frames = Vec::new();
        for byte in bytes {
            input.put_u8(byte);
            frames.extend(take(&mut input, 512).unwrap());
        }
        assert_eq!(frames.iter().map(|frame| (frame.channel, frame.body.len())).collect::<Vec<_>>(), [(3, 7), (0, 0)]);
    }

    #[test]
    fn heads_that_cannot_be_are_refused_before_their_bytes_come() {
        for head in [
            [0, 0, 0, 7, 2, 0, 0, 0],
            [0, 0, 0, 9, 1, 0, 0, 0],
            [0, 0, 0, 9, 3, 0, 0, 0],
            [0, 0, 0, 9, 2, 2, 0, 0],
            [0x7f, 0xff, 0xff, 0xff, 2, 0, 0, 0],
        ] {
            let error = take(&mut BytesMut::from(&head[..]), 65_536).unwrap_err();
            assert_eq!(error.condition, condition::FRAMING_ERROR);
        }
    }
}
