//! One transaction as bytes of the journal.
//!
//! `head (64) | placements (8 each append) | meta | records of each append | padding to 8`. The head's checksum covers the
//! placements and the body's checksum, so the frame is whole or it is not. The body (meta and records) does not depend on
//! the frame's place, hence its checksum is computed before the transaction is ordered.
//!
//! | at | head | |
//! |---|---|---|
//! | 0 | magic | `u32` |
//! | 4 | checksum of bytes 8 to the end of the placements | `u32`, CRC-32C |
//! | 8 | epoch: the number of the journal file | `u64` |
//! | 16 | lsn | `u64` |
//! | 24 | synced lsn: transactions up to here were durable when this was written | `u64` |
//! | 32 | append time, ms | `i64` |
//! | 40 | the checksum in the head before (of the file header for the first) | `u32` |
//! | 44 | checksum of the body | `u32`, CRC-32C |
//! | 48 | bytes of the body | `u32` |
//! | 52 | bytes of meta | `u32` |
//! | 56 | appends | `u32` |
//! | 60 | zero | `u32` |
//!
//! All integers are little-endian.

use bytes::{BufMut, Bytes};
use crc_fast::{CrcAlgorithm, Digest};
use millstream_types::{LogId, Millis};

use crate::transaction::{Append, Keyspace, Transaction, Write};

/// Bytes of a head.
pub(crate) const HEAD: usize = 64;
/// `mst1`: what a frame begins with.
pub(crate) const MAGIC: u32 = u32::from_le_bytes(*b"mst1");
/// The length that stands for "deleted".
const NO_VALUE: u32 = u32::MAX;

/// The checksum of everything on disk.
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// The same over parts that follow each other.
pub(crate) fn checksum_of(parts: [&[u8]; 2]) -> u32 {
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize() as u32
}

/// Records of one append, encoded.
#[derive(Debug, Clone)]
pub(crate) struct Records {
    pub(crate) log: LogId,
    pub(crate) count: u32,
    pub(crate) bytes: Bytes,
}

/// A transaction's changes, ready for the journal.
#[derive(Debug, Default)]
pub(crate) struct Body {
    pub(crate) appends: Vec<Records>,
    pub(crate) writes: Vec<Write>,
    pub(crate) trims: Vec<(LogId, u64)>,
    pub(crate) dropped_logs: Vec<LogId>,
    pub(crate) dropped_keyspaces: Vec<Keyspace>,
    meta: Vec<u8>,
    checksum: u32,
    length: usize,
}

/// Where a frame stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) epoch: u64,
    pub(crate) lsn: u64,
    pub(crate) synced_lsn: u64,
    pub(crate) append_time: Millis,
    pub(crate) previous: u32,
}

impl Body {
    /// Encodes what does not depend on the place.
    pub(crate) fn new(transaction: Transaction) -> Self {
        let freeze = |Append { log, records }| {
            let (bytes, count) = records.freeze();
            Records { log, count, bytes }
        };
        let mut body = Self {
            appends: transaction.appends.into_iter().map(freeze).collect(),
            writes: transaction.writes,
            trims: transaction.trims,
            dropped_logs: transaction.dropped_logs,
            dropped_keyspaces: transaction.dropped_keyspaces,
            ..Self::default()
        };
        body.meta = encode_meta(&body);
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        digest.update(&body.meta);
        body.length = body.meta.len();
        for append in &body.appends {
            digest.update(&append.bytes);
            body.length += append.bytes.len();
        }
        body.checksum = digest.finalize() as u32;
        body
    }

    /// Bytes of the whole frame.
    pub(crate) fn frame_bytes(&self) -> usize {
        (HEAD + 8 * self.appends.len() + self.length).next_multiple_of(8)
    }

    /// Writes the frame behind `buffer`; gives the head's checksum, which the next frame repeats.
    pub(crate) fn write(&self, place: Place, base_offsets: &[u64], buffer: &mut Vec<u8>) -> u32 {
        let start = buffer.len();
        buffer.reserve(self.frame_bytes());
        buffer.put_u32_le(MAGIC);
        buffer.put_u32_le(0);
        buffer.put_u64_le(place.epoch);
        buffer.put_u64_le(place.lsn);
        buffer.put_u64_le(place.synced_lsn);
        buffer.put_i64_le(place.append_time);
        buffer.put_u32_le(place.previous);
        buffer.put_u32_le(self.checksum);
        buffer.put_u32_le(self.length as u32);
        buffer.put_u32_le(self.meta.len() as u32);
        buffer.put_u32_le(self.appends.len() as u32);
        buffer.put_u32_le(0);
        base_offsets.iter().for_each(|&offset| buffer.put_u64_le(offset));
        let head_checksum = checksum(&buffer[start + 8..]);
        buffer[start + 4..start + 8].copy_from_slice(&head_checksum.to_le_bytes());
        buffer.extend_from_slice(&self.meta);
        for append in &self.appends {
            buffer.extend_from_slice(&append.bytes);
        }
        buffer.resize(start + self.frame_bytes(), 0);
        head_checksum
    }
}

