//! `UpdateEventSourceMapping`: what is not said stays as it is.

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_catalog::MappingState;
use millstream_mapping::MappingError;

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
    let updated = lambda.mappings.update(id, |definition| {
        let told_before = definition.settings.on_failure.clone();
        input.apply(&mut definition.settings)?;
        if let Some(function) = &input.function_name {
            definition.function = function_name(function);
        }
        if input.function_name.is_some() || definition.settings.on_failure != told_before {
            permit::check(lambda, &definition.function, &definition.source, &definition.settings)?;
        }
        definition.state = match input.enabled {
            Some(true) => MappingState::Enabled,
            Some(false) => MappingState::Disabled,
            None => definition.state,
        };
        Ok::<_, Refused>(())
    });
    let view = updated.await.map_err(|refused| match refused {
        Refused::Here(error) => error,
        Refused::There(error) => told(&lambda.place, &error),
    })?;
    Ok(document(StatusCode::ACCEPTED, &shown(&lambda.place, &view)))
}

/// Who refused a change.
enum Refused {
    /// This front: the request says what cannot be.
    Here(ServiceError),
    /// The engine.
    There(MappingError),
}

impl From<ServiceError> for Refused {
    fn from(error: ServiceError) -> Self {
        Self::Here(error)
    }
}

impl From<MappingError> for Refused {
    fn from(error: MappingError) -> Self {
        Self::There(error)
    }
}
