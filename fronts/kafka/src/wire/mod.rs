//! The protocol's primitive types, in both encodings: the first one and the compact ("flexible") one of later versions.
//! Pure; nothing that a peer sends makes it panic or take memory that the request does not pay for.
//!
//! Source: the protocol guide, "Protocol Primitive Types", and KIP-482 (compact types and tagged fields).

mod pieces;
mod reader;
mod writer;

pub use pieces::Pieces;
pub use reader::{DecodeError, Reader};
pub use writer::{Writer, put_varint, varint_bytes};
