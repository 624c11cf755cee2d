//! How a request finds its service: the one port of all AWS protocols.
//!
//! The ladder: health → data plane of APIs (no signature) → body → signature → whose key it is → the body unpacked → service
//! by the signature's scope → whether the caller may → operation. Everything after that is the services' own.

use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use hyper::body::Incoming;
use millstream_access::policy::Context;
use millstream_access::{AccessError, Caller, Grant, Origin};
use millstream_http::answer_body::AnswerBody;
use millstream_http::body::{self, BodyError};
use millstream_http::{request_id, serve};
use millstream_types::{BoxFuture, Clock};
use percent_encoding::percent_decode_str;

use crate::apigateway::{Address, ApiGateway};
use crate::authorize::{Authorizer, Need, denied};
use crate::json_protocol::{JsonRequest, ServiceError};
use crate::query_protocol::{self, Parameters, QueryRequest};
use crate::rest_protocol::{self, RestRequest};
use crate::services::Services;
use crate::sigv4::{Claim, SignatureError, SigningKeys};
use crate::{cbor_body, cbor_protocol};

/// The largest body: a function's package of 50 MiB in base64, with room for its other members.
const BODY_BYTES_MAX: usize = 70 << 20;

/// The largest body of the other services; batches of records end far below.
const RECORDS_BODY_BYTES_MAX: usize = 16 << 20;

/// The front: what it needs to check a request, and the services.
pub struct AwsFront {
    authorizer: Authorizer,
    clock: Arc<dyn Clock>,
    services: Services,
    signing_keys: SigningKeys,
}

impl AwsFront {
    /// The front over its services.
    #[must_use]
    pub fn new(authorizer: Authorizer, clock: Arc<dyn Clock>, services: Services) -> Self {
        Self { authorizer, clock, services, signing_keys: SigningKeys::default() }
    }

