//! `AddPermission`, `GetPolicy`, `RemovePermission`: a function's own policy.

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_access::policy::{MalformedPolicy, Policy, Use};
use millstream_catalog::{FunctionDefinition, InvokePermission};
use serde::Deserialize;
use serde_json::{Value, json};

use super::create_function::{self, unsupported};
use super::error::typed;
use super::qualifier::Qualified;
use super::{Lambda, input};
use crate::json_protocol::{Constraints, ServiceError};
use crate::place::Place;
use crate::rest_protocol::{RestRequest, document};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    statement_id: Option<String>,
    action: Option<String>,
    principal: Option<String>,
    source_arn: Option<String>,
    source_account: Option<String>,
    event_source_token: Option<String>,
    #[serde(rename = "PrincipalOrgID")]
    principal_org_id: Option<String>,
    function_url_auth_type: Option<String>,
    revision_id: Option<String>,
}

pub(super) async fn add(lambda: &Lambda, request: &RestRequest, name: &str) -> Result<Response<Bytes>, ServiceError> {
    let input: Input = input(request)?;
    let id = input.statement_id.as_deref();
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_');
    Constraints::new()
        .required("statementId", input.statement_id.as_ref())
        .length("statementId", id, 1, 100)
        .characters("statementId", id, allowed, "([a-zA-Z0-9-_]+)")
        .required("action", input.action.as_ref())
        .required("principal", input.principal.as_ref())
        .finish()?;
    let others = [
        ("EventSourceToken", input.event_source_token.is_some()),
        ("PrincipalOrgID", input.principal_org_id.is_some()),
        ("FunctionUrlAuthType", input.function_url_auth_type.is_some()),
    ];
    if let Some((member, _)) = others.iter().find(|(_, given)| *given) {
        return Err(unsupported(member));
    }
    let function = Qualified::of(request, name)?;
    lambda.functions.find(&function.reference()).map_err(|error| lambda.error(&error))?;
    let permission = InvokePermission {
        id: input.statement_id.unwrap_or_default(),
        qualifier: function.qualifier.clone(),
        action: input.action.unwrap_or_default(),
        principal: input.principal.unwrap_or_default(),
        source: input.source_arn,
        source_account: input.source_account,
    };
    let statement = statement(&lambda.place, &function.name, &permission);
    read(&statement).map_err(|malformed| create_function::invalid(malformed.to_string()))?;
    let statement = statement.to_string();
    let added = lambda.functions.add_permission(&function.name, permission, input.revision_id.as_deref()).await;
    added.map_err(|error| lambda.error(&error))?;
    Ok(document(StatusCode::CREATED, &json!({ "Statement": statement })))
}

pub(super) fn get(lambda: &Lambda, request: &RestRequest, name: &str) -> Result<Response<Bytes>, ServiceError> {
    let Qualified { name, qualifier } = Qualified::of(request, name)?;
    let function = lambda.functions.get(&name).map_err(|error| lambda.error(&error))?;
    let policy = policy_text(&lambda.place, &function, qualifier.as_deref(), |_| true).ok_or_else(|| {
        typed(404, "ResourceNotFoundException", "The resource you requested does not exist.".to_owned())
    })?;
    let revision = function.revision_of(qualifier.as_deref());
    Ok(document(StatusCode::OK, &json!({ "Policy": policy, "RevisionId": revision })))
}

pub(super) async fn remove(
    lambda: &Lambda,
    request: &RestRequest,
    name: &str,
    id: &str,
) -> Result<Response<Bytes>, ServiceError> {
    let Qualified { name, qualifier } = Qualified::of(request, name)?;
    let parameters = request.parameters();
    let seen = parameters.get("RevisionId").map(String::as_str);
    let removed = lambda.functions.remove_permission(&name, qualifier.as_deref(), id, seen).await;
    removed.map_err(|error| lambda.error(&error))?;
    Ok(lambda.no_content())
}

/// The policy of a function, or of its version or alias: those of its statements that are `kept`. `None` when nothing was
/// permitted.
pub(crate) fn policy_text(
    place: &Place,
    function: &FunctionDefinition,
    qualifier: Option<&str>,
    kept: fn(&Value) -> bool,
) -> Option<String> {
    let permissions = function.permissions.iter().filter(|permission| permission.qualifier.as_deref() == qualifier);
    let statements = permissions.map(|permission| statement(place, &function.name, permission));
    let statements: Vec<Value> = statements.filter(kept).collect();
    (!statements.is_empty()).then(|| policy(&statements))
}

/// Whether a statement can be read: earlier versions took some unread.
pub(crate) fn is_readable(statement: &Value) -> bool {
    read(statement).is_ok()
}

fn read(statement: &Value) -> Result<Policy, MalformedPolicy> {
    Policy::parse(&policy(std::slice::from_ref(statement)), Use::Resource)
}

fn policy(statements: &[Value]) -> String {
    json!({ "Version": "2012-10-17", "Id": "default", "Statement": statements }).to_string()
}

/// A permission as a statement: services stand by their names, accounts as their roots.
fn statement(place: &Place, function: &str, permission: &InvokePermission) -> Value {
    let principal = match permission.principal.as_str() {
        "*" => json!("*"),
        service if service.ends_with(".amazonaws.com") => json!({ "Service": service }),
        account if account.bytes().all(|byte| byte.is_ascii_digit()) => {
            json!({ "AWS": format!("arn:aws:iam::{account}:root") })
        }
        other => json!({ "AWS": other }),
    };
    let reference = match &permission.qualifier {
        Some(qualifier) => format!("function:{function}:{qualifier}"),
        None => format!("function:{function}"),
    };
    let mut statement = json!({
        "Sid": permission.id,
        "Effect": "Allow",
        "Principal": principal,
        "Action": permission.action,
        "Resource": place.arn("lambda", &reference),
    });
    if let Some(source) = &permission.source {
        statement["Condition"]["ArnLike"] = json!({ "AWS:SourceArn": source });
    }
    if let Some(account) = &permission.source_account {
        statement["Condition"]["StringEquals"] = json!({ "AWS:SourceAccount": account });
    }
    statement
}
