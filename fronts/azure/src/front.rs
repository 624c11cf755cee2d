//! How a request finds its service. Azure's services share the port with AWS's: the head tells which is meant.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use millstream_http::{body, request_id, serve};
use millstream_types::BoxFuture;

use crate::eventhubs::amqp::WebSockets;
use crate::request::AzureRequest;
use crate::services::{Service, Services};

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    /// A service.
    Service(Service),
    /// AMQP inside a WebSocket, from here on.
    WebSocket,
}

/// The front: the services, and what a request needs on its way to them.
pub struct AzureFront {
    services: Services,
    web_sockets: WebSockets,
}

impl AzureFront {
    /// The front over its services, and the door for AMQP inside a WebSocket.
    #[must_use]
    pub fn new(services: Services, web_sockets: WebSockets) -> Self {
        Self { services, web_sockets }
    }

    /// What a request is for; `None` when none of this front is meant.
    #[must_use]
    pub fn meant(&self, head: &Parts) -> Option<Meant> {
        if WebSockets::is_meant(head) {
            return Some(Meant::WebSocket);
        }
        Service::of(head).map(Meant::Service)
    }

    /// Answers a request of this front. Never fails: whatever is wrong is the answer. The future is boxed so that the services
    /// are compiled with this crate and not with the binary.
    #[must_use]
    pub fn handle(&self, meant: Meant, head: Parts, body: Incoming) -> BoxFuture<'_, Response<Full<Bytes>>> {
        Box::pin(async move {
            let response = match meant {
                Meant::WebSocket => self.web_sockets.upgrade(Request::from_parts(head, body)),
                Meant::Service(service) => self.answer(service, head, body).await,
            };
            response.map(Full::new)
        })
    }

    async fn answer(&self, service: Service, head: Parts, body: Incoming) -> Response<Bytes> {
        let mut request = head_of(head);
        let request_id = request.request_id.clone();
        let mut response = match self.services.admit(service, &request) {
            Err(refusal) => {
                body::discard(body).await;
                *refusal
            }
            Ok(admitted) => match body::take(body, service.body_bytes_max()).await {
                Ok(taken) => {
                    request.body = taken.bytes.clone();
                    self.services.handle(admitted, request).await
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
        scheme: serve::scheme(&head.extensions),
        headers: head.headers,
        body: Bytes::new(),
        request_id: request_id::new(),
    }
}
