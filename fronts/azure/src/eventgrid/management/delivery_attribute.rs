//! Delivery attributes, which are headers of deliveries: `{"name", "type": "Static" or "Dynamic", "properties"}`.

use millstream_catalog::{DeliveryHeader, DeliveryHeaderValue};
use serde_json::{Value, json};

use crate::eventgrid::error::EventGridError;

pub(super) fn decode(mapping: &Value) -> Result<DeliveryHeader, EventGridError> {
    let name = mapping["name"].as_str().unwrap_or_default().to_owned();
    let properties = &mapping["properties"];
    let required = |member: &str| match properties[member].as_str() {
        Some(text) => Ok(text.to_owned()),
        None => {
            Err(EventGridError::invalid(format!("Expected '{member}' of the delivery attribute '{name}', found none.")))
        }
    };
    let value = match mapping["type"].as_str().unwrap_or_default() {
        "Static" => {
            let secret = properties["isSecret"].as_bool().unwrap_or_default();
            DeliveryHeaderValue::Static { value: required("value")?, secret }
        }
        "Dynamic" => DeliveryHeaderValue::Field { key: required("sourceField")? },
        other => {
            let message =
                format!("Expected the type Static or Dynamic of the delivery attribute '{name}', found '{other}'.");
            return Err(EventGridError::invalid(message));
        }
    };
    Ok(DeliveryHeader { name, value })
}

/// A secret value is left out.
pub(super) fn encode(header: &DeliveryHeader) -> Value {
    let (kind, properties) = match &header.value {
        DeliveryHeaderValue::Static { secret: true, .. } => ("Static", json!({ "isSecret": true })),
        DeliveryHeaderValue::Static { value, .. } => ("Static", json!({ "value": value, "isSecret": false })),
        DeliveryHeaderValue::Field { key } => ("Dynamic", json!({ "sourceField": key })),
    };
    json!({ "name": header.name, "type": kind, "properties": properties })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_come_back_without_their_secrets() {
        for (mapping, shown) in [
            (json!({ "name": "a", "type": "Static", "properties": { "value": "v", "isSecret": false } }), None),
            (json!({ "name": "a", "type": "Dynamic", "properties": { "sourceField": "data.x" } }), None),
            (
                json!({ "name": "a", "type": "Static", "properties": { "value": "v", "isSecret": true } }),
                Some(json!({ "name": "a", "type": "Static", "properties": { "isSecret": true } })),
            ),
        ] {
            assert_eq!(encode(&decode(&mapping).unwrap()), shown.unwrap_or(mapping));
        }
        for wrong in [json!({}), json!({ "name": "a", "type": "Static" }), json!("a")] {
            assert!(decode(&wrong).is_err(), "{wrong}");
        }
    }
}
