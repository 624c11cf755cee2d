//! From the stream engine's facts to the service's errors.

use millstream_storage::StorageError;
use millstream_stream::StreamError;

use super::Kinesis;
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
            StreamError::ShardCount { .. } => ServiceError::new("LimitExceededException", error.to_string()),
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
