//! `Snapshot Blob`, and snapshots in addresses: they are named by the time when they were taken.

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_object::{SnapshotId, Version};

use super::headers::{self, empty};
use super::{Blob, Call};
use crate::storage::error::ServiceError;
use crate::storage::target::Target;
use crate::time;

pub(super) async fn call(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let conditions = headers::conditions(&call.request)?;
    let metadata = headers::metadata(&call.request)?;
    let metadata = (!metadata.is_empty()).then_some(metadata);
    let taken = blob.objects.snapshot(call.target.container(), call.target.blob(), metadata, conditions).await?;
    let mut response = empty(StatusCode::CREATED);
    let answer = response.headers_mut();
    headers::set_state(answer, &taken.etag, taken.modified);
    headers::set(answer, "x-ms-snapshot", taken.snapshot.map(time::iso8601_micros).unwrap_or_default());
    headers::set(answer, "x-ms-request-server-encrypted", "false");
    Ok(response)
}

/// The snapshot that an address names.
pub(super) fn of(target: &Target) -> Result<Option<SnapshotId>, ServiceError> {
    let Some(text) = target.parameter("snapshot") else { return Ok(None) };
    match time::parse_iso8601_micros(text) {
        Some(id) => Ok(Some(id)),
        None => Err(ServiceError::invalid_parameter("snapshot", text)),
    }
}

/// The blob or the snapshot that an address names.
pub(super) fn version(target: &Target) -> Result<Version<'_>, ServiceError> {
    Ok(Version { bucket: target.container(), key: target.blob(), snapshot: of(target)? })
}
