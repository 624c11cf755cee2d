//! The services of this front, and which of them a request is for.

use bytes::Bytes;
use http::Response;
use millstream_http::body::BodyError;

use crate::eventgrid::{self, EventGrid};
use crate::request::AzureRequest;

/// Every service that answers over HTTP.
pub struct Services {
    /// Event Grid.
    pub eventgrid: EventGrid,
}

/// The services by name, as a request's head tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Event Grid.
    EventGrid,
}

impl Service {
    /// The service that a request is for; `None` when it is for none of this front.
    #[must_use]
    pub fn of(head: &http::request::Parts) -> Option<Self> {
        EventGrid::is_meant(head).then_some(Self::EventGrid)
    }

    /// The largest body that the service takes, in bytes.
    #[must_use]
    pub fn body_bytes_max(self) -> usize {
        match self {
            Self::EventGrid => eventgrid::BODY_BYTES_MAX,
        }
    }
}

impl Services {
    /// Answers a request of `service`.
    pub async fn handle(&self, service: Service, request: AzureRequest) -> Response<Bytes> {
        match service {
            Service::EventGrid => self.eventgrid.handle(&request).await,
        }
    }

    /// The answer to a body that was not taken.
    #[must_use]
    pub fn not_taken(&self, service: Service, error: &BodyError) -> Response<Bytes> {
        match service {
            Service::EventGrid => self.eventgrid.not_taken(error),
        }
    }
}
