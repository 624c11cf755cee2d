//! A parsed query.

use serde_json::Value;

use super::exists::Subquery;
use super::function::Function;

/// A query, parsed and checked; its parameters are values in it already.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub(super) distinct: bool,
    pub(super) top: Option<u64>,
    pub(super) projection: Projection,
    /// The first is the container or a part of each document, further ones are joins; none: a query without documents.
    pub(super) sources: Vec<Source>,
    pub(super) filter: Option<Expression>,
    pub(super) group_by: Vec<Expression>,
    pub(super) order_by: Vec<Sort>,
    pub(super) offset_limit: Option<(u64, u64)>,
    /// Aggregates of the projection, which names them by their place here.
    pub(super) aggregates: Vec<Aggregate>,
}

/// What a row looks like.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Projection {
    /// `*`: the only source.
    Star,
    /// `VALUE expression`.
    Value(Expression),
    /// An object of named expressions.
    Columns(Vec<(String, Expression)>),
}

/// Something that expressions can name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Source {
    pub alias: String,
    /// A path that begins at the container (first source) or at an earlier source; the whole document when `None`.
    pub path: Option<Expression>,
    /// `IN`: each element of the list at the path.
    pub elements: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sort {
    pub by: Expression,
    pub descending: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Aggregate {
    pub kind: AggregateKind,
    pub argument: Expression,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AggregateKind {
    Count,
    Sum,
    Average,
    Minimum,
    Maximum,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    Undefined,
    Constant(Value),
    /// A source by its alias.
    Name(String),
    /// The container itself, where a source's path begins.
    Document,
    /// `object.name`, `object["name"]`, `list[0]`.
    Member(Box<Expression>, Box<Expression>),
    Object(Vec<(String, Expression)>),
    List(Vec<Expression>),
    All(Vec<Expression>),
    Any(Vec<Expression>),
    Not(Box<Expression>),
    Negate(Box<Expression>),
    BitNot(Box<Expression>),
    Binary(Binary, Box<Expression>, Box<Expression>),
    In(Box<Expression>, Vec<Expression>),
    Between(Box<Expression>, Box<Expression>, Box<Expression>),
    /// Text, pattern, escape character.
    Like(Box<Expression>, Box<Expression>, Option<char>),
    Coalesce(Box<Expression>, Box<Expression>),
    Conditional(Box<Expression>, Box<Expression>, Box<Expression>),
    Call(Function, Vec<Expression>),
    /// Whether a query over the row's own lists has a row.
    Exists(Box<Subquery>),
    /// The place in [`Query::aggregates`].
    Aggregate(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    BitAnd,
    BitOr,
    BitXor,
    ShiftLeft,
    ShiftRight,
    Concatenate,
}

impl Expression {
    /// Calls `see` with each expression directly inside of this one.
    pub(super) fn each_child<'e>(&'e self, see: &mut dyn FnMut(&'e Expression)) {
        match self {
            Self::Undefined | Self::Constant(_) | Self::Name(_) | Self::Document | Self::Aggregate(_) => {}
            Self::Not(inner) | Self::Negate(inner) | Self::BitNot(inner) => see(inner),
            Self::Member(left, right)
            | Self::Binary(_, left, right)
            | Self::Coalesce(left, right)
            | Self::Like(left, right, _) => {
                see(left);
                see(right);
            }
            Self::Between(first, second, third) | Self::Conditional(first, second, third) => {
                see(first);
                see(second);
                see(third);
            }
            Self::Object(members) => members.iter().for_each(|(_, member)| see(member)),
            Self::List(parts) | Self::All(parts) | Self::Any(parts) | Self::Call(_, parts) => {
                parts.iter().for_each(see);
            }
            Self::Exists(subquery) => subquery.expressions().for_each(see),
            Self::In(value, choices) => {
                see(value);
                choices.iter().for_each(see);
            }
        }
    }

    /// Whether it is `alias.name.name…`.
    pub(super) fn is_path(&self, alias: &str, names: &[String]) -> bool {
        match (self, names.split_last()) {
            (Self::Name(name), None) => name == alias,
            (Self::Member(inner, step), Some((last, rest))) => {
                matches!(step.as_ref(), Self::Constant(Value::String(name)) if name == last)
                    && inner.is_path(alias, rest)
            }
            _ => false,
        }
    }

    /// The name that a column has when none is given: the last step of a path.
    pub(super) fn natural_name(&self) -> Option<&str> {
        match self {
            Self::Name(name) => Some(name),
            Self::Member(_, step) => match step.as_ref() {
                Self::Constant(Value::String(name)) => Some(name),
                _ => None,
            },
            _ => None,
        }
    }
}
