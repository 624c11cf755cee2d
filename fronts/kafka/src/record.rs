//! A produced record as a record of the log, and back.
//!
//! A key that is text and no longer than partition keys are is the partition key, so that every protocol sees it; any other is
//! kept with the properties. What is
//! in the log by another protocol has its partition key as the key, and the append time as its time.

use bytes::Bytes;
use millstream_namespace::partition;
use millstream_types::{EncodedRecords, Properties, PropertiesView, RecordBatch, RecordView};

use crate::records::{BatchError, BatchWriter, ProducedBatch, RecordBytes};
use crate::service::Kafka;

/// Bytes of one record's key, value and headers together: what the other protocols carry too.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// Bytes that a record takes in the log beside its own, most often.
const OVERHEAD_BYTES: usize = 32;

/// Encodes a batch's records for the log, into at most `room` bytes.
pub fn to_log(batch: ProducedBatch, room: usize) -> Result<EncodedRecords, BatchError> {
    let wanted = batch.len() + batch.count() * OVERHEAD_BYTES;
    let mut encoded = EncodedRecords::with_capacity(wanted.min(room));
    let mut headers = Vec::new();
    for record in batch.records() {
        let record = record?;
        if size(&record) > RECORD_BYTES_MAX {
            return Err(BatchError::TooLarge);
        }
        let RecordBytes { time, key, value, headers: named } = record;
        let fits = |key: &Bytes| std::str::from_utf8(key).is_ok_and(|text| partition::check_key(text).is_ok());
        let is_text = |key: &Bytes| !key.is_empty() && fits(key);
        let (text, other) = match key {
            Some(key) if is_text(&key) => (key, None),
            other => (Bytes::new(), other),
        };
        headers.clear();
        Properties { time, key: other, no_data: value.is_none(), text: false, named }.encode(&mut headers);
        encoded.push(&text, &headers, &value.unwrap_or_default());
        if encoded.len() > room {
            return Err(BatchError::TooLarge);
        }
    }
    Ok(encoded)
}

fn size(record: &RecordBytes) -> usize {
    let of = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    let headers = record.headers.iter().map(|(name, value)| name.len() + of(value)).sum::<usize>();
    of(&record.key) + of(&record.value) + headers
}

/// The time of a record: its producer's, else when the log took it.
pub fn time(record: &RecordView<'_>) -> i64 {
    PropertiesView::read(record.headers).and_then(|properties| properties.time).unwrap_or(record.append_time)
}

/// Adds a record of the log, one of `batch`, to a batch for consumers.
pub fn from_log(kafka: &Kafka, batch: &RecordBatch, record: RecordView<'_>, out: &mut BatchWriter) {
    let text = Some(record.partition_key).filter(|key| !key.is_empty());
    let place = |time: Option<i64>| (record.offset, time.unwrap_or(record.append_time));
    match PropertiesView::read(record.headers) {
        Some(properties) => {
            let value = (!properties.no_data).then_some(record.data);
            out.push(place(properties.time), properties.key.or(text), value, properties.named());
        }
        None if record.headers.is_empty() => out.push(place(None), text, Some(record.data), std::iter::empty()),
        None => {
            let values = (kafka.named_values)(&batch.share(record).headers);
            let named = values.iter().map(|(name, value)| (name.as_bytes(), Some(&value[..])));
            out.push(place(None), text, Some(record.data), named);
        }
    }
}
