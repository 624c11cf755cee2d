//! What services that are managed through the cloud's resource manager share: whose path it is, who is let in, refusals.
//!
//! `/subscriptions/S/resourceGroups/G/providers/PROVIDER/…`. The cloud's tokens come from a directory that this node cannot
//! ask, so the token is one that the node has issued itself; a development node takes any.
//! Source: the Azure Resource Manager's REST conventions.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use millstream_access::Management;
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
pub(crate) fn authorize(request: &AzureRequest, management: &Management) -> Result<(), Refusal> {
    let unauthorized = |code, message| Err(Refusal::new(StatusCode::UNAUTHORIZED, code, message));
    let given = request.header("authorization").and_then(|value| value.split_once(' '));
    match given {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("Bearer") && !token.trim().is_empty() => {
            if management.admits(token.trim()) {
                return Ok(());
            }
            let message = "The access token is not this node's. 'millstream keys' on its machine shows the right one.";
            unauthorized("InvalidAuthenticationToken", message)
        }
        _ => unauthorized(
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing or has another form than 'Bearer TOKEN'.",
        ),
    }
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
    use std::net::{IpAddr, Ipv4Addr};

    use http::header::AUTHORIZATION;
    use http::{HeaderMap, Method};

    use super::*;

    #[test]
    fn only_the_nodes_own_token_is_taken_and_any_in_development() {
        for (header, token, expected) in [
            ("Bearer x", "", None),
            ("bearer x", "", None),
            ("Bearer ", "", Some(StatusCode::UNAUTHORIZED)),
            ("Basic x", "", Some(StatusCode::UNAUTHORIZED)),
            ("", "", Some(StatusCode::UNAUTHORIZED)),
            ("Bearer x", "y", Some(StatusCode::UNAUTHORIZED)),
            ("Bearer y", "y", None),
        ] {
            let request = AzureRequest {
                method: Method::GET,
                path: String::new(),
                query: String::new(),
                headers: HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(header))]),
                host: String::new(),
                scheme: "http",
                peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
                body: Bytes::new(),
                request_id: String::new(),
            };
            let refused = authorize(&request, &Management::by(token.to_owned())).err().map(|refusal| refusal.status);
            assert_eq!(refused, expected, "{header} {token}");
        }
    }

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
