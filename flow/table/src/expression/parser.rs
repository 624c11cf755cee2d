//! What all kinds of expressions share: a cursor over tokens, paths, placeholders and the errors that point at a token.

use super::path::{Element, Path};
use super::placeholders::Placeholders;
use super::token::{Kind, Token, tokens};
use super::{EXPRESSION_BYTES_MAX, NESTING_MAX, reserved};
use crate::error::ExpressionError;
use crate::item::AttributeValue;

/// Reads one expression.
pub(super) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    placeholders: &'a mut Placeholders,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, placeholders: &'a mut Placeholders) -> Result<Self, ExpressionError> {
        if text.trim().is_empty() {
            return Err(ExpressionError::Empty);
        }
        if text.len() > EXPRESSION_BYTES_MAX {
            return Err(ExpressionError::TooLong { bytes: text.len(), max: EXPRESSION_BYTES_MAX });
        }
        Ok(Self { text, tokens: tokens(text)?, at: 0, depth: 0, placeholders })
    }

    /// Runs `parse` one level deeper, within the limit.
    pub(super) fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, ExpressionError>,
    ) -> Result<T, ExpressionError> {
        if self.depth == NESTING_MAX {
            return Err(ExpressionError::TooDeep { max: NESTING_MAX });
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn token(&self) -> Token {
        // The last token is the end, which is never passed.
        self.tokens[self.at]
    }

    pub(super) fn kind(&self) -> Kind {
        self.token().kind
    }

    pub(super) fn word(&self) -> &'a str {
        &self.text[self.token().start..self.token().end]
    }

    pub(super) fn next(&mut self) {
        self.at = (self.at + 1).min(self.tokens.len() - 1);
    }

    /// The token behind the current one.
    fn following(&self) -> &'a str {
        let token = self.tokens[(self.at + 1).min(self.tokens.len() - 1)];
        &self.text[token.start..token.end]
    }

    /// Whether the current word calls a function.
    pub(super) fn is_call(&self) -> bool {
        self.kind() == Kind::Word && self.following() == "("
    }

    pub(super) fn is_keyword(&self, keyword: &str) -> bool {
        self.kind() == Kind::Word && self.word().eq_ignore_ascii_case(keyword)
    }

    pub(super) fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.is_keyword(keyword);
        if found {
            self.next();
        }
        found
    }

    pub(super) fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = self.kind() == Kind::Symbol && self.word() == symbol;
        if found {
            self.next();
        }
        found
    }

    pub(super) fn expect_symbol(&mut self, symbol: &str) -> Result<(), ExpressionError> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(self.unexpected()) }
    }

    pub(super) fn expect_keyword(&mut self, keyword: &str) -> Result<(), ExpressionError> {
        if self.take_keyword(keyword) { Ok(()) } else { Err(self.unexpected()) }
    }

    pub(super) fn expect_end(&self) -> Result<(), ExpressionError> {
        if self.kind() == Kind::End { Ok(()) } else { Err(self.unexpected()) }
    }

    /// The current token is none that can be here.
    pub(super) fn unexpected(&self) -> ExpressionError {
        let token = if self.kind() == Kind::End { "<EOF>" } else { self.word() };
        let start = self.tokens[self.at.saturating_sub(1)].start;
        let end = self.tokens[(self.at + 1).min(self.tokens.len() - 1)].end;
        ExpressionError::Syntax { token: token.to_owned(), near: self.text[start..end].trim_end().to_owned() }
    }

    /// `:value`.
    pub(super) fn value(&mut self) -> Result<AttributeValue, ExpressionError> {
        if self.kind() != Kind::Value {
            return Err(self.unexpected());
        }
        let value = self.placeholders.value(self.word())?;
        self.next();
        Ok(value)
    }

    /// `a.b[2].#c`.
    pub(super) fn path(&mut self) -> Result<Path, ExpressionError> {
        let attribute = self.name()?;
        let mut rest = Vec::new();
        loop {
            if self.take_symbol(".") {
                rest.push(Element::Name(self.name()?));
            } else if self.take_symbol("[") {
                let index = match self.kind() {
                    Kind::Digits => self.word().parse().map_err(|_| self.unexpected())?,
                    _ => return Err(self.unexpected()),
                };
                self.next();
                self.expect_symbol("]")?;
                rest.push(Element::Index(index));
            } else {
                return Ok(Path { attribute, rest });
            }
        }
    }

    fn name(&mut self) -> Result<String, ExpressionError> {
        let name = match self.kind() {
            Kind::Name => self.placeholders.name(self.word())?,
            Kind::Word if reserved::is_reserved(self.word()) => {
                return Err(ExpressionError::Reserved { word: self.word().to_owned() });
            }
            Kind::Word => self.word().to_owned(),
            _ => return Err(self.unexpected()),
        };
        self.next();
        Ok(name)
    }
}
