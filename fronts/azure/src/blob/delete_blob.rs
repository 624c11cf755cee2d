//! `Delete Blob`

use bytes::Bytes;
use http::{Response, StatusCode};

use super::headers::{self, empty};
use super::{Blob, Call};
use crate::storage::error::ServiceError;

pub(super) async fn call(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    // Blobs have no snapshots here: deleting them along is done, deleting them alone cannot be.
    match call.request.header("x-ms-delete-snapshots") {
        None | Some("include") => {}
        Some(other) => return Err(ServiceError::unsupported_header("x-ms-delete-snapshots", other)),
    }
    let conditions = headers::conditions(&call.request)?;
    blob.objects.delete(call.target.container(), call.target.blob(), conditions).await?;
    let mut response = empty(StatusCode::ACCEPTED);
    headers::set(response.headers_mut(), "x-ms-delete-type-permanent", "true");
    Ok(response)
}
