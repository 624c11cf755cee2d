//! What services that are managed through the cloud's resource manager share: whose path it is, who is let in, refusals.
//!
//! `/subscriptions/S/resourceGroups/G/providers/PROVIDER/…`. Its tokens come from a directory that this node cannot ask, so
//! a development node takes any bearer token and others take none. Source: the Azure Resource Manager's REST conventions.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::request::AzureRequest;

/// A refusal as the resource manager words it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }
}

/// Whether a path is one of a provider's resources; providers are named in any case of letters.
pub(crate) fn is_of_provider(path: &str, provider: &str) -> bool {
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    segments.next().is_some_and(|first| first.eq_ignore_ascii_case("subscriptions"))
        && segments.any(|segment| segment.eq_ignore_ascii_case(provider))
}

/// Lets a request in, or says why not.
pub(crate) fn authorize(request: &AzureRequest, development: bool) -> Result<(), Refusal> {
    if !development {
        let message = "This node checks no tokens, so it takes management requests only with --dev. Describe the \
                       resource in the pipeline file instead.";
        return Err(Refusal::new(StatusCode::FORBIDDEN, "AuthorizationFailed", message));
    }
    let token = request.header("authorization").and_then(|value| value.split_once(' '));
    if token.is_some_and(|(scheme, token)| scheme.eq_ignore_ascii_case("Bearer") && !token.trim().is_empty()) {
        return Ok(());
    }
    let message =
        "Authentication failed. The 'Authorization' header is missing or has another form than 'Bearer TOKEN'.";
    Err(Refusal::new(StatusCode::UNAUTHORIZED, "AuthenticationFailed", message))
}

/// Refuses a request that does not say which version of the interface it speaks.
pub(crate) fn require_api_version(request: &AzureRequest) -> Result<(), Refusal> {
    let mut pairs = request.query.split('&');
    if pairs.any(|pair| pair.strip_prefix("api-version=").is_some_and(|version| !version.is_empty())) {
        return Ok(());
    }
    let message = "The api-version query parameter (?api-version=) is required for all requests.";
    Err(Refusal::new(StatusCode::BAD_REQUEST, "MissingApiVersionParameter", message))
}

/// An answer of JSON; null: one without a body.
pub(crate) fn answer(status: StatusCode, document: &Value) -> Response<Bytes> {
    let body = if document.is_null() { Bytes::new() } else { Bytes::from(document.to_string()) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}

/// The document of a refusal; `details` are left out when there are none.
pub(crate) fn refusal_document(code: &str, message: &str, details: &[Value]) -> Value {
    let mut error = json!({ "code": code, "message": message });
    if !details.is_empty() {
        error["details"] = json!(details);
    }
    json!({ "error": error })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_of_the_provider_it_names() {
        let path = "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventHub/namespaces/n";
        for (path, expected) in [
            (path.to_owned(), true),
            (path.to_lowercase(), true),
            (path.replace("EventHub", "EventGrid"), false),
            (path.replace("/subscriptions", "/tenants"), false),
            ("/Microsoft.EventHub".to_owned(), false),
            ("/".to_owned(), false),
        ] {
            assert_eq!(is_of_provider(&path, "Microsoft.EventHub"), expected, "{path}");
        }
    }
}
