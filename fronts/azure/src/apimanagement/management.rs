//! Management requests: who may send them, and which operation each is.
//!
//! The ladder: address → `api-version` → token → operation.

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use millstream_gateway::managed::PolicyScope;
use millstream_gateway::managed::definitions::KeyName;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::error::ArmError;
use super::{
    ApiManagement, apis, backends, named_values, operations, policies, products, service, subscriptions, test_call,
    users,
};
use crate::request::AzureRequest;
use crate::resource_manager;

/// Entries of a page, and the most that a caller gets.
const TOP_MAX: usize = 1_000;

/// A status and a document; null: no content.
pub(super) type Answer = Result<(StatusCode, Value), ArmError>;

/// The service that a request is about.
pub struct Target {
    /// `/subscriptions/…/service/NAME`: what the ids of its resources begin with.
    pub(super) root: String,
    /// The service's name.
    pub(super) service: String,
    /// What follows the service.
    rest: Vec<String>,
}

impl Target {
    /// A resource below the service, as the resource manager writes it.
    pub(super) fn resource(&self, path: &str, kind: &str, properties: Value) -> Value {
        let name = path.rsplit('/').next().unwrap_or_default();
        json!({
            "id": format!("{}/{path}", self.root),
            "type": format!("Microsoft.ApiManagement/service/{kind}"),
            "name": name,
            "properties": properties,
        })
    }
}

/// Whether a path is one of this service's management.
pub(super) fn is_meant(path: &str) -> bool {
    path.starts_with("/subscriptions/") && target(path).is_some()
}

/// `/subscriptions/ID/resourceGroups/GROUP/providers/Microsoft.ApiManagement/service[/NAME[/…]]`; the parts that are not
/// names are not case sensitive.
fn target(path: &str) -> Option<Target> {
    let decoded: Vec<String> =
        path.split('/').skip(1).map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect();
    let at = decoded.iter().position(|part| part.eq_ignore_ascii_case("Microsoft.ApiManagement"))?;
    let is = |index: usize, name: &str| decoded.get(index).is_some_and(|part| part.eq_ignore_ascii_case(name));
    if !is(0, "subscriptions") || !is(at.checked_sub(1)?, "providers") || !is(at + 1, "service") {
        return None;
    }
    let service = decoded.get(at + 2).cloned().unwrap_or_default();
    let root = format!("/{}", decoded[..decoded.len().min(at + 3)].join("/"));
    let rest = decoded.get(at + 3..).unwrap_or_default().iter().filter(|part| !part.is_empty()).cloned().collect();
    Some(Target { root, service, rest })
}

pub(super) async fn answer(front: &ApiManagement, target: &Target, request: &AzureRequest) -> Response<Bytes> {
    let (status, document) = match managed(front, target, request).await {
        Ok(answer) => answer,
        Err(error) => return error.response(),
    };
    resource_manager::answer(status, &document)
}

/// What a request's head names, if its sender may.
pub(super) fn admit(front: &ApiManagement, head: &AzureRequest) -> Result<Target, ArmError> {
    let no_such = || ArmError::new(StatusCode::NOT_FOUND, "ResourceNotFound", "The resource was not found.");
    let target = target(&head.path).ok_or_else(no_such)?;
    resource_manager::require_api_version(head)?;
    resource_manager::authorize(head, &front.management)?;
    Ok(target)
}

async fn managed(front: &ApiManagement, target: &Target, request: &AzureRequest) -> Answer {
    let parts: Vec<&str> = target.rest.iter().map(String::as_str).collect();
    match parts.as_slice() {
        [] => service::answer(front, request, target).await,
        ["policies", rest @ ..] => policies::answer(front, request, target, PolicyScope::Service, rest).await,
        ["apis", rest @ ..] => in_apis(front, request, target, rest).await,
        ["products", rest @ ..] => in_products(front, request, target, rest).await,
        ["namedValues", rest @ ..] => in_named_values(front, request, target, rest).await,
        ["backends"] if request.method == Method::GET => backends::list(front, request, target),
        ["backends", name] => backends::answer(front, request, target, name).await,
        ["users"] if request.method == Method::GET => users::list(front, request, target),
        ["users", name] => users::answer(front, request, target, name).await,
        ["users", name, "subscriptions"] if request.method == Method::GET => {
            users::subscriptions(front, request, target, name)
        }
        ["subscriptions", rest @ ..] => in_subscriptions(front, request, target, rest).await,
        _ => Err(unsupported(request)),
    }
}

