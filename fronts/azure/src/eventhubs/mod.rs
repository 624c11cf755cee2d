//! Event Hubs: AMQP 1.0 on a port of its own, sending over HTTPS, and the resources' own calls.
//!
//! A hub's records are a stream's: sequence number and offset are the log's offset, the enqueued time is the append time.
//! Read next: `record` (what of a message is kept where), [`amqp`] (connections), `http_send`, `resources`.

mod address;
pub mod amqp;
pub mod connection_string;
mod error;
#[cfg(test)]
mod fuzz;
mod http_message;
mod http_send;
mod ingest;
pub mod properties;
mod record;
mod rendering;
mod resources;
mod sas;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use http::{Method, Response, header};
use millstream_access::Management;
use millstream_catalog::{AccessPolicyDefinition, HubDefinition, StreamDefinition};
use millstream_insight::Insight;
use millstream_namespace::{Meter, NamespaceError, Namespaces, partition};
use millstream_stream::{Producers, Streams};
use millstream_types::Clock;

use crate::request::AzureRequest;
use crate::resource_manager;
use crate::services::Refusal;
pub use connection_string::Endpoint;
pub use record::HubRecords;

/// Bytes of a message, or of a batch of events, that a hub takes.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct EventHubs {
    namespaces: Namespaces,
    streams: Streams,
    producers: Producers,
    insight: Insight,
    clock: Arc<dyn Clock>,
    /// Where clients find the AMQP listener.
    endpoint: Endpoint,
    /// Whether calls on resources are let in with any bearer token.
    management: Management,
    /// The next partition for events that name none.
    turn: Arc<AtomicU32>,
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Events for a hub.
    Send,
    /// Namespaces, hubs, consumer groups, policies.
    Resources,
}

/// Who sends a request, and what it is for.
pub enum Admitted {
    /// May send events there.
    Sender(http_send::Place),
    /// May define namespaces, hubs, consumer groups and policies.
    Manager,
}

impl EventHubs {
    /// The service over its engines.
    #[must_use]
    pub fn new(
        namespaces: Namespaces,
        streams: Streams,
        producers: Producers,
        insight: Insight,
        clock: Arc<dyn Clock>,
        endpoint: Endpoint,
        management: Management,
    ) -> Self {
        Self { namespaces, streams, producers, insight, clock, endpoint, management, turn: Arc::default() }
    }

    /// What a request's head asks of this service; `None` when it is for another.
    #[must_use]
    pub fn call(head: &http::request::Parts) -> Option<Call> {
        let path = head.uri.path();
        let authorization = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let signed = authorization.is_some_and(|value| value.starts_with("SharedAccessSignature "));
        if head.method == Method::POST && signed && path.trim_end_matches('/').ends_with("/messages") {
            return Some(Call::Send);
        }
        resource_manager::is_of_provider(path, resources::PROVIDER).then_some(Call::Resources)
    }

    /// Looks at a request's head; the error is the answer that it earns without its body.
    pub(crate) fn admit(&self, call: Call, head: &AzureRequest) -> Result<Admitted, Refusal> {
        match call {
            Call::Send => http_send::admit(self, head).map(Admitted::Sender),
            Call::Resources => resources::admit(self, head).map(|()| Admitted::Manager),
        }
    }

    /// Answers a request whose head was admitted.
    pub(crate) async fn handle(&self, admitted: Admitted, request: &AzureRequest) -> Response<Bytes> {
        match admitted {
            Admitted::Sender(place) => http_send::answer(self, place, request).await,
            Admitted::Manager => resources::answer(self, request).await,
        }
    }

    /// The connection strings of a namespace's policies, and of a hub's own when one is named: a line for each policy's
    /// name, a line for each of its keys.
    ///
    /// # Errors
    /// No such namespace or hub.
    pub fn connection_strings(&self, namespace: &str, hub: Option<&str>) -> Result<String, NamespaceError> {
        let mut policies = self.namespaces.namespace(namespace)?.policies.clone();
        if let Some(hub) = hub {
            policies.extend(self.namespaces.hub(namespace, hub)?.policies.iter().cloned());
        }
        Ok(self.strings_of(&policies, namespace, hub))
    }

    /// The connection strings of a hub's own policies, as above; empty when it has none.
    #[must_use]
    pub fn own_connection_strings(&self, hub: &HubDefinition) -> String {
        self.strings_of(&hub.policies, &hub.namespace, Some(&hub.name))
    }

    fn strings_of(&self, policies: &[AccessPolicyDefinition], namespace: &str, hub: Option<&str>) -> String {
        let mut lines = String::new();
        for policy in policies {
            lines.push_str(&policy.name);
            lines.push('\n');
            for key in [&policy.primary_key, &policy.secondary_key] {
                let string = self.endpoint.connection_string(namespace, hub, &policy.name, key);
                lines.push_str(&format!("  {string}\n"));
            }
        }
        lines
    }

    /// Counts events for a hub's stream against its namespace's units; `false`: they are too many, their sender has to wait.
    fn admits(&self, meter: &Meter, (namespace, stream): (&str, &str), records: u64, bytes: u64) -> bool {
        if meter.take_in(records, bytes) {
            return true;
        }
        self.insight.metrics.counter("throttled", &format!("stream/{stream}")).add(1);
        self.namespaces.inflate_later(namespace);
        false
    }

    /// The partition for an event: its key's, or each in turn.
    fn partition(&self, key: Option<&str>, stream: &StreamDefinition) -> u32 {
        let partitions = u32::try_from(stream.open_shards().count()).unwrap_or(u32::MAX);
        let turn = match key {
            Some(key) => partition::of_key(key, partitions),
            None => self.turn.fetch_add(1, Ordering::Relaxed) % partitions.max(1),
        };
        stream.open_shards().nth(turn as usize).map_or(turn, |shard| shard.index)
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn call(method: &str, path: &str, authorization: &str) -> Option<Call> {
        let request =
            Request::builder().method(method).uri(path).header(header::AUTHORIZATION, authorization).body(()).unwrap();
        EventHubs::call(&request.into_parts().0)
    }

    #[test]
    fn only_its_own_requests_are_taken() {
        let (sas, aws) = ("SharedAccessSignature sr=x", "AWS4-HMAC-SHA256 Credential=test");
        let hub = "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventHub/namespaces/n/eventhubs/h";
        assert_eq!(call("POST", "/hub/messages?timeout=60", sas), Some(Call::Send));
        assert_eq!(call("PUT", hub, "Bearer t"), Some(Call::Resources));
        assert_eq!(call("POST", "/hub/messages", aws), None);
        assert_eq!(call("PUT", "/bucket/messages", sas), None);
        assert_eq!(call("PUT", "/container/blob", sas), None);
        assert_eq!(call("POST", "/", aws), None);
        let topic = "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid/topics/t";
        assert_eq!(call("PUT", topic, "Bearer t"), None);
    }
}
