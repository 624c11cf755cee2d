//! How a request finds its service. Azure's services share the port with AWS's: the head tells which is meant.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use millstream_http::body;
use millstream_types::BoxFuture;

use crate::request::AzureRequest;
use crate::services::{Service, Services};

/// The front: the services, and what a request needs on its way to them.
pub struct AzureFront {
    services: Services,
}

impl AzureFront {
    /// The front over its services.
    #[must_use]
    pub fn new(services: Services) -> Self {
        Self { services }
    }

    /// The service that a request is for; `None` when none of this front is meant.
    #[must_use]
    pub fn service(&self, head: &Parts) -> Option<Service> {
        Service::of(head)
    }

    /// Answers a request of a service. Never fails: whatever is wrong is the answer. The future is boxed so that the
    /// services are compiled with this crate and not with the binary.
    #[must_use]
    pub fn handle(&self, service: Service, head: Parts, body: Incoming) -> BoxFuture<'_, Response<Full<Bytes>>> {
        Box::pin(async move { self.answer(service, head, body).await.map(Full::new) })
    }

    async fn answer(&self, service: Service, head: Parts, body: Incoming) -> Response<Bytes> {
        let mut request = head_of(head);
        let request_id = request.request_id.clone();
        let mut response = match self.services.refuse(service, &request) {
            Some(refusal) => {
                body::discard(body).await;
                refusal
            }
            None => match body::take(body, service.body_bytes_max()).await {
                Ok(taken) => {
                    request.body = taken.bytes.clone();
                    self.services.handle(service, request).await
                }
                Err(error) => self.services.not_taken(service, &request, &error),
            },
        };
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            response.headers_mut().entry("x-ms-request-id").or_insert(id);
        }
        response
    }
}

/// A request of which only the head is there.
fn head_of(head: Parts) -> AzureRequest {
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    AzureRequest {
        peer: head.extensions.get::<SocketAddr>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), SocketAddr::ip),
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        host: host.to_owned(),
        headers: head.headers,
        body: Bytes::new(),
        request_id: uuid::Uuid::new_v4().to_string(),
    }
}
