//! `Get Blob` and `Get Blob Properties`

use bytes::Bytes;
use http::{Response, StatusCode};
use md5::{Digest as _, Md5};
use millstream_object::ByteRange;

use super::headers::{self, empty};
use super::{Blob, Call, snapshot};
use crate::storage::error::ServiceError;

/// Bytes of a range whose MD5 may be asked for, as the service has it.
const RANGE_MD5_BYTES_MAX: usize = 4 << 20;

pub(super) async fn content(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let request = &call.request;
    let range = headers::range(request)?;
    let conditions = headers::conditions(request)?;
    let read = blob.objects.read_version(snapshot::version(&call.target)?, range, &conditions).await;
    let reading = read.map_err(|error| ServiceError::of_read(&error))?;
    let (object, content) = (&reading.object, reading.content);
    let mut response = Response::new(Bytes::new());
    let answer = response.headers_mut();
    headers::set_object(answer, object, &call.permit.overrides, blob.clock.now());
    headers::set_length(answer, content.len() as u64);
    let md5 = object.properties.md5.map(headers::md5_text);
    if range == ByteRange::All {
        md5.iter().for_each(|md5| headers::set(answer, "content-md5", md5));
    } else {
        let last = (reading.start + content.len() as u64).saturating_sub(1);
        headers::set(answer, "content-range", format!("bytes {}-{last}/{}", reading.start, object.length));
        md5.iter().for_each(|md5| headers::set(answer, "x-ms-blob-content-md5", md5));
        if request.header("x-ms-range-get-content-md5").is_some_and(|asked| asked.eq_ignore_ascii_case("true")) {
            if content.len() > RANGE_MD5_BYTES_MAX {
                return Err(ServiceError::invalid_header("x-ms-range-get-content-md5", "a range of more than 4 MiB"));
            }
            headers::set(answer, "content-md5", headers::md5_text(Md5::digest(&content).into()));
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    *response.body_mut() = content;
    Ok(response)
}

pub(super) async fn properties(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let conditions = headers::conditions(&call.request)?;
    let head = blob.objects.head_version(snapshot::version(&call.target)?, &conditions).await;
    let object = head.map_err(|error| ServiceError::of_read(&error))?;
    let mut response = empty(StatusCode::OK);
    let answer = response.headers_mut();
    headers::set_object(answer, &object, &call.permit.overrides, blob.clock.now());
    if let Some(md5) = object.properties.md5 {
        headers::set(answer, "content-md5", headers::md5_text(md5));
    }
    // Asked by GET for the metadata alone there is no body whose length this could be.
    if call.request.method == http::Method::HEAD {
        headers::set_length(answer, object.length);
    }
    Ok(response)
}
