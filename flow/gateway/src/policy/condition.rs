//! Conditions of `choose`: comparisons of what is known of a request and its answer, with `&&`, `||`, `!` and parentheses.
//!
//! A small part of the service's expressions, which are C#; anything else is refused when the document is set.
//! Pure: text in, condition out; a condition and an exchange in, yes or no out.

use http::header::HeaderMap;

use super::exchange::Exchange;

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

/// Something with a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Term {
    /// As it is written.
    Literal(Value),
    /// `context.Request.Method`
    Method,
    /// `context.Request.Url.Path`
    Path,
    /// `context.Request.IpAddress`
    IpAddress,
    /// `context.Subscription.Id`
    SubscriptionId,
    /// `context.Response.StatusCode`
    StatusCode,
    /// `….Headers.GetValueOrDefault("name","otherwise")`, of the request or of the answer.
    Header(Side, String, String),
    /// `….Headers.ContainsKey("name")`
    HasHeader(Side, String),
    /// `context.Request.Url.Query.GetValueOrDefault("name","otherwise")`
    Query(String, String),
    /// `context.Request.Url.Query.ContainsKey("name")`
    HasQuery(String),
    /// `context.Request.MatchedParameters["name"]`
    Parameter(String),
    /// `.Contains("…")`, `.StartsWith("…")`, `.EndsWith("…")` of a text.
    Text(Box<Term>, TextTest, String),
}

/// Whose headers are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Side {
    Request,
    Response,
}

/// A test of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The methods' own names.
pub enum TextTest {
    Contains,
    StartsWith,
    EndsWith,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Text(String),
    Number(f64),
    Bool(bool),
}

impl Condition {
    /// Reads `@(…)`, or `true` and `false`.
    ///
    /// # Errors
    /// What was not understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let inner = match trimmed.strip_prefix("@(").and_then(|rest| rest.strip_suffix(')')) {
            Some(inner) => inner,
            None if matches!(trimmed.to_ascii_lowercase().as_str(), "true" | "false") => trimmed,
            None => return Err(format!("expected a condition @(…), found `{trimmed}`")),
        };
        let mut parser = Parser { rest: inner, depth: 0 };
        let condition = parser.any()?;
        parser.skip();
        if parser.rest.is_empty() { Ok(condition) } else { Err(parser.refused()) }
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
}

impl Term {
    fn value(&self, exchange: &Exchange) -> Value {
        let text = |text: &str| Value::Text(text.to_owned());
        let parameter = |name: &String| exchange.query.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        match self {
            Self::Literal(value) => value.clone(),
            Self::Method => text(exchange.method.as_str()),
            Self::Path => text(&exchange.path),
            Self::IpAddress => text(&exchange.address),
            Self::SubscriptionId => text(&exchange.subscription),
            Self::StatusCode => Value::Number(exchange.response.status().as_u16().into()),
            Self::Header(side, name, otherwise) => {
                let value = side.headers(exchange).get(name).and_then(|value| value.to_str().ok());
                text(value.unwrap_or(otherwise))
            }
            Self::HasHeader(side, name) => Value::Bool(side.headers(exchange).contains_key(name)),
            Self::Query(name, otherwise) => text(parameter(name).unwrap_or(otherwise)),
            Self::HasQuery(name) => Value::Bool(parameter(name).is_some()),
            Self::Parameter(name) => text(exchange.parameters.get(name).map_or("", String::as_str)),
            Self::Text(of, test, part) => {
                let Value::Text(of) = of.value(exchange) else { return Value::Bool(false) };
                Value::Bool(match test {
                    TextTest::Contains => of.contains(part),
                    TextTest::StartsWith => of.starts_with(part),
                    TextTest::EndsWith => of.ends_with(part),
                })
            }
        }
    }
}

impl Side {
    fn headers(self, exchange: &Exchange) -> &HeaderMap {
        match self {
            Self::Request => &exchange.headers,
            Self::Response => exchange.response.headers(),
        }
    }
}

struct Parser<'t> {
    rest: &'t str,
    depth: usize,
}

