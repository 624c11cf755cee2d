//! `Append Block`

use bytes::Bytes;
use http::Response;
use millstream_object::Append;

use super::headers;
use super::{Blob, Call, put_blob};
use crate::storage::error::ServiceError;

/// Bytes of one append, as the service has it.
const BLOCK_BYTES_MAX: usize = 100 << 20;

pub(super) async fn call(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let request = &call.request;
    if request.headers.contains_key("x-ms-copy-source") {
        return Err(ServiceError::unsupported_header("x-ms-copy-source", "Append Block From URL"));
    }
    if request.body.is_empty() {
        return Err(ServiceError::invalid_header("content-length", "0"));
    }
    if request.body.len() > BLOCK_BYTES_MAX {
        return Err(ServiceError::body_too_large(BLOCK_BYTES_MAX));
    }
    let bytes = request.body.len() as u64;
    let append = Append {
        bucket: call.target.container().to_owned(),
        key: call.target.blob().to_owned(),
        data: request.body.clone(),
        md5: headers::md5(request, "content-md5")?,
        position: headers::number(request, "x-ms-blob-condition-appendpos")?,
        length_max: headers::number(request, "x-ms-blob-condition-maxsize")?,
        conditions: headers::conditions(request)?,
    };
    let object = blob.objects.append(append).await?;
    let mut response = put_blob::created(&object);
    let answer = response.headers_mut();
    headers::set(answer, "x-ms-blob-append-offset", (object.length - bytes).to_string());
    headers::set(answer, "x-ms-blob-committed-block-count", object.append_blocks.to_string());
    Ok(response)
}
