//! What can go wrong with tables, as facts; protocols put them in their own words.

use millstream_catalog::CatalogError;
use millstream_storage::StorageError;
use millstream_stream::StreamError;
use millstream_types::ErrorKind;

use crate::item::{AttributeType, AttributeValue, Item};

/// An error of the table engine.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs)]
pub enum TableError {
    #[error("there is no table `{table}`")]
    TableNotFound { table: String },
    #[error("there is a table `{table}` already")]
    TableExists { table: String },
    #[error("expected the key attribute `{attribute}` in the item, found none")]
    KeyMissing { attribute: String },
    #[error("expected the key attribute `{attribute}` to be of type {}, found {}", expected.letters(), found.letters())]
    KeyType { attribute: String, expected: AttributeType, found: AttributeType },
    #[error("expected exactly the table's key attributes, each of its type")]
    KeyMismatch,
    #[error("expected a value of at least one byte for the key attribute `{attribute}`")]
    KeyEmpty { attribute: String, kind: AttributeType },
    /// `hash`: the hash key, else the sort key.
    #[error("expected at most {max} bytes for the key attribute `{attribute}`")]
    KeyTooLarge { attribute: String, hash: bool, max: usize },
    #[error("the table has no index `{index}`")]
    IndexNotFound { index: String },
    #[error("the index `{index}` is being filled; read it when that is done")]
    IndexFilling { index: String },
    #[error("the table has an index `{index}` already")]
    IndexExists { index: String },
    /// One index at a time is made or removed.
    #[error("an index of the table `{table}` is being made or removed; wait until that is done")]
    IndexChanging { table: String },
    #[error("the indexes of the table `{table}` changed while an item was written; write it again")]
    IndexesChanged { table: String },
    #[error("expected the key attribute `{attribute}` of the index `{index}` to be of type {}, found {}", expected.letters(), found.letters())]
    IndexKeyType { attribute: String, index: String, expected: AttributeType, found: AttributeType },
    #[error("expected a value of at least one byte for the key attribute `{attribute}` of the index `{index}`")]
    IndexKeyEmpty { attribute: String, index: String, kind: AttributeType },
    #[error("an item of {bytes} bytes is over the limit of {max}")]
    ItemTooLarge { bytes: usize, max: usize },
    #[error("expected at most {max} levels of lists and maps")]
    TooDeep { max: usize },
    /// The item as it is, for callers that asked to see it.
    #[error("the condition did not hold")]
    ConditionFailed { item: Option<Box<Item>> },
    #[error("{0}")]
    Expression(#[from] ExpressionError),
    /// An update would change the key attribute.
    #[error("`{attribute}` is part of the key and cannot be updated; put a new item instead")]
    UpdatesKey { attribute: String },
    #[error("the update needs an attribute that the item does not have")]
    OperandMissing,
    #[error("a value of the item has a type that the update cannot work with")]
    OperandType,
    #[error("the update names a place inside the item that does not exist")]
    UpdatePath,
    #[error("the sum cannot be kept: {0}")]
    Number(#[from] NumberError),
    #[error("a batch names the same item twice; name it once")]
    DuplicateKeys,
    #[error("expected at most {max} items in a batch, found {found}")]
    BatchSize { found: usize, max: usize },
    #[error("the table `{table}` has no capacity left at the moment; try again later or give it more")]
    Throttled { table: String },
    /// What stood against each part, in their order.
    #[error("{} of {} parts of the transaction cannot be done", reasons.iter().flatten().count(), reasons.len())]
    Cancelled { reasons: Vec<Option<TableError>> },
    #[error("a transaction names the same item twice; name it once")]
    SameItemTwice,
    #[error("the items of the transaction have {bytes} bytes, over the limit of {max}")]
    TransactionTooLarge { bytes: usize, max: usize },
    #[error("the token `{token}` was used for another transaction; use a new one")]
    TokenReused { token: String },
    #[error("the table `{table}` tells its changes already")]
    ChangesEnabled { table: String },
    #[error("the table `{table}` does not tell its changes")]
    ChangesDisabled { table: String },
    #[error("expected at most {max} labels of a table, found {found}")]
    TooManyTags { found: usize, max: usize },
    #[error("segment {segment} is outside of the {total} segments")]
    Segment { segment: u32, total: u32 },
    #[error("the start key is outside of what the query covers")]
    StartKey,
    /// A stored item was written by a later version, or is damaged.
    #[error("a stored item cannot be read: a later version wrote it or it is damaged")]
    UnreadableItem,
    /// A change record was written by a later version, or is damaged.
    #[error("a change record cannot be read: a later version wrote it or it is damaged")]
    UnreadableChange,
    #[error(transparent)]
    Catalog(CatalogError),
    /// Of the stream of a table's changes.
    #[error(transparent)]
    Stream(StreamError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl TableError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::TableNotFound { .. } => ErrorKind::NotFound,
            Self::TableExists { .. } | Self::IndexExists { .. } => ErrorKind::Exists,
            Self::IndexesChanged { .. } => ErrorKind::Unavailable,
            Self::ConditionFailed { .. }
            | Self::Cancelled { .. }
            | Self::TokenReused { .. }
            | Self::IndexFilling { .. }
            | Self::IndexChanging { .. }
            | Self::ChangesEnabled { .. }
            | Self::ChangesDisabled { .. } => ErrorKind::Conflict,
            Self::Throttled { .. } => ErrorKind::Throttled,
            Self::TransactionTooLarge { .. }
            | Self::TooManyTags { .. }
            | Self::ItemTooLarge { .. }
            | Self::KeyTooLarge { .. }
            | Self::TooDeep { .. }
            | Self::BatchSize { .. } => ErrorKind::TooLarge,
            Self::KeyMissing { .. }
            | Self::KeyType { .. }
            | Self::KeyMismatch
            | Self::KeyEmpty { .. }
            | Self::IndexNotFound { .. }
            | Self::IndexKeyType { .. }
            | Self::IndexKeyEmpty { .. }
            | Self::Expression(_)
            | Self::UpdatesKey { .. }
            | Self::OperandMissing
            | Self::OperandType
            | Self::UpdatePath
            | Self::Number(_)
            | Self::DuplicateKeys
            | Self::SameItemTwice
            | Self::Segment { .. }
            | Self::StartKey => ErrorKind::Invalid,
            Self::UnreadableItem | Self::UnreadableChange => ErrorKind::Internal,
            Self::Stream(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
            Self::Storage(error) => error.kind(),
        }
    }
}

impl From<CatalogError> for TableError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound { name, .. } => Self::TableNotFound { table: name },
            CatalogError::Exists { name, .. } => Self::TableExists { table: name },
            CatalogError::Storage(error) => Self::Storage(error),
            other @ CatalogError::Unreadable { .. } => Self::Catalog(other),
        }
    }
}

