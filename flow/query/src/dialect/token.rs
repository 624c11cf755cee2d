//! From text to tokens, and a cursor over them: the bottom of both parsers. Bounds the text's size and depth.

use std::ops::Range;

use millstream_catalog::QueryDialect;
use sqlparser::dialect::Dialect;
use sqlparser::tokenizer::{Token, Tokenizer};

use super::syntax::{Ident, TypeName};
use crate::error::{PlanError, PlanErrorCode, Position};
use crate::script::Functions;

/// The longest text of a query, bytes: the service's own limit.
pub const SQL_BYTES_MAX: usize = 100 * 1024;

/// How deep expressions may nest. Planning and evaluation recurse; this keeps them far from the end of a 2 MiB stack.
pub const EXPRESSION_DEPTH_MAX: usize = 64;

/// The tokens of a text and the place of the next one.
pub(crate) struct Tokens<'a> {
    sql: &'a str,
    pub(crate) dialect: QueryDialect,
    /// The query's own, which calls may name.
    pub(crate) functions: Functions,
    spots: Vec<Spot>,
    next: usize,
    /// How many expressions the parser is inside of.
    pub(crate) depth: usize,
    /// How many `SELECT`s the parser is inside of.
    pub(crate) queries: usize,
    /// What is wrong with parts that were skipped.
    skipped: Vec<PlanError>,
}

struct Spot {
    token: Token,
    at: Position,
    span: Range<usize>,
}

impl<'a> Tokens<'a> {
    /// Reads a text.
    pub(crate) fn new(dialect: QueryDialect, sql: &'a str) -> Result<Self, PlanError> {
        let start = Position { line: 1, column: 1 };
        if sql.len() > SQL_BYTES_MAX {
            let message = format!("the text has {} bytes, at most {SQL_BYTES_MAX} are taken", sql.len());
            return Err(PlanError::new(PlanErrorCode::TooLarge, start, message)
                .hint("split it into several queries that read each other's outputs"));
        }
        let tokens = Tokenizer::new(&Lexis(dialect), sql).tokenize_with_location().map_err(|error| {
            let at = Position { line: error.location.line.max(1), column: error.location.column.max(1) };
            PlanError::new(PlanErrorCode::Syntax, at, error.message.to_lowercase())
        })?;
        let mut offsets = Offsets::new(sql);
        let mut spots = Vec::with_capacity(tokens.len() / 2);
        for token in tokens {
            let (from, to) = (token.span.start, token.span.end);
            let start = offsets.find(from.line, from.column);
            if matches!(token.token, Token::Whitespace(_)) {
                continue;
            }
            let at = Position { line: from.line.max(1), column: from.column.max(1) };
            let end = offsets.find(to.line, to.column);
            spots.push(Spot { token: token.token, at, span: start..end });
        }
        let functions = Functions::default();
        Ok(Self { sql, dialect, functions, spots, next: 0, depth: 0, queries: 0, skipped: Vec::new() })
    }

    /// The next token; [`Token::EOF`] at the end.
    pub(crate) fn peek(&self) -> &Token {
        self.peek_ahead(0)
    }

    /// The token behind `count` others.
    pub(crate) fn peek_ahead(&self, count: usize) -> &Token {
        self.spots.get(self.next + count).map_or(&Token::EOF, |spot| &spot.token)
    }

    /// Takes the next token.
    pub(crate) fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    /// Goes on behind the next `;`: what is before it cannot be read.
    pub(crate) fn skip_statement(&mut self) {
        (self.depth, self.queries) = (0, 0);
        while !self.at_end() && self.take() != Token::SemiColon {}
    }

    /// The number of the next token.
    pub(crate) fn place(&self) -> usize {
        self.next
    }

    /// Goes on behind an item of a list that began at a place and cannot be read; gives its alias, if it has one behind `AS`.
    pub(crate) fn skip_item(&mut self, from: usize, error: PlanError) -> Option<Ident> {
        self.skipped.push(error);
        (self.next, self.depth) = (from, 0);
        let mut open = 0usize;
        while !self.at_end() {
            match self.peek() {
                Token::LParen => open += 1,
                Token::RParen | Token::Comma | Token::SemiColon if open == 0 => break,
                Token::RParen => open -= 1,
                _ if open == 0 && (self.is_word("FROM") || self.is_word("INTO")) => break,
                _ => {}
            }
            self.next += 1;
        }
        let named = self.next.checked_sub(2).filter(|alias| *alias >= from)?;
        let end = std::mem::replace(&mut self.next, named);
        let alias = self.take_word("AS").then(|| self.expect_ident("a name").ok()).flatten();
        self.next = end;
        alias
    }

    /// What is wrong with the items that were skipped.
    pub(crate) fn into_skipped(self) -> Vec<PlanError> {
        self.skipped
    }

    /// Where the next token stands, or where the text ends.
    pub(crate) fn at(&self) -> Position {
        match self.spots.get(self.next) {
            Some(spot) => spot.at,
            None => self.spots.last().map_or(Position { line: 1, column: 1 }, |spot| Position {
                line: spot.at.line,
                column: spot.at.column + self.sql[spot.span.clone()].chars().count() as u64,
            }),
        }
    }

    /// The byte at which the next token starts.
    pub(crate) fn start(&self) -> usize {
        self.spots.get(self.next).map_or(self.sql.len(), |spot| spot.span.start)
    }

