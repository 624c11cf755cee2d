//! Conditions: comparisons of [`Term`]s, with `&&`, `||`, `!` and parentheses.
//!
//! Pure: text in, condition out; a condition and an exchange in, yes or no out.

use super::exchange::Exchange;
use super::reader::Reader;
use super::term::{Term, Value};

/// Parentheses and negations within each other: more than anybody writes, fewer than a stack holds.
const DEPTH_MAX: usize = 32;

/// A condition that was understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// One of them holds.
    Or(Vec<Condition>),
    /// All of them hold.
    And(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// Two values compare so.
    Compare(Term, Comparison, Term),
    /// A value that is true or false by itself.
    Is(Term),
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The operators' own names.
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Condition {
    /// Reads `@(…)`, or `true` and `false`.
    ///
    /// # Errors
    /// What was not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let reader = match Reader::of_expression(trimmed)? {
            Some(reader) => reader,
            None if matches!(trimmed.to_ascii_lowercase().as_str(), "true" | "false") => Reader { rest: trimmed },
            None => return Err(format!("expected a condition @(…), found `{trimmed}`")),
        };
        Self::of_all(reader)
    }

    /// Reads all that is left.
    pub(super) fn of_all(reader: Reader<'_>) -> Result<Self, String> {
        let mut parser = Parser { reader, depth: 0 };
        let condition = parser.any()?;
        if parser.reader.is_at_end() { Ok(condition) } else { Err(parser.reader.refused()) }
    }

    /// Whether it holds for a request, or its answer, as it is now. Values of different kinds are not equal, and in no order.
    #[must_use]
    pub fn holds(&self, exchange: &Exchange) -> bool {
        match self {
            Self::Or(all) => all.iter().any(|one| one.holds(exchange)),
            Self::And(all) => all.iter().all(|one| one.holds(exchange)),
            Self::Not(one) => !one.holds(exchange),
            Self::Is(term) => term.value(exchange) == Value::Bool(true),
            Self::Compare(left, comparison, right) => {
                let (left, right) = (left.value(exchange), right.value(exchange));
                let order = match (&left, &right) {
                    (Value::Number(left), Value::Number(right)) => left.partial_cmp(right),
                    _ => None,
                };
                match comparison {
                    Comparison::Equal => left == right,
                    Comparison::NotEqual => left != right,
                    Comparison::Less => order.is_some_and(std::cmp::Ordering::is_lt),
                    Comparison::LessOrEqual => order.is_some_and(std::cmp::Ordering::is_le),
                    Comparison::Greater => order.is_some_and(std::cmp::Ordering::is_gt),
                    Comparison::GreaterOrEqual => order.is_some_and(std::cmp::Ordering::is_ge),
                }
            }
        }
    }

    /// Whether it can be decided only when there is an answer.
    #[must_use]
    pub fn is_of_answer(&self) -> bool {
        match self {
            Self::Or(all) | Self::And(all) => all.iter().any(Self::is_of_answer),
            Self::Not(one) => one.is_of_answer(),
            Self::Is(term) => term.is_of_answer(),
            Self::Compare(left, _, right) => left.is_of_answer() || right.is_of_answer(),
        }
    }
}

struct Parser<'t> {
    reader: Reader<'t>,
    depth: usize,
}

impl Parser<'_> {
    fn any(&mut self) -> Result<Condition, String> {
        let mut all = vec![self.every()?];
        while self.reader.take("||") {
            all.push(self.every()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Condition::Or(all) })
    }

    fn every(&mut self) -> Result<Condition, String> {
        let mut all = vec![self.one()?];
        while self.reader.take("&&") {
            all.push(self.one()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Condition::And(all) })
    }

    fn one(&mut self) -> Result<Condition, String> {
        if self.depth >= DEPTH_MAX {
            return Err(format!("expected at most {DEPTH_MAX} parentheses within each other"));
        }
        self.depth += 1;
        let condition = if self.reader.take("!") {
            Condition::Not(Box::new(self.one()?))
        } else if !Term::is_cast(&self.reader) && self.reader.take("(") {
            let inner = self.any()?;
            self.reader.need(")")?;
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn comparison(&mut self) -> Result<Condition, String> {
        let left = Term::read(&mut self.reader)?;
        let signs = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        match signs.into_iter().find(|(sign, _)| self.reader.take(sign)) {
            Some((_, comparison)) => Ok(Condition::Compare(left, comparison, Term::read(&mut self.reader)?)),
            None => Ok(Condition::Is(left)),
        }
    }
}
