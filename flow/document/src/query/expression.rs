//! Expressions of a query, from what binds loosest (`?:`) to what binds tightest (`.name`).

use serde_json::Value;

use super::error::QueryError;
use super::function::Function;
use super::parser::{Parser, is_keyword, unsupported};
use super::syntax::{Aggregate, AggregateKind, Binary, Expression};
use super::token::Kind;

/// Operators that are read from left to right, and how tightly they bind.
const BINARY: [(&str, Binary, u8); 11] = [
    ("|", Binary::BitOr, 0),
    ("^", Binary::BitXor, 1),
    ("&", Binary::BitAnd, 2),
    ("<<", Binary::ShiftLeft, 3),
    (">>", Binary::ShiftRight, 3),
    ("||", Binary::Concatenate, 4),
    ("+", Binary::Add, 5),
    ("-", Binary::Subtract, 5),
    ("*", Binary::Multiply, 6),
    ("/", Binary::Divide, 6),
    ("%", Binary::Remainder, 6),
];

const COMPARISONS: [(&str, Binary); 7] = [
    ("=", Binary::Equal),
    ("!=", Binary::NotEqual),
    ("<>", Binary::NotEqual),
    ("<=", Binary::LessOrEqual),
    (">=", Binary::GreaterOrEqual),
    ("<", Binary::Less),
    (">", Binary::Greater),
];

const AGGREGATES: [(&str, AggregateKind); 5] = [
    ("COUNT", AggregateKind::Count),
    ("SUM", AggregateKind::Sum),
    ("AVG", AggregateKind::Average),
    ("MIN", AggregateKind::Minimum),
    ("MAX", AggregateKind::Maximum),
];

