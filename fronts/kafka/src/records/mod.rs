//! Batches of records as they are on the wire (magic 2): taken apart, and made. Pure.
//!
//! Source: the implementation notes, "Message Format" (record batch, record, record header).

mod compression;
mod decode;
mod encode;
mod gap;
#[cfg(test)]
pub mod tests;

pub use decode::{BatchError, ProducedBatch, RecordBytes, decode, is_compressed};
pub use encode::BatchWriter;
pub use gap::gap;

/// Bytes in front of a batch's records.
const HEAD_BYTES: usize = 61;
/// Bytes of the fields that a batch's length does not count.
const UNCOUNTED_BYTES: usize = 12;
/// Where a batch's length stands.
const LENGTH_AT: usize = 8;
/// Where the bytes begin that the checksum covers.
const CHECKED_FROM: usize = 21;
/// The only version of batches that current clients send.
const MAGIC: i8 = 2;

/// The checksum of a batch: CRC-32C.
fn checksum(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}
