//! What webhooks call without a signature, by `GET`: the addresses that their messages name.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header, request};

use super::{NAMESPACE, Sns, notification, subscriptions};
use crate::json_protocol::ServiceError;
use crate::query_protocol::{self, Parameters};

pub(super) async fn answer(sns: &Sns, head: &request::Parts) -> Option<Response<Bytes>> {
    let path = head.uri.path();
    if head.method == Method::GET && notification::is_certificate(path) {
        return Some(certificate(sns, path).await);
    }
    let query = head.uri.query().filter(|_| path == "/" && head.method == Method::GET)?;
    let parameters = Parameters::parse(query.as_bytes()).ok()?;
    // A signed request says so; it is answered where its signature is checked.
    if parameters.get("X-Amz-Signature").is_some() || head.headers.contains_key(header::AUTHORIZATION) {
        return None;
    }
    let (action, id) = (parameters.get("Action")?.to_owned(), uuid::Uuid::new_v4().to_string());
    let done = match action.as_str() {
        "ConfirmSubscription" if parameters.get("AuthenticateOnUnsubscribe") == Some("true") => Err(unsigned()),
        "ConfirmSubscription" => subscriptions::confirm(sns, &parameters).await,
        "Unsubscribe" => match may_end(sns, &parameters) {
            Ok(()) => subscriptions::unsubscribe(sns, &parameters).await,
            Err(error) => Err(error),
        },
        _ => return None,
    };
    Some(match done {
        Ok(write) => query_protocol::answer(NAMESPACE, &action, &id, write),
        Err(error) => query_protocol::error(NAMESPACE, &error, &id),
    })
}

/// Whether anybody who knows a subscription's name may end it.
fn may_end(sns: &Sns, parameters: &Parameters) -> Result<(), ServiceError> {
    let (topic, name) = subscriptions::names(sns, parameters)?;
    let subscription = sns.events.message_subscription(&topic, &name)?;
    if subscriptions::is_authenticated(&subscription) { Err(unsigned()) } else { Ok(()) }
}

fn unsigned() -> ServiceError {
    ServiceError { status: 403, ..ServiceError::new("AuthorizationError", "The request has to be signed.") }
}

async fn certificate(sns: &Sns, path: &str) -> Response<Bytes> {
    let found = sns.signer.certificate(path).await;
    let (status, body) = match found {
        Ok(Some(text)) => (StatusCode::OK, text),
        Ok(None) => (StatusCode::NOT_FOUND, "there is no such certificate\n".to_owned()),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-pem-file"));
    response
}
