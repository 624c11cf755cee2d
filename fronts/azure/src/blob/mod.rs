//! The Blob service over the object engine, addressed by path as the storage emulator is:
//! `http://HOST/ACCOUNT/CONTAINER/BLOB`. Source: the Azure Storage REST reference, "Blob service REST API".
//!
//! All accounts of a node see the same containers, which are the buckets of its object store. Order of checks: address,
//! operation, authorization, what is not supported, then each operation's own.
//! Read next: `operation` (what there is), `authorize` (who may), `headers` (how objects look), then a file an operation.

mod account;
mod append_block;
mod authorize;
mod batch;
mod blocks;
mod container;
mod copy_blob;
mod delete_blob;
mod error;
mod get_blob;
mod headers;
mod lease;
mod list_blobs;
mod operation;
mod put_blob;
mod put_from_url;
mod sas;
mod set_blob;
mod snapshot;
mod tags;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Response};
use millstream_access::Access;
use millstream_http::body::BodyError;
use millstream_object::Objects;
use millstream_types::Clock;

use crate::request::AzureRequest;
use crate::services::Refusal;
use crate::storage::account::is_account;
use crate::storage::error::ServiceError;
use crate::storage::target::Target;
use authorize::Permit;
use operation::Operation;

/// Bytes of a request's body: a whole blob or a block. The service takes more in one request, but a body is held in
/// memory until it is written.
pub(crate) const BODY_BYTES_MAX: usize = 256 << 20;

/// The version that is told to clients that name none.
const VERSION: &str = "2021-12-02";

/// The service.
pub struct Blob {
    objects: Objects,
    access: Access,
    clock: Arc<dyn Clock>,
}

/// What a request's head alone tells: where to, what, and what its sender may.
pub struct Admitted {
    target: Target,
    operation: Operation,
    permit: Permit,
}

/// A request on its way to its operation: decoded, authorized.
struct Call {
    request: AzureRequest,
    target: Target,
    permit: Permit,
}

impl Blob {
    /// The service over the object engine and the accounts.
    #[must_use]
    pub fn new(objects: Objects, access: Access, clock: Arc<dyn Clock>) -> Self {
        Self { objects, access, clock }
    }

    /// Whether a request's head means this service: its own headers or a shared access signature, and an address that
    /// begins as an account can be called.
    #[must_use]
    pub fn is_meant(head: &http::request::Parts) -> bool {
        let query = head.uri.query().unwrap_or_default();
        let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        let speaks = head.headers.contains_key("x-ms-version") || (has("sig") && has("sv"));
        let first = head.uri.path().split('/').nth(1).unwrap_or_default();
        // Cosmos clients send the same header; these are the first words of their addresses.
        speaks && is_account(first) && !matches!(first, "dbs" | "offers" | "pkranges")
    }

    /// Answers a request whose head was admitted.
    pub(crate) async fn handle(&self, admitted: Admitted, request: AzureRequest) -> Response<Bytes> {
        let version = request.header("x-ms-version").unwrap_or(VERSION).to_owned();
        let client_id = request.headers.get("x-ms-client-request-id").cloned();
        let (head_only, id) = (request.method == Method::HEAD, request.request_id.clone());
        let mut response = match self.call(admitted, request).await {
            Ok(response) => response,
            Err(error) => {
                if error.status.is_server_error() {
                    tracing::error!(code = error.code, message = %error.message, "a blob request failed");
                }
                error.answer(&id, self.clock.now(), head_only)
            }
        };
        if let Ok(version) = HeaderValue::from_str(&version) {
            response.headers_mut().insert("x-ms-version", version);
        }
        if let Some(client_id) = client_id {
            response.headers_mut().insert("x-ms-client-request-id", client_id);
        }
        response
    }

    /// Looks at a request's head; the error is the answer that it earns without its body.
    pub(crate) fn admit(&self, head: &AzureRequest) -> Result<Admitted, Refusal> {
        self.examine(head).map_err(|error| Box::new(self.failed(head, &error)))
    }

    /// The answer to a body that was not taken.
    pub(crate) fn not_taken(&self, head: &AzureRequest, error: &BodyError) -> Response<Bytes> {
        self.failed(head, &ServiceError::not_taken(error))
    }

    fn failed(&self, request: &AzureRequest, error: &ServiceError) -> Response<Bytes> {
        error.answer(&request.request_id, self.clock.now(), request.method == Method::HEAD)
    }

    fn examine(&self, request: &AzureRequest) -> Result<Admitted, ServiceError> {
        let target = Target::of(request)?;
        let operation = Operation::of(&request.method, &target)?;
        let permit = authorize::authorize(&self.access, request, &target, operation, self.clock.now())?;
        operation::refuse_unsupported(request, &target, operation)?;
        Ok(Admitted { target, operation, permit })
    }

    async fn call(&self, admitted: Admitted, request: AzureRequest) -> Result<Response<Bytes>, ServiceError> {
        let Admitted { target, operation, permit } = admitted;
        let call = Call { request, target, permit };
        match operation {
            Operation::ListContainers => account::list_containers(self, &call).await,
            Operation::GetServiceProperties => Ok(account::service_properties()),
            Operation::SetServiceProperties => account::set_service_properties(&call),
            Operation::GetAccountInformation => Ok(account::information()),
            Operation::Batch => batch::call(self, &call).await,
            Operation::CreateContainer => container::create(self, &call).await,
            Operation::DeleteContainer => container::delete(self, &call).await,
            Operation::GetContainerProperties => container::properties(self, &call).await,
            Operation::SetContainerMetadata => container::set_metadata(self, &call).await,
            Operation::GetContainerAcl => container::acl(self, &call).await,
            Operation::SetContainerAcl => container::set_acl(self, &call).await,
            Operation::ListBlobs => list_blobs::call(self, &call).await,
            Operation::PutBlob => put_blob::call(self, &call).await,
            Operation::PutBlock => blocks::put_block(self, &call).await,
            Operation::PutBlockList => blocks::put_block_list(self, &call).await,
            Operation::GetBlockList => blocks::get_block_list(self, &call).await,
            Operation::AppendBlock => append_block::call(self, &call).await,
            Operation::GetBlob => get_blob::content(self, &call).await,
            Operation::GetBlobProperties => get_blob::properties(self, &call).await,
            Operation::SetBlobMetadata => set_blob::metadata(self, &call).await,
            Operation::SetBlobProperties => set_blob::properties(self, &call).await,
            Operation::DeleteBlob => delete_blob::call(self, &call).await,
            Operation::SnapshotBlob => snapshot::call(self, &call).await,
            Operation::LeaseBlob | Operation::LeaseContainer => lease::call(self, &call).await,
            Operation::SetBlobTags => tags::set(self, &call).await,
            Operation::GetBlobTags => tags::get(self, &call).await,
        }
    }
}
