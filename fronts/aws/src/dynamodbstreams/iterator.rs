//! Shard iterators: where to read next, as an opaque sealed text that is good for fifteen minutes.
//!
//! The content is the log, the offset, the time of its making and the stream's ARN. Iterators survive a restart of the node.

use millstream_types::{LogId, Millis};

use crate::json_protocol::ServiceError;
use crate::seal::Seal;

/// How long an iterator is good for: the service's own fifteen minutes.
const LIFETIME_MS: Millis = 900_000;

const PURPOSE: &str = "change iterator";

/// A position in a shard of a stream of changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ShardIterator {
    pub(super) stream_arn: String,
    pub(super) log: LogId,
    pub(super) offset: u64,
    pub(super) made: Millis,
}

impl ShardIterator {
    /// The stream's ARN stands before the sealed part, as clients know it from the service.
    pub(super) fn encode(&self, seal: &Seal) -> String {
        let mut bytes = Vec::with_capacity(24 + self.stream_arn.len());
        bytes.extend_from_slice(&self.log.0.to_be_bytes());
        bytes.extend_from_slice(&self.offset.to_be_bytes());
        bytes.extend_from_slice(&self.made.to_be_bytes());
        bytes.extend_from_slice(self.stream_arn.as_bytes());
        format!("{}|1|{}", self.stream_arn, seal.seal(PURPOSE, &bytes))
    }

    /// # Errors
    /// `ValidationException` for texts that are no iterator of this node, `ExpiredIteratorException` for old ones.
    pub(super) fn decode(text: &str, seal: &Seal, now: Millis) -> Result<Self, ServiceError> {
        let sealed = text.rsplit_once('|').map(|(_, sealed)| sealed);
        let found = sealed.and_then(|sealed| seal.open_text(PURPOSE, sealed)).and_then(|bytes| Self::read(&bytes));
        let found = found.ok_or_else(|| ServiceError::new("ValidationException", "Invalid ShardIterator"))?;
        if now.saturating_sub(found.made) > LIFETIME_MS {
            return Err(ServiceError::new("ExpiredIteratorException", "The shard iterator has expired"));
        }
        Ok(found)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (log, rest) = bytes.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (made, arn) = rest.split_first_chunk()?;
        Some(Self {
            log: LogId(u64::from_be_bytes(*log)),
            offset: u64::from_be_bytes(*offset),
            made: Millis::from_be_bytes(*made),
            stream_arn: String::from_utf8(arn.to_vec()).ok()?,
        })
    }
}
