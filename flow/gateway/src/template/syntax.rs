//! What a template is, once it is read.

use serde_json::Value;

/// A piece of a template.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// Printed as it is.
    Text(String),
    /// Printed by its value; undefined variables are printed as they were written, unless `quiet`.
    Print { reference: Reference, quiet: bool, written: String },
    /// `#set($name = value)`
    Set { name: String, value: Expression },
    /// `#if … #elseif … #else … #end`: the first branch whose condition holds.
    If { branches: Vec<(Expression, Vec<Node>)>, otherwise: Vec<Node> },
    /// `#foreach($name in list) … #end`
    Foreach { name: String, list: Expression, body: Vec<Node> },
}

/// A variable and what is asked of it.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) accesses: Vec<Access>,
}

/// A step from a value to another.
#[derive(Debug, Clone)]
pub(super) enum Access {
    Member(String),
    Index(Expression),
    Call { method: String, arguments: Vec<Expression> },
}

/// What has a value.
#[derive(Debug, Clone)]
pub(super) enum Expression {
    Literal(Value),
    /// A text in double quotes with references in it.
    Interpolated(Vec<Node>),
    Reference(Reference),
    List(Vec<Expression>),
    Range(Box<Expression>, Box<Expression>),
    Map(Vec<(Expression, Expression)>),
    Not(Box<Expression>),
    Negative(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
}

/// What stands between two expressions, loosest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operator {
    /// How tightly it binds; higher binds tighter.
    pub(super) fn level(self) -> u8 {
        match self {
            Self::Or => 0,
            Self::And => 1,
            Self::Equal | Self::Unequal => 2,
            Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => 3,
            Self::Add | Self::Subtract => 4,
            Self::Multiply | Self::Divide | Self::Remainder => 5,
        }
    }
}
