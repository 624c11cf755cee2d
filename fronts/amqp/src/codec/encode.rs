//! From values to bytes, in the shortest form that the peers' decoders all read.

use bytes::{BufMut as _, BytesMut};

use super::{Array, Value};

/// Writes a value.
pub fn put_value(out: &mut BytesMut, value: &Value) {
    match value {
        Value::Described(descriptor, value) => {
            out.put_u8(0);
            put_value(out, descriptor);
            put_value(out, value);
        }
        Value::Null => out.put_u8(0x40),
        Value::Bool(value) => out.put_u8(if *value { 0x41 } else { 0x42 }),
        Value::Uint(value) => put_uint(out, *value),
        Value::Ulong(value) => put_ulong(out, *value),
        Value::Binary(bytes) => put_sized(out, 0xa0, bytes),
        Value::String(text) => put_sized(out, 0xa1, text.bytes()),
        Value::Symbol(text) => put_sized(out, 0xa3, text.bytes()),
        Value::List(values) => {
            let list = Compound::begin(out);
            values.iter().for_each(|value| put_value(out, value));
            list.end(out, 0xc0, values.len());
        }
        Value::Map(entries) => {
            let map = Compound::begin(out);
            for (key, value) in entries {
                put_value(out, key);
                put_value(out, value);
            }
            map.end(out, 0xc1, entries.len() * 2);
        }
        Value::Array(array) => put_array(out, array),
        fixed => {
            out.put_u8(constructor(fixed));
            put_element(out, fixed);
        }
    }
}

/// Writes a uint.
pub fn put_uint(out: &mut BytesMut, value: u32) {
    match u8::try_from(value) {
        Ok(0) => out.put_u8(0x43),
        Ok(small) => out.put_slice(&[0x52, small]),
        Err(_) => {
            out.put_u8(0x70);
            out.put_u32(value);
        }
    }
}

/// Writes a ulong.
pub fn put_ulong(out: &mut BytesMut, value: u64) {
    match u8::try_from(value) {
        Ok(0) => out.put_u8(0x44),
        Ok(small) => out.put_slice(&[0x53, small]),
        Err(_) => {
            out.put_u8(0x80);
            out.put_u64(value);
        }
    }
}

/// Writes a binary (`small` 0xa0), string (0xa1) or symbol (0xa3); at most 4 GiB, as every frame is far below.
pub fn put_sized(out: &mut BytesMut, small: u8, bytes: &[u8]) {
    match u8::try_from(bytes.len()) {
        Ok(length) => out.put_slice(&[small, length]),
        Err(_) => {
            out.put_u8(small + 0x10);
            out.put_u32(bytes.len() as u32);
        }
    }
    out.put_slice(bytes);
}

/// A list, map or array whose size is known when its elements are written.
#[derive(Debug, Clone, Copy)]
pub struct Compound {
    start: usize,
}

impl Compound {
    /// Makes room for the short head.
    pub fn begin(out: &mut BytesMut) -> Self {
        let start = out.len();
        out.put_bytes(0, 3);
        Self { start }
    }

    /// Writes the head: `small` is the constructor of the short form (0xc0 list, 0xc1 map).
    pub fn end(self, out: &mut BytesMut, small: u8, count: usize) {
        let content = out.len() - self.start - 3;
        if let (Ok(size), Ok(count)) = (u8::try_from(content + 1), u8::try_from(count)) {
            out[self.start..self.start + 3].copy_from_slice(&[small, size, count]);
            return;
        }
        out.put_bytes(0, 6);
        out.copy_within(self.start + 3..self.start + 3 + content, self.start + 9);
        out[self.start] = small + 0x10;
        out[self.start + 1..self.start + 5].copy_from_slice(&(content as u32 + 4).to_be_bytes());
        out[self.start + 5..self.start + 9].copy_from_slice(&(count as u32).to_be_bytes());
    }
}

