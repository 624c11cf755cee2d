//! The fields of a performative: read by place, missing ones as null; written every one of them, nulls too.
//!
//! The standard lets a writer leave out nulls at a list's end, but there are clients in wide use that look fields up by
//! their place without asking how many there are.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::decode::Reader;
use super::encode::{Compound, put_sized, put_uint, put_ulong, put_value};
use super::{Text, Value};
use crate::error::DecodeError;

/// Takes fields off a performative's list, one after the other.
pub struct FieldReader {
    reader: Reader,
    left: u32,
}

impl FieldReader {
    /// The fields of the encoded list that comes next.
    ///
    /// # Errors
    /// [`DecodeError`] when no list comes.
    pub fn of(reader: &mut Reader) -> Result<Self, DecodeError> {
        let (reader, left) = reader.list()?;
        Ok(Self { reader, left })
    }

    /// The next field; null when it was left out.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn value(&mut self) -> Result<Value, DecodeError> {
        if self.left == 0 {
            return Ok(Value::Null);
        }
        self.left -= 1;
        self.reader.value()
    }

    /// The next field as its bytes; `None` when it is null.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn raw(&mut self) -> Result<Option<Bytes>, DecodeError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        Ok(Some(self.reader.raw()?).filter(|raw| raw[..] != [0x40]))
    }

    /// Passes over fields that mean nothing here.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn skip(&mut self, fields: usize) -> Result<(), DecodeError> {
        (0..fields).try_for_each(|_| self.raw().map(drop))
    }

    /// A boolean.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn boolean(&mut self, field: &'static str) -> Result<Option<bool>, DecodeError> {
        match self.value()? {
            Value::Null => Ok(None),
            Value::Bool(value) => Ok(Some(value)),
            _ => Err(DecodeError::Type { expected: "a boolean", field }),
        }
    }

    /// A ubyte.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn ubyte(&mut self, field: &'static str) -> Result<Option<u8>, DecodeError> {
        match self.value()? {
            Value::Null => Ok(None),
            Value::Ubyte(value) => Ok(Some(value)),
            _ => Err(DecodeError::Type { expected: "a ubyte", field }),
        }
    }

    /// A ushort.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn ushort(&mut self, field: &'static str) -> Result<Option<u16>, DecodeError> {
        match self.value()? {
            Value::Null => Ok(None),
            Value::Ushort(value) => Ok(Some(value)),
            _ => Err(DecodeError::Type { expected: "a ushort", field }),
        }
    }

    /// A uint.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn uint(&mut self, field: &'static str) -> Result<Option<u32>, DecodeError> {
        match self.value()? {
            Value::Null => Ok(None),
            Value::Uint(value) => Ok(Some(value)),
            _ => Err(DecodeError::Type { expected: "a uint", field }),
        }
    }

    /// A ulong.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn ulong(&mut self, field: &'static str) -> Result<Option<u64>, DecodeError> {
        match self.value()? {
            Value::Null => Ok(None),
            Value::Ulong(value) => Ok(Some(value)),
            _ => Err(DecodeError::Type { expected: "a ulong", field }),
        }
    }

    /// A string.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn string(&mut self, field: &'static str) -> Result<Option<Text>, DecodeError> {
        match self.value()? {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text)),
            _ => Err(DecodeError::Type { expected: "a string", field }),
        }
    }

    /// A symbol.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn symbol(&mut self, field: &'static str) -> Result<Option<Text>, DecodeError> {
        match self.value()? {
            Value::Null => Ok(None),
            Value::Symbol(text) => Ok(Some(text)),
            _ => Err(DecodeError::Type { expected: "a symbol", field }),
        }
    }

    /// A symbol or an array of symbols.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn symbols(&mut self, field: &'static str) -> Result<Vec<Text>, DecodeError> {
        let wrong = || DecodeError::Type { expected: "symbols", field };
        match self.value()? {
            Value::Null => Ok(Vec::new()),
            Value::Symbol(text) => Ok(vec![text]),
            Value::Array(array) => array
                .values()
                .iter()
                .map(|value| if let Value::Symbol(text) = value { Ok(text.clone()) } else { Err(wrong()) })
                .collect(),
            _ => Err(wrong()),
        }
    }

    /// A binary.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn binary(&mut self, field: &'static str) -> Result<Option<Bytes>, DecodeError> {
        match self.value()? {
            Value::Null => Ok(None),
            Value::Binary(bytes) => Ok(Some(bytes)),
            _ => Err(DecodeError::Type { expected: "a binary", field }),
        }
    }
}

/// Writes a described list, field by field.
pub struct FieldWriter<'o> {
    out: &'o mut BytesMut,
    list: Compound,
    count: usize,
}

impl<'o> FieldWriter<'o> {
    /// Begins the list under a descriptor.
    pub fn begin(out: &'o mut BytesMut, descriptor: u8) -> Self {
        out.put_slice(&[0, 0x53, descriptor]);
        let list = Compound::begin(out);
        Self { out, list, count: 0 }
    }

    /// Any value.
    pub fn value(&mut self, value: &Value) -> &mut Self {
        self.count += 1;
        put_value(self.out, value);
        self
    }

    /// A value that is encoded already; null when there is none.
    pub fn raw(&mut self, raw: Option<&[u8]>) -> &mut Self {
        self.count += 1;
        self.out.put_slice(raw.unwrap_or(&[0x40]));
        self
    }

    /// Nulls.
    pub fn nulls(&mut self, count: usize) -> &mut Self {
        self.count += count;
        self.out.put_bytes(0x40, count);
        self
    }

    /// A boolean.
    pub fn boolean(&mut self, value: bool) -> &mut Self {
        self.value(&Value::Bool(value))
    }

    /// A ubyte.
    pub fn ubyte(&mut self, value: Option<u8>) -> &mut Self {
        self.value(&value.map_or(Value::Null, Value::Ubyte))
    }

    /// A ushort.
    pub fn ushort(&mut self, value: Option<u16>) -> &mut Self {
        self.value(&value.map_or(Value::Null, Value::Ushort))
    }

    /// A uint.
    pub fn uint(&mut self, value: Option<u32>) -> &mut Self {
        let Some(value) = value else { return self.nulls(1) };
        self.count += 1;
        put_uint(self.out, value);
        self
    }

    /// A ulong.
    pub fn ulong(&mut self, value: Option<u64>) -> &mut Self {
        let Some(value) = value else { return self.nulls(1) };
        self.count += 1;
        put_ulong(self.out, value);
        self
    }

    /// A binary.
    pub fn binary(&mut self, value: Option<&[u8]>) -> &mut Self {
        self.sized(0xa0, value)
    }

    /// A string.
    pub fn string(&mut self, value: Option<&str>) -> &mut Self {
        self.sized(0xa1, value.map(str::as_bytes))
    }

    /// A symbol.
    pub fn symbol(&mut self, value: Option<&str>) -> &mut Self {
        self.sized(0xa3, value.map(str::as_bytes))
    }

    fn sized(&mut self, small: u8, value: Option<&[u8]>) -> &mut Self {
        let Some(value) = value else { return self.nulls(1) };
        self.count += 1;
        put_sized(self.out, small, value);
        self
    }

    /// Ends the list.
    pub fn end(&mut self) {
        self.list.end(self.out, 0xc0, self.count);
    }
}
