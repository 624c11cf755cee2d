//! The services of this front, and which of them a request is for.

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_http::body::BodyError;

use crate::apimanagement::{self, ApiManagement};
use crate::blob::{self, Blob};
use crate::cosmos::{self, Cosmos};
use crate::eventgrid::{self, EventGrid};
use crate::eventhubs::{self, Call as EventHubsCall, EventHubs};
use crate::foreign;
use crate::queue::{self, Queue};
use crate::request::AzureRequest;
use crate::streamanalytics::{self, StreamAnalytics};

/// Bytes of a request to Event Hubs: the largest batch, with room for its spelling in JSON.
const EVENT_HUBS_BODY_BYTES_MAX: usize = 4 << 20;

/// Every service that answers over HTTP.
pub struct Services {
    /// Blob storage.
    pub blob: Blob,
    /// Queue storage.
    pub queue: Queue,
    /// Documents.
    pub cosmos: Cosmos,
    /// Event Grid.
    pub eventgrid: EventGrid,
    /// Event Hubs: sending over HTTPS, and the resources' own calls.
    pub event_hubs: EventHubs,
    /// API Management.
    pub apimanagement: ApiManagement,
    /// Stream Analytics.
    pub streamanalytics: StreamAnalytics,
}

/// The services by name, as a request's head tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Blob storage.
    Blob,
    /// Queue storage.
    Queue,
    /// Cosmos DB for NoSQL.
    Cosmos,
    /// Event Grid.
    EventGrid,
    /// Event Hubs.
    EventHubs(EventHubsCall),
    /// API Management: published APIs and their management.
    ApiManagement,
    /// Stream Analytics.
    StreamAnalytics,
}

/// The answer that a request's head earns already. Apart, since few do.
pub type Refusal = Box<Response<Bytes>>;

/// A request's head that its service has looked at: its sender may, as far as the head tells.
pub enum Admitted {
    /// Blob storage.
    Blob(blob::Admitted),
    /// Queue storage.
    Queue(queue::Admitted),
    /// Cosmos DB for NoSQL.
    Cosmos(cosmos::Admitted),
    /// Event Grid.
    EventGrid(eventgrid::Admitted),
    /// Event Hubs.
    EventHubs(eventhubs::Admitted),
    /// API Management.
    ApiManagement(apimanagement::Admitted),
    /// Stream Analytics.
    StreamAnalytics,
}

impl Service {
    /// The service that a request is for; `None` when it is for none of this front.
    #[must_use]
    pub fn of(head: &http::request::Parts) -> Option<Self> {
        if foreign::is_published(head) {
            return None;
        }
        // Before all others: callers of a published API send whatever its backend wants.
        if ApiManagement::is_meant(head) {
            return Some(Self::ApiManagement);
        }
        if foreign::is_signed(head) {
            return None;
        }
        if cosmos::is_meant(head) {
            return Some(Self::Cosmos);
        }
        if let Some(call) = EventHubs::call(head) {
            return Some(Self::EventHubs(call));
        }
        if StreamAnalytics::is_meant(head) {
            return Some(Self::StreamAnalytics);
        }
        if Queue::is_meant(head) {
            return Some(Self::Queue);
        }
        if EventGrid::is_meant(head) {
            return Some(Self::EventGrid);
        }
        Blob::is_meant(head).then_some(Self::Blob)
    }

    /// The largest body that the service takes, in bytes.
    #[must_use]
    pub fn body_bytes_max(self) -> usize {
        match self {
            Self::Blob => blob::BODY_BYTES_MAX,
            Self::Queue => queue::BODY_BYTES_MAX,
            Self::Cosmos => cosmos::BODY_BYTES_MAX,
            Self::EventGrid => eventgrid::BODY_BYTES_MAX,
            Self::EventHubs(_) => EVENT_HUBS_BODY_BYTES_MAX,
            Self::ApiManagement => apimanagement::BODY_BYTES_MAX,
            Self::StreamAnalytics => streamanalytics::BODY_BYTES_MAX,
        }
    }
}

