//! `topics`: create or update, get, list, delete, keys.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_catalog::{EventMapping, EventSchema, TopicDefinition};
use millstream_event::{EventError, NewTopic};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{TopicPlace, empty, input, input_mapping};
use crate::eventgrid::EventGrid;
use crate::eventgrid::error::{EventGridError, json_answer};
use crate::eventgrid::place;
use crate::request::AzureRequest;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    #[serde(default)]
    location: String,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    properties: Properties,
    identity: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    input_schema: Option<String>,
    input_schema_mapping: Option<Value>,
    public_network_access: Option<String>,
    inbound_ip_rules: Option<Vec<Value>>,
    disable_local_auth: Option<bool>,
}

pub(super) async fn put(
    service: &EventGrid,
    request: &AzureRequest,
    place: TopicPlace<'_>,
) -> Result<Response<Bytes>, EventGridError> {
    let input: Input = input(request)?;
    let schema = schema(&input)?;
    let definition = match service.events.topic(place.topic) {
        Ok(topic)
            if schema
                .as_ref()
                .is_some_and(|(schema, mapping)| (*schema, mapping) != (topic.schema, &topic.mapping)) =>
        {
            return Err(EventGridError::invalid("The input schema of a topic cannot be changed."));
        }
        Ok(topic) => service.events.set_topic_tags(&topic.name, input.tags).await?,
        Err(EventError::TopicNotFound { .. }) => {
            let (schema, mapping) = schema.unwrap_or((EventSchema::EventGrid, None));
            let new = NewTopic {
                name: place.topic.to_owned(),
                address: place::topic_id_in(place.subscription, place.group, place.topic),
                schema,
                mapping,
                location: input.location,
                tags: input.tags,
            };
            service.events.create_topic(new).await?
        }
        Err(error) => return Err(error.into()),
    };
    Ok(json_answer(StatusCode::CREATED, &document(service, &definition)))
}

/// The form of a topic's events, and of what is published when that is another.
type Schema = (EventSchema, Option<EventMapping>);

/// The schema that was asked for; what this node does not do is refused.
fn schema(input: &Input) -> Result<Option<Schema>, EventGridError> {
    let properties = &input.properties;
    let refused = [
        (properties.inbound_ip_rules.as_ref().is_some_and(|rules| !rules.is_empty()), "inboundIpRules"),
        (properties.disable_local_auth == Some(true), "disableLocalAuth"),
        (
            properties.public_network_access.as_deref().is_some_and(|access| access != "Enabled"),
            "publicNetworkAccess other than Enabled",
        ),
        (input.identity.as_ref().is_some_and(|identity| identity["type"] != "None"), "identity"),
    ];
    if let Some((_, feature)) = refused.iter().find(|(asked, _)| *asked) {
        return Err(EventGridError::not_supported(feature));
    }
    let mapping = properties.input_schema_mapping.as_ref().filter(|mapping| !mapping.is_null());
    match (properties.input_schema.as_deref(), mapping) {
        (None, None) => Ok(None),
        (Some("EventGridSchema"), None) => Ok(Some((EventSchema::EventGrid, None))),
        (Some("CloudEventSchemaV1_0"), None) => Ok(Some((EventSchema::CloudEvents, None))),
        (Some("CustomEventSchema"), Some(mapping)) => {
            Ok(Some((EventSchema::EventGrid, Some(input_mapping::decode(mapping)?))))
        }
        (Some("CustomEventSchema"), None) | (_, Some(_)) => Err(EventGridError::invalid(
            "An inputSchemaMapping goes with the inputSchema CustomEventSchema, which needs one.",
        )),
        (Some(other), None) => Err(EventGridError::invalid(format!(
            "Expected inputSchema EventGridSchema, CloudEventSchemaV1_0 or CustomEventSchema, found {other}."
        ))),
    }
}

pub(super) async fn patch(
    service: &EventGrid,
    request: &AzureRequest,
    topic: &str,
) -> Result<Response<Bytes>, EventGridError> {
    let input: Input = input(request)?;
    schema(&input)?;
    let definition = service.events.set_topic_tags(topic, input.tags).await?;
    Ok(json_answer(StatusCode::CREATED, &document(service, &definition)))
}

pub(super) fn get(service: &EventGrid, topic: &str) -> Result<Response<Bytes>, EventGridError> {
    Ok(json_answer(StatusCode::OK, &document(service, &*service.events.topic(topic)?)))
}

pub(super) fn list(service: &EventGrid) -> Response<Bytes> {
    let topics: Vec<Value> = service.events.topics().iter().map(|topic| document(service, topic)).collect();
    json_answer(StatusCode::OK, &json!({ "value": topics }))
}

/// Deleting what is not there is no error.
pub(super) async fn delete(service: &EventGrid, topic: &str) -> Result<Response<Bytes>, EventGridError> {
    match service.events.delete_topic(topic).await {
        Ok(()) | Err(EventError::TopicNotFound { .. }) => Ok(empty(StatusCode::NO_CONTENT)),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn list_keys(service: &EventGrid, topic: &str) -> Result<Response<Bytes>, EventGridError> {
    Ok(keys(&*service.events.topic(topic)?))
}

pub(super) async fn regenerate_key(
    service: &EventGrid,
    request: &AzureRequest,
    topic: &str,
) -> Result<Response<Bytes>, EventGridError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct KeyName {
        key_name: String,
    }
    let name: KeyName = input(request)?;
    let key = match name.key_name.as_str() {
        "key1" => 0,
        "key2" => 1,
        other => return Err(EventGridError::invalid(format!("Expected keyName key1 or key2, found {other}."))),
    };
    Ok(keys(&*service.events.regenerate_key(topic, key).await?))
}

fn keys(topic: &TopicDefinition) -> Response<Bytes> {
    let [key1, key2] = &topic.keys;
    json_answer(StatusCode::OK, &json!({ "key1": key1, "key2": key2 }))
}

fn document(service: &EventGrid, topic: &TopicDefinition) -> Value {
    json!({
        "id": topic.address,
        "name": topic.name,
        "type": "Microsoft.EventGrid/topics",
        "location": topic.location,
        "tags": topic.tags,
        "properties": {
            "provisioningState": "Succeeded",
            "endpoint": place::topic_endpoint(&service.endpoint, &topic.name),
            "inputSchema": match topic.mapping {
                Some(_) => "CustomEventSchema",
                None => schema_name(topic.schema),
            },
            "inputSchemaMapping": topic.mapping.as_ref().map(input_mapping::encode),
            "publicNetworkAccess": "Enabled",
            "disableLocalAuth": false,
        },
    })
}

/// A schema's name.
pub(super) fn schema_name(schema: EventSchema) -> &'static str {
    match schema {
        EventSchema::EventGrid => "EventGridSchema",
        EventSchema::CloudEvents => "CloudEventSchemaV1_0",
        // This service has no such topics.
        EventSchema::Message => "Message",
    }
}
