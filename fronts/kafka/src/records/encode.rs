//! Batches for consumers, not compressed.

use bytes::{BufMut as _, Bytes};

use super::{CHECKED_FROM, HEAD_BYTES, LENGTH_AT, MAGIC, UNCOUNTED_BYTES, checksum};
use crate::wire::{put_varint, varint_bytes};

/// The longest that a number takes.
const VARINT_BYTES_MAX: usize = 10;

/// Writes batches, one behind the other: records that are neighbours share one.
#[derive(Debug, Default)]
pub struct BatchWriter {
    out: Vec<u8>,
    open: Option<Open>,
}

/// The batch that records are added to.
#[derive(Debug)]
struct Open {
    begins: usize,
    base_offset: u64,
    base_time: i64,
    time_max: i64,
    count: u32,
}

impl BatchWriter {
    /// One with room for `bytes` of batches.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { out: Vec::with_capacity(bytes), open: None }
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Adds a record. `headers` are given in their order.
    pub fn push<'r>(
        &mut self,
        (offset, time): (u64, i64),
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = (&'r [u8], Option<&'r [u8]>)> + Clone,
    ) {
        if self.open.as_ref().is_some_and(|open| open.base_offset + u64::from(open.count) != offset) {
            self.close();
        }
        let begins = self.out.len();
        let open = self.open.get_or_insert_with(|| {
            self.out.resize(begins + HEAD_BYTES, 0);
            Open { begins, base_offset: offset, base_time: time, time_max: time, count: 0 }
        });
        // Any two times may be neighbours; readers add it with the same overflow.
        let time_delta = time.wrapping_sub(open.base_time);
        let offset_delta = i64::from(open.count);
        // A record begins with its length: it is added up first, rather than written elsewhere and copied.
        let (mut named, mut named_bytes) = (0, 0);
        for (name, value) in headers.clone() {
            named += 1;
            named_bytes += sized_bytes(Some(name)) + sized_bytes(value);
        }
        let places = varint_bytes(time_delta) + varint_bytes(offset_delta) + varint_bytes(named);
        let length = 1 + places + sized_bytes(key) + sized_bytes(value) + named_bytes;
        let out = &mut self.out;
        out.reserve(length + VARINT_BYTES_MAX);
        put_varint(out, length as i64);
        out.push(0);
        put_varint(out, time_delta);
        put_varint(out, offset_delta);
        put_sized(out, key);
        put_sized(out, value);
        put_varint(out, named);
        for (name, value) in headers {
            put_sized(out, Some(name));
            put_sized(out, value);
        }
        open.count += 1;
        open.time_max = open.time_max.max(time);
    }

    /// All batches.
    pub fn finish(mut self) -> Bytes {
        self.close();
        self.out.into()
    }

    /// Fills in the head of the batch that is open.
    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let Open { begins, base_offset, base_time, time_max, count } = open;
        put_head(&mut self.out[begins..], base_offset, count - 1, (base_time, time_max), count);
    }
}

/// Fills in the head in front of a batch's records; its times are those of the first record and the latest.
pub(super) fn put_head(batch: &mut [u8], base_offset: u64, last_delta: u32, times: (i64, i64), count: u32) {
    let length = (batch.len() - UNCOUNTED_BYTES) as u32;
    let mut head = &mut batch[..HEAD_BYTES];
    head.put_u64(base_offset);
    head.put_u32(length);
    head.put_i32(0);
    head.put_i8(MAGIC);
    head.put_u32(0);
    head.put_i16(0);
    head.put_u32(last_delta);
    head.put_i64(times.0);
    head.put_i64(times.1);
    // No producer: what was one batch of a producer need not be one here.
    head.put_i64(-1);
    head.put_i16(-1);
    head.put_i32(-1);
    head.put_u32(count);
    let checksum = checksum(&batch[CHECKED_FROM..]);
    batch[CHECKED_FROM - 4..CHECKED_FROM].copy_from_slice(&checksum.to_be_bytes());
    debug_assert_eq!(batch[LENGTH_AT..LENGTH_AT + 4], length.to_be_bytes());
}

fn put_sized(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    put_varint(out, bytes.map_or(-1, |bytes| bytes.len() as i64));
    out.extend_from_slice(bytes.unwrap_or_default());
}

/// What [`put_sized`] writes, in bytes.
fn sized_bytes(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |bytes| varint_bytes(bytes.len() as i64) + bytes.len())
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;
    use crate::records::tests::{batch, mend, record};
    use crate::records::{BatchError, RecordBytes};

    fn decode(bytes: Bytes) -> Result<Vec<RecordBytes>, BatchError> {
        crate::records::decode(bytes, 1 << 20)?.records().collect()
    }

    #[test]
    fn what_is_written_reads_back() {
        let records = [record(5), RecordBytes { key: None, value: Some("v".into()), ..record(3) }];
        assert_eq!(decode(batch(&records)).unwrap(), records);
        let far = [record(i64::MAX), record(-2), record(i64::MIN)];
        assert_eq!(decode(batch(&far)).unwrap(), far);
    }

    #[test]
    fn a_gap_begins_another_batch() {
        let mut writer = BatchWriter::default();
        for offset in [1, 2, 9] {
            writer.push((offset, 0), None, Some(b"v"), std::iter::empty());
        }
        let bytes = writer.finish();
        let first = u32::from_be_bytes(bytes[LENGTH_AT..LENGTH_AT + 4].try_into().unwrap()) as usize + UNCOUNTED_BYTES;
        assert_eq!(decode(bytes.slice(..first)).unwrap().len(), 2);
        assert_eq!(bytes.slice(first..first + 8), 9u64.to_be_bytes()[..]);
        assert_eq!(decode(bytes), Err(BatchError::Records), "one batch at a time");
    }

    proptest! {
        #[test]
        fn damage_is_seen_and_nothing_panics(at in 0usize..90, byte: u8, cut in 0usize..90) {
            let good = batch(&[record(5), record(6)]);
            let mut bytes = good.to_vec();
            let at = at % bytes.len();
            bytes[at] = byte;
            // The offset and the leader's epoch are not covered by the checksum; brokers set them.
            let covered = !(0..8).contains(&at) && !(12..16).contains(&at);
            prop_assert_eq!(decode(bytes.into()).is_err(), covered && good[at] != byte);
            prop_assert!(decode(good.slice(..cut % good.len())).is_err());
        }

        #[test]
        fn any_bytes_behind_a_right_checksum_do_no_harm(tail: Vec<u8>, count in -1i32..4, attributes in 0i16..8) {
            let mut bytes = BytesMut::new();
            bytes.put_bytes(0, CHECKED_FROM);
            bytes.put_i16(attributes);
            bytes.put_i32(count - 1);
            bytes.put_bytes(0, 16);
            bytes.put_bytes(0xff, 14);
            bytes.put_i32(count);
            bytes.put_slice(&tail);
            let mut bytes = bytes.to_vec();
            mend(&mut bytes);
            let _ = decode(bytes.into());
        }
    }
}
