//! API Gateway's REST APIs over the gateway engine: the control operations, and the deployed APIs themselves.
//!
//! Source: the API Gateway REST API reference (a REST JSON protocol) and the developer guide's "Lambda proxy integrations".

mod account;
mod api_keys;
mod apis;
mod data_plane;
mod integration_responses;
mod integrations;
mod method_responses;
mod method_settings;
mod methods;
mod page;
mod patch;
mod proxy_event;
mod resources;
mod stages;
mod test_invoke;
mod usage;
mod usage_plan_keys;
mod usage_plans;
mod validators;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use millstream_gateway::{Calls, Gateway, GatewayError, Plans};
use millstream_types::Clock;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::authorize::{Authorizer, Service, ServiceRoles};
use crate::json_protocol::{self, ServiceError};
use crate::place::Place;
use crate::rest_protocol::{self, RestRequest, document};

pub(crate) use data_plane::Address;
pub use proxy_event::LambdaProxy;

/// The service.
pub struct ApiGateway {
    gateway: Gateway,
    calls: Calls,
    plans: Plans,
    roles: ServiceRoles,
    place: Place,
    clock: Arc<dyn Clock>,
}

type Answer = Result<(StatusCode, Value), ServiceError>;

impl ApiGateway {
    /// The service over the gateway engine: its definitions and its way of a request.
    #[must_use]
    pub fn new(gateway: Gateway, calls: Calls, plans: Plans, authorizer: &Authorizer, clock: Arc<dyn Clock>) -> Self {
        let roles = ServiceRoles::new(authorizer.clone(), Service::ApiGateway);
        Self { gateway, calls, plans, roles, place: authorizer.place.clone(), clock }
    }

    /// A role that an integration is to have must trust the service.
    fn check_role(&self, role: &str, api: &str) -> Result<(), ServiceError> {
        if role.starts_with("arn:aws:iam::*:") {
            return Err(bad_request("the caller's own credentials for an integration are not supported by this node"));
        }
        if self.roles.may_have(role, &format!("{api}/*")) {
            return Ok(());
        }
        Err(bad_request(format!("API Gateway is unable to assume role {role}. Please check the role provided.")))
    }

    /// Answers a control request: every operation that there is, by method and path.
    pub(crate) async fn call(&self, request: &RestRequest) -> Response<Bytes> {
        match self.control(request).await {
            Ok((status, answer)) => document(status, &answer),
            Err(error) => rest_protocol::error(&error),
        }
    }

    async fn control(&self, request: &RestRequest) -> Answer {
        let segments = request.segments();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (get, post, put, delete) = (Method::GET, Method::POST, Method::PUT, Method::DELETE);
        let method = &request.method;
        match parts.as_slice() {
            ["restapis"] if *method == post => apis::create(self, request).await,
            ["restapis"] if *method == get => apis::list(self, request),
            ["restapis", api] if *method == get => apis::get(self, api),
            ["restapis", api] if *method == Method::PATCH => apis::update(self, request, api).await,
            ["restapis", api] if *method == delete => apis::delete(self, api).await,
            ["restapis", api, "resources"] if *method == get => resources::list(self, request, api),
            ["restapis", api, "resources", parent] if *method == post => {
                resources::create(self, request, api, parent).await
            }
            ["restapis", api, "resources", resource] if *method == get => resources::get(self, api, resource),
            ["restapis", api, "resources", resource] if *method == delete => {
                resources::delete(self, api, resource).await
            }
            ["restapis", api, "resources", resource, "methods", verb, rest @ ..] => {
                let place = methods::Place { api, resource, verb };
                match (method, rest) {
                    (m, []) if *m == put => methods::put(self, request, &place).await,
                    (m, []) if *m == get => methods::get(self, &place),
                    (m, []) if *m == delete => methods::delete(self, &place).await,
                    (m, []) if *m == post => test_invoke::call(self, request, &place).await,
                    (m, []) if *m == Method::PATCH => methods::update(self, request, &place).await,
                    (_, ["responses", status]) => self.method_response(request, &place, status).await,
                    (m, ["integration"]) if *m == put => integrations::put(self, request, &place).await,
                    (m, ["integration"]) if *m == get => integrations::get(self, &place),
                    (m, ["integration"]) if *m == Method::PATCH => integrations::update(self, request, &place).await,
                    (m, ["integration"]) if *m == delete => integrations::delete(self, &place).await,
                    (_, ["integration", "responses", status]) => {
                        self.integration_response(request, &place, status).await
                    }
                    _ => Err(unsupported(request)),
                }
            }
            ["restapis", api, "requestvalidators", rest @ ..] => match (method, rest) {
                (m, []) if *m == post => validators::create(self, request, api).await,
                (m, []) if *m == get => validators::list(self, request, api),
                (m, [validator]) if *m == get => validators::get(self, api, validator),
                (m, [validator]) if *m == delete => validators::delete(self, api, validator).await,
                _ => Err(unsupported(request)),
            },
            ["restapis", api, "deployments", rest @ ..] => match (method, rest) {
                (m, []) if *m == post => stages::deploy(self, request, api).await,
                (m, []) if *m == get => stages::deployments(self, request, api),
                (m, [deployment]) if *m == get => stages::deployment(self, api, deployment),
                (m, [deployment]) if *m == delete => stages::delete_deployment(self, api, deployment).await,
                _ => Err(unsupported(request)),
            },
            ["restapis", api, "stages", rest @ ..] => match (method, rest) {
                (m, []) if *m == post => stages::create(self, request, api).await,
                (m, []) if *m == get => stages::list(self, request, api),
                (m, [stage]) if *m == get => stages::get(self, api, stage),
                (m, [stage]) if *m == Method::PATCH => stages::update(self, request, api, stage).await,
                (m, [stage]) if *m == delete => stages::delete(self, api, stage).await,
                _ => Err(unsupported(request)),
            },
            ["account"] if *method == get => account::get(self),
            ["apikeys" | "usageplans", ..] => self.plans_control(request, &parts).await,
            _ => Err(unsupported(request)),
        }
    }