fn encode_meta(body: &Body) -> Vec<u8> {
    let key_bytes = |write: &Write| write.key.len() + write.value.as_ref().map_or(0, Bytes::len) + 264;
    let mut meta = Vec::with_capacity(20 + 16 * body.appends.len() + body.writes.iter().map(key_bytes).sum::<usize>());
    meta.put_u32_le(body.appends.len() as u32);
    for append in &body.appends {
        meta.put_u64_le(append.log.0);
        meta.put_u32_le(append.count);
        meta.put_u32_le(append.bytes.len() as u32);
    }
    meta.put_u32_le(body.writes.len() as u32);
    for write in &body.writes {
        put_bytes(&mut meta, write.keyspace.name().as_bytes());
        put_bytes(&mut meta, &write.key);
        match &write.value {
            Some(value) => put_bytes(&mut meta, value),
            None => meta.put_u32_le(NO_VALUE),
        }
    }
    meta.put_u32_le(body.trims.len() as u32);
    for (log, first) in &body.trims {
        meta.put_u64_le(log.0);
        meta.put_u64_le(*first);
    }
    meta.put_u32_le(body.dropped_logs.len() as u32);
    body.dropped_logs.iter().for_each(|log| meta.put_u64_le(log.0));
    meta.put_u32_le(body.dropped_keyspaces.len() as u32);
    body.dropped_keyspaces.iter().for_each(|keyspace| put_bytes(&mut meta, keyspace.name().as_bytes()));
    meta
}

fn put_bytes(meta: &mut Vec<u8>, bytes: &[u8]) {
    meta.put_u32_le(bytes.len() as u32);
    meta.extend_from_slice(bytes);
}

/// A frame read back.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) place: Place,
    pub(crate) head_checksum: u32,
    pub(crate) base_offsets: Vec<u64>,
    pub(crate) body: Body,
    /// Bytes it takes in the journal.
    pub(crate) length: usize,
}

/// The place and whole length of the frame whose head begins at `position`, when the head is sound.
pub(crate) fn read_head(journal: &[u8], position: usize) -> Option<(Place, usize)> {
    let head = journal.get(position..position + HEAD)?;
    if u32_at(head, 0) != MAGIC {
        return None;
    }
    let placements = 8 * u32_at(head, 56) as usize;
    let covered = journal.get(position + 8..(position + HEAD).checked_add(placements)?)?;
    if checksum(covered) != u32_at(head, 4) {
        return None;
    }
    let place = Place {
        epoch: u64_at(head, 8),
        lsn: u64_at(head, 16),
        synced_lsn: u64_at(head, 24),
        append_time: u64_at(head, 32) as Millis,
        previous: u32_at(head, 40),
    };
    Some((place, (HEAD + placements + u32_at(head, 48) as usize).next_multiple_of(8)))
}

/// The frame at `position`, when every byte of it is sound.
pub(crate) fn read(journal: &Bytes, position: usize) -> Option<Frame> {
    let (place, length) = read_head(journal, position)?;
    let head = &journal[position..position + HEAD];
    let body_start = position + HEAD + 8 * u32_at(head, 56) as usize;
    let body_end = body_start + u32_at(head, 48) as usize;
    if body_end > journal.len() || checksum(&journal[body_start..body_end]) != u32_at(head, 44) {
        return None;
    }
    let base_offsets =
        journal[position + HEAD..body_start].chunks_exact(8).map(|offset| u64_at(offset, 0)).collect::<Vec<_>>();
    let meta_length = u32_at(head, 52) as usize;
    let body = decode_body(&journal.slice(body_start..body_end), meta_length)?;
    (body.appends.len() == base_offsets.len()).then(|| Frame {
        place,
        head_checksum: u32_at(head, 4),
        base_offsets,
        body,
        length,
    })
}

fn decode_body(bytes: &Bytes, meta_length: usize) -> Option<Body> {
    let mut meta = Meta(bytes.get(..meta_length)?);
    let mut records_start = meta_length;
    let mut body = Body { length: bytes.len(), ..Body::default() };
    for _ in 0..meta.u32()? {
        let (log, count, length) = (LogId(meta.u64()?), meta.u32()?, meta.u32()? as usize);
        let records_end = records_start.checked_add(length).filter(|&end| end <= bytes.len())?;
        body.appends.push(Records { log, count, bytes: Bytes::copy_from_slice(&bytes[records_start..records_end]) });
        records_start = records_end;
    }
    for _ in 0..meta.u32()? {
        let keyspace = meta.keyspace()?;
        let key = meta.bytes()?;
        let value = if meta.peek_u32()? == NO_VALUE {
            meta.u32()?;
            None
        } else {
            Some(meta.bytes()?)
        };
        body.writes.push(Write { keyspace, key, value });
    }
    for _ in 0..meta.u32()? {
        body.trims.push((LogId(meta.u64()?), meta.u64()?));
    }
    for _ in 0..meta.u32()? {
        body.dropped_logs.push(LogId(meta.u64()?));
    }
    for _ in 0..meta.u32()? {
        body.dropped_keyspaces.push(meta.keyspace()?);
    }
    Some(body)
}

/// A reader of meta. Every length is checked: meta that passed its checksum and still ends early is damaged too.
struct Meta<'a>(&'a [u8]);

impl Meta<'_> {
    fn peek_u32(&self) -> Option<u32> {
        self.0.get(..4).map(|bytes| u32_at(bytes, 0))
    }

    fn u32(&mut self) -> Option<u32> {
        let value = self.peek_u32()?;
        self.0 = &self.0[4..];
        Some(value)
    }

    fn u64(&mut self) -> Option<u64> {
        let (bytes, rest) = self.0.split_at_checked(8)?;
        self.0 = rest;
        Some(u64_at(bytes, 0))
    }

    fn slice(&mut self) -> Option<&[u8]> {
        let length = self.u32()? as usize;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn bytes(&mut self) -> Option<Bytes> {
        self.slice().map(Bytes::copy_from_slice)
    }

    fn keyspace(&mut self) -> Option<Keyspace> {
        std::str::from_utf8(self.slice()?).ok().map(Keyspace::new)
    }
}

/// The integer at a place that the caller knows to be inside.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes were asked for"))
}

/// The integer at a place that the caller knows to be inside.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were asked for"))
}
