//! What resources' policies did not have to say when a data folder was made: topics that reach queues and functions, and
//! APIs that run functions. What an older folder has wired is let in once; afterwards policies count as they are.

use std::collections::BTreeSet;

use millstream_aws::reach::{Reach, ReachError};
use millstream_catalog::{Catalog, EventEndpoint, EventSchema};
use millstream_gateway::functions_without_role;
use millstream_storage::{Keyspace, Storage, Transaction};

/// Under what it is kept that a folder was looked through.
const SETTLED: &[u8] = b"v1";

/// Lets in what is wired, unless this was done already. Before anything is delivered or answered.
pub async fn settle(storage: &Storage, catalog: &Catalog, reach: &Reach) -> anyhow::Result<()> {
    let keyspace = Keyspace::new("access/reach");
    let known = {
        let (storage, keyspace) = (storage.clone(), keyspace.clone());
        tokio::task::spawn_blocking(move || storage.get(&keyspace, SETTLED)).await??
    };
    if known.is_some() {
        return Ok(());
    }
    let mut changed = 0;
    for (topic, endpoint) in subscriptions(catalog) {
        changed += count(reach.let_topic(&topic, &endpoint).await, &topic);
    }
    for api in catalog.apis.list() {
        for function in functions_without_role(&api) {
            changed += count(reach.let_api(&api.id, &function).await, &api.id);
        }
    }
    if changed > 0 {
        tracing::info!(
            changed,
            "policies of queues and functions let in what was wired to them before policies counted"
        );
    }
    let mut transaction = Transaction::new();
    transaction.put(&keyspace, SETTLED, Vec::new());
    storage.commit(transaction).await?;
    Ok(())
}

/// 1 for a policy that was changed. One that cannot be, such as a full one, is told and keeps no node from starting.
fn count(changed: Result<bool, ReachError>, of: &str) -> usize {
    changed.map_or_else(
        |error| {
            tracing::warn!(of, %error, "a policy does not let in what was wired to it; add the permission");
            0
        },
        usize::from,
    )
}

/// Topics of messages with what each delivers to, dead letters too.
fn subscriptions(catalog: &Catalog) -> Vec<(String, EventEndpoint)> {
    let topics = catalog.topics.list();
    let topics: BTreeSet<&str> =
        topics.iter().filter(|topic| topic.schema == EventSchema::Message).map(|topic| topic.name.as_str()).collect();
    let all = catalog.event_subscriptions.list();
    let of_messages = all.iter().filter(|subscription| topics.contains(subscription.topic.as_str()));
    let reached = of_messages.flat_map(|subscription| {
        let dead = subscription.dead_letter_queue.clone().map(|name| EventEndpoint::Queue { name });
        [subscription.endpoint.clone()].into_iter().chain(dead).map(|endpoint| (subscription.topic.clone(), endpoint))
    });
    reached.collect()
}
