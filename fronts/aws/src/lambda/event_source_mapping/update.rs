//! `UpdateEventSourceMapping`: what is not said stays as it is.

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_catalog::MappingState;

use super::super::{Lambda, function_name, input};
use super::error::told;
use super::input::Input;
use super::permit;
use super::shown::shown;
use crate::json_protocol::ServiceError;
use crate::rest_protocol::{RestRequest, document};

pub(super) async fn call(lambda: &Lambda, request: &RestRequest, id: &str) -> Result<Response<Bytes>, ServiceError> {
    let input: Input = input(request)?;
    input.check()?;
    let before = lambda.mappings.get(id).map_err(|error| told(&lambda.place, &error))?;
    let mut settings = before.definition.settings.clone();
    input.apply(&mut settings)?;
    let function = input.function_name.as_deref().map(function_name);
    if function.is_some() || settings.on_failure != before.definition.settings.on_failure {
        let function = function.as_ref().unwrap_or(&before.definition.function);
        permit::check(lambda, function, &before.definition.source, &settings)?;
    }
    let updated = lambda.mappings.update(id, |definition| {
        definition.settings = settings;
        if let Some(function) = &function {
            definition.function.clone_from(function);
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