impl Parser<'_> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn refused(&self) -> String {
        let shown: String = self.rest.chars().take(80).collect();
        format!("The expression is not supported by this node from `{shown}` on")
    }

    /// Takes a word or sign that is next.
    fn take(&mut self, sign: &str) -> bool {
        self.skip();
        let Some(rest) = self.rest.strip_prefix(sign) else { return false };
        self.rest = rest;
        true
    }

    fn need(&mut self, sign: &str) -> Result<(), String> {
        if self.take(sign) { Ok(()) } else { Err(self.refused()) }
    }

    fn any(&mut self) -> Result<Condition, String> {
        let mut all = vec![self.every()?];
        while self.take("||") {
            all.push(self.every()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Condition::Or(all) })
    }

    fn every(&mut self) -> Result<Condition, String> {
        let mut all = vec![self.one()?];
        while self.take("&&") {
            all.push(self.one()?);
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Condition::And(all) })
    }

    fn one(&mut self) -> Result<Condition, String> {
        if self.depth >= DEPTH_MAX {
            return Err(format!("expected at most {DEPTH_MAX} parentheses within each other"));
        }
        self.depth += 1;
        let condition = if self.take("!") {
            Condition::Not(Box::new(self.one()?))
        } else if self.take("(") {
            let inner = self.any()?;
            self.need(")")?;
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(condition)
    }

    fn comparison(&mut self) -> Result<Condition, String> {
        let left = self.term()?;
        let signs = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        match signs.into_iter().find(|(sign, _)| self.take(sign)) {
            Some((_, comparison)) => Ok(Condition::Compare(left, comparison, self.term()?)),
            None => Ok(Condition::Is(left)),
        }
    }

    fn term(&mut self) -> Result<Term, String> {
        let mut term = self.first()?;
        let tests = [
            (".Contains(", TextTest::Contains),
            (".StartsWith(", TextTest::StartsWith),
            (".EndsWith(", TextTest::EndsWith),
        ];
        while let Some((_, test)) = tests.into_iter().find(|(method, _)| self.take(method)) {
            let part = self.text()?;
            self.need(")")?;
            term = Term::Text(Box::new(term), test, part);
        }
        Ok(term)
    }

    fn first(&mut self) -> Result<Term, String> {
        self.skip();
        if self.rest.starts_with('"') {
            return Ok(Term::Literal(Value::Text(self.text()?)));
        }
        let digits = self.rest.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(self.rest.len());
        if let Ok(number) = self.rest[..digits].parse() {
            self.rest = &self.rest[digits..];
            return Ok(Term::Literal(Value::Number(number)));
        }
        let plain = [
            ("true", Term::Literal(Value::Bool(true))),
            ("false", Term::Literal(Value::Bool(false))),
            ("context.Request.Method", Term::Method),
            ("context.Request.Url.Path", Term::Path),
            ("context.Request.IpAddress", Term::IpAddress),
            ("context.Subscription.Id", Term::SubscriptionId),
            ("context.Response.StatusCode", Term::StatusCode),
        ];
        if let Some((_, term)) = plain.into_iter().find(|(word, _)| self.take(word)) {
            return Ok(term);
        }
        for (word, side) in [("context.Request.Headers.", Side::Request), ("context.Response.Headers.", Side::Response)]
        {
            if self.take(word) {
                return self
                    .member(|name, otherwise| Term::Header(side, name, otherwise), |name| Term::HasHeader(side, name));
            }
        }
        if self.take("context.Request.Url.Query.") {
            return self.member(Term::Query, Term::HasQuery);
        }
        if self.take("context.Request.MatchedParameters[") {
            let name = self.text()?;
            self.need("]")?;
            return Ok(Term::Parameter(name));
        }
        Err(self.refused())
    }

    /// `GetValueOrDefault("name","otherwise")` or `ContainsKey("name")`.
    fn member(
        &mut self,
        value: impl FnOnce(String, String) -> Term,
        has: impl FnOnce(String) -> Term,
    ) -> Result<Term, String> {
        if self.take("ContainsKey(") {
            let name = self.text()?;
            self.need(")")?;
            return Ok(has(name));
        }
        self.need("GetValueOrDefault(")?;
        let name = self.text()?;
        let otherwise = if self.take(",") { self.text()? } else { String::new() };
        self.need(")")?;
        Ok(value(name, otherwise))
    }

    /// A text in double quotes without escapes.
    fn text(&mut self) -> Result<String, String> {
        self.skip();
        let found = self.rest.strip_prefix('"').and_then(|rest| rest.split_once('"'));
        let (text, rest) = found.filter(|(text, _)| !text.contains('\\')).ok_or_else(|| self.refused())?;
        let text = text.to_owned();
        self.rest = rest;
        Ok(text)
    }
}
