//! A query's clauses: `SELECT … FROM … WHERE … GROUP BY … ORDER BY … OFFSET … LIMIT …`.

use serde_json::Value;

use super::error::QueryError;
use super::syntax::{Aggregate, Expression, Projection, Query, Sort, Source};
use super::token::{Kind, Token, tokens, unexpected};
use super::{NESTING_MAX, QUERY_TEXT_BYTES_MAX, SOURCES_MAX};

/// Words that cannot be an alias.
const KEYWORDS: [&str; 24] = [
    "select", "distinct", "top", "value", "from", "in", "join", "where", "group", "by", "order", "asc", "desc",
    "offset", "limit", "and", "or", "not", "between", "like", "escape", "as", "exists", "array",
];

pub(super) fn parse(text: &str, parameters: &[(String, Value)]) -> Result<Query, QueryError> {
    if text.len() > QUERY_TEXT_BYTES_MAX {
        return Err(QueryError::TooLong { bytes: text.len() });
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0, parameters, depth: 0, aggregates: Vec::new() };
    parser.query()
}

pub(super) struct Parser<'p> {
    tokens: Vec<Token>,
    next: usize,
    pub parameters: &'p [(String, Value)],
    /// Expressions inside each other at this place.
    pub depth: usize,
    /// Those found so far.
    pub aggregates: Vec<Aggregate>,
}

