//! Records since the last object: only their extent is kept, they are read again when the object is written. Pure.

use std::collections::BTreeMap;

use millstream_types::{Millis, RecordView};

/// The least that a shard may bring at its turn, so that small buffers over many shards do not read record by record.
const SHARE_BYTES_MIN: u64 = 64 << 10;

/// What an object that is not yet due would hold.
#[derive(Default)]
pub(crate) struct Buffer {
    /// Bytes of payloads.
    pub(crate) bytes: u64,
    /// When its oldest record came.
    pub(crate) first: Option<Millis>,
    /// Where each log's next record is.
    pub(crate) ends: BTreeMap<u64, u64>,
}

impl Buffer {
    /// Takes records of a log until they have `most` bytes, at least one; whether there was any.
    pub(crate) fn take<'r>(&mut self, log: u64, records: impl Iterator<Item = RecordView<'r>>, most: u64) -> bool {
        let begin = self.bytes;
        let mut any = false;
        for record in records {
            if any && self.bytes - begin >= most {
                break;
            }
            self.bytes += record.data.len() as u64;
            self.first = Some(self.first.map_or(record.append_time, |first| first.min(record.append_time)));
            self.ends.insert(log, record.offset + 1);
            any = true;
        }
        any
    }

    /// Goes on behind records that are gone; the buffer is due as if it held one that came now.
    pub(crate) fn pass(&mut self, log: u64, next: u64, now: Millis) {
        self.ends.insert(log, next);
        self.first.get_or_insert(now);
    }
}

/// What one of so many shards may bring at its turn to a buffer of `full` bytes.
pub(crate) fn share(full: u64, shards: usize) -> u64 {
    (full / shards.max(1) as u64).max(SHARE_BYTES_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(offset: u64, append_time: Millis) -> RecordView<'static> {
        RecordView { offset, append_time, partition_key: b"", headers: b"", data: b"12345678" }
    }

    #[test]
    fn a_shard_brings_its_share_and_the_oldest_record_counts() {
        let mut buffer = Buffer::default();
        assert!(buffer.take(7, (3..100).map(|n| record(n, 50)), 24));
        assert!(buffer.take(8, [record(0, 40), record(1, 60)].into_iter(), 1_000));
        assert!(!buffer.take(9, std::iter::empty(), 1_000));
        assert_eq!((buffer.bytes, buffer.first), (40, Some(40)));
        assert_eq!(buffer.ends, BTreeMap::from([(7, 6), (8, 2)]));
        assert!(buffer.take(7, (6..100).map(|n| record(n, 50)), 0), "at least one");
        assert_eq!(buffer.ends[&7], 7);
    }

    #[test]
    fn what_is_gone_is_passed() {
        let mut buffer = Buffer::default();
        buffer.pass(7, 10, 99);
        assert_eq!((buffer.bytes, buffer.first, buffer.ends[&7]), (0, Some(99), 10));
    }

    #[test]
    fn shares_add_up_to_the_buffer_unless_they_would_be_tiny() {
        assert_eq!(share(128 << 20, 4), 32 << 20);
        assert_eq!(share(1 << 20, 500), SHARE_BYTES_MIN);
    }
}
