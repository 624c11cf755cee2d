//! How requests of the other cloud on the same port are told: they are never this front's, whatever else they carry.

use http::header;
use http::request::Parts;

/// Paths below which its published APIs and their management are.
const PUBLISHED_PATHS: [&str; 2] = ["/restapis/", "/_aws/"];

/// What the signatures of its clients begin with.
const SIGNATURE: &str = "AWS4-";

/// Whether a request calls an API that it published. Such a call is between its sender and the API: the headers say nothing.
pub(crate) fn is_published(head: &Parts) -> bool {
    let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    host.contains(".execute-api.") || PUBLISHED_PATHS.iter().any(|path| head.uri.path().starts_with(path))
}

/// Whether a request is one of its clients: signed, in a header or in the address, or with the name of an operation.
pub(crate) fn is_signed(head: &Parts) -> bool {
    let authorization = head.headers.get(header::AUTHORIZATION).map(header::HeaderValue::as_bytes);
    let query = head.uri.query().unwrap_or_default();
    authorization.is_some_and(|value| value.starts_with(SIGNATURE.as_bytes()))
        || head.headers.contains_key("x-amz-target")
        || query.split('&').any(|pair| pair.starts_with("X-Amz-Signature="))
}
