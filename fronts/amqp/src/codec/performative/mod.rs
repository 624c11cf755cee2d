//! What frames say (part 2.7): every performative with every field.

mod link;
mod open;
mod session;
mod terminus;
mod transfer;

use bytes::{Bytes, BytesMut};

use super::Value;
use super::decode::Reader;
use super::fields::{FieldReader, FieldWriter};
use crate::error::{AmqpError, DecodeError};

pub use link::{Attach, Detach, Flow, Role};
pub use open::Open;
pub use session::Begin;
pub use terminus::{Source, Target};
pub use transfer::{DeliveryState, Disposition, Transfer};

/// A performative.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // The names are the standard's own.
pub enum Performative {
    Open(Open),
    Begin(Begin),
    Attach(Box<Attach>),
    Flow(Flow),
    Transfer(Transfer),
    Disposition(Disposition),
    Detach(Detach),
    End(Option<AmqpError>),
    Close(Option<AmqpError>),
}

impl Performative {
    /// A frame's performative, and the payload behind it.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(body: Bytes) -> Result<(Self, Bytes), DecodeError> {
        let mut reader = Reader::new(body);
        let code = descriptor(&mut reader, "a performative")?;
        let mut fields = FieldReader::of(&mut reader)?;
        let performative = match code {
            0x10 => Self::Open(Open::read(&mut fields)?),
            0x11 => Self::Begin(Begin::read(&mut fields)?),
            0x12 => Self::Attach(Box::new(Attach::read(&mut fields)?)),
            0x13 => Self::Flow(Flow::read(&mut fields)?),
            0x14 => Self::Transfer(Transfer::read(&mut fields)?),
            0x15 => Self::Disposition(Disposition::read(&mut fields)?),
            0x16 => Self::Detach(Detach::read(&mut fields)?),
            0x17 => Self::End(read_error(&mut fields)?),
            0x18 => Self::Close(read_error(&mut fields)?),
            other => {
                return Err(DecodeError::Descriptor { expected: "a performative", found: format!("0x{other:x}") });
            }
        };
        Ok((performative, reader.rest().clone()))
    }

    /// Writes it.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Open(open) => open.write(out),
            Self::Begin(begin) => begin.write(out),
            Self::Attach(attach) => attach.write(out),
            Self::Flow(flow) => flow.write(out),
            Self::Transfer(transfer) => transfer.write(out),
            Self::Disposition(disposition) => disposition.write(out),
            Self::Detach(detach) => detach.write(out),
            Self::End(error) => write_error(FieldWriter::begin(out, 0x17), error.as_ref()),
            Self::Close(error) => write_error(FieldWriter::begin(out, 0x18), error.as_ref()),
        }
    }
}

/// The number under which a described value stands.
pub(crate) fn descriptor(reader: &mut Reader, expected: &'static str) -> Result<u64, DecodeError> {
    if reader.rest().first() != Some(&0) {
        let found = reader.rest().first().map_or("no bytes".to_owned(), |byte| format!("0x{byte:02x}"));
        return Err(DecodeError::Descriptor { expected, found });
    }
    let mut inner = Reader::new(reader.rest().slice(1..));
    match inner.value()? {
        Value::Ulong(code) => {
            *reader = Reader::new(inner.rest().clone());
            Ok(code)
        }
        other => Err(DecodeError::Descriptor { expected, found: format!("{other:?}") }),
    }
}

/// An error field: a described list of condition, description and info.
fn read_error(fields: &mut FieldReader) -> Result<Option<AmqpError>, DecodeError> {
    let Some(raw) = fields.raw()? else { return Ok(None) };
    let mut reader = Reader::new(raw);
    match descriptor(&mut reader, "an error")? {
        0x1d => {
            let mut fields = FieldReader::of(&mut reader)?;
            let condition = fields.symbol("condition")?.ok_or(DecodeError::Missing("condition"))?;
            let description = fields.string("description")?.unwrap_or_default().to_string();
            Ok(Some(AmqpError { condition, description }))
        }
        other => Err(DecodeError::Descriptor { expected: "an error", found: format!("0x{other:x}") }),
    }
}

fn write_error(mut fields: FieldWriter<'_>, error: Option<&AmqpError>) {
    fields.raw(encoded_error(error).as_deref()).end();
}

/// An error as a field: all three of its own fields are written.
fn encoded_error(error: Option<&AmqpError>) -> Option<BytesMut> {
    error.map(|error| {
        let mut out = BytesMut::new();
        FieldWriter::begin(&mut out, 0x1d)
            .symbol(Some(error.condition.as_str()))
            .string(Some(&error.description))
            .nulls(1)
            .end();
        out
    })
}

#[cfg(test)]
pub(crate) mod tests;
