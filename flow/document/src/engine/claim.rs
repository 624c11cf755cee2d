//! One claim: which document has the values of a unique key, and how that lies in a table's item. Pure.

use bytes::Bytes;
use millstream_table::expression::Condition;
use millstream_table::{AttributeValue, Item};

use super::documents::equal;
use crate::document::{self, ID, PARTITION};

/// The attribute of a claim that names its document. On disk for good.
const HOLDER: &str = "holder";

/// Who has the values of a unique key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// The documents' partition key, encoded.
    pub partition: Bytes,
    /// The values' short name: see [`crate::unique::claims`].
    pub name: String,
    /// The id of the document that has them.
    pub holder: String,
}

impl Claim {
    /// The claim of a stored item; `None`: it is none.
    pub fn of_item(item: &Item) -> Option<Self> {
        let (
            Some(AttributeValue::Binary(partition)),
            Some(AttributeValue::String(name)),
            Some(AttributeValue::String(holder)),
        ) = (item.get(PARTITION), item.get(ID), item.get(HOLDER))
        else {
            return None;
        };
        Some(Self { partition: partition.clone(), name: name.clone(), holder: holder.clone() })
    }

    /// The key of its item, which is the same for all who could hold it.
    pub fn key(&self) -> Item {
        document::key(self.partition.clone(), &self.name)
    }

    /// The item to be put.
    pub fn item(&self) -> Item {
        let mut item = self.key();
        item.insert(HOLDER.to_owned(), self.holder());
        item
    }

    /// Holds for an item that is this claim, of this document.
    pub fn is_this(&self) -> Condition {
        equal(HOLDER, self.holder())
    }

    fn holder(&self) -> AttributeValue {
        AttributeValue::String(self.holder.clone())
    }
}
