//! Tables: items under a hash key and an optional sort key, conditions, updates, queries and scans, the changes they tell.
//!
//! Holds all behaviour of tables; knows no wire format, status code or error name of a protocol.
//! Read next: [`engine`] (the operations), [`key`] (how items lie in a keyspace), [`expression`] (conditions and updates).

pub mod capacity;
mod change;
pub mod engine;
mod error;
pub mod expression;
pub mod index;
pub mod item;
pub mod key;
pub mod number;
mod stored;

pub use change::{CHANGES_RETENTION_HOURS, Change, ChangeCause, ChangeKind};
pub use engine::{
    BATCH_GET_BYTES_MAX, BATCH_GET_MAX, BATCH_WRITE_MAX, BatchGet, BatchGot, BatchWrite, BatchWritten, Deletion,
    NewTable, PAGE_BYTES_MAX, Page, Put, Query, Read, Scan, Size, TAGS_MAX, TRANSACT_BYTES_MAX, TRANSACT_MAX,
    TableSize, Tables, Together, Token, TransactGot, TransactWrite, TransactWritten, Update, Updated, Write,
};
pub use error::{ExpressionError, NumberError, TableError};
pub use item::{AttributeType, AttributeValue, Item};
pub use number::Number;
