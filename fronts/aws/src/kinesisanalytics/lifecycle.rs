//! Applications started, stopped and removed.

use millstream_catalog::StartAt;
use serde::Deserialize;

use super::{KinesisAnalytics, check_name, invalid, name_constraints, place_of};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Where an input begins.
#[derive(Deserialize)]
pub(super) struct InputConfiguration {
    #[serde(rename = "Id", alias = "InputId")]
    id: Option<String>,
    #[serde(rename = "InputStartingPositionConfiguration")]
    starting_position: Option<StartingPosition>,
}

#[derive(Deserialize)]
struct StartingPosition {
    #[serde(rename = "InputStartingPosition")]
    position: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteInput {
    application_name: Option<String>,
    create_timestamp: Option<f64>,
}

const POSITIONS: [&str; 3] = ["NOW", "TRIM_HORIZON", "LAST_STOPPED_POINT"];

/// Starts an application; without a position it goes on where it stopped.
pub(super) async fn start(
    front: &KinesisAnalytics,
    name: Option<String>,
    configurations: Vec<InputConfiguration>,
) -> Result<(), ServiceError> {
    check_name(name.as_deref())?;
    let name = name.unwrap_or_default();
    let query = front.application(&name)?;
    let known = |id: &Option<String>| place_of(id.as_deref(), query.inputs.len()).is_some();
    if let Some(other) = configurations.iter().find(|found| !known(&found.id)) {
        return Err(invalid(match &other.id {
            Some(id) => format!("{name} has no input of Id {id}; DescribeApplication shows those that it has"),
            None => "Id must be given with every input configuration".to_owned(),
        }));
    }
    let mut positions = configurations.into_iter().filter_map(|found| found.starting_position?.position);
    let position = positions.next();
    Constraints::new().one_of("inputStartingPosition", position.as_deref(), &POSITIONS).finish()?;
    let start_at = match position.as_deref() {
        Some("TRIM_HORIZON") => Some(StartAt::TrimHorizon),
        Some("NOW") => Some(StartAt::Latest),
        Some("LAST_STOPPED_POINT") => Some(StartAt::LastStopped),
        _ => None,
    };
    front.queries.start_query(&name, start_at).await.map_err(|error| front.error(&error))
}

/// Stops an application.
pub(super) async fn stop(front: &KinesisAnalytics, name: Option<String>) -> Result<(), ServiceError> {
    check_name(name.as_deref())?;
    let name = name.unwrap_or_default();
    front.application(&name)?;
    front.queries.stop_query(&name).await.map_err(|error| front.error(&error))
}

/// Removes an application.
pub(super) async fn delete(front: &KinesisAnalytics, request: &JsonRequest) -> Result<(), ServiceError> {
    let input: DeleteInput = request.input()?;
    name_constraints(input.application_name.as_deref())
        .required("createTimestamp", input.create_timestamp.as_ref())
        .finish()?;
    let name = input.application_name.unwrap_or_default();
    let query = front.application(&name)?;
    let created = query.created as f64 / 1_000.0;
    // SDKs send the time to the second.
    if (created - input.create_timestamp.unwrap_or_default()).abs() > 1.0 {
        return Err(invalid(format!("CreateTimestamp is not the application's: expected {created}")));
    }
    front.queries.delete(&name).await.map_err(|error| front.error(&error))
}
