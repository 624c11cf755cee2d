//! The query protocol of the older services (IAM, STS, SNS, CloudWatch, SQS's old form): `Action=` and dotted names in a
//! form, answers and errors in XML.
//!
//! Source: the AWS query protocol of Smithy. Which service serves which action is the services' affair.

mod parameters;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use millstream_access::{Caller, Origin};
use millstream_http::xml::{self, Element};

pub use self::parameters::Parameters;
use crate::json_protocol::ServiceError;

/// What errors say before it is known which service they are of.
const NO_NAMESPACE: &str = "https://webservices.amazon.com/xml/error";

/// A request of a query service, its signature checked.
#[derive(Debug, Clone)]
pub struct QueryRequest {
    /// The operation: `CreateTopic`.
    pub action: String,
    /// The path, still escaped; `/` but for services that address a resource by its URL.
    pub path: String,
    /// All other members.
    pub parameters: Parameters,
    /// All headers.
    pub headers: HeaderMap,
    /// `https` when it came under TLS, else `http`.
    pub scheme: &'static str,
    /// The id that the answer carries.
    pub request_id: String,
    /// Whose key signed it.
    pub caller: Caller,
    /// The lasting key behind that key.
    pub origin: Origin,
}

/// Whether a request is of this family: its body is a form.
#[must_use]
pub fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content_type.is_some_and(|value| value.trim_start().starts_with("application/x-www-form-urlencoded"))
}

/// A successful answer of `action`: `content` writes what stands in its result element.
#[must_use]
pub fn answer(namespace: &str, action: &str, request_id: &str, content: impl FnOnce(&mut Element)) -> Response<Bytes> {
    let document = xml::document(&format!("{action}Response"), &[("xmlns", namespace)], |root| {
        root.child(&format!("{action}Result"), content);
        root.child("ResponseMetadata", |metadata| metadata.text("RequestId", request_id));
    });
    respond(StatusCode::OK, document)
}

/// A list as the protocol writes it: `<name><member>…</member>…</name>`.
pub fn members<T>(parent: &mut Element, name: &str, items: &[T], mut write: impl FnMut(&mut Element, &T)) {
    parent.child(name, |list| {
        for item in items {
            list.child("member", |member| write(member, item));
        }
    });
}

/// An error of a service with this namespace.
#[must_use]
pub fn error(namespace: &str, error: &ServiceError, request_id: &str) -> Response<Bytes> {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
    let at_fault = if status.is_server_error() { "Receiver" } else { "Sender" };
    let document = xml::document("ErrorResponse", &[("xmlns", namespace)], |root| {
        root.child("Error", |fault| {
            fault.text("Type", at_fault);
            fault.text("Code", &error.code);
            fault.text("Message", &error.message);
        });
        root.text("RequestId", request_id);
    });
    respond(status, document)
}

/// An error of a request whose service is not known or not served.
#[must_use]
pub fn unserved(fault: &ServiceError, request_id: &str) -> Response<Bytes> {
    error(NO_NAMESPACE, fault, request_id)
}

fn respond(status: StatusCode, document: Bytes) -> Response<Bytes> {
    let mut response = Response::new(document);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_wrapped_as_sdks_expect_them() {
        let response = answer("urn:x", "ListTopics", "r-1", |result| {
            members(result, "Topics", &["a", "b&c"], |member, arn| member.text("TopicArn", arn));
        });
        let text = String::from_utf8(response.into_body().to_vec()).unwrap();
        assert!(text.ends_with(
            "<ListTopicsResponse xmlns=\"urn:x\"><ListTopicsResult><Topics><member><TopicArn>a</TopicArn></member>\
             <member><TopicArn>b&amp;c</TopicArn></member></Topics></ListTopicsResult>\
             <ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></ListTopicsResponse>"
        ));
    }

    #[test]
    fn errors_say_whose_they_are() {
        let fault = ServiceError { status: 404, ..ServiceError::new("NoSuchEntity", "no role `x`") };
        let response = error("urn:x", &fault, "r-1");
        assert_eq!(response.status(), 404);
        let text = String::from_utf8(response.into_body().to_vec()).unwrap();
        assert!(text.contains("<Type>Sender</Type><Code>NoSuchEntity</Code><Message>no role `x`</Message>"));
    }
}
