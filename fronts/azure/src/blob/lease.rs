//! `Lease Blob` and `Lease Container`

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_object::lease::{BREAK_SECONDS_MAX, SECONDS};
use millstream_object::{Conditions, LeaseAction};

use super::container::of_container;
use super::headers::{self, empty};
use super::{Blob, Call};
use crate::request::AzureRequest;
use crate::storage::error::ServiceError;

pub(super) async fn call(blob: &Blob, call: &Call) -> Result<Response<Bytes>, ServiceError> {
    let request = &call.request;
    let action = action(request)?;
    let conditions = Conditions { lease_id: None, ..headers::conditions(request)? };
    let (acquired, broken) =
        (matches!(action, LeaseAction::Acquire { .. }), matches!(action, LeaseAction::Break { .. }));
    let container = call.target.container();
    let (etag, modified, lease) = if call.target.blob.is_some() {
        let object = blob.objects.act_on_lease(container, call.target.blob(), conditions, action).await?;
        (object.etag, object.modified, object.lease)
    } else {
        let acted = blob.objects.act_on_bucket_lease(container, conditions, action).await;
        let bucket = acted.map_err(|error| of_container(&error))?;
        (bucket.etag, bucket.modified, bucket.lease)
    };
    let mut response = empty(match (acquired, broken) {
        (true, _) => StatusCode::CREATED,
        (_, true) => StatusCode::ACCEPTED,
        _ => StatusCode::OK,
    });
    let answer = response.headers_mut();
    headers::set_state(answer, &etag, modified);
    if let Some(lease) = &lease {
        match broken {
            true => headers::set(answer, "x-ms-lease-time", lease.breaks_in(blob.clock.now()).to_string()),
            false => headers::set(answer, "x-ms-lease-id", &lease.id),
        }
    }
    Ok(response)
}

fn action(request: &AzureRequest) -> Result<LeaseAction, ServiceError> {
    let own = || identifier(request, "x-ms-lease-id");
    match request.header("x-ms-lease-action").map(str::to_ascii_lowercase).as_deref() {
        Some("acquire") => {
            let id = match request.header("x-ms-proposed-lease-id") {
                Some(_) => identifier(request, "x-ms-proposed-lease-id")?,
                None => uuid::Uuid::new_v4().to_string(),
            };
            Ok(LeaseAction::Acquire { id, seconds: duration(request)? })
        }
        Some("renew") => Ok(LeaseAction::Renew { id: own()? }),
        Some("change") => Ok(LeaseAction::Change { id: own()?, new: identifier(request, "x-ms-proposed-lease-id")? }),
        Some("release") => Ok(LeaseAction::Release { id: own()? }),
        Some("break") => {
            let after = headers::number(request, "x-ms-lease-break-period")?;
            let after = after.map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
            match after.filter(|seconds| *seconds > BREAK_SECONDS_MAX) {
                Some(seconds) => Err(ServiceError::invalid_header("x-ms-lease-break-period", &seconds.to_string())),
                None => Ok(LeaseAction::Break { after }),
            }
        }
        Some(other) => Err(ServiceError::invalid_header("x-ms-lease-action", other)),
        None => Err(ServiceError::missing_header("x-ms-lease-action")),
    }
}

/// Seconds, or -1 for a lease without an end.
fn duration(request: &AzureRequest) -> Result<Option<u32>, ServiceError> {
    let text =
        request.header("x-ms-lease-duration").ok_or_else(|| ServiceError::missing_header("x-ms-lease-duration"))?;
    match text.parse::<u32>() {
        _ if text == "-1" => Ok(None),
        Ok(seconds) if SECONDS.contains(&seconds) => Ok(Some(seconds)),
        _ => Err(ServiceError::invalid_header("x-ms-lease-duration", text)),
    }
}

/// An id of a lease is a UUID.
fn identifier(request: &AzureRequest, name: &'static str) -> Result<String, ServiceError> {
    let text = request.header(name).ok_or_else(|| ServiceError::missing_header(name))?;
    match uuid::Uuid::parse_str(text) {
        Ok(id) => Ok(id.to_string()),
        Err(_) => Err(ServiceError::invalid_header(name, text)),
    }
}
