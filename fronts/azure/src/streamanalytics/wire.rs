//! Bodies of requests: members that are read, members that the service only writes, and all others refused by name.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::JobError;

/// Reads a document into a type; what is null counts as not there.
pub(super) fn read<T: DeserializeOwned>(place: &str, document: Value) -> Result<T, JobError> {
    serde_json::from_value(without_nulls(document)).map_err(|error| JobError::invalid(format!("{place}: {error}")))
}

/// Refuses members that are not known, except those that the service only writes.
pub(super) fn refuse_others(place: &str, others: &Map<String, Value>, only_written: &[&str]) -> Result<(), JobError> {
    match others.keys().find(|name| !only_written.contains(&name.as_str())) {
        Some(name) => Err(JobError::unsupported(&format!("`{name}` of {place}"))),
        None => Ok(()),
    }
}

/// Changes a document by another: members replace members, objects are changed within, null removes.
pub(super) fn merge(document: &mut Value, change: Value) {
    match (document, change) {
        (Value::Object(document), Value::Object(change)) => {
            for (name, value) in change {
                if value.is_null() {
                    document.remove(&name);
                } else {
                    merge(document.entry(name).or_insert(Value::Null), value);
                }
            }
        }
        (document, change) => *document = change,
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => members
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name, without_nulls(value)))
            .collect::<Map<String, Value>>()
            .into(),
        Value::Array(values) => values.into_iter().map(without_nulls).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_are_merged_and_null_removes() {
        let mut document = json!({ "a": 1, "b": { "c": 2, "d": 3 }, "e": [1] });
        merge(&mut document, json!({ "b": { "c": 5, "d": null }, "e": [2], "f": { "g": 1 } }));
        assert_eq!(document, json!({ "a": 1, "b": { "c": 5 }, "e": [2], "f": { "g": 1 } }));
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        let others: Map<String, Value> = serde_json::from_str(r#"{"etag":"x","sizeWindow":5}"#).unwrap();
        assert!(refuse_others("the output", &others, &["etag", "sizeWindow"]).is_ok());
        assert!(refuse_others("the output", &others, &["etag"]).is_err());
        assert_eq!(without_nulls(json!({ "a": null, "b": [{ "c": null }] })), json!({ "b": [{}] }));
    }
}
