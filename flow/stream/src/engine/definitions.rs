//! Streams themselves: made, changed, removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::{CapacityMode, HashKeyRange, ShardDefinition, StreamDefinition, StreamOwner, StreamSettings};
use millstream_storage::{Transaction, to_the_end};
use millstream_types::{BoxFuture, LogId};
use tokio::sync::OwnedMutexGuard;

use super::Streams;
use super::settings::check_tags;
use crate::error::StreamError;
use crate::hash_key;

/// Shards that one stream may have: the service's own default quota in its largest regions.
pub const SHARDS_MAX: u32 = 500;

/// Shards that all streams of users may have together: the service's largest default quota of a region.
pub const SHARDS_ALL_MAX: u32 = 20_000;

/// Labels that one stream may have: the service's quota.
pub const TAGS_MAX: usize = 50;

/// What a stream is made from.
#[derive(Debug, Clone)]
pub struct NewStream {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub owner: StreamOwner,
    /// 1 to [`SHARDS_MAX`].
    pub shards: u32,
    /// How long records stay.
    pub retention_hours: u32,
}

impl Streams {
    /// Makes a provisioned stream without labels.
    ///
    /// # Errors
    /// As [`Streams::create_with`].
    pub fn create(&self, new: NewStream) -> BoxFuture<'_, Result<Arc<StreamDefinition>, StreamError>> {
        Box::pin(async move {
            self.create_with(new, CapacityMode::Provisioned, BTreeMap::new(), StreamSettings::default()).await
        })
    }

    /// Makes a stream.
    ///
    /// # Errors
    /// [`StreamError::StreamExists`], [`StreamError::ShardCount`], [`StreamError::ShardsInAll`],
    /// [`StreamError::TooManyTags`], [`StreamError::Storage`].
    pub fn create_with(
        &self,
        new: NewStream,
        capacity: CapacityMode,
        tags: BTreeMap<String, String>,
        settings: StreamSettings,
    ) -> BoxFuture<'_, Result<Arc<StreamDefinition>, StreamError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            check_tags(&new.name, &tags)?;
            if new.shards == 0 || new.shards > SHARDS_MAX {
                return Err(StreamError::ShardCount { found: new.shards, max: SHARDS_MAX });
            }
            if self.catalog.streams.get(&new.name).is_some() {
                return Err(StreamError::StreamExists { stream: new.name });
            }
            if new.owner == StreamOwner::User {
                self.check_shards_in_all(new.shards)?;
            }
            let definition = StreamDefinition {
                name: new.name,
                owner: new.owner,
                created: self.clock.now(),
                retention_hours: new.retention_hours,
                shards: Vec::new(),
                tags,
                capacity,
                scaled: Vec::new(),
                consumers: Vec::new(),
                settings,
            };
            let streams = self.clone();
            to_the_end(async move {
                let _turn = turn;
                let definition = streams.divided(definition, new.shards).await?;
                Ok(streams.catalog.streams.create(definition).await?)
            })
            .await
        })
    }

    /// Removes a stream and its records.
    ///
    /// # Errors
    /// [`StreamError::StreamNotFound`], [`StreamError::Storage`].
    pub fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), StreamError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let (stream, streams) = (self.get(name)?, self.clone());
            to_the_end(async move {
                let _turn = turn;
                let mut transaction = Transaction::new();
                for shard in &stream.shards {
                    transaction.drop_log(shard.log());
                }
                streams.catalog.streams.delete(&stream.name, transaction).await?;
                streams.gate.open(stream.shards.iter().map(ShardDefinition::log));
                Ok(())
            })
            .await
        })
    }

    /// Changes how long records stay and how many bytes of each shard do, 0 for as many as come; `None`: as it is.
    ///
    /// # Errors
    /// [`StreamError::StreamNotFound`], [`StreamError::Storage`].
    pub fn set_kept<'a>(
        &'a self,
        name: &'a str,
        hours: Option<u32>,
        bytes: Option<u64>,
    ) -> BoxFuture<'a, Result<(), StreamError>> {
        Box::pin(async move {
            self.change(name, |definition| {
                definition.retention_hours = hours.unwrap_or(definition.retention_hours);
                definition.settings.retention_bytes = definition.settings.with_retention_bytes(bytes);
                Ok(())
            })
            .await
        })
    }

    /// Gives a stream more shards, `shards` in all with closed ones. What is there stays where it is; the ranges of partition
    /// keys are divided anew among all that are open, so that a key may come to another shard than before.
    ///
    /// # Errors
    /// [`StreamError::StreamNotFound`]; [`StreamError::ShardCount`] for no more than there are, or too many;
    /// [`StreamError::ShardsInAll`], [`StreamError::Storage`].
    pub fn add_shards<'a>(&'a self, name: &'a str, shards: u32) -> BoxFuture<'a, Result<(), StreamError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let definition = (*self.get(name)?).clone();
            let there = definition.numbers();
            if shards <= there || shards > SHARDS_MAX {
                return Err(StreamError::ShardCount { found: shards, max: SHARDS_MAX });
            }
            if definition.owner == StreamOwner::User {
                self.check_shards_in_all(shards - there)?;
            }
            let streams = self.clone();
            to_the_end(async move {
                let _turn = turn;
                let definition = streams.divided(definition, shards).await?;
                streams.catalog.streams.put(definition).await?;
                Ok(())
            })
            .await
        })
    }

    /// Adds labels, or changes them.
    ///
    /// # Errors
    /// [`StreamError::StreamNotFound`], [`StreamError::TooManyTags`], [`StreamError::Storage`].
    pub fn add_tags<'a>(
        &'a self,
        name: &'a str,
        tags: BTreeMap<String, String>,
    ) -> BoxFuture<'a, Result<(), StreamError>> {
        Box::pin(async move {
            self.change(name, |definition| {
                definition.tags.extend(tags);
                check_tags(name, &definition.tags)
            })
            .await
        })
    }

    /// Removes labels; no error for those that are not there.
    ///
    /// # Errors
    /// [`StreamError::StreamNotFound`], [`StreamError::Storage`].
    pub fn remove_tags<'a>(&'a self, name: &'a str, keys: &'a [String]) -> BoxFuture<'a, Result<(), StreamError>> {
        Box::pin(async move {
            self.change(name, |definition| {
                definition.tags.retain(|key, _| !keys.contains(key));
                Ok(())
            })
            .await
        })
    }

    pub(super) async fn change(
        &self,
        name: &str,
        change: impl FnOnce(&mut StreamDefinition) -> Result<(), StreamError>,
    ) -> Result<(), StreamError> {
        let turn = self.turn().await;
        let mut definition = (*self.get(name)?).clone();
        change(&mut definition)?;
        let streams = self.clone();
        to_the_end(async move {
            let _turn = turn;
            streams.catalog.streams.put(definition).await?;
            Ok(())
        })
        .await
    }

    /// Waits for the turn to change definitions.
    pub(super) async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.changing).lock_owned().await
    }

    /// A definition with `shards` shards: those that are new get logs, and the ranges of keys are divided among the open ones.
    async fn divided(&self, mut definition: StreamDefinition, shards: u32) -> Result<StreamDefinition, StreamError> {
        let first = definition.numbers();
        let new = shards.saturating_sub(first);
        let first_log = self.catalog.next_ids(u64::from(new)).await?;
        let unset = HashKeyRange { start: 0, end: u128::MAX };
        definition.shards.extend((first..first + new).zip(first_log..).map(|(index, log)| ShardDefinition {
            // The first ones are opened with their stream.
            opened: (first > 0).then(|| self.clock.now()),
            ..ShardDefinition::first(index, LogId(log), unset)
        }));
        let open: Vec<&mut ShardDefinition> = definition.shards.iter_mut().filter(|shard| shard.is_open()).collect();
        for (range, shard) in hash_key::even_ranges(open.len() as u32).into_iter().zip(open) {
            shard.hash_keys = range;
        }
        Ok(definition)
    }

    pub(super) fn check_shards_in_all(&self, wanted: u32) -> Result<(), StreamError> {
        let streams = self.list();
        let users = streams.iter().filter(|stream| stream.owner == StreamOwner::User);
        let there: usize = users.map(|stream| stream.open_shards().count()).sum();
        if there + wanted as usize > SHARDS_ALL_MAX as usize {
            return Err(StreamError::ShardsInAll { there, wanted, max: SHARDS_ALL_MAX });
        }
        Ok(())
    }
}
