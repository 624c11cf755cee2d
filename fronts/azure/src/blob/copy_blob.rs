//! `Copy Blob` from a container of this node

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_object::{Conditions, Copy, EtagMatch, ObjectError};

use super::authorize;
use super::headers::{self, empty};
use super::operation::Operation;
use super::sas::Caller;
use super::{Blob, Call, put_blob, snapshot, tags};
use crate::storage::error::ServiceError;
use crate::storage::target::Target;

pub(super) async fn call(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let request = &call.request;
    let address = request.header("x-ms-copy-source").unwrap_or_default();
    let from = admitted_source(blob, call)?;
    // The source is looked at first, so that what is wrong with it can be told from what is wrong with the copy.
    let conditions = headers::source_conditions(request)?;
    let source = snapshot::version(&from)?;
    let found = blob.objects.head_version(source, &conditions).await.map_err(|error| of_source(&error))?;
    let metadata = headers::metadata(request)?;
    let tags = tags::of_header(request)?;
    let copy = Copy {
        from: (from.container().to_owned(), from.blob().to_owned()),
        snapshot: source.snapshot,
        source_conditions: Conditions { if_match: Some(EtagMatch::OneOf(vec![found.etag])), ..Conditions::default() },
        to: (call.target.container().to_owned(), call.target.blob().to_owned()),
        conditions: put_blob::with_permit(headers::conditions(request)?, call),
        metadata: (!metadata.is_empty()).then_some(metadata),
        tags,
        source_name: without_signature(address),
    };
    let copied = blob.objects.copy(copy).await.map_err(|error| put_blob::of_create(&error, call))?;
    let mut response = empty(StatusCode::ACCEPTED);
    let answer = response.headers_mut();
    headers::set_state(answer, &copied.etag, copied.modified);
    headers::set(answer, "x-ms-copy-status", "success");
    headers::set(answer, "x-ms-copy-id", copied.copy.map(|copy| copy.id).unwrap_or_default());
    Ok(response)
}

/// A request's source, a blob or a snapshot that its sender may read.
pub(super) fn admitted_source(blob: &Blob, call: &Call) -> Result<Target, ServiceError> {
    let source = source(call.request.header("x-ms-copy-source").unwrap_or_default(), &call.request.host)?;
    authorize_source(blob, call, &source)?;
    Ok(source)
}

/// An address as it may be shown to others: which snapshot it names, and not who may read it.
fn without_signature(address: &str) -> String {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let snapshot = query.split('&').find(|pair| pair.starts_with("snapshot="));
    snapshot.map_or_else(|| path.to_owned(), |snapshot| format!("{path}?{snapshot}"))
}

/// What is wrong with the source of a copy.
pub(super) fn of_source(error: &ObjectError) -> ServiceError {
    match error {
        ObjectError::ConditionFailed { .. } => ServiceError::new(
            StatusCode::PRECONDITION_FAILED,
            "SourceConditionNotMet",
            "The source condition specified using HTTP conditional header(s) is not met.",
        ),
        other => ServiceError::of(other),
    }
}

/// A source's address as a target of this node.
fn source(address: &str, host: &str) -> Result<Target, ServiceError> {
    // Both schemes lead to this node: a client names its source as it names everything else.
    let rest = address.strip_prefix("http://").or_else(|| address.strip_prefix("https://"));
    let rest = rest.ok_or_else(|| ServiceError::invalid_header("x-ms-copy-source", address))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if !authority.eq_ignore_ascii_case(host) {
        return Err(ServiceError::unsupported_header("x-ms-copy-source", "a source on another server"));
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let target = Target::parse(path, query)?;
    if target.blob.is_none() {
        return Err(ServiceError::invalid_header("x-ms-copy-source", address));
    }
    if target.parameter("versionid").is_some() {
        return Err(ServiceError::unsupported_header("x-ms-copy-source", "versionid"));
    }
    Ok(target)
}

/// The account's key opens its own blobs; everybody else needs a signature in the source's address.
fn authorize_source(blob: &Blob, call: &Call, source: &Target) -> Result<(), ServiceError> {
    if call.permit.by_key && source.account == call.target.account {
        return Ok(());
    }
    if source.parameter("sig").is_none() {
        return Err(ServiceError::new(
            StatusCode::NOT_FOUND,
            "CannotVerifyCopySource",
            "The specified copy source cannot be read without a shared access signature in its address.",
        ));
    }
    let (caller, now) = (Caller::of(&call.request), blob.clock.now());
    authorize::by_signature(&blob.access, source, Operation::GetBlob, caller, now).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_blobs_of_this_node_are_sources() {
        for scheme in ["http", "https"] {
            let found = source(&format!("{scheme}://h:1/acc/c/a%20b?sv=1&sig=x"), "h:1").unwrap();
            assert_eq!((found.account.as_str(), found.container(), found.blob()), ("acc", "c", "a b"));
            assert_eq!(found.parameter("sig"), Some("x"));
        }
        assert_eq!(without_signature("http://h:1/a/c/b?sv=1&snapshot=S&sig=x"), "http://h:1/a/c/b?snapshot=S");
        assert_eq!(without_signature("http://h:1/a/c/b?sig=x"), "http://h:1/a/c/b");
        for bad in ["http://other/acc/c/b", "ftp://h:1/acc/c/b", "http://h:1/acc/c", "http://h:1", "c/b", ""] {
            assert!(source(bad, "h:1").is_err(), "{bad}");
        }
    }
}
