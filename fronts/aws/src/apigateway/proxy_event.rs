//! The event of a proxy integration and the answer it expects. Source: the developer guide, "Input format of a Lambda
//! function for proxy integration" (version 1.0).

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use millstream_gateway::Matched;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::place::Place;

/// A request on its way to a function.
pub(super) struct ProxyRequest<'r> {
    pub(super) api: &'r str,
    pub(super) stage: &'r str,
    pub(super) method: &'r str,
    /// Behind the stage, with its leading slash.
    pub(super) path: &'r str,
    pub(super) query: &'r str,
    pub(super) headers: &'r HeaderMap,
    pub(super) body: &'r Bytes,
    pub(super) request_id: &'r str,
    pub(super) now: i64,
}

/// The event.
pub(super) fn event(request: &ProxyRequest<'_>, matched: &Matched, place: &Place) -> Value {
    let (headers, multi_headers) = header_maps(request.headers);
    let (query, multi_query) = query_maps(request.query);
    let parameters: Map<String, Value> =
        matched.parameters.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let (body, encoded) = match std::str::from_utf8(request.body) {
        _ if request.body.is_empty() => (Value::Null, false),
        Ok(text) => (json!(text), false),
        Err(_) => (json!(base64_simd::STANDARD.encode_to_string(request.body)), true),
    };
    json!({
        "resource": matched.resource.path,
        "path": request.path,
        "httpMethod": request.method,
        "headers": headers,
        "multiValueHeaders": multi_headers,
        "queryStringParameters": query,
        "multiValueQueryStringParameters": multi_query,
        "pathParameters": if parameters.is_empty() { Value::Null } else { Value::Object(parameters) },
        "stageVariables": null,
        "requestContext": context(request, matched, place),
        "body": body,
        "isBase64Encoded": encoded,
    })
}

fn context(request: &ProxyRequest<'_>, matched: &Matched, place: &Place) -> Value {
    let at = jiff::Timestamp::from_millisecond(request.now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let agent = request.headers.get("user-agent").and_then(|value| value.to_str().ok());
    json!({
        "accountId": place.account,
        "resourceId": matched.resource.id,
        "resourcePath": matched.resource.path,
        "path": format!("/{}{}", request.stage, request.path),
        "stage": request.stage,
        "domainName": format!("{}.execute-api.localhost", request.api),
        "domainPrefix": request.api,
        "requestId": request.request_id,
        "extendedRequestId": request.request_id,
        "protocol": "HTTP/1.1",
        "httpMethod": request.method,
        "requestTime": at.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
        "requestTimeEpoch": request.now,
        "apiId": request.api,
        "identity": {
            "cognitoIdentityPoolId": null, "accountId": null, "cognitoIdentityId": null, "caller": null,
            "sourceIp": "127.0.0.1", "principalOrgId": null, "accessKey": null, "cognitoAuthenticationType": null,
            "cognitoAuthenticationProvider": null, "userArn": null, "userAgent": agent, "user": null,
        },
    })
}

fn header_maps(headers: &HeaderMap) -> (Value, Value) {
    let mut all: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        all.entry(name.as_str()).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    maps(all.into_iter().map(|(name, values)| (name.to_owned(), values)).collect())
}

fn query_maps(query: &str) -> (Value, Value) {
    let unescape = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        all.entry(unescape(name)).or_default().push(unescape(value));
    }
    maps(all)
}

/// The last value of each name, and all of them; null when there are none.
fn maps(all: BTreeMap<String, Vec<String>>) -> (Value, Value) {
    if all.is_empty() {
        return (Value::Null, Value::Null);
    }
    let last: Map<String, Value> = all.iter().map(|(name, values)| (name.clone(), json!(values.last()))).collect();
    (Value::Object(last), json!(all))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionAnswer {
    status_code: Value,
    #[serde(default)]
    headers: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    multi_value_headers: Option<BTreeMap<String, Vec<Value>>>,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    is_base64_encoded: Option<bool>,
}

/// The function's answer as an HTTP answer; `None` when it has another form.
pub(super) fn answer(payload: &[u8]) -> Option<Response<Bytes>> {
    let answer: FunctionAnswer = serde_json::from_slice(payload).ok()?;
    let status = match &answer.status_code {
        Value::Number(number) => u16::try_from(number.as_u64()?).ok()?,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    let body = match answer.body {
        None | Some(Value::Null) => Bytes::new(),
        Some(Value::String(text)) if answer.is_base64_encoded == Some(true) => {
            Bytes::from(base64_simd::STANDARD.decode_to_vec(text).ok()?)
        }
        Some(Value::String(text)) => Bytes::from(text),
        Some(_) => return None,
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).ok()?;
    let single = answer.headers.into_iter().flatten().map(|(name, value)| (name, vec![value]));
    let multiple = answer.multi_value_headers.into_iter().flatten();
    for (name, values) in single.chain(multiple) {
        let name = HeaderName::try_from(name).ok()?;
        for value in values {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            response.headers_mut().append(name.clone(), HeaderValue::try_from(text).ok()?);
        }
    }
    if !response.headers().contains_key("content-type") {
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_the_right_form_are_taken_and_others_are_not() {
        let taken =
            answer(br#"{"statusCode":201,"headers":{"X-A":"1"},"multiValueHeaders":{"x-b":["2","3"]},"body":"{}"}"#)
                .unwrap();
        assert_eq!((taken.status(), taken.headers()["x-a"].as_bytes()), (StatusCode::CREATED, &b"1"[..]));
        assert_eq!(taken.headers().get_all("x-b").iter().count(), 2);
        assert_eq!(answer(br#"{"statusCode":"200","body":"aGk=","isBase64Encoded":true}"#).unwrap().body(), "hi");
        for other in
            [&b"null"[..], b"{}", b"[]", br#"{"statusCode":200,"body":{}}"#, br#"{"statusCode":99999}"#, b"no json"]
        {
            assert!(answer(other).is_none(), "{}", String::from_utf8_lossy(other));
        }
    }
}
