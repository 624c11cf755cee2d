//! How an item lies on disk: a version byte, then names and values, compact and binary.
//!
//! Stored forms never change once released: a new form is a new version byte and a new module here. Lengths and counts
//! are LEB128 varints. Knows nothing of keys (`key.rs`) or of a wire.

use std::collections::BTreeSet;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::error::TableError;
use crate::item::{AttributeValue, DEPTH_MAX, Item};
use crate::number::Number;

/// The first byte of version 1.
const V1: u8 = 1;

const STRING: u8 = 1;
const NUMBER: u8 = 2;
const BINARY: u8 = 3;
const FALSE: u8 = 4;
const TRUE: u8 = 5;
const NULL: u8 = 6;
const LIST: u8 = 7;
const MAP: u8 = 8;
const STRING_SET: u8 = 9;
const NUMBER_SET: u8 = 10;
const BINARY_SET: u8 = 11;

/// An item as it is stored.
pub(crate) fn encode(item: &Item) -> Bytes {
    let mut out = BytesMut::with_capacity(crate::item::size(item) + item.len() * 4 + 8);
    out.put_u8(V1);
    put_map(&mut out, item);
    out.freeze()
}

/// Names and values, without a version: part of a stored form that has one.
pub(crate) fn put_map(out: &mut BytesMut, item: &Item) {
    put_varint(out, item.len() as u128);
    for (name, value) in item {
        put_bytes(out, name.as_bytes());
        put_value(out, value);
    }
}

fn put_value(out: &mut BytesMut, value: &AttributeValue) {
    match value {
        AttributeValue::String(text) => {
            out.put_u8(STRING);
            put_bytes(out, text.as_bytes());
        }
        AttributeValue::Number(number) => {
            out.put_u8(NUMBER);
            put_number(out, *number);
        }
        AttributeValue::Binary(bytes) => {
            out.put_u8(BINARY);
            put_bytes(out, bytes);
        }
        AttributeValue::Bool(false) => out.put_u8(FALSE),
        AttributeValue::Bool(true) => out.put_u8(TRUE),
        AttributeValue::Null => out.put_u8(NULL),
        AttributeValue::List(values) => {
            out.put_u8(LIST);
            put_varint(out, values.len() as u128);
            values.iter().for_each(|value| put_value(out, value));
        }
        AttributeValue::Map(item) => {
            out.put_u8(MAP);
            put_map(out, item);
        }
        AttributeValue::StringSet(set) => {
            out.put_u8(STRING_SET);
            put_varint(out, set.len() as u128);
            set.iter().for_each(|text| put_bytes(out, text.as_bytes()));
        }
        AttributeValue::NumberSet(set) => {
            out.put_u8(NUMBER_SET);
            put_varint(out, set.len() as u128);
            set.iter().for_each(|number| put_number(out, *number));
        }
        AttributeValue::BinarySet(set) => {
            out.put_u8(BINARY_SET);
            put_varint(out, set.len() as u128);
            set.iter().for_each(|bytes| put_bytes(out, bytes));
        }
    }
}

/// The sign is the lowest bit of the coefficient, the power of ten is shifted to be positive.
fn put_number(out: &mut BytesMut, number: Number) {
    let (negative, coefficient, exponent) = number.parts();
    put_varint(out, coefficient << 1 | u128::from(negative));
    out.put_i16(exponent as i16);
}

fn put_bytes(out: &mut BytesMut, bytes: &[u8]) {
    put_varint(out, bytes.len() as u128);
    out.put_slice(bytes);
}

fn put_varint(out: &mut BytesMut, mut value: u128) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// The item that [`encode`] made those bytes from; byte strings share the buffer.
pub(crate) fn decode(stored: Bytes) -> Result<Item, TableError> {
    let mut reader = Reader(stored);
    let item = match reader.byte() {
        Some(V1) => reader.map(0),
        _ => None,
    };
    match item {
        Some(item) if reader.0.is_empty() => Ok(item),
        _ => Err(TableError::UnreadableItem),
    }
}

/// Reads stored forms; `None` is damage.
pub(crate) struct Reader(pub(crate) Bytes);

