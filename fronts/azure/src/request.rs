//! A request as the services of this front get it: taken whole, within bounds.

use std::net::IpAddr;

use bytes::Bytes;
use http::{HeaderMap, Method};

/// A request whose body has come.
#[derive(Debug)]
pub struct AzureRequest {
    /// The HTTP method.
    pub method: Method,
    /// The path as it was sent, not decoded: signatures are made over it.
    pub path: String,
    /// What follows the question mark, as it was sent; empty without.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// Whom the client means to speak to: the `Host` header.
    pub host: String,
    /// `https` when it came under TLS, else `http`.
    pub scheme: &'static str,
    /// Who sent it.
    pub peer: IpAddr,
    /// The body as it came.
    pub body: Bytes,
    /// The id under which the answer names this request.
    pub request_id: String,
}

impl AzureRequest {
    /// A header as text; `None` when it is missing or not ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The address under which the client asked, without a slash at its end.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.host)
    }

    /// The path's segments, as they were sent, without empty ones.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter(|segment| !segment.is_empty())
    }
}
