//! Sources and targets: the ends of a link (part 3.5.3 and 3.5.4).

use bytes::Bytes;

use super::descriptor;
use crate::codec::decode::Reader;
use crate::codec::fields::FieldReader;
use crate::codec::{Text, Value};
use crate::error::DecodeError;

/// Where a link's deliveries come from. Lifetimes, modes and outcomes are passed over.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Source {
    /// The node; `None` when the link has none.
    pub address: Option<Text>,
    /// Filters by name: described values as they came.
    pub filters: Vec<(Text, Value)>,
}

/// Where a link's deliveries go.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Target {
    /// The node; `None` when the link has none.
    pub address: Option<Text>,
}

impl Source {
    /// From the encoded field of an attach.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(raw: Option<Bytes>) -> Result<Self, DecodeError> {
        let Some(mut fields) = fields(raw, 0x28, "a source")? else { return Ok(Self::default()) };
        let address = address(&mut fields)?;
        fields.skip(6)?;
        let filters = match fields.value()? {
            Value::Null => Vec::new(),
            Value::Map(entries) => entries
                .into_iter()
                .map(|(name, filter)| match name {
                    Value::Symbol(name) | Value::String(name) => Ok((name, filter)),
                    _ => Err(DecodeError::Type { expected: "symbols as names", field: "filter" }),
                })
                .collect::<Result<_, _>>()?,
            _ => return Err(DecodeError::Type { expected: "a map", field: "filter" }),
        };
        Ok(Self { address, filters })
    }
}

impl Target {
    /// From the encoded field of an attach.
    ///
    /// # Errors
    /// [`DecodeError`]: also for a transaction's coordinator, which is no target here.
    pub fn decode(raw: Option<Bytes>) -> Result<Self, DecodeError> {
        let Some(mut fields) = fields(raw, 0x29, "a target")? else { return Ok(Self::default()) };
        Ok(Self { address: address(&mut fields)? })
    }
}

fn fields(raw: Option<Bytes>, code: u64, expected: &'static str) -> Result<Option<FieldReader>, DecodeError> {
    let Some(raw) = raw else { return Ok(None) };
    let mut reader = Reader::new(raw);
    match descriptor(&mut reader, expected)? {
        found if found == code => FieldReader::of(&mut reader).map(Some),
        found => Err(DecodeError::Descriptor { expected, found: format!("0x{found:x}") }),
    }
}

fn address(fields: &mut FieldReader) -> Result<Option<Text>, DecodeError> {
    fields.string("address")
}
