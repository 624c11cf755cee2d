//! The JSON protocols (`application/x-amz-json-1.0` and `1.1`): requests as services take them, errors as they answer
//! them, and the constraint messages that all of them share.
//!
//! Source: the AWS JSON 1.1 protocol of Smithy; messages as the services send them.

use bytes::Bytes;
use millstream_access::Caller;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A request of a JSON service, its signature checked.
#[derive(Debug, Clone)]
pub struct JsonRequest {
    /// The operation, from `X-Amz-Target` behind the dot.
    pub operation: String,
    /// The body, unpacked.
    pub body: Bytes,
    /// The id that the answer's `x-amzn-RequestId` carries.
    pub request_id: String,
    /// All headers.
    pub headers: http::HeaderMap,
    /// `https` when it came under TLS, else `http`.
    pub scheme: &'static str,
    /// Whose key signed it.
    pub caller: Caller,
}

impl JsonRequest {
    /// The invocation on whose behalf the request is made: the `Invocation=` part of the trace header, which the runtime
    /// API gave the function's process and which its SDK sends back.
    #[must_use]
    pub fn invocation(&self) -> Option<String> {
        let trace = self.headers.get("x-amzn-trace-id")?.to_str().ok()?;
        trace.split(';').find_map(|part| part.trim().strip_prefix("Invocation=")).map(str::to_owned)
    }

    /// The body as an operation's input.
    ///
    /// # Errors
    /// `SerializationException` when it is no JSON or a member has another type.
    pub fn input<T: DeserializeOwned>(&self) -> Result<T, ServiceError> {
        parse(&self.body)
    }
}

/// A body as an operation's input; an empty one counts as `{}`, as the services take it.
///
/// # Errors
/// `SerializationException` when it is no JSON or a member has another type.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ServiceError> {
    serde_json::from_slice(object(body)?).map_err(|error| ServiceError::serialization(&error.to_string()))
}

/// A body that may be an operation's input; an empty one counts as `{}`.
///
/// # Errors
/// `SerializationException` when it begins like no JSON object.
pub fn object(body: &[u8]) -> Result<&[u8], ServiceError> {
    let body = if body.is_empty() { b"{}" } else { body };
    // An array of an operation's members in their order would be read, too, but not by who asks what a call is about.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(ServiceError::serialization("expected a JSON object"));
    }
    Ok(body)
}

/// An error as a service answers it.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceError {
    /// HTTP status.
    pub status: u16,
    /// The error's name: `ResourceNotFoundException`.
    pub code: String,
    /// What is said of it.
    pub message: String,
    /// Further members of the answer.
    pub extra: Vec<(&'static str, Value)>,
}

impl ServiceError {
    /// An error of the caller: status 400.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { status: 400, code: code.to_owned(), message: message.into(), extra: Vec::new() }
    }

    /// An error of ours: status 500.
    #[must_use]
    pub fn internal(code: &str, message: impl Into<String>) -> Self {
        Self { status: 500, ..Self::new(code, message) }
    }

    /// The body cannot be read as what the operation takes.
    #[must_use]
    pub fn serialization(detail: &str) -> Self {
        Self::new("SerializationException", detail)
    }

    /// The service has no such operation, or this node does not serve it.
    #[must_use]
    pub fn unknown_operation(service: &str, operation: &str) -> Self {
        Self::new(
            "UnknownOperationException",
            format!("{service} operation `{operation}` is not supported by this node"),
        )
    }

    /// The answer's body.
    #[must_use]
    pub fn body(&self) -> Bytes {
        let mut answer = json!({ "__type": self.code, "message": self.message });
        for (member, value) in &self.extra {
            answer[*member] = value.clone();
        }
        Bytes::from(answer.to_string())
    }
}

/// Collects what is wrong with the members of a request into the services' one message.
#[derive(Debug, Default)]
pub struct Constraints {
    broken: Vec<String>,
}

