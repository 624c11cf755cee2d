//! Carrying out a pipeline file on a node: each resource is made, changed or found as it should be.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, bail};
use millstream_catalog::pipeline::{
    ApiSpec, DeliveryStreamSpec, Known, Pipeline, RouteIntegration, RouteSpec, StreamSpec,
};
use millstream_catalog::{CapacityMode, DeliverySource, StreamOwner, StreamSettings};
use millstream_delivery::{DeliveryError, NewDeliveryStream};
use millstream_gateway::Route;
use millstream_stream::{NewStream, StreamError};

use super::check::told;
use super::{Request, access, api_key, azure, function, hub, mapping, message_topic, portal, query, queue, table};
use crate::node::Engines;

/// What became of one resource.
#[derive(Debug, Clone)]
pub struct Applied {
    /// `stream`, `function`, …
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What was done.
    pub outcome: Outcome,
    /// Where it can be called, when it can.
    pub url: Option<String>,
}

/// What was done to a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there.
    Created,
    /// It was another.
    Updated,
    /// It was as described.
    Unchanged,
}

impl fmt::Display for Applied {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match self.outcome {
            Outcome::Created => "created",
            Outcome::Updated => "updated",
            Outcome::Unchanged => "unchanged",
        };
        write!(formatter, "{outcome:<10}{:<16}{}", self.kind, self.name)?;
        match &self.url {
            Some(url) => write!(formatter, "  {url}"),
            None => Ok(()),
        }
    }
}

/// Carries out a pipeline file. What refers to something comes after it.
///
/// # Errors
/// The file's mistakes, or the first resource that could not be made, with its name; those before it are made.
pub async fn apply(engines: &Engines, request: &Request) -> anyhow::Result<Vec<Applied>> {
    let known = Known::of(&engines.catalog);
    let pipeline = Pipeline::parse_onto(&request.file, &request.text, &known)
        .map_err(|mistakes| anyhow::anyhow!(told(&mistakes)))?;
    carry_out(engines, request, &pipeline).await
}

