//! Event source mappings over the mapping engine: the operations, and the shapes in which events go to functions.
//!
//! Read next: `input.rs` and `shown.rs` (what is asked and answered), `source.rs` (ARNs), `event.rs` (events and answers),
//! `pattern.rs` (filter criteria), `failure.rs` (what on-failure destinations get).

mod create;
mod error;
mod event;
mod failure;
mod input;
mod list;
mod pattern;
mod permit;
mod shown;
mod source;
mod update;

use bytes::Bytes;
use http::{Method, Response, StatusCode};

pub use event::LambdaEvents;
pub use failure::OnFailureDestinations;
pub use pattern::filter as mapping_filter;
pub use permit::RolePermits;

use super::{Lambda, unknown};
use crate::json_protocol::ServiceError;
use crate::rest_protocol::{RestRequest, document};

/// Answers a request below `/2015-03-31/event-source-mappings`; `id` is what follows.
pub(super) async fn call(
    lambda: &Lambda,
    request: &RestRequest,
    id: Option<&str>,
) -> Result<Response<Bytes>, ServiceError> {
    match (&request.method, id) {
        (&Method::POST, None) => create::call(lambda, request).await,
        (&Method::GET, None) => list::call(lambda, request),
        (&Method::GET, Some(id)) => get(lambda, id),
        (&Method::PUT, Some(id)) => update::call(lambda, request, id).await,
        (&Method::DELETE, Some(id)) => delete(lambda, id).await,
        _ => Err(unknown(request)),
    }
}

fn get(lambda: &Lambda, id: &str) -> Result<Response<Bytes>, ServiceError> {
    let view = lambda.mappings.get(id).map_err(|error| error::told(&lambda.place, &error))?;
    Ok(document(StatusCode::OK, &shown::shown(&lambda.place, &view)))
}

async fn delete(lambda: &Lambda, id: &str) -> Result<Response<Bytes>, ServiceError> {
    let view = lambda.mappings.delete(id).await.map_err(|error| error::told(&lambda.place, &error))?;
    Ok(document(StatusCode::ACCEPTED, &shown::shown(&lambda.place, &view)))
}
