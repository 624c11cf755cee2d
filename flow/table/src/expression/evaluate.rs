//! What a condition says of an item. Pure; a missing attribute makes a comparison false, never an error.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::condition::{Comparison, Condition, Operand};
use crate::item::{AttributeValue, Item};
use crate::number::Number;

impl Condition {
    /// Whether it holds for an item; an item that is not there has no attributes.
    #[must_use]
    pub fn holds(&self, item: &Item) -> bool {
        match self {
            Self::And(left, right) => left.holds(item) && right.holds(item),
            Self::Or(left, right) => left.holds(item) || right.holds(item),
            Self::Not(inner) => !inner.holds(item),
            Self::Compare(comparison, left, right) => compare(*comparison, left.find(item), right.find(item)),
            Self::Between(value, low, high) => {
                let value = value.find(item);
                compare(Comparison::GreaterOrEqual, value.clone(), low.find(item))
                    && compare(Comparison::LessOrEqual, value, high.find(item))
            }
            Self::In(value, list) => {
                let value = value.find(item);
                value.is_some() && list.iter().any(|one| one.find(item) == value)
            }
            Self::Exists(path) => path.find(item).is_some(),
            Self::NotExists(path) => path.find(item).is_none(),
            Self::HasType(path, kind) => path.find(item).is_some_and(|value| value.kind() == *kind),
            Self::BeginsWith(value, prefix) => match (value.find(item), prefix.find(item)) {
                (Some(value), Some(prefix)) => begins_with(&value, &prefix),
                _ => false,
            },
            Self::Contains(value, part) => match (value.find(item), part.find(item)) {
                (Some(value), Some(part)) => contains(&value, &part),
                _ => false,
            },
        }
    }
}

impl Operand {
    fn find<'a>(&'a self, item: &'a Item) -> Option<Cow<'a, AttributeValue>> {
        match self {
            Self::Path(path) => path.find(item).map(Cow::Borrowed),
            Self::Value(value) => Some(Cow::Borrowed(value)),
            Self::Size(of) => {
                let length = match &*of.find(item)? {
                    AttributeValue::String(text) => text.chars().count(),
                    AttributeValue::Binary(bytes) => bytes.len(),
                    AttributeValue::List(values) => values.len(),
                    AttributeValue::Map(map) => map.len(),
                    AttributeValue::StringSet(set) => set.len(),
                    AttributeValue::NumberSet(set) => set.len(),
                    AttributeValue::BinarySet(set) => set.len(),
                    AttributeValue::Number(_) | AttributeValue::Bool(_) | AttributeValue::Null => return None,
                };
                Some(Cow::Owned(AttributeValue::Number(Number::from(length as u64))))
            }
        }
    }
}

fn compare(
    comparison: Comparison,
    left: Option<Cow<'_, AttributeValue>>,
    right: Option<Cow<'_, AttributeValue>>,
) -> bool {
    let (Some(left), Some(right)) = (left, right) else {
        // Whatever is not there is not equal to anything.
        return comparison == Comparison::NotEqual;
    };
    let order = || order(&left, &right);
    match comparison {
        Comparison::Equal => left == right,
        Comparison::NotEqual => left != right,
        Comparison::Less => order().is_some_and(Ordering::is_lt),
        Comparison::LessOrEqual => order().is_some_and(Ordering::is_le),
        Comparison::Greater => order().is_some_and(Ordering::is_gt),
        Comparison::GreaterOrEqual => order().is_some_and(Ordering::is_ge),
    }
}

