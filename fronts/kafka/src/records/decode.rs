//! A produced batch, taken apart.

use bytes::Bytes;

use super::compression::decompress;
use super::{CHECKED_FROM, HEAD_BYTES, MAGIC, UNCOUNTED_BYTES, checksum};
use crate::wire::{DecodeError, Reader};

const COMPRESSION: i16 = 0b0000_0111;
const APPEND_TIME: i16 = 0b0000_1000;
const TRANSACTIONAL: i16 = 0b0001_0000;
const CONTROL: i16 = 0b0010_0000;

/// Headers of one record: a list of them takes about 1 MiB.
const HEADERS_MAX: usize = 16 << 10;

/// Why a batch is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Bytes that do not match their checksum, or that end too early.
    #[error("the batch is damaged or cut off")]
    Corrupt,
    /// Batches of clients older than 0.11.
    #[error("expected a record batch of version 2, found {0}")]
    Magic(i8),
    /// A codec that does not exist.
    #[error("expected gzip, snappy, lz4, zstd or no compression")]
    Compression,
    /// Part of a transaction.
    #[error("transactions are not supported")]
    Transactional,
    /// Fields that contradict each other.
    #[error("expected one batch whose records are numbered from 0")]
    Records,
    /// More than a request may hold.
    #[error("the batch is too large")]
    TooLarge,
}

impl From<DecodeError> for BatchError {
    fn from(_: DecodeError) -> Self {
        Self::Corrupt
    }
}

/// A producer's batch for one partition, unpacked. Its records are taken apart one by one, since a list of them would be
/// many times their bytes.
#[derive(Debug)]
pub struct ProducedBatch {
    /// The producer's id, epoch and first sequence number; `None` when it does not number its batches.
    pub sequence: Option<(i64, i16, i32)>,
    bytes: Bytes,
    count: u32,
    base_time: Option<i64>,
}

impl ProducedBatch {
    /// Bytes of its records.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// How many records it says that it has: no more than its bytes have room for.
    pub fn count(&self) -> usize {
        self.count as usize
    }

    /// Its records in their order; after an error there are no more.
    pub fn records(self) -> impl Iterator<Item = Result<RecordBytes, BatchError>> {
        Records { reader: Reader::new(self.bytes), next: 0, count: self.count, base_time: self.base_time }
    }
}

struct Records {
    reader: Reader,
    next: u32,
    count: u32,
    base_time: Option<i64>,
}

impl Iterator for Records {
    type Item = Result<RecordBytes, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.count {
            let rest = self.reader.take(self.reader.remaining()).unwrap_or_default();
            return (!rest.is_empty()).then_some(Err(BatchError::Records));
        }
        let read = record(&mut self.reader, self.next, self.base_time);
        self.next += 1;
        if read.is_err() {
            (self.next, self.reader) = (self.count, Reader::new(Bytes::new()));
        }
        Some(read)
    }
}

/// A record as it was produced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBytes {
    /// The producer's time, milliseconds since 1970; `None` when it said none.
    pub time: Option<i64>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value; none means that what has the key is gone.
    pub value: Option<Bytes>,
    /// Its headers, in their order.
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// Whether a batch says that its records are compressed.
pub fn is_compressed(bytes: &[u8]) -> bool {
    bytes.get(CHECKED_FROM..CHECKED_FROM + 2).is_some_and(|attributes| attributes[1] & COMPRESSION as u8 != 0)
}

/// Unpacks one batch into at most `room` bytes. Its checksum is verified first.
///
/// # Errors
/// [`BatchError`].
pub fn decode(bytes: Bytes, room: usize) -> Result<ProducedBatch, BatchError> {
    if bytes.len() < HEAD_BYTES {
        return Err(BatchError::Corrupt);
    }
    let mut head = Reader::new(bytes.clone());
    head.i64()?;
    let length = head.i32()?;
    head.i32()?;
    let magic = head.i8()?;
    if magic != MAGIC {
        return Err(BatchError::Magic(magic));
    }
    match usize::try_from(length).map(|length| length + UNCOUNTED_BYTES) {
        Ok(length) if length == bytes.len() => {}
        Ok(length) if length < bytes.len() => return Err(BatchError::Records),
        _ => return Err(BatchError::Corrupt),
    }
    if head.u32()? != checksum(&bytes[CHECKED_FROM..]) {
        return Err(BatchError::Corrupt);
    }
    let attributes = head.i16()?;
    if attributes & (TRANSACTIONAL | CONTROL) != 0 {
        return Err(BatchError::Transactional);
    }
    let last_offset_delta = head.i32()?;
    let base_time = head.i64()?;
    head.i64()?;
    let (producer, epoch, first) = (head.i64()?, head.i16()?, head.i32()?);
    let count = head.i32()?;
    if count < 1 || last_offset_delta != count - 1 || (producer >= 0 && (epoch < 0 || first < 0)) {
        return Err(BatchError::Records);
    }
    let base_time = (attributes & APPEND_TIME == 0 && base_time >= 0).then_some(base_time);
    let packed = head.take(head.remaining())?;
    let bytes = decompress((attributes & COMPRESSION) as u8, packed, room)?;
    let count = count.cast_unsigned();
    // The smallest record has seven bytes, so the count is paid for.
    if count as usize > bytes.len() / 7 {
        return Err(BatchError::Records);
    }
    Ok(ProducedBatch { sequence: (producer >= 0).then_some((producer, epoch, first)), bytes, count, base_time })
}

fn record(reader: &mut Reader, number: u32, base_time: Option<i64>) -> Result<RecordBytes, BatchError> {
    let length = usize::try_from(reader.varint()?).map_err(|_| BatchError::Corrupt)?;
    let mut record = Reader::new(reader.take(length)?);
    record.i8()?;
    let time_delta = record.varlong()?;
    if record.varint()? != number.cast_signed() {
        return Err(BatchError::Records);
    }
    let key = sized(&mut record)?;
    let value = sized(&mut record)?;
    let headers = usize::try_from(record.varint()?).map_err(|_| BatchError::Corrupt)?;
    // A header has two bytes at least.
    if headers > record.remaining() / 2 {
        return Err(BatchError::Corrupt);
    }
    if headers > HEADERS_MAX {
        return Err(BatchError::TooLarge);
    }
    let header = |record: &mut Reader| {
        let name = sized(record)?.ok_or(BatchError::Corrupt)?;
        std::str::from_utf8(&name).map_err(|_| BatchError::Corrupt)?;
        Ok((name, sized(record)?))
    };
    let headers = (0..headers).map(|_| header(&mut record)).collect::<Result<_, BatchError>>()?;
    if record.remaining() > 0 {
        return Err(BatchError::Records);
    }
    Ok(RecordBytes { time: base_time.map(|base| base.wrapping_add(time_delta)), key, value, headers })
}

/// Bytes behind their length; none when it is negative.
fn sized(reader: &mut Reader) -> Result<Option<Bytes>, BatchError> {
    match usize::try_from(reader.varint()?) {
        Ok(length) => Ok(Some(reader.take(length)?)),
        Err(_) => Ok(None),
    }
}