    /// Answers a request. Never fails: whatever is wrong is the answer. The future is boxed so that the services are
    /// compiled with this crate and not with the binary.
    #[must_use]
    pub fn handle(&self, head: Parts, body: Incoming) -> BoxFuture<'_, Response<AnswerBody>> {
        let request_id = request_id::new();
        if head.uri.path() == "/healthz" {
            return Box::pin(async { Response::new(AnswerBody::from(Bytes::from_static(b"ok\n"))) });
        }
        // Its own future, a small one: the other has room for what any service may need, and moving it costs as much as a call.
        if let Some(address) = ApiGateway::address(&head) {
            return Box::pin(async move { self.deployed(address, head, body, request_id).await.map(AnswerBody::from) });
        }
        Box::pin(async move {
            let response = self.answer(head, body, &request_id).await;
            identified(response, &request_id)
        })
    }

    /// Answers a request to a deployed API. Nobody has to say who they are towards one, so it is unpacked as it comes.
    async fn deployed(&self, address: Address, head: Parts, body: Incoming, request_id: String) -> Response<Bytes> {
        let limit = RECORDS_BODY_BYTES_MAX;
        let taken = match body::take(body, limit).await {
            Ok(taken) => taken,
            Err(error) => return identified(rest_protocol::error(&not_taken(&error)), &request_id),
        };
        match body::unpack(&head.headers, taken.bytes.clone(), limit) {
            Ok(body) => self.services.apigateway.api_call(address, head, body, request_id).await,
            Err(error) => identified(rest_protocol::error(&not_taken(&error)), &request_id),
        }
    }

    async fn answer(&self, head: Parts, body: Incoming, request_id: &str) -> Response<AnswerBody> {
        match self.admit(head, body, request_id).await {
            ControlFlow::Break(response) => response.map(AnswerBody::from),
            ControlFlow::Continue((call, head, body)) if Services::is_subscription(&call.service, &head.headers) => {
                self.subscribe(&call, head, body).await
            }
            ControlFlow::Continue((call, head, body)) => self.call(&call, head, body).await.map(AnswerBody::from),
        }
    }

    /// Climbs the ladder up to the signature and the body: an answer on the way, or a call with its body unpacked.
    async fn admit<'r>(
        &self,
        head: Parts,
        body: Incoming,
        request_id: &'r str,
    ) -> ControlFlow<Response<Bytes>, (Call<'r>, Parts, Bytes)> {
        let limit =
            if head.uri.path().starts_with("/2015-03-31/functions") { BODY_BYTES_MAX } else { RECORDS_BODY_BYTES_MAX };
        let taken = match body::take(body, limit).await {
            Ok(taken) => taken,
            Err(error) => return ControlFlow::Break(rest_protocol::error(&not_taken(&error))),
        };
        let unpacked = || body::unpack(&head.headers, taken.bytes.clone(), limit);
        if let Some(response) = self.services.public(&head).await {
            return ControlFlow::Break(response);
        }
        let family = Family::of(&head.headers);
        // Signed is what was sent.
        let (service, Grant { caller, origin, .. }) = match self.authenticate(&head, &taken.bytes) {
            Ok(claim) => claim,
            Err(error) => return ControlFlow::Break(in_its_form(&head.headers, family.refused(&error, request_id))),
        };
        let body = match unpacked() {
            Ok(body) => body,
            Err(error) => {
                return ControlFlow::Break(in_its_form(&head.headers, family.error(&not_taken(&error), request_id)));
            }
        };
        // Whoever may do everything is asked nothing.
        let asked = !self.authorizer.access.may_everything(&caller);
        let circumstances = asked.then(|| self.authorizer.circumstances(&caller, Some(&head)));
        ControlFlow::Continue((Call { service, caller, origin, circumstances, request_id }, head, body))
    }

    /// Answers a request whose signature holds.
    async fn call(&self, call: &Call<'_>, head: Parts, body: Bytes) -> Response<Bytes> {
        if let Some((service, operation)) = cbor_protocol::target(&head.headers, head.uri.path()) {
            return self.cbor(call, &service, &operation, &body).await;
        }
        match Family::of(&head.headers) {
            // REST services have operations that take forms too, such as an invocation with one as its event.
            Family::Query if !Services::is_rest(&call.service) => self.query(call, head, &body).await,
            Family::Json if call.service == "kinesis" && cbor_body::is_spoken(&head.headers) => {
                match cbor_body::read(&body) {
                    Ok(body) => cbor_body::answer(self.json(call, head, body).await),
                    Err(error) => cbor_body::answer(json_error(&error)),
                }
            }
            Family::Json => self.json(call, head, body).await,
            Family::Query | Family::Rest => self.rest(call, head, body).await,
        }
    }

    /// Answers a request whose answer comes by and by.
    async fn subscribe(&self, call: &Call<'_>, head: Parts, body: Bytes) -> Response<AnswerBody> {
        let cbor = cbor_body::is_spoken(&head.headers);
        let headers = head.headers.clone();
        let refused = |response: Response<Bytes>| in_its_form(&headers, response).map(AnswerBody::from);
        let body = if cbor { cbor_body::read(&body) } else { Ok(body) };
        let request = match body {
            Ok(body) => json_request(call, head, body).1,
            Err(error) => return refused(json_error(&error)),
        };
        let needs = || self.authorizer.json_needs(&call.service, &request, &self.services);
        if let Err(message) = self.permit(call, needs) {
            return refused(Services::json_denied(&call.service, message));
        }
        match self.services.subscribe(&request, cbor).await {
            Ok(response) => response.map(AnswerBody::Live),
            Err(error) => refused(json_error(&error)),
        }
    }

    /// Whether the caller may do what the call needs.
    fn permit(&self, call: &Call<'_>, needs: impl FnOnce() -> Vec<Need>) -> Result<(), String> {
        match &call.circumstances {
            Some(circumstances) => self.authorizer.check(&call.caller, &needs(), circumstances),
            None => Ok(()),
        }
    }

    async fn json(&self, call: &Call<'_>, head: Parts, body: Bytes) -> Response<Bytes> {
        let (prefix, request) = json_request(call, head, body);
        match self.permit(call, || self.authorizer.json_needs(&call.service, &request, &self.services)) {
            Ok(()) => self.services.json(&call.service, &prefix, &request).await,
            Err(message) => Services::json_denied(&call.service, message),
        }
    }

    async fn cbor(&self, call: &Call<'_>, service: &str, operation: &str, body: &[u8]) -> Response<Bytes> {
        // One service speaks it, and what was signed for another is not for it.
        if call.service != "monitoring" {
            let error = ServiceError { status: 403, ..ServiceError::new("InvalidSignatureException", NOT_OF_SERVICE) };
            return cbor_protocol::error(&error, "SignatureDoesNotMatch");
        }
        match self.permit(call, || vec![Need::new(format!("cloudwatch:{operation}"), "*")]) {
            Ok(()) => self.services.cbor(service, operation, body).await,
            Err(message) => cbor_protocol::error(&ServiceError { status: 403, ..denied(message) }, "AccessDenied"),
        }
    }

    async fn query(&self, call: &Call<'_>, head: Parts, body: &[u8]) -> Response<Bytes> {
        let mut parameters = match Parameters::parse(body) {
            Ok(parameters) => parameters,
            Err(error) => return query_protocol::unserved(&error, call.request_id),
        };
        let request = QueryRequest {
            action: parameters.take("Action").unwrap_or_default(),
            path: head.uri.path().to_owned(),
            parameters,
            scheme: serve::scheme(&head.extensions),
            headers: head.headers,
            request_id: call.request_id.to_owned(),
            caller: call.caller.clone(),
            origin: call.origin.clone(),
        };
        let needs = || self.authorizer.query_needs(&call.caller, &call.service, &request, &self.services);
        match self.permit(call, needs) {
            Ok(()) => self.services.query(&call.service, request).await,
            Err(message) => Services::query_denied(&call.service, message, call.request_id),
        }
    }

    async fn rest(&self, call: &Call<'_>, head: Parts, body: Bytes) -> Response<Bytes> {
        let request = RestRequest {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            scheme: serve::scheme(&head.extensions),
            headers: head.headers,
            body,
            request_id: call.request_id.to_owned(),
            caller: call.caller.clone(),
        };
        match self.permit(call, || self.authorizer.rest_needs(&call.service, &request)) {
            Ok(()) => self.services.rest(&call.service, request).await,
            Err(message) => rest_protocol::error(&ServiceError { status: 403, ..denied(message) }),
        }
    }

    /// The service that the signature is for, and what the key grants that it was made with.
    fn authenticate(&self, head: &Parts, body: &[u8]) -> Result<(String, Grant), SignatureError> {
        let query = head.uri.query().unwrap_or_default();
        let claim = Claim::read(&head.headers, query)?;
        let now = self.clock.now();
        let token = session_token(head, query);
        let grant = match self.authorizer.access.grant(&claim.access_key, token.as_deref(), now) {
            Ok(grant) => grant,
            Err(AccessError::Expired) => return Err(SignatureError::Expired),
            Err(_) => return Err(SignatureError::UnknownKey),
        };
        let authority = head.uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let place = (&head.method, head.uri.path(), query);
        claim.check((&self.signing_keys, &grant.secret), place, &head.headers, authority, body, now)?;
        Ok((claim.scope.service, grant))
    }
}

