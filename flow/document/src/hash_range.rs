//! Where partition keys lie among all, by their hash: clients compute the same places and ask for parts of a container by them.
//!
//! A place is the MurmurHash3 (x64, 128 bits, seed 0) of a key's values, its highest two bits cleared, in hexadecimal digits;
//! a hierarchical key's is the places of its levels one after the other. Pure.

use crate::partition::PartitionKey;

/// A part of all places: from one, to below another. As texts, for a prefix of a hierarchical key lies before what follows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashRange {
    min: String,
    max: String,
}

impl HashRange {
    /// The part from `min` to below `max`, in hexadecimal digits; `None` when it is all of them: from the empty text to `FF`.
    #[must_use]
    pub fn new(min: &str, max: &str) -> Option<Self> {
        let (min, max) = (min.to_ascii_uppercase(), max.to_ascii_uppercase());
        (!min.is_empty() || max != "FF").then_some(Self { min, max })
    }

    pub(crate) fn holds(&self, key: &PartitionKey) -> bool {
        let place = place(key);
        self.min <= place && place < self.max
    }
}

/// The place of a key.
fn place(key: &PartitionKey) -> String {
    let one = |bytes: Vec<u8>| format!("{:032X}", murmur(&bytes) & (u128::MAX >> 2));
    key.hashed_bytes().into_iter().map(one).collect()
}

/// MurmurHash3, x64, 128 bits, seed 0: its second half first.
fn murmur(bytes: &[u8]) -> u128 {
    const C1: u64 = 0x87c3_7b91_1142_53d5;
    const C2: u64 = 0x4cf5_ad43_2745_937f;
    let first = |k: u64| k.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2);
    let second = |k: u64| k.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1);
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |word, byte| (word << 8) | u64::from(*byte));
    let (mut h1, mut h2) = (0_u64, 0_u64);
    let mut blocks = bytes.chunks_exact(16);
    for block in &mut blocks {
        h1 ^= first(word(&block[..8]));
        h1 = h1.rotate_left(27).wrapping_add(h2).wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= second(word(&block[8..]));
        h2 = h2.rotate_left(31).wrapping_add(h1).wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let rest = blocks.remainder();
    let (low, high) = rest.split_at(rest.len().min(8));
    h2 ^= second(word(high));
    h1 ^= first(word(low));
    let length = bytes.len() as u64;
    (h1, h2) = (h1 ^ length, h2 ^ length);
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    (h1, h2) = (mixed(h1), mixed(h2));
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    (u128::from(h2) << 64) | u128::from(h1)
}

fn mixed(mut word: u64) -> u64 {
    word ^= word >> 33;
    word = word.wrapping_mul(0xff51_afd7_ed55_8ccd);
    word ^= word >> 33;
    word = word.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ (word >> 33)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn key(values: &[Option<Value>]) -> PartitionKey {
        PartitionKey::new(values.to_vec()).unwrap()
    }

    #[test]
    fn places_are_those_that_clients_compute() {
        // What the service's Python client computes for these keys.
        for (values, expected) in [
            (vec![Some(json!("a"))], "3A5381E1114EB8D3FCC90795045B49B7"),
            (vec![Some(json!(""))], "32E9366E637A71B4E710384B2F4970A0"),
            (vec![Some(json!("a partition key of many bytes, \u{e4}"))], "371A38A50DC3866C232C8DFD6A2BBCA9"),
            (vec![Some(json!(5))], "19C08621B135968252FB34B4CF66F811"),
            (vec![Some(json!(-1.5))], "151793206780805FF6E1DCAE6C787B6A"),
            (vec![Some(json!(true))], "0E711127C5B5A8E4726AC6DD306A3E59"),
            (vec![Some(Value::Null)], "378867E4430E67857ACE5C908374FE16"),
            (vec![None], "11622DAA78F835834610ABE56EFF5CB5"),
            (
                vec![Some(json!("redmond")), Some(json!("98052"))],
                "22E342F38A486A088463DFF7838A596336C8BBEC5EEB4676558994E4D8DF79A7",
            ),
        ] {
            assert_eq!(place(&key(&values)), expected, "{values:?}");
        }
    }

    #[test]
    fn a_range_holds_what_lies_in_it() {
        assert_eq!(HashRange::new("", "FF"), None);
        let own = key(&[Some(json!("a"))]);
        let at = place(&own);
        let point = HashRange::new(&at, &format!("{at}FF")).unwrap();
        assert!(point.holds(&own) && !point.holds(&key(&[Some(json!("b"))])));
        let (left, right) = (HashRange::new("", "1F").unwrap(), HashRange::new("1F", "FF").unwrap());
        assert!(left.holds(&own) != right.holds(&own));
    }
}
