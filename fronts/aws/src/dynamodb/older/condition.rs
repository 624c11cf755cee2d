//! One comparison of one attribute, `{"ComparisonOperator": "GT", "AttributeValueList": [{"N": "5"}]}`: what `KeyConditions`,
//! `QueryFilter` and `ScanFilter` are made of. Source: the API reference, `Condition`.

use std::collections::BTreeMap;

use millstream_catalog::KeyAttribute;
use millstream_table::expression::{Comparison, Condition, KeyCondition, Operand, Path};
use millstream_table::{AttributeType, AttributeValue};
use serde::Deserialize;
use serde_json::Value;

use super::{invalid, joined};
use crate::dynamodb::{error, validation, value};
use crate::json_protocol::{Constraints, ServiceError};

/// Values of `ComparisonOperator`, in the order that the service lists them.
pub(super) const OPERATORS: [&str; 13] = [
    "IN",
    "NULL",
    "BETWEEN",
    "LT",
    "NOT_CONTAINS",
    "EQ",
    "GT",
    "NOT_NULL",
    "NE",
    "LE",
    "BEGINS_WITH",
    "GE",
    "CONTAINS",
];

/// Those that no range of keys answers.
const NOT_INDEXABLE: [&str; 6] = ["IN", "NULL", "NOT_CONTAINS", "NOT_NULL", "NE", "CONTAINS"];

/// A condition as it came.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::dynamodb) struct WireCondition {
    comparison_operator: Option<String>,
    attribute_value_list: Option<Vec<Value>>,
}

/// Conditions by the attributes that they are on.
pub(in crate::dynamodb) type WireConditions = BTreeMap<String, WireCondition>;

/// The constraints of conditions.
pub(in crate::dynamodb) fn check_conditions(
    constraints: &mut Constraints,
    member: &str,
    conditions: Option<&WireConditions>,
) {
    for (attribute, condition) in conditions.into_iter().flatten() {
        let member = format!("{member}.{attribute}.member.comparisonOperator");
        let operator = condition.comparison_operator.as_deref();
        constraints.required(&member, operator.as_ref()).one_of(&member, operator, &OPERATORS);
    }
}

/// `QueryFilter` or `ScanFilter`
pub(in crate::dynamodb) fn filter(
    conditions: Option<WireConditions>,
    operator: Option<&str>,
) -> Result<Option<Condition>, ServiceError> {
    let read = conditions.unwrap_or_default().into_iter().map(read).collect::<Result<_, _>>()?;
    joined(read, operator)
}

/// `KeyConditions`, for the key of a table or an index.
pub(in crate::dynamodb) fn key_condition(
    conditions: WireConditions,
    (hash_key, sort_key): (&KeyAttribute, Option<&KeyAttribute>),
) -> Result<KeyCondition, ServiceError> {
    let indexable = |condition: &WireCondition| {
        condition.comparison_operator.as_deref().is_some_and(|operator| !NOT_INDEXABLE.contains(&operator))
    };
    let all_indexable = conditions.values().all(indexable);
    let mut conditions: Vec<_> = conditions.into_iter().collect();
    // The hash key's comes first, so that it is looked at first.
    conditions.sort_by_key(|(attribute, _)| *attribute != hash_key.name);
    let read = conditions.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let of_key = if read.len() > 2 { None } else { Condition::joined(read, Condition::And) };
    let condition = of_key.ok_or_else(|| validation("Conditions can be of length 1 or 2 only"))?;
    if !all_indexable {
        return Err(validation("Attempted conditional constraint is not an indexable operation"));
    }
    KeyCondition::of_condition(condition, hash_key, sort_key)
        .map_err(|found| error::of_expression("KeyConditions", found))
}

fn read((attribute, wire): (String, WireCondition)) -> Result<Condition, ServiceError> {
    let values = wire.attribute_value_list.unwrap_or_default().into_iter().map(value::decode);
    condition(
        &attribute,
        wire.comparison_operator.as_deref().unwrap_or_default(),
        &values.collect::<Result<Vec<_>, _>>()?,
    )
}

/// What an operator says of an attribute.
pub(super) fn condition(attribute: &str, operator: &str, values: &[AttributeValue]) -> Result<Condition, ServiceError> {
    check_types(operator, values)?;
    let path = || Path::of_attribute(attribute);
    let (subject, given) = (|| Operand::Path(path()), |value: &AttributeValue| Operand::Value(value.clone()));
    let compared = |comparison, value| Condition::Compare(comparison, subject(), given(value));
    Ok(match (operator, values) {
        ("NULL", []) => Condition::NotExists(path()),
        ("NOT_NULL", []) => Condition::Exists(path()),
        ("EQ", [value]) => compared(Comparison::Equal, value),
        ("NE", [value]) => compared(Comparison::NotEqual, value),
        ("LT", [value]) => compared(Comparison::Less, value),
        ("LE", [value]) => compared(Comparison::LessOrEqual, value),
        ("GT", [value]) => compared(Comparison::Greater, value),
        ("GE", [value]) => compared(Comparison::GreaterOrEqual, value),
        ("BEGINS_WITH", [prefix]) => Condition::BeginsWith(subject(), given(prefix)),
        ("CONTAINS", [part]) => Condition::Contains(subject(), given(part)),
        // Of an attribute that is not there it does not hold.
        ("NOT_CONTAINS", [part]) => Condition::And(
            Box::new(Condition::Exists(path())),
            Box::new(Condition::Not(Box::new(Condition::Contains(subject(), given(part))))),
        ),
        ("IN", [_, ..]) => Condition::In(subject(), values.iter().map(given).collect()),
        // The types fit: only the bounds can be wrong.
        ("BETWEEN", [low, high]) => Condition::between(subject(), given(low), given(high)).map_err(|_| {
            validation(
                "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound",
            )
        })?,
        _ => return Err(invalid(&format!("Invalid number of argument(s) for the {operator} ComparisonOperator"))),
    })
}

/// Refuses values that an operator does not take, and values of different types.
fn check_types(operator: &str, values: &[AttributeValue]) -> Result<(), ServiceError> {
    use AttributeType::{Binary, Bool, Null, String};
    let takes = |kind: AttributeType| match operator {
        "LT" | "LE" | "GT" | "GE" | "BETWEEN" | "IN" => kind.is_ordered(),
        "BEGINS_WITH" => matches!(kind, String | Binary),
        "CONTAINS" | "NOT_CONTAINS" => kind.is_ordered() || matches!(kind, Bool | Null),
        _ => true,
    };
    if let Some(wrong) = values.iter().map(AttributeValue::kind).find(|kind| !takes(*kind)) {
        return Err(invalid(&format!(
            "ComparisonOperator {operator} is not valid for {} AttributeValue type",
            wrong.letters()
        )));
    }
    if values.windows(2).any(|pair| pair[0].kind() != pair[1].kind()) {
        return Err(invalid("AttributeValues inside AttributeValueList must be of same type"));
    }
    Ok(())
}
