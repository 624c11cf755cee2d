//! The SQL that asks for documents: text in, a checked [`Query`] out, rows out of documents. Pure and synchronous.
//!
//! A value that is not there is `undefined`, here `None`: it is not null, most operators on it are undefined too, and a
//! filter passes only what is true. Read in the order of a query's way: `token`, `parser` and `expression` (text to
//! `syntax`), `check` (what a parsed query may not say), `evaluate`, `function` and `exists` (expressions on documents), `rows` (one
//! document's rows), `collect` (what needs all documents: order, aggregates, groups, distinct), `value` (how values compare).

mod check;
mod collect;
mod error;
mod evaluate;
mod exists;
mod expression;
mod function;
mod parser;
mod pattern;
mod rows;
mod syntax;
mod token;
mod value;

use serde_json::Value;

pub use collect::Collector;
pub use error::QueryError;
pub use syntax::Query;
use syntax::{Binary, Expression};
pub use value::{Defined, compare, equal, weight};

/// Bytes of a query's text: 512 KB, the service family's own limit.
pub const QUERY_TEXT_BYTES_MAX: usize = 512 * 1024;
/// Expressions inside each other: bounds the parser's and the evaluator's recursion.
pub const NESTING_MAX: usize = 64;
/// Rows that joins may make out of one document: a product of large lists would not end.
pub const ROWS_PER_DOCUMENT_MAX: usize = 100_000;
/// Sources of a query: they are joined inside each other.
pub const SOURCES_MAX: usize = 16;
/// Values that joins may look at in one document: lists whose product is empty in the end make no row but work.
pub const BOUND_PER_DOCUMENT_MAX: usize = 10 * ROWS_PER_DOCUMENT_MAX;
/// Bytes of rows that a query holds which needs all of them before the first: order, groups, distinct values.
pub const COLLECTED_BYTES_MAX: usize = 64 * 1024 * 1024;

impl Query {
    /// Reads a query; `parameters` are the values of its `@names`.
    ///
    /// # Errors
    /// [`QueryError`] says what is wrong with the text, or names what this engine does not know.
    pub fn parse(text: &str, parameters: &[(String, Value)]) -> Result<Self, QueryError> {
        let query = parser::parse(text, parameters)?;
        check::check(&query)?;
        Ok(query)
    }

    /// Whether each document's rows can be told without a look at the others.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.order_by.is_empty() && self.aggregates.is_empty() && self.group_by.is_empty() && !self.distinct
    }

    /// Whether it asks for documents at all: `SELECT 1` does not.
    #[must_use]
    pub fn reads_documents(&self) -> bool {
        !self.sources.is_empty()
    }

    /// All rows of a query over documents at hand.
    ///
    /// # Errors
    /// [`QueryError`] when documents make more rows than can be held.
    pub fn over(self, documents: &[Value]) -> Result<Vec<Value>, QueryError> {
        let query = std::sync::Arc::new(self);
        let (skip, take) = query.bounds();
        let rows = if !query.reads_documents() {
            query.row_without_documents().into_iter().collect()
        } else if query.is_streaming() {
            let rows: Result<Vec<_>, _> = documents.iter().map(|document| query.rows(document)).collect();
            rows?.concat()
        } else {
            let mut collector = Collector::new(query, u64::MAX);
            documents.iter().try_for_each(|document| collector.add(document))?;
            collector.finish()
        };
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        Ok(rows.into_iter().skip(count(skip)).take(take.map_or(usize::MAX, count)).collect())
    }

    /// The value that the filter fixes a property to (`c.tenant = 'a' AND …`), by the names that lead to it; `None` when
    /// it does not.
    #[must_use]
    pub fn fixed(&self, names: &[String]) -> Option<&Value> {
        let [source] = self.sources.as_slice() else { return None };
        if source.path.is_some() {
            return None;
        }
        let conditions = match self.filter.as_ref()? {
            Expression::All(conditions) => conditions.as_slice(),
            condition => std::slice::from_ref(condition),
        };
        conditions.iter().find_map(|condition| match condition {
            Expression::Binary(Binary::Equal, left, right) => match (left.as_ref(), right.as_ref()) {
                (path, Expression::Constant(value)) | (Expression::Constant(value), path) => {
                    path.is_path(&source.alias, names).then_some(value)
                }
                _ => None,
            },
            _ => None,
        })
    }

    /// Rows to leave out at the beginning, and rows to tell after that (`None`: all).
    #[must_use]
    pub fn bounds(&self) -> (u64, Option<u64>) {
        match self.offset_limit {
            Some((offset, limit)) => (offset, Some(self.top.map_or(limit, |top| top.min(limit)))),
            None => (0, self.top),
        }
    }
}

#[cfg(test)]
mod tests;
