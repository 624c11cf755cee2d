//! `TestInvokeMethod`: a method as it is edited, called once, with the story of the call.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use millstream_gateway::Matched;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::methods::{Place, find, not_found};
use super::proxy_event::ProxyRequest;
use super::{Answer, ApiGateway, error, input};
use crate::rest_protocol::RestRequest;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    path_with_query_string: Option<String>,
    body: Option<String>,
    headers: Option<BTreeMap<String, String>>,
}

pub(super) async fn call(front: &ApiGateway, request: &RestRequest, place: &Place<'_>) -> Answer {
    let input: Input = input(request)?;
    let method = find(front, place)?;
    let api = front.gateway.get(place.api).map_err(|e| error(&e))?;
    let resource =
        api.resources.get(place.resource).cloned().ok_or_else(|| not_found("Invalid Resource identifier specified"))?;
    let integration = method.integration.clone().ok_or_else(|| not_found("No integration defined for method"))?;
    let whole = input.path_with_query_string.filter(|path| !path.is_empty()).unwrap_or_else(|| resource.path.clone());
    let (path, query) = whole.split_once('?').unwrap_or((&whole, ""));
    let headers: HeaderMap = input
        .headers
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?)))
        .collect();
    let body = Bytes::from(input.body.unwrap_or_default());
    let (request_id, begun) = (uuid::Uuid::new_v4().to_string(), front.clock.now());
    let proxy = ProxyRequest {
        api: place.api,
        stage: "test-invoke-stage",
        method: place.verb,
        path,
        query,
        headers: &headers,
        body: &body,
        request_id: &request_id,
        now: begun,
    };
    let matched = Matched { resource, method, parameters: BTreeMap::new() };
    let response = front.integrate(&proxy, &matched, &integration).await;
    let latency = front.clock.now() - begun;
    let status = response.status().as_u16();
    let mut log = Log::begin(&request_id, begun);
    log.line(&format!("HTTP Method: {}, Resource Path: {}", place.verb, matched.resource.path));
    log.line(&format!("Method request body before transformations: {}", String::from_utf8_lossy(&body)));
    log.line(&format!("Endpoint request URI: {}", integration.uri));
    log.line(&format!("Received response. Status: {status}, Integration latency: {latency} ms"));
    log.line(&format!("Endpoint response body before transformations: {}", String::from_utf8_lossy(response.body())));
    log.line("Successfully completed execution");
    log.line(&format!("Method completed with status: {status}"));
    let headers: Map<String, Value> = response
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    let multiple: Map<String, Value> = headers.iter().map(|(name, value)| (name.clone(), json!([value]))).collect();
    let answer = json!({
        "status": status,
        "body": String::from_utf8_lossy(response.body()),
        "headers": headers,
        "multiValueHeaders": multiple,
        "log": log.text,
        "latency": latency,
    });
    Ok((StatusCode::OK, answer))
}

/// The story of a call, a line a step, as the service tells it.
struct Log {
    text: String,
    time: String,
}

impl Log {
    fn begin(request_id: &str, now: i64) -> Self {
        let at = jiff::Timestamp::from_millisecond(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let time = at.strftime("%a %b %d %H:%M:%S UTC %Y").to_string();
        let mut log = Self { text: format!("Execution log for request {request_id}\n"), time };
        log.line(&format!("Starting execution for request: {request_id}"));
        log
    }

    fn line(&mut self, line: &str) {
        // Writing to a String does not fail.
        let _ = writeln!(self.text, "{} : {line}", self.time);
    }
}
