//! Event Grid: publishing to custom topics, confirming webhooks, and the part of the management API that defines topics and
//! event subscriptions.
//!
//! Sources: "Post to custom topic for Azure Event Grid", "Authenticate publishing clients", the CloudEvents HTTP binding 1.0.2,
//! and Microsoft.EventGrid's REST reference. Read next: [`publish`], [`management`].

mod confirm;
mod content;
mod error;
mod management;
pub mod place;
mod publish;
mod sas;
pub mod words;

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode, header};
use millstream_access::Management;
use millstream_catalog::TopicDefinition;
use millstream_event::Events;
use millstream_http::body::BodyError;
use millstream_insight::Insight;
use millstream_types::Clock;

use crate::request::AzureRequest;
use crate::services::Refusal;
use error::EventGridError;

/// The largest body that is read: more than events may have, so that whoever sends a little too much gets the answer and
/// not a broken connection.
pub(crate) const BODY_BYTES_MAX: usize = 4 << 20;

/// What the name of a topic's own host ends with.
const HOST_SUFFIX: &str = ".eventgrid.azure.net";

/// The service.
pub struct EventGrid {
    events: Events,
    insight: Insight,
    clock: Arc<dyn Clock>,
    /// Where clients find this node: `http://127.0.0.1:4566`.
    endpoint: String,
    /// Who may manage topics and subscriptions.
    management: Management,
}

/// Who sends a request, and what it is for.
pub enum Admitted {
    /// May publish to a topic.
    Publisher(Arc<TopicDefinition>),
    /// May define topics and subscriptions.
    Manager,
    /// Confirms a webhook by hand.
    Confirmer {
        /// The topic's name.
        topic: String,
        /// The subscription's name.
        subscription: String,
    },
}

/// What a request wants, as its path tells.
enum Target<'r> {
    Publish { topic: &'r str },
    Confirm { topic: &'r str, subscription: &'r str },
    Management,
    Unknown,
}

impl EventGrid {
    /// The service over the event engine.
    #[must_use]
    pub fn new(
        events: Events,
        insight: Insight,
        clock: Arc<dyn Clock>,
        endpoint: &str,
        management: Management,
    ) -> Self {
        Self { events, insight, clock, endpoint: endpoint.to_owned(), management }
    }

    /// Whether a request is for this service. Others have paths such as `/api/events` too, so that one needs a topic's
    /// host or a header of the service.
    #[must_use]
    pub(crate) fn is_meant(head: &Parts) -> bool {
        let path = head.uri.path();
        if path.starts_with("/eventgrid/") || management::is_meant(path) {
            return true;
        }
        let named = |headers: &HeaderMap| headers.keys().any(|name| name.as_str().starts_with("aeg-"));
        path == "/api/events" && (topic_of_host(host(&head.headers)).is_some() || named(&head.headers))
    }

    /// Looks at a request's head; the error is the answer that it earns without its body.
    pub(crate) fn admit(&self, head: &AzureRequest) -> Result<Admitted, Refusal> {
        let segments: Vec<&str> = head.segments().collect();
        let admitted = match target(&segments, head) {
            Target::Publish { topic } => publish::admit(self, head, topic).map(Admitted::Publisher),
            Target::Management => management::admit(self, head).map(|()| Admitted::Manager),
            // Whoever knows the code may confirm.
            Target::Confirm { topic, subscription } => {
                Ok(Admitted::Confirmer { topic: topic.to_owned(), subscription: subscription.to_owned() })
            }
            Target::Unknown => {
                Err(EventGridError::not_found(format!("expected a topic's address, found {}", head.path)))
            }
        };
        admitted.map_err(|error| Box::new(error.answer(&head.request_id)))
    }

    /// Answers a request whose head was admitted: whatever is wrong is the answer.
    pub(crate) async fn handle(&self, admitted: Admitted, request: &AzureRequest) -> Response<Bytes> {
        let answer = match admitted {
            Admitted::Publisher(topic) => publish::call(self, request, topic).await,
            Admitted::Manager => management::call(self, request, &request.segments().collect::<Vec<_>>()).await,
            Admitted::Confirmer { topic, subscription } => confirm::call(self, request, &topic, &subscription).await,
        };
        answer.unwrap_or_else(|error| error.answer(&request.request_id))
    }

    /// The answer to a body that was not taken.
    pub(crate) fn not_taken(&self, error: &BodyError) -> Response<Bytes> {
        let (status, code) = match error {
            BodyError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            BodyError::TimedOut => (StatusCode::REQUEST_TIMEOUT, "RequestTimeout"),
            BodyError::Incomplete(_) | BodyError::NotGzip(_) => (StatusCode::BAD_REQUEST, "BadRequest"),
        };
        EventGridError::new(status, code, error.to_string()).answer("")
    }
}

fn target<'r>(segments: &[&'r str], request: &'r AzureRequest) -> Target<'r> {
    match segments {
        ["eventgrid", topic, "api", "events"] => Target::Publish { topic },
        ["eventgrid", topic, "eventSubscriptions", subscription, "validate"] => Target::Confirm { topic, subscription },
        ["api", "events"] => {
            // Without the service's own name the first label still names the topic: `orders.localhost`.
            let label = request.host.split(['.', ':']).next().unwrap_or_default();
            Target::Publish { topic: topic_of_host(&request.host).unwrap_or(label) }
        }
        ["subscriptions", ..] => Target::Management,
        _ => Target::Unknown,
    }
}

fn host(headers: &HeaderMap) -> &str {
    headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default()
}

/// The topic of a host such as `orders.westus2-1.eventgrid.azure.net`.
fn topic_of_host(host: &str) -> Option<&str> {
    let name = host.split(':').next()?;
    let cut = name.len().checked_sub(HOST_SUFFIX.len())?;
    let (labels, suffix) = name.split_at_checked(cut)?;
    suffix.eq_ignore_ascii_case(HOST_SUFFIX).then_some(())?;
    labels.split('.').next().filter(|topic| !topic.is_empty())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn is_meant(path: &str, headers: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        EventGrid::is_meant(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn its_requests_are_told_from_others() {
        let topics = "/subscriptions/0/resourceGroups/g/providers/Microsoft.EventGrid/topics/t";
        for (path, headers, expected) in [
            ("/eventgrid/orders/api/events?api-version=2018-01-01", &[][..], true),
            ("/api/events", &[("host", "orders.westus2-1.eventgrid.azure.net")], true),
            ("/api/events", &[("host", "ORDERS.westus2.EventGrid.Azure.Net:443")], true),
            ("/api/events", &[("host", "orders.localhost"), ("aeg-sas-key", "k")], true),
            ("/api/events", &[("host", "localhost:4566")], false),
            ("/events", &[("aeg-sas-key", "k")], false),
            ("/restapis/a/prod/_user_request_/api/events", &[("aeg-sas-key", "k")], false),
            (topics, &[], true),
            ("/subscriptions/0/providers/microsoft.eventgrid/topics", &[], true),
            ("/subscriptions/0/resourceGroups/g/providers/Microsoft.Web/sites/s", &[], false),
            ("/", &[("x-amz-target", "Kinesis_20131202.PutRecord")], false),
            ("/2015-03-31/functions", &[], false),
            ("/eventgrid", &[], false),
        ] {
            assert_eq!(is_meant(path, headers), expected, "{path} {headers:?}");
        }
    }
}
