//! The input schema mapping of a topic whose publishers have a form of their own:
//! `{"inputSchemaMappingType": "Json", "properties": {"id": {"sourceField"}, "eventType": {"sourceField", "defaultValue"}, …}}`.

use millstream_catalog::{EventMapping, MappedField};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::eventgrid::error::EventGridError;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    input_schema_mapping_type: String,
    #[serde(default)]
    properties: Properties,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Properties {
    id: Option<Field>,
    topic: Option<Field>,
    event_time: Option<Field>,
    event_type: Option<Field>,
    subject: Option<Field>,
    data_version: Option<Field>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Field {
    source_field: Option<String>,
    default_value: Option<String>,
}

pub(super) fn decode(mapping: &Value) -> Result<EventMapping, EventGridError> {
    let input: Input = serde_json::from_value(mapping.clone())
        .map_err(|error| EventGridError::invalid(format!("The inputSchemaMapping has another form: {error}.")))?;
    if input.input_schema_mapping_type != "Json" {
        let found = input.input_schema_mapping_type;
        return Err(EventGridError::invalid(format!("Expected inputSchemaMappingType Json, found {found}.")));
    }
    let said = |text: Option<String>| text.filter(|text| !text.is_empty());
    let field = |field: Option<Field>| field.and_then(|field| said(field.source_field));
    let mapped = |field: Option<Field>| {
        let Field { source_field, default_value } = field.unwrap_or_default();
        MappedField { field: said(source_field), default: default_value }
    };
    let Properties { id, topic, event_time, event_type, subject, data_version } = input.properties;
    let event_type = mapped(event_type);
    if event_type == MappedField::default() {
        return Err(EventGridError::invalid("Expected a sourceField or a defaultValue for eventType, found none."));
    }
    Ok(EventMapping {
        id: field(id),
        topic: field(topic),
        event_time: field(event_time),
        event_type,
        subject: mapped(subject),
        data_version: mapped(data_version),
    })
}

pub(super) fn encode(mapping: &EventMapping) -> Value {
    let field = |field: &Option<String>| json!({ "sourceField": field });
    let mapped = |mapped: &MappedField| json!({ "sourceField": mapped.field, "defaultValue": mapped.default });
    json!({
        "inputSchemaMappingType": "Json",
        "properties": {
            "id": field(&mapping.id),
            "topic": field(&mapping.topic),
            "eventTime": field(&mapping.event_time),
            "eventType": mapped(&mapping.event_type),
            "subject": mapped(&mapping.subject),
            "dataVersion": mapped(&mapping.data_version),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_come_back() {
        let mapping = json!({
            "inputSchemaMappingType": "Json",
            "properties": {
                "id": { "sourceField": "key" }, "topic": { "sourceField": null }, "eventTime": { "sourceField": null },
                "eventType": { "sourceField": "kind", "defaultValue": "made" },
                "subject": { "sourceField": null, "defaultValue": "all" },
                "dataVersion": { "sourceField": null, "defaultValue": null },
            },
        });
        assert_eq!(encode(&decode(&mapping).unwrap()), mapping);
    }

    #[test]
    fn what_maps_nothing_is_refused() {
        for wrong in [
            json!({}),
            json!({ "inputSchemaMappingType": "Xml" }),
            json!({ "inputSchemaMappingType": "Json" }),
            json!({ "inputSchemaMappingType": "Json", "properties": { "eventType": { "sourceField": "" } } }),
        ] {
            assert!(decode(&wrong).is_err(), "{wrong}");
        }
    }
}
