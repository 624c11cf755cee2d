//! From partition keys to partitions, as the clients of hubs do it when they choose one themselves: Bob Jenkins'
//! `lookup3` (hashlittle2, both seeds 0), its two halves folded to 16 bits, the remainder towards zero.

use crate::error::NamespaceError;

/// Characters of a partition key: the service's own limit.
pub const KEY_CHARS_MAX: usize = 128;

/// Refuses a key that no hub takes.
///
/// # Errors
/// [`NamespaceError::KeyTooLong`].
pub fn check_key(key: &str) -> Result<(), NamespaceError> {
    let found = key.chars().count();
    if found > KEY_CHARS_MAX { Err(NamespaceError::KeyTooLong { found, max: KEY_CHARS_MAX }) } else { Ok(()) }
}

/// The partition of a key among `partitions`; 0 when there are none.
#[must_use]
pub fn of_key(key: &str, partitions: u32) -> u32 {
    let (first, second) = hashlittle2(key.as_bytes());
    let folded = i32::from(((first ^ second) & 0xffff) as u16 as i16);
    match i32::try_from(partitions) {
        Ok(count) if count > 0 => (folded % count).unsigned_abs(),
        _ => 0,
    }
}

fn hashlittle2(bytes: &[u8]) -> (u32, u32) {
    let start = 0xdead_beef_u32.wrapping_add(bytes.len() as u32);
    let mut state = [start; 3];
    // The last block, whole or not, is mixed in another way.
    let blocks = bytes.len().saturating_sub(1) / 12;
    let (whole, last) = bytes.split_at(blocks * 12);
    for block in whole.chunks_exact(12) {
        add(&mut state, block);
        mix(&mut state);
    }
    if !last.is_empty() {
        add(&mut state, last);
        finish(&mut state);
    }
    (state[2], state[1])
}

/// Adds up to twelve bytes, little-endian, missing ones as zeros.
fn add(state: &mut [u32; 3], block: &[u8]) {
    let mut padded = [0; 12];
    padded[..block.len()].copy_from_slice(block);
    for (word, bytes) in state.iter_mut().zip(padded.chunks_exact(4)) {
        *word = word.wrapping_add(bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte)));
    }
}

fn mix([a, b, c]: &mut [u32; 3]) {
    *a = a.wrapping_sub(*c) ^ c.rotate_left(4);
    *c = c.wrapping_add(*b);
    *b = b.wrapping_sub(*a) ^ a.rotate_left(6);
    *a = a.wrapping_add(*c);
    *c = c.wrapping_sub(*b) ^ b.rotate_left(8);
    *b = b.wrapping_add(*a);
    *a = a.wrapping_sub(*c) ^ c.rotate_left(16);
    *c = c.wrapping_add(*b);
    *b = b.wrapping_sub(*a) ^ a.rotate_left(19);
    *a = a.wrapping_add(*c);
    *c = c.wrapping_sub(*b) ^ b.rotate_left(4);
    *b = b.wrapping_add(*a);
}

fn finish([a, b, c]: &mut [u32; 3]) {
    *c = (*c ^ *b).wrapping_sub(b.rotate_left(14));
    *a = (*a ^ *c).wrapping_sub(c.rotate_left(11));
    *b = (*b ^ *a).wrapping_sub(a.rotate_left(25));
    *c = (*c ^ *b).wrapping_sub(b.rotate_left(16));
    *a = (*a ^ *c).wrapping_sub(c.rotate_left(4));
    *b = (*b ^ *a).wrapping_sub(a.rotate_left(14));
    *c = (*c ^ *b).wrapping_sub(b.rotate_left(24));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_land_where_clients_put_them() {
        for (key, partitions, expected) in [
            ("pk1", 32, 13),
            ("a", 32, 28),
            ("test_partition_a", 32, 23),
            ("test_partition_a", 4, 3),
            ("device-42", 32, 12),
        ] {
            assert_eq!(of_key(key, partitions), expected, "{key} of {partitions}");
        }
        assert_eq!(of_key("any", 1), 0);
        assert_eq!(of_key("any", 0), 0);
    }
}