/// The order of two values of one ordered type.
pub(super) fn order(left: &AttributeValue, right: &AttributeValue) -> Option<Ordering> {
    match (left, right) {
        (AttributeValue::String(left), AttributeValue::String(right)) => Some(left.cmp(right)),
        (AttributeValue::Number(left), AttributeValue::Number(right)) => Some(left.cmp(right)),
        (AttributeValue::Binary(left), AttributeValue::Binary(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

fn begins_with(value: &AttributeValue, prefix: &AttributeValue) -> bool {
    match (value, prefix) {
        (AttributeValue::String(value), AttributeValue::String(prefix)) => value.starts_with(prefix.as_str()),
        (AttributeValue::Binary(value), AttributeValue::Binary(prefix)) => value.starts_with(prefix),
        _ => false,
    }
}

fn contains(value: &AttributeValue, part: &AttributeValue) -> bool {
    match (value, part) {
        (AttributeValue::String(value), AttributeValue::String(part)) => value.contains(part.as_str()),
        (AttributeValue::Binary(value), AttributeValue::Binary(part)) => {
            part.is_empty() || value.windows(part.len()).any(|window| window == &part[..])
        }
        (AttributeValue::StringSet(set), AttributeValue::String(part)) => set.contains(part),
        (AttributeValue::NumberSet(set), AttributeValue::Number(part)) => set.contains(part),
        (AttributeValue::BinarySet(set), AttributeValue::Binary(part)) => set.contains(part),
        (AttributeValue::List(values), part) => values.contains(part),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Placeholders;
    use super::*;
    use crate::error::ExpressionError;

    fn text(value: &str) -> AttributeValue {
        AttributeValue::String(value.into())
    }

    fn number(value: &str) -> AttributeValue {
        AttributeValue::Number(value.parse().unwrap())
    }

    fn parse(expression: &str) -> Result<Condition, ExpressionError> {
        let names = [("#s".to_owned(), "size".to_owned())].into();
        let values = [
            (":one", number("1")),
            (":five", number("5.0")),
            (":nine", number("9")),
            (":ms", text("MS")),
            (":msft", text("MSFT")),
            (":n", text("N")),
            (":yes", AttributeValue::Bool(true)),
        ];
        let values = values.map(|(name, value)| (name.to_owned(), value)).into();
        Condition::parse(expression, &mut Placeholders::new(names, values))
    }

    fn holds(expression: &str) -> bool {
        let inner =
            Item::from([("price".into(), number("5")), ("legs".into(), AttributeValue::List(vec![number("9")]))]);
        let item = Item::from([
            ("symbol_".into(), text("MSFT")),
            ("size".into(), number("5")),
            ("trade".into(), AttributeValue::Map(inner)),
            ("tags".into(), AttributeValue::StringSet(["MSFT".to_owned()].into())),
        ]);
        parse(expression).unwrap().holds(&item)
    }

    #[test]
    fn conditions_hold_or_not() {
        for yes in [
            "symbol_ = :msft",
            "#s = :five AND NOT symbol_ = :ms",
            "trade.price >= :five and trade.legs[0] = :nine",
            "#s BETWEEN :one AND :nine",
            "#s IN (:one, :five)",
            "attribute_exists(trade.legs) OR absent = :one",
            "attribute_not_exists(absent.deep[3])",
            "attribute_type(#s, :n)",
            "begins_with(symbol_, :ms)",
            "contains(tags, :msft) AND contains(symbol_, :ms)",
            "size(symbol_) < :five AND size(trade.legs) = :one",
            "absent <> :one",
            "symbol_ <> :one",
            "NOT (symbol_ = :ms OR #s < :one)",
        ] {
            assert!(holds(yes), "{yes}");
        }
        for no in ["absent < :one", "symbol_ < :one", "trade.legs[1] = :nine", "#s IN (:one)", "begins_with(#s, :ms)"] {
            assert!(!holds(no), "{no}");
        }
    }

    #[test]
    fn and_binds_closer_than_or() {
        assert!(holds("symbol_ = :msft OR symbol_ = :ms AND #s = :one"));
    }

    #[test]
    fn mistakes_are_named() {
        let syntax = |token: &str, near: &str| ExpressionError::Syntax { token: token.into(), near: near.into() };
        for (expression, error) in [
            ("", ExpressionError::Empty),
            ("a = ", syntax("<EOF>", "=")),
            ("a == :one", syntax("=", "== :one")),
            ("a = :one b", syntax("b", ":one b")),
            ("a = %", syntax("%", "= %")),
            ("(a = :one", syntax("<EOF>", ":one")),
            ("a = :none", ExpressionError::UndefinedValue { name: ":none".into() }),
            ("#none = :one", ExpressionError::UndefinedName { name: "#none".into() }),
            ("timestamp = :one", ExpressionError::Reserved { word: "timestamp".into() }),
            ("wrong(a)", ExpressionError::UnknownFunction { function: "wrong".into() }),
            ("if_not_exists(a, :one)", ExpressionError::MisplacedFunction { function: "if_not_exists".into() }),
            ("begins_with(a)", ExpressionError::OperandCount { function: "begins_with".into(), found: 1 }),
            (
                "a < :yes",
                ExpressionError::OperandType { operator: "<".into(), found: crate::item::AttributeType::Bool },
            ),
            (
                "a BETWEEN :nine AND :one",
                ExpressionError::BetweenBounds { lower: Box::new(number("9")), upper: Box::new(number("1")) },
            ),
        ] {
            assert_eq!(parse(expression), Err(error), "{expression}");
        }
        let deep = format!("{}a = :one{}", "(".repeat(200), ")".repeat(200));
        assert!(matches!(parse(&deep), Err(ExpressionError::TooDeep { .. })));
    }
}
