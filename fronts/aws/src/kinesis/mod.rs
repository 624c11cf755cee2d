//! Kinesis Data Streams over the stream engine. Source: the Kinesis API reference (2013-12-02).
//!
//! The order of checks: operation, JSON and types, constraints of members, then the state of streams.

mod account_settings;
mod consumers;
mod create_stream;
mod delete_stream;
mod describe_limits;
mod describe_stream;
mod error;
mod event_stream;
mod get_records;
mod get_shard_iterator;
mod iterator;
mod list_shards;
mod list_streams;
mod page_token;
mod put_record;
mod put_records;
mod resharding;
mod resource;
mod resource_policy;
mod retention;
mod settings;
mod subscribe_to_shard;
mod subscription;
mod tags;
mod unserved;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{ShardDefinition, StreamDefinition, StreamOwner};
use millstream_http::serve::LiveBody;
use millstream_insight::{Insight, Step};
use millstream_storage::Receipt;
use millstream_stream::{ReadLimit, ShardId, StagedPut, StreamError, Streams};
use millstream_types::Clock;
use serde_json::Value;
use tokio::sync::watch;

use self::iterator::ShardIterator;
use self::subscribe_to_shard::Subscriptions;
use crate::json_protocol::{Constraints, JsonRequest, ServiceError};
use crate::place::{Place, resource};
use crate::seal::Seal;

/// Records of one PutRecords.
const RECORDS_MAX: usize = 500;
/// Bytes of a record: its key and its data.
const RECORD_BYTES_MAX: usize = 1 << 20;
/// Bytes of all records of one PutRecords.
const REQUEST_BYTES_MAX: usize = 10 << 20;

/// The service.
pub struct Kinesis {
    streams: Streams,
    insight: Insight,
    clock: Arc<dyn Clock>,
    place: Place,
    seal: Seal,
    subscriptions: Subscriptions,
    stopped: watch::Receiver<bool>,
    /// `None`: shards are read as fast as can be.
    read_limit: Option<ReadLimit>,
    subscription_time: Duration,
}

/// What the service is made of.
pub struct KinesisParts {
    /// The stream engine.
    pub streams: Streams,
    /// Metrics and the trail.
    pub insight: Insight,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where the node stands in ARNs.
    pub place: Place,
    /// Keeps its iterators from being made up.
    pub seal: Seal,
    /// Becomes true when the node stops: subscriptions end then.
    pub stopped: watch::Receiver<bool>,
    /// Whether shards are read as often and as much as the service lets them; otherwise as fast as can be.
    pub limited: bool,
    /// How long a subscription to a shard lasts: its client begins another one then.
    pub subscription_time: Duration,
}

impl Kinesis {
    /// The service over its parts.
    #[must_use]
    pub fn new(parts: KinesisParts) -> Self {
        let KinesisParts { streams, insight, clock, place, seal, stopped, limited, subscription_time } = parts;
        let read_limit = limited.then(ReadLimit::default);
        let subscriptions = Subscriptions::default();
        Self { streams, insight, clock, place, seal, subscriptions, stopped, read_limit, subscription_time }
    }

    /// Answers `SubscribeToShard`, whose answer comes by and by: in CBOR or in JSON.
    pub(crate) async fn subscribe(&self, request: &JsonRequest, cbor: bool) -> Result<LiveBody, ServiceError> {
        subscribe_to_shard::call(self, request, cbor).await
    }

