//! What can go wrong with queries.

use millstream_catalog::CatalogError;
use millstream_storage::StorageError;
use millstream_stream::StreamError;
use millstream_types::ErrorKind;

use super::definitions::TAGS_MAX;
use crate::error::PlanError;
use crate::executor::ExecuteError;

/// An error of the query engine.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    /// No query of that name.
    #[error("there is no query `{name}`")]
    NotFound {
        /// The name asked for.
        name: String,
    },
    /// The name is taken.
    #[error("there is a query `{name}` already")]
    Exists {
        /// The name.
        name: String,
    },
    /// It is in another state.
    #[error("query `{name}` is {state}")]
    State {
        /// The query.
        name: String,
        /// Its state.
        state: &'static str,
    },
    /// It is not any more what the caller has seen.
    #[error("somebody else changed query `{name}` meanwhile; look at it again")]
    Changed {
        /// The query.
        name: String,
    },
    /// Where a record ends up depends on others: windows that begin or end with rows.
    #[error("the windows of query `{name}` depend on all of their rows: one record does not tell where it ended up")]
    ManyRows {
        /// The query.
        name: String,
    },
    /// Where a record ends up depends on a function that it goes through first.
    #[error("records of query `{name}` go through a function first: one alone does not tell where it ended up")]
    Processed {
        /// The query.
        name: String,
    },
    /// It would have too many labels.
    #[error("expected at most {TAGS_MAX} tags of a query, found {found}")]
    TooManyTags {
        /// How many it would have.
        found: usize,
    },
    /// The SQL has mistakes.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Plan(Vec<PlanError>),
    /// The SQL reads an input that is not defined.
    #[error("the query reads `{name}`, which is none of its inputs")]
    NoInput {
        /// The input.
        name: String,
    },
    /// An input's stream is not there.
    #[error("input `{input}`: there is no stream `{stream}`; make it, and it is read from its beginning")]
    InputGone {
        /// The input.
        input: String,
        /// Its stream.
        stream: String,
    },
    /// Reference data are not there, or are no rows.
    #[error("reference data `{name}`: the object `{object}` cannot be used: {reason}")]
    Reference {
        /// Their name in the SQL.
        name: String,
        /// The bucket and the object's name.
        object: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// The function that an input's records go through does not answer for all of them; it gets them again.
    #[error("the records of an input are not processed by the function `{function}`: {reason}")]
    Processing {
        /// The function.
        function: String,
        /// What it said.
        reason: String,
    },
    /// An input cannot be what it is defined as.
    #[error("input `{input}`: {reason}")]
    Input {
        /// The input.
        input: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// A function, container or bucket does not take its rows.
    #[error("{target} has not taken {left} {what}: {reason}")]
    Delivery {
        /// The function, container or bucket.
        target: String,
        /// `records`, `documents` or `objects`.
        what: &'static str,
        /// How many are left.
        left: usize,
        /// What it said.
        reason: String,
    },
    /// The role of an input or an output does not allow what the query needs.
    #[error("`{name}`: {reason}")]
    NotAllowed {
        /// The input or the output.
        name: String,
        /// What the role lacks.
        reason: String,
    },
    /// An output cannot be what it is defined as.
    #[error("output `{output}`: {reason}")]
    Output {
        /// The output.
        output: String,
        /// What was expected and what was found.
        reason: String,
    },
    /// A line of a sample is no event.
    #[error("the sample for `{input}`, line {line}: {reason}")]
    Sample {
        /// The input.
        input: String,
        /// The line, from 1.
        line: usize,
        /// What was expected and what was found.
        reason: String,
    },
    /// Rows cannot be computed.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// Computing its rows broke off.
    #[error("a defect of the query engine stopped it: {0}")]
    Defect(String),
    /// The node is going down.
    #[error("the node is stopping")]
    Stopping,
    /// The stream engine refused.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The definition could not be written.
    #[error(transparent)]
    Catalog(CatalogError),
    /// The storage engine refused.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl QueryError {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Exists { .. } => ErrorKind::Exists,
            Self::State { .. } | Self::Changed { .. } => ErrorKind::Conflict,
            Self::TooManyTags { .. }
            | Self::ManyRows { .. }
            | Self::Processed { .. }
            | Self::Input { .. }
            | Self::Plan(_)
            | Self::Output { .. }
            | Self::Sample { .. }
            | Self::NoInput { .. }
            | Self::InputGone { .. }
            | Self::Reference { .. } => ErrorKind::Invalid,
            Self::Delivery { .. } | Self::Processing { .. } | Self::Stopping => ErrorKind::Unavailable,
            Self::NotAllowed { .. } => ErrorKind::Forbidden,
            Self::Execute(_) | Self::Defect(_) => ErrorKind::Internal,
            Self::Stream(error) => error.kind(),
            Self::Catalog(error) => error.kind(),
            Self::Storage(error) => error.kind(),
        }
    }
}

impl From<CatalogError> for QueryError {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::NotFound { name, .. } => Self::NotFound { name },
            CatalogError::Exists { name, .. } => Self::Exists { name },
            CatalogError::Storage(error) => Self::Storage(error),
            other @ CatalogError::Unreadable { .. } => Self::Catalog(other),
        }
    }
}
