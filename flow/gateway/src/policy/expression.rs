//! Values of policies: texts as they are written, or expressions: terms joined by `+`, or a condition.

use super::condition::Condition;
use super::exchange::Exchange;
use super::reader::Reader;
use super::term::{Term, Value};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A text as it is written.
    Literal(String),
    /// What terms give, behind each other.
    Terms(Vec<Term>),
    /// Whether a condition holds.
    Condition(Condition),
}

impl Expression {
    /// Reads a value.
    ///
    /// # Errors
    /// What was not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(reader) = Reader::of_expression(text)? else { return Ok(Self::Literal(text.to_owned())) };
        match terms(reader.clone()) {
            Some(terms) => Ok(Self::Terms(terms)),
            None => Condition::of_all(reader).map(Self::Condition),
        }
    }

    /// The value for a request, or its answer, as it is now.
    #[must_use]
    pub fn value(&self, exchange: &Exchange) -> Value {
        match self {
            Self::Literal(text) => Value::Text(text.clone()),
            Self::Terms(terms) => match terms.as_slice() {
                [only] => only.value(exchange),
                all => Value::Text(all.iter().map(|term| term.value(exchange).to_string()).collect()),
            },
            Self::Condition(condition) => Value::Bool(condition.holds(exchange)),
        }
    }

    /// Whether it can be known only when there is an answer.
    #[must_use]
    pub fn is_of_answer(&self) -> bool {
        match self {
            Self::Literal(_) => false,
            Self::Terms(terms) => terms.iter().any(Term::is_of_answer),
            Self::Condition(condition) => condition.is_of_answer(),
        }
    }

    /// The value as a text.
    #[must_use]
    pub fn text(&self, exchange: &Exchange) -> String {
        match self {
            Self::Literal(text) => text.clone(),
            other => other.value(exchange).to_string(),
        }
    }
}

/// Terms joined by `+`; `None` when it is something else.
fn terms(mut reader: Reader<'_>) -> Option<Vec<Term>> {
    let mut terms = vec![Term::read(&mut reader).ok()?];
    while reader.take("+") {
        terms.push(Term::read(&mut reader).ok()?);
    }
    reader.is_at_end().then_some(terms)
}
