//! What the API of 2018 has for applications of Apache Flink alone: refused, with the service's own error for what is not
//! supported.

use serde::Deserialize;

use super::super::{KinesisAnalytics, check_name};
use super::SQL;
use crate::json_protocol::{JsonRequest, ServiceError};

/// Operations on an application.
const OF_APPLICATIONS: [&str; 13] = [
    "AddApplicationVpcConfiguration",
    "DeleteApplicationVpcConfiguration",
    "CreateApplicationPresignedUrl",
    "CreateApplicationSnapshot",
    "DeleteApplicationSnapshot",
    "DescribeApplicationSnapshot",
    "ListApplicationSnapshots",
    "DescribeApplicationVersion",
    "ListApplicationVersions",
    "DescribeApplicationOperation",
    "ListApplicationOperations",
    "RollbackApplication",
    "UpdateApplicationMaintenanceConfiguration",
];

/// Operations on snapshots that stand for themselves.
const OF_SNAPSHOTS: [&str; 8] = [
    "CreateSnapshot",
    "DeleteSnapshot",
    "DescribeSnapshot",
    "DescribeSnapshotOperation",
    "ExportSnapshot",
    "ImportSnapshot",
    "ListSnapshotOperations",
    "ListSnapshots",
];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    application_name: Option<String>,
}

/// Why an operation is not carried out.
pub(super) fn refused(front: &KinesisAnalytics, request: &JsonRequest) -> ServiceError {
    let operation = request.operation.as_str();
    if OF_SNAPSHOTS.contains(&operation) {
        return unsupported(operation, "enhanced snapshots are");
    }
    if !OF_APPLICATIONS.contains(&operation) {
        return ServiceError::unknown_operation("Kinesis Analytics", operation);
    }
    match of_application(front, request) {
        Ok(()) => unsupported(operation, "it is"),
        Err(error) => error,
    }
}

/// Whether the request names an application that there is.
fn of_application(front: &KinesisAnalytics, request: &JsonRequest) -> Result<(), ServiceError> {
    let input: Input = request.input()?;
    check_name(input.application_name.as_deref())?;
    front.application(input.application_name.as_deref().unwrap_or_default()).map(drop)
}

fn unsupported(operation: &str, what: &str) -> ServiceError {
    let message = format!("{operation} is not supported: {what} for Apache Flink, this node has applications of {SQL}");
    ServiceError::new("UnsupportedOperationException", message)
}
