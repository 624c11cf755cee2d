//! Reading a request's fields.

use bytes::{Buf as _, Bytes};

/// Elements of all arrays of one request: more than any client sends, and little memory.
const ITEMS_MAX: u32 = 200_000;

/// Why bytes are no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end within a field.
    #[error("expected more bytes: the request ends within a field")]
    Short,
    /// A length that cannot be.
    #[error("expected a length that the request has bytes for, found {0}")]
    Length(i64),
    /// A number of more bytes than its type has.
    #[error("expected a variable-length number of at most {0} bytes")]
    Number(u8),
    /// No text.
    #[error("expected UTF-8 in a string")]
    Text,
    /// A null where there has to be something.
    #[error("expected a value, found null")]
    Null,
    /// More elements than a request may have.
    #[error("expected at most {ITEMS_MAX} elements in all arrays of a request")]
    Items,
}

/// The fields of a request, one after the other.
#[derive(Debug, Clone)]
pub struct Reader {
    bytes: Bytes,
    flexible: bool,
    items_left: u32,
}

impl Reader {
    /// Reads fields in the first encoding, until [`Reader::set_flexible`] says otherwise.
    pub fn new(bytes: Bytes) -> Self {
        Self { bytes, flexible: false, items_left: ITEMS_MAX }
    }

