//! Tables.

use millstream_types::Millis;
use serde::{Deserialize, Serialize};

use crate::collection::Definition;

/// Bytes of names and values that an item of a user's table may have: 400 KB, as tables of this protocol family have it.
pub const TABLE_ITEM_BYTES_MAX: usize = 400 * 1024;

/// Items under a hash key and, if there is one, a sort key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDefinition {
    /// Unique.
    pub name: String,
    /// Names its items on disk; never given twice, so a table made anew begins empty.
    pub id: u64,
    /// A UUID, as clients see it.
    pub uuid: String,
    /// When it was made.
    pub created: Millis,
    /// The hash key.
    pub hash_key: KeyAttribute,
    /// The sort key.
    #[serde(default)]
    pub sort_key: Option<KeyAttribute>,
    /// Provisioned (reads, writes) per second; `None` for pay per request.
    #[serde(default)]
    pub provisioned: Option<(u64, u64)>,
    /// Labels.
    #[serde(default)]
    pub tags: std::collections::BTreeMap<String, String>,
    /// Whose it is.
    #[serde(default)]
    pub owner: TableOwner,
    /// Bytes of names and values that one item may have.
    #[serde(default = "table_item_bytes_max")]
    pub item_bytes_max: usize,
    /// The stream of its changes; `None` if there never was one.
    #[serde(default)]
    pub changes: Option<TableChanges>,
    /// The attribute that says when an item may go, as a number of seconds since 1970; `None`: items stay.
    #[serde(default)]
    pub expiry: Option<String>,
    /// Secondary indexes, in the order that they were named in.
    #[serde(default)]
    pub indexes: Vec<TableIndex>,
    /// Behind the highest number that an index made later had: none is given twice, so a new index begins empty.
    #[serde(default)]
    pub next_index: u32,
}

/// A secondary index: a table's items under another key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableIndex {
    /// Unique in its table.
    pub name: String,
    /// Names its entries on disk; unique in its table.
    pub number: u32,
    /// The hash key.
    pub hash_key: KeyAttribute,
    /// The sort key.
    #[serde(default)]
    pub sort_key: Option<KeyAttribute>,
    /// What entries hold of their items.
    pub projection: IndexProjection,
    /// Whether it has the table's own hash key and shares its capacity.
    pub local: bool,
    /// Provisioned (reads, writes) per second of an index that is not local. Told, not enforced: an index uses its table's.
    #[serde(default)]
    pub provisioned: Option<(u64, u64)>,
    /// Whether it can be used.
    #[serde(default)]
    pub state: IndexState,
}

/// What becomes of an index of a table that is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexState {
    /// It has an entry of each item that has its key.
    #[default]
    Active,
    /// Writes keep it, but items from before it may still lack their entries.
    Filling,
    /// Writes do not keep it any more; its entries are being removed.
    Going,
}

/// What an index's entries hold of their items, besides the keys of index and table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum IndexProjection {
    /// Everything.
    All,
    /// Nothing else.
    KeysOnly,
    /// Some attributes.
    Include {
        /// Their names.
        attributes: std::collections::BTreeSet<String>,
    },
}

impl TableDefinition {
    /// The indexes that writes keep.
    pub fn kept_indexes(&self) -> impl Iterator<Item = &TableIndex> {
        self.indexes.iter().filter(|index| index.state != IndexState::Going)
    }

    /// What change records show, if changes are told now.
    #[must_use]
    pub fn change_view(&self) -> Option<ChangeView> {
        self.changes.as_ref().filter(|changes| changes.enabled).map(|changes| changes.view)
    }
}

/// A table's stream of changes, named `changes/TABLE`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableChanges {
    /// What its records show.
    pub view: ChangeView,
    /// When it was made: tells it from those that the table had before.
    pub created: Millis,
    /// Whether changes are told. One that was disabled can be read until its records are gone.
    pub enabled: bool,
}

/// What a change record shows besides the item's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeView {
    /// Nothing else.
    KeysOnly,
    /// The item as it is after the change.
    NewImage,
    /// The item as it was before the change.
    OldImage,
    /// Both.
    NewAndOldImages,
}

impl ChangeView {
    /// Whether the item is shown as it is after the change.
    #[must_use]
    pub fn shows_new(self) -> bool {
        matches!(self, Self::NewImage | Self::NewAndOldImages)
    }

    /// Whether the item is shown as it was before the change.
    #[must_use]
    pub fn shows_old(self) -> bool {
        matches!(self, Self::OldImage | Self::NewAndOldImages)
    }
}

/// Who made a table and may remove it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableOwner {
    /// A user: it is listed by the table services.
    #[default]
    User,
    /// A container of documents, whose table is named `document/DATABASE/CONTAINER`.
    DocumentContainer,
}

fn table_item_bytes_max() -> usize {
    TABLE_ITEM_BYTES_MAX
}

/// One key attribute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAttribute {
    /// Its name in items.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub key_type: KeyType,
}

/// What a key may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyType {
    /// Text, ordered by its UTF-8 bytes.
    String,
    /// A decimal number of up to 38 digits.
    Number,
    /// Bytes.
    Binary,
}

impl Definition for TableDefinition {
    const KIND: &'static str = "table";

    fn key(&self) -> &str {
        &self.name
    }
}
