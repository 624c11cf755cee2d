//! How a request finds its service: the one port of all AWS protocols.
//!
//! The ladder: health → data plane of APIs (no signature) → body → signature → service by the signature's scope →
//! operation. Everything after the signature is the services' own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Body;
use millstream_access::Access;
use millstream_types::Clock;

use crate::json_protocol::{JsonRequest, ServiceError};
use crate::rest_protocol::{self, RestRequest};
use crate::services::Services;
use crate::sigv4::{Claim, SignatureError};

/// The largest body: a function's package of 50 MiB in base64, with room for its other members.
const BODY_BYTES_MAX: usize = 70 << 20;

/// The largest body of the other services; batches of records end far below.
const RECORDS_BODY_BYTES_MAX: usize = 16 << 20;

/// How long a body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The front: what it needs to check a request, and the services.
pub struct AwsFront {
    access: Access,
    clock: Arc<dyn Clock>,
    services: Services,
}

impl AwsFront {
    /// The front over its services.
    #[must_use]
    pub fn new(access: Access, clock: Arc<dyn Clock>, services: Services) -> Self {
        Self { access, clock, services }
    }

    /// Answers a request. Never fails: whatever is wrong is the answer.
    pub async fn handle<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let request_id = uuid::Uuid::new_v4().to_string();
        let mut response = self.answer(request, &request_id).await;
        let headers = response.headers_mut();
        if !headers.contains_key("x-amzn-requestid")
            && let Ok(id) = HeaderValue::from_str(&request_id)
        {
            headers.insert("x-amzn-requestid", id);
        }
        response.map(Full::new)
    }

    async fn answer<B>(&self, request: Request<B>, request_id: &str) -> Response<Bytes>
    where
        B: Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if request.uri().path() == "/healthz" {
            return Response::new(Bytes::from_static(b"ok\n"));
        }
        let (head, body) = request.into_parts();
        let limit =
            if head.uri.path().starts_with("/2015-03-31/functions") { BODY_BYTES_MAX } else { RECORDS_BODY_BYTES_MAX };
        let body = match read_body(body, limit).await.and_then(|body| unpack(&head.headers, body, limit)) {
            Ok(body) => body,
            Err(error) => return rest_protocol::error(&error),
        };
        if let Some(response) = self.services.public(&head, &body).await {
            return response;
        }
        let rest = head.headers.get("x-amz-target").is_none();
        let claim = match self.authenticate(&head, &body) {
            Ok(claim) => claim,
            Err(error) => {
                return if rest { rest_protocol::error(&forbidden(&error)) } else { json_error(&refused(&error)) };
            }
        };
        let (service, principal) = claim;
        if rest {
            let request = RestRequest {
                method: head.method,
                path: head.uri.path().to_owned(),
                query: head.uri.query().unwrap_or_default().to_owned(),
                headers: head.headers,
                body,
                request_id: request_id.to_owned(),
                principal,
            };
            return self.services.rest(&service, request).await;
        }
        let target =
            head.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let (prefix, operation) = target.split_once('.').unwrap_or(("", &target));
        let request = JsonRequest {
            operation: operation.to_owned(),
            body,
            request_id: request_id.to_owned(),
            headers: head.headers,
            principal,
        };
        self.services.json(&service, prefix, &request).await
    }

    /// The service that the signature is for, and whose key it was made with.
    fn authenticate(&self, head: &http::request::Parts, body: &[u8]) -> Result<(String, String), SignatureError> {
        let query = head.uri.query().unwrap_or_default();
        let claim = Claim::read(&head.headers, query)?;
        let grant = self.access.grant(&claim.access_key);
        let authority = head.uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let secret = grant.as_ref().map(|grant| grant.secret.as_str());
        let place = (&head.method, head.uri.path(), query);
        claim.check(secret, place, &head.headers, authority, body, self.clock.now())?;
        Ok((claim.scope.service, grant.map(|grant| grant.principal).unwrap_or_default()))
    }
}

async fn read_body<B>(body: B, limit: usize) -> Result<Bytes, ServiceError>
where
    B: Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let collected = tokio::time::timeout(BODY_TIMEOUT, Box::pin(Limited::new(body, limit).collect())).await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(ServiceError {
            status: 413,
            ..ServiceError::new("RequestEntityTooLargeException", format!("expected a body of at most {limit} bytes"))
        }),
        Ok(Err(error)) => Err(ServiceError::new("IncompleteBody", format!("the body ended early: {error}"))),
        Err(_) => Err(ServiceError {
            status: 408,
            ..ServiceError::new(
                "RequestTimeoutException",
                format!("the body did not come within {} s", BODY_TIMEOUT.as_secs()),
            )
        }),
    }
}

/// Unpacks a body that came as gzip, never to more than the limit.
fn unpack(headers: &HeaderMap, body: Bytes, limit: usize) -> Result<Bytes, ServiceError> {
    use std::io::Read as _;
    if headers.get(header::CONTENT_ENCODING).is_none_or(|encoding| encoding != "gzip") {
        return Ok(body);
    }
    let mut unpacked = Vec::new();
    let mut reader = flate2::read::GzDecoder::new(&body[..]).take(limit as u64 + 1);
    match reader.read_to_end(&mut unpacked) {
        Ok(_) if unpacked.len() <= limit => Ok(Bytes::from(unpacked)),
        Ok(_) => Err(ServiceError {
            status: 413,
            ..ServiceError::new(
                "RequestEntityTooLargeException",
                format!("expected a body of at most {limit} bytes unpacked"),
            )
        }),
        Err(error) => Err(ServiceError::serialization(&format!("the body is no gzip: {error}"))),
    }
}

fn refused(error: &SignatureError) -> ServiceError {
    let code = match error {
        SignatureError::Missing => "MissingAuthenticationTokenException",
        SignatureError::Incomplete(_) => "IncompleteSignatureException",
        SignatureError::UnknownKey => "UnrecognizedClientException",
        SignatureError::Invalid(_) => "InvalidSignatureException",
    };
    ServiceError::new(code, error.to_string())
}

/// REST services answer the same with status 403.
fn forbidden(error: &SignatureError) -> ServiceError {
    ServiceError { status: 403, ..refused(error) }
}

/// An error of a JSON service.
pub(crate) fn json_error(error: &ServiceError) -> Response<Bytes> {
    json_answer(
        StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST),
        "application/x-amz-json-1.1",
        error.body(),
    )
}

/// A JSON service's answer.
pub(crate) fn json_answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
