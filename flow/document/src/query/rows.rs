//! The rows that one document makes: its sources joined, filtered and projected.

use std::cell::Cell;

use serde_json::Value;

use super::error::QueryError;
use super::evaluate::Row;
use super::syntax::{Projection, Query};
use super::value::{Defined, weight};
use super::{BOUND_PER_DOCUMENT_MAX, COLLECTED_BYTES_MAX, ROWS_PER_DOCUMENT_MAX};

/// What is done with a row that passed the filter.
pub(super) type See<'s> = dyn FnMut(&Row<'_, '_>) -> Result<(), QueryError> + 's;

/// What a document made so far.
#[derive(Default)]
struct Made {
    rows: usize,
    /// Values that sources stood for.
    bound: usize,
}

impl Query {
    /// The rows of a document of a streaming query, in the order of its lists; undefined ones are left out.
    ///
    /// # Errors
    /// [`QueryError::TooManyRows`], [`QueryError::TooMuchCollected`].
    pub fn rows(&self, document: &Value) -> Result<Vec<Value>, QueryError> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        self.each_row(document, &mut |row| {
            if let Some(row) = self.project(row) {
                bytes += weight(&row);
                rows.push(row);
            }
            if bytes > COLLECTED_BYTES_MAX { Err(QueryError::TooMuchCollected) } else { Ok(()) }
        })?;
        Ok(rows)
    }

    /// The only row of a query that asks for no documents, if its filter passes it.
    #[must_use]
    pub fn row_without_documents(&self) -> Option<Value> {
        let row = Row { document: &Value::Null, sources: Vec::new(), aggregates: Vec::new(), work_left: Cell::new(0) };
        let passes = self.filter.as_ref().is_none_or(|filter| row.passes(filter));
        if passes { self.project(&row) } else { None }
    }

    /// Whether the filter passes a document, for queries that only ask whether.
    ///
    /// # Errors
    /// [`QueryError::TooManyRows`].
    pub fn passes(&self, document: &Value) -> Result<bool, QueryError> {
        let mut passes = false;
        self.each_row(document, &mut |_| {
            passes = true;
            Ok(())
        })?;
        Ok(passes)
    }

    /// Calls `see` with each row of a document that passes the filter.
    pub(super) fn each_row(&self, document: &Value, see: &mut See<'_>) -> Result<(), QueryError> {
        let mut row = Row {
            document,
            sources: Vec::with_capacity(self.sources.len()),
            aggregates: Vec::new(),
            work_left: Cell::new(BOUND_PER_DOCUMENT_MAX),
        };
        self.join(&mut row, &mut Made::default(), see)
    }

    /// Binds the next source to each of its values.
    fn join<'q, 'd>(&'q self, row: &mut Row<'q, 'd>, made: &mut Made, see: &mut See<'_>) -> Result<(), QueryError> {
        let Some(source) = self.sources.get(row.sources.len()) else {
            made.rows += 1;
            if made.rows > ROWS_PER_DOCUMENT_MAX {
                return Err(QueryError::TooManyRows);
            }
            let passes = self.filter.as_ref().is_none_or(|filter| row.passes(filter));
            if passes {
                see(row)?;
            }
            return if row.work_left.get() == 0 { Err(QueryError::TooManyRows) } else { Ok(()) };
        };
        let found = match &source.path {
            None => Some(row.document),
            Some(path) => row.place(path),
        };
        let values = match found {
            None => &[],
            Some(value) if !source.elements => std::slice::from_ref(value),
            Some(value) => value.as_array().map_or(&[][..], Vec::as_slice),
        };
        for value in values {
            made.bound += 1;
            if made.bound > BOUND_PER_DOCUMENT_MAX {
                return Err(QueryError::TooManyRows);
            }
            row.sources.push((&source.alias, value));
            let joined = self.join(row, made, see);
            row.sources.pop();
            joined?;
        }
        Ok(())
    }

    /// What a row looks like to the client; `None` when it is undefined.
    pub(super) fn project(&self, row: &Row<'_, '_>) -> Defined {
        match &self.projection {
            Projection::Star => row.sources.first().map(|(_, value)| (*value).clone()),
            Projection::Value(value) => row.value(value),
            Projection::Columns(columns) => row.object(columns),
        }
    }
}
