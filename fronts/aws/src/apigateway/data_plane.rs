//! Deployed APIs: requests without a signature, routed over a stage's deployment.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request::Parts};
use millstream_catalog::Integration;
use millstream_gateway::Matched;
use millstream_types::{ErrorKind, Invocation};
use serde_json::json;

use super::ApiGateway;
use super::proxy_event::{ProxyRequest, answer, event};

/// How long an integration may take, milliseconds: the service's own default.
const TIMEOUT_MS: u32 = 29_000;

/// The largest request: the service's own limit.
const BODY_BYTES_MAX: usize = 10 << 20;

impl ApiGateway {
    /// Answers a request to a deployed API; `None`: it is none.
    pub(crate) async fn public(&self, head: &Parts, body: &Bytes) -> Option<Response<Bytes>> {
        let (api, stage, path) = address(head)?;
        let begun = self.clock.now();
        let request_id = uuid::Uuid::new_v4().to_string();
        let request = ProxyRequest {
            api: &api,
            stage: &stage,
            method: head.method.as_str(),
            path: &path,
            query: head.uri.query().unwrap_or_default(),
            headers: &head.headers,
            body,
            request_id: &request_id,
            now: begun,
        };
        let mut response = self.execute(&request).await;
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert("x-amzn-requestid", id.clone());
            response.headers_mut().insert("x-amz-apigw-id", id);
        }
        let milliseconds = u64::try_from(self.clock.now() - begun).unwrap_or(0);
        self.gateway.answered(&api, response.status().as_u16(), milliseconds);
        Some(response)
    }

    async fn execute(&self, request: &ProxyRequest<'_>) -> Response<Bytes> {
        if request.body.len() > BODY_BYTES_MAX {
            return failure(413, "RequestTooLargeException", "Request Too Long");
        }
        match self.gateway.route(request.api, request.stage, request.method, request.path) {
            Ok(Some(matched)) => match matched.method.integration.clone() {
                Some(integration) => self.integrate(request, &matched, &integration).await,
                None => failure(500, "InternalServerErrorException", "Internal server error"),
            },
            Ok(None) => failure(403, "MissingAuthenticationTokenException", "Missing Authentication Token"),
            Err(_) => failure(403, "ForbiddenException", "Forbidden"),
        }
    }

    /// Calls what a method is integrated with.
    pub(super) async fn integrate(
        &self,
        request: &ProxyRequest<'_>,
        matched: &Matched,
        integration: &Integration,
    ) -> Response<Bytes> {
        let Some(function) = &integration.function else { return mock(integration) };
        let proxy = integration.kind == "AWS_PROXY";
        let payload = if proxy {
            Bytes::from(event(request, matched, &self.place).to_string())
        } else {
            match mapped(integration, request.headers, request.body) {
                Ok(payload) => payload,
                Err(response) => return *response,
            }
        };
        let invocation = Invocation {
            function: function.clone(),
            payload,
            source: format!("api:{}", request.api),
            client_context: None,
            log_tail: false,
        };
        let timeout = Duration::from_millis(integration.timeout_ms.unwrap_or(TIMEOUT_MS).into());
        let outcome = match tokio::time::timeout(timeout, self.invoke.invoke(invocation)).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) if error.kind == ErrorKind::Throttled => {
                return failure(500, "InternalServerErrorException", "Internal server error");
            }
            Ok(Err(_)) => return failure(500, "InternalServerErrorException", "Internal server error"),
            Err(_) => return failure(504, "InternalServerErrorException", "Endpoint request timed out"),
        };
        if !proxy {
            return plain(integration, outcome.error.is_some(), outcome.payload);
        }
        let answer = if outcome.error.is_some() { None } else { answer(&outcome.payload) };
        answer.unwrap_or_else(|| failure(502, "InternalServerErrorException", "Internal server error"))
    }
}

/// API, stage and path of a request: `/restapis/API/STAGE/_user_request_/PATH`, `/_aws/execute-api/API/STAGE/PATH`, or
/// `/STAGE/PATH` on the host `API.execute-api.…`.
fn address(head: &Parts) -> Option<(String, String, String)> {
    let path = head.uri.path();
    let take = |rest: &str| {
        let (api, rest) = rest.split_once('/')?;
        let (stage, path) = rest.split_once('/').unwrap_or((rest, ""));
        Some((api.to_owned(), stage.to_owned(), path.to_owned()))
    };
    if let Some(rest) = path.strip_prefix("/restapis/") {
        let (api, stage, path) = take(rest)?;
        let path = path.strip_prefix("_user_request_")?;
        return Some((api, stage, if path.is_empty() { "/".to_owned() } else { path.to_owned() }));
    }
    if let Some(rest) = path.strip_prefix("/_aws/execute-api/") {
        let (api, stage, path) = take(rest)?;
        return Some((api, stage, format!("/{path}")));
    }
    let host = head.headers.get(header::HOST)?.to_str().ok()?;
    let (api, rest) = host.split_once('.')?;
    rest.starts_with("execute-api.").then_some(())?;
    let path = path.trim_start_matches('/');
    let (stage, path) = path.split_once('/').unwrap_or((path, ""));
    Some((api.to_owned(), stage.to_owned(), format!("/{path}")))
}

