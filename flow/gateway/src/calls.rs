//! The way of a request through a deployed API: its method, what the integration gets, what it gives back, the answer.
//!
//! What mappings make of either side is `mapping`'s business; the shape in which a function gets a whole request
//! is a front's ([`WholeRequest`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header};
use millstream_catalog::Integration;
use millstream_types::{BoxFuture, CheckRole, Clock, Invocation, InvocationOutcome, Invoke, RoleUse};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::backend::{BackendError, Backends};
use crate::engine::Gateway;
use crate::error::Refusal;
use crate::mapping::{self, Endpoint, Outgoing, Sight};
use crate::plan::{Metered, Plans};
use crate::request::ApiRequest;
use crate::stages::Served;

/// How long an integration may take unless it says otherwise, milliseconds: the service's own default.
const TIMEOUT_MS: u32 = 29_000;

/// The largest request, bytes: the service's own limit.
const BODY_BYTES_MAX: usize = 10 << 20;

/// What stands for itself in a part of an address.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// How a function gets a whole request and answers it: a wire shape that only a front knows.
pub trait WholeRequest: Send + Sync + 'static {
    /// The event for a request.
    fn event(&self, request: &ApiRequest, served: &Served<'_>) -> Bytes;

    /// The answer that a function's result stands for; `None` when it has another form.
    fn answer(&self, payload: &[u8]) -> Option<Response<Bytes>>;
}

/// What happened on the way of a request, for whoever tries a method out.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// The parts of the path that parameters stand for.
    pub path_parameters: BTreeMap<String, String>,
    /// Where the integration is: an address, or a function's name.
    pub endpoint: String,
    /// The headers that it got.
    pub sent_headers: HeaderMap,
    /// The body that it got.
    pub sent_body: Bytes,
    /// The status that it answered; `None` for functions and without an answer.
    pub received_status: Option<u16>,
    /// The headers that it answered.
    pub received_headers: HeaderMap,
    /// The body that it answered.
    pub received_body: Bytes,
    /// How long it took, milliseconds.
    pub latency_ms: i64,
}

/// Answers requests of deployed APIs. Cheap to clone.
#[derive(Clone)]
pub struct Calls {
    gateway: Gateway,
    invoke: Arc<dyn Invoke>,
    whole: Arc<dyn WholeRequest>,
    backends: Backends,
    clock: Arc<dyn Clock>,
    plans: Plans,
    roles: Option<Arc<dyn CheckRole>>,
}

/// How a request ended.
pub struct Called {
    /// The answer, or why there is none.
    pub result: Result<Response<Bytes>, Refusal>,
    /// What is to be settled before the answer goes out; `None` when the request is not metered.
    pub metered: Option<Metered>,
}

impl Calls {
    /// The way over what it needs.
    #[must_use]
    pub fn new(
        gateway: Gateway,
        plans: Plans,
        invoke: Arc<dyn Invoke>,
        whole: Arc<dyn WholeRequest>,
        backends: Backends,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { gateway, invoke, whole, backends, clock, plans, roles: None }
    }

    /// The same, asking what the roles of integrations allow, or the functions themselves where there is none.
    #[must_use]
    pub fn with_roles(self, roles: Arc<dyn CheckRole>) -> Self {
        Self { roles: Some(roles), ..self }
    }

    /// Answers a request of a stage that its plan lets through.
    pub fn answer<'a>(&'a self, request: &'a ApiRequest) -> BoxFuture<'a, Called> {
        Box::pin(async move {
            let mut metered = None;
            let result = self.passed(request, &mut metered).await;
            Called { result, metered }
        })
    }

    async fn passed(&self, request: &ApiRequest, metered: &mut Option<Metered>) -> Result<Response<Bytes>, Refusal> {
        if request.body.len() > BODY_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        let api = self.gateway.get(&request.api).map_err(|_| Refusal::UnknownStage)?;
        let found = Served::of(&api, &request.stage, &request.method, &request.path);
        let mut served = found.map_err(|_| Refusal::UnknownStage)?.ok_or(Refusal::UnknownMethod)?;
        if let Some((caller, to_settle)) = self.plans.admit(request, &served).await? {
            served.caller = Some(caller);
            *metered = Some(to_settle);
        }
        self.serve(request, &served, None).await
    }

