//! Secondary indexes: which items have an entry in one, how entries lie, and what they hold.
//!
//! An entry's key is `hash (8) | length of hash key (2) | hash key | sort key, ended | the table's own key`: as a table's (see
//! `key.rs`), but several items may share an index key, so a sort key's bytes are written with an end that sorts before
//! everything that may follow, and the table's key makes the entry the item's own. An entry holds the item as projected.

use std::ops::Bound;

use bytes::{BufMut, Bytes, BytesMut};
use millstream_catalog::{IndexProjection, IndexState, KeyAttribute, TableDefinition, TableIndex};
use millstream_storage::Keyspace;

use crate::error::TableError;
use crate::expression::{Comparison, KeyCondition, SortCondition, end_of};
use crate::item::{AttributeValue, Item};
use crate::key;

/// Where an index's entries lie.
pub(crate) fn keyspace(table: &TableDefinition, index: &TableIndex) -> Keyspace {
    Keyspace::new(&format!("table/{}/index/{}", table.id, index.number))
}

/// An index's key attributes: the hash key, then the sort key if there is one.
pub fn attributes(index: &TableIndex) -> impl Iterator<Item = &KeyAttribute> {
    std::iter::once(&index.hash_key).chain(&index.sort_key)
}

/// The index of that name, if it can be read.
///
/// # Errors
/// [`TableError::IndexNotFound`], [`TableError::IndexFilling`].
pub fn find<'t>(table: &'t TableDefinition, name: &str) -> Result<&'t TableIndex, TableError> {
    match table.kept_indexes().find(|index| index.name == name) {
        Some(index) if index.state == IndexState::Filling => Err(TableError::IndexFilling { index: name.to_owned() }),
        Some(index) => Ok(index),
        None => Err(TableError::IndexNotFound { index: name.to_owned() }),
    }
}

/// Whether entries hold an attribute of their items.
#[must_use]
pub fn holds(table: &TableDefinition, index: &TableIndex, attribute: &str) -> bool {
    let mut keys = attributes(index).chain(key::attributes(table));
    match &index.projection {
        IndexProjection::All => true,
        IndexProjection::KeysOnly => keys.any(|key| key.name == attribute),
        IndexProjection::Include { attributes } => {
            attributes.contains(attribute) || keys.any(|key| key.name == attribute)
        }
    }
}

/// Refuses items whose index keys are of another type, empty or too large: they could have no entry. An item without an
/// index's key has none, and may.
///
/// # Errors
/// [`TableError::IndexKeyType`], [`TableError::IndexKeyEmpty`], [`TableError::KeyTooLarge`].
pub(crate) fn check(table: &TableDefinition, item: &Item) -> Result<(), TableError> {
    table.kept_indexes().try_for_each(|index| check_one(index, item))
}

fn check_one(index: &TableIndex, item: &Item) -> Result<(), TableError> {
    for part in attributes(index) {
        let Some(value) = item.get(&part.name) else { continue };
        let (attribute, index, hash_key) = (part.name.clone(), index.name.clone(), &index.hash_key);
        let expected = key::attribute_type(part.key_type);
        if value.kind() != expected {
            return Err(TableError::IndexKeyType { attribute, index, expected, found: value.kind() });
        }
        let checked = if part.name == hash_key.name {
            key::prefix(part, value).map(drop)
        } else {
            key::sort_bytes(part, value).map(drop)
        };
        match checked {
            Err(TableError::KeyEmpty { kind, .. }) => {
                return Err(TableError::IndexKeyEmpty { attribute, index, kind });
            }
            other => other?,
        }
    }
    Ok(())
}

/// An item's entry: its key and what it holds; `None` for an item without the index's key, and for one from before the index
/// whose attributes cannot be its key.
pub(crate) fn entry(
    table: &TableDefinition,
    index: &TableIndex,
    item: &Item,
) -> Result<Option<(Bytes, Item)>, TableError> {
    if !attributes(index).all(|part| item.contains_key(&part.name)) || check_one(index, item).is_err() {
        return Ok(None);
    }
    let key = key_of(table, index, item)?;
    let held = item.iter().filter(|(name, _)| holds(table, index, name));
    Ok(Some((key, held.map(|(name, value)| (name.clone(), value.clone())).collect())))
}

