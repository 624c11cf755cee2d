//! Documents: JSON under an id and a partition key, in containers of databases, and the SQL that asks for them.
//!
//! A container's documents are the items of a table of the table engine, which decides all conditions. Knows no wire format,
//! status code or header of a protocol. Read next: [`engine`] (the operations), [`partition`] (partition keys), [`query`]
//! (the SQL: pure), `patch.rs` (changes of parts of a document: pure).

mod document;
pub mod engine;
mod error;
mod hash_range;
mod lifetime;
pub mod partition;
mod patch;
pub mod query;
mod unique;

pub use document::{Document, RESOURCE_NAME_CHARS_MAX, container_rid, database_rid};
pub use engine::{
    BATCH_OPERATIONS_MAX, BatchAction, BatchOperation, BatchResult, ChangesFrom, ChangesPage, ChangesRequest,
    ContainerSettings, DOCUMENT_BYTES_MAX, Documents, Feed, NewContainer, PageRequest, Upserted, check_throughput,
};
pub use error::{DocumentError, PatchError};
pub use hash_range::HashRange;
pub use partition::PartitionKey;
pub use patch::{Patch, PatchOperation};
pub use query::{Query, QueryError};
