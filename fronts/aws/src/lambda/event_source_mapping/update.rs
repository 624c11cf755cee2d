//! `UpdateEventSourceMapping`: what is not said stays as it is.

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_catalog::MappingState;

use super::super::{Lambda, function_name, input};
use super::error::told;
use super::input::Input;
use super::shown::shown;
use crate::json_protocol::ServiceError;
use crate::rest_protocol::{RestRequest, document};

pub(super) async fn call(lambda: &Lambda, request: &RestRequest, id: &str) -> Result<Response<Bytes>, ServiceError> {
    let input: Input = input(request)?;
    input.check()?;
    let before = lambda.mappings.get(id).map_err(|error| told(&lambda.place, &error))?;
    let mut settings = before.definition.settings.clone();
    input.apply(&mut settings)?;
    let updated = lambda.mappings.update(id, |definition| {
        definition.settings = settings;
        if let Some(function) = &input.function_name {
            definition.function = function_name(function);
        }
        definition.state = match input.enabled {
            Some(true) => MappingState::Enabled,
            Some(false) => MappingState::Disabled,
            None => definition.state,
        };
    });
    let view = updated.await.map_err(|error| told(&lambda.place, &error))?;
    Ok(document(StatusCode::ACCEPTED, &shown(&lambda.place, &view)))
}