impl Parser<'_> {
    pub fn expression(&mut self) -> Result<Expression, QueryError> {
        self.depth += 1;
        self.check_depth(0)?;
        let expression = self.conditional();
        self.depth -= 1;
        expression
    }

    fn conditional(&mut self) -> Result<Expression, QueryError> {
        let condition = self.coalesce()?;
        if !self.sign("?") {
            return Ok(condition);
        }
        let then = self.expression()?;
        self.expect_sign(":")?;
        let otherwise = self.expression()?;
        Ok(Expression::Conditional(Box::new(condition), Box::new(then), Box::new(otherwise)))
    }

    fn coalesce(&mut self) -> Result<Expression, QueryError> {
        let (mut left, mut chain) = (self.any()?, 0);
        while self.sign("??") {
            chain += 1;
            self.check_depth(chain)?;
            left = Expression::Coalesce(Box::new(left), Box::new(self.any()?));
        }
        Ok(left)
    }

    fn any(&mut self) -> Result<Expression, QueryError> {
        self.joined("or", Expression::Any, Self::all)
    }

    fn all(&mut self) -> Result<Expression, QueryError> {
        self.joined("and", Expression::All, Self::not)
    }

    /// Parts between a keyword: one flat list, so that a long chain needs no deep stack.
    fn joined(
        &mut self,
        word: &str,
        whole: fn(Vec<Expression>) -> Expression,
        part: fn(&mut Self) -> Result<Expression, QueryError>,
    ) -> Result<Expression, QueryError> {
        let first = part(self)?;
        if !self.peek_word(word) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.word(word) {
            parts.push(part(self)?);
        }
        Ok(whole(parts))
    }

    fn not(&mut self) -> Result<Expression, QueryError> {
        if !self.word("not") {
            return self.comparison();
        }
        self.depth += 1;
        self.check_depth(0)?;
        let inner = self.not()?;
        self.depth -= 1;
        Ok(Expression::Not(Box::new(inner)))
    }

    fn comparison(&mut self) -> Result<Expression, QueryError> {
        let left = self.binary(0)?;
        if let Some((_, operator)) = COMPARISONS.iter().find(|(sign, _)| self.sign(sign)) {
            let right = self.binary(0)?;
            return Ok(Expression::Binary(*operator, Box::new(left), Box::new(right)));
        }
        let negated = self.word("not");
        let tested = if self.word("in") {
            self.expect_sign("(")?;
            let choices = self.list(Self::expression)?;
            self.expect_sign(")")?;
            Expression::In(Box::new(left), choices)
        } else if self.word("between") {
            let low = self.binary(0)?;
            self.expect_word("and")?;
            Expression::Between(Box::new(left), Box::new(low), Box::new(self.binary(0)?))
        } else if self.word("like") {
            let pattern = self.binary(0)?;
            let escape = if self.word("escape") { Some(self.escape()?) } else { None };
            Expression::Like(Box::new(left), Box::new(pattern), escape)
        } else if negated {
            return Err(self.unexpected("IN, BETWEEN or LIKE"));
        } else {
            return Ok(left);
        };
        Ok(if negated { Expression::Not(Box::new(tested)) } else { tested })
    }

    fn escape(&mut self) -> Result<char, QueryError> {
        let error = self.unexpected("one character in quotes");
        match self.take() {
            Kind::Text(text) => {
                let mut chars = text.chars();
                chars.next().filter(|_| chars.next().is_none()).ok_or(error)
            }
            _ => Err(error),
        }
    }

    /// Operators that bind at least as tightly as `least`, by precedence climbing.
    fn binary(&mut self, least: u8) -> Result<Expression, QueryError> {
        let (mut left, mut chain) = (self.unary()?, 0);
        while let Some((_, operator, tightness)) =
            BINARY.iter().find(|(sign, _, tightness)| *tightness >= least && self.sign(sign))
        {
            chain += 1;
            self.check_depth(chain)?;
            let right = self.binary(tightness + 1)?;
            left = Expression::Binary(*operator, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expression, QueryError> {
        let wrap: fn(Box<Expression>) -> Expression = if self.sign("-") {
            Expression::Negate
        } else if self.sign("~") {
            Expression::BitNot
        } else if self.sign("+") {
            |inner| *inner
        } else {
            return self.postfix();
        };
        self.depth += 1;
        self.check_depth(0)?;
        let inner = self.unary()?;
        self.depth -= 1;
        Ok(wrap(Box::new(inner)))
    }

    fn postfix(&mut self) -> Result<Expression, QueryError> {
        let (mut expression, mut chain) = (self.primary()?, 0);
        loop {
            let step = if self.sign(".") {
                Expression::Constant(Value::String(self.identifier()?))
            } else if self.sign("[") {
                let step = self.expression()?;
                self.expect_sign("]")?;
                step
            } else {
                return Ok(expression);
            };
            chain += 1;
            self.check_depth(chain)?;
            expression = Expression::Member(Box::new(expression), Box::new(step));
        }
    }

    fn primary(&mut self) -> Result<Expression, QueryError> {
        if let Kind::Word(word) = self.peek() {
            let word = word.clone();
            return self.word_expression(&word);
        }
        let error = self.unexpected("an expression");
        match self.take() {
            Kind::Number(number) => Ok(Expression::Constant(Value::Number(number))),
            Kind::Text(text) => Ok(Expression::Constant(Value::String(text))),
            Kind::Parameter(name) => self.parameter(&name).map(Expression::Constant),
            Kind::Sign("(") => {
                if self.peek_word("select") {
                    return Err(unsupported("a subquery"));
                }
                let inner = self.expression()?;
                self.expect_sign(")")?;
                Ok(inner)
            }
            Kind::Sign("[") => {
                let parts =
                    if self.sign("]") { return Ok(Expression::List(Vec::new())) } else { self.list(Self::expression)? };
                self.expect_sign("]")?;
                Ok(Expression::List(parts))
            }
            Kind::Sign("{") => {
                let members =
                    if self.sign("}") { return Ok(Expression::Object(Vec::new())) } else { self.list(Self::member)? };
                self.expect_sign("}")?;
                Ok(Expression::Object(members))
            }
            _ => Err(error),
        }
    }

    /// `"name": expression`
    fn member(&mut self) -> Result<(String, Expression), QueryError> {
        let error = self.unexpected("a member's name");
        let name = match self.take() {
            Kind::Text(name) | Kind::Word(name) => name,
            _ => return Err(error),
        };
        self.expect_sign(":")?;
        Ok((name, self.expression()?))
    }

    /// A literal, a call or a source.
    fn word_expression(&mut self, word: &str) -> Result<Expression, QueryError> {
        let literal = match word {
            "true" => Some(Expression::Constant(Value::Bool(true))),
            "false" => Some(Expression::Constant(Value::Bool(false))),
            "null" => Some(Expression::Constant(Value::Null)),
            "undefined" => Some(Expression::Undefined),
            _ => None,
        };
        let error = self.unexpected("an expression");
        self.take();
        if let Some(literal) = literal {
            return Ok(literal);
        }
        if matches!(self.peek(), Kind::Sign("(")) {
            return self.call(word);
        }
        if word.eq_ignore_ascii_case("udf") && matches!(self.peek(), Kind::Sign(".")) {
            return Err(unsupported("a user-defined function"));
        }
        if is_keyword(word) {
            return Err(error);
        }
        Ok(Expression::Name(word.to_owned()))
    }

    fn call(&mut self, name: &str) -> Result<Expression, QueryError> {
        if name.eq_ignore_ascii_case("array") {
            return Err(unsupported("a subquery"));
        }
        self.expect_sign("(")?;
        if name.eq_ignore_ascii_case("exists") {
            let subquery = self.subquery()?;
            self.expect_sign(")")?;
            return Ok(Expression::Exists(Box::new(subquery)));
        }
        let arguments = if self.sign(")") {
            Vec::new()
        } else {
            if self.peek_word("select") {
                return Err(unsupported("a subquery"));
            }
            // `COUNT(*)` is not of this dialect, but everybody writes it: it counts rows as `COUNT(1)` does.
            let star = name.eq_ignore_ascii_case("count") && self.sign("*");
            let arguments = if star { vec![Expression::Constant(1.into())] } else { self.list(Self::expression)? };
            self.expect_sign(")")?;
            arguments
        };
        if let Some((name, kind)) = AGGREGATES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            let found = arguments.len();
            let argument = arguments.into_iter().next().filter(|_| found == 1);
            let argument = argument.ok_or(QueryError::ArgumentCount { name, expected: "1".to_owned(), found })?;
            self.aggregates.push(Aggregate { kind: *kind, argument });
            return Ok(Expression::Aggregate(self.aggregates.len() - 1));
        }
        let function = Function::of_name(name).ok_or_else(|| {
            // Those of the service that this engine leaves out are told apart from slips of the pen.
            let known = ["ST_", "VECTORDISTANCE", "FULLTEXT", "RRF", "REGEXMATCH", "DATETIME", "GETCURRENT", "COUNTIF"];
            let upper = name.to_ascii_uppercase();
            match known.iter().any(|prefix| upper.starts_with(prefix)) {
                true => QueryError::Unsupported { feature: format!("the function {upper}") },
                false => QueryError::UnknownFunction { name: name.to_owned() },
            }
        })?;
        function.check_arguments(arguments.len())?;
        Ok(Expression::Call(function, arguments))
    }
}
