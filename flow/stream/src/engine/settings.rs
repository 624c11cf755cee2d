//! What is set for a stream beside its shards: its mode, its consumers, what it records of a vendor's settings.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::{CapacityMode, RecordDistribution, StreamConsumer, StreamDefinition, StreamSettings};
use millstream_types::BoxFuture;

use super::Streams;
use super::definitions::TAGS_MAX;
use crate::error::StreamError;

/// Consumers that one stream may have: the service's quota.
pub const CONSUMERS_MAX: usize = 20;

impl Streams {
    /// Changes who decides the number of shards, and what the stream is to be ready to take (MiB a second; recorded). Where
    /// its maker decides, keys decide to which shard a record goes.
    ///
    /// # Errors
    /// [`StreamError::StreamNotFound`], [`StreamError::Storage`].
    pub fn set_capacity<'a>(
        &'a self,
        name: &'a str,
        capacity: CapacityMode,
        warm_mibps: Option<u32>,
    ) -> BoxFuture<'a, Result<(), StreamError>> {
        Box::pin(async move {
            self.change(name, |definition| {
                // What is not said stays as it is, as long as the mode does.
                let same = definition.capacity == capacity;
                definition.settings.warm_mibps = warm_mibps.or(definition.settings.warm_mibps.filter(|_| same));
                definition.capacity = capacity;
                if capacity == CapacityMode::Provisioned {
                    definition.settings.distribution = RecordDistribution::PartitionKey;
                }
                Ok(())
            })
            .await
        })
    }

    /// Changes how records find their shards.
    ///
    /// # Errors
    /// [`StreamError::Provisioned`] for [`RecordDistribution::Even`] of a stream whose shards its maker counts;
    /// [`StreamError::StreamNotFound`], [`StreamError::Storage`].
    pub fn set_distribution<'a>(
        &'a self,
        name: &'a str,
        distribution: RecordDistribution,
    ) -> BoxFuture<'a, Result<(), StreamError>> {
        Box::pin(async move {
            self.change(name, |definition| {
                if (distribution, definition.capacity) == (RecordDistribution::Even, CapacityMode::Provisioned) {
                    return Err(StreamError::Provisioned { stream: name.to_owned() });
                }
                definition.settings.distribution = distribution;
                Ok(())
            })
            .await
        })
    }

    /// Changes a stream's settings that hang on nothing else of it; gives the stream as it was before.
    ///
    /// # Errors
    /// [`StreamError::StreamNotFound`], [`StreamError::Storage`].
    pub async fn change_settings(
        &self,
        name: &str,
        change: impl FnOnce(&mut StreamSettings),
    ) -> Result<Arc<StreamDefinition>, StreamError> {
        let mut before = None;
        self.change(name, |definition| {
            before = Some(Arc::new(definition.clone()));
            change(&mut definition.settings);
            Ok(())
        })
        .await?;
        before.map_or_else(|| self.get(name), Ok)
    }

    /// Adds a consumer.
    ///
    /// # Errors
    /// [`StreamError::StreamNotFound`], [`StreamError::ConsumerExists`], [`StreamError::TooManyConsumers`],
    /// [`StreamError::TooManyTags`], [`StreamError::Storage`].
    pub fn add_consumer<'a>(
        &'a self,
        stream: &'a str,
        consumer: &'a str,
        tags: BTreeMap<String, String>,
    ) -> BoxFuture<'a, Result<StreamConsumer, StreamError>> {
        Box::pin(async move {
            let made = StreamConsumer { name: consumer.to_owned(), created: self.clock.now(), tags, policy: None };
            self.change(stream, |definition| {
                let stream = || stream.to_owned();
                if definition.consumers.iter().any(|found| found.name == consumer) {
                    return Err(StreamError::ConsumerExists { stream: stream(), consumer: consumer.to_owned() });
                }
                if definition.consumers.len() >= CONSUMERS_MAX {
                    return Err(StreamError::TooManyConsumers { stream: stream(), max: CONSUMERS_MAX });
                }
                check_tags(&definition.name, &made.tags)?;
                definition.consumers.push(made.clone());
                Ok(())
            })
            .await?;
            Ok(made)
        })
    }

    /// Removes a consumer.
    ///
    /// # Errors
    /// [`StreamError::StreamNotFound`], [`StreamError::ConsumerNotFound`], [`StreamError::Storage`].
    pub fn remove_consumer<'a>(&'a self, stream: &'a str, consumer: &'a str) -> BoxFuture<'a, Result<(), StreamError>> {
        Box::pin(async move {
            self.change(stream, |definition| {
                let there = definition.consumers.len();
                definition.consumers.retain(|found| found.name != consumer);
                if definition.consumers.len() == there {
                    return Err(no_consumer(stream, consumer));
                }
                Ok(())
            })
            .await
        })
    }

    /// Changes a consumer's labels or policy.
    ///
    /// # Errors
    /// [`StreamError::StreamNotFound`], [`StreamError::ConsumerNotFound`], [`StreamError::TooManyTags`],
    /// [`StreamError::Storage`].
    pub async fn change_consumer(
        &self,
        stream: &str,
        consumer: &str,
        change: impl FnOnce(&mut StreamConsumer),
    ) -> Result<(), StreamError> {
        self.change(stream, |definition| {
            let found = definition.consumers.iter_mut().find(|found| found.name == consumer);
            let found = found.ok_or_else(|| no_consumer(stream, consumer))?;
            change(found);
            check_tags(stream, &found.tags)
        })
        .await
    }
}

fn no_consumer(stream: &str, consumer: &str) -> StreamError {
    StreamError::ConsumerNotFound { stream: stream.to_owned(), consumer: consumer.to_owned() }
}

/// Labels within their limit.
pub(super) fn check_tags(stream: &str, tags: &BTreeMap<String, String>) -> Result<(), StreamError> {
    if tags.len() > TAGS_MAX {
        return Err(StreamError::TooManyTags { stream: stream.to_owned(), max: TAGS_MAX });
    }
    Ok(())
}
