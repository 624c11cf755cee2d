//! The engine's facts in the service's codes.
//!
//! Source: the Azure Storage REST reference, "Blob service error codes".

use http::StatusCode;
use millstream_object::{Condition, LeaseRefusal, ObjectError};
use millstream_storage::StorageError;

use crate::storage::error::ServiceError;

const CONDITION_NOT_MET: &str = "The condition specified using HTTP conditional header(s) is not met.";

const MD5_MISMATCH: &str =
    "The MD5 value specified in the request did not match with the MD5 value calculated by the server.";

impl ServiceError {
    pub(crate) fn md5_mismatch() -> Self {
        Self::bad_request("Md5Mismatch", MD5_MISMATCH)
    }

    /// The engine's fact as the answer to a read, where an unchanged object is no failure.
    pub(crate) fn of_read(error: &ObjectError) -> Self {
        match error {
            ObjectError::ConditionFailed {
                condition: Condition::IfNoneMatch | Condition::IfAbsent | Condition::IfModifiedSince,
                ..
            } => Self::new(StatusCode::NOT_MODIFIED, "ConditionNotMet", CONDITION_NOT_MET),
            other => Self::of(other),
        }
    }

    /// The engine's fact as the answer to anything else.
    pub(crate) fn of(error: &ObjectError) -> Self {
        let (status, code, message) = words(error);
        match error {
            // The service has no such limits: the engine's words say what they are.
            ObjectError::BadKey { .. }
            | ObjectError::KeyClash { .. }
            | ObjectError::ReadTooLarge { .. }
            | ObjectError::TooManySnapshots { .. }
            | ObjectError::Tags { .. }
            | ObjectError::Unsupported { .. } => Self::new(status, code, format!("{message} ({error})")),
            _ if status.is_server_error() => Self::new(status, code, format!("{message} ({error})")),
            _ => Self::new(status, code, message),
        }
    }
}

/// The service's status, code and text for each of the engine's facts.
fn words(error: &ObjectError) -> (StatusCode, &'static str, &'static str) {
    let invalid = |code, message| (StatusCode::BAD_REQUEST, code, message);
    let conflict = |code, message| (StatusCode::CONFLICT, code, message);
    let failed = |code, message| (StatusCode::PRECONDITION_FAILED, code, message);
    match error {
        ObjectError::BucketNotFound { .. } => {
            (StatusCode::NOT_FOUND, "ContainerNotFound", "The specified container does not exist.")
        }
        ObjectError::NotFound { .. } => (StatusCode::NOT_FOUND, "BlobNotFound", "The specified blob does not exist."),
        ObjectError::BucketExists { .. } => {
            conflict("ContainerAlreadyExists", "The specified container already exists.")
        }
        ObjectError::BadBucket { .. } | ObjectError::BadKey { .. } => {
            invalid("InvalidResourceName", "The specified resource name contains invalid characters.")
        }
        ObjectError::KeyClash { .. } => conflict(
            "ResourceTypeMismatch",
            "The specified resource type does not match the type of the existing resource.",
        ),
        ObjectError::Lease { refusal, .. } => lease_words(*refusal),
        ObjectError::Tags { .. } => invalid("InvalidTag", "The tags specified are invalid."),
        ObjectError::ConditionFailed { condition: Condition::IfAbsent, .. } => {
            conflict("BlobAlreadyExists", "The specified blob already exists.")
        }
        ObjectError::ConditionFailed { .. } => failed("ConditionNotMet", CONDITION_NOT_MET),
        ObjectError::WrongKind { .. } => conflict("InvalidBlobType", "The blob type is invalid for this operation."),
        ObjectError::Md5Mismatch { .. } => invalid("Md5Mismatch", MD5_MISMATCH),
        ObjectError::RangeBehindEnd { .. } => (
            StatusCode::RANGE_NOT_SATISFIABLE,
            "InvalidRange",
            "The range specified is invalid for the current size of the resource.",
        ),
        ObjectError::ReadTooLarge { .. } => invalid("OutOfRangeInput", "One of the request inputs is out of range."),
        ObjectError::AppendPosition { .. } => {
            failed("AppendPositionConditionNotMet", "The append position condition specified was not met.")
        }
        ObjectError::AppendTooLong { .. } => {
            failed("MaxBlobSizeConditionNotMet", "The max blob size condition specified was not met.")
        }
        ObjectError::TooManyBlocks { .. } => conflict(
            "BlockCountExceedsLimit",
            "The committed block count cannot exceed the maximum limit of 50,000 blocks.",
        ),
        ObjectError::HasSnapshots { .. } => {
            conflict("SnapshotsPresent", "This operation is not permitted while the blob has snapshots.")
        }
        ObjectError::TooManySnapshots { .. } => {
            conflict("SnapshotCountExceeded", "The snapshot count against this blob has been exceeded.")
        }
        ObjectError::BadBlockId { .. } => {
            invalid("InvalidBlobOrBlock", "The specified blob or block content is invalid.")
        }
        ObjectError::BlockNotFound { .. } => invalid("InvalidBlockList", "The specified block list is invalid."),
        ObjectError::Unsupported { .. } => (
            StatusCode::NOT_IMPLEMENTED,
            "NotImplemented",
            "The requested operation is not implemented on the specified resource.",
        ),
        ObjectError::TooManyReads { .. }
        | ObjectError::Storage(StorageError::Overloaded { .. } | StorageError::Closed) => {
            (StatusCode::SERVICE_UNAVAILABLE, "ServerBusy", "The server is currently unable to receive requests.")
        }
        ObjectError::BucketNotEmpty { .. }
        | ObjectError::DiskFull { .. }
        | ObjectError::Disk { .. }
        | ObjectError::Store { .. }
        | ObjectError::Unreadable { .. }
        | ObjectError::Catalog(_)
        | ObjectError::Storage(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "The server encountered an internal error.")
        }
    }
}