/// Carries out what a file says, with the texts and packages that came with it.
pub(super) async fn carry_out(
    engines: &Engines,
    request: &Request,
    pipeline: &Pipeline,
) -> anyhow::Result<Vec<Applied>> {
    let mut applied = Vec::new();
    let mut note = |kind, name: &str, outcome, url| applied.push(Applied { kind, name: name.to_owned(), outcome, url });
    for spec in pipeline.streams.iter().map(|located| &located.value) {
        let outcome = stream(engines, spec).await.with_context(|| format!("stream `{}`", spec.name))?;
        note("stream", &spec.name, outcome, None);
    }
    for spec in pipeline.delivery_streams.iter().map(|located| &located.value) {
        let outcome =
            delivery_stream(engines, spec).await.with_context(|| format!("delivery stream `{}`", spec.name))?;
        note("delivery stream", &spec.name, outcome, None);
    }
    for spec in pipeline.tables.iter().map(|located| &located.value) {
        let outcome = table::table(engines, spec).await.with_context(|| format!("table `{}`", spec.name))?;
        note("table", &spec.name, outcome, None);
    }
    let mut queues = Vec::with_capacity(pipeline.queues.len());
    for spec in pipeline.queues.iter().map(|located| &located.value) {
        let made = queue::make(engines, spec).await.with_context(|| format!("queue `{}`", spec.name))?;
        queues.push((spec, made));
    }
    for (spec, made) in queues {
        let outcome = queue::settle(engines, spec, made).await.with_context(|| format!("queue `{}`", spec.name))?;
        note("queue", &spec.name, outcome, None);
    }
    for spec in pipeline.roles.iter().map(|located| &located.value) {
        let outcome = access::role(engines, spec).await.with_context(|| format!("role `{}`", spec.name))?;
        note("role", &spec.name, outcome, None);
    }
    for spec in pipeline.users.iter().map(|located| &located.value) {
        let outcome = access::user(engines, spec).await.with_context(|| format!("user `{}`", spec.name))?;
        note("user", &spec.name, outcome, None);
    }
    for spec in pipeline.functions.iter().map(|located| &located.value) {
        let package = request.packages.get(&spec.code.value.display().to_string());
        let outcome =
            function::function(engines, spec, package).await.with_context(|| format!("function `{}`", spec.name))?;
        note("function", &spec.name, outcome, None);
    }
    for spec in pipeline.mappings.iter().map(|located| &located.value) {
        let name = mapping::name(spec);
        let outcome = mapping::mapping(engines, spec).await.with_context(|| format!("mapping `{name}`"))?;
        note("mapping", &name, outcome, None);
    }
    for spec in pipeline.namespaces.iter().map(|located| &located.value) {
        let outcome = hub::namespace(engines, spec).await.with_context(|| format!("namespace `{}`", spec.name))?;
        note("namespace", &spec.name, outcome, None);
    }
    for spec in pipeline.hubs.iter().map(|located| &located.value) {
        let outcome = hub::hub(engines, spec).await.with_context(|| format!("event hub `{}`", spec.name))?;
        note("event hub", &spec.name, outcome, None);
    }
    for name in pipeline.buckets.iter().map(|located| &located.value) {
        let outcome = azure::bucket(engines, name).await.with_context(|| format!("blob container `{name}`"))?;
        note("blob container", name, outcome, None);
    }
    for spec in pipeline.databases.iter().map(|located| &located.value) {
        let outcome =
            azure::database(engines, spec).await.with_context(|| format!("cosmos database `{}`", spec.name))?;
        note("cosmos database", &spec.name, outcome, None);
    }
    for spec in pipeline.queries.iter().map(|located| &located.value) {
        let outcome =
            query::query(engines, spec, &request.sql_files).await.with_context(|| format!("query `{}`", spec.name))?;
        note("query", &spec.name, outcome, None);
    }
    for spec in pipeline.apis.iter().map(|located| &located.value) {
        let (outcome, url) = api(engines, spec).await.with_context(|| format!("api `{}`", spec.name))?;
        note("api", &spec.name, outcome, Some(url));
    }
    for spec in pipeline.plans.iter().map(|located| &located.value) {
        let outcome =
            portal::plan(engines, spec, &pipeline.apis).await.with_context(|| format!("plan `{}`", spec.name))?;
        note("usage plan", &spec.name, outcome, None);
    }
    for spec in pipeline.api_keys.iter().map(|located| &located.value) {
        let (outcome, value) =
            api_key::api_key(engines, spec).await.with_context(|| format!("API key `{}`", spec.name))?;
        note("api key", &spec.name, outcome, Some(value));
    }
    for spec in pipeline.products.iter().map(|located| &located.value) {
        let outcome = portal::product(engines, spec).await.with_context(|| format!("product `{}`", spec.code))?;
        note("product", &spec.code, outcome, None);
    }
    if let Some(spec) = &pipeline.portal {
        let outcome = portal::present(engines, &spec.definition).await.context("portal")?;
        note("portal", &spec.definition.title, outcome, None);
        for spec in spec.apis.iter().map(|located| &located.value) {
            let outcome = portal::publish(engines, spec, &pipeline.apis, &request.documents).await;
            let outcome = outcome.with_context(|| format!("api `{}` of the portal", spec.name))?;
            note("portal api", &spec.name, outcome, None);
        }
        for spec in spec.offers.iter().map(|located| &located.value) {
            let outcome = portal::offer(engines, spec).await;
            let outcome = outcome.with_context(|| format!("plan `{}` of the portal", spec.plan))?;
            note("portal plan", &spec.plan, outcome, None);
        }
    }
    for spec in pipeline.topics.iter().map(|located| &located.value) {
        let (outcome, url) = azure::topic(engines, spec).await.with_context(|| format!("topic `{}`", spec.name))?;
        note("topic", &spec.name, outcome, Some(url));
    }
    for spec in pipeline.message_topics.iter().map(|located| &located.value) {
        let (outcome, url) =
            message_topic::topic(engines, spec).await.with_context(|| format!("topic `{}`", spec.name))?;
        note("topic", &spec.name, outcome, Some(url));
    }
    for spec in pipeline.managed_services.iter().map(|located| &located.value) {
        let (outcome, url) = azure::managed_service(engines, spec)
            .await
            .with_context(|| format!("api management service `{}`", spec.name))?;
        note("api management", &spec.name, outcome, Some(url));
    }
    Ok(applied)
}

