//! How often and how much may be read of a shard in a second, where that is limited. Counts in memory. Pure but for its lock.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use millstream_types::{LogId, Millis};

/// Reads of one shard a second: the service's limit.
const READS_MAX: u32 = 5;
/// Bytes of one shard a second: the service's limit. One read may take more; the next ones wait for it.
const BYTES_MAX: u64 = 2 << 20;
const SECOND_MS: Millis = 1_000;
/// With so many shards remembered, those that were not read for a second are forgotten.
const SHARDS_MAX: usize = 20_000;

/// What of a shard was read lately.
#[derive(Clone, Copy, Default)]
struct Lately {
    /// When the second began that its reads are counted in.
    since: Millis,
    reads: u32,
    /// When all that was read would have been read at the limit's speed.
    paid: Millis,
}

/// The reads of all shards.
#[derive(Default)]
pub struct ReadLimit(Mutex<HashMap<LogId, Lately>>);

impl ReadLimit {
    /// Counts a read; false when the shard was read too often, or too much.
    pub fn admits(&self, log: LogId, now: Millis) -> bool {
        let mut shards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if shards.len() >= SHARDS_MAX {
            shards.retain(|_, lately| now < lately.paid.max(lately.since + SECOND_MS));
        }
        let lately = shards.entry(log).or_default();
        if now - lately.since >= SECOND_MS {
            (lately.since, lately.reads) = (now, 0);
        }
        if lately.reads >= READS_MAX || lately.paid >= now + SECOND_MS {
            return false;
        }
        lately.reads += 1;
        true
    }

    /// Counts what a read brought.
    pub fn brought(&self, log: LogId, bytes: u64, now: Millis) {
        let mut shards = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = shards.entry(log).or_default();
        let takes = Millis::try_from(bytes.saturating_mul(1_000) / BYTES_MAX).unwrap_or(Millis::MAX);
        lately.paid = lately.paid.max(now).saturating_add(takes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_read_so_often_and_so_much_a_second() {
        let (limit, log) = (ReadLimit::default(), LogId(1));
        assert!((0..5).all(|_| limit.admits(log, 10_000)) && !limit.admits(log, 10_999));
        assert!(limit.admits(LogId(2), 10_999), "each shard has its own");
        assert!(limit.admits(log, 11_000));
        // As much as is read in five seconds.
        limit.brought(log, 10 << 20, 11_000);
        assert!(!limit.admits(log, 14_999) && limit.admits(log, 15_001));
        limit.brought(log, 1 << 20, 20_000);
        assert!(limit.admits(log, 20_000), "less than a second's");
    }
}