    /// Calls a method as it is given, deployed or not, and tells what happened to whoever wants to know.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn serve<'a>(
        &'a self,
        request: &'a ApiRequest,
        served: &'a Served<'a>,
        mut story: Option<&'a mut Story>,
    ) -> BoxFuture<'a, Result<Response<Bytes>, Refusal>> {
        Box::pin(async move {
            if let Some(story) = story.as_deref_mut() {
                story.path_parameters.clone_from(&served.matched.parameters);
            }
            validate(request, served)?;
            let integration = served.matched.method.integration.as_ref();
            let integration = integration.ok_or_else(|| misconfigured("the method has no integration"))?;
            match integration.kind.as_str() {
                "AWS_PROXY" => self.whole_request(request, served, integration, story).await,
                "AWS" => self.mapped_function(request, served, integration, story).await,
                "HTTP" | "HTTP_PROXY" => self.backend(request, served, integration, story).await,
                "MOCK" => mock(request, integration, &sight(request, served)),
                other => Err(misconfigured(&format!("the integration type {other} is not supported"))),
            }
        })
    }

    async fn whole_request(
        &self,
        request: &ApiRequest,
        served: &Served<'_>,
        integration: &Integration,
        story: Option<&mut Story>,
    ) -> Result<Response<Bytes>, Refusal> {
        let event = self.whole.event(request, served);
        let outcome = self.invoke(request, served, integration, event, story).await?;
        if outcome.error.is_some() {
            return Err(Refusal::FunctionAnswer);
        }
        self.whole.answer(&outcome.payload).ok_or(Refusal::FunctionAnswer)
    }

    async fn mapped_function(
        &self,
        request: &ApiRequest,
        served: &Served<'_>,
        integration: &Integration,
        story: Option<&mut Story>,
    ) -> Result<Response<Bytes>, Refusal> {
        let sight = sight(request, served);
        let mut body = mapping::request_body(integration, request.media_type(), &request.body, &sight)?;
        if body.is_empty() {
            body = Bytes::from_static(b"{}");
        }
        if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_err() {
            return Err(Refusal::BodyNotJson);
        }
        let outcome = self.invoke(request, served, integration, body, story).await?;
        let message = outcome.error.is_some().then(|| error_message(&outcome.payload));
        let endpoint = Endpoint { selector: message, headers: HeaderMap::new(), body: outcome.payload };
        mapping::answer(&integration.responses, &endpoint, accept(request), &sight)
    }

    async fn invoke(
        &self,
        request: &ApiRequest,
        served: &Served<'_>,
        integration: &Integration,
        payload: Bytes,
        mut story: Option<&mut Story>,
    ) -> Result<InvocationOutcome, Refusal> {
        let function =
            integration.function.as_deref().ok_or_else(|| misconfigured("the integration has no function"))?;
        let function = mapping::filled(function, served.variables);
        if let Some(story) = story.as_deref_mut() {
            story.endpoint.clone_from(&function);
            story.sent_body = payload.clone();
        }
        if let Some(roles) = &self.roles {
            let method = method_of(request, served);
            let permitted = roles.check(&integration.role, &method, RoleUse::Invoke(&function));
            permitted.map_err(|reason| {
                tracing::warn!(api = %request.api, %function, reason, "a function may not be run for an API");
                Refusal::FunctionNotRun(reason)
            })?;
        }
        let invocation = Invocation {
            function,
            payload,
            source: format!("api:{}", request.api),
            client_context: None,
            log_tail: false,
        };
        let begun = self.clock.now();
        let outcome = tokio::time::timeout(timeout(integration), self.invoke.invoke(invocation)).await;
        if let Some(story) = story.as_deref_mut() {
            story.latency_ms = self.clock.now() - begun;
        }
        let outcome = outcome.map_err(|_| Refusal::TimedOut)?;
        let outcome = outcome.map_err(|error| Refusal::FunctionNotRun(error.message))?;
        if let Some(story) = story {
            story.received_body = outcome.payload.clone();
        }
        Ok(outcome)
    }

    async fn backend(
        &self,
        request: &ApiRequest,
        served: &Served<'_>,
        integration: &Integration,
        story: Option<&mut Story>,
    ) -> Result<Response<Bytes>, Refusal> {
        if integration.kind == "HTTP_PROXY" {
            // Most pass everything on as it is: then nothing of the request is made into what mappings see.
            let mapped = !integration.request_parameters.is_empty();
            let outgoing = mapped.then(|| mapping::outgoing(&integration.request_parameters, &sight(request, served)));
            let outgoing = outgoing.unwrap_or_default();
            let uri = backend_uri(served, integration, &outgoing, &request.query)?;
            let headers = with_mapped(request.headers.clone(), outgoing);
            return self.exchange(request, integration, (uri, headers, request.body.clone()), story).await;
        }
        let sight = sight(request, served);
        let outgoing = mapping::outgoing(&integration.request_parameters, &sight);
        let body = mapping::request_body(integration, request.media_type(), &request.body, &sight)?;
        let uri = backend_uri(served, integration, &outgoing, "")?;
        let headers = with_mapped(kept_headers(request), outgoing);
        let received = self.exchange(request, integration, (uri, headers, body), story).await?;
        let selector = Some(received.status().as_str().to_owned());
        let (head, body) = received.into_parts();
        let endpoint = Endpoint { selector, headers: head.headers, body };
        mapping::answer(&integration.responses, &endpoint, accept(request), &sight)
    }

    /// Sends a request to a backend and takes its answer.
    async fn exchange(
        &self,
        request: &ApiRequest,
        integration: &Integration,
        (uri, headers, body): (Uri, HeaderMap, Bytes),
        mut story: Option<&mut Story>,
    ) -> Result<Response<Bytes>, Refusal> {
        let method = match integration.http_method.as_str() {
            "" | "ANY" => &request.method,
            other => other,
        };
        let mut sent = Request::new(body);
        *sent.method_mut() = method.parse().map_err(|_| misconfigured("the integration's method is no HTTP method"))?;
        (*sent.headers_mut(), *sent.uri_mut()) = (headers, uri);
        if let Some(story) = story.as_deref_mut() {
            story.endpoint = sent.uri().to_string();
            (story.sent_headers, story.sent_body) = (sent.headers().clone(), sent.body().clone());
        }
        let begun = self.clock.now();
        let received = self.backends.send(sent, timeout(integration)).await;
        if let Some(story) = story.as_deref_mut() {
            story.latency_ms = self.clock.now() - begun;
        }
        let received = received.map_err(|error| match error {
            BackendError::TimedOut(_) => Refusal::TimedOut,
            other => Refusal::Backend(other.to_string()),
        })?;
        if let Some(story) = story {
            story.received_status = Some(received.status().as_u16());
            (story.received_headers, story.received_body) = (received.headers().clone(), received.body().clone());
        }
        Ok(received)
    }
}

