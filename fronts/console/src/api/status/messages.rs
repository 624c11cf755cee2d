//! Hubs, queues and topics, and who gets what is in them: mappings and subscriptions.

use millstream_catalog::EventSource;
use millstream_mapping::{LastResult, MappingView};
use serde_json::{Value, json};

use super::{measures, rounded};
use crate::Console;
use crate::measure::Measures;
use crate::pages::mapping_state;

pub(super) fn hubs(console: &Console) -> Vec<Value> {
    let hub = |hub: &millstream_catalog::HubDefinition| {
        json!({
            "name": hub.name,
            "namespace": hub.namespace,
            "partitions": console.namespaces().stream(hub).map_or(0, |stream| stream.shards.len()),
            "consumer_groups": hub.consumer_groups.len(),
            "records_per_second": rounded(measures(console, "stream", &hub.stream).rate("records_in")),
        })
    };
    console.catalog().hubs.list().iter().map(|found| hub(found)).collect()
}

pub(super) fn queues(console: &Console) -> Vec<Value> {
    let queue = |queue: &millstream_catalog::QueueDefinition| {
        let measures = measures(console, "queue", &queue.name);
        json!({
            "name": queue.name,
            "visible": measures.level("visible"),
            "in_flight": measures.level("in_flight"),
            "oldest_age_seconds": measures.level("oldest_age_seconds"),
            "sent_per_second": rounded(measures.rate("sent")),
            "dead_lettered": measures.recent("dead_lettered"),
        })
    };
    console.catalog().queues.list().iter().map(|found| queue(found)).collect()
}

pub(super) fn mappings(console: &Console) -> Vec<Value> {
    let mapping = |view: MappingView| {
        let (source_kind, source) = match &view.definition.source {
            EventSource::Stream { name } => ("stream", name),
            EventSource::Table { name, .. } => ("table", name),
            EventSource::Queue { name } => ("queue", name),
        };
        json!({
            "name": view.definition.id,
            "source": format!("{source_kind} {source}"),
            "function": view.definition.function,
            "state": mapping_state(view.phase),
            "records_behind": view.lag.map(|lag| lag.records),
            "lag_ms": view.lag.map(|lag| lag.age_ms),
            "last_batch": last(view.last),
        })
    };
    console.mappings().list().into_iter().map(mapping).collect()
}

/// What came of a mapping's last batch; `None` when there was none.
fn last(result: LastResult) -> Option<String> {
    match result {
        LastResult::None => None,
        LastResult::Taken => Some("taken".to_owned()),
        LastResult::Failed => Some("the function failed".to_owned()),
        LastResult::Problem(reason) => Some(reason),
    }
}

pub(super) fn topics(console: &Console) -> Vec<Value> {
    let topic = |topic: &millstream_catalog::TopicDefinition| {
        let measures = Measures::of(&console.insight().metrics, topic.stream());
        json!({
            "name": topic.name,
            "subscriptions": console.events().subscriptions(&topic.name).len(),
            "events_per_second": rounded(measures.rate("records_in")),
        })
    };
    console.events().all_topics().iter().map(|found| topic(found)).collect()
}

pub(super) fn subscriptions(console: &Console) -> Vec<Value> {
    let subscription = |subscription: &millstream_catalog::EventSubscriptionDefinition| {
        let status = console.events().status(&subscription.topic, &subscription.name).unwrap_or_default();
        json!({
            "name": format!("{}/{}", subscription.topic, subscription.name),
            "delivered": status.delivered,
            "waiting": status.waiting,
            "behind": status.behind,
            "failed_attempts": status.failed_attempts,
            "dead_lettered": status.dead_lettered,
            "dropped": status.dropped,
            "error": status.last_error,
        })
    };
    console.catalog().event_subscriptions.list().iter().map(|found| subscription(found)).collect()
}
