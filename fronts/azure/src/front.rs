//! How a request finds its service. Azure's services share the port with AWS's: the head tells which is meant.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use millstream_http::body;

use crate::eventhubs::amqp::WebSockets;
use crate::request::AzureRequest;
use crate::services::{Service, Services};

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

    /// Answers a request, or gives it back when it is for none of these services. Never fails: whatever is wrong is
    /// the answer.
    ///
    /// # Errors
    /// The request itself, untouched, when no service of this front is meant.
    pub async fn handle(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Request<Incoming>> {
        let (head, body) = request.into_parts();
        if WebSockets::is_meant(&head) {
            return Ok(self.web_sockets.upgrade(Request::from_parts(head, body)).map(Full::new));
        }
        let Some(service) = Service::of(&head) else { return Err(Request::from_parts(head, body)) };
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
        Ok(response.map(Full::new))
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
