//! `Put Blob From URL` from a container of this node: a new blob with another one's content.

use bytes::Bytes;
use http::Response;
use millstream_object::{ByteRange, ObjectKind, Properties, Put};

use super::headers::{self, CONTENT_TYPE};
use super::{Blob, Call, copy_blob, put_blob, snapshot, tags};
use crate::storage::error::ServiceError;

pub(super) async fn call(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let request = &call.request;
    if !request.body.is_empty() {
        return Err(ServiceError::invalid_header("content-length", &request.body.len().to_string()));
    }
    let source = copy_blob::admitted_source(blob, call)?;
    let conditions = headers::source_conditions(request)?;
    let read = blob.objects.read_version(snapshot::version(&source)?, ByteRange::All, &conditions).await;
    let reading = read.map_err(|error| copy_blob::of_source(&error))?;
    let properties = properties(call, reading.object.properties)?;
    let conditions = put_blob::with_permit(headers::conditions(request)?, call);
    let (bucket, key) = (call.target.container().to_owned(), call.target.blob().to_owned());
    let put = Put { kind: ObjectKind::Whole, properties, conditions, ..Put::new(bucket, key, vec![reading.content]) };
    let made = blob.objects.put(put).await.map_err(|error| put_blob::of_create(&error, call))?;
    Ok(put_blob::created(&made))
}

/// The source's properties unless the request says otherwise or wants none of them; tags are never the source's, metadata only
/// when the request has none. The MD5 is a promise that the engine holds the content to, so it is never the source's either,
/// which can be what its maker said of it.
fn properties(call: &Call, source: Properties) -> Result<Properties, ServiceError> {
    let request = &call.request;
    let from_source = match request.header("x-ms-copy-source-blob-properties") {
        None => true,
        Some(text) if text.eq_ignore_ascii_case("true") => true,
        Some(text) if text.eq_ignore_ascii_case("false") => false,
        Some(other) => return Err(ServiceError::invalid_header("x-ms-copy-source-blob-properties", other)),
    };
    let said = headers::properties(request)?;
    let metadata = headers::metadata(request)?;
    let promised = headers::md5(request, "x-ms-source-content-md5")?;
    if promised.is_some() && said.md5.is_some() && promised != said.md5 {
        return Err(ServiceError::md5_mismatch());
    }
    let source = if from_source { source } else { Properties::default() };
    Ok(Properties {
        content_type: said.content_type.or(source.content_type).or_else(|| Some(CONTENT_TYPE.to_owned())),
        content_encoding: said.content_encoding.or(source.content_encoding),
        content_language: said.content_language.or(source.content_language),
        content_disposition: said.content_disposition.or(source.content_disposition),
        cache_control: said.cache_control.or(source.cache_control),
        md5: promised.or(said.md5),
        metadata: if metadata.is_empty() { source.metadata } else { metadata },
        tags: tags::of_header(request)?,
    })
}
