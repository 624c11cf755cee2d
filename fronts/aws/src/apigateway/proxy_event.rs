//! The event of a proxy integration and the answer it expects. Source: the developer guide, "Input format of a Lambda
//! function for proxy integration" (version 1.0).

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode};
use millstream_gateway::{ApiRequest, Served, WholeRequest};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The wire shape of proxy integrations.
#[derive(Debug, Clone, Copy)]
pub struct LambdaProxy;

impl WholeRequest for LambdaProxy {
    fn event(&self, request: &ApiRequest, served: &Served<'_>) -> Bytes {
        Bytes::from(event(request, served).to_string())
    }

    fn answer(&self, payload: &[u8]) -> Option<Response<Bytes>> {
        answer(payload)
    }
}

fn event(request: &ApiRequest, served: &Served<'_>) -> Value {
    let (headers, multi_headers) = maps(request.header_values());
    let (query, multi_query) = maps(request.query_values());
    let parameters = &served.matched.parameters;
    let (body, encoded) = match std::str::from_utf8(&request.body) {
        _ if request.body.is_empty() => (Value::Null, false),
        Ok(text) => (json!(text), false),
        Err(_) => (json!(base64_simd::STANDARD.encode_to_string(&request.body)), true),
    };
    json!({
        "resource": served.matched.resource.path,
        "path": request.path,
        "httpMethod": request.method,
        "headers": headers,
        "multiValueHeaders": multi_headers,
        "queryStringParameters": query,
        "multiValueQueryStringParameters": multi_query,
        "pathParameters": if parameters.is_empty() { Value::Null } else { json!(parameters) },
        "stageVariables": if served.variables.is_empty() { Value::Null } else { json!(served.variables) },
        "requestContext": context(request, served),
        "body": body,
        "isBase64Encoded": encoded,
    })
}

/// What mappings know of the call, with the members of the identity that only signed requests have.
fn context(request: &ApiRequest, served: &Served<'_>) -> Value {
    let mut context = request.context(served);
    for member in [
        "cognitoIdentityPoolId",
        "accountId",
        "cognitoIdentityId",
        "caller",
        "principalOrgId",
        "accessKey",
        "cognitoAuthenticationType",
        "cognitoAuthenticationProvider",
        "userArn",
        "user",
    ] {
        context["identity"][member] = Value::Null;
    }
    context
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
fn answer(payload: &[u8]) -> Option<Response<Bytes>> {
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