/// What a request is told that was signed for another service.
const NOT_OF_SERVICE: &str = "Credential should be scoped to correct service: 'monitoring'.";

/// A request whose signature holds.
struct Call<'r> {
    /// What it was signed for.
    service: String,
    caller: Caller,
    origin: Origin,
    /// `None`: the caller may do everything.
    circumstances: Option<Context>,
    request_id: &'r str,
}

/// A request of a JSON service, and what stands before the dot of its target.
fn json_request(call: &Call<'_>, head: Parts, body: Bytes) -> (String, JsonRequest) {
    let target = target(&head.headers).to_owned();
    let (prefix, operation) = target.split_once('.').unwrap_or(("", &target));
    let request = JsonRequest {
        operation: operation.to_owned(),
        body,
        request_id: call.request_id.to_owned(),
        scheme: serve::scheme(&head.extensions),
        headers: head.headers,
        caller: call.caller.clone(),
    };
    (prefix.to_owned(), request)
}

/// The service and the operation of a JSON service's request: `PREFIX.OPERATION`.
pub(crate) fn target(headers: &HeaderMap) -> &str {
    headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A JSON service's answer as the client speaks: in CBOR when its request was.
fn in_its_form(headers: &HeaderMap, response: Response<Bytes>) -> Response<Bytes> {
    let cbor = headers.contains_key("x-amz-target") && cbor_body::is_spoken(headers);
    if cbor { cbor_body::answer(response) } else { response }
}

/// An answer with its request's id, unless it has one.
fn identified<B>(mut response: Response<B>, request_id: &str) -> Response<B> {
    let headers = response.headers_mut();
    if !headers.contains_key("x-amzn-requestid")
        && let Ok(id) = HeaderValue::from_str(request_id)
    {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

/// What comes along with temporary credentials: in a header, or in a presigned address.
fn session_token(head: &Parts, query: &str) -> Option<String> {
    let header = head.headers.get("x-amz-security-token").and_then(|token| token.to_str().ok());
    let escaped = || query.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Security-Token="));
    let unescape = |token| percent_decode_str(token).decode_utf8_lossy().into_owned();
    header.map(str::to_owned).or_else(|| escaped().map(unescape))
}

/// The families of protocols, told apart before the service is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Json,
    Query,
    Rest,
}

impl Family {
    fn of(headers: &HeaderMap) -> Self {
        match headers.contains_key("x-amz-target") {
            true => Self::Json,
            false if query_protocol::is_form(headers) => Self::Query,
            false => Self::Rest,
        }
    }

    /// An error as the family has it, of no service in particular.
    fn error(self, error: &ServiceError, request_id: &str) -> Response<Bytes> {
        match self {
            Self::Json => json_error(error),
            Self::Query => query_protocol::unserved(error, request_id),
            Self::Rest => rest_protocol::error(error),
        }
    }

    /// What a request of the family is answered whose signature does not hold.
    fn refused(self, error: &SignatureError, request_id: &str) -> Response<Bytes> {
        let error = match self {
            Self::Json => refused(error),
            Self::Query => refused_query(error),
            Self::Rest => forbidden(error),
        };
        self.error(&error, request_id)
    }
}

/// A body that was not taken, in the services' words.
fn not_taken(error: &BodyError) -> ServiceError {
    let (status, code) = match error {
        BodyError::TooLarge(_) => (413, "RequestEntityTooLargeException"),
        BodyError::Incomplete(_) => (400, "IncompleteBody"),
        BodyError::TimedOut => (408, "RequestTimeoutException"),
        BodyError::NotGzip(_) => return ServiceError::serialization(&error.to_string()),
    };
    ServiceError { status, ..ServiceError::new(code, error.to_string()) }
}

fn refused(error: &SignatureError) -> ServiceError {
    let code = match error {
        SignatureError::Missing => "MissingAuthenticationTokenException",
        SignatureError::Incomplete(_) => "IncompleteSignatureException",
        SignatureError::UnknownKey => "UnrecognizedClientException",
        SignatureError::Expired => "ExpiredTokenException",
        SignatureError::Invalid(_) => "InvalidSignatureException",
    };
    ServiceError::new(code, error.to_string())
}

/// Query services have names of their own for it.
fn refused_query(error: &SignatureError) -> ServiceError {
    let code = match error {
        SignatureError::Missing => "MissingAuthenticationToken",
        SignatureError::Incomplete(_) => "IncompleteSignature",
        SignatureError::UnknownKey => "InvalidClientTokenId",
        SignatureError::Expired => "ExpiredToken",
        SignatureError::Invalid(_) => "SignatureDoesNotMatch",
    };
    ServiceError { status: 403, ..ServiceError::new(code, error.to_string()) }
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
