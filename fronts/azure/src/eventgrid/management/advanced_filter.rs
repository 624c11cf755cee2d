//! Advanced filters: `{"operatorType", "key", "value" or "values"}`.

use millstream_catalog::{FieldCondition, FieldTest};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::eventgrid::error::EventGridError;

pub(super) fn decode(filter: &Value) -> Result<FieldCondition, EventGridError> {
    use FieldTest as Test;
    let text = |name: &str| filter.get(name).and_then(Value::as_str).unwrap_or_default();
    let (operator, key) = (text("operatorType"), text("key"));
    if key.is_empty() {
        return Err(EventGridError::invalid(format!(
            "Expected the key of the advanced filter {operator}, found none."
        )));
    }
    let test = match operator {
        "NumberIn" => Test::NumberIn(values(filter)?),
        "NumberNotIn" => Test::NumberNotIn(values(filter)?),
        "NumberLessThan" => Test::NumberLessThan(value(filter)?),
        "NumberLessThanOrEquals" => Test::NumberLessThanOrEquals(value(filter)?),
        "NumberGreaterThan" => Test::NumberGreaterThan(value(filter)?),
        "NumberGreaterThanOrEquals" => Test::NumberGreaterThanOrEquals(value(filter)?),
        "NumberInRange" => Test::NumberInRange(values(filter)?),
        "NumberNotInRange" => Test::NumberNotInRange(values(filter)?),
        "BoolEquals" => Test::BoolEquals(value(filter)?),
        "StringContains" => Test::StringContains(values(filter)?),
        "StringNotContains" => Test::StringNotContains(values(filter)?),
        "StringBeginsWith" => Test::StringBeginsWith(values(filter)?),
        "StringNotBeginsWith" => Test::StringNotBeginsWith(values(filter)?),
        "StringEndsWith" => Test::StringEndsWith(values(filter)?),
        "StringNotEndsWith" => Test::StringNotEndsWith(values(filter)?),
        "StringIn" => Test::StringIn(values(filter)?),
        "StringNotIn" => Test::StringNotIn(values(filter)?),
        "IsNullOrUndefined" => Test::IsNullOrUndefined,
        "IsNotNull" => Test::IsNotNull,
        other => {
            return Err(EventGridError::invalid(format!(
                "Expected the operatorType of an advanced filter, found '{other}'."
            )));
        }
    };
    Ok(FieldCondition { key: key.to_owned(), test })
}

pub(super) fn encode(condition: &FieldCondition) -> Value {
    use FieldTest as Test;
    let (operator, member, value) = match &condition.test {
        Test::NumberIn(values) => ("NumberIn", "values", json!(values)),
        Test::NumberNotIn(values) => ("NumberNotIn", "values", json!(values)),
        Test::NumberLessThan(value) => ("NumberLessThan", "value", json!(value)),
        Test::NumberLessThanOrEquals(value) => ("NumberLessThanOrEquals", "value", json!(value)),
        Test::NumberGreaterThan(value) => ("NumberGreaterThan", "value", json!(value)),
        Test::NumberGreaterThanOrEquals(value) => ("NumberGreaterThanOrEquals", "value", json!(value)),
        Test::NumberInRange(values) => ("NumberInRange", "values", json!(values)),
        Test::NumberNotInRange(values) => ("NumberNotInRange", "values", json!(values)),
        Test::BoolEquals(value) => ("BoolEquals", "value", json!(value)),
        Test::StringContains(values) => ("StringContains", "values", json!(values)),
        Test::StringNotContains(values) => ("StringNotContains", "values", json!(values)),
        Test::StringBeginsWith(values) => ("StringBeginsWith", "values", json!(values)),
        Test::StringNotBeginsWith(values) => ("StringNotBeginsWith", "values", json!(values)),
        Test::StringEndsWith(values) => ("StringEndsWith", "values", json!(values)),
        Test::StringNotEndsWith(values) => ("StringNotEndsWith", "values", json!(values)),
        Test::StringIn(values) => ("StringIn", "values", json!(values)),
        Test::StringNotIn(values) => ("StringNotIn", "values", json!(values)),
        Test::IsNullOrUndefined => ("IsNullOrUndefined", "", Value::Null),
        Test::IsNotNull => ("IsNotNull", "", Value::Null),
    };
    let mut filter = json!({ "operatorType": operator, "key": condition.key });
    if !member.is_empty() {
        filter[member] = value;
    }
    filter
}

fn value<T: DeserializeOwned>(filter: &Value) -> Result<T, EventGridError> {
    member(filter, "value")
}

fn values<T: DeserializeOwned>(filter: &Value) -> Result<Vec<T>, EventGridError> {
    member(filter, "values")
}

fn member<T: DeserializeOwned>(filter: &Value, name: &str) -> Result<T, EventGridError> {
    let given = filter.get(name).cloned().unwrap_or_default();
    serde_json::from_value(given).map_err(|error| {
        let operator = filter["operatorType"].as_str().unwrap_or_default();
        EventGridError::invalid(format!("The member '{name}' of the advanced filter {operator} is wrong: {error}."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_comes_back_as_it_was_written() {
        let texts = [
            "StringContains",
            "StringNotContains",
            "StringBeginsWith",
            "StringNotBeginsWith",
            "StringEndsWith",
            "StringNotEndsWith",
            "StringIn",
            "StringNotIn",
        ];
        let numbers = ["NumberLessThan", "NumberLessThanOrEquals", "NumberGreaterThan", "NumberGreaterThanOrEquals"];
        let with = |operator: &str, member: &str, value: Value| json!({ "operatorType": operator, "key": "data.x", member: value });
        let mut filters: Vec<Value> = texts.map(|operator| with(operator, "values", json!(["a", "b"]))).to_vec();
        filters.extend(numbers.map(|operator| with(operator, "value", json!(1.5))));
        filters.extend(["NumberIn", "NumberNotIn"].map(|operator| with(operator, "values", json!([1.5, 2.5]))));
        filters.extend(
            ["NumberInRange", "NumberNotInRange"].map(|operator| with(operator, "values", json!([[1.5, 2.5]]))),
        );
        filters.extend(
            ["IsNullOrUndefined", "IsNotNull"].map(|operator| json!({ "operatorType": operator, "key": "data.x" })),
        );
        filters.push(with("BoolEquals", "value", json!(true)));
        assert_eq!(filters.len(), 19);
        for filter in filters {
            assert_eq!(encode(&decode(&filter).unwrap()), filter);
        }
    }

    #[test]
    fn wrong_filters_are_refused_with_the_reason() {
        for (filter, expected) in [
            (json!({ "key": "a" }), "operatorType"),
            (json!({ "operatorType": "StringIn", "values": ["a"] }), "key"),
            (json!({ "operatorType": "StringIn", "key": "a" }), "'values' of the advanced filter StringIn"),
            (json!({ "operatorType": "StringIn", "key": "a", "values": [1] }), "expected a string"),
            (json!({ "operatorType": "NumberInRange", "key": "a", "values": [[1]] }), "expected a tuple of size 2"),
            (json!({ "operatorType": "NumberLessThan", "key": "a", "values": [1] }), "'value'"),
            (json!("text"), "key"),
        ] {
            let message = decode(&filter).unwrap_err().message;
            assert!(message.contains(expected), "{message}");
        }
    }
}
