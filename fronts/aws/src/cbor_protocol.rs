//! The CBOR protocol of newer SDKs (Smithy RPC v2): `POST /service/SERVICE/operation/OPERATION` with a CBOR map, and the same
//! back.
//!
//! Source: the Smithy RPC v2 CBOR protocol. What is read becomes JSON, so that an operation has one input for all
//! protocols: times become seconds, byte strings base64.

use bytes::Bytes;
use ciborium::Value as Cbor;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Number, Value};

use crate::json_protocol::ServiceError;

/// The header by which client and service say that they speak it.
const PROTOCOL: (&str, &str) = ("smithy-protocol", "rpc-v2-cbor");

/// The tag of a time in seconds (RFC 8949, 3.4.2).
pub(crate) const EPOCH_TAG: u64 = 1;

/// The service and the operation that a request names; `None` when it is of another protocol.
#[must_use]
pub fn target(headers: &HeaderMap, path: &str) -> Option<(String, String)> {
    let spoken = headers.get(PROTOCOL.0)? == PROTOCOL.1;
    let (service, operation) = path.strip_prefix("/service/")?.split_once("/operation/")?;
    spoken.then(|| (service.to_owned(), operation.to_owned()))
}

/// A body as JSON; an empty one is `{}`.
///
/// # Errors
/// `SerializationException` when it is no CBOR, or holds what JSON has no word for.
pub fn read(body: &[u8]) -> Result<Value, ServiceError> {
    if body.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    let value: Cbor =
        ciborium::from_reader(body).map_err(|error| ServiceError::serialization(&format!("no CBOR: {error}")))?;
    json(value)
}

/// A value as JSON.
pub(crate) fn json(value: Cbor) -> Result<Value, ServiceError> {
    Ok(match value {
        Cbor::Null => Value::Null,
        Cbor::Bool(flag) => Value::Bool(flag),
        Cbor::Text(text) => Value::String(text),
        Cbor::Bytes(bytes) => Value::String(base64_simd::STANDARD.encode_to_string(bytes)),
        Cbor::Float(number) => Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| ServiceError::serialization(&format!("{number} is no number")))?,
        Cbor::Integer(number) => i64::try_from(number)
            .map(Value::from)
            .map_err(|_| ServiceError::serialization("an integer does not fit into 64 bits"))?,
        Cbor::Array(items) => Value::Array(items.into_iter().map(json).collect::<Result<_, _>>()?),
        Cbor::Map(members) => {
            let member = |(name, value): (Cbor, Cbor)| match name {
                Cbor::Text(name) => Ok((name, json(value)?)),
                _ => Err(ServiceError::serialization("expected texts as names of members")),
            };
            Value::Object(members.into_iter().map(member).collect::<Result<_, _>>()?)
        }
        Cbor::Tag(EPOCH_TAG, time) => json(*time)?,
        _ => return Err(ServiceError::serialization("expected no tags but that of times")),
    })
}

/// A successful answer.
#[must_use]
pub fn answer(document: &Cbor) -> Response<Bytes> {
    respond(StatusCode::OK, document)
}

/// An error. `query_code` is its name in the query protocol, which SDKs still hand to their callers.
#[must_use]
pub fn error(error: &ServiceError, query_code: &str) -> Response<Bytes> {
    let text = |text: &str| Cbor::Text(text.to_owned());
    let document = Cbor::Map(vec![(text("__type"), text(&error.code)), (text("message"), text(&error.message))]);
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
    with_query_code(respond(status, &document), query_code)
}

/// An error with its name in the query protocol, for services that spoke that once.
pub(crate) fn with_query_code(mut response: Response<Bytes>, query_code: &str) -> Response<Bytes> {
    let at_fault = if response.status().is_server_error() { "Receiver" } else { "Sender" };
    if let Ok(value) = HeaderValue::from_str(&format!("{query_code};{at_fault}")) {
        response.headers_mut().insert("x-amzn-query-error", value);
    }
    response
}

fn respond(status: StatusCode, document: &Cbor) -> Response<Bytes> {
    let mut body = Vec::new();
    // Writing to memory cannot fail.
    let _ = ciborium::into_writer(document, &mut body);
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(PROTOCOL.0, HeaderValue::from_static(PROTOCOL.1));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/cbor"));
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bodies_become_json() {
        let text = |text: &str| Cbor::Text(text.to_owned());
        let sent = Cbor::Map(vec![
            (text("StartTime"), Cbor::Tag(EPOCH_TAG, Box::new(Cbor::Float(1.5)))),
            (text("Names"), Cbor::Array(vec![text("a"), Cbor::Integer(7.into()), Cbor::Bytes(vec![1, 2])])),
        ]);
        let mut body = Vec::new();
        ciborium::into_writer(&sent, &mut body).unwrap();
        assert_eq!(read(&body).unwrap(), json!({ "StartTime": 1.5, "Names": ["a", 7, "AQI="] }));
        assert_eq!(read(b"").unwrap(), json!({}));
    }

    #[test]
    fn nonsense_is_refused() {
        for body in [&b"\xff"[..], b"\xa1\x01\x02", b"\xa1", b"\xf9\x7e\x00"] {
            assert!(read(body).is_err(), "{body:?}");
        }
        // Deeper than any document of these services.
        assert!(read(&[0x81; 100_000]).is_err());
    }
}