/// Arrays are always written in the long form, and their elements too: one constructor serves all of them.
fn put_array(out: &mut BytesMut, array: &Array) {
    let start = out.len();
    out.put_u8(0xf0);
    out.put_bytes(0, 8);
    put_array_constructor(out, array.values().first().unwrap_or(&Value::Null));
    array.values().iter().for_each(|value| put_element(out, value));
    let size = (out.len() - start - 5) as u32;
    out[start + 1..start + 5].copy_from_slice(&size.to_be_bytes());
    out[start + 5..start + 9].copy_from_slice(&(array.values().len() as u32).to_be_bytes());
}

fn put_array_constructor(out: &mut BytesMut, value: &Value) {
    match value {
        Value::Described(descriptor, value) => {
            out.put_u8(0);
            put_value(out, descriptor);
            out.put_u8(constructor(value));
        }
        value => out.put_u8(constructor(value)),
    }
}

/// The constructor of a value's long form.
fn constructor(value: &Value) -> u8 {
    match value {
        Value::Null | Value::Described(..) => 0x40,
        Value::Bool(_) => 0x56,
        Value::Ubyte(_) => 0x50,
        Value::Byte(_) => 0x51,
        Value::Ushort(_) => 0x60,
        Value::Short(_) => 0x61,
        Value::Uint(_) => 0x70,
        Value::Int(_) => 0x71,
        Value::Ulong(_) => 0x80,
        Value::Long(_) => 0x81,
        Value::Float(_) => 0x72,
        Value::Double(_) => 0x82,
        Value::Decimal32(_) => 0x74,
        Value::Decimal64(_) => 0x84,
        Value::Decimal128(_) => 0x94,
        Value::Char(_) => 0x73,
        Value::Timestamp(_) => 0x83,
        Value::Uuid(_) => 0x98,
        Value::Binary(_) => 0xb0,
        Value::String(_) => 0xb1,
        Value::Symbol(_) => 0xb3,
        Value::List(_) => 0xd0,
        Value::Map(_) => 0xd1,
        Value::Array(_) => 0xf0,
    }
}

/// A value of the long form without its constructor.
fn put_element(out: &mut BytesMut, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(value) => out.put_u8((*value).into()),
        Value::Ubyte(value) => out.put_u8(*value),
        Value::Byte(value) => out.put_i8(*value),
        Value::Ushort(value) => out.put_u16(*value),
        Value::Short(value) => out.put_i16(*value),
        Value::Uint(value) => out.put_u32(*value),
        Value::Int(value) => out.put_i32(*value),
        Value::Ulong(value) => out.put_u64(*value),
        Value::Long(value) | Value::Timestamp(value) => out.put_i64(*value),
        Value::Float(value) => out.put_f32(*value),
        Value::Double(value) => out.put_f64(*value),
        Value::Decimal32(bytes) => out.put_slice(bytes),
        Value::Decimal64(bytes) => out.put_slice(bytes),
        Value::Decimal128(bytes) | Value::Uuid(bytes) => out.put_slice(bytes),
        Value::Char(char) => out.put_u32(u32::from(*char)),
        Value::Binary(bytes) => put_long(out, bytes),
        Value::String(text) | Value::Symbol(text) => put_long(out, text.bytes()),
        Value::List(values) => put_elements(out, values.iter(), values.len()),
        Value::Map(entries) => {
            put_elements(out, entries.iter().flat_map(|(key, value)| [key, value]), entries.len() * 2);
        }
        Value::Array(array) => {
            let start = out.len();
            put_array(out, array);
            // Without the constructor: the array around it has it.
            out.copy_within(start + 1.., start);
            out.truncate(out.len() - 1);
        }
        Value::Described(_, value) => put_element(out, value),
    }
}

fn put_long(out: &mut BytesMut, bytes: &[u8]) {
    out.put_u32(bytes.len() as u32);
    out.put_slice(bytes);
}

fn put_elements<'v>(out: &mut BytesMut, values: impl Iterator<Item = &'v Value>, count: usize) {
    let start = out.len();
    out.put_bytes(0, 8);
    values.for_each(|value| put_value(out, value));
    let size = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&(count as u32).to_be_bytes());
}