/// Refuses a request that lacks parameters which its validator asks for.
fn validate(request: &ApiRequest, served: &Served<'_>) -> Result<(), Refusal> {
    if !served.validator.as_ref().is_some_and(|validator| validator.parameters) {
        return Ok(());
    }
    let query = request.query_values();
    let present = |place: &str, name: &str| match place {
        "header" => request.headers.contains_key(name),
        "querystring" => query.contains_key(name),
        _ => served.matched.parameters.contains_key(name),
    };
    let required = served.matched.method.request_parameters.iter().filter(|(_, required)| **required);
    let missing: Vec<String> = required
        .filter_map(|(parameter, _)| parameter.strip_prefix("method.request.")?.split_once('.'))
        .filter(|(place, name)| !present(place, name))
        .map(|(_, name)| name.to_owned())
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(Refusal::MissingParameters(missing)) }
}

/// A method of a stage by its parts: what policies of functions name.
fn method_of(request: &ApiRequest, served: &Served<'_>) -> String {
    format!("{}/{}/{}{}", request.api, request.stage, request.method, served.matched.resource.path)
}

fn sight(request: &ApiRequest, served: &Served<'_>) -> Sight {
    Sight {
        body: String::from_utf8_lossy(&request.body).into_owned(),
        document: mapping::document(&request.body),
        parameters: request.parameters(&served.matched),
        context: request.context(served),
        variables: served.variables.clone(),
    }
}

