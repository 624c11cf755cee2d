//! A request of a deployed API, as the engine takes it from a front, and what mappings see of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bytes::Bytes;
use http::HeaderMap;
use millstream_types::Millis;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};

use crate::route::Matched;
use crate::stages::Served;

/// A request for a stage of an API.
#[derive(Debug, Clone)]
pub struct ApiRequest {
    /// The id that the answer carries.
    pub id: String,
    /// The API's id.
    pub api: String,
    /// The stage's name.
    pub stage: String,
    /// The HTTP method.
    pub method: String,
    /// The path behind the stage, as it was sent, with its leading slash.
    pub path: String,
    /// What follows the question mark, as it was sent; empty without.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Who sent it.
    pub peer: IpAddr,
    /// The host that it was sent to, without the port.
    pub domain: String,
    /// The account that the API belongs to.
    pub account: String,
    /// When it came.
    pub now: Millis,
}

impl ApiRequest {
    /// The values of each header, by its name in lower case.
    #[must_use]
    pub fn header_values(&self) -> BTreeMap<String, Vec<String>> {
        header_values(&self.headers)
    }

    /// The values of each parameter of the query, unescaped.
    #[must_use]
    pub fn query_values(&self) -> BTreeMap<String, Vec<String>> {
        query_values(&self.query)
    }

    /// The media type of the body; JSON unless something else is said.
    #[must_use]
    pub fn media_type(&self) -> &str {
        media_type(&self.headers)
    }

    /// What mappings know of the call itself: `$context`.
    #[must_use]
    pub fn context(&self, served: &Served<'_>) -> Value {
        let (matched, caller) = (&served.matched, served.caller.as_ref());
        let at = jiff::Timestamp::from_millisecond(self.now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let agent = self.headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        json!({
            "accountId": self.account,
            "apiId": self.api,
            "stage": self.stage,
            "resourceId": matched.resource.id,
            "resourcePath": matched.resource.path,
            "httpMethod": self.method,
            "path": format!("/{}{}", self.stage, self.path),
            "protocol": "HTTP/1.1",
            "domainName": self.domain,
            "domainPrefix": self.domain.split('.').next(),
            "requestId": self.id,
            "extendedRequestId": self.id,
            "requestTime": at.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "requestTimeEpoch": self.now,
            "identity": {
                "sourceIp": self.peer.to_string(),
                "userAgent": agent,
                "apiKey": caller.map(|caller| &caller.value),
                "apiKeyId": caller.map(|caller| &caller.key),
            },
        })
    }

    /// What mappings know of the parameters: the last value of each, by place.
    #[must_use]
    pub fn parameters(&self, matched: &Matched<'_>) -> Value {
        let last = |values: BTreeMap<String, Vec<String>>| -> Map<String, Value> {
            values.into_iter().map(|(name, values)| (name, json!(values.last()))).collect()
        };
        json!({
            "path": matched.parameters,
            "querystring": last(self.query_values()),
            "header": last(self.header_values()),
        })
    }
}

/// The values of each header, by its name in lower case.
pub(crate) fn header_values(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        all.entry(name.as_str().to_owned()).or_default().push(value);
    }
    all
}

/// The values of each parameter of a query, unescaped.
pub(crate) fn query_values(query: &str) -> BTreeMap<String, Vec<String>> {
    let unescape = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        all.entry(unescape(name)).or_default().push(unescape(value));
    }
    all
}

/// The media type without its parameters; JSON unless something else is said.
pub(crate) fn media_type(headers: &HeaderMap) -> &str {
    let said = headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    said.and_then(|said| said.split(';').next())
        .map(str::trim)
        .filter(|said| !said.is_empty())
        .unwrap_or("application/json")
}
