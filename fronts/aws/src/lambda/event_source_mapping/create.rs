//! `CreateEventSourceMapping`

use bytes::Bytes;
use http::{Response, StatusCode};
use millstream_catalog::{EventSource, MappingSettings, MappingStart};
use millstream_mapping::NewMapping;

use super::super::error::typed;
use super::super::{Lambda, function_name, input};
use super::error::told;
use super::input::Input;
use super::permit;
use super::shown::shown;
use super::source;
use crate::json_protocol::{Constraints, ServiceError};
use crate::rest_protocol::{RestRequest, document};

/// Messages of a queue's batch unless the request says another number.
const QUEUE_BATCH_SIZE: u32 = 10;

pub(super) async fn call(lambda: &Lambda, request: &RestRequest) -> Result<Response<Bytes>, ServiceError> {
    let input: Input = input(request)?;
    input.check()?;
    Constraints::new()
        .required("functionName", input.function_name.as_ref())
        .one_of("startingPosition", input.starting_position.as_deref(), &["AT_TIMESTAMP", "LATEST", "TRIM_HORIZON"])
        .finish()?;
    let Some(arn) = &input.event_source_arn else {
        return Err(typed(400, "InvalidParameterValueException", "Unrecognized event source.".to_owned()));
    };
    let source = source::read(arn)?;
    let mut settings = MappingSettings::default();
    if matches!(source, EventSource::Queue { .. }) {
        settings.batch_size = QUEUE_BATCH_SIZE;
    }
    input.apply(&mut settings)?;
    let function = function_name(input.function_name.as_deref().unwrap_or_default());
    lambda.functions.find(&function).map_err(|error| lambda.error(&error))?;
    permit::check(lambda, &function, &source, &settings)?;
    let new = NewMapping {
        function,
        start: start(&input, &source)?,
        enabled: input.enabled.unwrap_or(true),
        source,
        settings,
    };
    let view = lambda.mappings.create(new).await.map_err(|error| told(&lambda.place, &error))?;
    Ok(document(StatusCode::ACCEPTED, &shown(&lambda.place, &view)))
}

fn start(input: &Input, source: &EventSource) -> Result<Option<MappingStart>, ServiceError> {
    let refuse = |message: &str| Err(typed(400, "InvalidParameterValueException", message.to_owned()));
    let position = input.starting_position.as_deref();
    let time = input.starting_position_timestamp;
    if time.is_some() && position != Some("AT_TIMESTAMP") {
        return refuse("StartingPositionTimestamp is only valid with a StartingPosition of AT_TIMESTAMP.");
    }
    match (position, time) {
        (None, _) => Ok(None),
        (Some("LATEST"), _) => Ok(Some(MappingStart::Latest)),
        (Some("TRIM_HORIZON"), _) => Ok(Some(MappingStart::TrimHorizon)),
        (Some(_), _) if matches!(source, EventSource::Table { .. }) => {
            refuse("Unsupported starting position for arn type: AT_TIMESTAMP is not valid for DynamoDB streams.")
        }
        (Some(_), None) => refuse("Need to specify a timestamp."),
        // Seconds since 1970; a fraction of a millisecond does not count.
        (Some(_), Some(seconds)) => Ok(Some(MappingStart::AtTime((seconds * 1_000.0).round() as i64))),
    }
}
