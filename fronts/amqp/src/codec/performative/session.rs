//! Begin: a session's numbers and windows (part 2.7.2).

use bytes::BytesMut;

use crate::codec::fields::{FieldReader, FieldWriter};
use crate::error::DecodeError;

/// Begin. Capabilities and properties are passed over when read and null when written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begin {
    /// In an answer: the channel of the session that is answered.
    pub remote_channel: Option<u16>,
    /// The number of the first transfer that this side will send.
    pub next_outgoing_id: u32,
    /// Transfers that this side takes now.
    pub incoming_window: u32,
    /// Transfers that this side can send now.
    pub outgoing_window: u32,
    /// The highest handle of a link.
    pub handle_max: u32,
}

impl Begin {
    pub(super) fn read(fields: &mut FieldReader) -> Result<Self, DecodeError> {
        Ok(Self {
            remote_channel: fields.ushort("remote-channel")?,
            next_outgoing_id: fields.uint("next-outgoing-id")?.ok_or(DecodeError::Missing("next-outgoing-id"))?,
            incoming_window: fields.uint("incoming-window")?.ok_or(DecodeError::Missing("incoming-window"))?,
            outgoing_window: fields.uint("outgoing-window")?.ok_or(DecodeError::Missing("outgoing-window"))?,
            handle_max: fields.uint("handle-max")?.unwrap_or(u32::MAX),
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        FieldWriter::begin(out, 0x11)
            .ushort(self.remote_channel)
            .uint(Some(self.next_outgoing_id))
            .uint(Some(self.incoming_window))
            .uint(Some(self.outgoing_window))
            .uint(Some(self.handle_max))
            .nulls(3)
            .end();
    }
}
