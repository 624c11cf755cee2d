//! What is wrong with a query.

use super::{COLLECTED_BYTES_MAX, NESTING_MAX, QUERY_TEXT_BYTES_MAX, ROWS_PER_DOCUMENT_MAX, SOURCES_MAX};

/// Why a query cannot be answered. Positions are bytes from the text's beginning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum QueryError {
    #[error("a query of {bytes} bytes is over the limit of {QUERY_TEXT_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("expected at most {NESTING_MAX} expressions inside each other")]
    TooDeep,
    #[error("syntax error near `{found}` at {at}: expected {expected}")]
    Syntax { found: String, at: usize, expected: String },
    #[error("identifier `{name}` could not be resolved; declare it in FROM")]
    UnknownName { name: String },
    #[error("the parameter `{name}` has no value; add it to the query's parameters")]
    UnknownParameter { name: String },
    #[error("`{name}` is not a recognized built-in function name")]
    UnknownFunction { name: String },
    #[error("`{name}` takes {expected} arguments, found {found}")]
    ArgumentCount { name: &'static str, expected: String, found: usize },
    #[error("`SELECT *` needs exactly one source in FROM; name what to select")]
    StarWithoutSource,
    #[error("an aggregate is allowed in SELECT only, and not inside another aggregate")]
    MisplacedAggregate,
    #[error("`{property}` is neither in an aggregate nor in GROUP BY")]
    NotGrouped { property: String },
    #[error("the name `{name}` is there twice")]
    RepeatedName { name: String },
    /// `feature`: as a person writes it in a query.
    #[error("{feature} is not supported by this node")]
    Unsupported { feature: String },
    #[error("expected at most {SOURCES_MAX} sources in FROM with its JOINs")]
    TooManySources,
    #[error("a document makes more than {ROWS_PER_DOCUMENT_MAX} rows in this query; join less")]
    TooManyRows,
    #[error(
        "the query has to hold more than {COLLECTED_BYTES_MAX} bytes before its first row; narrow it by WHERE, by a partition key or by TOP"
    )]
    TooMuchCollected,
}
