//! Attribute values between the wire's JSON (`{"S": "text"}`) and the engine.

use std::collections::BTreeSet;

use bytes::Bytes;
use millstream_table::{AttributeValue, Item, Number};
use serde_json::{Map, Value, json};

use super::{error, validation};
use crate::json_protocol::ServiceError;

/// Attributes by name as they came: decoded only after the members' constraints were checked.
pub(super) type WireItem = Map<String, Value>;

/// # Errors
/// The service's `ValidationException` or `SerializationException`.
pub(super) fn decode_item(wire: WireItem) -> Result<Item, ServiceError> {
    wire.into_iter().map(|(name, value)| Ok((name, decode(value)?))).collect()
}

pub(super) fn decode(wire: Value) -> Result<AttributeValue, ServiceError> {
    let Value::Object(members) = wire else { return Err(unexpected()) };
    let mut members = members.into_iter().filter(|(_, value)| !value.is_null());
    let Some((kind, value)) = members.next() else {
        return Err(validation(
            "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
        ));
    };
    if members.next().is_some() {
        return Err(validation(
            "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes",
        ));
    }
    Ok(match (kind.as_str(), value) {
        ("S", Value::String(text)) => AttributeValue::String(text),
        ("N", Value::String(text)) => AttributeValue::Number(number(&text)?),
        ("B", value) => AttributeValue::Binary(binary(value)?),
        ("BOOL", Value::Bool(value)) => AttributeValue::Bool(value),
        ("NULL", Value::Bool(true)) => AttributeValue::Null,
        ("NULL", Value::Bool(false)) => {
            return Err(invalid("Null attribute value types must have the value of true"));
        }
        ("L", Value::Array(values)) => AttributeValue::List(values.into_iter().map(decode).collect::<Result<_, _>>()?),
        ("M", Value::Object(map)) => AttributeValue::Map(decode_item(map)?),
        ("SS", Value::Array(values)) => {
            AttributeValue::StringSet(set(values, "An string set  may not be empty", text)?)
        }
        ("NS", Value::Array(values)) => {
            let parse = |value| number(&text(value)?);
            AttributeValue::NumberSet(set(values, "An number set  may not be empty", parse)?)
        }
        ("BS", Value::Array(values)) => {
            AttributeValue::BinarySet(set(values, "Binary sets should not be empty", binary)?)
        }
        ("S" | "N" | "BOOL" | "NULL" | "L" | "M" | "SS" | "NS" | "BS", _) => return Err(unexpected()),
        _ => {
            return Err(validation(
                "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes",
            ));
        }
    })
}

fn number(text: &str) -> Result<Number, ServiceError> {
    text.parse().map_err(|error| error::of_number(&error))
}

fn text(value: Value) -> Result<String, ServiceError> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(unexpected()),
    }
}

fn binary(value: Value) -> Result<Bytes, ServiceError> {
    let decoded = base64_simd::STANDARD.decode_to_vec(text(value)?);
    decoded.map(Bytes::from).map_err(|_| ServiceError::serialization("A binary value is no base64"))
}

fn set<T: Ord>(
    values: Vec<Value>,
    empty: &str,
    decode: impl Fn(Value) -> Result<T, ServiceError>,
) -> Result<BTreeSet<T>, ServiceError> {
    if values.is_empty() {
        return Err(invalid(empty));
    }
    let count = values.len();
    let listed = values.iter().map(|value| value.as_str().unwrap_or_default()).collect::<Vec<_>>().join(", ");
    let set: BTreeSet<T> = values.into_iter().map(decode).collect::<Result<_, _>>()?;
    if set.len() < count {
        return Err(invalid(&format!("Input collection [{listed}] contains duplicates.")));
    }
    Ok(set)
}

fn invalid(detail: &str) -> ServiceError {
    validation(format!("One or more parameter values were invalid: {detail}"))
}

fn unexpected() -> ServiceError {
    ServiceError::serialization("Unexpected value type in payload")
}

pub(crate) fn encode_item(item: &Item) -> Map<String, Value> {
    item.iter().map(|(name, value)| (name.clone(), encode(value))).collect()
}

fn encode(value: &AttributeValue) -> Value {
    let base64 = |bytes: &Bytes| base64_simd::STANDARD.encode_to_string(bytes);
    match value {
        AttributeValue::String(text) => json!({ "S": text }),
        AttributeValue::Number(number) => json!({ "N": number.to_string() }),
        AttributeValue::Binary(bytes) => json!({ "B": base64(bytes) }),
        AttributeValue::Bool(value) => json!({ "BOOL": value }),
        AttributeValue::Null => json!({ "NULL": true }),
        AttributeValue::List(values) => json!({ "L": values.iter().map(encode).collect::<Vec<_>>() }),
        AttributeValue::Map(map) => json!({ "M": encode_item(map) }),
        AttributeValue::StringSet(set) => json!({ "SS": set }),
        AttributeValue::NumberSet(set) => json!({ "NS": set.iter().map(ToString::to_string).collect::<Vec<_>>() }),
        AttributeValue::BinarySet(set) => json!({ "BS": set.iter().map(base64).collect::<Vec<_>>() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_normalised() {
        let wire = json!({ "M": { "n": { "N": "1.50" }, "l": { "L": [{ "NULL": true }, { "B": "AQI=" }] }, "s": { "NS": ["2", "-1"] } } });
        let back = json!({ "M": { "l": { "L": [{ "NULL": true }, { "B": "AQI=" }] }, "n": { "N": "1.5" }, "s": { "NS": ["-1", "2"] } } });
        assert_eq!(encode(&decode(wire).unwrap()), back);
    }

    #[test]
    fn what_is_no_value_is_named() {
        for (wire, message) in [
            (json!({}), "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
            (json!({ "N": "x" }), "The parameter cannot be converted to a numeric value: x"),
            (
                json!({ "SS": ["a", "a"] }),
                "One or more parameter values were invalid: Input collection [a, a] contains duplicates.",
            ),
            (json!({ "SS": [] }), "One or more parameter values were invalid: An string set  may not be empty"),
            (json!({ "S": 5 }), "Unexpected value type in payload"),
            (json!("text"), "Unexpected value type in payload"),
        ] {
            assert_eq!(decode(wire).unwrap_err().message, message);
        }
    }
}
