//! How resources of this node are named: addresses for clients and resource ids.

use millstream_namespace::{DEFAULT_NAMESPACE, name};

/// The subscription of resources that are defined without one.
pub const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
/// Their resource group.
pub const RESOURCE_GROUP: &str = "millstream";

/// The resource id of a topic that is defined without a subscription: by the pipeline file, a command or the console.
#[must_use]
pub fn topic_id(topic: &str) -> String {
    topic_id_in(SUBSCRIPTION, RESOURCE_GROUP, topic)
}

/// The resource id of a topic.
#[must_use]
pub fn topic_id_in(subscription: &str, group: &str, topic: &str) -> String {
    format!("/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.EventGrid/topics/{topic}")
}

/// The resource id of a subscription, by its topic's.
#[must_use]
pub fn subscription_id(topic: &str, name: &str) -> String {
    format!("{topic}/providers/Microsoft.EventGrid/eventSubscriptions/{name}")
}

/// Where events are published to a topic. `endpoint` is the node's own: `http://127.0.0.1:4566`.
#[must_use]
pub fn topic_endpoint(endpoint: &str, topic: &str) -> String {
    format!("{endpoint}/eventgrid/{topic}/api/events")
}

/// Where a webhook is confirmed by hand.
#[must_use]
pub fn validation_url(endpoint: &str, topic: &str, subscription: &str, code: &str) -> String {
    format!("{endpoint}/eventgrid/{topic}/eventSubscriptions/{subscription}/validate?code={code}")
}

/// The stream of an event hub, by the hub's resource id; `None` when the id is none of a hub.
pub(super) fn stream_of_hub(id: &str) -> Option<String> {
    match id.trim_matches('/').rsplit('/').collect::<Vec<_>>().as_slice() {
        [hub, hubs, namespace, namespaces, ..]
            if hubs.eq_ignore_ascii_case("eventhubs") && namespaces.eq_ignore_ascii_case("namespaces") =>
        {
            Some(name::stream_of(namespace, hub))
        }
        _ => None,
    }
}

/// The resource id of a stream as an event hub.
pub(super) fn event_hub_id(stream: &str) -> String {
    let (namespace, hub) = stream.split_once('/').unwrap_or((DEFAULT_NAMESPACE, stream));
    format!("{}/Microsoft.EventHub/namespaces/{namespace}/eventhubs/{hub}", group())
}

/// The resource id of a function.
pub(super) fn function_id(name: &str) -> String {
    format!("{}/Microsoft.Web/sites/millstream/functions/{name}", group())
}

/// The resource id of the account that holds the node's containers.
pub(super) fn storage_account_id() -> String {
    format!("{}/Microsoft.Storage/storageAccounts/devstoreaccount1", group())
}

fn group() -> String {
    format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/{RESOURCE_GROUP}/providers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hubs_are_found_by_their_ids() {
        for (namespace, stream) in [("default", "trades"), ("other", "other/trades")] {
            let id = format!(
                "/subscriptions/0/resourceGroups/g/providers/Microsoft.EventHub/namespaces/{namespace}/eventHubs/trades"
            );
            assert_eq!(stream_of_hub(&id).as_deref(), Some(stream));
            assert_eq!(stream_of_hub(&event_hub_id(stream)).as_deref(), Some(stream));
        }
        assert_eq!(stream_of_hub("/subscriptions/0/eventhubs/trades"), None);
        assert_eq!(stream_of_hub(""), None);
    }
}
