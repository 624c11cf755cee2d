//! What a client may say of an event subscription. What this node does not do is refused, never ignored.

use millstream_catalog::{DeadLetterTarget, DeliveryHeader, EventBatching, EventEndpoint, EventRetry, EventSchema};
use millstream_event::NewSubscription;
use millstream_types::time::from_rfc3339;
use serde::Deserialize;
use serde_json::Value;

use super::{advanced_filter, delivery_attribute};
use crate::eventgrid::error::EventGridError;
use crate::eventgrid::place::stream_of_hub;

/// The body of a create-or-update.
#[derive(Deserialize)]
pub(super) struct PutInput {
    pub(super) properties: SubscriptionProperties,
}

/// The properties; an update has them at the top.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubscriptionProperties {
    pub(super) destination: Option<Endpoint>,
    filter: Option<FilterInput>,
    labels: Option<Vec<String>>,
    event_delivery_schema: Option<String>,
    retry_policy: Option<RetryPolicy>,
    dead_letter_destination: Option<Endpoint>,
    expiration_time_utc: Option<String>,
    delivery_with_resource_identity: Option<Value>,
    dead_letter_with_resource_identity: Option<Value>,
}

/// A destination or a dead-letter destination: its kind, and properties of that kind.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Endpoint {
    endpoint_type: String,
    #[serde(default)]
    properties: EndpointProperties,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct EndpointProperties {
    endpoint_url: Option<String>,
    resource_id: Option<String>,
    queue_name: Option<String>,
    blob_container_name: Option<String>,
    max_events_per_batch: Option<u32>,
    preferred_batch_size_in_kilobytes: Option<u32>,
    delivery_attribute_mappings: Option<Vec<Value>>,
    azure_active_directory_tenant_id: Option<Value>,
    azure_active_directory_application_id_or_uri: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilterInput {
    subject_begins_with: Option<String>,
    subject_ends_with: Option<String>,
    is_subject_case_sensitive: Option<bool>,
    included_event_types: Option<Vec<String>>,
    enable_advanced_filtering_on_arrays: Option<bool>,
    advanced_filters: Option<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RetryPolicy {
    max_delivery_attempts: Option<u32>,
    event_time_to_live_in_minutes: Option<u32>,
}

impl SubscriptionProperties {
    /// Changes a subscription to what is said; what is not said stays.
    pub(super) fn apply(self, new: &mut NewSubscription) -> Result<(), EventGridError> {
        let said = |value: &Option<Value>| value.as_ref().is_some_and(|value| !value.is_null());
        for (value, feature) in [
            (&self.delivery_with_resource_identity, "deliveryWithResourceIdentity"),
            (&self.dead_letter_with_resource_identity, "deadLetterWithResourceIdentity"),
        ] {
            if said(value) {
                return Err(EventGridError::not_supported(feature));
            }
        }
        if let Some(destination) = self.destination {
            (new.endpoint, new.batching, new.headers) = destination.endpoint()?;
        }
        if let Some(filter) = self.filter {
            filter.apply(new)?;
        }
        if let Some(labels) = self.labels {
            new.labels = labels;
        }
        if let Some(schema) = self.event_delivery_schema {
            (new.delivery_schema, new.raw) = delivery_schema(&schema)?;
        }
        if let Some(policy) = self.retry_policy {
            let attempts_max = policy.max_delivery_attempts.unwrap_or(new.retry.attempts_max);
            let ttl_minutes = policy.event_time_to_live_in_minutes.unwrap_or(new.retry.ttl_minutes);
            new.retry = EventRetry { attempts_max, ttl_minutes };
        }
        if let Some(destination) = self.dead_letter_destination {
            new.dead_letter = Some(destination.dead_letter()?);
        }
        if let Some(text) = self.expiration_time_utc {
            let expected = || format!("Expected expirationTimeUtc such as 2026-12-31T00:00:00Z, found {text}.");
            new.expires = Some(from_rfc3339(&text).ok_or_else(|| EventGridError::invalid(expected()))?);
        }
        Ok(())
    }
}

impl Endpoint {
    fn endpoint(self) -> Result<(EventEndpoint, EventBatching, Vec<DeliveryHeader>), EventGridError> {
        let properties = self.properties;
        let mappings = properties.delivery_attribute_mappings.unwrap_or_default();
        let headers = mappings.iter().map(delivery_attribute::decode).collect::<Result<_, _>>()?;
        let directory = properties.azure_active_directory_tenant_id.is_some()
            || properties.azure_active_directory_application_id_or_uri.is_some();
        if directory {
            return Err(EventGridError::not_supported("Delivery with a directory's token (azureActiveDirectory…)"));
        }
        let default = EventBatching::default();
        let batching = EventBatching {
            events_max: properties.max_events_per_batch.unwrap_or(default.events_max),
            preferred_kib: properties.preferred_batch_size_in_kilobytes.unwrap_or(default.preferred_kib),
        };
        let required = |value: Option<String>, name: &str| {
            value.ok_or_else(|| EventGridError::invalid(format!("Expected destination.properties.{name}, found none.")))
        };
        let endpoint = match self.endpoint_type.as_str() {
            "WebHook" => EventEndpoint::Webhook { url: required(properties.endpoint_url, "endpointUrl")? },
            "EventHub" => {
                let id = required(properties.resource_id, "resourceId")?;
                let expected = "Expected the resourceId of an event hub: …/namespaces/NAMESPACE/eventhubs/HUB.";
                EventEndpoint::Stream { name: stream_of_hub(&id).ok_or_else(|| EventGridError::invalid(expected))? }
            }
            "AzureFunction" => {
                EventEndpoint::Function { name: last_name(&required(properties.resource_id, "resourceId")?) }
            }
            "StorageQueue" => EventEndpoint::Queue { name: required(properties.queue_name, "queueName")? },
            other => return Err(EventGridError::not_supported(&format!("The destination type {other}"))),
        };
        Ok((endpoint, batching, headers))
    }

    fn dead_letter(self) -> Result<DeadLetterTarget, EventGridError> {
        if self.endpoint_type != "StorageBlob" {
            return Err(EventGridError::not_supported(&format!("The dead-letter destination {}", self.endpoint_type)));
        }
        let missing =
            || EventGridError::invalid("Expected deadLetterDestination.properties.blobContainerName, found none.");
        let bucket = self.properties.blob_container_name.ok_or_else(missing)?;
        Ok(DeadLetterTarget { bucket, prefix: String::new() })
    }
}

impl FilterInput {
    fn apply(self, new: &mut NewSubscription) -> Result<(), EventGridError> {
        let filter = &mut new.filter;
        filter.subject_begins_with = self.subject_begins_with.unwrap_or_default();
        filter.subject_ends_with = self.subject_ends_with.unwrap_or_default();
        filter.subject_case_sensitive = self.is_subject_case_sensitive.unwrap_or_default();
        filter.arrays = self.enable_advanced_filtering_on_arrays.unwrap_or_default();
        let types = self.included_event_types.unwrap_or_default();
        // What older clients wrote for every type.
        let all = matches!(types.as_slice(), [only] if only.eq_ignore_ascii_case("all"));
        filter.event_types = if all { Vec::new() } else { types };
        let conditions = self.advanced_filters.unwrap_or_default();
        filter.conditions = conditions.iter().map(advanced_filter::decode).collect::<Result<_, _>>()?;
        Ok(())
    }
}

/// The form of deliveries, and whether events are delivered as they were published.
fn delivery_schema(name: &str) -> Result<(EventSchema, bool), EventGridError> {
    match name {
        "EventGridSchema" => Ok((EventSchema::EventGrid, false)),
        "CloudEventSchemaV1_0" => Ok((EventSchema::CloudEvents, false)),
        "CustomInputSchema" => Ok((EventSchema::EventGrid, true)),
        other => Err(EventGridError::invalid(format!(
            "Expected eventDeliverySchema EventGridSchema, CloudEventSchemaV1_0 or CustomInputSchema, found {other}."
        ))),
    }
}

/// The name of the resource that an id ends with.
fn last_name(id: &str) -> String {
    id.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
}
