//! API Management over the gateway engine: the published APIs (`data_plane`) and their management (`management`).
//!
//! Source: the API Management REST API reference (resource manager's conventions) and the service's error texts.

mod apis;
mod backends;
mod data_plane;
mod error;
mod management;
mod named_values;
mod openapi;
mod operations;
mod policies;
mod products;
mod service;
mod subscriptions;
mod test_call;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use millstream_access::Management;
use millstream_gateway::Managed;

use crate::request::AzureRequest;

/// The largest request, bytes: that of a published API.
pub(crate) const BODY_BYTES_MAX: usize = millstream_gateway::managed::call::BODY_BYTES_MAX;

/// The service.
pub struct ApiManagement {
    managed: Managed,
    /// Whether management takes any bearer token; otherwise it takes none.
    management: Management,
}

impl ApiManagement {
    /// The service over the gateway engine.
    #[must_use]
    pub fn new(managed: Managed, management: Management) -> Self {
        Self { managed, management }
    }

    /// Whether a request is for this service: a published API's, or its management's.
    pub(crate) fn is_meant(head: &Parts) -> bool {
        let host = head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        data_plane::address(host, head.uri.path()).is_some() || management::is_meant(head.uri.path())
    }

    /// The answer that a request's head earns without its body; `None` when the body is worth taking. Who may call a
    /// published API is for its policies to say, and they may look at the body.
    pub(crate) fn refuse(&self, head: &AzureRequest) -> Option<Response<Bytes>> {
        match data_plane::address(&head.host, &head.path) {
            Some(_) => None,
            None => management::admit(self, head).err().map(|error| error.response()),
        }
    }

    /// Answers a request.
    pub(crate) async fn handle(&self, request: &AzureRequest) -> Response<Bytes> {
        match data_plane::address(&request.host, &request.path) {
            Some((service, path)) => data_plane::answer(self, request, service, path).await,
            None => management::answer(self, request).await,
        }
    }
}
