//! Messages of an event stream (`application/vnd.amazon.eventstream`): a frame with headers, a payload and two checksums. Pure.
//!
//! Source: the AWS event stream encoding of Smithy.

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, checksum};

/// Bytes of the two lengths and their checksum, and of the checksum at the end.
const FRAME_BYTES: usize = 16;
/// The type of a header that is a text.
const TEXT: u8 = 7;

/// A message with headers that are texts.
pub(super) fn message(headers: &[(&str, &str)], payload: &[u8]) -> Bytes {
    let headers_bytes: usize = headers.iter().map(|(name, value)| 4 + name.len() + value.len()).sum();
    let total = FRAME_BYTES + headers_bytes + payload.len();
    let mut message = Vec::with_capacity(total);
    message.extend_from_slice(&(total as u32).to_be_bytes());
    message.extend_from_slice(&(headers_bytes as u32).to_be_bytes());
    put_checksum(&mut message);
    for (name, value) in headers {
        message.push(name.len() as u8);
        message.extend_from_slice(name.as_bytes());
        message.push(TEXT);
        message.extend_from_slice(&(value.len() as u16).to_be_bytes());
        message.extend_from_slice(value.as_bytes());
    }
    message.extend_from_slice(payload);
    put_checksum(&mut message);
    Bytes::from(message)
}

/// An event.
pub(super) fn event(kind: &str, content_type: &str, payload: &[u8]) -> Bytes {
    message(&[(":message-type", "event"), (":event-type", kind), (":content-type", content_type)], payload)
}

/// An error that ends the stream.
pub(super) fn exception(code: &str, content_type: &str, payload: &[u8]) -> Bytes {
    message(&[(":message-type", "exception"), (":exception-type", code), (":content-type", content_type)], payload)
}

/// Adds the checksum of all that is there.
fn put_checksum(message: &mut Vec<u8>) {
    // The sum has 32 bits.
    let sum = checksum(CrcAlgorithm::Crc32IsoHdlc, message) as u32;
    message.extend_from_slice(&sum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_framed_as_the_encoding_says() {
        // The encoding's own examples: an empty message, and one with a header and a payload.
        assert_eq!(hex::encode(message(&[], b"")), "000000100000000005c248eb7d98c8ff");
        let json = message(&[("content-type", "application/json")], b"{'foo':'bar'}");
        assert_eq!(&hex::encode(&json)[..24], "0000003d0000002007fd8396");
        assert_eq!(&hex::encode(&json)[json.len() * 2 - 8..], "8d9c08b1");
        assert_eq!(json.len(), 61);
    }
}