async fn in_apis(front: &ApiManagement, request: &AzureRequest, target: &Target, rest: &[&str]) -> Answer {
    match (&request.method, rest) {
        (&Method::GET, []) => apis::list(front, request, target),
        (_, [api]) => apis::answer(front, request, target, api).await,
        (_, [api, "policies", rest @ ..]) => {
            let scope = PolicyScope::Api((*api).to_owned());
            policies::answer(front, request, target, scope, rest).await
        }
        (&Method::GET, [api, "operations"]) => operations::list(front, request, target, api),
        (_, [api, "operations", operation]) => operations::answer(front, request, target, api, operation).await,
        (_, [api, "operations", operation, "policies", rest @ ..]) => {
            let scope = PolicyScope::Operation((*api).to_owned(), (*operation).to_owned());
            policies::answer(front, request, target, scope, rest).await
        }
        (&Method::POST, [api, "operations", operation, "testCall"]) => {
            test_call::answer(front, request, target, api, operation).await
        }
        _ => Err(unsupported(request)),
    }
}

async fn in_products(front: &ApiManagement, request: &AzureRequest, target: &Target, rest: &[&str]) -> Answer {
    match (&request.method, rest) {
        (&Method::GET, []) => products::list(front, request, target),
        (_, [product]) => products::answer(front, request, target, product).await,
        (_, [product, "policies", rest @ ..]) => {
            let scope = PolicyScope::Product((*product).to_owned());
            policies::answer(front, request, target, scope, rest).await
        }
        (&Method::GET, [product, "apis"]) => products::apis(front, request, target, product),
        (_, [product, "apis", api]) => products::link(front, request, target, product, api).await,
        _ => Err(unsupported(request)),
    }
}

async fn in_named_values(front: &ApiManagement, request: &AzureRequest, target: &Target, rest: &[&str]) -> Answer {
    match (&request.method, rest) {
        (&Method::GET, []) => named_values::list(front, request, target),
        (_, [name]) => named_values::answer(front, request, target, name).await,
        (&Method::POST, [name, "listValue"]) => named_values::value(front, target, name),
        _ => Err(unsupported(request)),
    }
}

async fn in_subscriptions(front: &ApiManagement, request: &AzureRequest, target: &Target, rest: &[&str]) -> Answer {
    match (&request.method, rest) {
        (&Method::GET, []) => subscriptions::list(front, request, target),
        (_, [name]) => subscriptions::answer(front, request, target, name).await,
        (&Method::POST, [name, "listSecrets"]) => subscriptions::secrets(front, target, name),
        (&Method::POST, [name, "regeneratePrimaryKey"]) => {
            subscriptions::regenerate(front, target, name, KeyName::Primary).await
        }
        (&Method::POST, [name, "regenerateSecondaryKey"]) => {
            subscriptions::regenerate(front, target, name, KeyName::Secondary).await
        }
        _ => Err(unsupported(request)),
    }
}

pub(super) fn unsupported(request: &AzureRequest) -> ArmError {
    ArmError::unsupported(&format!("{} {}", request.method, request.path))
}

/// The body as an operation's input: what is wrong is a detail of the answer.
pub(super) fn input<T: DeserializeOwned>(request: &AzureRequest) -> Result<T, ArmError> {
    let body: &[u8] = if request.body.is_empty() { b"{}" } else { &request.body };
    serde_json::from_slice(body).map_err(|error| ArmError::invalid(format!("the body has another form: {error}")))
}

/// The status of a resource that was put.
pub(super) fn put(made: bool) -> StatusCode {
    if made { StatusCode::CREATED } else { StatusCode::OK }
}

/// Changes a member that a request gives.
pub(super) fn set<T>(member: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *member = given;
    }
}

/// A page of a list, by `$skip` and `$top`.
pub(super) fn page(request: &AzureRequest, entries: Vec<Value>) -> Answer {
    let number = |name: &str| {
        let names = [format!("${name}="), format!("%24{name}=")];
        request.query.split('&').find_map(|pair| names.iter().find_map(|name| pair.strip_prefix(name.as_str())))
    };
    let parsed = |name: &str, otherwise: usize| {
        let wrong = |_| ArmError::invalid(format!("${name} must be a whole number"));
        number(name).map_or(Ok(otherwise), |text| text.parse::<usize>().map_err(wrong))
    };
    let (skip, top) = (parsed("skip", 0)?, parsed("top", TOP_MAX)?.min(TOP_MAX));
    let count = entries.len();
    let shown: Vec<Value> = entries.into_iter().skip(skip).take(top).collect();
    Ok((StatusCode::OK, json!({ "value": shown, "count": count })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn management_has_its_own_addresses() {
        let below = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ApiManagement/service";
        for (path, expected) in [
            (format!("{below}/shop/apis/a%20b"), Some(("shop", vec!["apis", "a b"]))),
            (format!("{below}/shop").to_lowercase(), Some(("shop", vec![]))),
            (below.to_owned(), Some(("", vec![]))),
            ("/subscriptions/s/resourceGroups/g/providers/Microsoft.EventGrid/topics/t".to_owned(), None),
            ("/2015-03-31/functions".to_owned(), None),
            ("/".to_owned(), None),
        ] {
            let found = target(&path);
            let found = found
                .as_ref()
                .map(|target| (target.service.as_str(), target.rest.iter().map(String::as_str).collect()));
            assert_eq!(found, expected, "{path}");
        }
    }
}