async fn stream(engines: &Engines, spec: &StreamSpec) -> anyhow::Result<Outcome> {
    let new = NewStream {
        name: spec.name.clone(),
        owner: StreamOwner::User,
        shards: spec.shards,
        retention_hours: spec.retention_hours,
    };
    let bytes = |there: &StreamSettings| there.with_retention_bytes(spec.retention_bytes);
    let none = StreamSettings::default();
    let settings = StreamSettings { retention_bytes: bytes(&none), ..none };
    match engines.streams.create_with(new, CapacityMode::Provisioned, BTreeMap::new(), settings).await {
        Ok(_) => Ok(Outcome::Created),
        Err(StreamError::StreamExists { .. }) => {
            let found = engines.streams.get(&spec.name)?;
            let other_shards = found.open_shards().count() != spec.shards as usize;
            let there = (found.retention_hours, found.settings.retention_bytes);
            let other_retention = there != (spec.retention_hours, bytes(&found.settings));
            if other_shards {
                engines.streams.set_shard_count(&spec.name, spec.shards).await?;
            }
            if other_retention {
                engines.streams.set_kept(&spec.name, Some(spec.retention_hours), spec.retention_bytes).await?;
            }
            Ok(if other_shards || other_retention { Outcome::Updated } else { Outcome::Unchanged })
        }
        Err(error) => Err(error.into()),
    }
}

async fn delivery_stream(engines: &Engines, spec: &DeliveryStreamSpec) -> anyhow::Result<Outcome> {
    let source = match &spec.source {
        Some(name) => DeliverySource::Stream { name: name.clone() },
        None => DeliverySource::DirectPut,
    };
    let new = NewDeliveryStream {
        name: spec.name.clone(),
        source: source.clone(),
        source_role: String::new(),
        destination: spec.destination.clone(),
        tags: BTreeMap::new(),
    };
    match engines.deliveries.create(new).await {
        Ok(_) => Ok(Outcome::Created),
        Err(DeliveryError::Exists { .. }) => {
            let found = engines.deliveries.get(&spec.name)?;
            if found.source != source {
                bail!("it has another source; delete it or describe it as it is");
            }
            if found.destination == spec.destination {
                return Ok(Outcome::Unchanged);
            }
            engines.deliveries.update(&spec.name, spec.destination.clone(), None).await?;
            Ok(Outcome::Updated)
        }
        Err(error) => Err(error.into()),
    }
}

async fn api(engines: &Engines, spec: &ApiSpec) -> anyhow::Result<(Outcome, String)> {
    let known = engines.gateway.list().iter().any(|api| api.name == spec.name);
    let route = |route: &RouteSpec| Route {
        method: route.method.clone(),
        path: route.path.clone(),
        function: route.function.clone(),
        whole_request: route.integration == RouteIntegration::Proxy,
        key_required: route.key_required,
    };
    let routes: Vec<Route> = spec.routes.iter().map(|located| route(&located.value)).collect();
    let (api, mut changed) = engines.gateway.apply_api(&spec.name, &spec.stage, &routes).await?;
    for route in &routes {
        changed |= engines.reach.let_api(&api.id, &route.function).await?;
    }
    let url = format!("{}/restapis/{}/{}/_user_request_/", engines.endpoint, api.id, spec.stage);
    let outcome = match (known, changed) {
        (false, _) => Outcome::Created,
        (true, true) => Outcome::Updated,
        (true, false) => Outcome::Unchanged,
    };
    Ok((outcome, url))
}
