//! The Event Grid event schema. Source: "Azure Event Grid event schema".

use serde_json::{Value, json};

use super::{Fields, SchemaError, check_time, kind_of, require_text, shown, wrong};

/// The only version of what the topic itself adds.
pub const METADATA_VERSION: &str = "1";

/// Checks a published event and adds what is the topic's to add.
pub(super) fn accept(fields: &mut Fields, address: &str) -> Result<(), SchemaError> {
    for field in ["id", "subject", "eventType", "eventTime"] {
        require_text(fields, field)?;
    }
    check_time(fields, "eventTime")?;
    if !fields.contains_key("data") {
        return Err(SchemaError::Missing { field: "data" });
    }
    match fields.get("dataVersion") {
        Some(Value::String(_)) => {}
        None | Some(Value::Null) => return Err(SchemaError::Missing { field: "dataVersion" }),
        Some(other) => return Err(wrong("dataVersion", "a text", kind_of(other))),
    }
    match fields.get("topic") {
        None | Some(Value::Null) => {}
        Some(Value::String(topic)) if topic.is_empty() || topic.eq_ignore_ascii_case(address) => {}
        Some(Value::String(topic)) => return Err(wrong("topic", "the topic's own or left out", &shown(topic))),
        Some(other) => return Err(wrong("topic", "a text", kind_of(other))),
    }
    match fields.get("metadataVersion") {
        None | Some(Value::Null) => {}
        Some(version) if version == METADATA_VERSION => {}
        Some(other) => return Err(wrong("metadataVersion", "\"1\" or left out", &other.to_string())),
    }
    fields.insert("topic".to_owned(), json!(address));
    fields.insert("metadataVersion".to_owned(), json!(METADATA_VERSION));
    Ok(())
}

/// An event that the service itself makes.
pub(crate) fn service_event(id: &str, topic: &str, event_type: &str, time: &str, data: Value) -> Value {
    json!({
        "id": id,
        "topic": topic,
        "subject": "",
        "data": data,
        "eventType": event_type,
        "eventTime": time,
        "metadataVersion": METADATA_VERSION,
        "dataVersion": "1",
    })
}
