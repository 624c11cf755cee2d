//! From the function engine's facts to the service's errors.

use millstream_function::FunctionError;
use millstream_types::{ErrorKind, InvokeError};
use serde_json::json;

use super::Lambda;
use crate::json_protocol::ServiceError;

impl Lambda {
    pub(super) fn error(&self, error: &FunctionError) -> ServiceError {
        match error {
            FunctionError::NotFound { name } => self.not_found(name),
            FunctionError::Exists { name } => {
                typed(409, "ResourceConflictException", format!("Function already exist: {name}"))
            }
            FunctionError::Runtime { runtime } => typed(
                400,
                "InvalidParameterValueException",
                format!(
                    "Value {runtime} at 'runtime' is not supported by this node: expected nodejs…, python3…, dotnet… or provided…"
                ),
            ),
            FunctionError::Package { reason } => typed(400, "InvalidParameterValueException", reason.clone()),
            FunctionError::RuntimeMissing { .. } => typed(400, "InvalidParameterValueException", error.to_string()),
            FunctionError::PermissionExists { id } => typed(
                409,
                "ResourceConflictException",
                format!(
                    "The statement id ({id}) provided already exists. Please provide a new statement id, or remove the existing statement."
                ),
            ),
            FunctionError::PermissionNotFound { id } => {
                typed(404, "ResourceNotFoundException", format!("Statement {id} is not found in resource policy."))
            }
            FunctionError::AliasExists { name } => {
                typed(409, "ResourceConflictException", format!("Alias already exists: {name}"))
            }
            FunctionError::AliasNotFound { function, name } => {
                let arn = self.arn(&format!("{function}:{name}"));
                typed(404, "ResourceNotFoundException", format!("Cannot find alias arn: {arn}"))
            }
            FunctionError::RevisionDiffers { .. } => typed(
                412,
                "PreconditionFailedException",
                "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve \
                 the latest Revision Id"
                    .to_owned(),
            ),
            FunctionError::CodeDiffers { seen, current } => typed(
                400,
                "InvalidParameterValueException",
                format!(
                    "CodeSHA256 ({seen}) is different from current CodeSHA256 in $LATEST ({current}). Please try again with \
                     the CodeSHA256 in $LATEST."
                ),
            ),
            FunctionError::VersionInUse { version, alias } => typed(
                409,
                "ResourceConflictException",
                format!("Version {version} cannot be deleted: alias {alias} points to it."),
            ),
            FunctionError::Split { .. } | FunctionError::ReservedVariables { .. } => {
                typed(400, "InvalidParameterValueException", error.to_string())
            }
            FunctionError::TooMany { what: "permissions", .. } => {
                typed(400, "PolicyLengthExceededException", error.to_string())
            }
            FunctionError::TooMany { .. } => typed(400, "InvalidParameterValueException", error.to_string()),
            FunctionError::PayloadTooLarge { found, limit } => typed(
                413,
                "RequestTooLargeException",
                format!("{found} byte payload is too large for the Event invocation type (limit {limit} bytes)"),
            ),
            FunctionError::Throttled { .. } => throttled(),
            FunctionError::Start { .. } | FunctionError::Unconfined { .. } => {
                ServiceError { status: 502, ..typed(502, "InvalidRuntimeException", error.to_string()) }
            }
            FunctionError::Stopping => typed(503, "ServiceUnavailableException", error.to_string()),
            FunctionError::Catalog(_) | FunctionError::Storage(_) => typed(500, "ServiceException", error.to_string()),
        }
    }

    pub(super) fn not_found(&self, name: &str) -> ServiceError {
        typed(404, "ResourceNotFoundException", format!("Function not found: {}", self.arn(name)))
    }

    /// Why an invocation did not run.
    pub(super) fn invoke_error(&self, name: &str, error: &InvokeError) -> ServiceError {
        match error.kind {
            ErrorKind::NotFound => self.not_found(name),
            ErrorKind::Throttled => throttled(),
            ErrorKind::TooLarge => typed(413, "RequestTooLargeException", error.message.clone()),
            ErrorKind::Unavailable => typed(503, "ServiceUnavailableException", error.message.clone()),
            _ => typed(502, "InvalidRuntimeException", error.message.clone()),
        }
    }
}

fn throttled() -> ServiceError {
    let mut error = typed(429, "TooManyRequestsException", "Rate Exceeded.".to_owned());
    error.extra.push(("Reason", json!("ConcurrentInvocationLimitExceeded")));
    error
}

/// Lambda's errors say whose fault they are in a member of their own.
pub(super) fn typed(status: u16, code: &str, message: String) -> ServiceError {
    let whose = if status < 500 { "User" } else { "Service" };
    ServiceError { status, extra: vec![("Type", json!(whose))], ..ServiceError::new(code, message) }
}
