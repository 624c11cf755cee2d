//! `DescribeStream` and `DescribeStreamSummary`

use millstream_catalog::{CapacityMode, ShardDefinition, StreamDefinition};
use millstream_stream::{SequenceNumber, ShardId};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::create_stream::RECORD_KIB;
use super::settings::{strategy, warm_throughput};
use super::{Kinesis, check_shard_id, seconds};
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};

#[derive(Deserialize)]
struct Input {
    #[serde(rename = "StreamName")]
    stream_name: Option<String>,
    #[serde(rename = "StreamARN")]
    stream_arn: Option<String>,
    #[serde(rename = "Limit")]
    limit: Option<i64>,
    #[serde(rename = "ExclusiveStartShardId")]
    exclusive_start_shard_id: Option<String>,
}

pub(super) fn describe(kinesis: &Kinesis, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let after = input.exclusive_start_shard_id.as_deref();
    let mut constraints = Constraints::new();
    constraints.range("limit", input.limit, 1, 10_000);
    check_shard_id(&mut constraints, "exclusiveStartShardId", after);
    constraints.finish()?;
    let stream = kinesis.stream(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    let after = after.map(|id| kinesis.shard_id(&stream, id)).transpose()?;
    let limit = input.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(100);
    let rest: Vec<&ShardDefinition> =
        stream.shards.iter().filter(|shard| after.is_none_or(|after| shard.index > after.0)).collect();
    let mut description = common(kinesis, &stream);
    description.insert("Shards".into(), rest.iter().take(limit).map(|shard| self::shard(kinesis, shard)).collect());
    description.insert("HasMoreShards".into(), json!(rest.len() > limit));
    Ok(json!({ "StreamDescription": description }))
}

pub(super) fn summary(kinesis: &Kinesis, request: &JsonRequest) -> Result<Value, ServiceError> {
    let input: Input = request.input()?;
    let stream = kinesis.stream(input.stream_name.as_deref(), input.stream_arn.as_deref())?;
    let mut description = common(kinesis, &stream);
    description.insert("OpenShardCount".into(), json!(stream.open_shards().count()));
    description.insert("ConsumerCount".into(), json!(stream.consumers.len()));
    description
        .insert("MaxRecordSizeInKiB".into(), json!(stream.settings.record_kib_max.map_or(RECORD_KIB, i64::from)));
    if stream.capacity == CapacityMode::OnDemand {
        let strategy = strategy(stream.settings.distribution);
        description.insert("RecordDistributionStrategy".into(), json!(strategy));
        if let Some(warm) = stream.settings.warm_mibps {
            description.insert("WarmThroughput".into(), warm_throughput(Some(warm)));
        }
    }
    Ok(json!({ "StreamDescriptionSummary": description }))
}

fn common(kinesis: &Kinesis, stream: &StreamDefinition) -> Map<String, Value> {
    let description = json!({
        "StreamName": stream.name,
        "StreamARN": kinesis.arn(&stream.name),
        "StreamStatus": "ACTIVE",
        "StreamModeDetails": mode(stream),
        "RetentionPeriodHours": stream.retention_hours,
        "StreamCreationTimestamp": seconds(stream.created),
        "EnhancedMonitoring": [{ "ShardLevelMetrics": stream.settings.shard_metrics }],
        "EncryptionType": "NONE",
    });
    let mut description = description.as_object().cloned().unwrap_or_default();
    if let Some(key) = &stream.settings.encryption_key {
        description.insert("EncryptionType".into(), json!("KMS"));
        description.insert("KeyId".into(), json!(key));
    }
    description
}

/// `StreamModeDetails`
pub(super) fn mode(stream: &StreamDefinition) -> Value {
    let mode = match stream.capacity {
        CapacityMode::Provisioned => "PROVISIONED",
        CapacityMode::OnDemand => "ON_DEMAND",
    };
    json!({ "StreamMode": mode })
}

/// A shard as descriptions and listings show it.
pub(super) fn shard(kinesis: &Kinesis, shard: &ShardDefinition) -> Value {
    let mut shown = json!({
        "ShardId": ShardId(shard.index).to_string(),
        "HashKeyRange": {
            "StartingHashKey": shard.hash_keys.start.to_string(),
            "EndingHashKey": shard.hash_keys.end.to_string(),
        },
        "SequenceNumberRange": {
            "StartingSequenceNumber": SequenceNumber { log: shard.log(), offset: 0 }.to_string(),
        },
    });
    for (member, parent) in [("ParentShardId", shard.parent), ("AdjacentParentShardId", shard.adjacent_parent)] {
        if let Some(parent) = parent {
            shown[member] = json!(ShardId(parent).to_string());
        }
    }
    if !shard.is_open() {
        // Behind the last record: a shard that never had any has an end, too.
        let end = SequenceNumber { log: shard.log(), offset: kinesis.streams.bounds(shard.log()).next };
        shown["SequenceNumberRange"]["EndingSequenceNumber"] = json!(end.to_string());
    }
    shown
}

/// A shard as readers of its parent are told of it.
pub(super) fn child(shard: &ShardDefinition) -> Value {
    json!({
        "ShardId": ShardId(shard.index).to_string(),
        "ParentShards": shard.parents().map(|parent| ShardId(parent).to_string()).collect::<Vec<_>>(),
        "HashKeyRange": {
            "StartingHashKey": shard.hash_keys.start.to_string(),
            "EndingHashKey": shard.hash_keys.end.to_string(),
        },
    })
}
