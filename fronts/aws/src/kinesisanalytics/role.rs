//! Whether the roles of an application's inputs and outputs are such that the service can work with them.

use millstream_query::NewQuery;
use millstream_types::{CheckRole as _, RoleUse};

use super::source::role_of;
use super::{KinesisAnalytics, invalid};
use crate::json_protocol::ServiceError;

/// Roles must trust the service, and those of inputs must let it read. What outputs need is asked when there are rows for them.
pub(super) fn check(front: &KinesisAnalytics, query: &NewQuery) -> Result<(), ServiceError> {
    for output in &query.outputs {
        check_trust(front, &output.role, &query.name)?;
    }
    if let Some(log) = query.resource.as_ref().and_then(|resource| resource.error_log.as_ref()) {
        check_trust(front, &log.role, &query.name)?;
    }
    for processor in query.inputs.iter().filter_map(|input| input.processor.as_ref()) {
        check_trust(front, &processor.role, &query.name)?;
    }
    check_trust(front, &role_of(query), &query.name)?;
    query.inputs.iter().try_for_each(|input| check_input(front, &input.role, &query.name, &input.stream))
}

/// Whether a role lets the service read a stream.
pub(super) fn check_input(
    front: &KinesisAnalytics,
    role: &str,
    application: &str,
    stream: &str,
) -> Result<(), ServiceError> {
    check_trust(front, role, application)?;
    let permitted = front.roles.check(role, application, RoleUse::ReadStream(stream));
    permitted.map_err(|reason| {
        let kind = if stream.starts_with("delivery/") { "Delivery Stream" } else { "Kinesis Stream" };
        invalid(format!(
            "Kinesis Analytics doesn't have sufficient privileges to the {kind} using assumed role. {reason}"
        ))
    })
}

/// Whether the service may have a role.
pub(super) fn check_trust(front: &KinesisAnalytics, role: &str, application: &str) -> Result<(), ServiceError> {
    if front.roles.may_have(role, application) {
        return Ok(());
    }
    Err(invalid(format!("Kinesis Analytics is unable to assume role {role}. Please check the role provided.")))
}