impl Reader {
    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.0.has_remaining().then(|| self.0.get_u8())
    }

    /// Eight bytes, the highest first.
    pub(crate) fn integer(&mut self) -> Option<i64> {
        self.0.try_get_i64().ok()
    }

    fn varint(&mut self) -> Option<u128> {
        let mut value = 0u128;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            value |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A count of things that take at least a byte each: never more than there are bytes.
    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.varint()?).ok().filter(|&count| count <= self.0.len())
    }

    fn bytes(&mut self) -> Option<Bytes> {
        let length = self.count()?;
        Some(self.0.split_to(length))
    }

    fn text(&mut self) -> Option<String> {
        let bytes = self.bytes()?;
        std::str::from_utf8(&bytes).ok().map(str::to_owned)
    }

    fn number(&mut self) -> Option<Number> {
        let coefficient = self.varint()?;
        let exponent = self.0.try_get_i16().ok()?;
        Number::from_parts(coefficient & 1 == 1, coefficient >> 1, exponent.into()).ok()
    }

    /// What [`put_map`] wrote, inside so many lists and maps.
    pub(crate) fn map(&mut self, depth: usize) -> Option<Item> {
        let mut item = Item::new();
        for _ in 0..self.count()? {
            item.insert(self.text()?, self.value(depth)?);
        }
        Some(item)
    }

    fn value(&mut self, depth: usize) -> Option<AttributeValue> {
        if depth > DEPTH_MAX {
            return None;
        }
        Some(match self.byte()? {
            STRING => AttributeValue::String(self.text()?),
            NUMBER => AttributeValue::Number(self.number()?),
            BINARY => AttributeValue::Binary(self.bytes()?),
            FALSE => AttributeValue::Bool(false),
            TRUE => AttributeValue::Bool(true),
            NULL => AttributeValue::Null,
            LIST => {
                let count = self.count()?;
                AttributeValue::List((0..count).map(|_| self.value(depth + 1)).collect::<Option<_>>()?)
            }
            MAP => AttributeValue::Map(self.map(depth + 1)?),
            STRING_SET => AttributeValue::StringSet(self.set(Self::text)?),
            NUMBER_SET => AttributeValue::NumberSet(self.set(Self::number)?),
            BINARY_SET => AttributeValue::BinarySet(self.set(Self::bytes)?),
            _ => return None,
        })
    }

    fn set<T: Ord>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<BTreeSet<T>> {
        let count = self.count()?;
        (0..count).map(|_| read(self)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = AttributeValue> {
        let number = || {
            (any::<bool>(), 0..10u128.pow(38), -120..80i32)
                .prop_map(|(negative, digits, exponent)| Number::from_parts(negative, digits, exponent).unwrap())
        };
        let bytes = || prop::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from);
        let leaf = prop_oneof![
            "\\PC{0,10}".prop_map(AttributeValue::String),
            number().prop_map(AttributeValue::Number),
            bytes().prop_map(AttributeValue::Binary),
            any::<bool>().prop_map(AttributeValue::Bool),
            Just(AttributeValue::Null),
            prop::collection::btree_set("[a-z]{1,5}", 1..4).prop_map(AttributeValue::StringSet),
            prop::collection::btree_set(number(), 1..4).prop_map(AttributeValue::NumberSet),
            prop::collection::btree_set(bytes(), 1..4).prop_map(AttributeValue::BinarySet),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(AttributeValue::List),
                prop::collection::btree_map("[a-z]{1,5}", inner, 0..4).prop_map(AttributeValue::Map),
            ]
        })
    }

    proptest! {
        #[test]
        fn items_come_back(item in prop::collection::btree_map("[a-z]{1,5}", any_value(), 0..5)) {
            prop_assert_eq!(decode(encode(&item)).unwrap(), item);
        }

        #[test]
        fn damaged_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            bytes.insert(0, V1);
            let _ = decode(bytes.into());
        }
    }

    #[test]
    fn a_later_version_is_refused() {
        assert!(matches!(decode(Bytes::from_static(&[2, 0])), Err(TableError::UnreadableItem)));
    }
}
