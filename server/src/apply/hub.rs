//! Carrying out what a pipeline file says of event hubs: namespaces, hubs, and the policies of both.

use anyhow::Context as _;
use millstream_catalog::pipeline::{HubSpec, Mistake, NamespaceSpec, Pipeline, PolicySpec};
use millstream_namespace::engine::DEFAULT_GROUP;
use millstream_namespace::{DEFAULT_NAMESPACE, NamespaceError, Namespaces, NewHub, Scope, name};

use super::carry_out::Outcome;
use crate::node::Engines;

/// Names that the engine would refuse.
pub(super) fn mistakes(file: &str, pipeline: &Pipeline) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut check = |line: usize, checked: Result<(), NamespaceError>| {
        if let Err(error) = checked {
            mistakes.push(Mistake { file: file.to_owned(), line, message: error.to_string(), hint: String::new() });
        }
    };
    for namespace in &pipeline.namespaces {
        check(namespace.line, name::check_namespace(&namespace.value.name));
        namespace.value.policies.iter().for_each(|policy| check(namespace.line, name::check_policy(&policy.name)));
    }
    for hub in &pipeline.hubs {
        check(hub.line, name::check_hub(&hub.value.name));
        hub.value.namespace.iter().for_each(|namespace| check(hub.line, name::check_namespace(namespace)));
        let own = |group: &&String| !group.eq_ignore_ascii_case(DEFAULT_GROUP);
        hub.value.consumer_groups.iter().filter(own).for_each(|group| check(hub.line, name::check_group(group)));
        hub.value.policies.iter().for_each(|policy| check(hub.line, name::check_policy(&policy.name)));
    }
    mistakes
}

/// Makes a namespace, or gives the one that is there the units and the policies of the file.
pub(super) async fn namespace(engines: &Engines, spec: &NamespaceSpec) -> anyhow::Result<Outcome> {
    let namespaces = &engines.namespaces;
    let created = namespaces.namespace(&spec.name).is_err();
    if created {
        namespaces.create_namespace(&spec.name).await?;
    }
    let mut changed = policies(namespaces, &Scope { namespace: spec.name.clone(), hub: None }, &spec.policies).await?;
    if let Some(units) = spec.units {
        let found = namespaces.namespace(&spec.name)?;
        // Units that it got by itself since are not the file's to take away.
        let grown = units..=spec.units_max.max(units);
        if found.throughput_units_max != spec.units_max || !grown.contains(&found.throughput_units) {
            namespaces.set_throughput(&spec.name, units, spec.units_max).await?;
            changed = true;
        }
    }
    Ok(outcome(created, changed))
}

/// Makes a hub, and its namespace when it is not there, or gives the one that is there what it lacks.
pub(super) async fn hub(engines: &Engines, spec: &HubSpec) -> anyhow::Result<Outcome> {
    let namespace = spec.namespace.as_deref().unwrap_or(DEFAULT_NAMESPACE);
    let namespaces = &engines.namespaces;
    if namespaces.namespace(namespace).is_err() {
        namespaces.create_namespace(namespace).await?;
    }
    let HubSpec { partitions, retention_hours, retention_bytes, .. } = *spec;
    let new = NewHub { name: spec.name.clone(), partitions, retention_hours, retention_bytes };
    let (hub, created) = namespaces.put_hub(namespace, new).await?;
    let scope = Scope { namespace: namespace.to_owned(), hub: Some(spec.name.clone()) };
    let mut changed = policies(namespaces, &scope, &spec.policies).await?;
    for group in &spec.consumer_groups {
        if !hub.consumer_groups.iter().any(|known| known.name.eq_ignore_ascii_case(group)) {
            namespaces.put_group(namespace, &spec.name, group, "").await?;
            changed = true;
        }
    }
    Ok(outcome(created, changed))
}

/// Makes policies that are not there and changes the rights of others; gives whether there was anything to do. Policies that
/// the file does not name stay.
async fn policies(namespaces: &Namespaces, scope: &Scope, wanted: &[PolicySpec]) -> anyhow::Result<bool> {
    let known = namespaces.policies(scope)?;
    let mut changed = false;
    for policy in wanted {
        if known.iter().any(|known| known.name == policy.name && known.rights == policy.rights) {
            continue;
        }
        let put = namespaces.put_policy(scope, &policy.name, policy.rights).await;
        put.with_context(|| format!("policy `{}`", policy.name))?;
        changed = true;
    }
    Ok(changed)
}

fn outcome(created: bool, changed: bool) -> Outcome {
    match (created, changed) {
        (true, _) => Outcome::Created,
        (false, true) => Outcome::Updated,
        (false, false) => Outcome::Unchanged,
    }
}
