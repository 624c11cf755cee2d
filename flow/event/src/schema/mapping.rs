//! JSON of a publisher's own form as events: their members are taken from where the topic's mapping says, and what was published
//! is their data. Source: "Map custom fields to Event Grid schema".

use millstream_catalog::{EventMapping, MappedField};
use serde_json::{Value, json};

use super::event_grid::METADATA_VERSION;
use super::{Fields, IDENTIFIER_BYTES_MAX, SchemaError, check_time, kind_of, wrong};

/// What an event gets that its publisher does not say.
pub(super) struct Given<'g> {
    /// The topic's address.
    pub address: &'g str,
    /// An id that was never given.
    pub id: String,
    /// Now.
    pub time: String,
}

/// The members of an event in the Event Grid schema.
pub(super) fn accept(published: Fields, mapping: &EventMapping, given: Given<'_>) -> Result<Fields, SchemaError> {
    let taken = |field: &Option<String>| field.as_deref().map_or(Ok(None), |field| text(&published, field));
    let or_default = |mapped: &MappedField| Ok::<_, SchemaError>(taken(&mapped.field)?.or(mapped.default.clone()));
    let Some(event_type) = or_default(&mapping.event_type)? else {
        return Err(SchemaError::Missing { field: "eventType" });
    };
    let mut fields = Fields::from_iter([
        ("id".to_owned(), json!(taken(&mapping.id)?.unwrap_or(given.id))),
        ("topic".to_owned(), json!(taken(&mapping.topic)?.unwrap_or_else(|| given.address.to_owned()))),
        ("subject".to_owned(), json!(or_default(&mapping.subject)?.unwrap_or_default())),
        ("eventType".to_owned(), json!(event_type)),
        ("eventTime".to_owned(), json!(taken(&mapping.event_time)?.unwrap_or(given.time))),
        ("dataVersion".to_owned(), json!(or_default(&mapping.data_version)?.unwrap_or_default())),
        ("metadataVersion".to_owned(), json!(METADATA_VERSION)),
    ]);
    check_time(&fields, "eventTime")?;
    fields.insert("data".to_owned(), Value::Object(published));
    Ok(fields)
}

/// A member as text; `None` when there is none, or an empty one.
fn text(published: &Fields, field: &str) -> Result<Option<String>, SchemaError> {
    let text = match published.get(field) {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(other) => return Err(wrong(field, "a text", kind_of(other))),
    };
    match text.len() {
        0 => Ok(None),
        bytes if bytes > IDENTIFIER_BYTES_MAX => Err(wrong(field, "a text of at most 4096 bytes", "a longer one")),
        _ => Ok(Some(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped(published: &Value) -> Result<Value, String> {
        let field = |field: &str, default: Option<&str>| MappedField {
            field: Some(field.to_owned()),
            default: default.map(str::to_owned),
        };
        let mapping = EventMapping {
            id: Some("key".into()),
            event_type: field("kind", None),
            subject: field("about", Some("things")),
            ..EventMapping::default()
        };
        let given = Given { address: "/topics/t", id: "new".into(), time: "2026-11-21T04:05:06Z".into() };
        let fields = accept(published.as_object().unwrap().clone(), &mapping, given);
        fields.map(Value::Object).map_err(|error| error.to_string())
    }

    #[test]
    fn members_are_taken_from_where_the_mapping_says() {
        let published = json!({ "key": 7, "kind": "made", "about": "", "id": "other", "more": [1] });
        let expected = json!({
            "id": "7", "topic": "/topics/t", "subject": "things", "eventType": "made",
            "eventTime": "2026-11-21T04:05:06Z", "dataVersion": "", "metadataVersion": "1", "data": published,
        });
        assert_eq!(mapped(&published).unwrap(), expected);
        assert_eq!(mapped(&json!({ "kind": "made" })).unwrap()["id"], "new");
    }

    #[test]
    fn what_cannot_be_mapped_is_named() {
        for (published, expected) in [
            (json!({}), "expected the member `eventType`, found none"),
            (json!({ "kind": [] }), "expected `kind` to be a text, found an array"),
            (json!({ "kind": "a", "key": {} }), "expected `key` to be a text, found an object"),
        ] {
            assert_eq!(mapped(&published).unwrap_err(), expected);
        }
    }
}