/// The answer of an integration that calls nothing: its template says the status, the integration response the rest.
fn mock(request: &ApiRequest, integration: &Integration, sight: &Sight) -> Result<Response<Bytes>, Refusal> {
    let made = mapping::request_body(integration, request.media_type(), &request.body, sight)?;
    let document: Value = serde_json::from_slice(&made).unwrap_or_default();
    let status = document.get("statusCode").and_then(|status| match status {
        Value::String(text) => text.parse::<u16>().ok(),
        other => other.as_u64().and_then(|status| u16::try_from(status).ok()),
    });
    let status = status.ok_or_else(|| misconfigured("the request template makes no `{\"statusCode\": …}`"))?;
    let exact = integration.responses.get_key_value(&status.to_string());
    let endpoint = Endpoint { selector: Some(status.to_string()), headers: HeaderMap::new(), body: Bytes::new() };
    match exact {
        // A response without a pattern is for its own status first, for the others by default.
        Some((own, response)) if response.selection_pattern.is_empty() => {
            let only = BTreeMap::from([(own.clone(), response.clone())]);
            mapping::answer(&only, &endpoint, accept(request), sight)
        }
        _ => mapping::answer(&integration.responses, &endpoint, accept(request), sight),
    }
}

/// The backend's address with stage variables, parts of the path and the query filled in: what is `passed` of the request's
/// query, and what is mapped.
fn backend_uri(
    served: &Served<'_>,
    integration: &Integration,
    outgoing: &Outgoing,
    passed: &str,
) -> Result<Uri, Refusal> {
    let mut address = mapping::filled(&integration.uri, served.variables);
    for (name, value) in &outgoing.path {
        // A greedy part keeps its slashes.
        let escaped = value.split('/').map(|part| utf8_percent_encode(part, PART).to_string());
        address = address.replace(&format!("{{{name}}}"), &escaped.collect::<Vec<_>>().join("/"));
    }
    let mapped = outgoing
        .query
        .iter()
        .map(|(name, value)| format!("{}={}", utf8_percent_encode(name, PART), utf8_percent_encode(value, PART)));
    for pair in Some(passed.to_owned()).filter(|passed| !passed.is_empty()).into_iter().chain(mapped) {
        address.push(if address.contains('?') { '&' } else { '?' });
        address.push_str(&pair);
    }
    address.parse().map_err(|_| misconfigured(&format!("`{address}` is no address")))
}

/// The headers of a request that a backend gets which is no proxy's: its media types. `Via` tells of loops.
fn kept_headers(request: &ApiRequest) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for name in [header::CONTENT_TYPE, header::ACCEPT, header::VIA] {
        for value in request.headers.get_all(&name) {
            headers.append(&name, value.clone());
        }
    }
    headers
}

/// The headers for a backend: those that are mapped win.
fn with_mapped(mut headers: HeaderMap, outgoing: Outgoing) -> HeaderMap {
    for (name, value) in outgoing.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    headers
}

fn accept(request: &ApiRequest) -> Option<&str> {
    request.headers.get(header::ACCEPT)?.to_str().ok()
}

fn error_message(payload: &[u8]) -> String {
    let document: Value = serde_json::from_slice(payload).unwrap_or_default();
    document.get("errorMessage").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn timeout(integration: &Integration) -> Duration {
    Duration::from_millis(integration.timeout_ms.unwrap_or(TIMEOUT_MS).into())
}

fn misconfigured(reason: &str) -> Refusal {
    Refusal::Misconfigured(reason.to_owned())
}
