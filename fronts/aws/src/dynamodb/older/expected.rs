//! `Expected`: what must hold for an item to be written, in both of its forms: a value or its absence, and comparisons.
//! Source: the API reference, `ExpectedAttributeValue`.

use std::collections::BTreeMap;

use millstream_table::expression::Condition;
use serde::Deserialize;
use serde_json::Value;

use super::condition::{OPERATORS, condition};
use super::{invalid, joined};
use crate::dynamodb::value;
use crate::json_protocol::{Constraints, ServiceError};

/// What is expected of one attribute, as it came.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::dynamodb) struct WireExpectation {
    value: Option<Value>,
    exists: Option<bool>,
    comparison_operator: Option<String>,
    attribute_value_list: Option<Vec<Value>>,
}

/// Expectations by the attributes that they are of.
pub(in crate::dynamodb) type WireExpectations = BTreeMap<String, WireExpectation>;

/// The constraints of expectations.
pub(in crate::dynamodb) fn check_expected(constraints: &mut Constraints, expected: Option<&WireExpectations>) {
    for (attribute, expectation) in expected.into_iter().flatten() {
        let member = format!("expected.{attribute}.member.comparisonOperator");
        constraints.one_of(&member, expectation.comparison_operator.as_deref(), &OPERATORS);
    }
}

/// `Expected`
pub(in crate::dynamodb) fn expected(
    expected: Option<WireExpectations>,
    operator: Option<&str>,
) -> Result<Option<Condition>, ServiceError> {
    let read = expected.unwrap_or_default().into_iter().map(read).collect::<Result<_, _>>()?;
    joined(read, operator)
}

fn read((attribute, wire): (String, WireExpectation)) -> Result<Condition, ServiceError> {
    let refused = |detail: &str| invalid(&format!("{detail} for Attribute: {attribute}"));
    let WireExpectation { value, exists, comparison_operator, attribute_value_list } = wire;
    if value.is_some() && attribute_value_list.is_some() {
        return Err(refused("Value and AttributeValueList cannot be used together"));
    }
    let value = value.map(value::decode).transpose()?;
    match (comparison_operator.as_deref(), exists) {
        (Some(_), Some(_)) => Err(refused("Exists and ComparisonOperator cannot be used together")),
        (Some(operator), None) => {
            let none_given = value.is_none() && attribute_value_list.is_none();
            if none_given && !matches!(operator, "NULL" | "NOT_NULL") {
                let detail = format!("Value or AttributeValueList must be used with ComparisonOperator: {operator}");
                return Err(refused(&detail));
            }
            let listed = attribute_value_list.unwrap_or_default().into_iter().map(value::decode);
            let values = value.map(Ok).into_iter().chain(listed).collect::<Result<Vec<_>, _>>()?;
            condition(&attribute, operator, &values)
        }
        (None, _) if attribute_value_list.is_some() => {
            Err(refused("AttributeValueList can only be used with a ComparisonOperator"))
        }
        (None, exists) => match (exists, value) {
            (None | Some(true), Some(value)) => condition(&attribute, "EQ", &[value]),
            (None, None) => Err(refused("Value must be provided when Exists is null")),
            (Some(true), None) => Err(refused("Value must be provided when Exists is true")),
            (Some(false), Some(_)) => Err(refused("Value cannot be used when Exists is false")),
            (Some(false), None) => condition(&attribute, "NULL", &[]),
        },
    }
}
