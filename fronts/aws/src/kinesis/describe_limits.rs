//! `DescribeLimits`

use millstream_catalog::{CapacityMode, StreamOwner};
use millstream_stream::SHARDS_ALL_MAX;
use serde_json::{Value, json};

use super::Kinesis;
use super::create_stream::ON_DEMAND_SHARDS;

pub(super) fn call(kinesis: &Kinesis) -> Value {
    let mut streams = kinesis.streams.list();
    streams.retain(|stream| stream.owner == StreamOwner::User);
    let on_demand = streams.iter().filter(|stream| stream.capacity == CapacityMode::OnDemand).count();
    json!({
        "ShardLimit": SHARDS_ALL_MAX,
        "OpenShardCount": streams.iter().map(|stream| stream.open_shards().count()).sum::<usize>(),
        "OnDemandStreamCount": on_demand,
        // Streams on demand are limited by their shards only.
        "OnDemandStreamCountLimit": SHARDS_ALL_MAX / ON_DEMAND_SHARDS,
    })
}
