//! Lambda over the function engine. Source: the Lambda API reference (2015-03-31), a REST JSON protocol.

mod account_settings;
mod aliases;
mod concurrency;
mod configuration;
mod create_function;
mod error;
mod event_invoke_config;
pub mod event_source_mapping;
mod get_function;
mod invoke;
mod package_address;
pub(crate) mod permission;
pub(crate) mod qualifier;
mod tags;
mod unserved;
mod update_function;
mod variables;
mod versions;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use millstream_catalog::LATEST;
use millstream_function::Functions;
use millstream_mapping::Mappings;
use serde::de::DeserializeOwned;

use crate::authorize::{Authorizer, Service};
use crate::destination::Target;
use crate::json_protocol::{self, ServiceError};
use crate::place::{Place, resource};
use crate::rest_protocol::{self, RestRequest};
use crate::seal::Seal;
use qualifier::Qualified;

/// The log group of a function, as the service names it.
#[must_use]
pub fn log_group(function: &str) -> String {
    format!("/aws/lambda/{function}")
}

/// The service.
pub struct Lambda {
    functions: Functions,
    mappings: Mappings,
    authorizer: Authorizer,
    place: Place,
    seal: Seal,
}

impl Lambda {
    /// The service over the function engine and the engine of event source mappings; `seal` keeps the addresses of packages
    /// from being made up.
    #[must_use]
    pub fn new(functions: Functions, mappings: Mappings, authorizer: Authorizer, place: Place, seal: Seal) -> Self {
        Self { functions, mappings, authorizer, place, seal }
    }

    /// Answers what needs no signature: packages, at the addresses that `GetFunction` gave.
    pub(crate) async fn public(&self, head: &http::request::Parts) -> Option<Response<Bytes>> {
        package_address::answer(self, head).await
    }

    /// A role that a function is to have must trust the service.
    fn check_role(&self, role: Option<&str>, function: &str) -> Result<(), ServiceError> {
        let may = |role: &str| self.authorizer.service_may_assume(Service::Lambda, role, function);
        match role {
            // Nobody could be asked for the right to pass on a role without a name.
            Some(role) if role.ends_with('/') || role.is_empty() || !may(role) => Err(error::typed(
                400,
                "InvalidParameterValueException",
                "The role defined for the function cannot be assumed by Lambda.".to_owned(),
            )),
            _ => Ok(()),
        }
    }

    /// Whether a function's role lets the node write to a target that the function is to have. `named` puts the target into
    /// the service's words for a role that does not.
    fn check_target(&self, function: &str, target: &str, named: impl Fn(&str) -> String) -> Result<(), ServiceError> {
        let Some(kind) = Target::parse(target) else { return Ok(()) };
        let permitted = self.authorizer.function_may(function, kind.action(), &self.place.own_arn(target));
        let operation = kind.action().split(':').next_back().unwrap_or_default();
        permitted.map_err(|_| error::typed(400, "InvalidParameterValueException", named(operation)))
    }

