//! Conditions and filters: the tree, and how a text becomes one.
//!
//! `a = :v AND (attribute_exists(b.c) OR NOT size(d) BETWEEN :low AND :high)`; evaluated in `evaluate.rs`.

use super::parser::Parser;
use super::path::Path;
use super::placeholders::Placeholders;
use super::token::Kind;
use crate::error::ExpressionError;
use crate::item::{AttributeType, AttributeValue};

/// Operands of one IN: the service family's own limit.
const IN_OPERANDS_MAX: usize = 100;

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    fn of_symbol(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "=" => Self::Equal,
            "<>" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    /// As it is written.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// The item's value at a path.
    Path(Path),
    /// A given value.
    Value(AttributeValue),
    /// The size of an operand: characters, bytes or elements.
    Size(Box<Operand>),
}

impl Operand {
    fn each_path(&self, see: &mut impl FnMut(&Path)) {
        match self {
            Self::Path(path) => see(path),
            Self::Size(inner) => inner.each_path(see),
            Self::Value(_) => {}
        }
    }
}

/// A condition on an item.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Condition {
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    Not(Box<Condition>),
    Compare(Comparison, Operand, Operand),
    Between(Operand, Operand, Operand),
    In(Operand, Vec<Operand>),
    Exists(Path),
    NotExists(Path),
    HasType(Path, AttributeType),
    BeginsWith(Operand, Operand),
    Contains(Operand, Operand),
}

impl Condition {
    /// Reads a condition or a filter.
    ///
    /// # Errors
    /// [`ExpressionError`] says what is wrong with the text.
    pub fn parse(text: &str, placeholders: &mut Placeholders) -> Result<Self, ExpressionError> {
        let mut parser = Parser::new(text, placeholders)?;
        let condition = any_of(&mut parser)?;
        parser.expect_end()?;
        Ok(condition)
    }

    /// Several conditions joined by [`Condition::And`] or [`Condition::Or`]; `None` without one. The tree is as flat as can be,
    /// so that many of them do not make it deep.
    #[must_use]
    pub fn joined(mut conditions: Vec<Self>, join: fn(Box<Self>, Box<Self>) -> Self) -> Option<Self> {
        if conditions.len() < 2 {
            return conditions.pop();
        }
        let right = conditions.split_off(conditions.len() / 2);
        Some(join(Box::new(Self::joined(conditions, join)?), Box::new(Self::joined(right, join)?)))
    }

    /// A value that lies between two others or is one of them.
    ///
    /// # Errors
    /// [`ExpressionError::OperandType`] for given values without an order, [`ExpressionError::BetweenBounds`] for bounds that
    /// nothing lies between.
    pub fn between(value: Operand, low: Operand, high: Operand) -> Result<Self, ExpressionError> {
        for part in [&value, &low, &high] {
            check_type(part, "BETWEEN", AttributeType::is_ordered)?;
        }
        if let (Operand::Value(lower), Operand::Value(upper)) = (&low, &high)
            && super::evaluate::order(lower, upper) == Some(std::cmp::Ordering::Greater)
        {
            let (lower, upper) = (Box::new(lower.clone()), Box::new(upper.clone()));
            return Err(ExpressionError::BetweenBounds { lower, upper });
        }
        Ok(Self::Between(value, low, high))
    }

    /// Calls `see` with each path in it.
    pub fn each_path(&self, see: &mut impl FnMut(&Path)) {
        match self {
            Self::And(left, right) | Self::Or(left, right) => {
                left.each_path(see);
                right.each_path(see);
            }
            Self::Not(inner) => inner.each_path(see),
            Self::Compare(_, left, right) | Self::BeginsWith(left, right) | Self::Contains(left, right) => {
                left.each_path(see);
                right.each_path(see);
            }
            Self::Between(value, low, high) => [value, low, high].into_iter().for_each(|part| part.each_path(see)),
            Self::In(value, list) => std::iter::once(value).chain(list).for_each(|part| part.each_path(see)),
            Self::Exists(path) | Self::NotExists(path) | Self::HasType(path, _) => see(path),
        }
    }
}

fn any_of(parser: &mut Parser<'_>) -> Result<Condition, ExpressionError> {
    let mut left = all_of(parser)?;
    while parser.take_keyword("OR") {
        left = Condition::Or(Box::new(left), Box::new(all_of(parser)?));
    }
    Ok(left)
}

fn all_of(parser: &mut Parser<'_>) -> Result<Condition, ExpressionError> {
    let mut left = negation(parser)?;
    while parser.take_keyword("AND") {
        left = Condition::And(Box::new(left), Box::new(negation(parser)?));
    }
    Ok(left)
}

fn negation(parser: &mut Parser<'_>) -> Result<Condition, ExpressionError> {
    if parser.take_keyword("NOT") {
        return parser.nested(|parser| Ok(Condition::Not(Box::new(negation(parser)?))));
    }
    if parser.take_symbol("(") {
        let inner = parser.nested(any_of)?;
        parser.expect_symbol(")")?;
        return Ok(inner);
    }
    if parser.is_call() && !parser.is_keyword("size") {
        return call(parser);
    }
    comparison(parser)
}