/// Why a text or a sum is no number that can be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum NumberError {
    #[error("expected a decimal number, found `{text}`")]
    Malformed { text: String },
    #[error("more than 38 significant digits")]
    TooPrecise,
    #[error("the magnitude is over 9.9E+125")]
    TooLarge,
    #[error("the magnitude is under 1E-130")]
    TooSmall,
}

/// What is wrong with an expression's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum ExpressionError {
    #[error("the expression is empty")]
    Empty,
    #[error("an expression of {bytes} bytes is over the limit of {max}")]
    TooLong { bytes: usize, max: usize },
    #[error("expected at most {max} operators, conditions and brackets inside each other")]
    TooDeep { max: usize },
    /// `near`: the token with its neighbours, as they were written.
    #[error("unexpected `{token}` near `{near}`")]
    Syntax { token: String, near: String },
    #[error("`{word}` is a reserved word; use a `#name` for it")]
    Reserved { word: String },
    #[error("the name `{name}` is not defined; add it to the expression's names")]
    UndefinedName { name: String },
    #[error("the value `{name}` is not defined; add it to the expression's values")]
    UndefinedValue { name: String },
    #[error("there is no function `{function}`")]
    UnknownFunction { function: String },
    #[error("the function `{function}` is not allowed here")]
    MisplacedFunction { function: String },
    #[error("`{function}` takes another number of operands than {found}")]
    OperandCount { function: String, found: usize },
    #[error("`{operator}` cannot work on a value of type {}", found.letters())]
    OperandType { operator: String, found: AttributeType },
    #[error("`{function}` needs the path of an attribute")]
    PathExpected { function: String },
    #[error("attribute_type knows no type `{found}`")]
    UnknownType { found: String },
    #[error("BETWEEN needs the lower bound first, found {lower} and {upper}")]
    BetweenBounds { lower: Box<AttributeValue>, upper: Box<AttributeValue> },
    #[error("the section {section} may be there once only")]
    RepeatedSection { section: &'static str },
    /// Both are lists of path elements as a person writes them.
    #[error("the paths {first:?} and {second:?} overlap; remove one of them")]
    OverlappingPaths { first: Vec<String>, second: Vec<String> },
    #[error("the paths {first:?} and {second:?} take the same value for a list and for a map")]
    ConflictingPaths { first: Vec<String>, second: Vec<String> },
    #[error("the key condition lacks the key attribute `{attribute}`")]
    KeyAttributeMissing { attribute: String },
    #[error("a key condition has one condition for each key attribute at most")]
    KeyConditionRepeated,
    #[error("`{operator}` is not allowed in a key condition")]
    KeyConditionOperator { operator: String },
    #[error("a key condition compares a key attribute with a value")]
    KeyConditionUnsupported,
    #[error("a value of the key condition is not of its key attribute's type")]
    KeyConditionType,
    #[error("names that no expression uses: {names:?}")]
    UnusedNames { names: Vec<String> },
    #[error("values that no expression uses: {names:?}")]
    UnusedValues { names: Vec<String> },
    #[error("a filter may not name the key attribute `{attribute}`; use the key condition")]
    FilterOnKey { attribute: String },
}
