//! A batch without records, for offsets at which there are none: consumers go on behind it. Compaction leaves such batches
//! too, so every client of magic 2 knows them.

use bytes::Bytes;

use super::HEAD_BYTES;
use super::encode::put_head;

/// The batch for the offsets `from..next`, or as many of them as one batch can stand for.
pub fn gap(from: u64, next: u64) -> Bytes {
    let last = next.saturating_sub(from).saturating_sub(1).min(i32::MAX.unsigned_abs().into());
    let mut batch = vec![0; HEAD_BYTES];
    // Without records there are no times either.
    put_head(&mut batch, from, last as u32, (-1, -1), 0);
    batch.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{CHECKED_FROM, LENGTH_AT, UNCOUNTED_BYTES};

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