    /// The byte behind the last token taken.
    pub(crate) fn end(&self) -> usize {
        let last = self.next.checked_sub(1).and_then(|index| self.spots.get(index));
        last.map_or(self.sql.len(), |spot| spot.span.end)
    }

    pub(crate) fn at_end(&self) -> bool {
        self.next >= self.spots.len()
    }

    /// Whether the token behind `count` others is the word, unquoted.
    pub(crate) fn is_word_ahead(&self, count: usize, word: &str) -> bool {
        matches!(self.peek_ahead(count), Token::Word(found)
            if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
    }

    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.is_word_ahead(0, word)
    }

    /// Takes the word if it comes next.
    pub(crate) fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.next += usize::from(found);
        found
    }

    /// Takes the words if all of them come next.
    pub(crate) fn take_words(&mut self, words: &[&str]) -> bool {
        let found = words.iter().enumerate().all(|(index, word)| self.is_word_ahead(index, word));
        self.next += if found { words.len() } else { 0 };
        found
    }

    /// Takes the token if it comes next.
    pub(crate) fn take_token(&mut self, token: &Token) -> bool {
        let found = self.peek() == token;
        self.next += usize::from(found);
        found
    }

    pub(crate) fn expect_word(&mut self, word: &str) -> Result<(), PlanError> {
        if self.take_word(word) { Ok(()) } else { Err(self.expected(&format!("`{word}`"))) }
    }

    pub(crate) fn expect_token(&mut self, token: &Token) -> Result<(), PlanError> {
        if self.take_token(token) { Ok(()) } else { Err(self.expected(&format!("`{token}`"))) }
    }

    /// A name: a word, quoted or not.
    pub(crate) fn expect_ident(&mut self, what: &str) -> Result<Ident, PlanError> {
        let at = self.at();
        let Token::Word(word) = self.peek() else { return Err(self.expected(what)) };
        let (quoted, value) = (word.quote_style.is_some(), &word.value);
        let text = match self.dialect {
            QueryDialect::Kinesis if !quoted => value.to_uppercase(),
            _ => value.clone(),
        };
        self.next += 1;
        Ok(Ident { text, at })
    }

    /// A type: `BIGINT`, `DOUBLE PRECISION`, `VARCHAR(8)`, `nvarchar(max)`, `DECIMAL(10, 2)`.
    pub(crate) fn expect_type(&mut self) -> Result<TypeName, PlanError> {
        let at = self.at();
        let mut name = self.expect_ident("a type")?.text.to_uppercase();
        self.take_word("PRECISION");
        self.take_word("VARYING");
        let mut length = None;
        if self.take_token(&Token::LParen) {
            length = match self.take() {
                Token::Number(digits, _) => digits.parse().ok(),
                _ => None,
            };
            if self.take_token(&Token::Comma) {
                self.take();
            }
            self.expect_token(&Token::RParen)?;
        }
        if self.dialect == QueryDialect::Standard {
            self.take_words(&["WITHOUT", "TIME", "ZONE"]);
            if self.take_words(&["WITH", "LOCAL", "TIME", "ZONE"]) {
                name.push_str("_LTZ");
            }
        }
        Ok(TypeName { name, length, at })
    }

    /// The error of something else standing where `what` has to.
    pub(crate) fn expected(&self, what: &str) -> PlanError {
        let found = match self.peek() {
            Token::EOF => "the end of the text".to_owned(),
            token => format!("`{token}`"),
        };
        PlanError::new(PlanErrorCode::Syntax, self.at(), format!("expected {what}, found {found}"))
    }

    /// The error of a part of the language this engine does not have yet.
    pub(crate) fn not_supported(&self, what: &str) -> PlanError {
        PlanError::new(PlanErrorCode::NotSupported, self.at(), format!("not supported yet: {what}"))
    }
}

/// What makes up names in the languages.
#[derive(Debug)]
struct Lexis(QueryDialect);

impl Dialect for Lexis {
    fn is_delimited_identifier_start(&self, character: char) -> bool {
        match self.0 {
            QueryDialect::Kinesis => character == '"',
            QueryDialect::StreamAnalytics => matches!(character, '"' | '['),
            QueryDialect::Standard => character == '`',
        }
    }

    fn is_identifier_start(&self, character: char) -> bool {
        character.is_alphabetic() || character == '_'
    }

    fn is_identifier_part(&self, character: char) -> bool {
        character.is_alphanumeric() || matches!(character, '_' | '$')
    }
}

/// Turns the tokenizer's lines and columns into bytes, in one pass over the text.
struct Offsets<'a> {
    rest: std::str::Chars<'a>,
    length: usize,
    line: u64,
    column: u64,
}

impl<'a> Offsets<'a> {
    fn new(sql: &'a str) -> Self {
        Self { rest: sql.chars(), length: sql.len(), line: 1, column: 1 }
    }

    /// Places must be asked for in rising order.
    fn find(&mut self, line: u64, column: u64) -> usize {
        while (self.line, self.column) < (line, column) {
            match self.rest.next() {
                Some('\n') => (self.line, self.column) = (self.line + 1, 1),
                Some(_) => self.column += 1,
                None => break,
            }
        }
        self.length - self.rest.as_str().len()
    }
}
