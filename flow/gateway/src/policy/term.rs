//! Terms of expressions: what is known of a request and its answer, literals, and tests of texts.
//!
//! A small part of the service's expressions, which are C#; anything else is refused when a document is set. Nothing here
//! fails while a request runs: what is not there is null, and null is an empty text where a text is wanted.
//! Source: "API Management policy expressions", the context variable.

use std::fmt;

use http::header::HeaderMap;
use millstream_catalog::ManagedUser;

use super::exchange::Exchange;
use super::reader::Reader;

/// Casts within each other: more than anybody writes, fewer than a stack holds.
const CASTS_MAX: usize = 8;

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
    /// `context.RequestId`
    RequestId,
    /// `context.Subscription.Id` and `.Name`: the subscription's name.
    SubscriptionId,
    /// `context.Subscription.Key`: the key that the caller brought.
    SubscriptionKey,
    /// `context.User` and its members: whose the subscription is. Null where it is nobody's.
    User(UserPart),
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
    /// `context.Variables["name"]`, `context.Variables.GetValueOrDefault<type>("name", otherwise)`
    Variable(String, Value),
    /// `context.Variables.ContainsKey("name")`
    HasVariable(String),
    /// `(int)…`, `(string)…`, `(bool)…`
    Cast(Kind, Box<Term>),
    /// `.Contains("…")`, `.StartsWith("…")`, `.EndsWith("…")` of a text.
    Text(Box<Term>, TextTest, String),
}

/// What is told of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // The members' own names.
pub enum UserPart {
    Id,
    Email,
    FirstName,
    LastName,
    Note,
}

/// Whose headers are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Side {
    Request,
    Response,
}

/// A type of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Kind {
    Text,
    Number,
    Bool,
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
    Null,
    Text(String),
    Number(f64),
    Bool(bool),
}

impl fmt::Display for Value {
    /// As a text of C#.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
        }
    }
}