impl Services {
    /// Looks at a request's head, once, before its body is there, so that nobody who may not makes the node hold one. No
    /// service of this front has its bodies signed. Callers of published APIs are their backends' business: they are let in.
    ///
    /// # Errors
    /// The answer that the head earns already.
    pub fn admit(&self, service: Service, head: &AzureRequest) -> Result<Admitted, Refusal> {
        match service {
            Service::Blob => self.blob.admit(head).map(Admitted::Blob),
            Service::Queue => self.queue.admit(head).map(Admitted::Queue),
            Service::Cosmos => self.cosmos.admit(head).map(Admitted::Cosmos),
            Service::EventGrid => self.eventgrid.admit(head).map(Admitted::EventGrid),
            Service::EventHubs(call) => self.event_hubs.admit(call, head).map(Admitted::EventHubs),
            Service::ApiManagement => self.apimanagement.admit(head).map(Admitted::ApiManagement),
            Service::StreamAnalytics => self.streamanalytics.admit(head).map(|()| Admitted::StreamAnalytics),
        }
    }

    /// Answers a request whose head was admitted.
    pub async fn handle(&self, admitted: Admitted, request: AzureRequest) -> Response<Bytes> {
        match admitted {
            Admitted::Blob(admitted) => self.blob.handle(admitted, request).await,
            Admitted::Queue(admitted) => self.queue.handle(admitted, &request).await,
            Admitted::Cosmos(admitted) => self.cosmos.handle(admitted, &request).await,
            Admitted::EventGrid(admitted) => self.eventgrid.handle(admitted, &request).await,
            Admitted::EventHubs(admitted) => self.event_hubs.handle(admitted, &request).await,
            Admitted::ApiManagement(admitted) => self.apimanagement.handle(admitted, &request).await,
            Admitted::StreamAnalytics => self.streamanalytics.handle(&request).await,
        }
    }

    /// The answer to a body that was not taken.
    #[must_use]
    pub fn not_taken(&self, service: Service, head: &AzureRequest, error: &BodyError) -> Response<Bytes> {
        match service {
            Service::Blob => self.blob.not_taken(head, error),
            Service::Queue => self.queue.not_taken(head, error),
            Service::Cosmos => cosmos::not_taken(error),
            Service::EventGrid => self.eventgrid.not_taken(error),
            Service::EventHubs(_) | Service::ApiManagement | Service::StreamAnalytics => plain(error),
        }
    }
}

