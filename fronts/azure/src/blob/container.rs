//! Containers: `Create`, `Delete`, `Get Properties`, `Set Metadata`, `Get ACL`, `Set ACL`

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_object::{Bucket, LeaseRefusal, ObjectError};

use super::headers::{self, empty};
use super::{Blob, Call};
use crate::storage::error::ServiceError;
use crate::storage::xml;

/// Signed identifiers of a container, as the service has it; here only none can be set.
const IDENTIFIERS_MAX: usize = 5;

pub(super) async fn create(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let name = call.target.container();
    check_name(name)?;
    refuse_public(call)?;
    let bucket = blob.objects.create_bucket(name, headers::metadata(&call.request)?).await?;
    Ok(state(StatusCode::CREATED, &bucket))
}

pub(super) async fn delete(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let conditions = headers::conditions(&call.request)?;
    let deleted = blob.objects.delete_bucket(call.target.container(), false, conditions).await;
    deleted.map_err(|error| of_container(&error))?;
    Ok(empty(StatusCode::ACCEPTED))
}

pub(super) async fn properties(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let bucket = found(blob, call).await?;
    let mut response = state(StatusCode::OK, &bucket);
    let answer = response.headers_mut();
    headers::set_metadata(answer, &bucket.metadata);
    headers::set_lease(answer, bucket.lease.as_ref(), blob.clock.now());
    for (name, value) in [
        ("x-ms-has-immutability-policy", "false"),
        ("x-ms-has-legal-hold", "false"),
        ("x-ms-default-encryption-scope", "$account-encryption-key"),
        ("x-ms-deny-encryption-scope-override", "false"),
    ] {
        headers::set(answer, name, value);
    }
    Ok(response)
}

pub(super) async fn set_metadata(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let metadata = headers::metadata(&call.request)?;
    let conditions = headers::conditions(&call.request)?;
    let set = blob.objects.set_bucket_metadata(call.target.container(), metadata, conditions).await;
    let bucket = set.map_err(|error| of_container(&error))?;
    Ok(state(StatusCode::OK, &bucket))
}

/// Containers are private and have no stored access policies.
pub(super) async fn acl(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let bucket = found(blob, call).await?;
    let mut response = xml::answer(xml::document("SignedIdentifiers", &[], |_| {}));
    headers::set_state(response.headers_mut(), &bucket.etag, bucket.modified);
    Ok(response)
}

/// Setting what holds already is done; anything else is refused.
pub(super) async fn set_acl(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    refuse_public(call)?;
    let body = &call.request.body;
    let none = xml::read_list(body, "SignedIdentifiers", IDENTIFIERS_MAX).is_ok_and(|policies| policies.is_empty());
    if !body.is_empty() && !none {
        let message = "One of the XML nodes specified in the request body is not supported: SignedIdentifier \
                       (stored access policies).";
        return Err(ServiceError::bad_request("UnsupportedXmlNode", message));
    }
    Ok(state(StatusCode::OK, &found(blob, call).await?))
}

/// The container; a lease's id that the request names must be its own.
async fn found(blob: &Blob, call: &Call) -> Result<Bucket, ServiceError> {
    let conditions = headers::conditions(&call.request)?;
    let found = blob.objects.bucket_if(call.target.container(), &conditions).await;
    found.map_err(|error| of_container(&error))
}

/// The engine's fact, where leases are those of containers.
pub(super) fn of_container(error: &ObjectError) -> ServiceError {
    let code = match error {
        ObjectError::Lease { refusal: LeaseRefusal::Mismatch, .. } => "LeaseIdMismatchWithContainerOperation",
        ObjectError::Lease { refusal: LeaseRefusal::NotLeased, .. } => "LeaseNotPresentWithContainerOperation",
        other => return ServiceError::of(other),
    };
    let message = "The lease ID specified did not match the lease ID for the container.";
    ServiceError::new(StatusCode::PRECONDITION_FAILED, code, message)
}

fn state(status: StatusCode, bucket: &Bucket) -> Response<Bytes> {
    let mut response = empty(status);
    headers::set_state(response.headers_mut(), &bucket.etag, bucket.modified);
    response
}

fn refuse_public(call: &Call) -> Result<(), ServiceError> {
    match call.request.header("x-ms-blob-public-access") {
        None => Ok(()),
        Some(_) => Err(ServiceError::new(
            StatusCode::CONFLICT,
            "PublicAccessNotPermitted",
            "Public access is not permitted on this storage account.",
        )),
    }
}

/// Names of new containers: 3 to 63 lower-case letters, digits and single hyphens, the first and last no hyphen.
fn check_name(name: &str) -> Result<(), ServiceError> {
    if !(3..=63).contains(&name.len()) {
        let message = "The specified resource name length is not within the permissible limits.";
        return Err(ServiceError::bad_request("OutOfRangeInput", message));
    }
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.bytes().all(allowed) && !name.starts_with('-') && !name.ends_with('-') && !name.contains("--") {
        return Ok(());
    }
    Err(ServiceError::bad_request("InvalidResourceName", "The specified resource name contains invalid characters."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_containers_have_the_services_names() {
        for fine in ["abc", "a-1-b", "123"] {
            assert!(check_name(fine).is_ok(), "{fine}");
        }
        for bad in ["ab", "Abc", "a--b", "-ab", "ab-", "a_b", "a.b", &"a".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
