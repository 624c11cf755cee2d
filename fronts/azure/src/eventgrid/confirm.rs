//! Confirming a webhook by hand: `GET` of the address that its validation event named, within ten minutes.

use bytes::Bytes;
use http::{Method, Response};

use super::EventGrid;
use super::error::EventGridError;
use super::publish::query_value;
use crate::request::AzureRequest;

pub(super) async fn call(
    service: &EventGrid,
    request: &AzureRequest,
    topic: &str,
    subscription: &str,
) -> Result<Response<Bytes>, EventGridError> {
    // The CloudEvents handshake lets the endpoint choose the method.
    if !matches!(request.method, Method::GET | Method::POST) {
        return Err(EventGridError::method_not_allowed("GET"));
    }
    let code = query_value(&request.query, "code").unwrap_or_default();
    service.events.confirm(topic, subscription, code).await?;
    Ok(Response::new(Bytes::from_static(b"\"Webhook successfully validated as a subscription endpoint.\"")))
}
