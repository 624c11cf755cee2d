//! An answer before it goes out: status, JSON, and the headers that every answer has.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use crate::request::AzureRequest;

/// What this node speaks, told in each answer.
const VERSION: &str = "2020-07-15";

/// Where a session stands. A write is acknowledged when all readers see it, so no session is ever behind, and the token
/// never needs to move: range 0, version -1, position 0.
const SESSION: &str = "0:-1#0";

pub(super) struct Answer {
    status: StatusCode,
    body: Bytes,
    headers: Vec<(&'static str, String)>,
}

impl Answer {
    pub fn of(status: StatusCode, body: &Value) -> Self {
        Self { status, body: Bytes::from(body.to_string()), headers: Vec::new() }
    }

    pub fn empty(status: StatusCode) -> Self {
        Self { status, body: Bytes::new(), headers: Vec::new() }
    }

    /// A resource, with its etag.
    pub fn resource(status: StatusCode, resource: &Value) -> Self {
        let etag = resource["_etag"].as_str().unwrap_or_default();
        Self::of(status, resource).header("etag", etag)
    }

    /// A page of resources, called `name`, of an owner.
    pub fn feed(owner: &str, name: &str, rows: Vec<Value>) -> Self {
        let count = rows.len();
        let mut body = serde_json::Map::new();
        body.insert("_rid".into(), owner.into());
        body.insert(name.into(), Value::Array(rows));
        body.insert("_count".into(), count.into());
        Self::of(StatusCode::OK, &Value::Object(body)).header("x-ms-item-count", &count.to_string())
    }

    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub fn response(self, request: &AzureRequest) -> Response<Bytes> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if self.status != StatusCode::NO_CONTENT && self.status != StatusCode::NOT_MODIFIED {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        headers.insert("x-ms-version", HeaderValue::from_static(VERSION));
        headers.insert("x-ms-session-token", HeaderValue::from_static(SESSION));
        // Nothing is metered here, so nothing is charged.
        headers.insert("x-ms-request-charge", HeaderValue::from_static("0"));
        let activity = ("x-ms-activity-id", activity_id(request).to_owned());
        for (name, value) in self.headers.into_iter().chain([activity]) {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// The id under which both sides find the request again: the client's own, if it gave one.
pub(super) fn activity_id(request: &AzureRequest) -> &str {
    request.header("x-ms-activity-id").unwrap_or(&request.request_id)
}
