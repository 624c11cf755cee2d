//! What is set for a stream: `UpdateStreamMode`, `UpdateStreamWarmThroughput`, `UpdateStreamRecordDistributionStrategy`,
//! `UpdateMaxRecordSize`, `StartStreamEncryption`, `StopStreamEncryption`, `EnableEnhancedMonitoring`,
//! `DisableEnhancedMonitoring`.
//!
//! Warm throughput, encryption and enhanced monitoring are recorded and shown: shards take what the disk takes, the data folder
//! is encrypted by its disk, and the node's own metrics have all shards.

use std::collections::BTreeSet;

use bytes::Bytes;
use millstream_catalog::{CapacityMode, RecordDistribution};
use serde::Deserialize;
use serde_json::{Value, json};

use super::create_stream::RECORD_KIB;
use super::{Kinesis, invalid};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

/// Characters of a key's id: the service's limit.
const KEY_CHARS_MAX: usize = 2_048;

/// The mode in which the service decides how many shards there are.
const ON_DEMAND: &str = "ON_DEMAND";
const MODES: [&str; 2] = ["PROVISIONED", ON_DEMAND];

/// The strategy in which the service decides to which shard a record goes.
const AUTO: &str = "AUTO";
const USER_PARTITION_KEY: &str = "USER_PARTITION_KEY";
pub(super) const STRATEGIES: [&str; 2] = [AUTO, USER_PARTITION_KEY];

const ALL_METRICS: &str = "ALL";
const METRICS: [&str; 8] = [
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
    ALL_METRICS,
];

#[derive(Deserialize)]
struct Input {
    #[serde(rename = "StreamName")]
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "StreamModeDetails")]
    stream_mode_details: Option<ModeDetails>,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size_kib: Option<i64>,
    #[serde(rename = "WarmThroughputMiBps")]
    warm_throughput_mibps: Option<i64>,
    #[serde(rename = "RecordDistributionStrategy")]
    record_distribution_strategy: Option<String>,
    #[serde(rename = "EncryptionType")]
    encryption_type: Option<String>,
    #[serde(rename = "KeyId")]
    key_id: Option<String>,
    #[serde(rename = "ShardLevelMetrics")]
    shard_level_metrics: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ModeDetails {
    stream_mode: Option<String>,
}

/// A stream's mode and what it is to be ready to take, as a request gives them.
pub(super) struct Mode {
    pub(super) capacity: CapacityMode,
    pub(super) warm_mibps: Option<u32>,
}

/// Notes what is wrong with them.
pub(super) fn check_mode(constraints: &mut Constraints, details: Option<&ModeDetails>, warm: Option<i64>) {
    let mode = details.map(|details| details.stream_mode.as_deref());
    if let Some(mode) = mode {
        constraints.required("streamModeDetails.streamMode", mode.as_ref());
    }
    constraints.one_of("streamModeDetails.streamMode", mode.flatten(), &MODES);
    constraints.range("warmThroughputMiBps", warm, 0, i64::from(i32::MAX));
}

/// The mode of a request that [`check_mode`] has found nothing wrong with; provisioned unless it says otherwise.
///
/// # Errors
/// `InvalidArgumentException` for warm throughput of a provisioned stream.
pub(super) fn asked_mode(details: Option<&ModeDetails>, warm: Option<i64>) -> Result<Mode, ServiceError> {
    let on_demand = details.is_some_and(|details| details.stream_mode.as_deref() == Some(ON_DEMAND));
    if !on_demand && warm.is_some() {
        return Err(invalid("WarmThroughputMiBps can only be given for a stream in ON_DEMAND mode."));
    }
    let capacity = if on_demand { CapacityMode::OnDemand } else { CapacityMode::Provisioned };
    Ok(Mode { capacity, warm_mibps: warm.and_then(|warm| u32::try_from(warm).ok()) })
}

pub(super) async fn update_mode(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let input: Input = request.input()?;
    let (details, warm) = (input.stream_mode_details.as_ref(), input.warm_throughput_mibps);
    let mut constraints = Constraints::new();
    constraints.required("streamARN", input.stream_arn.as_ref()).required("streamModeDetails", details);
    check_mode(&mut constraints, details, warm);
    constraints.finish()?;
    let Mode { capacity, warm_mibps } = asked_mode(details, warm)?;
    let stream = kinesis.stream(None, input.stream_arn.as_deref())?;
    let set = kinesis.streams.set_capacity(&stream.name, capacity, warm_mibps).await;
    set.map_err(|error| kinesis.error(&error))?;
    Ok(Bytes::new())
}

pub(super) async fn update_warm_throughput(kinesis: &Kinesis, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let warm = input.warm_throughput_mibps;
    let mut constraints = Constraints::new();
    constraints.required("warmThroughputMiBps", warm.as_ref());
    check_mode(&mut constraints, None, warm);
    constraints.finish()?;
    let stream = kinesis.stream(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    if stream.capacity != CapacityMode::OnDemand {
        return Err(invalid(format!("Stream {} is not in ON_DEMAND mode, so it has no warm throughput.", stream.name)));
    }
    let warm = warm.and_then(|warm| u32::try_from(warm).ok());
    change(kinesis, &stream.name, |settings| settings.warm_mibps = warm).await?;
    Ok(json!({
        "StreamName": stream.name,
        "StreamARN": kinesis.arn(&stream.name),
        "WarmThroughput": warm_throughput(warm),
    }))
}

/// `WarmThroughput`: reached as soon as it is asked for.
pub(super) fn warm_throughput(warm_mibps: Option<u32>) -> Value {
    json!({ "TargetMiBps": warm_mibps, "CurrentMiBps": warm_mibps })
}

/// The distribution that a strategy is.
pub(super) fn asked_distribution(strategy: Option<&str>) -> RecordDistribution {
    match strategy {
        Some(AUTO) => RecordDistribution::Even,
        _ => RecordDistribution::PartitionKey,
    }
}

/// `AUTO` of a provisioned stream.
pub(super) fn auto_is_on_demand() -> ServiceError {
    invalid("RecordDistributionStrategy AUTO can only be set for a stream in ON_DEMAND mode.")
}

/// `RecordDistributionStrategy`
pub(super) fn strategy(distribution: RecordDistribution) -> &'static str {
    match distribution {
        RecordDistribution::Even => AUTO,
        RecordDistribution::PartitionKey => USER_PARTITION_KEY,
    }
}

