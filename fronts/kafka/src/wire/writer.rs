//! Writing an answer's fields.

use bytes::{BufMut as _, Bytes, BytesMut};

/// From so many bytes on it costs less to hand bytes on as they are than to copy them into an answer.
const SHARED_FROM: usize = 4 << 10;

/// An answer under way: the length of its frame is filled in at the end.
#[derive(Debug)]
pub struct Writer {
    out: BytesMut,
    /// What stands in front of `out`: fields, and behind each of them bytes that are shared.
    front: Vec<(BytesMut, Bytes)>,
    /// Bytes so far of one that counts only.
    counted: Option<usize>,
    flexible: bool,
}

impl Writer {
    /// An answer to a request of this correlation id. `flexible_header` says whether tagged fields follow the id.
    pub fn answer(correlation: i32, flexible_header: bool) -> Self {
        let out = BytesMut::with_capacity(256);
        let mut writer = Self { out, front: Vec::new(), counted: None, flexible: flexible_header };
        writer.i32(0);
        writer.i32(correlation);
        writer.tags();
        writer
    }

    /// Fields in the first encoding without a frame around them.
    #[cfg(test)]
    pub fn plain() -> Self {
        Self { out: BytesMut::new(), front: Vec::new(), counted: None, flexible: false }
    }

    /// One that counts from now on what it would write.
    pub fn counting(mut self) -> Self {
        self.counted = Some(self.len());
        self
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        let front = || self.front.iter().map(|(fields, shared)| fields.len() + shared.len()).sum::<usize>();
        self.counted.unwrap_or_else(|| front() + self.out.len())
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

    /// The whole frame, in pieces that follow each other.
    pub fn into_frame(mut self) -> Vec<Bytes> {
        let length = (self.len() - 4) as u32;
        let first = self.front.first_mut().map_or(&mut self.out, |(fields, _)| fields);
        first[..4].copy_from_slice(&length.to_be_bytes());
        let front = self.front.into_iter().flat_map(|(fields, shared)| [fields.freeze(), shared]);
        front.chain([self.out.freeze()]).collect()
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

    /// As [`Writer::bytes`]; many bytes are shared and not copied.
    pub fn shared(&mut self, value: Bytes) {
        if value.len() < SHARED_FROM || self.counted.is_some() {
            return self.bytes(&value);
        }
        self.length(Some(value.len()), false);
        self.front.push((self.out.split(), value));
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
pub fn put_varint(out: &mut Vec<u8>, value: i64) {
    unsigned(zigzag(value), |byte| out.push(byte));
}

/// What [`put_varint`] writes, in bytes.
pub fn varint_bytes(value: i64) -> usize {
    let bits = u64::BITS - (zigzag(value) | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
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
        for value in [0, 1, -1, 63, 64, -64, -65, 150, -150, 8_191, 8_192, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(varint_bytes(value), out.len(), "{value}");
            assert_eq!(Reader::new(out.into()).varlong(), Ok(value));
        }
    }

    #[test]
    fn a_frame_begins_with_its_length_and_the_requests_number() {
        let mut writer = Writer::answer(7, false);
        writer.i16(3);
        assert_eq!(writer.into_frame(), [&[0, 0, 0, 6, 0, 0, 0, 7, 0, 3][..]]);
    }

    #[test]
    fn shared_bytes_stand_where_copied_ones_would() {
        let (few, many) = (Bytes::from(vec![1; SHARED_FROM - 1]), Bytes::from(vec![2; SHARED_FROM]));
        for flexible in [false, true] {
            let write = |put: fn(&mut Writer, &Bytes)| {
                let mut writer = Writer::answer(7, flexible);
                for bytes in [&many, &few, &many] {
                    writer.i8(9);
                    put(&mut writer, bytes);
                }
                writer.tags();
                let length = writer.len();
                let frame = writer.into_frame();
                assert_eq!(frame.concat().len(), length);
                frame
            };
            let (copied, shared) =
                (write(|out, bytes| out.bytes(bytes)), write(|out, bytes| out.shared(bytes.clone())));
            assert_eq!(shared.concat(), copied.concat());
            assert_eq!((copied.len(), shared.len()), (1, 5));
            assert_eq!(shared[1].as_ptr(), many.as_ptr());
        }
    }
}
