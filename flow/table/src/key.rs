//! Keys: which attributes name an item, and how their bytes lie in the table's keyspace.
//!
//! A stored key is `hash (8) | length of hash key (2) | hash key | sort key`. The hash spreads items over the keyspace, so
//! scans can be cut into segments; the length makes the hash key's part unique, so that all items of one hash key are one
//! range, in the order of their sort keys: text and bytes as they are, numbers as [`crate::number::Number::ordered_bytes`].

use bytes::{BufMut, Bytes, BytesMut};
use millstream_catalog::{KeyAttribute, KeyType, TableDefinition};
use millstream_storage::Keyspace;

use crate::error::TableError;
use crate::item::{AttributeType, AttributeValue, Item};

/// Bytes of a hash key's value.
pub const HASH_KEY_BYTES_MAX: usize = 2048;
/// Bytes of a sort key's value.
pub const SORT_KEY_BYTES_MAX: usize = 1024;

/// Where a table's items lie.
pub(crate) fn keyspace(table: &TableDefinition) -> Keyspace {
    Keyspace::new(&format!("table/{}", table.id))
}

/// The type of attribute that a key type asks for.
#[must_use]
pub fn attribute_type(key_type: KeyType) -> AttributeType {
    match key_type {
        KeyType::String => AttributeType::String,
        KeyType::Number => AttributeType::Number,
        KeyType::Binary => AttributeType::Binary,
    }
}

/// The table's key attributes: the hash key, then the sort key if there is one.
pub fn attributes(table: &TableDefinition) -> impl Iterator<Item = &KeyAttribute> {
    std::iter::once(&table.hash_key).chain(&table.sort_key)
}

/// The key attributes of an item.
#[must_use]
pub fn of_item(table: &TableDefinition, item: &Item) -> Item {
    attributes(table).filter_map(|key| Some((key.name.clone(), item.get(&key.name)?.clone()))).collect()
}

/// A key for people: `timestamp=…, symbol=MSFT`.
#[must_use]
pub fn text(table: &TableDefinition, item: &Item) -> String {
    let part = |key: &KeyAttribute| item.get(&key.name).map(|value| format!("{}={value}", key.name));
    attributes(table).filter_map(part).collect::<Vec<_>>().join(", ")
}

/// The stored key of an item to be written, which has its key among its attributes.
///
/// # Errors
/// [`TableError::KeyMissing`], [`TableError::KeyType`], [`TableError::KeyEmpty`], [`TableError::KeyTooLarge`].
pub(crate) fn encode_of_item(table: &TableDefinition, item: &Item) -> Result<Bytes, TableError> {
    for key in attributes(table) {
        let Some(value) = item.get(&key.name) else {
            return Err(TableError::KeyMissing { attribute: key.name.clone() });
        };
        if value.kind() != attribute_type(key.key_type) {
            return Err(TableError::KeyType {
                attribute: key.name.clone(),
                expected: attribute_type(key.key_type),
                found: value.kind(),
            });
        }
    }
    encode(table, item)
}

/// The stored key that a caller names: exactly the key's attributes, of their types.
///
/// # Errors
/// [`TableError::KeyMismatch`], [`TableError::KeyEmpty`], [`TableError::KeyTooLarge`].
pub(crate) fn encode_of_key(table: &TableDefinition, key: &Item) -> Result<Bytes, TableError> {
    if key.len() != attributes(table).count() {
        return Err(TableError::KeyMismatch);
    }
    let fits = |part: &KeyAttribute| key.get(&part.name).is_some_and(|v| v.kind() == attribute_type(part.key_type));
    if !attributes(table).all(fits) {
        return Err(TableError::KeyMismatch);
    }
    encode(table, key)
}

fn encode(table: &TableDefinition, item: &Item) -> Result<Bytes, TableError> {
    let mut out = match item.get(&table.hash_key.name) {
        Some(value) => prefix(&table.hash_key, value)?,
        None => return Err(TableError::KeyMismatch),
    };
    if let Some(sort_key) = &table.sort_key {
        match item.get(&sort_key.name) {
            Some(value) => out.put_slice(&sort_bytes(sort_key, value)?),
            None => return Err(TableError::KeyMismatch),
        }
    }
    Ok(out.freeze())
}

