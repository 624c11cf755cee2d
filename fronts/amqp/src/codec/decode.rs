//! From bytes to values, within bounds of depth and number whatever the bytes say.

use bytes::{Buf as _, Bytes};

use super::{Array, Text, Value};
use crate::error::DecodeError;

/// Values within each other: a message's annotations nest two or three deep.
pub const DEPTH_MAX: usize = 32;

/// Values that one reader gives.
pub const VALUES_MAX: usize = 1 << 16;

/// Values that a reader gives beyond one for each of its bytes. Elements of an array may have no width, so a few bytes can
/// claim billions; a message has room for many such arrays, each of which would cost what the whole may.
const FREE_VALUES: usize = 256;

/// Takes values off the front of a buffer.
#[derive(Debug, Clone)]
pub struct Reader {
    rest: Bytes,
    values_left: usize,
    values_max: usize,
}

impl Reader {
    /// A reader over a buffer.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        let values_max = VALUES_MAX.min(bytes.len() + FREE_VALUES);
        Self { rest: bytes, values_left: values_max, values_max }
    }

    /// What was not taken yet.
    #[must_use]
    pub fn rest(&self) -> &Bytes {
        &self.rest
    }

    /// The next value.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn value(&mut self) -> Result<Value, DecodeError> {
        self.nested(0)
    }

    /// The next value as its bytes, not looked into further than to find its end.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn raw(&mut self) -> Result<Bytes, DecodeError> {
        let length = length(&self.rest)?;
        Ok(self.rest.split_to(length))
    }

    /// The elements of the list that comes next, as a reader of their own, and how many it claims to have.
    ///
    /// # Errors
    /// [`DecodeError`]; [`DecodeError::Constructor`] when no list comes.
    pub fn list(&mut self) -> Result<(Reader, u32), DecodeError> {
        match self.byte()? {
            0x45 => Ok((Self::new(Bytes::new()), 0)),
            0xc0 => self.compound(1),
            0xd0 => self.compound(4),
            other => Err(DecodeError::Constructor(other)),
        }
    }

    fn nested(&mut self, depth: usize) -> Result<Value, DecodeError> {
        if depth > DEPTH_MAX {
            return Err(DecodeError::Depth(DEPTH_MAX));
        }
        self.count()?;
        match self.byte()? {
            0 => {
                let descriptor = self.nested(depth + 1)?;
                Ok(Value::Described(Box::new(descriptor), Box::new(self.nested(depth + 1)?)))
            }
            constructor => self.constructed(constructor, depth),
        }
    }

    fn constructed(&mut self, constructor: u8, depth: usize) -> Result<Value, DecodeError> {
        Ok(match constructor {
            0x40 => Value::Null,
            0x41 => Value::Bool(true),
            0x42 => Value::Bool(false),
            0x56 => Value::Bool(self.byte()? != 0),
            0x50 => Value::Ubyte(self.byte()?),
            0x51 => Value::Byte(self.byte()?.cast_signed()),
            0x60 => Value::Ushort(u16::from_be_bytes(self.fixed()?)),
            0x61 => Value::Short(i16::from_be_bytes(self.fixed()?)),
            0x43 => Value::Uint(0),
            0x52 => Value::Uint(self.byte()?.into()),
            0x70 => Value::Uint(u32::from_be_bytes(self.fixed()?)),
            0x54 => Value::Int(self.byte()?.cast_signed().into()),
            0x71 => Value::Int(i32::from_be_bytes(self.fixed()?)),
            0x44 => Value::Ulong(0),
            0x53 => Value::Ulong(self.byte()?.into()),
            0x80 => Value::Ulong(u64::from_be_bytes(self.fixed()?)),
            0x55 => Value::Long(self.byte()?.cast_signed().into()),
            0x81 => Value::Long(i64::from_be_bytes(self.fixed()?)),
            0x72 => Value::Float(f32::from_be_bytes(self.fixed()?)),
            0x82 => Value::Double(f64::from_be_bytes(self.fixed()?)),
            0x74 => Value::Decimal32(self.fixed()?),
            0x84 => Value::Decimal64(self.fixed()?),
            0x94 => Value::Decimal128(self.fixed()?),
            0x73 => Value::Char(char::from_u32(u32::from_be_bytes(self.fixed()?)).ok_or(DecodeError::Text)?),
            0x83 => Value::Timestamp(i64::from_be_bytes(self.fixed()?)),
            0x98 => Value::Uuid(self.fixed()?),
            0xa0 => Value::Binary(self.sized(1)?),
            0xb0 => Value::Binary(self.sized(4)?),
            0xa1 => Value::String(Text::new(self.sized(1)?)?),
            0xb1 => Value::String(Text::new(self.sized(4)?)?),
            0xa3 => Value::Symbol(Text::new(self.sized(1)?)?),
            0xb3 => Value::Symbol(Text::new(self.sized(4)?)?),
            0x45 => Value::List(Vec::new()),
            0xc0 | 0xd0 => Value::List(self.elements(width(constructor), depth)?),
            0xc1 | 0xd1 => Value::Map(pairs(self.elements(width(constructor), depth)?)?),
            0xe0 | 0xf0 => Value::Array(self.array(width(constructor), depth)?),
            other => return Err(DecodeError::Constructor(other)),
        })
    }

    fn elements(&mut self, width: usize, depth: usize) -> Result<Vec<Value>, DecodeError> {
        let (mut inner, count) = self.compound(width)?;
        (inner.values_left, inner.values_max) = (self.values_left, self.values_max);
        let values = (0..count).map(|_| inner.nested(depth + 1)).collect::<Result<_, _>>()?;
        self.values_left = inner.values_left;
        inner.ended()?;
        Ok(values)
    }

    fn array(&mut self, width: usize, depth: usize) -> Result<Array, DecodeError> {
        let (mut inner, count) = self.compound(width)?;
        (inner.values_left, inner.values_max) = (self.values_left, self.values_max);
        let (descriptor, constructor) = match inner.byte()? {
            0 => (Some(inner.array_descriptor(depth)?), inner.byte()?),
            constructor => (None, constructor),
        };
        let mut values = Vec::new();
        for _ in 0..count {
            inner.count()?;
            if depth >= DEPTH_MAX {
                return Err(DecodeError::Depth(DEPTH_MAX));
            }
            let value = inner.constructed(constructor, depth + 1)?;
            values.push(match &descriptor {
                Some(descriptor) => Value::Described(Box::new(descriptor.clone()), Box::new(value)),
                None => value,
            });
        }
        self.values_left = inner.values_left;
        inner.ended()?;
        Array::new(values).ok_or(DecodeError::Constructor(constructor))
    }

    /// The descriptor of all elements of an array. The standard has symbols and numbers; each element gets a copy, so
    /// anything larger would make little bytes much memory.
    fn array_descriptor(&mut self, depth: usize) -> Result<Value, DecodeError> {
        match self.nested(depth + 1)? {
            descriptor @ (Value::Symbol(_) | Value::Ulong(_)) => Ok(descriptor),
            _ => Err(DecodeError::Descriptor {
                expected: "a symbol or a ulong as the descriptor of an array's elements",
                found: "a value of another type".to_owned(),
            }),
        }
    }

    /// What follows the constructor of a list, map or array: its size, the number of its elements, the elements.
    fn compound(&mut self, width: usize) -> Result<(Reader, u32), DecodeError> {
        let mut inner = Self::new(self.sized(width)?);
        let count = inner.number(width)?;
        Ok((inner, count))
    }

    fn sized(&mut self, width: usize) -> Result<Bytes, DecodeError> {
        let size = self.number(width)? as usize;
        if size > self.rest.len() {
            return Err(DecodeError::Short);
        }
        Ok(self.rest.split_to(size))
    }

    fn number(&mut self, width: usize) -> Result<u32, DecodeError> {
        if width == 1 { Ok(self.byte()?.into()) } else { Ok(u32::from_be_bytes(self.fixed()?)) }
    }

    /// Counts a value that is to be given.
    fn count(&mut self) -> Result<(), DecodeError> {
        self.values_left = self.values_left.checked_sub(1).ok_or(DecodeError::Count(self.values_max))?;
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.rest.try_get_u8().map_err(|_| DecodeError::Short)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut taken = [0; N];
        self.rest.try_copy_to_slice(&mut taken).map_err(|_| DecodeError::Short)?;
        Ok(taken)
    }

    pub(crate) fn ended(&self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Surplus(self.rest.len())) }
    }
}

