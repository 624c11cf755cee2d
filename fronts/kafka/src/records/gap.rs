//! A batch without records, for offsets at which there are none: consumers go on behind it. Compaction leaves such batches
//! too, so every client of magic 2 knows them.

use bytes::{BufMut as _, BytesMut};

use super::{CHECKED_FROM, HEAD_BYTES, MAGIC, UNCOUNTED_BYTES, checksum};

/// The batch for the offsets `from..next`, or as many of them as one batch can stand for.
pub fn gap(from: u64, next: u64) -> BytesMut {
    let last = i32::try_from(next.saturating_sub(from).saturating_sub(1)).unwrap_or(i32::MAX);
    let mut batch = BytesMut::with_capacity(HEAD_BYTES);
    batch.put_u64(from);
    batch.put_u32((HEAD_BYTES - UNCOUNTED_BYTES) as u32);
    batch.put_i32(0);
    batch.put_i8(MAGIC);
    batch.put_u32(0);
    batch.put_i16(0);
    batch.put_i32(last);
    // Neither times nor a producer.
    batch.put_i64(-1);
    batch.put_i64(-1);
    batch.put_i64(-1);
    batch.put_i16(-1);
    batch.put_i32(-1);
    batch.put_u32(0);
    let checksum = checksum(&batch[CHECKED_FROM..]);
    batch[CHECKED_FROM - 4..CHECKED_FROM].copy_from_slice(&checksum.to_be_bytes());
    batch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::LENGTH_AT;

    #[test]
    fn it_says_which_offsets_it_stands_for() {
        for (from, next, last) in [(7, 9, 1), (0, 1, 0), (5, u64::MAX, i32::MAX)] {
            let batch = gap(from, next);
            let length = u32::from_be_bytes(batch[LENGTH_AT..LENGTH_AT + 4].try_into().unwrap()) as usize;
            assert_eq!((batch.len(), length + UNCOUNTED_BYTES), (HEAD_BYTES, HEAD_BYTES));
            assert_eq!(batch[..8], from.to_be_bytes());
            assert_eq!(batch[CHECKED_FROM + 2..CHECKED_FROM + 6], last.to_be_bytes());
            assert_eq!(batch[HEAD_BYTES - 4..], [0; 4], "no records");
        }
    }
}
