//! The place in the text: what stands there, steps over it, and errors that name its line.

use super::super::NESTING_MAX;
use super::{Parsed, Parser, TemplateError};

impl<'t> Parser<'t> {
    pub(super) fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    pub(super) fn wrong(&self, message: impl Into<String>) -> TemplateError {
        self.wrong_at(self.at, message)
    }

    /// An error about an earlier place. Lines are counted only here: to count them all the way would make a long template slow.
    pub(super) fn wrong_at(&self, at: usize, message: impl Into<String>) -> TemplateError {
        TemplateError { line: 1 + self.text[..at].matches('\n').count(), message: message.into() }
    }

    /// What stands here, short enough for a message.
    pub(super) fn found(&self) -> String {
        let rest: String = self.rest().chars().take_while(|c| *c != '\n').take(24).collect();
        if self.rest().is_empty() { "the end of the template".to_owned() } else { format!("`{rest}`") }
    }

    pub(super) fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.depth += 1;
        if self.depth > NESTING_MAX {
            return Err(self.wrong(format!("nested deeper than {NESTING_MAX}")));
        }
        let read = read(self);
        self.depth -= 1;
        read
    }

    pub(super) fn name(&mut self) -> Parsed<String> {
        let name = word(self.rest());
        if name.is_empty() {
            return Err(self.wrong(format!("expected a name, found {}", self.found())));
        }
        self.at += name.len();
        Ok(name.to_owned())
    }

    pub(super) fn space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    pub(super) fn take(&mut self, sign: &str) -> bool {
        let rest = self.rest().trim_start();
        if !rest.starts_with(sign) {
            return false;
        }
        self.at = self.text.len() - rest.len() + sign.len();
        true
    }

    pub(super) fn expect(&mut self, sign: &str) -> Parsed<()> {
        if self.take(sign) { Ok(()) } else { Err(self.wrong(format!("expected `{sign}`, found {}", self.found()))) }
    }
}

/// The letters, digits, `_` and `-` that a text begins with; a name does not begin with a digit or `-`.
pub(super) fn word(text: &str) -> &str {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        return "";
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).unwrap_or(text.len());
    &text[..end]
}
