//! Carrying out what a pipeline file says in Azure's words: containers, databases, topics, managed APIs. Hubs are in `hub.rs`.

use std::collections::BTreeMap;

use anyhow::Context as _;
use millstream_azure::eventgrid::place;
use millstream_catalog::pipeline::{
    DocumentDatabaseSpec, EventSubscriptionSpec, Located, ManagedServiceSpec, TopicSpec,
};
use millstream_catalog::{
    EventEndpoint, EventSchema, ManagedApi, ManagedBackend, ManagedSubscriptionState, NamedValue, Product,
    SubscriptionScope,
};
use millstream_document::{ContainerSettings, DocumentError, NewContainer};
use millstream_event::{EventError, NewSubscription, NewTopic};
use millstream_gateway::managed::PolicyScope;
use millstream_gateway::managed::definitions::NewSubscription as NewKeys;
use millstream_object::ObjectError;

use super::carry_out::Outcome;
use crate::node::Engines;

/// What a file writes for the address of the node that it is applied to.
pub(super) const ENDPOINT: &str = "${endpoint}";

pub(super) async fn bucket(engines: &Engines, name: &str) -> anyhow::Result<Outcome> {
    match engines.objects.create_bucket(name, BTreeMap::new()).await {
        Ok(_) => Ok(Outcome::Created),
        Err(ObjectError::BucketExists { .. }) => Ok(Outcome::Unchanged),
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn database(engines: &Engines, spec: &DocumentDatabaseSpec) -> anyhow::Result<Outcome> {
    let mut outcome = match engines.documents.create_database(&spec.name).await {
        Ok(_) => Outcome::Created,
        Err(DocumentError::DatabaseExists { .. }) => Outcome::Unchanged,
        Err(error) => return Err(error.into()),
    };
    for (name, path) in &spec.containers {
        let new = NewContainer {
            database: spec.name.clone(),
            name: name.clone(),
            partition_key_paths: vec![path.clone()],
            unique_keys: Vec::new(),
            settings: ContainerSettings::default(),
        };
        match engines.documents.create_container(new).await {
            Ok(_) if outcome == Outcome::Unchanged => outcome = Outcome::Updated,
            Ok(_) => {}
            Err(DocumentError::ContainerExists { .. }) => {
                let found = engines.documents.container(&spec.name, name)?;
                anyhow::ensure!(
                    found.partition_key_paths == [path.clone()],
                    "container `{name}` has the partition key {}; delete it or describe it as it is",
                    found.partition_key_paths.join(", ")
                );
            }
            Err(error) => return Err(error).with_context(|| format!("container `{name}`")),
        }
    }
    Ok(outcome)
}

/// Gives what was done, and where events are published.
pub(super) async fn topic(engines: &Engines, spec: &TopicSpec) -> anyhow::Result<(Outcome, String)> {
    let new = NewTopic {
        name: spec.name.clone(),
        address: place::topic_id(&spec.name),
        schema: spec.schema,
        mapping: None,
        location: "local".to_owned(),
        tags: BTreeMap::new(),
    };
    let mut outcome = match engines.events.create_topic(new).await {
        Ok(_) => Outcome::Created,
        Err(EventError::TopicExists { .. }) => {
            let found = engines.events.topic(&spec.name)?;
            anyhow::ensure!(found.schema == spec.schema, "its events have another schema; delete it or describe it so");
            Outcome::Unchanged
        }
        Err(error) => return Err(error.into()),
    };
    for subscription in spec.subscriptions.iter().map(|located| &located.value) {
        let changed = self::subscription(engines, &spec.name, spec.schema, subscription)
            .await
            .with_context(|| format!("subscription `{}`", subscription.name))?;
        if changed && outcome == Outcome::Unchanged {
            outcome = Outcome::Updated;
        }
    }
    Ok((outcome, place::topic_endpoint(&engines.endpoint, &spec.name)))
}

/// Whether a subscription was made or changed. One that is as described is left alone: a webhook is asked only when it is
/// new.
async fn subscription(
    engines: &Engines,
    topic: &str,
    schema: EventSchema,
    spec: &EventSubscriptionSpec,
) -> anyhow::Result<bool> {
    let endpoint = match spec.endpoint.clone() {
        EventEndpoint::Webhook { url } => EventEndpoint::Webhook { url: url.replace(ENDPOINT, &engines.endpoint) },
        other => other,
    };
    let delivery_schema = spec.delivery_schema.unwrap_or(schema);
    let found = engines.events.subscription(topic, &spec.name).ok();
    let same = found.as_ref().is_some_and(|found| {
        found.endpoint == endpoint
            && found.filter == spec.filter
            && (found.delivery_schema, found.raw) == (delivery_schema, spec.raw)
            && (found.retry, found.batching) == (spec.retry, spec.batching)
            && found.dead_letter == spec.dead_letter
            && found.expires == spec.expires
    });
    if same {
        return Ok(false);
    }
    let new = NewSubscription {
        topic: topic.to_owned(),
        name: spec.name.clone(),
        endpoint,
        filter: spec.filter.clone(),
        delivery_schema,
        raw: spec.raw,
        retry: spec.retry,
        dead_letter: spec.dead_letter.clone(),
        batching: spec.batching,
        // What a file cannot say is not its to take away.
        headers: found.as_ref().map(|found| found.headers.clone()).unwrap_or_default(),
        labels: found.map(|found| found.labels.clone()).unwrap_or_default(),
        expires: spec.expires,
    };
    engines.events.put_subscription(new).await?;
    Ok(true)
}

/// Gives what was done, and where its APIs begin.
pub(super) async fn managed_service(engines: &Engines, spec: &ManagedServiceSpec) -> anyhow::Result<(Outcome, String)> {
    let managed = &engines.managed;
    let before = managed.service(&spec.name).ok();
    managed.put_service(&spec.name).await?;
    let here = |text: &Option<String>| text.as_ref().map(|text| text.replace(ENDPOINT, &engines.endpoint));
    for Located { value, .. } in &spec.named_values {
        let named = &value.name;
        let mut value = NamedValue { value: value.value.replace(ENDPOINT, &engines.endpoint), ..value.clone() };
        // What a file cannot say is not its to take away.
        if let Some(found) = before.as_ref().and_then(|service| service.named_values.get(named)) {
            value.tags.clone_from(&found.tags);
        }
        managed.put_named_value(&spec.name, value).await.with_context(|| format!("named value `{named}`"))?;
    }
    for Located { value, .. } in &spec.backends {
        let found = before.as_ref().and_then(|service| service.backends.get(&value.name)).cloned().unwrap_or_default();
        let (name, url) = (value.name.clone(), value.url.replace(ENDPOINT, &engines.endpoint));
        let backend = ManagedBackend { name, url, ..found };
        managed.put_backend(&spec.name, backend).await.with_context(|| format!("backend `{}`", value.name))?;
    }
    managed.set_policy(&spec.name, &PolicyScope::Service, here(&spec.policy)).await?;
    for api in &spec.apis {
        let bare = ManagedApi { backend: here(&api.backend), policy: None, operations: BTreeMap::new(), ..api.clone() };
        managed.put_api(&spec.name, bare).await.with_context(|| format!("api `{}`", api.name))?;
        for operation in api.operations.values() {
            let mut bare = operation.clone();
            bare.policy = None;
            managed.put_operation(&spec.name, &api.name, bare).await?;
            let scope = PolicyScope::Operation(api.name.clone(), operation.name.clone());
            managed.set_policy(&spec.name, &scope, here(&operation.policy)).await?;
        }
        managed.set_policy(&spec.name, &PolicyScope::Api(api.name.clone()), here(&api.policy)).await?;
    }
    for (product, subscriptions) in &spec.products {
        let bare = Product { policy: None, ..product.clone() };
        managed.put_product(&spec.name, bare).await.with_context(|| format!("product `{}`", product.name))?;
        for api in &product.apis {
            managed.link_api(&spec.name, &product.name, api, true).await?;
        }
        managed.set_policy(&spec.name, &PolicyScope::Product(product.name.clone()), here(&product.policy)).await?;
        for name in subscriptions {
            let asked = NewKeys {
                name: name.clone(),
                display_name: name.clone(),
                owner: before.as_ref().and_then(|service| service.subscriptions.get(name)?.owner.clone()),
                scope: SubscriptionScope::Product(product.name.clone()),
                state: ManagedSubscriptionState::Active,
                primary_key: None,
                secondary_key: None,
            };
            managed.put_subscription(&spec.name, asked).await?;
        }
    }
    let outcome = match before {
        None => Outcome::Created,
        Some(before) if *before == *managed.service(&spec.name)? => Outcome::Unchanged,
        Some(_) => Outcome::Updated,
    };
    Ok((outcome, format!("{}/apim", engines.endpoint)))
}