/// The key attributes of index and table that an entry holds: what a page ends with.
pub(crate) fn of_entry(table: &TableDefinition, index: &TableIndex, entry: &Item) -> Item {
    let names = attributes(index).chain(key::attributes(table));
    names.filter_map(|part| Some((part.name.clone(), entry.get(&part.name)?.clone()))).collect()
}

/// The entry's key that a caller names by the key attributes of index and table.
pub(crate) fn encode_of_key(table: &TableDefinition, index: &TableIndex, given: &Item) -> Result<Bytes, TableError> {
    let fits = |part: &KeyAttribute| {
        given.get(&part.name).is_some_and(|value| value.kind() == key::attribute_type(part.key_type))
    };
    let all_there = attributes(index).chain(key::attributes(table)).all(fits);
    if !all_there || of_entry(table, index, given).len() != given.len() {
        return Err(TableError::KeyMismatch);
    }
    key_of(table, index, given)
}

fn key_of(table: &TableDefinition, index: &TableIndex, item: &Item) -> Result<Bytes, TableError> {
    let hash = item.get(&index.hash_key.name).ok_or(TableError::KeyMismatch)?;
    let mut out = key::prefix(&index.hash_key, hash)?;
    if let Some(part) = &index.sort_key {
        put_sort(&mut out, part, item.get(&part.name).ok_or(TableError::KeyMismatch)?)?;
        out.put_slice(&END);
    }
    out.put_slice(&key::encode_of_item(table, item)?);
    Ok(out.freeze())
}

/// Ends a sort key: sorts before any byte of a longer one, see [`put_sort`].
const END: [u8; 2] = [0, 0];

/// A sort key's bytes, each zero followed by 255, so that [`END`] is inside of none.
fn put_sort(out: &mut BytesMut, part: &KeyAttribute, value: &AttributeValue) -> Result<(), TableError> {
    for byte in key::sort_bytes(part, value)? {
        out.put_u8(byte);
        if byte == 0 {
            out.put_u8(u8::MAX);
        }
    }
    Ok(())
}

/// The keys of the entries that a key condition covers.
pub(crate) fn range(index: &TableIndex, condition: &KeyCondition) -> Result<(Bound<Bytes>, Bound<Bytes>), TableError> {
    let prefix = key::prefix(&index.hash_key, &condition.hash)?;
    let (first, last) = (Bound::Included(prefix.clone().freeze()), end_of(&prefix));
    let (Some(sort), Some(part)) = (&condition.sort, &index.sort_key) else { return Ok((first, last)) };
    let open = |value: &AttributeValue| -> Result<BytesMut, TableError> {
        let mut key = prefix.clone();
        put_sort(&mut key, part, value)?;
        Ok(key)
    };
    // Where the entries of a value begin, and where they end.
    let start = |value: &AttributeValue| -> Result<Bytes, TableError> { Ok([&open(value)?[..], &END].concat().into()) };
    let end = |value: &AttributeValue| -> Result<Bound<Bytes>, TableError> { Ok(end_of(&start(value)?)) };
    let behind = |value: &AttributeValue| -> Result<Bound<Bytes>, TableError> {
        Ok(match end(value)? {
            Bound::Excluded(key) | Bound::Included(key) => Bound::Included(key),
            Bound::Unbounded => Bound::Unbounded,
        })
    };
    Ok(match sort {
        SortCondition::Compare(comparison, value) => match comparison {
            Comparison::Less => (first, Bound::Excluded(start(value)?)),
            Comparison::LessOrEqual => (first, end(value)?),
            Comparison::Greater => (behind(value)?, last),
            Comparison::GreaterOrEqual => (Bound::Included(start(value)?), last),
            Comparison::Equal | Comparison::NotEqual => (Bound::Included(start(value)?), end(value)?),
        },
        SortCondition::Between(low, high) => (Bound::Included(start(low)?), end(high)?),
        SortCondition::BeginsWith(value) => {
            let open = open(value)?.freeze();
            let end = end_of(&open);
            (Bound::Included(open), end)
        }
    })
}

