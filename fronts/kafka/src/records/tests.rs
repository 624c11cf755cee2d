//! Batches for the tests of this folder.

use bytes::Bytes;

use super::{BatchWriter, CHECKED_FROM, HEAD_BYTES, LENGTH_AT, MAGIC, RecordBytes, UNCOUNTED_BYTES, checksum};
use crate::records::compression::tests::packed;

/// A record with a key and headers, without a value.
pub fn record(time: i64) -> RecordBytes {
    RecordBytes {
        time: Some(time),
        key: Some("k".into()),
        value: None,
        headers: vec![("h".into(), None), ("h".into(), Some("v".into()))],
    }
}

/// One batch of records that say their times.
pub fn batch(records: &[RecordBytes]) -> Bytes {
    let mut writer = BatchWriter::default();
    for (offset, record) in (7..).zip(records) {
        let headers = record.headers.iter().map(|(name, value)| (&name[..], value.as_deref()));
        writer.push((offset, record.time.unwrap()), record.key.as_deref(), record.value.as_deref(), headers);
    }
    writer.finish()
}

/// The same, compressed.
pub fn packed_batch(codec: u8, records: &[RecordBytes]) -> Vec<u8> {
    let plain = batch(records);
    let mut bytes = plain[..HEAD_BYTES].to_vec();
    bytes.extend_from_slice(&packed(codec, &plain[HEAD_BYTES..]));
    bytes[CHECKED_FROM + 1] |= codec;
    mend(&mut bytes);
    bytes
}

/// Makes the version, the length and the checksum of a batch right.
pub fn mend(batch: &mut [u8]) {
    if batch.len() < HEAD_BYTES {
        return;
    }
    let length = (batch.len() - UNCOUNTED_BYTES) as u32;
    batch[LENGTH_AT..LENGTH_AT + 4].copy_from_slice(&length.to_be_bytes());
    batch[LENGTH_AT + 8] = MAGIC.cast_unsigned();
    let checksum = checksum(&batch[CHECKED_FROM..]);
    batch[CHECKED_FROM - 4..CHECKED_FROM].copy_from_slice(&checksum.to_be_bytes());
}