fn comparison(parser: &mut Parser<'_>) -> Result<Condition, ExpressionError> {
    let left = operand(parser)?;
    if parser.take_keyword("BETWEEN") {
        let low = operand(parser)?;
        parser.expect_keyword("AND")?;
        return Condition::between(left, low, operand(parser)?);
    }
    if parser.take_keyword("IN") {
        parser.expect_symbol("(")?;
        let list = operands(parser)?;
        if list.is_empty() || list.len() > IN_OPERANDS_MAX {
            return Err(ExpressionError::OperandCount { function: "IN".into(), found: list.len() });
        }
        return Ok(Condition::In(left, list));
    }
    let Some(comparison) = Comparison::of_symbol(parser.word()).filter(|_| parser.kind() == Kind::Symbol) else {
        return Err(parser.unexpected());
    };
    parser.next();
    let right = operand(parser)?;
    if !matches!(comparison, Comparison::Equal | Comparison::NotEqual) {
        check_type(&left, comparison.symbol(), AttributeType::is_ordered)?;
        check_type(&right, comparison.symbol(), AttributeType::is_ordered)?;
    }
    Ok(Condition::Compare(comparison, left, right))
}

/// Refuses a given value of a type that the operator cannot work on.
fn check_type(
    operand: &Operand,
    operator: &str,
    allowed: impl Fn(AttributeType) -> bool,
) -> Result<(), ExpressionError> {
    match operand {
        Operand::Value(value) if !allowed(value.kind()) => {
            Err(ExpressionError::OperandType { operator: operator.to_owned(), found: value.kind() })
        }
        _ => Ok(()),
    }
}

fn operand(parser: &mut Parser<'_>) -> Result<Operand, ExpressionError> {
    if parser.kind() == Kind::Value {
        return Ok(Operand::Value(parser.value()?));
    }
    if !parser.is_call() {
        return Ok(Operand::Path(parser.path()?));
    }
    let function = parser.word().to_owned();
    if function != "size" {
        return Err(misplaced(&function));
    }
    parser.next();
    parser.next();
    let [of] = exactly(&function, parser.nested(operands)?)?;
    Ok(Operand::Size(Box::new(of)))
}

/// Operands up to and with the closing bracket.
fn operands(parser: &mut Parser<'_>) -> Result<Vec<Operand>, ExpressionError> {
    let mut list = Vec::new();
    if parser.take_symbol(")") {
        return Ok(list);
    }
    loop {
        list.push(operand(parser)?);
        if parser.take_symbol(")") {
            return Ok(list);
        }
        parser.expect_symbol(",")?;
    }
}

fn exactly<const COUNT: usize>(function: &str, operands: Vec<Operand>) -> Result<[Operand; COUNT], ExpressionError> {
    let found = operands.len();
    operands.try_into().map_err(|_| ExpressionError::OperandCount { function: function.to_owned(), found })
}

fn path_of(function: &str, operand: Operand) -> Result<Path, ExpressionError> {
    match operand {
        Operand::Path(path) => Ok(path),
        _ => Err(ExpressionError::PathExpected { function: function.to_owned() }),
    }
}

pub(super) fn misplaced(function: &str) -> ExpressionError {
    let known = [
        "attribute_exists",
        "attribute_not_exists",
        "attribute_type",
        "begins_with",
        "contains",
        "size",
        "if_not_exists",
        "list_append",
    ];
    if known.contains(&function) {
        ExpressionError::MisplacedFunction { function: function.to_owned() }
    } else {
        ExpressionError::UnknownFunction { function: function.to_owned() }
    }
}

/// A function that is a condition by itself.
fn call(parser: &mut Parser<'_>) -> Result<Condition, ExpressionError> {
    let function = parser.word();
    parser.next();
    parser.next();
    if !matches!(function, "attribute_exists" | "attribute_not_exists" | "attribute_type" | "begins_with" | "contains")
    {
        return Err(misplaced(function));
    }
    let list = parser.nested(operands)?;
    match function {
        "attribute_exists" => {
            let [path] = exactly(function, list)?;
            Ok(Condition::Exists(path_of(function, path)?))
        }
        "attribute_not_exists" => {
            let [path] = exactly(function, list)?;
            Ok(Condition::NotExists(path_of(function, path)?))
        }
        "attribute_type" => {
            let [path, letters] = exactly(function, list)?;
            let Operand::Value(AttributeValue::String(letters)) = letters else {
                return Err(ExpressionError::UnknownType { found: String::new() });
            };
            let Some(kind) = AttributeType::from_letters(&letters) else {
                return Err(ExpressionError::UnknownType { found: letters });
            };
            Ok(Condition::HasType(path_of(function, path)?, kind))
        }
        "begins_with" => {
            let [value, prefix] = exactly(function, list)?;
            let textual = |kind| matches!(kind, AttributeType::String | AttributeType::Binary);
            check_type(&value, function, textual)?;
            check_type(&prefix, function, textual)?;
            Ok(Condition::BeginsWith(value, prefix))
        }
        _ => {
            let [value, part] = exactly(function, list)?;
            Ok(Condition::Contains(value, part))
        }
    }
}
