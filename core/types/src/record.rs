//! Records and the one encoding they have in memory, in the journal, in segments and on the way to a query.
//!
//! A batch is encoded once, when it arrives, and afterwards only shared: `Bytes` slices of the same buffer serve the
//! journal, tailing readers and decoders. Never parses a payload.
//!
//! A record is `varint(key length) key varint(headers length) headers varint(data length) data`; a batch is its records
//! one after the other. Offsets and the append time belong to the batch: record `i` has offset `base_offset + i`.

use bytes::{BufMut, Bytes, BytesMut};

use crate::time::Millis;

/// One append-only log of the storage engine: a shard of a stream, or a system log. Never reused after deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogId(pub u64);

/// A record on its own, sharing its batch's buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Position in the log; rises by one from record to record.
    pub offset: u64,
    /// When the log took it.
    pub append_time: Millis,
    /// The producer's partition key, UTF-8 as the protocols demand (kept as bytes; empty when none was given).
    pub partition_key: Bytes,
    /// Protocol properties in the writing front's own encoding; empty when none.
    pub headers: Bytes,
    /// The payload as it came.
    pub data: Bytes,
}

/// A record as a borrowed look into a batch: what hot loops use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordView<'a> {
    /// Position in the log.
    pub offset: u64,
    /// When the log took it.
    pub append_time: Millis,
    /// The producer's partition key.
    pub partition_key: &'a [u8],
    /// Protocol properties, see [`Record::headers`].
    pub headers: &'a [u8],
    /// The payload.
    pub data: &'a [u8],
}

/// Records encoded for appending, not yet placed in a log.
#[derive(Debug, Clone, Default)]
pub struct EncodedRecords {
    buffer: BytesMut,
    count: u32,
}

impl EncodedRecords {
    /// An empty batch with room for `bytes` of keys and payloads.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { buffer: BytesMut::with_capacity(bytes), count: 0 }
    }

    /// Adds one record.
    pub fn push(&mut self, partition_key: &[u8], headers: &[u8], data: &[u8]) {
        self.buffer.reserve(partition_key.len() + headers.len() + data.len() + 15);
        for part in [partition_key, headers, data] {
            put_varint(&mut self.buffer, part.len() as u64);
            self.buffer.put_slice(part);
        }
        self.count += 1;
    }

    /// Records so far.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Encoded bytes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing was pushed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The encoded bytes, to be placed.
    #[must_use]
    pub fn freeze(self) -> (Bytes, u32) {
        (self.buffer.freeze(), self.count)
    }
}

/// Records that have their place in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBatch {
    /// Offset of the first record.
    pub base_offset: u64,
    /// Records in the batch.
    pub count: u32,
    /// When the log took the batch; never falls from batch to batch of a log.
    pub append_time: Millis,
    /// The records, encoded.
    pub bytes: Bytes,
}

impl RecordBatch {
    /// Stands for records that are lost: they are counted, so that all others keep their offsets, but none of them is there.
    #[must_use]
    pub fn lost(base_offset: u64, count: u32, append_time: Millis) -> Self {
        Self { base_offset, count, append_time, bytes: Bytes::new() }
    }

    /// Whether it stands for records that are lost. One that is there takes three bytes at least.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The offset behind the last record.
    #[must_use]
    pub fn next_offset(&self) -> u64 {
        self.base_offset + u64::from(self.count)
    }

    /// Looks at each record in turn. Stops early at bytes that are no record: callers that read from a disk verified
    /// the checksum before, so that cannot be seen outside a defect of ours.
    pub fn iter(&self) -> impl Iterator<Item = RecordView<'_>> {
        let mut rest: &[u8] = &self.bytes;
        (0..self.count).map_while(move |index| {
            let partition_key = take_part(&mut rest)?;
            let headers = take_part(&mut rest)?;
            let data = take_part(&mut rest)?;
            Some(RecordView {
                offset: self.base_offset + u64::from(index),
                append_time: self.append_time,
                partition_key,
                headers,
                data,
            })
        })
    }

    /// The records as values that share this batch's buffer.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        self.iter().map(|view| self.share(view))
    }

    /// One view as a value that shares this batch's buffer.
    #[must_use]
    pub fn share(&self, view: RecordView<'_>) -> Record {
        Record {
            offset: view.offset,
            append_time: view.append_time,
            partition_key: self.bytes.slice_ref(view.partition_key),
            headers: self.bytes.slice_ref(view.headers),
            data: self.bytes.slice_ref(view.data),
        }
    }
}

/// LEB128, as in many log formats: seven bits a byte, low bits first.
fn put_varint(buffer: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        buffer.put_u8((value as u8) | 0x80);
        value >>= 7;
    }
    buffer.put_u8(value as u8);
}

/// Takes a part with its length off the front. Nearly all lengths are one byte.
#[inline]
fn take_part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = match rest.split_first()? {
        (&length @ ..0x80, tail) => {
            *rest = tail;
            usize::from(length)
        }
        _ => take_varint(rest)?,
    };
    let (part, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(part)
}

fn take_varint(rest: &mut &[u8]) -> Option<usize> {
    let mut value: u64 = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return usize::try_from(value).ok();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_gives_back_what_was_pushed() {
        let long = vec![7u8; 70_000];
        let mut encoded = EncodedRecords::default();
        encoded.push(b"MSFT", b"", b"{}");
        encoded.push("\u{e4}".as_bytes(), b"h", &long);
        let (bytes, count) = encoded.freeze();
        let batch = RecordBatch { base_offset: 40, count, append_time: 5, bytes };
        let records: Vec<Record> = batch.records().collect();
        assert_eq!(records.len(), 2);
        assert_eq!((records[0].offset, &records[0].data[..]), (40, &b"{}"[..]));
        assert_eq!((records[1].offset, records[1].data.len(), &records[1].headers[..]), (41, 70_000, &b"h"[..]));
        assert_eq!(batch.next_offset(), 42);
    }

    #[test]
    fn lost_records_have_offsets_only() {
        let lost = RecordBatch::lost(7, u32::MAX, 3);
        assert!(lost.is_lost() && !RecordBatch { bytes: Bytes::from_static(&[0; 3]), ..lost.clone() }.is_lost());
        assert_eq!((lost.iter().count(), lost.next_offset()), (0, 7 + u64::from(u32::MAX)));
    }

    #[test]
    fn damaged_bytes_end_the_iteration() {
        let batch = RecordBatch { base_offset: 0, count: 3, append_time: 0, bytes: Bytes::from_static(&[200, 1, 2]) };
        assert_eq!(batch.iter().count(), 0);
    }
}
