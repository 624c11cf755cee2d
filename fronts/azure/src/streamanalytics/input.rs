//! Inputs: hubs of this node, and blobs as reference data. Blobs that are read as streams and IoT hubs are refused by name.

use millstream_catalog::{QueryInput, ReferenceInput};
use millstream_namespace::{DEFAULT_NAMESPACE, Namespaces, engine::DEFAULT_GROUP};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::JobError;
use super::reference;
use super::serialization::Serialization;
use super::wire::{read, refuse_others};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    #[serde(rename = "type")]
    kind: Option<String>,
    datasource: Datasource,
    serialization: Option<Value>,
    compression: Option<Compression>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// Where rows come from or go to: a kind, and what it needs.
#[derive(Deserialize)]
pub(super) struct Datasource {
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) properties: Value,
}

#[derive(Deserialize)]
struct Compression {
    #[serde(rename = "type")]
    kind: String,
}

/// A hub as datasources name it. Keys and how to prove oneself are read over: the engines of a node trust each other.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Hub {
    pub(super) service_bus_namespace: String,
    pub(super) event_hub_name: String,
    #[serde(default)]
    consumer_group_name: String,
    #[serde(default)]
    pub(super) shared_access_policy_name: String,
    #[serde(flatten)]
    pub(super) others: Map<String, Value>,
}

/// Members by which a client proves itself: taken and forgotten.
pub(super) const CREDENTIALS: [&str; 4] = ["sharedAccessPolicyKey", "accountKey", "authenticationMode", "apiKey"];

/// Whether a datasource is a hub.
pub(super) fn is_hub(kind: &str) -> bool {
    ["Microsoft.ServiceBus/EventHub", "Microsoft.EventHub/EventHub"].iter().any(|hub| kind.eq_ignore_ascii_case(hub))
}

/// What an input is.
pub(super) enum Input {
    /// A hub.
    Stream(QueryInput),
    /// A blob that is a table.
    Reference(ReferenceInput),
}

/// The input that a document describes.
pub(super) fn definition(namespaces: &Namespaces, name: &str, document: Value) -> Result<Input, JobError> {
    let place = format!("input `{name}`");
    let properties: Properties = read(&place, document)?;
    refuse_others(&place, &properties.others, &["etag", "diagnostics"])?;
    if let Some(Compression { kind }) = properties.compression.filter(|found| !found.kind.eq_ignore_ascii_case("None"))
    {
        return Err(JobError::unsupported(&format!("{place}: compression `{kind}`")));
    }
    match properties.kind.as_deref() {
        Some(kind) if kind.eq_ignore_ascii_case("Reference") => {
            let format = Serialization::parse(name, properties.serialization)?.format;
            return reference::definition(name, properties.datasource, format).map(Input::Reference);
        }
        Some(kind) if !kind.eq_ignore_ascii_case("Stream") => {
            return Err(JobError::unsupported(&format!("{place}: the type `{kind}`")));
        }
        _ => {}
    }
    if !is_hub(&properties.datasource.kind) {
        return Err(JobError::unsupported(&format!("{place}: the datasource `{}`", properties.datasource.kind)));
    }
    let place = format!("the datasource of {place}");
    let source: Hub = read(&place, properties.datasource.properties)?;
    refuse_others(&place, &source.others, &CREDENTIALS)?;
    let hub = namespaces.hub(&source.service_bus_namespace, &source.event_hub_name)?;
    let group = if source.consumer_group_name.is_empty() { DEFAULT_GROUP } else { &source.consumer_group_name };
    if !hub.consumer_groups.iter().any(|known| known.name.eq_ignore_ascii_case(group)) {
        return Err(JobError::invalid(format!("{place}: hub `{}` has no consumer group `{group}`", hub.name)));
    }
    Ok(Input::Stream(QueryInput {
        name: name.to_owned(),
        stream: hub.stream.clone(),
        format: Serialization::parse(name, properties.serialization)?.format,
        columns: Vec::new(),
        role: source.shared_access_policy_name,
        consumer_group: group.to_owned(),
        processor: None,
        row_path: String::new(),
        divided: Vec::new(),
    }))
}

/// The document of an input.
pub(super) fn document(namespaces: &Namespaces, input: &QueryInput) -> Value {
    let (namespace, hub) = hub_of(namespaces, &input.stream);
    let mut source = json!({
        "serviceBusNamespace": namespace,
        "eventHubName": hub,
        "consumerGroupName": if input.consumer_group.is_empty() { DEFAULT_GROUP } else { &input.consumer_group },
    });
    if !input.role.is_empty() {
        source["sharedAccessPolicyName"] = json!(input.role);
    }
    let format = Serialization { format: input.format.clone(), array: false };
    json!({
        "type": "Stream",
        "datasource": { "type": "Microsoft.ServiceBus/EventHub", "properties": source },
        "compression": { "type": "None" },
        "serialization": format.document(true),
    })
}

/// The namespace and hub of a stream; a stream that no hub has is shown under its own name.
pub(super) fn hub_of(namespaces: &Namespaces, stream: &str) -> (String, String) {
    let all =
        namespaces.namespaces().into_iter().filter_map(|namespace| namespaces.hubs(&namespace.name).ok()).flatten();
    match all.into_iter().find(|hub| hub.stream == stream) {
        Some(hub) => (hub.namespace.clone(), hub.name.clone()),
        None => (DEFAULT_NAMESPACE.to_owned(), stream.to_owned()),
    }
}
