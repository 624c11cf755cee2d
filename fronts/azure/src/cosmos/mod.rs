//! Azure Cosmos DB for NoSQL over REST: one account at the root of the port.
//!
//! The ladder of a request: target (which resource the path names) → signature → features this node leaves out →
//! operation. Sources: the REST reference of the service, and what its Python SDK sends and reads.
//! Read next: `target.rs`, `signature.rs`, `answer.rs`, then a file for each kind of resource.

mod account;
mod answer;
mod batch;
mod changes;
mod containers;
mod databases;
mod documents;
mod error;
mod offers;
mod partition_key;
mod patch;
mod queries;
mod signature;
mod target;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use millstream_document::Documents;
use millstream_http::body::BodyError;
use millstream_types::Clock;

use crate::request::AzureRequest;
use crate::services::Refusal;
use answer::Answer;
use error::CosmosError;
use target::Target;

/// The published key of development nodes: the one that every emulator of this service has.
pub const DEVELOPMENT_KEY: &str =
    "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==";

/// The largest body: a document of 2 MiB with whatever its text could do without, such as blanks and escapes.
pub(crate) const BODY_BYTES_MAX: usize = 4 << 20;

/// Whether a request is for this service: it tells the protocol's version, and its path is that of an account, of its
/// databases or of its offers.
pub(crate) fn is_meant(head: &Parts) -> bool {
    let first = head.uri.path().split('/').find(|segment| !segment.is_empty());
    head.headers.contains_key("x-ms-version") && matches!(first, None | Some("dbs" | "offers"))
}

/// The answer to a body that was not taken.
pub(crate) fn not_taken(error: &BodyError) -> Response<Bytes> {
    let (status, code) = match error {
        BodyError::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
        BodyError::TimedOut => (StatusCode::REQUEST_TIMEOUT, "RequestTimeout"),
        BodyError::Incomplete(_) | BodyError::NotGzip(_) => (StatusCode::BAD_REQUEST, "BadRequest"),
    };
    let body = serde_json::json!({ "code": code, "message": error.to_string() }).to_string();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The service.
pub struct Cosmos {
    documents: Documents,
    /// What signatures are made with.
    key: Vec<u8>,
    clock: Arc<dyn Clock>,
}

/// What a request names whose sender has signed it.
pub struct Admitted(Target);

/// The account's key is no base 64.
#[derive(Debug, thiserror::Error)]
#[error("expected the account's key in base 64")]
pub struct KeyError;

impl Cosmos {
    /// The service over its engine; `key` is the account's, in base 64.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn new(documents: Documents, key: &str, clock: Arc<dyn Clock>) -> Result<Self, KeyError> {
        Ok(Self { documents, key: STANDARD.decode(key).map_err(|_| KeyError)?, clock })
    }

    /// Answers a request whose head was admitted.
    pub async fn handle(&self, admitted: Admitted, request: &AzureRequest) -> Response<Bytes> {
        let answer = match self.answer(admitted.0, request).await {
            Ok(answer) => answer,
            Err(error) => error.answer(request),
        };
        answer.response(request)
    }

    /// Looks at a request's head; the error is the answer that it earns without its body.
    pub(crate) fn admit(&self, head: &AzureRequest) -> Result<Admitted, Refusal> {
        self.examine(head).map(Admitted).map_err(|error| Box::new(error.answer(head).response(head)))
    }

    /// What a request's head names, if its sender may.
    fn examine(&self, head: &AzureRequest) -> Result<Target, CosmosError> {
        let target = Target::of_path(&head.path)?;
        signature::check(head, &target, &self.key, self.clock.now())?;
        Ok(target)
    }

    async fn answer(&self, target: Target, request: &AzureRequest) -> Result<Answer, CosmosError> {
        match (&request.method, &target) {
            (&Method::GET, Target::Account) => Ok(account::read(request)),
            (_, Target::Databases) => databases::of_account(&self.documents, request).await,
            (_, Target::Database { database }) => databases::one(&self.documents, request, database).await,
            (_, Target::Containers { database }) => containers::of_database(&self.documents, request, database).await,
            (_, Target::Container { database, container }) => {
                containers::one(&self.documents, request, database, container).await
            }
            (&Method::GET, Target::PartitionKeyRanges { database, container }) => {
                containers::partition_key_ranges(&self.documents, request, database, container)
            }
            (_, Target::Documents { database, container }) => {
                documents::of_container(&self.documents, request, database, container).await
            }
            (_, Target::Document { database, container, id }) => {
                documents::one(&self.documents, request, database, container, id).await
            }
            (&Method::POST, Target::PartitionKeyDelete { database, container }) => {
                documents::delete_partition(&self.documents, request, database, container).await
            }
            (_, Target::Offers) => offers::of_account(&self.documents, request).await,
            (_, Target::Offer { id }) => offers::one(&self.documents, request, id).await,
            (_, Target::Unsupported { feature, .. }) => Err(CosmosError::unsupported(feature)),
            _ => Err(method_not_allowed(request)),
        }
    }
}

fn method_not_allowed(request: &AzureRequest) -> CosmosError {
    let message = format!("The requested verb {} is not supported on this resource.", request.method);
    CosmosError::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
}
