//! The services of this front, and which of them a request is for.

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::eventhubs::{Call as EventHubsCall, EventHubs};
use crate::request::AzureRequest;

/// Bytes of a request to Event Hubs: the largest batch, with room for its spelling in JSON.
const EVENT_HUBS_BODY_BYTES_MAX: usize = 4 << 20;

/// Every service that answers over HTTP.
pub struct Services {
    /// Event Hubs: sending over HTTPS, and the resources' own calls.
    pub event_hubs: EventHubs,
}

/// The services by name, as a request's head tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Event Hubs.
    EventHubs(EventHubsCall),
}

impl Service {
    /// The service that a request is for; `None` when it is for none of this front.
    #[must_use]
    pub fn of(head: &http::request::Parts) -> Option<Self> {
        if let Some(call) = EventHubs::call(head) {
            return Some(Self::EventHubs(call));
        }
        None
    }

    /// The largest body that the service takes, in bytes.
    #[must_use]
    pub fn body_bytes_max(self) -> usize {
        match self {
            Self::EventHubs(_) => EVENT_HUBS_BODY_BYTES_MAX,
        }
    }
}

impl Services {
    /// Answers a request of `service`.
    pub async fn handle(&self, service: Service, request: AzureRequest) -> Response<Bytes> {
        match service {
            Service::EventHubs(call) => self.event_hubs.handle(call, &request).await,
        }
    }

    /// The answer to a body that was not taken.
    #[must_use]
    pub fn not_taken(&self, _service: Service, error: &millstream_http::body::BodyError) -> Response<Bytes> {
        use millstream_http::body::BodyError;
        let status = match error {
            BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::TimedOut => StatusCode::REQUEST_TIMEOUT,
            BodyError::Incomplete(_) | BodyError::NotGzip(_) => StatusCode::BAD_REQUEST,
        };
        let mut response = Response::new(Bytes::from(format!("{error}\n")));
        *response.status_mut() = status;
        response
    }
}
