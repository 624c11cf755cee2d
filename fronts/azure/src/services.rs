//! The services of this front, and which of them a request is for.

use bytes::Bytes;
use http::Response;
use millstream_http::body::BodyError;

use crate::cosmos::{self, Cosmos};
use crate::request::AzureRequest;

/// Every service that answers over HTTP.
pub struct Services {
    /// Documents.
    pub cosmos: Cosmos,
}

/// The services by name, as a request's head tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Cosmos DB for NoSQL.
    Cosmos,
}

impl Service {
    /// The service that a request is for; `None` when it is for none of this front.
    #[must_use]
    pub fn of(head: &http::request::Parts) -> Option<Self> {
        if cosmos::is_meant(head) {
            return Some(Self::Cosmos);
        }
        None
    }

    /// The largest body that the service takes, in bytes.
    #[must_use]
    pub fn body_bytes_max(self) -> usize {
        match self {
            Self::Cosmos => cosmos::BODY_BYTES_MAX,
        }
    }
}

impl Services {
    /// Answers a request of `service`.
    pub async fn handle(&self, service: Service, request: AzureRequest) -> Response<Bytes> {
        match service {
            Service::Cosmos => self.cosmos.handle(request).await,
        }
    }

    /// The answer to a body that was not taken.
    #[must_use]
    pub fn not_taken(&self, service: Service, error: &BodyError) -> Response<Bytes> {
        match service {
            Service::Cosmos => cosmos::not_taken(error),
        }
    }
}
