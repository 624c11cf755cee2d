//! `Invoke`: RequestResponse, Event and DryRun.

use base64_simd::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use millstream_catalog::LATEST;
use millstream_function::PAYLOAD_BYTES_MAX;
use millstream_types::{Invocation, Invoke as _};

use super::Lambda;
use super::error::typed;
use super::qualifier::Qualified;
use crate::json_protocol::{Constraints, ServiceError};
use crate::rest_protocol::RestRequest;

pub(super) async fn call(lambda: &Lambda, request: &RestRequest, name: &str) -> Result<Response<Bytes>, ServiceError> {
    let kind = request.header("x-amz-invocation-type").unwrap_or("RequestResponse");
    Constraints::new().one_of("invocationType", Some(kind), &["Event", "RequestResponse", "DryRun"]).finish()?;
    let name = Qualified::of(request, name)?.reference();
    lambda.functions.find(&name).map_err(|error| lambda.error(&error))?;
    let payload = if request.body.is_empty() { Bytes::from_static(b"{}") } else { request.body.clone() };
    if let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&payload) {
        let message = format!("Could not parse request body into json: {error}");
        return Err(typed(400, "InvalidRequestContentException", message));
    }
    let invocation = Invocation {
        function: name.clone(),
        payload,
        source: "client".to_owned(),
        client_context: client_context(request)?,
        log_tail: request.header("x-amz-log-type") == Some("Tail"),
    };
    match kind {
        "DryRun" => Ok(empty(StatusCode::NO_CONTENT)),
        "Event" => {
            let id = lambda.functions.enqueue(invocation).await.map_err(|error| lambda.error(&error))?;
            let mut response = empty(StatusCode::ACCEPTED);
            insert(&mut response, "x-amzn-requestid", &id);
            Ok(response)
        }
        _ => run(lambda, &name, invocation).await,
    }
}

async fn run(lambda: &Lambda, name: &str, invocation: Invocation) -> Result<Response<Bytes>, ServiceError> {
    let (tail, bytes) = (invocation.log_tail, invocation.payload.len());
    if bytes > PAYLOAD_BYTES_MAX {
        let message = format!(
            "{bytes} byte payload is too large for the RequestResponse invocation type (limit {PAYLOAD_BYTES_MAX} bytes)"
        );
        return Err(typed(413, "RequestTooLargeException", message));
    }
    let outcome = lambda.functions.invoke(invocation).await.map_err(|error| lambda.invoke_error(name, &error))?;
    let mut response = Response::new(outcome.payload);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let version = outcome.version.map_or_else(|| LATEST.to_owned(), |number| number.to_string());
    insert(&mut response, "x-amz-executed-version", &version);
    insert(&mut response, "x-amzn-requestid", &outcome.id);
    if let Some(error) = &outcome.error {
        insert(&mut response, "x-amz-function-error", error);
    }
    if tail {
        insert(&mut response, "x-amz-log-result", &STANDARD.encode_to_string(&outcome.log_tail));
    }
    Ok(response)
}

/// The context that mobile clients send: base64 of JSON.
fn client_context(request: &RestRequest) -> Result<Option<String>, ServiceError> {
    let Some(encoded) = request.header("x-amz-client-context") else { return Ok(None) };
    let wrong = || {
        typed(
            400,
            "InvalidRequestContentException",
            "Client context must be a valid Base64-encoded JSON object.".to_owned(),
        )
    };
    let bytes = STANDARD.decode_to_vec(encoded).map_err(|_| wrong())?;
    serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).map_err(|_| wrong())?;
    String::from_utf8(bytes).map(Some).map_err(|_| wrong())
}

fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}

fn insert(response: &mut Response<Bytes>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}
