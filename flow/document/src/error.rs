//! What can go wrong with documents, as facts; protocols put them in their own words.

use millstream_catalog::CatalogError;
use millstream_stream::StreamError;
use millstream_table::TableError;
use millstream_types::ErrorKind;

use crate::query::QueryError;

/// An error of the document engine.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(missing_docs)]
pub enum DocumentError {
    #[error("there is no database `{database}`")]
    DatabaseNotFound { database: String },
    #[error("there is a database `{database}` already")]
    DatabaseExists { database: String },
    #[error("there is no container `{container}` in the database `{database}`")]
    ContainerNotFound { database: String, container: String },
    #[error("there is a container `{container}` in the database `{database}` already")]
    ContainerExists { database: String, container: String },
    #[error("there is no document `{id}` under that partition key")]
    DocumentNotFound { id: String },
    #[error("there is a document `{id}` under that partition key already")]
    DocumentExists { id: String },
    #[error("what is to be changed was changed since: its etag is another one; read it again")]
    EtagMismatch,
    #[error("a patch was overtaken by other writers {attempts} times; send it again")]
    PatchOvertaken { attempts: usize },
    #[error("the condition of the patch did not hold")]
    PatchCondition,
    /// `why` completes the sentence.
    #[error("`{name}` cannot be a name: {why}")]
    Name { name: String, why: &'static str },
    #[error("expected a JSON object")]
    NotAnObject,
    #[error("expected the property `id` in the document, found none")]
    IdMissing,
    #[error("expected the id `{expected}` in the document, found `{found}`; an id cannot be changed")]
    IdChanged { expected: String, found: String },
    #[error("expected a path such as `/tenant` for a partition key, found `{path}`")]
    PartitionKeyPath { path: String },
    #[error("expected 1 to {max} paths of a partition key, found {found}")]
    PartitionKeyPaths { found: usize, max: usize },
    #[error("expected {expected} values of the partition key, found {found}")]
    PartitionKeyCount { expected: usize, found: usize },
    #[error("expected a text, a number, true, false or null in a partition key")]
    PartitionKeyValue,
    #[error("a partition key of {bytes} bytes is over the limit of {max}")]
    PartitionKeyTooLarge { bytes: usize, max: usize },
    #[error("the document's partition key is not the one that the request names")]
    PartitionKeyMismatch,
    #[error("a document of {bytes} bytes is over the limit of {max}")]
    DocumentTooLarge { bytes: usize, max: usize },
    #[error("expected -1 or a whole number of seconds from 1 on as a time to live, found {found}")]
    Lifetime { found: String },
    /// Another document of the partition key has the values of a unique key.
    #[error("another document of the partition key has the values of a unique key")]
    NotUnique,
    #[error("expected unique keys of paths such as `/email`, found {found}")]
    UniqueKeys { found: String },
    #[error("expected a throughput from {least} to {most} in steps of {step}, found {found}")]
    Throughput { found: u32, least: u32, most: u32, step: u32 },
    #[error("the continuation is not of this query; start without one")]
    Continuation,
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Patch(#[from] PatchError),
    #[error("expected 1 to {max} operations in a batch, found {found}")]
    BatchSize { found: usize, max: usize },
    #[error("the batch's documents of {bytes} bytes are over the limit of {max}")]
    BatchTooLarge { bytes: usize, max: usize },
    /// Nothing of the batch was done. `at`: the operation's place, from 0.
    #[error("operation {at} of the batch failed: {error}")]
    Batch { at: usize, error: Box<DocumentError> },
    /// A stored document was written by a later version, or is damaged.
    #[error("the stored document `{id}` cannot be read: a later version wrote it or it is damaged")]
    Unreadable { id: String },
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Stream(#[from] StreamError),
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl DocumentError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::DatabaseNotFound { .. } | Self::ContainerNotFound { .. } | Self::DocumentNotFound { .. } => {
                ErrorKind::NotFound
            }
            Self::DatabaseExists { .. }
            | Self::ContainerExists { .. }
            | Self::DocumentExists { .. }
            | Self::NotUnique => ErrorKind::Exists,
            Self::EtagMismatch | Self::PatchCondition | Self::PatchOvertaken { .. } => ErrorKind::Conflict,
            Self::DocumentTooLarge { .. } | Self::BatchTooLarge { .. } => ErrorKind::TooLarge,
            Self::Batch { error, .. } => error.kind(),
            Self::Name { .. }
            | Self::NotAnObject
            | Self::IdMissing
            | Self::IdChanged { .. }
            | Self::PartitionKeyPath { .. }
            | Self::PartitionKeyPaths { .. }
            | Self::PartitionKeyCount { .. }
            | Self::PartitionKeyValue
            | Self::PartitionKeyTooLarge { .. }
            | Self::PartitionKeyMismatch
            | Self::Lifetime { .. }
            | Self::UniqueKeys { .. }
            | Self::Throughput { .. }
            | Self::Continuation
            | Self::BatchSize { .. }
            | Self::Query(_)
            | Self::Patch(_) => ErrorKind::Invalid,
            Self::Unreadable { .. } => ErrorKind::Internal,
            Self::Table(error) => error.kind(),
            Self::Stream(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
        }
    }
}

/// What is wrong with a patch, or with the document it is for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum PatchError {
    #[error("expected 1 to {max} operations in a patch, found {found}")]
    Count { found: usize, max: usize },
    #[error("expected a path such as `/price` or `/lines/0`, found `{path}`")]
    Path { path: String },
    #[error("`{path}` cannot be patched: it names the document or is kept by the node")]
    Protected { path: String },
    #[error("there is nothing at `{path}` in the document")]
    Absent { path: String },
    #[error("expected a number at `{path}` to add to")]
    NotANumber { path: String },
    #[error("expected a number to add")]
    Increment,
}
