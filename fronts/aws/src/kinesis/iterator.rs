//! Shard iterators: where to read next, as an opaque sealed text that is good for five minutes.
//!
//! The content is the log, the offset, the time of its making and the stream's name. Iterators survive a restart of the node.

use millstream_types::{LogId, Millis};

use crate::json_protocol::ServiceError;
use crate::seal::Seal;

/// How long an iterator is good for.
pub(super) const LIFETIME_MS: Millis = 300_000;

/// How far an iterator may come from the future: a clock may be set back a little while clients read.
const FUTURE_MS: Millis = 5_000;

const PURPOSE: &str = "shard iterator";

/// A position in a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShardIterator {
    pub(super) stream: String,
    pub(super) log: LogId,
    pub(super) offset: u64,
    pub(super) made: Millis,
}

impl ShardIterator {
    pub(super) fn encode(&self, seal: &Seal) -> String {
        let mut bytes = Vec::with_capacity(24 + self.stream.len());
        bytes.extend_from_slice(&self.log.0.to_be_bytes());
        bytes.extend_from_slice(&self.offset.to_be_bytes());
        bytes.extend_from_slice(&self.made.to_be_bytes());
        bytes.extend_from_slice(self.stream.as_bytes());
        seal.seal(PURPOSE, &bytes)
    }

    /// # Errors
    /// `InvalidArgumentException` for texts that are no iterator of this node, `ExpiredIteratorException` for old ones.
    pub(super) fn decode(text: &str, seal: &Seal, now: Millis) -> Result<Self, ServiceError> {
        let found = seal.open_text(PURPOSE, text).and_then(|bytes| Self::read(&bytes));
        let found = found
            .filter(|found| found.made <= now.saturating_add(FUTURE_MS))
            .ok_or_else(|| ServiceError::new("InvalidArgumentException", "Invalid ShardIterator."))?;
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

    fn read(bytes: &[u8]) -> Option<Self> {
        let (log, rest) = bytes.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (made, name) = rest.split_first_chunk()?;
        Some(Self {
            log: LogId(u64::from_be_bytes(*log)),
            offset: u64::from_be_bytes(*offset),
            made: Millis::from_be_bytes(*made),
            stream: String::from_utf8(name.to_vec()).ok()?,
        })
    }
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
        let seal = Seal::random();
        let iterator = ShardIterator { stream: "trades".into(), log: LogId(7), offset: 9, made: 1_000_000 };
        let text = iterator.encode(&seal);
        let code = |text: &str, now| ShardIterator::decode(text, &seal, now).map_err(|error| error.code);
        assert_eq!(code(&text, 1_300_000), Ok(iterator.clone()));
        assert_eq!(code(&text, 1_000_000 - FUTURE_MS), Ok(iterator));
        assert_eq!(code(&text, 1_300_001), Err("ExpiredIteratorException".into()));
        assert_eq!(code(&text, 999_999 - FUTURE_MS), Err("InvalidArgumentException".into()), "from the future");
        for other in ["", "AAAA", &text[4..], &Seal::random().seal(PURPOSE, &[0; 40]), &seal.seal("other", &[0; 40])] {
            assert_eq!(code(other, 1_000_000), Err("InvalidArgumentException".into()), "{other}");
        }
    }
}
