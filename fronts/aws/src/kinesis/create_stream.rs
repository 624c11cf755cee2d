//! `CreateStream`

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_catalog::{CapacityMode, RecordDistribution, StreamOwner, StreamSettings};
use millstream_stream::NewStream;
use serde::Deserialize;

use super::settings::{Mode, ModeDetails, STRATEGIES, asked_distribution, asked_mode, auto_is_on_demand, check_mode};
use super::{Kinesis, RECORD_BYTES_MAX, name_character, tags};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Shards of a stream that is on demand, as the service begins with.
pub(super) const ON_DEMAND_SHARDS: u32 = 4;
/// The largest record of a stream, in KiB, unless told otherwise; ten times as much may be told.
pub(super) const RECORD_KIB: i64 = (RECORD_BYTES_MAX >> 10) as i64;
/// How long records stay unless told otherwise.
const RETENTION_HOURS: u32 = 24;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Input {
    stream_name: Option<String>,
    shard_count: Option<i64>,
    stream_mode_details: Option<ModeDetails>,
    tags: Option<BTreeMap<String, String>>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_kib: Option<i64>,
    #[serde(rename = "WarmThroughputMiBps")]
    warm_throughput_mibps: Option<i64>,
    record_distribution_strategy: Option<String>,
}

pub(super) async fn call(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let input: Input = request.input()?;
    let (details, warm) = (input.stream_mode_details.as_ref(), input.warm_throughput_mibps);
    let name = input.stream_name.as_deref();
    let mut constraints = Constraints::new();
    constraints
        .required("streamName", name.as_ref())
        .length("streamName", name, 1, 128)
        .characters("streamName", name, name_character, "[a-zA-Z0-9_.-]+")
        .range("shardCount", input.shard_count, 1, i64::from(i32::MAX))
        .range("maxRecordSizeInKiB", input.max_record_size_kib, RECORD_KIB, 10 * RECORD_KIB);
    check_mode(&mut constraints, details, warm);
    let strategy = input.record_distribution_strategy.as_deref();
    constraints.one_of("recordDistributionStrategy", strategy, &STRATEGIES);
    constraints.finish()?;
    let tags = input.tags.unwrap_or_default();
    tags::check(&tags)?;
    let Mode { capacity, warm_mibps } = asked_mode(details, warm)?;
    let distribution = asked_distribution(strategy);
    if (distribution, capacity) == (RecordDistribution::Even, CapacityMode::Provisioned) {
        return Err(auto_is_on_demand());
    }
    let shards = shards(capacity, input.shard_count)?;
    let new = NewStream {
        name: input.stream_name.unwrap_or_default(),
        owner: StreamOwner::User,
        shards,
        retention_hours: RETENTION_HOURS,
    };
    let settings = StreamSettings {
        record_kib_max: input.max_record_size_kib.and_then(|size| u32::try_from(size).ok()),
        warm_mibps,
        distribution,
        ..StreamSettings::default()
    };
    kinesis.streams.create_with(new, capacity, tags, settings).await.map_err(|error| kinesis.error(&error))?;
    Ok(Bytes::new())
}

/// The number of shards to begin with.
fn shards(capacity: CapacityMode, shard_count: Option<i64>) -> Result<u32, ServiceError> {
    match (capacity, shard_count) {
        (CapacityMode::OnDemand, None) => Ok(ON_DEMAND_SHARDS),
        (CapacityMode::OnDemand, Some(_)) => {
            let message = "ShardCount cannot be given for a stream in ON_DEMAND mode";
            Err(ServiceError::new("InvalidArgumentException", message))
        }
        (CapacityMode::Provisioned, Some(count)) => Ok(u32::try_from(count).unwrap_or(u32::MAX)),
        (CapacityMode::Provisioned, None) => {
            Err(ServiceError::new("ValidationException", "ShardCount is required for a provisioned stream"))
        }
    }
}
