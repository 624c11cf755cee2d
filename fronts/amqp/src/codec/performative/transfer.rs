//! Transfer and disposition: deliveries and what became of them (part 2.7.5, 2.7.6 and 3.4).

use bytes::{BufMut as _, Bytes, BytesMut};

use super::link::Role;
use super::{descriptor, encoded_error, read_error};
use crate::codec::decode::Reader;
use crate::codec::fields::{FieldReader, FieldWriter};
use crate::error::{AmqpError, DecodeError};

/// Transfer: a piece of a delivery. The state and the resumption of a delivery are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transfer {
    /// The link.
    pub handle: u32,
    /// The delivery's number in the session; may be left out behind the first piece.
    pub delivery_id: Option<u32>,
    /// The delivery's name on the link; may be left out behind the first piece.
    pub delivery_tag: Option<Bytes>,
    /// What the payload is; 0 is the standard's message.
    pub message_format: Option<u32>,
    /// Whether the sender waits for no outcome.
    pub settled: Option<bool>,
    /// Whether further pieces follow.
    pub more: bool,
    /// Which settlement the sender waits for.
    pub rcv_settle_mode: Option<u8>,
    /// Whether an earlier delivery is taken up again.
    pub resume: bool,
    /// Whether the delivery is given up: what came of it is void.
    pub aborted: bool,
    /// Whether the outcome may wait for others.
    pub batchable: bool,
}

impl Transfer {
    pub(super) fn read(fields: &mut FieldReader) -> Result<Self, DecodeError> {
        let transfer = Self {
            handle: fields.uint("handle")?.ok_or(DecodeError::Missing("handle"))?,
            delivery_id: fields.uint("delivery-id")?,
            delivery_tag: fields.binary("delivery-tag")?,
            message_format: fields.uint("message-format")?,
            settled: fields.boolean("settled")?,
            more: fields.boolean("more")?.unwrap_or(false),
            rcv_settle_mode: fields.ubyte("rcv-settle-mode")?,
            ..Self::default()
        };
        fields.skip(1)?;
        Ok(Self {
            resume: fields.boolean("resume")?.unwrap_or(false),
            aborted: fields.boolean("aborted")?.unwrap_or(false),
            batchable: fields.boolean("batchable")?.unwrap_or(false),
            ..transfer
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        let mut fields = FieldWriter::begin(out, 0x14);
        fields
            .uint(Some(self.handle))
            .uint(self.delivery_id)
            .binary(self.delivery_tag.as_deref())
            .uint(self.message_format);
        match self.settled {
            Some(settled) => fields.boolean(settled),
            None => fields.nulls(1),
        };
        fields
            .boolean(self.more)
            .ubyte(self.rcv_settle_mode)
            .nulls(1)
            .boolean(self.resume)
            .boolean(self.aborted)
            .boolean(self.batchable)
            .end();
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryState {
    /// It was taken.
    Accepted,
    /// It was refused.
    Rejected(Option<AmqpError>),
    /// It was not looked at: it may be sent elsewhere.
    Released,
    /// As released, with changes that are passed over.
    Modified,
    /// Part of it came.
    Received,
}

impl DeliveryState {
    fn read(fields: &mut FieldReader) -> Result<Option<Self>, DecodeError> {
        let Some(raw) = fields.raw()? else { return Ok(None) };
        let mut reader = Reader::new(raw);
        Ok(Some(match descriptor(&mut reader, "a delivery's state")? {
            0x23 => Self::Received,
            0x24 => Self::Accepted,
            0x25 => Self::Rejected(read_error(&mut FieldReader::of(&mut reader)?)?),
            0x26 => Self::Released,
            0x27 => Self::Modified,
            other => {
                return Err(DecodeError::Descriptor { expected: "a delivery's state", found: format!("0x{other:x}") });
            }
        }))
    }

    fn encoded(&self) -> BytesMut {
        let mut out = BytesMut::new();
        match self {
            // The standard's list of no fields, in the form that has room for a number of them.
            Self::Accepted => out.put_slice(&[0, 0x53, 0x24, 0xc0, 1, 0]),
            Self::Released => out.put_slice(&[0, 0x53, 0x26, 0xc0, 1, 0]),
            Self::Rejected(error) => {
                FieldWriter::begin(&mut out, 0x25).raw(encoded_error(error.as_ref()).as_deref()).end();
            }
            Self::Modified => FieldWriter::begin(&mut out, 0x27).nulls(3).end(),
            Self::Received => FieldWriter::begin(&mut out, 0x23).uint(Some(0)).ulong(Some(0)).end(),
        }
        out
    }
}

/// Disposition: what became of a run of deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disposition {
    /// The writer's role.
    pub role: Role,
    /// The first delivery.
    pub first: u32,
    /// The last one; `None`: the first.
    pub last: Option<u32>,
    /// Whether nothing more will be said about them.
    pub settled: bool,
    /// The outcome.
    pub state: Option<DeliveryState>,
    /// Whether it may wait for others.
    pub batchable: bool,
}

impl Disposition {
    pub(super) fn read(fields: &mut FieldReader) -> Result<Self, DecodeError> {
        Ok(Self {
            role: Role::read(fields)?,
            first: fields.uint("first")?.ok_or(DecodeError::Missing("first"))?,
            last: fields.uint("last")?,
            settled: fields.boolean("settled")?.unwrap_or(false),
            state: DeliveryState::read(fields)?,
            batchable: fields.boolean("batchable")?.unwrap_or(false),
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        FieldWriter::begin(out, 0x15)
            .boolean(self.role.is_receiver())
            .uint(Some(self.first))
            .uint(self.last)
            .boolean(self.settled)
            .raw(self.state.as_ref().map(DeliveryState::encoded).as_deref())
            .boolean(self.batchable)
            .end();
    }
}
