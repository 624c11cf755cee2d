//! The attributes of topics: which there are, and what their values may be. Pure.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{delivery_policy, error};
use crate::json_protocol::ServiceError;

/// Characters of a display name.
const DISPLAY_NAME_CHARS_MAX: usize = 100;

/// Sets an attribute; an empty value takes it away.
pub(super) fn put(attributes: &mut BTreeMap<String, String>, name: &str, value: &str) -> Result<(), ServiceError> {
    if value.is_empty() && matches!(name, "DisplayName" | "Policy" | "DeliveryPolicy" | "SignatureVersion") {
        attributes.remove(name);
        return Ok(());
    }
    let fine = match name {
        "DisplayName" => value.chars().count() <= DISPLAY_NAME_CHARS_MAX && !value.chars().any(char::is_control),
        "Policy" => matches!(serde_json::from_str(value), Ok(Value::Object(_))),
        "DeliveryPolicy" => {
            delivery_policy::check_topic(value)?;
            true
        }
        "SignatureVersion" => matches!(value, "1" | "2"),
        "TracingConfig" if value == "Active" => return Err(error::unsupported("TracingConfig Active")),
        "TracingConfig" => value == "PassThrough",
        // These say what holds anyway.
        "FifoTopic" | "ContentBasedDeduplication" if value == "false" => return Ok(()),
        "FifoTopic" | "ContentBasedDeduplication" | "FifoThroughputScope" | "ArchivePolicy" | "KmsMasterKeyId" => {
            return Err(error::unsupported(&format!("the attribute {name}")));
        }
        feedback if feedback.contains("Feedback") => {
            return Err(error::unsupported(&format!("the attribute {feedback}")));
        }
        _ => return Err(error::invalid("AttributeName")),
    };
    if !fine {
        return Err(error::invalid(&format!("Attributes: {name}")));
    }
    attributes.insert(name.to_owned(), value.to_owned());
    Ok(())
}
