//! CloudEvents 1.0 in JSON. Source: the CloudEvents specification 1.0.2, its JSON format and its HTTP binding.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Fields, SchemaError, check_time, kind_of, require_text, shown, wrong};

/// The only version that is spoken.
pub const SPEC_VERSION: &str = "1.0";

/// Checks a published event.
pub(super) fn accept(fields: &mut Fields) -> Result<(), SchemaError> {
    // An attribute that is null is one that is not there; data may be null.
    fields.retain(|name, value| name == "data" || !value.is_null());
    let version = require_text(fields, "specversion")?;
    if version != SPEC_VERSION {
        return Err(wrong("specversion", "\"1.0\"", &shown(version)));
    }
    for field in ["id", "source", "type"] {
        require_text(fields, field)?;
    }
    for field in ["subject", "datacontenttype", "dataschema"] {
        if fields.contains_key(field) {
            require_text(fields, field)?;
        }
    }
    check_time(fields, "time")?;
    check_data(fields)?;
    fields.iter().try_for_each(|(name, value)| check_attribute(name, value))
}

fn check_data(fields: &Fields) -> Result<(), SchemaError> {
    match (fields.get("data_base64"), fields.get("data")) {
        (None, _) => Ok(()),
        (Some(_), Some(data)) => Err(wrong("data", "left out beside `data_base64`", kind_of(data))),
        (Some(Value::String(text)), None) if STANDARD.decode(text).is_ok() => Ok(()),
        (Some(Value::String(_)), None) => Err(wrong("data_base64", "base64", "something else")),
        (Some(other), None) => Err(wrong("data_base64", "a text", kind_of(other))),
    }
}

/// Attributes, extensions among them, are plain values with plain names.
fn check_attribute(name: &str, value: &Value) -> Result<(), SchemaError> {
    if matches!(name, "data" | "data_base64") {
        return Ok(());
    }
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
        return Err(wrong(name, "a name of lower-case letters and digits", "other characters"));
    }
    match value {
        Value::Array(_) | Value::Object(_) => Err(wrong(name, "a text, a number or true or false", kind_of(value))),
        _ => Ok(()),
    }
}

/// An event of the other form as a CloudEvent. The version of its data becomes the fragment of `dataschema`.
pub(crate) fn from_event_grid(fields: &Fields) -> Fields {
    let mut event = Fields::new();
    event.insert("specversion".to_owned(), json!(SPEC_VERSION));
    for (from, to) in
        [("id", "id"), ("topic", "source"), ("eventType", "type"), ("subject", "subject"), ("eventTime", "time")]
    {
        if let Some(value) = fields.get(from) {
            event.insert(to.to_owned(), value.clone());
        }
    }
    if let Some(Value::String(version)) = fields.get("dataVersion") {
        event.insert("dataschema".to_owned(), json!(format!("#{version}")));
    }
    if let Some(data) = fields.get("data") {
        event.insert("data".to_owned(), data.clone());
    }
    event
}
