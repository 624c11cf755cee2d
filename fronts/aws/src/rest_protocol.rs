//! The REST JSON protocol: requests by method and path, errors by the header `x-amzn-ErrorType`.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use millstream_access::Caller;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::json_protocol::ServiceError;

/// A request of a REST service, its signature checked.
#[derive(Debug, Clone)]
pub struct RestRequest {
    /// The method.
    pub method: Method,
    /// The path as sent, still escaped: `/2015-03-31/functions/name`.
    pub path: String,
    /// The query string as sent; empty when there is none.
    pub query: String,
    /// The scheme of the address that it was sent to: `http` or `https`.
    pub scheme: &'static str,
    /// All headers.
    pub headers: HeaderMap,
    /// The body, unpacked.
    pub body: Bytes,
    /// The id that the answer's `x-amzn-RequestId` carries.
    pub request_id: String,
    /// Whose key signed it.
    pub caller: Caller,
}

impl RestRequest {
    /// The parts of the path, unescaped.
    #[must_use]
    pub fn segments(&self) -> Vec<String> {
        self.path.trim_matches('/').split('/').map(unescape).collect()
    }

    /// The parameters of the query, unescaped; the last of a name wins.
    #[must_use]
    pub fn parameters(&self) -> BTreeMap<String, String> {
        let pairs = self.query.split('&').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (unescape(&name.replace('+', " ")), unescape(&value.replace('+', " ")))
            })
            .collect()
    }

    /// All values of a parameter of the query that may stand there several times, unescaped.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<String> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let values = pairs.filter(|(found, _)| unescape(found) == name);
        values.map(|(_, value)| unescape(&value.replace('+', " "))).collect()
    }

    /// A header's text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

fn unescape(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// An answer with a JSON document.
#[must_use]
pub fn document(status: StatusCode, document: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(document.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An error as REST services answer it; its extra members are added to the document.
#[must_use]
pub fn error(error: &ServiceError) -> Response<Bytes> {
    let mut body = json!({ "message": error.message });
    for (member, value) in &error.extra {
        body[*member] = value.clone();
    }
    let mut response = document(StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST), &body);
    if let Ok(code) = HeaderValue::from_str(&error.code) {
        response.headers_mut().insert("x-amzn-errortype", code);
    }
    response
}
