//! Open: what a connection's ends agree on (part 2.7.1).

use bytes::BytesMut;

use crate::codec::Text;
use crate::codec::fields::{FieldReader, FieldWriter};
use crate::error::DecodeError;

/// Open. Locales, capabilities and properties are passed over when read and null when written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Who opens.
    pub container_id: Text,
    /// Whom the client means to speak to.
    pub hostname: Option<Text>,
    /// Bytes of the largest frame that this side takes.
    pub max_frame_size: u32,
    /// The highest channel number.
    pub channel_max: u16,
    /// Milliseconds without a frame after which this side gives up; `None`: never.
    pub idle_time_out: Option<u32>,
}

impl Open {
    pub(super) fn read(fields: &mut FieldReader) -> Result<Self, DecodeError> {
        Ok(Self {
            container_id: fields.string("container-id")?.ok_or(DecodeError::Missing("container-id"))?,
            hostname: fields.string("hostname")?,
            max_frame_size: fields.uint("max-frame-size")?.unwrap_or(u32::MAX),
            channel_max: fields.ushort("channel-max")?.unwrap_or(u16::MAX),
            idle_time_out: fields.uint("idle-time-out")?,
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        FieldWriter::begin(out, 0x10)
            .string(Some(self.container_id.as_str()))
            .string(self.hostname.as_ref().map(Text::as_str))
            .uint(Some(self.max_frame_size))
            .ushort(Some(self.channel_max))
            .uint(self.idle_time_out)
            .nulls(5)
            .end();
    }
}