/// A body that was not taken, for services without words of their own for it.
fn plain(error: &BodyError) -> Response<Bytes> {
    let status = match error {
        BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        BodyError::TimedOut => StatusCode::REQUEST_TIMEOUT,
        BodyError::Incomplete(_) | BodyError::NotGzip(_) => StatusCode::BAD_REQUEST,
    };
    let mut response = Response::new(Bytes::from(format!("{error}\n")));
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn service(method: &str, address: &str, header: Option<&str>) -> Option<Service> {
        let mut request = Request::builder().method(method).uri(address);
        if let Some(name) = header {
            request = request.header(name, "2021-12-02");
        }
        Service::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_request_finds_its_service_by_its_head() {
        let version = Some("x-ms-version");
        for (method, address, header, expected) in [
            ("GET", "/devstoreaccount1?comp=list", version, Some(Service::Blob)),
            ("PUT", "/devstoreaccount1/c/b", version, Some(Service::Blob)),
            ("GET", "/acc/c/b?sv=2021-12-02&sr=b&sig=x", None, Some(Service::Blob)),
            ("GET", "/acc/c/b?sig=x", None, None),
            ("GET", "/acc/c/b", None, None),
            ("GET", "/acc-queue?comp=list", version, Some(Service::Queue)),
            ("POST", "/devstoreaccount1-queue/q/messages", version, Some(Service::Queue)),
            ("GET", "/acc-queue/q", None, None),
            ("GET", "/-queue/q", version, None),
            ("GET", "/", version, Some(Service::Cosmos)),
            ("POST", "/dbs", version, Some(Service::Cosmos)),
            ("GET", "/dbs/a/colls/b", version, Some(Service::Cosmos)),
            ("GET", "/offers", version, Some(Service::Cosmos)),
            ("POST", "/eventgrid/orders/api/events?api-version=2018-01-01", None, Some(Service::EventGrid)),
            ("POST", "/api/events", Some("aeg-sas-key"), Some(Service::EventGrid)),
            ("POST", "/api/events", None, None),
            // As the clients of AWS speak.
            ("POST", "/", Some("x-amz-target"), None),
            ("POST", "/2015-03-31/functions/name/invocations", Some("x-amz-date"), None),
            ("GET", "/restapis?limit=1", Some("x-amz-date"), None),
            ("GET", "/2015-03-31/functions", version, None),
        ] {
            assert_eq!(service(method, address, header), expected, "{method} {address} {header:?}");
        }
    }

    #[test]
    fn requests_of_the_other_cloud_are_left_alone_whatever_else_they_carry() {
        let published = "a1.execute-api.localhost:4566";
        let signature = "AWS4-HMAC-SHA256 Credential=test/20261121/us-east-1/apigateway/aws4_request";
        let sas = "SharedAccessSignature sr=x&sig=y&se=1&skn=z";
        let local = "127.0.0.1:4566";
        for (method, host, path, headers) in [
            // Callers of its published APIs, with headers and parameters that this front's services know.
            ("GET", published, "/prod/c/b", &[("x-ms-version", "2021-12-02")][..]),
            ("GET", published, "/dbs", &[("x-ms-version", "2021-12-02")]),
            ("GET", published, "/prod/b?sv=2021-12-02&sr=b&sig=x", &[]),
            ("POST", published, "/eventgrid/t/api/events", &[("aeg-sas-key", "k")]),
            ("POST", published, "/hub/messages", &[("authorization", sas)]),
            ("GET", local, "/restapis/a1/prod/_user_request_/x", &[("x-ms-version", "2021-12-02")]),
            ("POST", local, "/_aws/execute-api/a1/prod/hub/messages", &[("authorization", sas)]),
            // Its clients.
            ("GET", local, "/restapis", &[("x-ms-version", "2021-12-02"), ("authorization", signature)]),
            ("PUT", local, "/tags/b", &[("x-ms-version", "2021-12-02"), ("authorization", signature)]),
            ("POST", local, "/", &[("x-ms-version", "2021-12-02"), ("x-amz-target", "Kinesis_20131202.PutRecord")]),
            ("GET", local, "/tags?X-Amz-Signature=s&sv=1&sig=x", &[]),
        ] {
            let mut request = Request::builder().method(method).uri(path).header("host", host);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let head = request.body(()).unwrap().into_parts().0;
            assert_eq!(Service::of(&head), None, "{method} {host} {path}");
        }
    }

    #[test]
    fn a_published_api_is_called_with_whatever_its_backend_wants() {
        let sas = "SharedAccessSignature sr=x&sig=y&se=1&skn=z";
        for (host, path, name, value) in [
            ("127.0.0.1:4566", "/apim/hub/messages", "authorization", sas),
            ("shop.azure-api.net", "/dbs/a/colls/b", "x-ms-version", "2021-12-02"),
            ("shop.azure-api.net", "/api/events", "aeg-sas-key", "k"),
            ("shop.azure-api.net", "/orders", "authorization", "AWS4-HMAC-SHA256 Credential=x"),
        ] {
            let request = Request::builder().method("POST").uri(path).header("host", host).header(name, value);
            let head = request.body(()).unwrap().into_parts().0;
            assert_eq!(Service::of(&head), Some(Service::ApiManagement), "{host} {path}");
        }
    }

    #[test]
    fn requests_of_other_services_are_left_alone() {
        let managed = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ApiManagement/service/shop?api-version=1";
        let job = "/subscriptions/s/resourceGroups/g/providers/Microsoft.StreamAnalytics/streamingjobs/j?api-version=1";
        for (host, uri, expected) in [
            ("127.0.0.1:4566", job, Some(Service::StreamAnalytics)),
            ("127.0.0.1:4566", "/2015-03-31/functions/Microsoft.StreamAnalytics", None),
            ("127.0.0.1:4566", "/apim/events", Some(Service::ApiManagement)),
            ("shop.azure-api.net", "/events", Some(Service::ApiManagement)),
            ("127.0.0.1:4566", managed, Some(Service::ApiManagement)),
            ("a1.execute-api.localhost:4566", "/apim/events", None),
            ("127.0.0.1:4566", "/", None),
            ("127.0.0.1:4566", "/apim", None),
            ("127.0.0.1:4566", "/2015-03-31/functions/apim/invocations", None),
            ("127.0.0.1:4566", "/restapis/a1/prod/_user_request_/apim/", None),
            ("127.0.0.1:4566", "/subscriptions", None),
        ] {
            let head = http::Request::builder().uri(uri).header("host", host).body(()).unwrap().into_parts().0;
            assert_eq!(Service::of(&head), expected, "{host} {uri}");
        }
    }
}
