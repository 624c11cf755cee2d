//! Where a function's package can be had without a signature, as `GetFunction` says it: an address of this node that names the
//! package in a sealed text and is good for ten minutes, like the service's own.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request};
use millstream_catalog::FunctionDefinition;
use millstream_types::Millis;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use super::Lambda;
use crate::rest_protocol::RestRequest;

const PATH: &str = "/2015-03-31/function-packages";
const PURPOSE: &str = "function package";
const LIFETIME_MS: Millis = 600_000;

/// What an address names: until when it is good, which function, which package of it.
struct Named {
    until: Millis,
    function: String,
    hash: String,
}

impl Named {
    fn encode(&self) -> Vec<u8> {
        [&self.until.to_be_bytes()[..], self.function.as_bytes(), b"/", self.hash.as_bytes()].concat()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (until, names) = bytes.split_first_chunk()?;
        // Names of functions have no slash.
        let (function, hash) = std::str::from_utf8(names).ok()?.split_once('/')?;
        Some(Self { until: Millis::from_be_bytes(*until), function: function.to_owned(), hash: hash.to_owned() })
    }
}

/// The address of a function's package at the host that the request was sent to.
pub(super) fn of(lambda: &Lambda, request: &RestRequest, function: &FunctionDefinition) -> String {
    let until = lambda.functions.time() + LIFETIME_MS;
    let named = Named { until, function: function.reference(), hash: function.code_hash.clone() };
    let sealed = lambda.seal.seal(PURPOSE, &named.encode());
    let host = request.header("host").unwrap_or("localhost");
    format!("{}://{host}{PATH}?package={}", request.scheme, utf8_percent_encode(&sealed, NON_ALPHANUMERIC))
}

/// Answers a request for a package; `None` for other requests.
pub(super) async fn answer(lambda: &Lambda, head: &request::Parts) -> Option<Response<Bytes>> {
    if head.method != Method::GET || head.uri.path() != PATH {
        return None;
    }
    let sealed = head.uri.query().and_then(|query| query.strip_prefix("package=")).unwrap_or_default();
    let sealed = percent_decode_str(sealed).decode_utf8_lossy();
    let named = lambda.seal.open_text(PURPOSE, &sealed).and_then(|bytes| Named::decode(&bytes));
    let Some(named) = named else { return Some(refused(StatusCode::FORBIDDEN, "The address is not one of this node")) };
    if named.until < lambda.functions.time() {
        return Some(refused(StatusCode::FORBIDDEN, "Request has expired"));
    }
    let is_there = lambda.functions.find(&named.function).is_ok_and(|function| function.code_hash == named.hash);
    if !is_there {
        return Some(refused(StatusCode::NOT_FOUND, "The function has another package now, or is gone"));
    }
    Some(match lambda.functions.package(&named.function).await {
        Ok(package) => {
            let mut response = Response::new(package);
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zip"));
            response
        }
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    })
}

fn refused(status: StatusCode, message: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(format!("{message}\n")));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_address_names_is_read_back() {
        let bytes = Named { until: 7, function: "f".into(), hash: "a/b+c=".into() }.encode();
        let named = Named::decode(&bytes).unwrap();
        assert_eq!((named.until, named.function.as_str(), named.hash.as_str()), (7, "f", "a/b+c="));
        assert!(Named::decode(b"short").is_none() && Named::decode(b"12345678no-slash").is_none());
    }
}
