//! Attach, flow and detach: a link's life and its credit (part 2.7.3, 2.7.4 and 2.7.7).

use bytes::{Bytes, BytesMut};

use super::{encoded_error, read_error};
use crate::codec::fields::{FieldReader, FieldWriter};
use crate::codec::{Array, Text, Value};
use crate::error::{AmqpError, DecodeError};

/// Which end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It sends deliveries.
    Sender,
    /// It takes them.
    Receiver,
}

impl Role {
    pub(super) fn read(fields: &mut FieldReader) -> Result<Self, DecodeError> {
        let receiver = fields.boolean("role")?.ok_or(DecodeError::Missing("role"))?;
        Ok(if receiver { Self::Receiver } else { Self::Sender })
    }

    pub(super) fn is_receiver(self) -> bool {
        self == Self::Receiver
    }

    /// The other end.
    #[must_use]
    pub fn opposite(self) -> Self {
        match self {
            Self::Sender => Self::Receiver,
            Self::Receiver => Self::Sender,
        }
    }
}

/// Attach. Source and target are kept as they came, so that an answer can repeat them to the byte.
#[derive(Debug, Clone, PartialEq)]
pub struct Attach {
    /// The link's name.
    pub name: Text,
    /// The number under which the writer speaks of it.
    pub handle: u32,
    /// The writer's role.
    pub role: Role,
    /// 0 unsettled, 1 settled, 2 mixed.
    pub snd_settle_mode: u8,
    /// 0 first, 1 second.
    pub rcv_settle_mode: u8,
    /// Where deliveries come from, encoded.
    pub source: Option<Bytes>,
    /// Where deliveries go, encoded.
    pub target: Option<Bytes>,
    /// Deliveries of an earlier life of the link, encoded.
    pub unsettled: Option<Bytes>,
    /// Whether that is not all of them.
    pub incomplete_unsettled: bool,
    /// The sender's count of deliveries; `None` from a receiver.
    pub initial_delivery_count: Option<u32>,
    /// Bytes of the largest message; `None` or 0: no limit.
    pub max_message_size: Option<u64>,
    /// What the writer can do.
    pub offered_capabilities: Vec<Text>,
    /// What the writer would like the other end to do.
    pub desired_capabilities: Vec<Text>,
    /// A map of whatever else, or null.
    pub properties: Value,
}

impl Attach {
    pub(super) fn read(fields: &mut FieldReader) -> Result<Self, DecodeError> {
        Ok(Self {
            name: fields.string("name")?.ok_or(DecodeError::Missing("name"))?,
            handle: fields.uint("handle")?.ok_or(DecodeError::Missing("handle"))?,
            role: Role::read(fields)?,
            snd_settle_mode: fields.ubyte("snd-settle-mode")?.unwrap_or(2),
            rcv_settle_mode: fields.ubyte("rcv-settle-mode")?.unwrap_or(0),
            source: fields.raw()?,
            target: fields.raw()?,
            unsettled: fields.raw()?,
            incomplete_unsettled: fields.boolean("incomplete-unsettled")?.unwrap_or(false),
            initial_delivery_count: fields.uint("initial-delivery-count")?,
            max_message_size: fields.ulong("max-message-size")?,
            offered_capabilities: fields.symbols("offered-capabilities")?,
            desired_capabilities: fields.symbols("desired-capabilities")?,
            properties: match fields.value()? {
                properties @ (Value::Null | Value::Map(_)) => properties,
                _ => return Err(DecodeError::Type { expected: "a map", field: "properties" }),
            },
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        FieldWriter::begin(out, 0x12)
            .string(Some(self.name.as_str()))
            .uint(Some(self.handle))
            .boolean(self.role.is_receiver())
            .ubyte(Some(self.snd_settle_mode))
            .ubyte(Some(self.rcv_settle_mode))
            .raw(self.source.as_deref())
            .raw(self.target.as_deref())
            .raw(self.unsettled.as_deref())
            .boolean(self.incomplete_unsettled)
            .uint(self.initial_delivery_count)
            .ulong(self.max_message_size)
            .value(&capabilities(&self.offered_capabilities))
            .value(&capabilities(&self.desired_capabilities))
            .value(&self.properties)
            .end();
    }
}

fn capabilities(symbols: &[Text]) -> Value {
    if symbols.is_empty() { Value::Null } else { Value::Array(Array::symbols(symbols.iter().cloned())) }
}

/// Flow: a session's windows, and a link's credit when it names one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flow {
    /// The transfer that the writer expects next; `None` before it knows.
    pub next_incoming_id: Option<u32>,
    /// Transfers that the writer takes now.
    pub incoming_window: u32,
    /// The transfer that the writer sends next.
    pub next_outgoing_id: u32,
    /// Transfers that the writer can send now.
    pub outgoing_window: u32,
    /// The link.
    pub handle: Option<u32>,
    /// The link's count of deliveries as the writer knows it.
    pub delivery_count: Option<u32>,
    /// Deliveries that the sender may send from that count on.
    pub link_credit: Option<u32>,
    /// Deliveries that wait at the sender.
    pub available: Option<u32>,
    /// The credit is to be used up or given back at once.
    pub drain: bool,
    /// The writer asks for a flow in return.
    pub echo: bool,
}

impl Flow {
    pub(super) fn read(fields: &mut FieldReader) -> Result<Self, DecodeError> {
        Ok(Self {
            next_incoming_id: fields.uint("next-incoming-id")?,
            incoming_window: fields.uint("incoming-window")?.ok_or(DecodeError::Missing("incoming-window"))?,
            next_outgoing_id: fields.uint("next-outgoing-id")?.ok_or(DecodeError::Missing("next-outgoing-id"))?,
            outgoing_window: fields.uint("outgoing-window")?.ok_or(DecodeError::Missing("outgoing-window"))?,
            handle: fields.uint("handle")?,
            delivery_count: fields.uint("delivery-count")?,
            link_credit: fields.uint("link-credit")?,
            available: fields.uint("available")?,
            drain: fields.boolean("drain")?.unwrap_or(false),
            echo: fields.boolean("echo")?.unwrap_or(false),
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        FieldWriter::begin(out, 0x13)
            .uint(self.next_incoming_id)
            .uint(Some(self.incoming_window))
            .uint(Some(self.next_outgoing_id))
            .uint(Some(self.outgoing_window))
            .uint(self.handle)
            .uint(self.delivery_count)
            .uint(self.link_credit)
            .uint(self.available)
            .boolean(self.drain)
            .boolean(self.echo)
            .nulls(1)
            .end();
    }
}

/// Detach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detach {
    /// The link.
    pub handle: u32,
    /// Whether it ends for good.
    pub closed: bool,
    /// Why, when something is wrong.
    pub error: Option<AmqpError>,
}

impl Detach {
    pub(super) fn read(fields: &mut FieldReader) -> Result<Self, DecodeError> {
        Ok(Self {
            handle: fields.uint("handle")?.ok_or(DecodeError::Missing("handle"))?,
            closed: fields.boolean("closed")?.unwrap_or(false),
            error: read_error(fields)?,
        })
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        FieldWriter::begin(out, 0x16)
            .uint(Some(self.handle))
            .boolean(self.closed)
            .raw(encoded_error(self.error.as_ref()).as_deref())
            .end();
    }
}
