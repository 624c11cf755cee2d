//! `StartApplication`, `StopApplication`, `DeleteApplication`

use millstream_catalog::StartAt;
use serde::Deserialize;
use serde_json::{Value, json};

use super::describe_application::{NameInput, input_id};
use super::{KinesisAnalytics, check_name, invalid};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartInput {
    application_name: Option<String>,
    input_configurations: Option<Vec<InputConfiguration>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InputConfiguration {
    id: Option<String>,
    input_starting_position_configuration: Option<StartingPosition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StartingPosition {
    input_starting_position: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DeleteInput {
    application_name: Option<String>,
    create_timestamp: Option<f64>,
}

const POSITIONS: [&str; 3] = ["NOW", "TRIM_HORIZON", "LAST_STOPPED_POINT"];

pub(super) async fn start(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: StartInput = request.input()?;
    check_name(input.application_name.as_deref())?;
    let configurations = input.input_configurations.unwrap_or_default();
    let name = input.application_name.unwrap_or_default();
    let query = front.application(&name)?;
    let known = |id: &str| (0..query.inputs.len()).any(|index| input_id(index) == id);
    if let Some(other) = configurations.iter().find(|found| !found.id.as_deref().is_some_and(known)) {
        return Err(invalid(match &other.id {
            Some(id) => format!("{name} has no input of Id {id}; DescribeApplication shows those that it has"),
            None => "Id must be given with every input configuration".to_owned(),
        }));
    }
    let position = configurations
        .into_iter()
        .find_map(|configuration| configuration.input_starting_position_configuration?.input_starting_position);
    Constraints::new().one_of("inputStartingPosition", position.as_deref(), &POSITIONS).finish()?;
    let start_at = match position.as_deref() {
        Some("TRIM_HORIZON") => Some(StartAt::TrimHorizon),
        Some("NOW") => Some(StartAt::Latest),
        Some("LAST_STOPPED_POINT") => Some(StartAt::LastStopped),
        _ => None,
    };
    front.queries.start_query(&name, start_at).await.map_err(|error| front.error(&error))?;
    Ok(json!({}))
}

pub(super) async fn stop(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: NameInput = request.input()?;
    check_name(input.application_name.as_deref())?;
    let name = input.application_name.unwrap_or_default();
    front.application(&name)?;
    front.queries.stop_query(&name).await.map_err(|error| front.error(&error))?;
    Ok(json!({}))
}

pub(super) async fn delete(front: &KinesisAnalytics, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: DeleteInput = request.input()?;
    check_name(input.application_name.as_deref())?;
    Constraints::new().required("createTimestamp", input.create_timestamp.as_ref()).finish()?;
    let name = input.application_name.unwrap_or_default();
    let query = front.application(&name)?;
    let created = query.created as f64 / 1_000.0;
    // SDKs send the time to the second.
    if (created - input.create_timestamp.unwrap_or_default()).abs() > 1.0 {
        return Err(invalid(format!("CreateTimestamp is not the application's: expected {created}")));
    }
    front.queries.delete(&name).await.map_err(|error| front.error(&error))?;
    Ok(json!({}))
}
