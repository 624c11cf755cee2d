//! Published APIs on the wire: where they are, and how failures read.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use millstream_gateway::ManagedRequest;
use millstream_gateway::managed::{Answered, Failure};

use super::ApiManagement;
use crate::request::AzureRequest;

/// The service (when the host names one) and the path of a published API: `/apim/PATH`, or `SERVICE.azure-api.net/PATH`.
pub(super) fn address(host: &str, path: &str) -> Option<(Option<String>, String)> {
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    if let Some(service) = host.to_ascii_lowercase().strip_suffix(".azure-api.net") {
        return Some((Some(service.to_owned()), path.to_owned()));
    }
    path.strip_prefix("/apim").filter(|rest| rest.starts_with('/')).map(|rest| (None, rest.to_owned()))
}

pub(super) async fn answer(
    front: &ApiManagement,
    request: &AzureRequest,
    service: Option<String>,
    path: String,
) -> Response<Bytes> {
    let request = ManagedRequest {
        id: request.request_id.clone(),
        service,
        method: request.method.clone(),
        path,
        query: request.query.clone(),
        headers: request.headers.clone(),
        body: request.body.clone(),
        peer: request.peer,
    };
    told(front.managed.call(&request, false).await)
}

/// The answer with the service's text for what went wrong.
pub(super) fn told(answered: Answered) -> Response<Bytes> {
    let mut response = answered.response;
    let Some(failure) = answered.failure else { return response };
    let status = failure.status().as_u16();
    let message = serde_json::Value::String(message(&failure));
    *response.body_mut() = Bytes::from(format!("{{ \"statusCode\": {status}, \"message\": {message} }}"));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if matches!(failure, Failure::KeyMissing | Failure::KeyInvalid) {
        let challenge = "AzureApiManagementKey realm=\"millstream\",name=\"Ocp-Apim-Subscription-Key\",type=\"header\"";
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

fn message(failure: &Failure) -> String {
    let replenished = |seconds: &Option<u64>| match seconds {
        Some(seconds) => {
            let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
            format!("Quota will be replenished in {hours:02}:{minutes:02}:{seconds:02}.")
        }
        None => "Quota will not be replenished.".to_owned(),
    };
    match failure {
        Failure::NotFound => "Resource not found".to_owned(),
        Failure::KeyMissing => "Access denied due to missing subscription key. Make sure to include subscription key \
                                when making requests to an API."
            .to_owned(),
        Failure::KeyInvalid => {
            "Access denied due to invalid subscription key. Make sure to provide a valid key for an \
                                active subscription."
                .to_owned()
        }
        Failure::Refused(_, message) => message.clone(),
        Failure::RateLimited(seconds) => format!("Rate limit is exceeded. Try again in {seconds} seconds."),
        Failure::CallsUsedUp(seconds) => format!("Out of call volume quota. {}", replenished(seconds)),
        Failure::BandwidthUsedUp(seconds) => format!("Out of bandwidth quota. {}", replenished(seconds)),
        // What went wrong behind the gateway is told in a trace, not to callers.
        Failure::Backend(_) | Failure::BackendTimedOut | Failure::Internal(_) => "Internal server error".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_apis_have_two_addresses() {
        for (host, path, expected) in [
            ("127.0.0.1:4566", "/apim/events/a", Some((None, "/events/a"))),
            ("127.0.0.1:4566", "/apim/", Some((None, "/"))),
            ("Shop.azure-api.net", "/events", Some((Some("shop"), "/events"))),
            ("shop.azure-api.net:4566", "/", Some((Some("shop"), "/"))),
            ("127.0.0.1:4566", "/apimx/a", None),
            ("127.0.0.1:4566", "/", None),
            ("azure-api.net", "/", None),
        ] {
            let found = address(host, path);
            let found = found.as_ref().map(|(service, path)| (service.as_deref(), path.as_str()));
            assert_eq!(found, expected, "{host} {path}");
        }
    }

    #[test]
    fn failures_read_as_the_services() {
        let quota = message(&Failure::CallsUsedUp(Some(3_723)));
        assert_eq!(quota, "Out of call volume quota. Quota will be replenished in 01:02:03.");
    }
}