fn lease_words(refusal: LeaseRefusal) -> (StatusCode, &'static str, &'static str) {
    let conflict = |code, message| (StatusCode::CONFLICT, code, message);
    let failed = |code, message| (StatusCode::PRECONDITION_FAILED, code, message);
    match refusal {
        LeaseRefusal::Held => conflict("LeaseAlreadyPresent", "There is already a lease present."),
        LeaseRefusal::BreakingAcquire => conflict(
            "LeaseIsBreakingAndCannotBeAcquired",
            "The lease ID matched, but the lease is currently in breaking state and cannot be acquired until it is broken.",
        ),
        LeaseRefusal::BreakingChange => conflict(
            "LeaseIsBreakingAndCannotBeChanged",
            "The lease ID matched, but the lease is currently in breaking state and cannot be changed.",
        ),
        LeaseRefusal::BrokenRenew => conflict(
            "LeaseIsBrokenAndCannotBeRenewed",
            "The lease ID matched, but the lease has been broken explicitly and cannot be renewed.",
        ),
        LeaseRefusal::WrongId => conflict(
            "LeaseIdMismatchWithLeaseOperation",
            "The lease ID specified did not match the lease ID for the blob.",
        ),
        LeaseRefusal::None => conflict("LeaseNotPresentWithLeaseOperation", "There is currently no lease on the blob."),
        LeaseRefusal::Missing => failed(
            "LeaseIdMissing",
            "There is currently a lease on the blob and no lease ID was specified in the request.",
        ),
        LeaseRefusal::Mismatch => failed(
            "LeaseIdMismatchWithBlobOperation",
            "The lease ID specified did not match the lease ID for the blob.",
        ),
        LeaseRefusal::NotLeased => {
            failed("LeaseNotPresentWithBlobOperation", "There is currently no lease on the blob.")
        }
    }
}

impl From<ObjectError> for ServiceError {
    fn from(error: ObjectError) -> Self {
        Self::of(&error)
    }
}
