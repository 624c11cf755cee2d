//! `TestInvokeMethod`: a method as it is edited, called once, with the story of the call.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use millstream_gateway::{ApiRequest, Refusal, Served, Story, route};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::data_plane::refused;
use super::methods::{Place, find, not_found};
use super::{Answer, ApiGateway, error, input};
use crate::rest_protocol::RestRequest;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    path_with_query_string: Option<String>,
    body: Option<String>,
    headers: Option<BTreeMap<String, String>>,
    multi_value_headers: Option<BTreeMap<String, Vec<String>>>,
    stage_variables: Option<BTreeMap<String, String>>,
}

pub(super) async fn call(front: &ApiGateway, request: &RestRequest, place: &Place<'_>) -> Answer {
    let input: Input = input(request)?;
    let method = find(front, place)?;
    let api = front.gateway.get(place.api).map_err(|e| error(&e))?;
    let resource = api.resources.get(place.resource);
    let resource = resource.ok_or_else(|| not_found("Invalid Resource identifier specified"))?;
    let whole = input.path_with_query_string.filter(|path| !path.is_empty()).unwrap_or_else(|| resource.path.clone());
    let (path, query) = whole.split_once('?').unwrap_or((&whole, ""));
    let proxy = ApiRequest {
        id: uuid::Uuid::new_v4().to_string(),
        api: place.api.to_owned(),
        stage: "test-invoke-stage".to_owned(),
        method: place.verb.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers: headers(input.headers.unwrap_or_default(), input.multi_value_headers.unwrap_or_default()),
        body: Bytes::from(input.body.unwrap_or_default()),
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        domain: "testPrefix.testDomainName".to_owned(),
        account: front.place.account.clone(),
        now: front.clock.now(),
    };
    let validator = method.validator.as_ref().and_then(|id| api.validators.get(id));
    let variables = input.stage_variables.unwrap_or_default();
    let served = Served::alone(route::tried(resource, &method, path), &variables, validator);
    let mut story = Story::default();
    let result = front.calls.serve(&proxy, &served, Some(&mut story)).await;
    let latency = front.clock.now() - proxy.now;
    let log = log(&proxy, &served, &story, &result);
    let response = result.unwrap_or_else(|refusal| refused(&refusal));
    let single = |values: &BTreeMap<String, Vec<String>>| -> Map<String, Value> {
        values.iter().map(|(name, values)| (name.clone(), json!(values.last()))).collect()
    };
    let multiple = multi_values(response.headers());
    let answer = json!({
        "status": response.status().as_u16(),
        "body": String::from_utf8_lossy(response.body()),
        "headers": single(&multiple),
        "multiValueHeaders": multiple,
        "log": log,
        "latency": latency,
    });
    Ok((StatusCode::OK, answer))
}

fn headers(single: BTreeMap<String, String>, multiple: BTreeMap<String, Vec<String>>) -> HeaderMap {
    let single = single.into_iter().map(|(name, value)| (name, vec![value]));
    let mut headers = HeaderMap::new();
    for (name, values) in single.chain(multiple) {
        let Ok(name) = HeaderName::try_from(name) else { continue };
        for value in values.into_iter().filter_map(|value| HeaderValue::try_from(value).ok()) {
            headers.append(name.clone(), value);
        }
    }
    headers
}

fn multi_values(headers: &HeaderMap) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        all.entry(name.as_str().to_owned()).or_default().push(value);
    }
    all
}

/// The story of a call, a line a step, as the service tells it.
fn log(request: &ApiRequest, served: &Served<'_>, story: &Story, result: &Result<Response<Bytes>, Refusal>) -> String {
    let at = jiff::Timestamp::from_millisecond(request.now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let time = at.strftime("%a %b %d %H:%M:%S UTC %Y").to_string();
    let mut log = format!("Execution log for request {}\n", request.id);
    // Writing to a String does not fail.
    let mut line = |line: String| {
        let _ = writeln!(log, "{time} : {line}");
    };
    line(format!("Starting execution for request: {}", request.id));
    line(format!("HTTP Method: {}, Resource Path: {}", request.method, request.path));
    line(format!("Method request path: {}", listed(&story.path_parameters)));
    line(format!("Method request query string: {}", listed(&last(request.query_values()))));
    line(format!("Method request headers: {}", listed(&last(request.header_values()))));
    line(format!("Method request body before transformations: {}", String::from_utf8_lossy(&request.body)));
    if !story.endpoint.is_empty() {
        let uri = served.matched.method.integration.as_ref().map_or("", |integration| integration.uri.as_str());
        let endpoint = if story.endpoint.contains("://") { story.endpoint.as_str() } else { uri };
        line(format!("Endpoint request URI: {endpoint}"));
        line(format!("Endpoint request headers: {}", listed(&last(multi_values(&story.sent_headers)))));
        let body = String::from_utf8_lossy(&story.sent_body);
        line(format!("Endpoint request body after transformations: {body}"));
        line(format!("Sending request to {endpoint}"));
        let status = story.received_status.unwrap_or(200);
        line(format!("Received response. Status: {status}, Integration latency: {} ms", story.latency_ms));
        line(format!("Endpoint response headers: {}", listed(&last(multi_values(&story.received_headers)))));
        let body = String::from_utf8_lossy(&story.received_body);
        line(format!("Endpoint response body before transformations: {body}"));
    }
    match result {
        Ok(response) => {
            line(format!("Method response body after transformations: {}", String::from_utf8_lossy(response.body())));
            line(format!("Method response headers: {}", listed(&last(multi_values(response.headers())))));
            line("Successfully completed execution".to_owned());
            line(format!("Method completed with status: {}", response.status().as_u16()));
        }
        Err(refusal) => {
            line(format!("Execution failed: {refusal}"));
            line(format!("Method completed with status: {}", refused(refusal).status().as_u16()));
        }
    }
    log
}

fn last(values: BTreeMap<String, Vec<String>>) -> BTreeMap<String, String> {
    values.into_iter().filter_map(|(name, mut values)| Some((name, values.pop()?))).collect()
}

/// Names and values as the service's log writes them: `{a=1, b=2}`.
fn listed(values: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{{{}}}", pairs.join(", "))
}
