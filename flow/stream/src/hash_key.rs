//! From partition keys to shards: the MD5 of the key, read as a 128-bit number, falls into one shard's range.
//!
//! Source: the Kinesis API reference, "PutRecord".

use md5::{Digest, Md5};
use millstream_catalog::HashKeyRange;

/// The hash key of a partition key.
#[must_use]
pub fn of_partition_key(partition_key: &[u8]) -> u128 {
    u128::from_be_bytes(Md5::digest(partition_key).into())
}

/// `shards` ranges of one size (the last takes the rest) that cover all hash keys.
#[must_use]
pub fn even_ranges(shards: u32) -> Vec<HashKeyRange> {
    let width = u128::MAX / u128::from(shards.max(1));
    (0..u128::from(shards))
        .map(|index| HashKeyRange {
            start: index * width,
            end: if index + 1 == u128::from(shards) { u128::MAX } else { (index + 1) * width - 1 },
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_everything_once() {
        for shards in [1, 2, 3, 7, 500] {
            let ranges = even_ranges(shards);
            assert_eq!(ranges[0].start, 0);
            assert_eq!(ranges[ranges.len() - 1].end, u128::MAX);
            assert!(ranges.windows(2).all(|pair| pair[0].end + 1 == pair[1].start));
        }
    }

    #[test]
    fn the_hash_is_md5_as_a_number() {
        assert_eq!(of_partition_key(b""), 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e);
    }
}
