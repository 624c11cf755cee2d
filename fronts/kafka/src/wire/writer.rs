//! Writing an answer's fields.

use bytes::{BufMut as _, Bytes, BytesMut};

/// An answer under way: the length of its frame is filled in at the end.
#[derive(Debug)]
pub struct Writer {
    out: BytesMut,
    /// Bytes so far of one that counts only.
    counted: Option<usize>,
    flexible: bool,
}

impl Writer {
    /// An answer to a request of this correlation id. `flexible_header` says whether tagged fields follow the id.
    pub fn answer(correlation: i32, flexible_header: bool) -> Self {
        let mut writer = Self { out: BytesMut::with_capacity(256), counted: None, flexible: flexible_header };
        writer.i32(0);
        writer.i32(correlation);
        writer.tags();
        writer
    }

    /// Fields in the first encoding without a frame around them.
    #[cfg(test)]
    pub fn plain() -> Self {
        Self { out: BytesMut::new(), counted: None, flexible: false }
    }

    /// One that counts from now on what it would write.
    pub fn counting(mut self) -> Self {
        self.counted = Some(self.out.len());
        self
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.counted.unwrap_or(self.out.len())
    }

    fn put(&mut self, bytes: &[u8]) {
        match &mut self.counted {
            Some(counted) => *counted += bytes.len(),
            None => self.out.put_slice(bytes),
        }
    }

    /// Makes room for so many bytes at once: an answer that grows step by step takes twice what it needs.
    pub fn reserve(&mut self, bytes: usize) {
        self.out.reserve(bytes);
    }

    /// Whether lengths are compact and structures end in tagged fields.
    pub fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// The whole frame.
    pub fn into_frame(mut self) -> Bytes {
        let length = (self.out.len() - 4) as u32;
        self.out[..4].copy_from_slice(&length.to_be_bytes());
        self.out.freeze()
    }

    /// The bytes written so far.
    #[cfg(test)]
    pub fn into_bytes(self) -> Bytes {
        self.out.freeze()
    }

    pub fn i8(&mut self, value: i8) {
        self.put(&value.to_be_bytes());
    }

    pub fn i16(&mut self, value: i16) {
        self.put(&value.to_be_bytes());
    }

    pub fn i32(&mut self, value: i32) {
        self.put(&value.to_be_bytes());
    }

    pub fn i64(&mut self, value: i64) {
        self.put(&value.to_be_bytes());
    }

    pub fn bool(&mut self, value: bool) {
        self.put(&[u8::from(value)]);
    }

    /// Sixteen bytes that name something.
    pub fn uuid(&mut self, value: [u8; 16]) {
        self.put(&value);
    }

    fn length(&mut self, length: Option<usize>, short: bool) {
        match (self.flexible, short) {
            (true, _) => unsigned(length.map_or(0, |length| length as u64 + 1), |byte| self.put(&[byte])),
            (false, true) => self.i16(length.map_or(-1, |length| i16::try_from(length).unwrap_or(i16::MAX))),
            (false, false) => self.i32(length.map_or(-1, |length| i32::try_from(length).unwrap_or(i32::MAX))),
        }
    }

    pub fn nullable_string(&mut self, value: Option<&str>) {
        // No text of ours is longer than the first encoding's length can say; a client's own that is, is cut.
        let value = value.map(|text| &text[..text.floor_char_boundary(i16::MAX as usize)]);
        self.length(value.map(str::len), true);
        self.put(value.unwrap_or_default().as_bytes());
    }

    pub fn string(&mut self, value: &str) {
        self.nullable_string(Some(value));
    }

    pub fn nullable_bytes(&mut self, value: Option<&[u8]>) {
        self.length(value.map(<[u8]>::len), false);
        self.put(value.unwrap_or_default());
    }

    pub fn bytes(&mut self, value: &[u8]) {
        self.nullable_bytes(Some(value));
    }

    pub fn array<T>(&mut self, items: &[T], mut element: impl FnMut(&mut Self, &T)) {
        self.length(Some(items.len()), false);
        items.iter().for_each(|item| element(self, item));
    }

    pub fn null_array(&mut self) {
        self.length(None, false);
    }

    /// Ends a structure: no tagged fields.
    pub fn tags(&mut self) {
        if self.flexible {
            self.put(&[0]);
        }
    }
}

/// An unsigned number in seven-bit groups, low ones first.
fn unsigned(mut value: u64, mut put: impl FnMut(u8)) {
    while value >= 0x80 {
        put((value as u8) | 0x80);
        value >>= 7;
    }
    put(value as u8);
}

/// A signed number, zigzag in seven-bit groups: as the fields of a record are written.
pub fn put_varint(out: &mut BytesMut, value: i64) {
    unsigned(((value << 1) ^ (value >> 63)).cast_unsigned(), |byte| out.put_u8(byte));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Reader;

    #[test]
    fn what_is_written_reads_back_in_both_encodings() {
        let write = |writer: &mut Writer| {
            writer.string("topic");
            writer.nullable_string(None);
            writer.array(&[1, 2], |writer, item| writer.i32(*item));
            writer.nullable_bytes(None);
            writer.bytes(b"x");
            writer.tags();
        };
        for flexible in [false, true] {
            let (mut writer, mut counting) = (Writer::plain(), Writer::plain().counting());
            for writer in [&mut writer, &mut counting] {
                writer.set_flexible(flexible);
                write(writer);
            }
            assert_eq!((counting.len(), counting.into_bytes().len()), (writer.len(), 0));
            let mut reader = Reader::new(writer.into_bytes());
            reader.set_flexible(flexible);
            assert_eq!(reader.string().unwrap(), "topic");
            assert_eq!(reader.nullable_string().unwrap(), None);
            assert_eq!(reader.array(Reader::i32).unwrap(), [1, 2]);
            assert_eq!(reader.nullable_bytes().unwrap(), None);
            assert_eq!(reader.bytes().unwrap(), "x");
            reader.tags().unwrap();
            assert_eq!(reader.remaining(), 0);
        }
    }

    #[test]
    fn signed_numbers_read_back() {
        for value in [0, 1, -1, 150, -150, i64::MAX, i64::MIN] {
            let mut out = BytesMut::new();
            put_varint(&mut out, value);
            assert_eq!(Reader::new(out.freeze()).varlong(), Ok(value));
        }
    }

    #[test]
    fn a_frame_begins_with_its_length_and_the_requests_number() {
        let mut writer = Writer::answer(7, false);
        writer.i16(3);
        assert_eq!(writer.into_frame(), &[0, 0, 0, 6, 0, 0, 0, 7, 0, 3][..]);
    }
}
