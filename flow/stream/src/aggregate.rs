//! Records into which a producer's library has packed several: taken apart for those who look into records. Pure.
//!
//! Clients get such a record as it came and take it apart themselves. It is four fixed bytes, a protobuf message and the MD5 of
//! that; what only looks like one is an ordinary record. Source: "KPL Aggregated Record Format" of the Kinesis Producer Library.

use md5::{Digest, Md5};

const MAGIC: [u8; 4] = [0xf3, 0x89, 0x9a, 0xc2];
const CHECKSUM_BYTES: usize = 16;

/// Kinds of protobuf fields.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const BYTES: u64 = 2;
const FIXED_32: u64 = 5;

/// Fields of the message: its table of partition keys, and its records.
const PARTITION_KEYS: u64 = 1;
const RECORDS: u64 = 3;
/// Fields of a record: which of the keys it has, and its payload.
const KEY_INDEX: u64 = 1;
const DATA: u64 = 3;

/// A record that was packed into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed<'r> {
    /// Its own partition key.
    pub partition_key: &'r [u8],
    /// Its payload.
    pub data: &'r [u8],
}

/// The records in a payload, in their order; `None` for an ordinary one.
#[must_use]
#[inline]
pub fn unpack(payload: &[u8]) -> Option<Vec<Packed<'_>>> {
    unpack_message(payload.strip_prefix(&MAGIC)?)
}

/// The records in what follows the four bytes.
fn unpack_message(packed: &[u8]) -> Option<Vec<Packed<'_>>> {
    let (message, checksum) = packed.split_at_checked(packed.len().checked_sub(CHECKSUM_BYTES)?)?;
    if Md5::digest(message)[..] != *checksum {
        return None;
    }
    let mut keys = Vec::new();
    let mut records = Vec::new();
    for field in Fields(message) {
        match field? {
            (PARTITION_KEYS, Value::Bytes(key)) => keys.push(key),
            (RECORDS, Value::Bytes(record)) => records.push(read_record(record)?),
            _ => {}
        }
    }
    let with_key = |(key, data): (u64, _)| {
        let partition_key = *keys.get(usize::try_from(key).ok()?)?;
        Some(Packed { partition_key, data })
    };
    records.into_iter().map(with_key).collect()
}

/// The index of a record's key, and its payload.
fn read_record(record: &[u8]) -> Option<(u64, &[u8])> {
    let (mut key, mut data) = (None, None);
    for field in Fields(record) {
        match field? {
            (KEY_INDEX, Value::Number(index)) => key = Some(index),
            (DATA, Value::Bytes(bytes)) => data = Some(bytes),
            _ => {}
        }
    }
    Some((key?, data?))
}

/// A field's value.
enum Value<'m> {
    Number(u64),
    Bytes(&'m [u8]),
    /// Of a kind that nothing here has.
    Other,
}

/// The fields of a message; `None` among them for what is no message.
struct Fields<'m>(&'m [u8]);

impl<'m> Iterator for Fields<'m> {
    type Item = Option<(u64, Value<'m>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'m> Fields<'m> {
    fn field(&mut self) -> Option<(u64, Value<'m>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            VARINT => Value::Number(self.varint()?),
            BYTES => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            FIXED_64 => self.take(8).map(|_| Value::Other)?,
            FIXED_32 => self.take(4).map(|_| Value::Other)?,
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'m [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[(number << 3) | 2, bytes.len() as u8][..], bytes].concat()
    }

    fn record(key: u8, data: &[u8]) -> Vec<u8> {
        field(3, &[&[1 << 3, key][..], &field(3, data), &field(4, b"tag")].concat())
    }

    fn packed(message: &[u8]) -> Vec<u8> {
        [&MAGIC[..], message, &Md5::digest(message)].concat()
    }

    #[test]
    fn packed_records_come_out_in_their_order() {
        let keys = [field(1, b"a"), field(1, b"b"), field(2, b"0")].concat();
        let message = [keys, record(1, b"one"), record(0, b""), record(1, b"three")].concat();
        let packed = packed(&message);
        let found = unpack(&packed).unwrap();
        let expected = [("b", "one"), ("a", ""), ("b", "three")];
        let expected = expected.map(|(key, data)| Packed { partition_key: key.as_bytes(), data: data.as_bytes() });
        assert_eq!(found, expected);
    }

    #[test]
    fn what_only_looks_like_one_is_an_ordinary_record() {
        let whole = packed(&[field(1, b"a"), record(0, b"x")].concat());
        assert!(unpack(&whole).is_some());
        for end in 0..whole.len() {
            assert_eq!(unpack(&whole[..end]), None, "cut at {end}");
        }
        for bit in 0..whole.len() * 8 {
            let mut other = whole.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unpack(&other), None, "bit {bit}");
        }
        assert_eq!(unpack(&packed(&record(0, b"x"))), None, "without its key");
        assert_eq!(unpack(&packed(&[0xff; 12])), None, "no message");
    }
}
