//! Lambda: functions and event source mappings. Whoever gives a function a role must be allowed to pass the role on.

use http::Method;

use super::members::Members;
use super::{ANY, Need, UNKNOWN};
use crate::authorize::{Authorizer, Service};
use crate::lambda::function_name;
use crate::lambda::qualifier::Qualified;
use crate::rest_protocol::RestRequest;

pub(super) fn needs(authorizer: &Authorizer, request: &RestRequest) -> Vec<Need> {
    let segments = request.segments();
    // The first part is the date of the API's version, which differs from operation to operation.
    let path: Vec<&str> = segments.iter().skip(1).map(String::as_str).collect();
    let members = Members::read(&request.body);
    let (operation, resource) = match path.as_slice() {
        ["functions"] if request.method == Method::POST => {
            ("CreateFunction", Some(members.text("FunctionName").unwrap_or_default()))
        }
        ["functions"] => ("ListFunctions", None),
        ["functions", name, rest @ ..] => {
            // What is about another qualifier than its name says is refused by the service.
            let function = Qualified::of(request, name).map_or_else(|_| String::new(), |found| found.reference());
            (of_function(&request.method, rest), Some(function))
        }
        ["event-source-mappings", rest @ ..] => return vec![of_mapping(authorizer, &request.method, rest)],
        ["tags", arn] => (of_tags(&request.method), Some((*arn).to_owned())),
        ["account-settings"] => ("GetAccountSettings", None),
        _ => ("Unknown", None),
    };
    let arn = |name: &str| authorizer.place.arn("lambda", &format!("function:{}", function_name(name)));
    let resource = match resource {
        None => ANY.to_owned(),
        Some(name) if name.is_empty() => UNKNOWN.to_owned(),
        Some(name) => arn(&name),
    };
    let mut needs = vec![Need::new(format!("lambda:{operation}"), resource)];
    if matches!(operation, "CreateFunction" | "UpdateFunctionConfiguration")
        && let Some(role) = members.text("Role").filter(|role| !role.is_empty())
    {
        needs.push(authorizer.pass_role(Service::Lambda, &role));
    }
    needs
}

fn of_function(method: &Method, rest: &[&str]) -> &'static str {
    let pick = |get, put, post, delete| match *method {
        Method::GET => get,
        Method::PUT => put,
        Method::POST => post,
        Method::DELETE => delete,
        _ => "Unknown",
    };
    match rest {
        [] => pick("GetFunction", "Unknown", "Unknown", "DeleteFunction"),
        ["invocations" | "invoke-async" | "response-streaming-invocations"] => "InvokeFunction",
        ["code"] => "UpdateFunctionCode",
        ["configuration"] => pick("GetFunctionConfiguration", "UpdateFunctionConfiguration", "Unknown", "Unknown"),
        ["concurrency"] => {
            pick("GetFunctionConcurrency", "PutFunctionConcurrency", "Unknown", "DeleteFunctionConcurrency")
        }
        ["event-invoke-config"] => pick(
            "GetFunctionEventInvokeConfig",
            "PutFunctionEventInvokeConfig",
            "UpdateFunctionEventInvokeConfig",
            "DeleteFunctionEventInvokeConfig",
        ),
        ["event-invoke-config", "list"] => "ListFunctionEventInvokeConfigs",
        ["versions"] => pick("ListVersionsByFunction", "Unknown", "PublishVersion", "Unknown"),
        ["aliases"] => pick("ListAliases", "Unknown", "CreateAlias", "Unknown"),
        ["aliases", _] => pick("GetAlias", "UpdateAlias", "Unknown", "DeleteAlias"),
        ["policy"] => pick("GetPolicy", "Unknown", "AddPermission", "Unknown"),
        ["policy", _] => "RemovePermission",
        _ => "Unknown",
    }
}

fn of_mapping(authorizer: &Authorizer, method: &Method, rest: &[&str]) -> Need {
    let mapping = |id: &&str| authorizer.place.arn("lambda", &format!("event-source-mapping:{id}"));
    let operation = match (method, rest) {
        (&Method::POST, []) => "CreateEventSourceMapping",
        (_, []) => "ListEventSourceMappings",
        (&Method::PUT, _) => "UpdateEventSourceMapping",
        (&Method::DELETE, _) => "DeleteEventSourceMapping",
        _ => "GetEventSourceMapping",
    };
    Need::new(format!("lambda:{operation}"), rest.first().map_or(ANY.to_owned(), mapping))
}

fn of_tags(method: &Method) -> &'static str {
    match *method {
        Method::GET => "ListTags",
        Method::POST => "TagResource",
        _ => "UntagResource",
    }
}