/// What the stored keys of all items with that hash key begin with.
pub(crate) fn prefix(hash_key: &KeyAttribute, value: &AttributeValue) -> Result<BytesMut, TableError> {
    let bytes = checked(hash_key, value, HASH_KEY_BYTES_MAX)?;
    let mut out = BytesMut::with_capacity(10 + bytes.len() + 32);
    out.put_u64(spread(&bytes));
    // At most HASH_KEY_BYTES_MAX.
    out.put_u16(bytes.len() as u16);
    out.put_slice(&bytes);
    Ok(out)
}

/// A sort key's bytes, which compare as its values do.
pub(crate) fn sort_bytes(sort_key: &KeyAttribute, value: &AttributeValue) -> Result<Bytes, TableError> {
    checked(sort_key, value, SORT_KEY_BYTES_MAX)
}

fn checked(key: &KeyAttribute, value: &AttributeValue, max: usize) -> Result<Bytes, TableError> {
    let bytes = match value {
        AttributeValue::String(text) => Bytes::copy_from_slice(text.as_bytes()),
        AttributeValue::Binary(bytes) => bytes.clone(),
        AttributeValue::Number(number) => Bytes::copy_from_slice(&number.ordered_bytes()),
        _ => return Err(TableError::KeyMismatch),
    };
    if bytes.is_empty() {
        return Err(TableError::KeyEmpty { attribute: key.name.clone(), kind: value.kind() });
    }
    if bytes.len() > max {
        return Err(TableError::KeyTooLarge { attribute: key.name.clone(), hash: max == HASH_KEY_BYTES_MAX, max });
    }
    Ok(bytes)
}

/// Spreads hash keys evenly. On disk for good: CRC-64/NVME, then a mix of its bits, since keys that differ in their last
/// bytes only would otherwise lie in few segments.
fn spread(hash_key: &[u8]) -> u64 {
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, hash_key);
    crc.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32) ^ crc
}

/// The first hash of segment `segment` of `total`; `None` behind the last.
pub(crate) fn segment_start(segment: u32, total: u32) -> Option<[u8; 8]> {
    let start = (u128::from(segment) << 64) / u128::from(total.max(1));
    u64::try_from(start).ok().map(u64::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(sort: KeyType) -> TableDefinition {
        TableDefinition {
            name: "t".into(),
            id: 1,
            uuid: String::new(),
            created: 0,
            hash_key: KeyAttribute { name: "h".into(), key_type: KeyType::String },
            sort_key: Some(KeyAttribute { name: "s".into(), key_type: sort }),
            provisioned: None,
            tags: Default::default(),
            owner: Default::default(),
            item_bytes_max: millstream_catalog::TABLE_ITEM_BYTES_MAX,
            changes: None,
            expiry: None,
            indexes: Vec::new(),
            next_index: 0,
        }
    }

    fn key(hash: &str, sort: AttributeValue) -> Item {
        Item::from([("h".into(), AttributeValue::String(hash.into())), ("s".into(), sort)])
    }

    proptest! {
        #[test]
        fn text_keys_sort_as_text(hash in "[a-c]{1,3}", left in "\\PC{1,8}", right in "\\PC{1,8}") {
            let of = |sort: &str| encode_of_key(&table(KeyType::String), &key(&hash, AttributeValue::String(sort.into()))).unwrap();
            prop_assert_eq!(of(&left).cmp(&of(&right)), left.as_bytes().cmp(right.as_bytes()));
        }

        #[test]
        fn number_keys_sort_as_numbers(left in any::<i64>(), right in any::<i64>()) {
            let of = |sort: i64| encode_of_key(&table(KeyType::Number), &key("h", AttributeValue::Number(sort.to_string().parse().unwrap()))).unwrap();
            prop_assert_eq!(of(left).cmp(&of(right)), left.cmp(&right));
        }

        #[test]
        fn no_hash_key_is_inside_anothers_range(left in "[ab]{1,4}", right in "[ab]{1,4}") {
            let of = |hash: &str| prefix(&table(KeyType::String).hash_key, &AttributeValue::String(hash.into())).unwrap();
            prop_assert_eq!(of(&left).starts_with(&of(&right)), left == right);
        }
    }

    #[test]
    fn segments_cover_all_hashes_evenly() {
        assert_eq!(segment_start(0, 3), Some([0; 8]));
        assert_eq!(segment_start(3, 3), None);
        let mut counts = [0usize; 4];
        for number in 0..4000 {
            let start = prefix(&table(KeyType::String).hash_key, &AttributeValue::String(number.to_string())).unwrap();
            counts[usize::from(start[0] >> 6)] += 1;
        }
        assert!(counts.iter().all(|&count| count > 800), "{counts:?}");
    }
}
