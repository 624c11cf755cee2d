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
mod users;

use bytes::Bytes;
use http::Response;
use http::request::Parts;
use millstream_access::Management;
use millstream_gateway::Managed;

use crate::request::AzureRequest;
use crate::services::Refusal;

/// The largest request, bytes: that of a published API.
pub(crate) const BODY_BYTES_MAX: usize = millstream_gateway::managed::call::BODY_BYTES_MAX;

/// The service.
pub struct ApiManagement {
    managed: Managed,
    /// Whether management takes any bearer token; otherwise it takes none.
    management: Management,
}

/// Who sends a request, and what it is for.
pub enum Admitted {
    /// Calls a published API.
    Caller {
        /// Its service, when the host names one.
        service: Option<String>,
        /// The path within it.
        path: String,
    },
    /// May manage the service that the address names.
    Manager(management::Target),
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

    /// Looks at a request's head; the error is the answer that it earns without its body. Who may call a published API is for
    /// its policies to say, and they may look at the body.
    pub(crate) fn admit(&self, head: &AzureRequest) -> Result<Admitted, Refusal> {
        match data_plane::address(&head.host, &head.path) {
            Some((service, path)) => Ok(Admitted::Caller { service, path }),
            None => management::admit(self, head).map(Admitted::Manager).map_err(|error| Box::new(error.response())),
        }
    }

    /// Answers a request whose head was admitted.
    pub(crate) async fn handle(&self, admitted: Admitted, request: &AzureRequest) -> Response<Bytes> {
        match admitted {
            Admitted::Caller { service, path } => data_plane::answer(self, request, service, path).await,
            Admitted::Manager(target) => management::answer(self, &target, request).await,
        }
    }
}
