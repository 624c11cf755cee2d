//! `Delete Blob`

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_object::Removal;

use super::headers::{self, empty};
use super::{Blob, Call, snapshot};
use crate::storage::error::ServiceError;

pub(super) async fn call(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let removal = match (snapshot::of(&call.target)?, call.request.header("x-ms-delete-snapshots")) {
        (Some(id), None) => Removal::Snapshot(id),
        (None, None) => Removal::Object,
        (None, Some("include")) => Removal::WithSnapshots,
        (None, Some("only")) => Removal::Snapshots,
        // A snapshot has no snapshots.
        (_, Some(other)) => return Err(ServiceError::invalid_header("x-ms-delete-snapshots", other)),
    };
    let conditions = headers::conditions(&call.request)?;
    blob.objects.remove(call.target.container(), call.target.blob(), removal, conditions).await?;
    let mut response = empty(StatusCode::ACCEPTED);
    headers::set(response.headers_mut(), "x-ms-delete-type-permanent", "true");
    Ok(response)
}
