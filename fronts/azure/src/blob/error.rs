//! The service's errors: codes, statuses and texts, and the engine's facts in them.
//!
//! Source: the Azure Storage REST reference, "Common REST API error codes" and "Blob service error codes".

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use millstream_object::{Condition, ObjectError};
use millstream_storage::StorageError;
use millstream_types::Millis;

use super::xml;
use crate::time;

const CONDITION_NOT_MET: &str = "The condition specified using HTTP conditional header(s) is not met.";

const MD5_MISMATCH: &str =
    "The MD5 value specified in the request did not match with the MD5 value calculated by the server.";

/// An error as the service answers it.
#[derive(Debug, Clone)]
pub(crate) struct BlobError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// Further elements of the document: their names and texts.
    details: Vec<(&'static str, String)>,
}

impl BlobError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: Vec::new() }
    }

    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// Adds an element to the document.
    pub(crate) fn with(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.details.push((name, text.into()));
        self
    }

    /// The caller did not prove who it is.
    pub(crate) fn unauthenticated(detail: impl Into<String>) -> Self {
        let message = "Server failed to authenticate the request. Make sure the value of Authorization header is formed \
                       correctly including the signature.";
        Self::new(StatusCode::FORBIDDEN, "AuthenticationFailed", message).with("AuthenticationErrorDetail", detail)
    }

    pub(crate) fn no_authentication() -> Self {
        let message = "Server failed to authenticate the request. Please refer to the information in the \
                       www-authenticate header.";
        Self::new(StatusCode::UNAUTHORIZED, "NoAuthenticationInformation", message)
    }

    /// The signature does not allow this; `by` is the word for what is missing.
    pub(crate) fn not_permitted(code: &'static str, by: &str) -> Self {
        let message = format!("This request is not authorized to perform this operation using this {by}.");
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    pub(crate) fn permission_mismatch() -> Self {
        Self::not_permitted("AuthorizationPermissionMismatch", "permission")
    }

    pub(crate) fn invalid_header(name: &str, value: &str) -> Self {
        let message = "The value for one of the HTTP headers is not in the correct format.";
        Self::bad_request("InvalidHeaderValue", message).with("HeaderName", name).with("HeaderValue", value)
    }

    pub(crate) fn missing_header(name: &str) -> Self {
        let message = "An HTTP header that's mandatory for this request is not specified.";
        Self::bad_request("MissingRequiredHeader", message).with("HeaderName", name)
    }

    pub(crate) fn unsupported_header(name: &str, value: &str) -> Self {
        let message = format!("One of the HTTP headers specified in the request is not supported: {name}.");
        Self::bad_request("UnsupportedHeader", message).with("HeaderName", name).with("HeaderValue", value)
    }

    pub(crate) fn invalid_parameter(name: &str, value: &str) -> Self {
        let message = "Value for one of the query parameters specified in the request URI is invalid.";
        Self::bad_request("InvalidQueryParameterValue", message)
            .with("QueryParameterName", name)
            .with("QueryParameterValue", value)
    }

    pub(crate) fn unsupported_parameter(name: &str, value: &str) -> Self {
        let message =
            format!("One of the query parameters specified in the request URI is not supported: {name}={value}.");
        Self::bad_request("UnsupportedQueryParameter", message)
            .with("QueryParameterName", name)
            .with("QueryParameterValue", value)
    }

    pub(crate) fn unsupported_verb(method: &Method) -> Self {
        let message = format!("The resource doesn't support specified Http Verb: {method}.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "UnsupportedHttpVerb", message)
    }

    pub(crate) fn invalid_document(reason: impl std::fmt::Display) -> Self {
        Self::bad_request("InvalidXmlDocument", format!("XML specified is not syntactically valid: {reason}."))
    }

    pub(crate) fn body_too_large(limit: usize) -> Self {
        let message = "The request body is too large and exceeds the maximum permissible limit.";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestBodyTooLarge", message).with("MaxLimit", limit.to_string())
    }

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
            | ObjectError::Unsupported { .. } => Self::new(status, code, format!("{message} ({error})")),
            _ if status.is_server_error() => Self::new(status, code, format!("{message} ({error})")),
            _ => Self::new(status, code, message),
        }
    }

    /// The answer. One to `HEAD`, and one that nothing changed, has the header alone.
    pub(crate) fn answer(&self, request_id: &str, now: Millis, head_only: bool) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = self.status;
        response.headers_mut().insert("x-ms-error-code", HeaderValue::from_static(self.code));
        if !head_only && self.status != StatusCode::NOT_MODIFIED {
            *response.body_mut() = self.document(request_id, now);
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(xml::CONTENT_TYPE));
        }
        response
    }

    fn document(&self, request_id: &str, now: Millis) -> Bytes {
        let message = format!("{}\nRequestId:{request_id}\nTime:{}", self.message, time::iso8601(now));
        xml::document("Error", &[], |error| {
            error.text("Code", self.code);
            error.text("Message", &message);
            self.details.iter().for_each(|(name, text)| error.text(name, text));
        })
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

impl From<ObjectError> for BlobError {
    fn from(error: ObjectError) -> Self {
        Self::of(&error)
    }
}
