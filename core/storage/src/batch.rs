//! A batch as it stands in a segment's file: its head, and what the head says of the bytes behind it. Pure.
//!
//! `magic u32 | checksum u32 | base offset u64 | append time i64 | count u32 | bytes u32`, then the records. The checksum covers
//! what is behind it and the batch's place in the file: a copy of a batch elsewhere, in a record's payload for one, is none.

use bytes::{BufMut, Bytes};
use millstream_types::{Millis, RecordBatch};

use crate::frame::{checksum, checksum_of, u32_at, u64_at};

/// Bytes of a head.
pub(crate) const HEAD: usize = 32;
/// `msb2`: a batch.
const BATCH: u32 = u32::from_le_bytes(*b"msb2");
/// `msb1`: a batch whose checksum does not cover its place, as earlier versions wrote them.
const UNPLACED: u32 = u32::from_le_bytes(*b"msb1");
/// `msl1`: in the place of records that are lost. The bytes behind the head are what was there; the checksum does not cover
/// them.
const LOST: u32 = u32::from_le_bytes(*b"msl1");
/// What each of them begins with: a place where a head may begin.
const MAGIC_START: &[u8] = b"ms";

/// What stands before a batch's records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    magic: u32,
    checksum: u32,
    pub(crate) base_offset: u64,
    pub(crate) append_time: Millis,
    pub(crate) count: u32,
    bytes: u32,
}

impl Head {
    /// The head that `bytes` begin with, if they are as long as one and have its magic.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let head = bytes.get(..HEAD)?;
        let magic = u32_at(head, 0);
        matches!(magic, BATCH | UNPLACED | LOST).then(|| Self {
            magic,
            checksum: u32_at(head, 4),
            base_offset: u64_at(head, 8),
            append_time: u64_at(head, 16) as Millis,
            count: u32_at(head, 24),
            bytes: u32_at(head, 28),
        })
    }

    /// Whether the checksum covers its place, as all do but those of earlier versions.
    pub(crate) fn is_placed(&self) -> bool {
        self.magic != UNPLACED
    }

    /// The first place in `bytes` where a head may begin.
    pub(crate) fn find(bytes: &[u8]) -> Option<usize> {
        bytes.windows(MAGIC_START.len()).position(|window| window == MAGIC_START)
    }

    /// Bytes from its begin to the next one's.
    pub(crate) fn length(&self) -> u64 {
        HEAD as u64 + u64::from(self.bytes)
    }

    /// Bytes of those that the checksum covers and that have to be read.
    pub(crate) fn needed(&self) -> u64 {
        if self.magic == LOST { HEAD as u64 } else { self.length() }
    }

    /// The offset behind its records; `None` for one that no batch can have.
    pub(crate) fn next_offset(&self) -> Option<u64> {
        self.base_offset.checked_add(u64::from(self.count))
    }

    /// The batch, when its bytes match the checksum of a batch at `position`; `bytes` begin with the head and may go on
    /// behind the batch.
    pub(crate) fn batch(&self, bytes: &Bytes, position: u64) -> Option<RecordBatch> {
        let end = usize::try_from(self.needed()).ok()?;
        let covered = bytes.get(8..end)?;
        let sum = match self.magic {
            UNPLACED => checksum(covered),
            _ => checksum_of([covered, &position.to_le_bytes()]),
        };
        (sum == self.checksum).then(|| RecordBatch {
            base_offset: self.base_offset,
            count: self.count,
            append_time: self.append_time,
            bytes: bytes.slice(HEAD..end),
        })
    }
}

/// Puts a batch at the end of `into` as it stands in a file at `position`: those that follow each other, as one.
pub(crate) fn encode(batches: &[RecordBatch], position: u64, into: &mut Vec<u8>) {
    let Some(first) = batches.first() else { return };
    let start = into.len();
    into.put_u32_le(BATCH);
    into.put_u32_le(0);
    into.put_u64_le(first.base_offset);
    into.put_i64_le(first.append_time);
    into.put_u32_le(batches.iter().map(|batch| batch.count).sum());
    into.put_u32_le(batches.iter().map(|batch| batch.bytes.len() as u32).sum());
    for batch in batches {
        into.extend_from_slice(&batch.bytes);
    }
    seal(&mut into[start..], position);
}

/// The head in the place of lost records that stood at `position`; `bytes` of what was there follow it.
pub(crate) fn lost_head(lost: &RecordBatch, bytes: u32, position: u64) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD);
    head.put_u32_le(LOST);
    head.put_u32_le(0);
    head.put_u64_le(lost.base_offset);
    head.put_i64_le(lost.append_time);
    head.put_u32_le(lost.count);
    head.put_u32_le(bytes);
    seal(&mut head, position);
    head
}

fn seal(batch: &mut [u8], position: u64) {
    let sum = checksum_of([&batch[8..], &position.to_le_bytes()]);
    batch[4..8].copy_from_slice(&sum.to_le_bytes());
}
