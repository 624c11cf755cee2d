//! Items: attributes by name, their values and their size.
//!
//! The engine's own types: neither what is on disk (`stored.rs`) nor what is on a wire (fronts).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;

use crate::error::TableError;
use crate::number::Number;

/// Levels of lists and maps inside a value: bounds recursion and documents alike.
pub const DEPTH_MAX: usize = 32;

/// Attributes by name.
pub type Item = BTreeMap<String, AttributeValue>;

/// An attribute's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// Text.
    String(String),
    /// A decimal number.
    Number(Number),
    /// Bytes.
    Binary(Bytes),
    /// True or false.
    Bool(bool),
    /// Nothing, on purpose.
    Null,
    /// Values in order.
    List(Vec<AttributeValue>),
    /// Values by name.
    Map(Item),
    /// Different texts; never empty.
    StringSet(BTreeSet<String>),
    /// Different numbers; never empty.
    NumberSet(BTreeSet<Number>),
    /// Different byte strings; never empty.
    BinarySet(BTreeSet<Bytes>),
}

/// The types of [`AttributeValue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AttributeType {
    String,
    Number,
    Binary,
    Bool,
    Null,
    List,
    Map,
    StringSet,
    NumberSet,
    BinarySet,
}

impl AttributeType {
    /// All types.
    pub const ALL: [Self; 10] = [
        Self::String,
        Self::Number,
        Self::Binary,
        Self::Bool,
        Self::Null,
        Self::List,
        Self::Map,
        Self::StringSet,
        Self::NumberSet,
        Self::BinarySet,
    ];

    /// The letters that the expression language's `attribute_type` names it with.
    #[must_use]
    pub fn letters(self) -> &'static str {
        match self {
            Self::String => "S",
            Self::Number => "N",
            Self::Binary => "B",
            Self::Bool => "BOOL",
            Self::Null => "NULL",
            Self::List => "L",
            Self::Map => "M",
            Self::StringSet => "SS",
            Self::NumberSet => "NS",
            Self::BinarySet => "BS",
        }
    }

    /// The type of those letters.
    #[must_use]
    pub fn from_letters(letters: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.letters() == letters)
    }

    /// Whether values of the type have an order.
    #[must_use]
    pub fn is_ordered(self) -> bool {
        matches!(self, Self::String | Self::Number | Self::Binary)
    }
}

impl AttributeValue {
    /// Its type.
    #[must_use]
    pub fn kind(&self) -> AttributeType {
        match self {
            Self::String(_) => AttributeType::String,
            Self::Number(_) => AttributeType::Number,
            Self::Binary(_) => AttributeType::Binary,
            Self::Bool(_) => AttributeType::Bool,
            Self::Null => AttributeType::Null,
            Self::List(_) => AttributeType::List,
            Self::Map(_) => AttributeType::Map,
            Self::StringSet(_) => AttributeType::StringSet,
            Self::NumberSet(_) => AttributeType::NumberSet,
            Self::BinarySet(_) => AttributeType::BinarySet,
        }
    }

    /// Bytes that it counts for in an item's size.
    #[must_use]
    pub fn size(&self) -> usize {
        // Lists and maps cost three bytes, and one for each element.
        match self {
            Self::String(text) => text.len(),
            Self::Number(number) => number.size(),
            Self::Binary(bytes) => bytes.len(),
            Self::Bool(_) | Self::Null => 1,
            Self::List(values) => 3 + values.iter().map(|value| value.size() + 1).sum::<usize>(),
            Self::Map(item) => 3 + size(item) + item.len(),
            Self::StringSet(set) => set.iter().map(String::len).sum(),
            Self::NumberSet(set) => set.iter().map(|number| number.size()).sum(),
            Self::BinarySet(set) => set.iter().map(Bytes::len).sum(),
        }
    }

    /// Levels of lists and maps: 0 for a plain value.
    #[must_use]
    pub fn depth(&self) -> usize {
        match self {
            Self::List(values) => 1 + values.iter().map(Self::depth).max().unwrap_or(0),
            Self::Map(item) => 1 + item.values().map(Self::depth).max().unwrap_or(0),
            _ => 0,
        }
    }
}

impl fmt::Display for AttributeValue {
    /// For people: a key in a trail, a value in a message.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::String(text) => formatter.write_str(text),
            Self::Number(number) => number.fmt(formatter),
            Self::Binary(bytes) => bytes.iter().try_for_each(|byte| write!(formatter, "{byte:02x}")),
            Self::Bool(value) => value.fmt(formatter),
            Self::Null => formatter.write_str("null"),
            other => write!(formatter, "<{}>", other.kind().letters()),
        }
    }
}

/// Bytes that an item counts for: its names and values.
#[must_use]
pub fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value.size()).sum()
}

/// Refuses items over the limits; `bytes_max` is the table's own.
///
/// # Errors
/// [`TableError::ItemTooLarge`], [`TableError::TooDeep`].
pub fn check_limits(item: &Item, bytes_max: usize) -> Result<(), TableError> {
    if item.values().any(|value| value.depth() > DEPTH_MAX) {
        return Err(TableError::TooDeep { max: DEPTH_MAX });
    }
    let bytes = size(item);
    if bytes > bytes_max {
        return Err(TableError::ItemTooLarge { bytes, max: bytes_max });
    }
    Ok(())
}