impl Kind {
    const ALL: [(&'static str, Self); 3] = [("string", Self::Text), ("int", Self::Number), ("bool", Self::Bool)];

    /// The value of a type where there is none.
    fn nothing(self) -> Value {
        match self {
            Self::Text => Value::Null,
            Self::Number => Value::Number(0.0),
            Self::Bool => Value::Bool(false),
        }
    }

    /// A value as one of this type; what cannot be one is as where there is none.
    fn cast(self, value: Value) -> Value {
        match (self, value) {
            (Self::Number, Value::Text(text)) => text.trim().parse().map_or_else(|_| self.nothing(), Value::Number),
            (Self::Bool, Value::Text(text)) => Value::Bool(text.trim().eq_ignore_ascii_case("true")),
            (Self::Text, value @ (Value::Number(_) | Value::Bool(_))) => Value::Text(value.to_string()),
            (_, Value::Null) => self.nothing(),
            (_, value) => value,
        }
    }
}

impl Term {
    /// The value for a request, or its answer, as it is now.
    #[must_use]
    pub fn value(&self, exchange: &Exchange) -> Value {
        let text = |text: &str| Value::Text(text.to_owned());
        // Nobody has a subscription without a key.
        let of_subscriber = |text: &str| if text.is_empty() { Value::Null } else { Value::Text(text.to_owned()) };
        let parameter = |name: &String| exchange.query.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        match self {
            Self::Literal(value) => value.clone(),
            Self::Method => text(exchange.method.as_str()),
            Self::Path => text(&exchange.path),
            Self::IpAddress => text(&exchange.address),
            Self::RequestId => text(&exchange.request_id),
            Self::SubscriptionId => of_subscriber(&exchange.subscription),
            Self::SubscriptionKey => of_subscriber(&exchange.key),
            Self::User(part) => exchange.user.as_ref().map_or(Value::Null, |user| text(part.of(user))),
            Self::StatusCode => Value::Number(exchange.response.status().as_u16().into()),
            Self::Header(side, name, otherwise) => {
                let value = side.headers(exchange).get(name).and_then(|value| value.to_str().ok());
                text(value.unwrap_or(otherwise))
            }
            Self::HasHeader(side, name) => Value::Bool(side.headers(exchange).contains_key(name)),
            Self::Query(name, otherwise) => text(parameter(name).unwrap_or(otherwise)),
            Self::HasQuery(name) => Value::Bool(parameter(name).is_some()),
            Self::Parameter(name) => text(exchange.parameters.get(name).map_or("", String::as_str)),
            Self::Variable(name, otherwise) => exchange.variables.get(name).unwrap_or(otherwise).clone(),
            Self::HasVariable(name) => Value::Bool(exchange.variables.contains_key(name)),
            Self::Cast(kind, term) => kind.cast(term.value(exchange)),
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

    /// Whether it can be known only when there is an answer.
    #[must_use]
    pub fn is_of_answer(&self) -> bool {
        match self {
            Self::StatusCode | Self::Header(Side::Response, ..) | Self::HasHeader(Side::Response, _) => true,
            // What comes behind may set it.
            Self::Variable(..) | Self::HasVariable(_) => true,
            Self::Cast(_, term) | Self::Text(term, ..) => term.is_of_answer(),
            _ => false,
        }
    }

    /// Reads a term.
    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, String> {
        Self::read_within(reader, 0)
    }

    /// Whether a cast is next, rather than an expression in parentheses.
    pub(super) fn is_cast(reader: &Reader<'_>) -> bool {
        cast(&mut reader.clone()).is_some()
    }

    fn read_within(reader: &mut Reader<'_>, casts: usize) -> Result<Self, String> {
        if let Some(kind) = cast(reader) {
            if casts == CASTS_MAX {
                return Err(reader.refused());
            }
            return Ok(Self::Cast(kind, Box::new(Self::read_within(reader, casts + 1)?)));
        }
        let mut term = first(reader)?;
        let tests = [
            (".Contains(", TextTest::Contains),
            (".StartsWith(", TextTest::StartsWith),
            (".EndsWith(", TextTest::EndsWith),
        ];
        // One test: what it gives is no text any more.
        if let Some((_, test)) = tests.into_iter().find(|(method, _)| reader.take(method)) {
            let part = reader.text()?;
            reader.need(")")?;
            term = Self::Text(Box::new(term), test, part);
        }
        Ok(term)
    }
}

impl UserPart {
    const ALL: [(&'static str, Self); 5] = [
        ("Id", Self::Id),
        ("Email", Self::Email),
        ("FirstName", Self::FirstName),
        ("LastName", Self::LastName),
        ("Note", Self::Note),
    ];

    fn of(self, user: &ManagedUser) -> &str {
        match self {
            Self::Id => &user.name,
            Self::Email => &user.email,
            Self::FirstName => &user.first_name,
            Self::LastName => &user.last_name,
            Self::Note => &user.note,
        }
    }

    /// Reads what follows `context.User`: a member, or nothing, when it is only asked whether there is one.
    fn read(reader: &mut Reader<'_>) -> Result<Self, String> {
        if !reader.take("?.") && !reader.take(".") {
            return Ok(Self::Id);
        }
        let found = Self::ALL.into_iter().find(|(name, _)| reader.take(name));
        found.map(|(_, part)| part).ok_or_else(|| reader.refused())
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

/// Takes a cast that is next.
fn cast(reader: &mut Reader<'_>) -> Option<Kind> {
    let mut ahead = reader.clone();
    if !ahead.take("(") {
        return None;
    }
    let (_, kind) = Kind::ALL.into_iter().find(|(name, _)| ahead.take(name))?;
    if !ahead.take(")") {
        return None;
    }
    *reader = ahead;
    Some(kind)
}

fn first(reader: &mut Reader<'_>) -> Result<Term, String> {
    if let Some(value) = literal(reader)? {
        return Ok(Term::Literal(value));
    }
    // A longer name stands before those that it begins with.
    let plain = [
        ("context.Request.Method", Term::Method),
        ("context.Request.Url.Path", Term::Path),
        ("context.Request.IpAddress", Term::IpAddress),
        ("context.RequestId", Term::RequestId),
        ("context.Subscription.Id", Term::SubscriptionId),
        ("context.Subscription?.Id", Term::SubscriptionId),
        ("context.Subscription.Name", Term::SubscriptionId),
        ("context.Subscription?.Name", Term::SubscriptionId),
        ("context.Subscription.Key", Term::SubscriptionKey),
        ("context.Subscription?.Key", Term::SubscriptionKey),
        ("context.Response.StatusCode", Term::StatusCode),
    ];
    if let Some((_, term)) = plain.into_iter().find(|(word, _)| reader.take(word)) {
        return Ok(term);
    }
    for (word, side) in [("context.Request.Headers.", Side::Request), ("context.Response.Headers.", Side::Response)] {
        if reader.take(word) {
            return member(
                reader,
                |name, otherwise| Term::Header(side, name, otherwise),
                |name| Term::HasHeader(side, name),
            );
        }
    }
    if reader.take("context.Request.Url.Query.") {
        return member(reader, Term::Query, Term::HasQuery);
    }
    if reader.take("context.Request.MatchedParameters[") {
        return indexed(reader).map(Term::Parameter);
    }
    if reader.take("context.Variables[") {
        return indexed(reader).map(|name| Term::Variable(name, Value::Null));
    }
    if reader.take("context.Variables.") {
        return variable(reader);
    }
    if reader.take("context.User") {
        return UserPart::read(reader).map(Term::User);
    }
    if reader.take("context.Subscription") {
        return Ok(Term::SubscriptionId);
    }
    Err(reader.refused())
}

/// A text, a number, `true`, `false` or `null`; `None` when something else is next.
fn literal(reader: &mut Reader<'_>) -> Result<Option<Value>, String> {
    if reader.is_at_text() {
        return reader.text().map(|text| Some(Value::Text(text)));
    }
    if let Some(number) = reader.number() {
        return Ok(Some(Value::Number(number)));
    }
    let words = [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)];
    Ok(words.into_iter().find(|(word, _)| reader.take(word)).map(|(_, value)| value))
}

/// `"name"]`
fn indexed(reader: &mut Reader<'_>) -> Result<String, String> {
    let name = reader.text()?;
    reader.need("]")?;
    Ok(name)
}

/// `ContainsKey("name")`, `GetValueOrDefault("name")`, `GetValueOrDefault<type>("name", otherwise)`.
fn variable(reader: &mut Reader<'_>) -> Result<Term, String> {
    if reader.take("ContainsKey(") {
        let name = reader.text()?;
        reader.need(")")?;
        return Ok(Term::HasVariable(name));
    }
    reader.need("GetValueOrDefault")?;
    let mut kind = None;
    if reader.take("<") {
        kind = Kind::ALL.into_iter().find(|(name, _)| reader.take(name)).map(|(_, kind)| kind);
        kind.ok_or_else(|| reader.refused())?;
        reader.need(">")?;
    }
    reader.need("(")?;
    let name = reader.text()?;
    let mut otherwise = kind.map_or(Value::Null, Kind::nothing);
    if reader.take(",") {
        otherwise = literal(reader)?.ok_or_else(|| reader.refused())?;
    }
    reader.need(")")?;
    let term = Term::Variable(name, otherwise);
    Ok(match kind {
        Some(kind) => Term::Cast(kind, Box::new(term)),
        None => term,
    })
}

/// `GetValueOrDefault("name","otherwise")` or `ContainsKey("name")`.
fn member(
    reader: &mut Reader<'_>,
    value: impl FnOnce(String, String) -> Term,
    has: impl FnOnce(String) -> Term,
) -> Result<Term, String> {
    if reader.take("ContainsKey(") {
        let name = reader.text()?;
        reader.need(")")?;
        return Ok(has(name));
    }
    reader.need("GetValueOrDefault(")?;
    let name = reader.text()?;
    let otherwise = if reader.take(",") { reader.text()? } else { String::new() };
    reader.need(")")?;
    Ok(value(name, otherwise))
}
