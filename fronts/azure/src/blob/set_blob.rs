//! `Set Blob Metadata` and `Set Blob Properties`

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_object::{Object, Properties};

use super::headers::{self, empty};
use super::{Blob, Call};
use crate::storage::error::ServiceError;

/// Replaces all metadata.
pub(super) async fn metadata(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let metadata = headers::metadata(&call.request)?;
    change(blob, call, move |properties| properties.metadata = metadata).await
}

/// Replaces all properties; what is not told is cleared.
pub(super) async fn properties(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    for name in ["x-ms-blob-content-length", "x-ms-sequence-number-action", "x-ms-blob-sequence-number"] {
        if let Some(value) = call.request.header(name) {
            return Err(ServiceError::unsupported_header(name, value));
        }
    }
    let told = headers::properties(&call.request)?;
    change(blob, call, move |properties| {
        let (metadata, tags) = (std::mem::take(&mut properties.metadata), std::mem::take(&mut properties.tags));
        *properties = Properties { metadata, tags, ..told };
    })
    .await
}

async fn change(
    blob: &Blob,
    call: &Call,
    change: impl FnOnce(&mut Properties) + Send + 'static,
) -> Result<Response<Bytes>, ServiceError> {
    let conditions = headers::conditions(&call.request)?;
    let object: Object = blob.objects.change(call.target.container(), call.target.blob(), conditions, change).await?;
    let mut response = empty(StatusCode::OK);
    headers::set_state(response.headers_mut(), &object.etag, object.modified);
    headers::set(response.headers_mut(), "x-ms-request-server-encrypted", "false");
    Ok(response)
}
