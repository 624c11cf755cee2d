//! `Put Blob`

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_object::{Condition, Conditions, EtagMatch, Object, ObjectError, ObjectKind, Put};

use super::headers::{self, CONTENT_TYPE, empty};
use super::{Blob, Call, tags};
use crate::storage::error::ServiceError;

pub(super) async fn call(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let request = &call.request;
    if request.headers.contains_key("x-ms-copy-source") {
        // This header makes it another operation: without a type of blob a copy.
        return match request.header("x-ms-blob-type") {
            None => super::copy_blob::call(blob, call).await,
            Some("BlockBlob") => super::put_from_url::call(blob, call).await,
            Some(other) => Err(ServiceError::unsupported_header("x-ms-blob-type", other)),
        };
    }
    let (kind, content) = match request.header("x-ms-blob-type") {
        Some("BlockBlob") => (ObjectKind::Whole, vec![request.body.clone()]),
        Some("AppendBlob") if request.body.is_empty() => (ObjectKind::Append, Vec::new()),
        Some("AppendBlob") => {
            return Err(ServiceError::invalid_header("content-length", &request.body.len().to_string()));
        }
        Some(other @ "PageBlob") => return Err(ServiceError::unsupported_header("x-ms-blob-type", other)),
        Some(other) => return Err(ServiceError::invalid_header("x-ms-blob-type", other)),
        None => return Err(ServiceError::missing_header("x-ms-blob-type")),
    };
    let mut properties = headers::properties(request)?;
    let sent = headers::md5(request, "content-md5")?;
    if properties.md5.is_some() && sent.is_some() && properties.md5 != sent {
        return Err(ServiceError::invalid_header("x-ms-blob-content-md5", "another MD5 than Content-MD5"));
    }
    properties.md5 = properties.md5.or(sent);
    let content_type = properties.content_type.take().or_else(|| request.header("content-type").map(str::to_owned));
    properties.content_type = content_type.or_else(|| Some(CONTENT_TYPE.to_owned()));
    properties.metadata = headers::metadata(request)?;
    properties.tags = tags::of_header(request)?;
    let conditions = with_permit(headers::conditions(request)?, call);
    let (bucket, key) = (call.target.container().to_owned(), call.target.blob().to_owned());
    let put = Put { kind, properties, conditions, ..Put::new(bucket, key, content) };
    let made = blob.objects.put(put).await.map_err(|error| of_create(&error, call))?;
    Ok(created(&made))
}

/// A signature that allows no more than making blobs is a condition too.
pub(super) fn with_permit(conditions: Conditions, call: &Call) -> Conditions {
    if call.permit.create_only { Conditions { if_none_match: Some(EtagMatch::Any), ..conditions } } else { conditions }
}

/// The engine's fact, where a signature that does not allow replacing may be why the condition was set.
pub(super) fn of_create(error: &ObjectError, call: &Call) -> ServiceError {
    match error {
        ObjectError::ConditionFailed { condition: Condition::IfAbsent, .. } if call.permit.create_only => {
            ServiceError::permission_mismatch()
        }
        other => ServiceError::of(other),
    }
}

/// The answer to a written blob.
pub(super) fn created(object: &Object) -> Response<Bytes> {
    let mut response = empty(StatusCode::CREATED);
    let answer = response.headers_mut();
    headers::set_state(answer, &object.etag, object.modified);
    headers::set(answer, "x-ms-request-server-encrypted", "false");
    if let Some(md5) = object.properties.md5 {
        headers::set(answer, "content-md5", headers::md5_text(md5));
    }
    response
}
