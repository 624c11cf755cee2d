//! Bodies that are no bytes as JSON, for everyone who reads the stream by another protocol.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use millstream_amqp::Value;
use serde_json::Value as Json;

/// A value as JSON: binaries as base64, times as milliseconds, maps' keys as text, descriptors left out.
pub fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::from(*value),
        Value::Ulong(value) => Json::from(*value),
        Value::Float(value) => Json::from(*value),
        Value::Double(value) => Json::from(*value),
        Value::Char(value) => Json::from(value.to_string()),
        Value::Uuid(bytes) => Json::from(uuid::Uuid::from_bytes(*bytes).to_string()),
        Value::Binary(bytes) => Json::from(STANDARD.encode(bytes)),
        Value::Decimal32(bytes) => Json::from(STANDARD.encode(bytes)),
        Value::Decimal64(bytes) => Json::from(STANDARD.encode(bytes)),
        Value::Decimal128(bytes) => Json::from(STANDARD.encode(bytes)),
        Value::String(text) | Value::Symbol(text) => Json::from(text.as_str()),
        Value::List(values) => values.iter().map(json).collect(),
        Value::Array(array) => array.values().iter().map(json).collect(),
        Value::Map(entries) => Json::Object(entries.iter().map(|(key, value)| (name(key), json(value))).collect()),
        Value::Described(_, value) => json(value),
        whole => whole.integer().map_or(Json::Null, Json::from),
    }
}

fn name(key: &Value) -> String {
    key.text().map_or_else(|| json(key).to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_what_json_has_for_them() {
        let map = Value::Map(vec![
            (Value::string("price"), Value::Double(1.5)),
            (Value::Int(1), Value::List(vec![Value::Null, Value::Binary("ab".into()), Value::Timestamp(7)])),
        ]);
        assert_eq!(json(&map).to_string(), r#"{"price":1.5,"1":[null,"YWI=",7]}"#);
    }
}