/// Whether a template hands the body on as it is.
pub(super) fn passes_body(template: &str) -> bool {
    matches!(template.trim(), "" | "$input.json('$')" | "$input.json(\"$\")" | "$input.body" | "$input.path('$')")
}

/// The body of a plain integration as the function gets it.
fn mapped(integration: &Integration, headers: &http::HeaderMap, body: &Bytes) -> Result<Bytes, Box<Response<Bytes>>> {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/json");
    let media = media.split(';').next().unwrap_or_default().trim();
    let unsupported = || Box::new(failure(415, "BadRequestException", "Unsupported Media Type"));
    match integration.request_templates.get(media) {
        Some(template) if passes_body(template) => {}
        Some(_) => return Err(Box::new(failure(500, "InternalServerErrorException", "Internal server error"))),
        None if integration.passthrough == "NEVER" => return Err(unsupported()),
        None if integration.passthrough == "WHEN_NO_TEMPLATES" && !integration.request_templates.is_empty() => {
            return Err(unsupported());
        }
        None => {}
    }
    if body.is_empty() {
        return Ok(Bytes::from_static(b"{}"));
    }
    match serde_json::from_slice::<serde::de::IgnoredAny>(body) {
        Ok(_) => Ok(body.clone()),
        Err(_) => Err(Box::new(failure(400, "BadRequestException", "Could not parse request body into json"))),
    }
}

/// The answer of a plain integration: by the integration response whose pattern fits the error, else the default one.
fn plain(integration: &Integration, failed: bool, payload: Bytes) -> Response<Bytes> {
    let message = serde_json::from_slice::<serde_json::Value>(&payload)
        .ok()
        .and_then(|document| document.get("errorMessage")?.as_str().map(str::to_owned))
        .unwrap_or_default();
    let fits = |pattern: &str| failed && !pattern.is_empty() && fits(pattern, &message);
    let chosen = integration
        .responses
        .iter()
        .find(|(_, response)| fits(&response.selection_pattern))
        .or_else(|| integration.responses.iter().find(|(_, response)| response.selection_pattern.is_empty()));
    let status = chosen.and_then(|(status, _)| status.parse().ok()).unwrap_or(StatusCode::OK.as_u16());
    let mut response = Response::new(payload);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in chosen.map(|(_, chosen)| &chosen.parameters).into_iter().flatten() {
        let name = name.strip_prefix("method.response.header.").and_then(|name| http::HeaderName::try_from(name).ok());
        let value = HeaderValue::from_str(value.trim_matches('\''));
        if let (Some(name), Ok(value)) = (name, value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Whether a selection pattern is of texts and `.*` only; others are refused when they are defined.
pub(super) fn is_plain_pattern(pattern: &str) -> bool {
    !pattern.replace(".*", "").contains(['(', ')', '[', ']', '{', '}', '|', '+', '*', '?', '^', '$', '\\'])
}

/// Selection patterns are regular expressions over the whole message; here `.*` stands for anything and the rest for itself,
/// which is how they are written.
fn fits(pattern: &str, message: &str) -> bool {
    let parts: Vec<&str> = pattern.split(".*").collect();
    let [first, middle @ .., last] = parts.as_slice() else { return pattern == message };
    let Some(rest) = message.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
    middle.iter().try_fold(rest, |rest, part| rest.split_once(part).map(|(_, rest)| rest)).is_some()
}

fn mock(integration: &Integration) -> Response<Bytes> {
    let status = integration.responses.keys().next().and_then(|status| status.parse::<u16>().ok()).unwrap_or(200);
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn failure(status: u16, kind: &'static str, message: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(json!({ "message": message }).to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert("x-amzn-errortype", HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_messages() {
        for (pattern, message, expected) in [
            ("Bad.*", "Bad trade", true),
            (".*trade", "Bad trade", true),
            (".*tr.*", "Bad trade", true),
            ("Bad", "Bad trade", false),
            ("Bad trade", "Bad trade", true),
            (".*", "", true),
        ] {
            assert_eq!(fits(pattern, message), expected, "{pattern}");
        }
    }

    #[test]
    fn deployed_apis_have_three_addresses() {
        let parts = |uri: &str, host: &str| {
            http::Request::builder().uri(uri).header("host", host).body(()).unwrap().into_parts().0
        };
        let of = |uri: &str, host: &str| address(&parts(uri, host));
        let expected = Some(("a1".to_owned(), "prod".to_owned(), "/orders/7".to_owned()));
        assert_eq!(of("/restapis/a1/prod/_user_request_/orders/7", "x"), expected);
        assert_eq!(of("/_aws/execute-api/a1/prod/orders/7", "x"), expected);
        assert_eq!(of("/prod/orders/7", "a1.execute-api.localhost:4566"), expected);
        assert_eq!(of("/restapis/a1/prod/_user_request_", "x").unwrap().2, "/");
        assert_eq!(of("/restapis/a1/resources", "x"), None);
        assert_eq!(of("/", "localhost:4566"), None);
    }
}