    /// Answers a request: every operation that there is, by method and path.
    pub(crate) async fn call(&self, request: &RestRequest) -> Response<Bytes> {
        let segments = request.segments();
        let parts: Vec<&str> = segments.iter().map(String::as_str).collect();
        if !takes_qualifier(&request.method, &parts)
            && request.parameters().get("Qualifier").is_some_and(|given| given != LATEST)
        {
            return rest_protocol::error(&create_function::unsupported("Qualifier of this operation"));
        }
        let answer = match (&request.method, parts.as_slice()) {
            (&Method::POST, ["2015-03-31", "functions", name, "invocations"]) => {
                invoke::call(self, request, name).await
            }
            (&Method::POST, ["2015-03-31", "functions"]) => create_function::call(self, request).await,
            (&Method::GET, ["2015-03-31", "functions"]) => get_function::list(self, request),
            (&Method::GET, ["2015-03-31", "functions", name]) => get_function::whole(self, request, name),
            (&Method::GET, ["2015-03-31", "functions", name, "configuration"]) => {
                get_function::configuration(self, request, name)
            }
            (&Method::PUT, ["2015-03-31", "functions", name, "code"]) => {
                update_function::code(self, request, name).await
            }
            (&Method::PUT, ["2015-03-31", "functions", name, "configuration"]) => {
                update_function::configuration(self, request, name).await
            }
            (&Method::DELETE, ["2015-03-31", "functions", name]) => self.delete(request, name).await,
            (method, ["2019-09-25", "functions", name, "event-invoke-config", rest @ ..]) => {
                event_invoke_config::call(self, request, method, name, rest).await
            }
            (&Method::PUT, ["2017-10-31", "functions", name, "concurrency"]) => {
                concurrency::put(self, request, name).await
            }
            (&Method::DELETE, ["2017-10-31", "functions", name, "concurrency"]) => {
                concurrency::delete(self, name).await
            }
            (&Method::GET, ["2019-09-30", "functions", name, "concurrency"]) => concurrency::get(self, name),
            (&Method::POST, ["2015-03-31", "functions", name, "policy"]) => permission::add(self, request, name).await,
            (&Method::GET, ["2015-03-31", "functions", name, "policy"]) => permission::get(self, request, name),
            (&Method::DELETE, ["2015-03-31", "functions", name, "policy", id]) => {
                permission::remove(self, request, name, id).await
            }
            (method, ["2017-03-31", "tags", resource]) => tags::call(self, request, method, resource).await,
            (&Method::GET, ["2016-08-19", "account-settings"]) => Ok(account_settings::get(self)),
            (&Method::POST, ["2015-03-31", "functions", name, "versions"]) => {
                versions::publish(self, request, name).await
            }
            (&Method::GET, ["2015-03-31", "functions", name, "versions"]) => versions::list(self, request, name),
            (_, ["2015-03-31", "functions", name, "aliases"]) => aliases::call(self, request, name, None).await,
            (_, ["2015-03-31", "functions", name, "aliases", alias]) => {
                aliases::call(self, request, name, Some(*alias)).await
            }
            (_, ["2015-03-31", "event-source-mappings"]) => event_source_mapping::call(self, request, None).await,
            (_, ["2015-03-31", "event-source-mappings", id]) => {
                event_source_mapping::call(self, request, Some(*id)).await
            }
            _ => Err(unknown(request)),
        };
        answer.unwrap_or_else(|error| rest_protocol::error(&error))
    }

    /// `DeleteFunction`: the whole of it, or a version.
    async fn delete(&self, request: &RestRequest, name: &str) -> Result<Response<Bytes>, ServiceError> {
        let function = Qualified::of(request, name)?;
        let deleted = match (&function.qualifier, function.number()) {
            (None, _) if request.parameters().contains_key("Qualifier") => {
                return Err(create_function::invalid(
                    "$LATEST version cannot be deleted without deleting the function.".to_owned(),
                ));
            }
            (None, _) => self.functions.delete(&function.name).await,
            (Some(_), Some(number)) => self.functions.delete_version(&function.name, number).await,
            (Some(alias), None) => {
                return Err(create_function::invalid(format!(
                    "Qualifier {alias} is no version: an alias is deleted with DeleteAlias."
                )));
            }
        };
        deleted.map_err(|error| self.error(&error))?;
        Ok(self.no_content())
    }

    /// The answer of operations that have nothing to say.
    fn no_content(&self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    }

    fn arn(&self, name: &str) -> String {
        self.place.arn("lambda", &format!("function:{name}"))
    }
}

fn unknown(request: &RestRequest) -> ServiceError {
    let operation = format!("{} {}", request.method, request.path);
    ServiceError { status: 404, ..ServiceError::unknown_operation("Lambda", &operation) }
}

/// Whether the request may be about a version or an alias.
fn takes_qualifier(method: &Method, parts: &[&str]) -> bool {
    match parts {
        ["2015-03-31", "functions", _] | ["2015-03-31", "functions", _, "invocations" | "policy", ..] => true,
        ["2019-09-25", "functions", _, "event-invoke-config"] => true,
        // A version cannot be changed.
        ["2015-03-31", "functions", _, "configuration"] => method == Method::GET,
        _ => false,
    }
}

/// A function's reference from what a client may give: a name, a name with a qualifier, an ARN, a part of one.
pub(crate) fn function_name(given: &str) -> String {
    let name = resource(given, "lambda", "function:").unwrap_or(given);
    let name = name.rsplit_once(":function:").map_or(name, |(_, name)| name);
    name.strip_suffix(":$LATEST").unwrap_or(name).to_owned()
}

/// A body as an operation's input, with the service's own words when it is none.
fn input<T: DeserializeOwned>(request: &RestRequest) -> Result<T, ServiceError> {
    json_protocol::parse(&request.body).map_err(|error| ServiceError {
        message: format!("Could not parse request body into json: {}", error.message),
        ..error
    })
}

#[cfg(test)]
mod tests {
    use super::function_name;

    #[test]
    fn functions_are_found_by_all_their_names() {
        for given in ["f", "f:$LATEST", "arn:aws:lambda:us-east-1:000000000000:function:f", "000000000000:function:f"] {
            assert_eq!(function_name(given), "f", "{given}");
        }
        assert_eq!(function_name("arn:aws:lambda:us-east-1:000000000000:function:f:live"), "f:live");
    }
}
