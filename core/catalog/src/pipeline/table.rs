//! What a pipeline file says of tables and their indexes.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::resolve::Resolver;
use super::source::Located;
use crate::definition::{ChangeView, IndexProjection, KeyAttribute, KeyType};

/// Capacity units a second of one table: the service's own limit.
const UNITS: (u64, u64) = (1, 40_000);

/// Bytes of an attribute that a table names: the service's own limits.
const ATTRIBUTE_BYTES: (u64, u64) = (1, 255);

/// Indexes of a table that have the table's hash key, and others: the service's own limits.
const LOCAL_INDEXES_MAX: usize = 5;
const GLOBAL_INDEXES_MAX: usize = 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableTable {
    pub(super) name: Spanned<String>,
    hash_key: KeyTable,
    sort_key: Option<KeyTable>,
    changes: Option<ChangeView>,
    capacity: Option<CapacityTable>,
    expiry: Option<Spanned<String>>,
    #[serde(default)]
    index: Vec<IndexTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CapacityTable {
    reads: Spanned<u64>,
    writes: Spanned<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyTable {
    name: Spanned<String>,
    #[serde(rename = "type")]
    key_type: KeyType,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IndexTable {
    name: Spanned<String>,
    hash_key: KeyTable,
    sort_key: Option<KeyTable>,
    /// What its entries hold besides keys; all attributes when neither this nor `keys_only` is there.
    attributes: Option<Vec<String>>,
    #[serde(default)]
    keys_only: bool,
    /// Whether it orders the items of each of the table's hash keys in another way.
    #[serde(default)]
    local: bool,
}

/// A table to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSpec {
    /// Its name.
    pub name: String,
    /// The hash key.
    pub hash_key: KeyAttribute,
    /// The sort key.
    pub sort_key: Option<KeyAttribute>,
    /// What records of its changes show; `None`: changes are not told.
    pub changes: Option<ChangeView>,
    /// Capacity units of (reads, writes) per second; `None`: pay per request.
    pub provisioned: Option<(u64, u64)>,
    /// The attribute that says when an item may go.
    pub expiry: Option<String>,
    /// Its secondary indexes.
    pub indexes: Vec<IndexSpec>,
}

/// A secondary index to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexSpec {
    /// Its name.
    pub name: String,
    /// The hash key.
    pub hash_key: KeyAttribute,
    /// The sort key.
    pub sort_key: Option<KeyAttribute>,
    /// What its entries hold besides keys.
    pub projection: IndexProjection,
    /// Whether it has the table's own hash key and shares its capacity.
    pub local: bool,
}

impl Resolver<'_> {
    pub(super) fn table(&mut self, table: TableTable) -> Located<TableSpec> {
        let line = self.line(&table.name);
        self.keys((&table.hash_key, table.sort_key.as_ref()));
        if let Some(name) = &table.expiry {
            self.attribute(name);
        }
        if let Some(capacity) = &table.capacity {
            self.within("capacity.reads", Some(&capacity.reads), UNITS);
            self.within("capacity.writes", Some(&capacity.writes), UNITS);
        }
        self.indexes(&table);
        let value = TableSpec {
            name: table.name.into_inner(),
            hash_key: attribute(table.hash_key),
            sort_key: table.sort_key.map(attribute),
            changes: table.changes,
            provisioned: table.capacity.map(|capacity| (capacity.reads.into_inner(), capacity.writes.into_inner())),
            expiry: table.expiry.map(Spanned::into_inner),
            indexes: table.index.into_iter().map(index).collect(),
        };
        Located { value, line }
    }

    fn keys(&mut self, (hash_key, sort_key): (&KeyTable, Option<&KeyTable>)) {
        if let Some(key) = sort_key.filter(|key| key.name.get_ref() == hash_key.name.get_ref()) {
            let line = self.line(&key.name);
            let message = format!("hash_key and sort_key are both `{}`", key.name.get_ref());
            self.wrong(line, message, "name two attributes");
        }
        std::iter::once(hash_key).chain(sort_key).for_each(|key| self.attribute(&key.name));
    }

    fn attribute(&mut self, name: &Spanned<String>) {
        let line = self.line(name);
        self.range(line, "bytes of an attribute's name", name.get_ref().len() as u64, ATTRIBUTE_BYTES);
    }

    /// Checks a table's indexes against each other and against the table.
    fn indexes(&mut self, table: &TableTable) {
        self.unique("index", table.index.iter().map(|index| &index.name));
        let (local, global): (Vec<_>, Vec<_>) = table.index.iter().partition(|index| index.local);
        for (indexes, what, limit) in [(local, "local ", LOCAL_INDEXES_MAX), (global, "", GLOBAL_INDEXES_MAX)] {
            if let Some(index) = indexes.get(limit) {
                let line = self.line(&index.name);
                self.wrong(line, format!("a table has at most {limit} {what}indexes"), "remove some");
            }
        }
        let own = std::iter::once(&table.hash_key).chain(&table.sort_key);
        let mut types: BTreeMap<&str, KeyType> = own.map(|key| (key.name.get_ref().as_str(), key.key_type)).collect();
        for index in &table.index {
            self.keys((&index.hash_key, index.sort_key.as_ref()));
            for key in std::iter::once(&index.hash_key).chain(&index.sort_key) {
                let known = *types.entry(key.name.get_ref()).or_insert(key.key_type);
                if known != key.key_type {
                    let line = self.line(&key.name);
                    let message = format!("`{}` has another type elsewhere in this table", key.name.get_ref());
                    self.wrong(line, message, "an attribute has one type in all keys");
                }
            }
            self.index_alone(table, index);
        }
    }

    fn index_alone(&mut self, table: &TableTable, index: &IndexTable) {
        let line = self.line(&index.name);
        if index.keys_only && index.attributes.is_some() {
            let message = "expected `attributes` or `keys_only`, found both".to_owned();
            self.wrong(line, message, "keys are always held");
        }
        if index.attributes.as_ref().is_some_and(Vec::is_empty) {
            self.wrong(line, "`attributes` names nothing".to_owned(), "keys_only = true holds nothing else");
        }
        if !index.local {
            return;
        }
        if index.hash_key.name.get_ref() != table.hash_key.name.get_ref() {
            let expected = table.hash_key.name.get_ref();
            let message = format!("a local index has its table's hash key, `{expected}`");
            self.wrong(line, message, "name that, or leave `local` out");
        }
        if index.sort_key.is_none() {
            self.wrong(
                line,
                "a local index needs a sort key".to_owned(),
                "sort_key = { name = \"NAME\", type = \"string\" }",
            );
        }
    }
}

fn attribute(key: KeyTable) -> KeyAttribute {
    KeyAttribute { name: key.name.into_inner(), key_type: key.key_type }
}

fn index(table: IndexTable) -> IndexSpec {
    let projection = match table.attributes {
        _ if table.keys_only => IndexProjection::KeysOnly,
        Some(attributes) => IndexProjection::Include { attributes: attributes.into_iter().collect() },
        None => IndexProjection::All,
    };
    IndexSpec {
        name: table.name.into_inner(),
        hash_key: attribute(table.hash_key),
        sort_key: table.sort_key.map(attribute),
        projection,
        local: table.local,
    }
}
