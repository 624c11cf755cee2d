//! From the stream engine's facts to the service's errors.

use millstream_storage::StorageError;
use millstream_stream::{ShardId, StreamError};

use super::Kinesis;
use super::settings::auto_is_on_demand;
use crate::json_protocol::ServiceError;

impl Kinesis {
    pub(super) fn error(&self, error: &StreamError) -> ServiceError {
        let account = &self.place.account;
        match error {
            StreamError::StreamNotFound { stream } => self.stream_not_found(stream),
            StreamError::StreamExists { stream } => ServiceError::new(
                "ResourceInUseException",
                format!("Stream {stream} under account {account} already exists."),
            ),
            StreamError::ShardNotFound { stream, shard } => ServiceError::new(
                "ResourceNotFoundException",
                format!("Shard {shard} in stream {stream} under account {account} does not exist"),
            ),
            StreamError::ShardClosed { stream, shard } => ServiceError::new(
                "InvalidArgumentException",
                format!(
                    "Shard {} in stream {stream} under account {account} has already been merged or split, and thus is not \
                     eligible for merging or splitting.",
                    ShardId(*shard),
                ),
            ),
            StreamError::LogClosed { .. } => ServiceError::internal("InternalFailure", error.to_string()),
            StreamError::SplitPoint { stream, shard, start, end, found } => ServiceError::new(
                "InvalidArgumentException",
                format!(
                    "NewStartingHashKey {found} used in SplitShard() on shard {} in stream {stream} under account {account} \
                     is not both greater than one plus the shard's StartingHashKey {start} and less than the shard's \
                     EndingHashKey {end}.",
                    ShardId(*shard),
                ),
            ),
            StreamError::NotAdjacent { stream, shards: [one, other] } => ServiceError::new(
                "InvalidArgumentException",
                format!(
                    "Shards {} and {} in stream {stream} under account {account} are not an adjacent pair of shards eligible \
                     for merging",
                    ShardId(*one),
                    ShardId(*other),
                ),
            ),
            StreamError::Scaling { found, there } => {
                let (beyond, limit) = if found > there {
                    ("cannot be more than double", there.saturating_mul(2))
                } else {
                    ("cannot be less than half", there.div_ceil(2))
                };
                ServiceError::new(
                    "InvalidArgumentException",
                    format!(
                        "UpdateShardCount {beyond} the current open shard count {there}. Target shard count: {found}. \
                         Limit: {limit}."
                    ),
                )
            }
            StreamError::OnDemand { stream } => ServiceError::new(
                "ValidationException",
                format!("Request is invalid. Stream {stream} under account {account} is in On-Demand mode."),
            ),
            StreamError::Provisioned { .. } => auto_is_on_demand(),
            StreamError::NotReshardable { stream } => self.stream_not_found(stream),
            StreamError::ConsumerExists { stream, consumer } => ServiceError::new(
                "ResourceInUseException",
                format!("Consumer {consumer} under stream {stream} already exists for account {account}."),
            ),
            StreamError::ConsumerNotFound { stream, consumer } => ServiceError::new(
                "ResourceNotFoundException",
                format!("Consumer {consumer} under stream {stream} not found for account {account}."),
            ),
            StreamError::ShardCount { .. }
            | StreamError::ShardsKept { .. }
            | StreamError::TooManyConsumers { .. }
            | StreamError::ScaledOften { .. } => ServiceError::new("LimitExceededException", error.to_string()),
            StreamError::ShardsInAll { there, wanted, max } => ServiceError::new(
                "LimitExceededException",
                format!(
                    "This request would exceed the shard limit for the account {account} in {}. Current shard count for the \
                     account: {there}. Limit: {max}. Number of additional shards that would have resulted from this \
                     request: {wanted}.",
                    self.place.region,
                ),
            ),
            StreamError::TooManyTags { stream, max } => ServiceError::new(
                "InvalidArgumentException",
                format!(
                    "Failed to add tags to stream {stream} under account {account} because a given stream cannot have more \
                     than {max} tags associated with it."
                ),
            ),
            StreamError::Storage(storage) => self.storage_error(storage),
            StreamError::Catalog(_) => ServiceError::internal("InternalFailure", error.to_string()),
        }
    }

    pub(super) fn storage_error(&self, error: &StorageError) -> ServiceError {
        match error {
            StorageError::Overloaded { .. } | StorageError::DiskFull => {
                ServiceError::new("ProvisionedThroughputExceededException", error.to_string())
            }
            StorageError::TransactionTooLarge { .. } => {
                ServiceError::new("InvalidArgumentException", error.to_string())
            }
            _ => ServiceError::internal("InternalFailure", error.to_string()),
        }
    }
}