#[cfg(test)]
mod tests {
    use millstream_catalog::KeyType;
    use proptest::prelude::*;

    use super::*;

    fn index() -> TableIndex {
        TableIndex {
            name: "by-sort".into(),
            number: 0,
            hash_key: KeyAttribute { name: "h".into(), key_type: KeyType::String },
            sort_key: Some(KeyAttribute { name: "s".into(), key_type: KeyType::Binary }),
            projection: IndexProjection::KeysOnly,
            local: false,
            provisioned: None,
            state: IndexState::Active,
        }
    }

    fn table() -> TableDefinition {
        serde_json::from_value(serde_json::json!({
            "name": "t", "id": 1, "uuid": "", "created": 0, "hash_key": { "name": "id", "type": "string" },
        }))
        .unwrap()
    }

    fn item(sort: &[u8], id: &str) -> Item {
        Item::from([
            ("h".into(), AttributeValue::String("x".into())),
            ("s".into(), AttributeValue::Binary(Bytes::copy_from_slice(sort))),
            ("id".into(), AttributeValue::String(id.into())),
            ("other".into(), AttributeValue::Null),
        ])
    }

    fn covers(range: &(Bound<Bytes>, Bound<Bytes>), key: &Bytes) -> bool {
        std::ops::RangeBounds::contains(range, key)
    }

    proptest! {
        #[test]
        fn a_condition_covers_exactly_the_entries_that_it_holds_for(
            left in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255)], 1..4),
            right in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255)], 1..4),
            id in "[a-b]{1,2}",
        ) {
            let (key, held) = entry(&table(), &index(), &item(&left, &id)).unwrap().unwrap();
            prop_assert_eq!(held.len(), 3);
            prop_assert_eq!(&encode_of_key(&table(), &index(), &held).unwrap(), &key);
            let value = AttributeValue::Binary(right.clone().into());
            let hash = AttributeValue::String("x".into());
            for (sort, expected) in [
                (SortCondition::Compare(Comparison::Less, value.clone()), left < right),
                (SortCondition::Compare(Comparison::LessOrEqual, value.clone()), left <= right),
                (SortCondition::Compare(Comparison::Equal, value.clone()), left == right),
                (SortCondition::Compare(Comparison::GreaterOrEqual, value.clone()), left >= right),
                (SortCondition::Compare(Comparison::Greater, value.clone()), left > right),
                (SortCondition::Between(value.clone(), value.clone()), left == right),
                (SortCondition::BeginsWith(value.clone()), left.starts_with(&right)),
            ] {
                let condition = KeyCondition { hash: hash.clone(), sort: Some(sort) };
                prop_assert_eq!(covers(&range(&index(), &condition).unwrap(), &key), expected, "{:?}", condition);
            }
        }
    }

    #[test]
    fn items_without_the_key_have_no_entry_and_wrong_keys_are_refused() {
        let mut table = table();
        table.indexes = vec![index()];
        let mut lacking = item(b"a", "i");
        lacking.remove("s");
        assert_eq!(entry(&table, &index(), &lacking).unwrap(), None);
        assert!(check(&table, &lacking).is_ok());
        lacking.insert("s".into(), AttributeValue::Null);
        assert!(matches!(check(&table, &lacking), Err(TableError::IndexKeyType { .. })));
        assert!(matches!(check(&table, &item(b"", "i")), Err(TableError::IndexKeyEmpty { .. })));
        assert!(matches!(check(&table, &item(&[7; 2000], "i")), Err(TableError::KeyTooLarge { .. })));
    }
}