    /// Answers a control request for a method's declared answer.
    async fn method_response(&self, request: &RestRequest, place: &methods::Place<'_>, status: &str) -> Answer {
        check_status(status)?;
        match request.method.as_str() {
            "PUT" => method_responses::put(self, request, place, status).await,
            "GET" => method_responses::get(self, place, status),
            "PATCH" => method_responses::update(self, request, place, status).await,
            "DELETE" => method_responses::delete(self, place, status).await,
            _ => Err(unsupported(request)),
        }
    }

    /// Answers a control request for what an integration's answer becomes.
    async fn integration_response(&self, request: &RestRequest, place: &methods::Place<'_>, status: &str) -> Answer {
        check_status(status)?;
        match request.method.as_str() {
            "PUT" => integration_responses::put(self, request, place, status).await,
            "GET" => integration_responses::get(self, place, status),
            "PATCH" => integration_responses::update(self, request, place, status).await,
            "DELETE" => integration_responses::delete(self, place, status).await,
            _ => Err(unsupported(request)),
        }
    }

    /// Answers a control request for keys and usage plans.
    async fn plans_control(&self, request: &RestRequest, parts: &[&str]) -> Answer {
        match (request.method.as_str(), parts) {
            ("POST", ["apikeys"]) => api_keys::create(self, request).await,
            ("GET", ["apikeys"]) => api_keys::list(self, request),
            ("GET", ["apikeys", key]) => api_keys::get(self, request, key),
            ("PATCH", ["apikeys", key]) => api_keys::update(self, request, key).await,
            ("DELETE", ["apikeys", key]) => api_keys::delete(self, key).await,
            ("POST", ["usageplans"]) => usage_plans::create(self, request).await,
            ("GET", ["usageplans"]) => usage_plans::list(self, request),
            ("GET", ["usageplans", plan]) => usage_plans::get(self, plan),
            ("PATCH", ["usageplans", plan]) => usage_plans::update(self, request, plan).await,
            ("DELETE", ["usageplans", plan]) => usage_plans::delete(self, plan).await,
            ("POST", ["usageplans", plan, "keys"]) => usage_plan_keys::create(self, request, plan).await,
            ("GET", ["usageplans", plan, "keys"]) => usage_plan_keys::list(self, request, plan),
            ("GET", ["usageplans", plan, "keys", key]) => usage_plan_keys::get(self, plan, key),
            ("DELETE", ["usageplans", plan, "keys", key]) => usage_plan_keys::delete(self, plan, key).await,
            ("GET", ["usageplans", plan, "usage"]) => usage::get(self, request, plan).await,
            ("PATCH", ["usageplans", plan, "keys", key, "usage"]) => usage::update(self, request, plan, key).await,
            _ => Err(unsupported(request)),
        }
    }
}

/// Whether a text is the status of an answer.
fn check_status(status: &str) -> Result<(), ServiceError> {
    match status.parse::<u16>() {
        Ok(100..=599) if status.len() == 3 => Ok(()),
        _ => Err(bad_request(format!("Invalid status code {status}: 100 to 599"))),
    }
}

fn unsupported(request: &RestRequest) -> ServiceError {
    let operation = format!("{} {}", request.method, request.path);
    ServiceError { status: 404, ..ServiceError::unknown_operation("API Gateway", &operation) }
}

/// From the engine's facts to the service's errors.
fn error(error: &GatewayError) -> ServiceError {
    let (status, code, message) = match error {
        GatewayError::NotFound { kind, .. } => {
            let kind = match *kind {
                "api" => "API",
                "API key" => "API Key",
                "usage plan" => "Usage Plan",
                other => other,
            };
            (404, "NotFoundException", format!("Invalid {kind} identifier specified"))
        }
        GatewayError::Exists { kind, name } => {
            (409, "ConflictException", format!("Another {kind} with the same parent already has this name: {name}"))
        }
        GatewayError::Invalid { .. } | GatewayError::Policy(_) => (400, "BadRequestException", error.to_string()),
        GatewayError::TooMany { what, limit } => {
            (429, "LimitExceededException", format!("Maximum number of {what} has been reached: {limit}"))
        }
        GatewayError::Conflict { .. } => (409, "ConflictException", error.to_string()),
        GatewayError::Catalog(_) | GatewayError::Storage(_) | GatewayError::AccessLog(_) => {
            (500, "InternalServerErrorException", error.to_string())
        }
    };
    ServiceError { status, ..ServiceError::new(code, message) }
}

fn input<T: DeserializeOwned>(request: &RestRequest) -> Result<T, ServiceError> {
    let body = json_protocol::object(&request.body)?;
    serde_json::from_slice(body).map_err(|error| ServiceError::new("SerializationException", error.to_string()))
}

/// Members that an operation does not know.
type Unknown = std::collections::BTreeMap<String, Value>;

/// Refuses members that ask for what this node has not; those that say what is so anyhow may be there.
fn refuse(unknown: &Unknown) -> Result<(), ServiceError> {
    let asks = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    };
    match unknown.iter().find(|(_, value)| asks(value)) {
        Some((name, _)) => Err(bad_request(format!("{name} is not supported by this node"))),
        None => Ok(()),
    }
}

fn bad_request(message: impl Into<String>) -> ServiceError {
    ServiceError::new("BadRequestException", message)
}

/// Whole seconds, as the control operations write times.
fn seconds(millis: i64) -> i64 {
    millis / 1_000
}
