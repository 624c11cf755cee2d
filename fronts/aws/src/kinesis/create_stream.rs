//! `CreateStream`

use bytes::Bytes;
use millstream_catalog::StreamOwner;
use millstream_stream::NewStream;
use serde::Deserialize;

use super::{Kinesis, name_character};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Shards of a stream that is on demand, as the service begins with.
const ON_DEMAND_SHARDS: i64 = 4;
/// How long records stay unless told otherwise.
const RETENTION_HOURS: u32 = 24;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    stream_name: Option<String>,
    shard_count: Option<i64>,
    stream_mode_details: Option<ModeDetails>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ModeDetails {
    stream_mode: Option<String>,
}

pub(super) async fn call(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let input: Input = request.input()?;
    let mode = input.stream_mode_details.and_then(|details| details.stream_mode);
    let name = input.stream_name.as_deref();
    let mut constraints = Constraints::new();
    constraints
        .required("streamName", name.as_ref())
        .length("streamName", name, 1, 128)
        .characters("streamName", name, name_character, "[a-zA-Z0-9_.-]+")
        .range("shardCount", input.shard_count, 1, i64::from(i32::MAX))
        .one_of("streamModeDetails.streamMode", mode.as_deref(), &["PROVISIONED", "ON_DEMAND"])
        .finish()?;
    let on_demand = mode.as_deref() == Some("ON_DEMAND");
    let shards = match (input.shard_count, on_demand) {
        (Some(count), _) => count,
        (None, true) => ON_DEMAND_SHARDS,
        (None, false) => {
            return Err(ServiceError::new("ValidationException", "ShardCount is required for a provisioned stream"));
        }
    };
    let new = NewStream {
        name: input.stream_name.unwrap_or_default(),
        owner: StreamOwner::User,
        shards: u32::try_from(shards).unwrap_or(u32::MAX),
        retention_hours: RETENTION_HOURS,
    };
    kinesis.streams.create(new).await.map_err(|error| kinesis.error(&error))?;
    Ok(Bytes::new())
}
