//! How records and shards are named towards clients.
//!
//! A sequence number is a decimal of 56 digits that holds the log and the offset, so it names a record of the whole node:
//! `49`, 18 digits of the log's number, 36 digits of the offset. It rises within a shard, and since logs are numbered in the
//! order of their making, a child shard's numbers are above its parents'.

use std::fmt;
use std::str::FromStr;

use millstream_types::LogId;

/// Digits of a sequence number.
pub const SEQUENCE_DIGITS: usize = 56;

const PREFIX: &str = "49";
const LOG_DIGITS: usize = 18;

/// Names a record of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceNumber {
    /// The shard's log.
    pub log: LogId,
    /// The record's offset in it.
    pub offset: u64,
}

impl SequenceNumber {
    /// A number below those of a log's records and above those of all logs before it: behind it a reader begins with the first
    /// record. It names no record.
    #[must_use]
    pub fn before(log: LogId) -> Self {
        Self { log: LogId(log.0.saturating_sub(1)), offset: u64::MAX }
    }

    /// Writes the digits without allocating: the hot path of a batch put.
    #[must_use]
    pub fn digits(self) -> [u8; SEQUENCE_DIGITS] {
        let mut digits = [b'0'; SEQUENCE_DIGITS];
        digits[..2].copy_from_slice(PREFIX.as_bytes());
        write_decimal(&mut digits[2..2 + LOG_DIGITS], self.log.0);
        write_decimal(&mut digits[2 + LOG_DIGITS..], self.offset);
        digits
    }
}

fn write_decimal(digits: &mut [u8], mut value: u64) {
    for digit in digits.iter_mut().rev() {
        if value == 0 {
            break;
        }
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{:0LOG_DIGITS$}{:036}", self.log.0, self.offset)
    }
}

/// The text is no sequence number of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a sequence number of {SEQUENCE_DIGITS} digits that begins with {PREFIX}")]
pub struct NotASequenceNumber;

impl FromStr for SequenceNumber {
    type Err = NotASequenceNumber;

    fn from_str(text: &str) -> Result<Self, NotASequenceNumber> {
        if text.len() != SEQUENCE_DIGITS || !text.starts_with(PREFIX) || !text.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err(NotASequenceNumber);
        }
        let log = text[2..2 + LOG_DIGITS].parse().map_err(|_| NotASequenceNumber)?;
        let offset = text[2 + LOG_DIGITS..].parse().map_err(|_| NotASequenceNumber)?;
        Ok(Self { log: LogId(log), offset })
    }
}

/// A shard's number in its stream; printed as `shardId-000000000003`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub u32);

impl fmt::Display for ShardId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "shardId-{:012}", self.0)
    }
}

impl FromStr for ShardId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("shardId-").unwrap_or(text).parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_order_and_parse_back() {
        let low = SequenceNumber { log: LogId(7), offset: 9 };
        let high = SequenceNumber { log: LogId(7), offset: 10 };
        let child = SequenceNumber { log: LogId(12), offset: 0 };
        assert!(low.to_string() < high.to_string() && high.to_string() < child.to_string());
        let before = SequenceNumber::before(child.log);
        assert!(high < before && before < child && before.to_string() < child.to_string());
        for number in [low, high, child, SequenceNumber { log: LogId(999_999_999), offset: u64::MAX }] {
            assert_eq!(number.to_string().parse(), Ok(number));
            assert_eq!(number.to_string().as_bytes(), number.digits());
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "49", "4900000000000000000700000000000000000000000000000000000x", &"9".repeat(56), &"4".repeat(57)]
        {
            assert!(text.parse::<SequenceNumber>().is_err(), "{text}");
        }
    }
}