impl Constraints {
    /// Nothing is wrong yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that a member's value breaks a constraint.
    pub fn broken(&mut self, member: &str, value: Option<&str>, constraint: &str) -> &mut Self {
        let value = value.map_or("null".to_owned(), |value| format!("'{value}'"));
        self.broken.push(format!("Value {value} at '{member}' failed to satisfy constraint: {constraint}"));
        self
    }

    /// A member that must be there.
    pub fn required<T>(&mut self, member: &str, value: Option<&T>) -> &mut Self {
        if value.is_none() {
            self.broken(member, None, "Member must not be null");
        }
        self
    }

    /// A text's length in characters.
    pub fn length(&mut self, member: &str, value: Option<&str>, min: usize, max: usize) -> &mut Self {
        let Some(value) = value else { return self };
        let length = value.chars().count();
        if length < min {
            self.broken(member, Some(value), &format!("Member must have length greater than or equal to {min}"));
        }
        if length > max {
            self.broken(member, Some(value), &format!("Member must have length less than or equal to {max}"));
        }
        self
    }

    /// A text of certain characters; `pattern` is the service's own regular expression, for the message.
    pub fn characters(
        &mut self,
        member: &str,
        value: Option<&str>,
        allowed: fn(char) -> bool,
        pattern: &str,
    ) -> &mut Self {
        if let Some(value) = value.filter(|value| value.is_empty() || !value.chars().all(allowed)) {
            let constraint = format!("Member must satisfy regular expression pattern: {pattern}");
            self.broken(member, Some(value), &constraint);
        }
        self
    }

    /// A number's range.
    pub fn range(&mut self, member: &str, value: Option<i64>, min: i64, max: i64) -> &mut Self {
        let Some(value) = value else { return self };
        let text = value.to_string();
        if value < min {
            self.broken(member, Some(&text), &format!("Member must have value greater than or equal to {min}"));
        }
        if value > max {
            self.broken(member, Some(&text), &format!("Member must have value less than or equal to {max}"));
        }
        self
    }

    /// One of some texts.
    pub fn one_of(&mut self, member: &str, value: Option<&str>, allowed: &[&str]) -> &mut Self {
        if let Some(value) = value.filter(|value| !allowed.contains(value)) {
            self.broken(member, Some(value), &format!("Member must satisfy enum value set: [{}]", allowed.join(", ")));
        }
        self
    }

    /// The error with all that is wrong, if anything is.
    ///
    /// # Errors
    /// `ValidationException`.
    pub fn finish(&self) -> Result<(), ServiceError> {
        if self.broken.is_empty() {
            return Ok(());
        }
        let (count, plural) = (self.broken.len(), if self.broken.len() == 1 { "" } else { "s" });
        let message = format!("{count} validation error{plural} detected: {}", self.broken.join("; "));
        Err(ServiceError::new("ValidationException", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_are_inputs() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Input {
            stream_name: Option<String>,
        }
        assert_eq!(parse::<Input>(b" {\"StreamName\": \"s\"}").unwrap().stream_name.as_deref(), Some("s"));
        assert_eq!(parse::<Input>(b"").unwrap().stream_name, None);
        for body in [&b"[\"s\"]"[..], b"null", b"\"s\"", b" "] {
            assert_eq!(parse::<Input>(body).unwrap_err().code, "SerializationException", "{body:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_one_message() {
        let name = |char: char| char.is_ascii_alphanumeric();
        let mut constraints = Constraints::new();
        constraints.length("streamName", Some(""), 1, 128).range("shardCount", Some(0), 1, 500);
        constraints.characters("streamName", Some("a b"), name, "[a-z]+").required::<String>("data", None);
        assert_eq!(
            constraints.finish().unwrap_err().message,
            "4 validation errors detected: \
             Value '' at 'streamName' failed to satisfy constraint: Member must have length greater than or equal to 1; \
             Value '0' at 'shardCount' failed to satisfy constraint: Member must have value greater than or equal to 1; \
             Value 'a b' at 'streamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-z]+; \
             Value null at 'data' failed to satisfy constraint: Member must not be null",
        );
        assert!(Constraints::new().length("x", Some("a"), 1, 1).finish().is_ok());
    }
}