    /// Whether lengths are compact and structures end in tagged fields.
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// Bytes that are left.
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes as they are.
    pub fn take(&mut self, length: usize) -> Result<Bytes, DecodeError> {
        if length > self.bytes.len() {
            return Err(DecodeError::Short);
        }
        Ok(self.bytes.split_to(length))
    }

    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.bytes.try_get_i8().map_err(|_| DecodeError::Short)
    }

    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.bytes.try_get_i16().map_err(|_| DecodeError::Short)
    }

    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.bytes.try_get_i32().map_err(|_| DecodeError::Short)
    }

    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        self.bytes.try_get_u32().map_err(|_| DecodeError::Short)
    }

    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.bytes.try_get_i64().map_err(|_| DecodeError::Short)
    }

    /// Sixteen bytes that name something.
    pub fn uuid(&mut self) -> Result<[u8; 16], DecodeError> {
        let mut uuid = [0; 16];
        self.bytes.try_copy_to_slice(&mut uuid).map_err(|_| DecodeError::Short)?;
        Ok(uuid)
    }

    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.i8()? != 0)
    }

    /// An unsigned number of 32 bits in seven-bit groups, low ones first.
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let value = self.groups(5)?;
        u32::try_from(value).map_err(|_| DecodeError::Number(5))
    }

    /// A signed number of 32 bits, zigzag.
    pub fn varint(&mut self) -> Result<i32, DecodeError> {
        let value = self.unsigned_varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A signed number of 64 bits, zigzag.
    pub fn varlong(&mut self) -> Result<i64, DecodeError> {
        let value = self.groups(10)?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    fn groups(&mut self, bytes_max: u8) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for index in 0..bytes_max {
            let byte = self.bytes.try_get_u8().map_err(|_| DecodeError::Short)?;
            value |= u64::from(byte & 0x7f) << (7 * u32::from(index));
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(DecodeError::Number(bytes_max))
    }

    /// `None` for null.
    fn length(&mut self, short: bool) -> Result<Option<usize>, DecodeError> {
        let length = match (self.flexible, short) {
            (true, _) => i64::from(self.unsigned_varint()?) - 1,
            (false, true) => i64::from(self.i16()?),
            (false, false) => i64::from(self.i32()?),
        };
        match length {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| DecodeError::Length(length)),
        }
    }

    pub fn nullable_string(&mut self) -> Result<Option<String>, DecodeError> {
        let Some(length) = self.length(true)? else { return Ok(None) };
        let bytes = self.take(length)?;
        std::str::from_utf8(&bytes).map(|text| Some(text.to_owned())).map_err(|_| DecodeError::Text)
    }

    pub fn string(&mut self) -> Result<String, DecodeError> {
        self.nullable_string()?.ok_or(DecodeError::Null)
    }

    pub fn nullable_bytes(&mut self) -> Result<Option<Bytes>, DecodeError> {
        self.length(false)?.map(|length| self.take(length)).transpose()
    }

    pub fn bytes(&mut self) -> Result<Bytes, DecodeError> {
        self.nullable_bytes()?.ok_or(DecodeError::Null)
    }

    /// An array's elements; `None` for null.
    pub fn nullable_array<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(length) = self.length(false)? else { return Ok(None) };
        // Each element has a byte at least.
        if length > self.bytes.len() {
            return Err(DecodeError::Length(length as i64));
        }
        let items = u32::try_from(length).map_err(|_| DecodeError::Items)?;
        self.items_left = self.items_left.checked_sub(items).ok_or(DecodeError::Items)?;
        (0..length).map(|_| element(self)).collect::<Result<_, _>>().map(Some)
    }

    /// An array's elements; none for null.
    pub fn array<T>(
        &mut self,
        element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        Ok(self.nullable_array(element)?.unwrap_or_default())
    }

    /// Passes over the tagged fields that end a structure of the flexible encoding: none of them changes what is served.
    pub fn tags(&mut self) -> Result<(), DecodeError> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.unsigned_varint()? {
            self.unsigned_varint()?;
            let length = self.unsigned_varint()? as usize;
            self.take(length)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(bytes: &'static [u8], flexible: bool) -> Reader {
        let mut reader = Reader::new(Bytes::from_static(bytes));
        reader.set_flexible(flexible);
        reader
    }

    #[test]
    fn both_encodings_of_texts_and_arrays() {
        assert_eq!(reader(&[0, 2, b'a', b'b'], false).string(), Ok("ab".into()));
        assert_eq!(reader(&[3, b'a', b'b'], true).string(), Ok("ab".into()));
        assert_eq!(reader(&[0xff, 0xff], false).nullable_string(), Ok(None));
        assert_eq!(reader(&[0], true).nullable_string(), Ok(None));
        assert_eq!(reader(&[0, 0, 0, 2, 1, 2], false).array(Reader::i8), Ok(vec![1, 2]));
        assert_eq!(reader(&[3, 1, 2], true).array(Reader::i8), Ok(vec![1, 2]));
        assert_eq!(reader(&[0xff, 0xff, 0xff, 0xff], false).nullable_array(Reader::i8), Ok(None));
    }

    #[test]
    fn numbers_of_variable_length() {
        for (bytes, expected) in [(&[0][..], 0), (&[1], -1), (&[2], 1), (&[0xac, 2], 150)] {
            assert_eq!(Reader::new(Bytes::from_static(bytes)).varint(), Ok(expected));
            assert_eq!(Reader::new(Bytes::from_static(bytes)).varlong(), Ok(i64::from(expected)));
        }
        assert_eq!(Reader::new(Bytes::from_static(&[0xff; 6])).varint(), Err(DecodeError::Number(5)));
        assert_eq!(Reader::new(Bytes::from_static(&[0xff; 11])).varlong(), Err(DecodeError::Number(10)));
    }

    #[test]
    fn lengths_that_the_bytes_do_not_have_are_refused_without_memory() {
        assert_eq!(
            reader(&[0x7f, 0xff, 0xff, 0xff, 1], false).array(Reader::i8),
            Err(DecodeError::Length(0x7fff_ffff))
        );
        assert_eq!(reader(&[0xff, 0xff, 0xff, 0xfe], false).nullable_bytes(), Err(DecodeError::Length(-2)));
        assert_eq!(reader(&[0, 9, b'a'], false).string(), Err(DecodeError::Short));
        assert_eq!(reader(&[1, 0, 3], true).tags(), Err(DecodeError::Short));
    }
}