    /// Answers a request: every operation that there is.
    pub(crate) async fn call(&self, request: &JsonRequest) -> Result<Bytes, ServiceError> {
        // The two puts look for themselves, while they read what they are given.
        if !matches!(request.operation.as_str(), "PutRecords" | "PutRecord") {
            unserved::check(request)?;
        }
        match request.operation.as_str() {
            "PutRecords" => put_records::call(self, request).await,
            "PutRecord" => put_record::call(self, request).await,
            "GetRecords" => get_records::call(self, request).await,
            "GetShardIterator" => get_shard_iterator::call(self, request).await.map(document),
            "CreateStream" => create_stream::call(self, request).await,
            "DeleteStream" => delete_stream::call(self, request).await,
            "DescribeStream" => describe_stream::describe(self, request).map(document),
            "DescribeStreamSummary" => describe_stream::summary(self, request).map(document),
            "ListStreams" => list_streams::call(self, request).map(document),
            "DescribeLimits" => Ok(document(describe_limits::call(self))),
            "DescribeAccountSettings" => Ok(document(account_settings::describe(self))),
            "UpdateAccountSettings" => account_settings::update(self, request).await.map(document),
            "ListShards" => list_shards::call(self, request).map(document),
            "IncreaseStreamRetentionPeriod" => retention::increase(self, request).await,
            "DecreaseStreamRetentionPeriod" => retention::decrease(self, request).await,
            "AddTagsToStream" | "TagResource" => tags::add(self, request).await,
            "RemoveTagsFromStream" | "UntagResource" => tags::remove(self, request).await,
            "ListTagsForStream" | "ListTagsForResource" => tags::list(self, request).map(document),
            "SplitShard" => resharding::split(self, request).await,
            "MergeShards" => resharding::merge(self, request).await,
            "UpdateShardCount" => resharding::update_count(self, request).await.map(document),
            "UpdateStreamMode" => settings::update_mode(self, request).await,
            "UpdateStreamWarmThroughput" => settings::update_warm_throughput(self, request).await.map(document),
            "UpdateStreamRecordDistributionStrategy" => settings::update_distribution(self, request).await,
            "UpdateMaxRecordSize" => settings::update_max_record_size(self, request).await,
            "StartStreamEncryption" => settings::start_encryption(self, request).await,
            "StopStreamEncryption" => settings::stop_encryption(self, request).await,
            "EnableEnhancedMonitoring" => settings::enable_monitoring(self, request).await.map(document),
            "DisableEnhancedMonitoring" => settings::disable_monitoring(self, request).await.map(document),
            "RegisterStreamConsumer" => consumers::register(self, request).await.map(document),
            "DeregisterStreamConsumer" => consumers::deregister(self, request).await,
            "DescribeStreamConsumer" => consumers::describe(self, request).map(document),
            "ListStreamConsumers" => consumers::list(self, request).map(document),
            "PutResourcePolicy" => resource_policy::put(self, request).await,
            "GetResourcePolicy" => resource_policy::get(self, request).map(document),
            "DeleteResourcePolicy" => resource_policy::delete(self, request).await,
            other => Err(unserved::operation(other)),
        }
    }

    /// A user's stream, by name or ARN as members `StreamName` and `StreamARN` give it.
    fn stream(&self, name: Option<&str>, arn: Option<&str>) -> Result<Arc<StreamDefinition>, ServiceError> {
        let name = self.stream_name(name, arn)?;
        let found = self.streams.get(name).ok().filter(|stream| stream.owner == StreamOwner::User);
        found.ok_or_else(|| self.stream_not_found(name))
    }

    fn stream_name<'n>(&self, name: Option<&'n str>, arn: Option<&'n str>) -> Result<&'n str, ServiceError> {
        let mut constraints = Constraints::new();
        constraints.length("streamName", name, 1, 128).characters(
            "streamName",
            name,
            name_character,
            "[a-zA-Z0-9_.-]+",
        );
        constraints.finish()?;
        match (name, arn.map(|arn| self.name_in(arn)).transpose()?) {
            (Some(name), Some(other)) if name != other => {
                Err(invalid(format!("StreamName {name} and StreamARN of {other} name different streams.")))
            }
            (Some(name), _) | (None, Some(name)) => Ok(name),
            (None, None) => Err(invalid("Missing StreamName or StreamARN in the request.")),
        }
    }

