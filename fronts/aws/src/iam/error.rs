//! From the access engine's facts to the service's errors.

use millstream_access::AccessError;

use crate::json_protocol::{Constraints, ServiceError};

pub(super) fn validation(message: &str) -> ServiceError {
    ServiceError::new("ValidationError", message)
}

/// A member that must be there.
pub(super) fn missing(parameter: &str) -> ServiceError {
    let mut chars = parameter.chars();
    let member = chars.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(chars).collect::<String>();
    match Constraints::new().required::<()>(&member, None).finish() {
        Err(error) => validation(&error.message),
        Ok(()) => validation(parameter),
    }
}

pub(super) fn unserved(operation: &str) -> ServiceError {
    ServiceError::new("InvalidAction", format!("IAM operation `{operation}` is not supported by this node"))
}

pub(super) fn no_policy(arn: &str) -> ServiceError {
    not_found(format!("Policy {arn} does not exist or is not attachable."))
}

fn not_found(message: String) -> ServiceError {
    ServiceError { status: 404, ..ServiceError::new("NoSuchEntity", message) }
}

fn conflict(code: &str, message: String) -> ServiceError {
    ServiceError { status: 409, ..ServiceError::new(code, message) }
}

impl From<AccessError> for ServiceError {
    fn from(error: AccessError) -> Self {
        match &error {
            AccessError::NotFound { kind, name } => not_found(match *kind {
                "access key" => format!("The Access Key with id {name} cannot be found."),
                "policy version" => format!("Policy version {name} does not exist."),
                kind => format!("The {kind} with name {name} cannot be found."),
            }),
            AccessError::Exists { kind, name } => conflict(
                "EntityAlreadyExists",
                match *kind {
                    "role" => format!("Role with name {name} already exists."),
                    "user" => format!("User with name {name} already exists."),
                    kind => format!("A {kind} called {name} already exists. Duplicate names are not allowed."),
                },
            ),
            AccessError::InUse { reason, .. } => conflict("DeleteConflict", format!("Cannot delete entity, {reason}")),
            AccessError::TooMany { what, limit } => {
                conflict("LimitExceeded", format!("Cannot exceed quota for {what}: {limit}"))
            }
            AccessError::TooLong { what, limit, .. } if what.contains("polic") => {
                conflict("LimitExceeded", format!("Maximum policy size of {limit} bytes exceeded for {what}"))
            }
            AccessError::TooLong { .. } | AccessError::Invalid { .. } => validation(&error.to_string()),
            AccessError::Malformed(malformed) => Self::new("MalformedPolicyDocument", malformed.0.clone()),
            AccessError::NotTrusted { .. } => Self { status: 403, ..Self::new("AccessDenied", error.to_string()) },
            AccessError::UnknownKey | AccessError::Expired => {
                Self { status: 403, ..Self::new("InvalidClientTokenId", error.to_string()) }
            }
            AccessError::NoSessions | AccessError::Catalog(_) => Self::internal("ServiceFailure", error.to_string()),
        }
    }
}
