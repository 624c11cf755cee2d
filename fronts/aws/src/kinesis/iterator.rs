//! Shard iterators: where to read next, as an opaque text that is good for five minutes.
//!
//! The text is base64 of a checksum, the log, the offset, the time of its making and the stream's name. Iterators survive a
//! restart of the node; texts that nobody here made do not pass the checksum.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millstream_types::{LogId, Millis};
use sha2::{Digest as _, Sha256};

use crate::json_protocol::ServiceError;

/// How long an iterator is good for.
const LIFETIME_MS: Millis = 300_000;

/// A position in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShardIterator {
    pub(super) stream: String,
    pub(super) log: LogId,
    pub(super) offset: u64,
    pub(super) made: Millis,
}

impl ShardIterator {
    pub(super) fn encode(&self) -> String {
        let mut bytes = vec![0; 8];
        bytes.extend_from_slice(&self.log.0.to_be_bytes());
        bytes.extend_from_slice(&self.offset.to_be_bytes());
        bytes.extend_from_slice(&self.made.to_be_bytes());
        bytes.extend_from_slice(self.stream.as_bytes());
        let checksum = checksum(&bytes[8..]);
        bytes[..8].copy_from_slice(&checksum);
        STANDARD.encode(bytes)
    }

    /// # Errors
    /// `InvalidArgumentException` for texts that are no iterator, `ExpiredIteratorException` for old ones.
    pub(super) fn decode(text: &str, now: Millis) -> Result<Self, ServiceError> {
        let invalid = || ServiceError::new("InvalidArgumentException", "Invalid ShardIterator.");
        let bytes = STANDARD.decode(text).map_err(|_| invalid())?;
        let (sum, rest) = bytes.split_at_checked(8).ok_or_else(invalid)?;
        if rest.len() < 24 || checksum(rest) != sum {
            return Err(invalid());
        }
        let number = |at: usize| rest[at..at + 8].try_into().map(u64::from_be_bytes).unwrap_or_default();
        let found = Self {
            log: LogId(number(0)),
            offset: number(8),
            made: number(16).cast_signed(),
            stream: String::from_utf8(rest[24..].to_vec()).map_err(|_| invalid())?,
        };
        if now.saturating_sub(found.made) > LIFETIME_MS {
            return Err(ServiceError::new(
                "ExpiredIteratorException",
                format!(
                    "Iterator expired. The iterator was created at time {} while right now it is {} which is further in the \
                     future than the tolerated delay of {LIFETIME_MS} milliseconds.",
                    date(found.made),
                    date(now),
                ),
            ));
        }
        Ok(found)
    }
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    let mut hash = Sha256::new();
    hash.update(b"shard iterator v1");
    hash.update(bytes);
    let mut sum = [0; 8];
    sum.copy_from_slice(&hash.finalize()[..8]);
    sum
}

/// `Sat Nov 21 05:00:00 UTC 2026`
fn date(millis: Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%a %b %d %H:%M:%S UTC %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iterators_come_back_expire_and_cannot_be_made_up() {
        let iterator = ShardIterator { stream: "trades".into(), log: LogId(7), offset: 9, made: 1_000 };
        let text = iterator.encode();
        assert_eq!(ShardIterator::decode(&text, 301_000).unwrap(), iterator);
        let expired = ShardIterator::decode(&text, 301_001).unwrap_err();
        assert_eq!(expired.code, "ExpiredIteratorException");
        for other in ["", "AAAA", &STANDARD.encode([0; 40]), &text[4..]] {
            assert_eq!(ShardIterator::decode(other, 0).unwrap_err().code, "InvalidArgumentException", "{other}");
        }
    }
}
