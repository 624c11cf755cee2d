//! The Queue service over the queue engine, addressed by path: `http://HOST/ACCOUNT-queue/QUEUE/messages`. The suffix tells
//! it from the Blob service, which has the same port here; signatures are made over the path as it is sent.
//! Source: the Azure Storage REST reference, "Queue service REST API".
//!
//! Accounts, signatures, XML and the form of errors are in `storage`. Read next: `queues` and `messages` (the
//! operations), `error` (the engine's facts in the service's words).

mod error;
mod messages;
mod queues;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode};
use millstream_access::Access;
use millstream_http::body::BodyError;
use millstream_queue::Queues;
use millstream_types::Clock;

use crate::request::AzureRequest;
use crate::services::Refusal;
use crate::storage::account::{self, is_account};
use crate::storage::error::ServiceError;
use crate::storage::target::Target;

/// Bytes of a request's body: a message of 64 KiB, spelled in XML.
pub(crate) const BODY_BYTES_MAX: usize = 512 << 10;
/// What an account's name has behind it in addresses of this service.
pub const ACCOUNT_SUFFIX: &str = "-queue";
/// The version that is told to clients that name none.
const VERSION: &str = "2021-12-02";

/// The service.
pub struct Queue {
    queues: Queues,
    access: Access,
    clock: Arc<dyn Clock>,
}

/// A request on its way to its operation. The target's container is the queue, its blob what follows.
struct Call<'r> {
    request: &'r AzureRequest,
    target: Target,
}

impl Call<'_> {
    fn queue(&self) -> &str {
        self.target.container()
    }

    /// A parameter that is a number in a range.
    fn number(&self, name: &'static str, default: i64, (min, max): (i64, i64)) -> Result<i64, ServiceError> {
        let Some(text) = self.target.parameter(name) else { return Ok(default) };
        let number: i64 = text.parse().map_err(|_| ServiceError::invalid_parameter(name, text))?;
        if (min..=max).contains(&number) { Ok(number) } else { Err(error::out_of_range(name, number, (min, max))) }
    }
}

/// The address of a request whose sender may use it.
pub struct Admitted(Target);

impl Queue {
    /// The service over the queue engine and the accounts.
    #[must_use]
    pub fn new(queues: Queues, access: Access, clock: Arc<dyn Clock>) -> Self {
        Self { queues, access, clock }
    }

    /// Whether a request's head means this service: its own header or a signature, and an account's address here.
    #[must_use]
    pub fn is_meant(head: &http::request::Parts) -> bool {
        let query = head.uri.query().unwrap_or_default();
        let speaks = head.headers.contains_key("x-ms-version") || query.split('&').any(|pair| pair.starts_with("sig="));
        let first = head.uri.path().split('/').nth(1).unwrap_or_default();
        speaks && first.strip_suffix(ACCOUNT_SUFFIX).is_some_and(is_account)
    }

    /// Answers a request whose head was admitted.
    pub(crate) async fn handle(&self, admitted: Admitted, request: &AzureRequest) -> Response<Bytes> {
        let mut response = match self.call(admitted.0, request).await {
            Ok(response) => response,
            Err(error) => {
                if error.status.is_server_error() {
                    tracing::error!(code = error.code, message = %error.message, "a queue request failed");
                }
                self.failed(request, &error)
            }
        };
        let version = request.header("x-ms-version").unwrap_or(VERSION);
        if let Ok(version) = HeaderValue::from_str(version) {
            response.headers_mut().insert("x-ms-version", version);
        }
        if let Some(client_id) = request.headers.get("x-ms-client-request-id") {
            response.headers_mut().insert("x-ms-client-request-id", client_id.clone());
        }
        response
    }

    /// Looks at a request's head; the error is the answer that it earns without its body.
    pub(crate) fn admit(&self, head: &AzureRequest) -> Result<Admitted, Refusal> {
        self.examine(head).map(Admitted).map_err(|error| Box::new(self.failed(head, &error)))
    }

    /// The answer to a body that was not taken.
    pub(crate) fn not_taken(&self, head: &AzureRequest, error: &BodyError) -> Response<Bytes> {
        self.failed(head, &ServiceError::not_taken(error))
    }

    fn failed(&self, request: &AzureRequest, error: &ServiceError) -> Response<Bytes> {
        error.answer(&request.request_id, self.clock.now(), request.method == Method::HEAD)
    }

    /// The address of a request whose sender may use it. Looks at the head alone.
    fn examine(&self, request: &AzureRequest) -> Result<Target, ServiceError> {
        let mut target = Target::of(request)?;
        target.account = target.account.strip_suffix(ACCOUNT_SUFFIX).unwrap_or_default().to_owned();
        match request.header("authorization") {
            Some(authorization) => {
                account::by_key(&self.access, request, &target, authorization, self.clock.now())?;
            }
            None if target.parameter("sig").is_some() => return Err(error::unsupported("A shared access signature")),
            None => return Err(ServiceError::no_authentication()),
        }
        Ok(target)
    }

    async fn call(&self, target: Target, request: &AzureRequest) -> Result<Response<Bytes>, ServiceError> {
        let call = Call { request, target };
        let (queue, rest) = (call.target.container.as_deref(), call.target.blob.as_deref());
        let comp = call.target.parameter("comp");
        let message = rest.and_then(|rest| rest.strip_prefix("messages/"));
        match (request.method.as_str(), queue, rest, message, comp) {
            ("GET", None, None, _, Some("list")) => Ok(queues::list(self, &call)?),
            ("PUT", Some(_), None, _, None) => queues::create(self, &call).await,
            ("DELETE", Some(_), None, _, None) => queues::delete(self, &call).await,
            ("GET" | "HEAD", Some(_), None, _, Some("metadata")) => queues::metadata(self, &call),
            ("PUT", Some(_), None, _, Some("metadata")) => queues::set_metadata(self, &call).await,
            ("POST", Some(_), Some("messages"), ..) => messages::put(self, &call).await,
            ("GET", Some(_), Some("messages"), ..) => messages::get(self, &call).await,
            ("DELETE", Some(_), Some("messages"), ..) => messages::clear(self, &call).await,
            ("DELETE", Some(_), _, Some(id), _) => messages::delete(self, &call, id).await,
            ("PUT", Some(_), _, Some(id), _) => messages::update(self, &call, id).await,
            (method, _, _, _, comp) => {
                let what = format!("{method} with comp={} at this address", comp.unwrap_or_default());
                Err(error::unsupported(&what))
            }
        }
    }
}

/// An answer without a body.
fn empty(status: StatusCode) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    response
}