impl Parser<'_> {
    fn query(&mut self) -> Result<Query, QueryError> {
        self.expect_word("select")?;
        let distinct = self.word("distinct");
        let top = if self.word("top") { Some(self.count()?) } else { None };
        let projection = self.projection()?;
        let sources = if self.word("from") { self.sources(true)? } else { Vec::new() };
        let filter = if self.word("where") { Some(self.expression()?) } else { None };
        let group_by = if self.word("group") {
            self.expect_word("by")?;
            self.list(Self::expression)?
        } else {
            Vec::new()
        };
        let order_by = if self.word("order") {
            self.expect_word("by")?;
            if self.peek_word("rank") {
                return Err(unsupported("ORDER BY RANK"));
            }
            self.list(Self::sort)?
        } else {
            Vec::new()
        };
        let offset_limit = if self.word("offset") {
            let offset = self.count()?;
            self.expect_word("limit")?;
            Some((offset, self.count()?))
        } else {
            None
        };
        self.sign(";");
        match self.peek() {
            Kind::End => {}
            _ => return Err(self.unexpected("the query's end")),
        }
        let aggregates = std::mem::take(&mut self.aggregates);
        Ok(Query { distinct, top, projection, sources, filter, group_by, order_by, offset_limit, aggregates })
    }

    pub fn projection(&mut self) -> Result<Projection, QueryError> {
        if self.sign("*") {
            return Ok(Projection::Star);
        }
        if self.word("value") {
            return Ok(Projection::Value(self.expression()?));
        }
        let columns = self.list(|parser| {
            let expression = parser.expression()?;
            let name = parser.alias()?.or_else(|| expression.natural_name().map(str::to_owned));
            Ok((name, expression))
        })?;
        let mut unnamed = 0;
        let mut name = |given: Option<String>| {
            given.unwrap_or_else(|| {
                unnamed += 1;
                format!("${unnamed}")
            })
        };
        Ok(Projection::Columns(columns.into_iter().map(|(given, column)| (name(given), column)).collect()))
    }

    /// `AS name`, or just a name.
    fn alias(&mut self) -> Result<Option<String>, QueryError> {
        if self.word("as") {
            return self.identifier().map(Some);
        }
        match self.peek() {
            Kind::Word(word) if !is_keyword(word) => self.identifier().map(Some),
            _ => Ok(None),
        }
    }

    /// The sources of a query; those of one within a row begin at the row's sources and not at the container.
    pub fn sources(&mut self, of_container: bool) -> Result<Vec<Source>, QueryError> {
        let mut sources = vec![self.source(of_container)?];
        while self.word("join") {
            if sources.len() == SOURCES_MAX {
                return Err(QueryError::TooManySources);
            }
            sources.push(self.source(false)?);
        }
        if matches!(self.peek(), Kind::Sign(",")) {
            return Err(unsupported("a second source in FROM without JOIN"));
        }
        Ok(sources)
    }

    /// `c`, `c AS x`, `c.part x`, `x IN c.list`. Whatever name the first source begins with is the container.
    fn source(&mut self, first: bool) -> Result<Source, QueryError> {
        if matches!(self.peek(), Kind::Sign("(")) {
            return Err(unsupported("a subquery"));
        }
        let name = self.identifier()?;
        if self.word("in") {
            let root = self.identifier()?;
            let root = if first { Expression::Document } else { Expression::Name(root) };
            return Ok(Source { alias: name, path: Some(self.path(root)?), elements: true });
        }
        let root = if first { Expression::Document } else { Expression::Name(name.clone()) };
        let path = self.path(root)?;
        let natural = path.natural_name().unwrap_or(&name).to_owned();
        let alias = self.alias()?.unwrap_or(natural);
        let path = if path == Expression::Document { None } else { Some(path) };
        Ok(Source { alias, path, elements: false })
    }

    /// `.name`, `["name"]` and `[0]` behind a root.
    fn path(&mut self, root: Expression) -> Result<Expression, QueryError> {
        let (mut path, mut steps) = (root, 0);
        loop {
            let step = if self.sign(".") {
                Value::String(self.identifier()?)
            } else if self.sign("[") {
                let step = match self.take() {
                    Kind::Text(name) => Value::String(name),
                    Kind::Number(index) => Value::Number(index),
                    _ => {
                        self.next = self.next.saturating_sub(1);
                        return Err(self.unexpected("a name in quotes or a number"));
                    }
                };
                self.expect_sign("]")?;
                step
            } else {
                return Ok(path);
            };
            steps += 1;
            self.check_depth(steps)?;
            path = Expression::Member(Box::new(path), Box::new(Expression::Constant(step)));
        }
    }

    fn sort(&mut self) -> Result<Sort, QueryError> {
        let by = self.expression()?;
        let descending = self.word("desc");
        if !descending {
            self.word("asc");
        }
        Ok(Sort { by, descending })
    }

    /// A whole number, or a parameter that is one.
    fn count(&mut self) -> Result<u64, QueryError> {
        let at = self.next;
        let found = match self.take() {
            Kind::Number(number) => number.as_u64(),
            Kind::Parameter(name) => self.parameter(&name)?.as_u64(),
            _ => None,
        };
        found.ok_or_else(|| {
            self.next = at;
            self.unexpected("a whole number")
        })
    }

    pub fn list<T>(&mut self, mut part: impl FnMut(&mut Self) -> Result<T, QueryError>) -> Result<Vec<T>, QueryError> {
        let mut parts = vec![part(self)?];
        while self.sign(",") {
            parts.push(part(self)?);
        }
        Ok(parts)
    }

    pub fn identifier(&mut self) -> Result<String, QueryError> {
        match self.take() {
            Kind::Word(word) => Ok(word),
            _ => {
                self.next = self.next.saturating_sub(1);
                Err(self.unexpected("a name"))
            }
        }
    }

    pub fn parameter(&self, name: &str) -> Result<Value, QueryError> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.clone()).ok_or_else(|| QueryError::UnknownParameter { name: name.to_owned() })
    }

    /// Refuses what would need too much of the stack.
    pub fn check_depth(&self, more: usize) -> Result<(), QueryError> {
        if self.depth + more > NESTING_MAX { Err(QueryError::TooDeep) } else { Ok(()) }
    }

    pub fn peek(&self) -> &Kind {
        // The last token is the end, and `take` does not go behind it.
        self.tokens.get(self.next).map_or(&Kind::End, |token| &token.kind)
    }

    pub fn take(&mut self) -> Kind {
        let kind = self.peek().clone();
        self.next += 1;
        kind
    }

    pub fn peek_word(&self, word: &str) -> bool {
        matches!(self.peek(), Kind::Word(found) if found.eq_ignore_ascii_case(word))
    }

    /// Takes a keyword if it is there.
    pub fn word(&mut self, word: &str) -> bool {
        let there = self.peek_word(word);
        self.next += usize::from(there);
        there
    }

    /// Takes a sign if it is there.
    pub fn sign(&mut self, sign: &str) -> bool {
        let there = matches!(self.peek(), Kind::Sign(found) if *found == sign);
        self.next += usize::from(there);
        there
    }

    pub fn expect_word(&mut self, word: &str) -> Result<(), QueryError> {
        if self.word(word) { Ok(()) } else { Err(self.unexpected(&word.to_ascii_uppercase())) }
    }

    pub fn expect_sign(&mut self, sign: &str) -> Result<(), QueryError> {
        if self.sign(sign) { Ok(()) } else { Err(self.unexpected(&format!("`{sign}`"))) }
    }

    /// The error that the next token is not what was expected.
    pub fn unexpected(&self, expected: &str) -> QueryError {
        let at = self.tokens.get(self.next).or(self.tokens.last()).map_or(0, |token| token.at);
        let found = match self.peek() {
            Kind::Word(word) | Kind::Parameter(word) => word.clone(),
            Kind::Text(text) => text.clone(),
            Kind::Number(number) => number.to_string(),
            Kind::Sign(sign) => (*sign).to_owned(),
            Kind::End => "the end".to_owned(),
        };
        unexpected(found, at, expected)
    }
}

pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
}

pub(super) fn unsupported(feature: &str) -> QueryError {
    QueryError::Unsupported { feature: feature.to_owned() }
}