    /// The name in a stream's ARN. Those of other regions and accounts are not of this node.
    fn name_in<'n>(&self, arn: &'n str) -> Result<&'n str, ServiceError> {
        let name =
            resource(arn, "kinesis", "stream/").ok_or_else(|| invalid(format!("{arn} is not the ARN of a stream.")))?;
        if self.place.is_own(arn) {
            return Ok(name);
        }
        let Place { region, account } = &self.place;
        let message = format!("Stream {arn} not found: this node has streams of account {account} in {region}.");
        Err(ServiceError::new("ResourceNotFoundException", message))
    }

    /// A shard's id as members give it. It need not be one of the stream's shards.
    fn shard_id(&self, stream: &StreamDefinition, id: &str) -> Result<ShardId, ServiceError> {
        let digits = id.strip_prefix("shardId-").unwrap_or(id);
        let index = Some(digits).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        index.and_then(|digits| digits.parse().ok()).map(ShardId).ok_or_else(|| {
            let (name, account) = (&stream.name, &self.place.account);
            let message = format!("Could not find shard {id} in stream {name} under account {account}.");
            ServiceError::new("ResourceNotFoundException", message)
        })
    }

    /// A shard of a stream by its id.
    fn existing_shard<'s>(&self, stream: &'s StreamDefinition, id: &str) -> Result<&'s ShardDefinition, ServiceError> {
        let id = self.shard_id(stream, id)?;
        let found = stream.shards.iter().find(|shard| shard.index == id.0);
        found.ok_or_else(|| {
            self.error(&StreamError::ShardNotFound { stream: stream.name.clone(), shard: id.to_string() })
        })
    }

    fn arn(&self, stream: &str) -> String {
        self.place.arn("kinesis", &format!("stream/{stream}"))
    }

    /// The stream that an iterator or a token of a listing was made for; `None` for other texts and for old ones.
    pub(crate) fn stream_of(&self, text: &str) -> Option<String> {
        let iterator = ShardIterator::decode(text, &self.seal, self.clock.now()).ok();
        iterator.map(|iterator| iterator.stream).or_else(|| list_shards::stream_of_token(self, text))
    }

    fn stream_not_found(&self, name: &str) -> ServiceError {
        let message = format!("Stream {name} under account {} not found.", self.place.account);
        ServiceError::new("ResourceNotFoundException", message)
    }

    /// Counts and marks what a put brought.
    fn received(&self, stream: &str, staged: &StagedPut, receipt: &Receipt, bytes: u64, request: &JsonRequest) {
        let subject = format!("stream/{stream}");
        let mut records = 0;
        for (_, log, from, to) in staged.ranges(receipt) {
            records += to - from;
            self.insight.trail.mark(Step::Received {
                log: log.0,
                from,
                to,
                stream: stream.to_owned(),
                request: request.request_id.clone(),
                invocation: request.invocation(),
            });
        }
        self.insight.metrics.counter("records_in", &subject).add(records);
        self.insight.metrics.counter("bytes_in", &subject).add(bytes);
    }
}

fn name_character(char: char) -> bool {
    char.is_ascii_alphanumeric() || matches!(char, '_' | '.' | '-')
}

fn check_shard_id(constraints: &mut Constraints, member: &str, id: Option<&str>) {
    constraints.length(member, id, 1, 128).characters(member, id, name_character, "[a-zA-Z0-9_.-]+");
}

fn invalid(message: impl Into<String>) -> ServiceError {
    ServiceError::new("InvalidArgumentException", message)
}

/// Ends a request that all checks have let through, where it says that it is only to be checked.
fn dry_run(is_asked: Option<bool>) -> Result<(), ServiceError> {
    let message = "The request would have succeeded, but the DryRun parameter is set.";
    if is_asked == Some(true) { Err(ServiceError::new("DryRunOperationException", message)) } else { Ok(()) }
}

fn document(value: Value) -> Bytes {
    Bytes::from(value.to_string())
}

/// Seconds with milliseconds, as the JSON protocol writes times.
fn seconds(millis: i64) -> f64 {
    millis as f64 / 1_000.0
}
