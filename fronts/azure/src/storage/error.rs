//! Errors as all storage services answer them: the document, and the codes that they share.
//!
//! Source: the Azure Storage REST reference, "Status and error codes" and "Common REST API error codes".

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use millstream_http::body::BodyError;
use millstream_types::Millis;

use super::xml;
use crate::time;

/// An error as the service answers it.
#[derive(Debug, Clone)]
pub(crate) struct ServiceError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// Further elements of the document: their names and texts.
    details: Vec<(&'static str, String)>,
}

impl ServiceError {
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

    /// A body that was not taken.
    pub(crate) fn not_taken(error: &BodyError) -> Self {
        match error {
            BodyError::TooLarge(limit) => Self::body_too_large(*limit),
            BodyError::TimedOut => Self::new(
                StatusCode::REQUEST_TIMEOUT,
                "RequestTimeout",
                format!("The request body did not arrive in time: {error}."),
            ),
            BodyError::Incomplete(_) | BodyError::NotGzip(_) => {
                Self::bad_request("InvalidInput", format!("One of the request inputs is not valid: {error}."))
            }
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
