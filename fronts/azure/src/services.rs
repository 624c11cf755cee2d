//! The services of this front, and which of them a request is for.

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::apimanagement::{self, ApiManagement};
use crate::request::AzureRequest;

/// Every service that answers over HTTP.
pub struct Services {
    /// API Management.
    pub apimanagement: ApiManagement,
}

/// The services by name, as a request's head tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// API Management: published APIs and their management.
    ApiManagement,
}

impl Service {
    /// The service that a request is for; `None` when it is for none of this front.
    #[must_use]
    pub fn of(head: &http::request::Parts) -> Option<Self> {
        ApiManagement::is_meant(head).then_some(Self::ApiManagement)
    }

    /// The largest body that the service takes, in bytes.
    #[must_use]
    pub fn body_bytes_max(self) -> usize {
        match self {
            Self::ApiManagement => apimanagement::BODY_BYTES_MAX,
        }
    }
}

impl Services {
    /// Answers a request of `service`.
    pub async fn handle(&self, service: Service, request: AzureRequest) -> Response<Bytes> {
        match service {
            Service::ApiManagement => self.apimanagement.handle(&request).await,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_other_services_are_left_alone() {
        let managed = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ApiManagement/service/shop?api-version=1";
        for (host, uri, expected) in [
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