pub(super) async fn update_distribution(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let input: Input = request.input()?;
    let strategy = input.record_distribution_strategy.as_deref();
    Constraints::new()
        .required("streamARN", input.stream_arn.as_ref())
        .required("recordDistributionStrategy", strategy.as_ref())
        .one_of("recordDistributionStrategy", strategy, &STRATEGIES)
        .finish()?;
    let stream = kinesis.stream(None, input.stream_arn.as_deref())?;
    let set = kinesis.streams.set_distribution(&stream.name, asked_distribution(strategy)).await;
    set.map_err(|error| kinesis.error(&error))?;
    Ok(Bytes::new())
}

pub(super) async fn update_max_record_size(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let input: Input = request.input()?;
    Constraints::new()
        .required("maxRecordSizeInKiB", input.max_record_size_kib.as_ref())
        .range("maxRecordSizeInKiB", input.max_record_size_kib, RECORD_KIB, 10 * RECORD_KIB)
        .finish()?;
    let stream = kinesis.stream(None, input.stream_arn.as_deref())?;
    let wanted = input.max_record_size_kib.and_then(|size| u32::try_from(size).ok());
    change(kinesis, &stream.name, |settings| settings.record_kib_max = wanted).await?;
    Ok(Bytes::new())
}

pub(super) async fn start_encryption(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let (stream, key) = encryption(kinesis, request)?;
    change(kinesis, &stream, |settings| settings.encryption_key = Some(key)).await?;
    Ok(Bytes::new())
}

pub(super) async fn stop_encryption(kinesis: &Kinesis, request: &JsonRequest) -> Result<Bytes, ServiceError> {
    let (stream, _) = encryption(kinesis, request)?;
    change(kinesis, &stream, |settings| settings.encryption_key = None).await?;
    Ok(Bytes::new())
}

/// The stream and the key of a request that begins or ends encryption.
fn encryption(kinesis: &Kinesis, request: &JsonRequest) -> Result<(String, String), ServiceError> {
    let input: Input = request.input()?;
    let (kind, key) = (input.encryption_type.as_deref(), input.key_id.as_deref());
    Constraints::new()
        .required("encryptionType", kind.as_ref())
        .one_of("encryptionType", kind, &["NONE", "KMS"])
        .required("keyId", key.as_ref())
        .length("keyId", key, 1, KEY_CHARS_MAX)
        .finish()?;
    if kind != Some("KMS") {
        return Err(invalid("EncryptionType NONE is not valid here: the only valid value is KMS."));
    }
    let stream = kinesis.stream(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    Ok((stream.name.clone(), input.key_id.unwrap_or_default()))
}

pub(super) async fn enable_monitoring(kinesis: &Kinesis, request: &JsonRequest) -> Result<Value, ServiceError> {
    monitoring(kinesis, request, |current, named| current.union(named).cloned().collect()).await
}

pub(super) async fn disable_monitoring(kinesis: &Kinesis, request: &JsonRequest) -> Result<Value, ServiceError> {
    monitoring(kinesis, request, |current, named| current.difference(named).cloned().collect()).await
}

async fn monitoring(
    kinesis: &Kinesis,
    request: &JsonRequest,
    desired: impl FnOnce(&BTreeSet<String>, &BTreeSet<String>) -> BTreeSet<String>,
) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let mut constraints = Constraints::new();
    constraints.required("shardLevelMetrics", input.shard_level_metrics.as_ref());
    let named = input.shard_level_metrics.unwrap_or_default();
    if named.is_empty() {
        constraints.broken("shardLevelMetrics", Some("[]"), "Member must have length greater than or equal to 1");
    }
    for metric in &named {
        constraints.one_of("shardLevelMetrics", Some(metric), &METRICS);
    }
    constraints.finish()?;
    let stream = kinesis.stream(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    // `ALL` is a word for all of them and none of its own.
    let all = named.iter().any(|metric| metric == ALL_METRICS);
    let wanted = METRICS.iter().filter(|metric| **metric != ALL_METRICS);
    let wanted = wanted.filter(|metric| all || named.iter().any(|named| named == *metric));
    let wanted: BTreeSet<String> = wanted.map(|metric| (*metric).to_owned()).collect();
    let mut now = BTreeSet::new();
    let before = kinesis.streams.change_settings(&stream.name, |settings| {
        now = desired(&settings.shard_metrics, &wanted);
        settings.shard_metrics = now.clone();
    });
    let before = before.await.map_err(|error| kinesis.error(&error))?;
    Ok(json!({
        "StreamName": stream.name,
        "StreamARN": kinesis.arn(&stream.name),
        "CurrentShardLevelMetrics": before.settings.shard_metrics,
        "DesiredShardLevelMetrics": now,
    }))
}

async fn change(
    kinesis: &Kinesis,
    stream: &str,
    change: impl FnOnce(&mut millstream_catalog::StreamSettings),
) -> Result<(), ServiceError> {
    let changed = kinesis.streams.change_settings(stream, change).await;
    changed.map(|_| ()).map_err(|error| kinesis.error(&error))
}
