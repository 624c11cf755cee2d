//! `EXISTS(SELECT … FROM x IN c.list WHERE …)`: whether a query over a row's own lists has a row. Nothing else can be asked of
//! a subquery here.

use super::NESTING_MAX;
use super::error::QueryError;
use super::evaluate::Row;
use super::parser::{Parser, unsupported};
use super::syntax::{Expression, Projection, Source};

/// A query within a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Subquery {
    /// Paths begin at sources of the row, or at earlier ones of these.
    pub sources: Vec<Source>,
    pub filter: Option<Expression>,
    /// What a row is, with `SELECT VALUE`: one that is undefined is none.
    pub value: Option<Expression>,
}

impl Subquery {
    /// All expressions directly inside.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let paths = self.sources.iter().filter_map(|source| source.path.as_ref());
        paths.chain(&self.filter).chain(&self.value)
    }
}

impl Parser<'_> {
    /// What stands between the brackets of EXISTS.
    pub(super) fn subquery(&mut self) -> Result<Subquery, QueryError> {
        // Its rows are made inside each other and inside the row's.
        self.depth += NESTING_MAX / 8;
        self.check_depth(0)?;
        self.expect_word("select")?;
        let aggregates = self.aggregates.len();
        let value = match self.projection()? {
            Projection::Value(value) => Some(value),
            Projection::Star | Projection::Columns(_) => None,
        };
        if !self.word("from") {
            return Err(unsupported("a subquery without FROM"));
        }
        let sources = self.sources(false)?;
        let filter = if self.word("where") { Some(self.expression()?) } else { None };
        if self.aggregates.len() != aggregates {
            return Err(unsupported("an aggregate in a subquery"));
        }
        self.depth -= NESTING_MAX / 8;
        Ok(Subquery { sources, filter, value })
    }
}

impl<'d> Row<'_, 'd> {
    /// Whether a subquery has a row here. With the row's work used up it has none; whoever made the row looks at that.
    pub(super) fn exists<'a>(&'a self, subquery: &'a Subquery) -> bool {
        let mut inner: Row<'a, 'd> = Row {
            document: self.document,
            sources: self.sources.clone(),
            aggregates: Vec::new(),
            work_left: self.work_left.clone(),
        };
        let found = inner.finds(subquery, 0);
        self.work_left.set(inner.work_left.get());
        found
    }
}

impl<'q> Row<'q, '_> {
    fn finds(&mut self, subquery: &'q Subquery, at: usize) -> bool {
        let Some(source) = subquery.sources.get(at) else {
            let passes = subquery.filter.as_ref().is_none_or(|filter| self.passes(filter));
            return passes && subquery.value.as_ref().is_none_or(|value| self.evaluate(value).is_some());
        };
        let Some(found) = source.path.as_ref().and_then(|path| self.place(path)) else { return false };
        let values = match source.elements {
            false => std::slice::from_ref(found),
            true => found.as_array().map_or(&[][..], Vec::as_slice),
        };
        for value in values {
            let Some(left) = self.work_left.get().checked_sub(1) else { return false };
            self.work_left.set(left);
            self.sources.push((&source.alias, value));
            let found = self.finds(subquery, at + 1);
            self.sources.pop();
            if found {
                return true;
            }
        }
        false
    }
}
