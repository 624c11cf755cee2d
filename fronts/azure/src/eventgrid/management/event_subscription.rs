//! `eventSubscriptions`: create or update, get, list, delete. What may be said is in [`super::subscription_input`].

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_catalog::{EventEndpoint, EventSubscriptionDefinition};
use millstream_event::engine::Provisioning;
use millstream_event::{EventError, NewSubscription};
use millstream_types::time::rfc3339;
use serde_json::{Value, json};

use super::subscription_input::{PutInput, SubscriptionProperties};
use super::topic::schema_name;
use super::{advanced_filter, delivery_attribute, empty, input};
use crate::eventgrid::EventGrid;
use crate::eventgrid::error::{EventGridError, json_answer};
use crate::eventgrid::place;
use crate::request::AzureRequest;

pub(super) async fn put(
    service: &EventGrid,
    request: &AzureRequest,
    topic: &str,
    name: &str,
) -> Result<Response<Bytes>, EventGridError> {
    let properties = input::<PutInput>(request)?.properties;
    let known = service.events.topic(topic)?;
    let base = NewSubscription {
        topic: topic.to_owned(),
        name: name.to_owned(),
        // Replaced below: one has to be named.
        endpoint: EventEndpoint::Queue { name: String::new() },
        filter: Default::default(),
        delivery_schema: known.schema,
        // As the service has it: what was published, unless another form is asked for.
        raw: known.mapping.is_some(),
        retry: Default::default(),
        dead_letter: None,
        batching: Default::default(),
        headers: Vec::new(),
        labels: Vec::new(),
        expires: None,
    };
    if properties.destination.is_none() {
        return Err(EventGridError::invalid("Expected properties.destination, found none."));
    }
    define(service, properties, base).await
}

pub(super) async fn patch(
    service: &EventGrid,
    request: &AzureRequest,
    topic: &str,
    name: &str,
) -> Result<Response<Bytes>, EventGridError> {
    let properties: SubscriptionProperties = input(request)?;
    let before = (*service.events.subscription(topic, name)?).clone();
    let base = NewSubscription {
        topic: before.topic,
        name: before.name,
        endpoint: before.endpoint,
        filter: before.filter,
        delivery_schema: before.delivery_schema,
        raw: before.raw,
        retry: before.retry,
        dead_letter: before.dead_letter,
        batching: before.batching,
        headers: before.headers,
        labels: before.labels,
        expires: before.expires,
    };
    define(service, properties, base).await
}

async fn define(
    service: &EventGrid,
    properties: SubscriptionProperties,
    mut new: NewSubscription,
) -> Result<Response<Bytes>, EventGridError> {
    properties.apply(&mut new)?;
    let put = service.events.put_subscription(new).await?;
    Ok(json_answer(StatusCode::CREATED, &document(service, &put.definition)?))
}

pub(super) fn get(service: &EventGrid, topic: &str, name: &str) -> Result<Response<Bytes>, EventGridError> {
    let definition = service.events.subscription(topic, name)?;
    Ok(json_answer(StatusCode::OK, &document(service, &definition)?))
}

pub(super) fn list(service: &EventGrid, topic: &str) -> Result<Response<Bytes>, EventGridError> {
    service.events.topic(topic)?;
    let subscriptions = service.events.subscriptions(topic);
    let documents: Result<Vec<Value>, _> = subscriptions.iter().map(|one| document(service, one)).collect();
    Ok(json_answer(StatusCode::OK, &json!({ "value": documents? })))
}

/// Deleting what is not there is no error.
pub(super) async fn delete(service: &EventGrid, topic: &str, name: &str) -> Result<Response<Bytes>, EventGridError> {
    match service.events.delete_subscription(topic, name).await {
        Ok(()) | Err(EventError::SubscriptionNotFound { .. }) => Ok(empty(StatusCode::NO_CONTENT)),
        Err(error) => Err(error.into()),
    }
}

/// The whole address of a webhook, with the query that other answers leave out.
pub(super) fn full_url(service: &EventGrid, topic: &str, name: &str) -> Result<Response<Bytes>, EventGridError> {
    match &service.events.subscription(topic, name)?.endpoint {
        EventEndpoint::Webhook { url } => Ok(json_answer(StatusCode::OK, &json!({ "endpointUrl": url }))),
        _ => Err(EventGridError::invalid("The destination of the event subscription is no webhook.")),
    }
}

fn document(service: &EventGrid, definition: &EventSubscriptionDefinition) -> Result<Value, EventGridError> {
    let topic = &service.events.topic(&definition.topic)?.address;
    let filter = &definition.filter;
    let state = match service.events.provisioning(definition) {
        Provisioning::Succeeded => "Succeeded",
        Provisioning::AwaitingValidation => "AwaitingManualAction",
        Provisioning::Failed => "Failed",
    };
    let types = (!filter.event_types.is_empty()).then_some(&filter.event_types);
    let conditions: Vec<Value> = filter.conditions.iter().map(advanced_filter::encode).collect();
    let dead_letter = definition.dead_letter.as_ref().map(|target| {
        json!({
            "endpointType": "StorageBlob",
            "properties": { "resourceId": place::storage_account_id(), "blobContainerName": target.bucket },
        })
    });
    Ok(json!({
        "id": place::subscription_id(topic, &definition.name),
        "name": definition.name,
        "type": "Microsoft.EventGrid/eventSubscriptions",
        "properties": {
            "topic": topic,
            "provisioningState": state,
            "destination": destination(definition),
            "filter": {
                "subjectBeginsWith": filter.subject_begins_with,
                "subjectEndsWith": filter.subject_ends_with,
                "isSubjectCaseSensitive": filter.subject_case_sensitive,
                "includedEventTypes": types,
                "enableAdvancedFilteringOnArrays": filter.arrays,
                "advancedFilters": conditions,
            },
            "labels": definition.labels,
            "eventDeliverySchema": if definition.raw { "CustomInputSchema" } else { schema_name(definition.delivery_schema) },
            "retryPolicy": {
                "maxDeliveryAttempts": definition.retry.attempts_max,
                "eventTimeToLiveInMinutes": definition.retry.ttl_minutes,
            },
            "deadLetterDestination": dead_letter,
            "expirationTimeUtc": definition.expires.map(rfc3339),
        },
    }))
}

fn destination(definition: &EventSubscriptionDefinition) -> Value {
    let (events, kib) = (definition.batching.events_max, definition.batching.preferred_kib);
    match &definition.endpoint {
        EventEndpoint::Webhook { url } => json!({
            "endpointType": "WebHook",
            "properties": {
                "endpointBaseUrl": url.split('?').next(),
                "maxEventsPerBatch": events,
                "preferredBatchSizeInKilobytes": kib,
                "deliveryAttributeMappings": definition.headers.iter().map(delivery_attribute::encode).collect::<Vec<_>>(),
            },
        }),
        EventEndpoint::Stream { name } => json!({
            "endpointType": "EventHub",
            "properties": { "resourceId": place::event_hub_id(name) },
        }),
        EventEndpoint::Function { name } => json!({
            "endpointType": "AzureFunction",
            "properties": {
                "resourceId": place::function_id(name),
                "maxEventsPerBatch": events,
                "preferredBatchSizeInKilobytes": kib,
            },
        }),
        EventEndpoint::Queue { name } => json!({
            "endpointType": "StorageQueue",
            "properties": { "resourceId": place::storage_account_id(), "queueName": name },
        }),
    }
}