/// Bytes of the size and of the count of a compound type.
fn width(constructor: u8) -> usize {
    if constructor & 0x10 == 0 { 1 } else { 4 }
}

fn pairs(values: Vec<Value>) -> Result<Vec<(Value, Value)>, DecodeError> {
    if !values.len().is_multiple_of(2) {
        return Err(DecodeError::OddMap(values.len() as u32));
    }
    let mut values = values.into_iter();
    let mut pairs = Vec::with_capacity(values.len() / 2);
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        pairs.push((key, value));
    }
    Ok(pairs)
}

/// The length in bytes of the value at the front, found without decoding it: what keeps messages opaque.
///
/// # Errors
/// [`DecodeError::Short`], [`DecodeError::Constructor`] or [`DecodeError::Depth`].
pub fn length(bytes: &[u8]) -> Result<usize, DecodeError> {
    let (mut at, mut wanted) = (0, 1);
    let mut descriptors = 0;
    // Each descriptor is a value itself, so the loop wants one value more.
    while wanted > 0 {
        let constructor = *bytes.get(at).ok_or(DecodeError::Short)?;
        if constructor == 0 {
            descriptors += 1;
            if descriptors > DEPTH_MAX {
                return Err(DecodeError::Depth(DEPTH_MAX));
            }
            wanted += 1;
            at += 1;
            continue;
        }
        let fixed = match constructor >> 4 {
            0x4 => 1,
            0x5 => 2,
            0x6 => 3,
            0x7 => 5,
            0x8 => 9,
            0x9 => 17,
            0xa | 0xc | 0xe => 2 + usize::from(*bytes.get(at + 1).ok_or(DecodeError::Short)?),
            0xb | 0xd | 0xf => {
                let size = bytes.get(at + 1..at + 5).and_then(|size| size.try_into().ok()).map(u32::from_be_bytes);
                5 + size.ok_or(DecodeError::Short)? as usize
            }
            _ => return Err(DecodeError::Constructor(constructor)),
        };
        at += fixed;
        wanted -= 1;
    }
    if at > bytes.len() { Err(DecodeError::Short) } else { Ok(at) }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;
    use crate::codec::encode::put_value;

    fn value() -> impl Strategy<Value = Value> {
        let text = "\\PC{0,40}".prop_map(Text::from);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<u8>().prop_map(Value::Ubyte),
            any::<u16>().prop_map(Value::Ushort),
            any::<u32>().prop_map(Value::Uint),
            any::<u64>().prop_map(Value::Ulong),
            any::<i8>().prop_map(Value::Byte),
            any::<i16>().prop_map(Value::Short),
            any::<i32>().prop_map(Value::Int),
            any::<i64>().prop_map(Value::Long),
            (-1e9f32..1e9).prop_map(Value::Float),
            (-1e9f64..1e9).prop_map(Value::Double),
            any::<[u8; 16]>().prop_map(Value::Decimal128),
            any::<char>().prop_map(Value::Char),
            any::<i64>().prop_map(Value::Timestamp),
            any::<[u8; 16]>().prop_map(Value::Uuid),
            prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| Value::Binary(bytes.into())),
            text.clone().prop_map(Value::String),
            text.clone().prop_map(Value::Symbol),
            prop::collection::vec(text, 0..4).prop_map(|texts| Value::Array(Array::symbols(texts))),
        ];
        leaf.prop_recursive(4, 60, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::List),
                prop::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(Value::Map),
                (inner.clone(), 0usize..4)
                    .prop_map(|(value, count)| Value::Array(Array::new(vec![value; count]).unwrap_or_default())),
                (any::<u64>(), inner)
                    .prop_map(|(code, value)| Value::Described(Value::Ulong(code).into(), value.into())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(value in value()) {
            let mut bytes = BytesMut::new();
            put_value(&mut bytes, &value);
            let bytes = bytes.freeze();
            prop_assert_eq!(length(&bytes), Ok(bytes.len()));
            let mut reader = Reader::new(bytes);
            prop_assert_eq!(reader.value(), Ok(value));
            prop_assert!(reader.rest().is_empty());
        }

        #[test]
        fn any_bytes_are_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let found = length(&bytes);
            if Reader::new(bytes.into()).value().is_ok() {
                prop_assert!(found.is_ok());
            }
        }

        #[test]
        fn a_value_with_changed_bytes_is_a_value_or_an_error(
            value in value(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let mut bytes = BytesMut::new();
            put_value(&mut bytes, &value);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let _ = Reader::new(bytes.freeze()).value();
        }
    }

    #[test]
    fn claims_that_no_memory_could_hold_are_refused() {
        // An array of four billion nulls in ten bytes.
        let nulls: &[u8] = &[0xf0, 0, 0, 0, 5, 0xff, 0xff, 0xff, 0xff, 0x40];
        assert_eq!(Reader::new(Bytes::from_static(nulls)).value(), Err(DecodeError::Count(10 + FREE_VALUES)));
        // Thirty thousand elements of no width under a descriptor of thirty thousand values.
        let mut described = BytesMut::new();
        let descriptor = Value::List(vec![Value::Null; 30_000]);
        let mut inner = BytesMut::from(&30_000_u32.to_be_bytes()[..]);
        inner.extend_from_slice(&[0]);
        put_value(&mut inner, &descriptor);
        inner.extend_from_slice(&[0x40]);
        described.extend_from_slice(&[0xf0]);
        described.extend_from_slice(&u32::try_from(inner.len()).unwrap().to_be_bytes());
        described.extend_from_slice(&inner);
        assert!(matches!(Reader::new(described.freeze()).value(), Err(DecodeError::Descriptor { .. })));
        let nested = Bytes::from(vec![0u8; 10_000]);
        assert_eq!(Reader::new(nested.clone()).value(), Err(DecodeError::Depth(DEPTH_MAX)));
        assert_eq!(length(&nested), Err(DecodeError::Depth(DEPTH_MAX)));
        let text: &[u8] = &[0xb1, 0xff, 0xff, 0xff, 0xff, b'a'];
        assert_eq!(Reader::new(Bytes::from_static(text)).value(), Err(DecodeError::Short));
    }
}
