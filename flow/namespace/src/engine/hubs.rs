//! Hubs themselves: made, changed, found, removed, each with the stream that holds its records.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::{
    CapacityMode, ConsumerGroupDefinition, HubDefinition, StreamDefinition, StreamOwner, StreamSettings,
};
use millstream_storage::{Transaction, to_the_end};
use millstream_stream::{NewStream, StreamError};
use millstream_types::{BoxFuture, Millis};

use super::{DEFAULT_GROUP, DEFAULT_NAMESPACE, Namespaces, PARTITIONS_MAX};
use crate::error::NamespaceError;
use crate::name;

/// What a hub is made from.
#[derive(Debug, Clone)]
pub struct NewHub {
    /// Its name.
    pub name: String,
    /// 1 to [`PARTITIONS_MAX`].
    pub partitions: u32,
    /// How long records stay.
    pub retention_hours: u32,
    /// Bytes that each partition keeps, 0 for no limit; `None`: as it is.
    pub retention_bytes: Option<u64>,
}

impl Namespaces {
    /// Makes a hub and its stream, or changes how long an existing one keeps records; gives whether it was made. A stream
    /// of that name with as many shards becomes the hub's.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`] for the namespace, [`NamespaceError::Name`], [`NamespaceError::PartitionCount`],
    /// [`NamespaceError::PartitionsFixed`], [`NamespaceError::Catalog`], [`NamespaceError::Stream`].
    pub fn put_hub<'a>(
        &'a self,
        namespace: &'a str,
        new: NewHub,
    ) -> BoxFuture<'a, Result<(Arc<HubDefinition>, bool), NamespaceError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            self.check_hub(namespace, &new)?;
            let known = self.hub(namespace, &new.name).ok();
            let (namespaces, namespace) = (self.clone(), namespace.to_owned());
            to_the_end(async move {
                let _turn = turn;
                match known {
                    Some(known) => {
                        namespaces.put_stream(&known.stream, &namespace, &new).await?;
                        Ok((known, false))
                    }
                    None => {
                        namespaces.put_stream(&name::stream_of(&namespace, &new.name), &namespace, &new).await?;
                        Ok((namespaces.define_hub(&namespace, new.name).await?, true))
                    }
                }
            })
            .await
        })
    }

    /// Makes a hub and its stream where there is neither. What is there is left as it is: a hub whose name differs in the
    /// case of letters only, or a stream that is no hub's.
    ///
    /// # Errors
    /// As [`Namespaces::put_hub`]; [`NamespaceError::Exists`].
    pub fn create_hub<'a>(
        &'a self,
        namespace: &'a str,
        new: NewHub,
    ) -> BoxFuture<'a, Result<Arc<HubDefinition>, NamespaceError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            self.check_hub(namespace, &new)?;
            let known = self.hub(namespace, &new.name).ok();
            // A hub whose stream was removed behind its back gets another one.
            if let Some(known) = known.as_ref().filter(|known| known.name != new.name || self.stream(known).is_ok()) {
                return Err(NamespaceError::Exists { kind: "hub", name: known.name.clone() });
            }
            let (namespaces, namespace) = (self.clone(), namespace.to_owned());
            to_the_end(async move {
                let _turn = turn;
                let stream = name::stream_of(&namespace, &new.name);
                namespaces.create_stream(&stream, &namespace, &new).await?;
                match known {
                    Some(known) => Ok(known),
                    None => namespaces.define_hub(&namespace, new.name).await,
                }
            })
            .await
        })
    }

    fn check_hub(&self, namespace: &str, new: &NewHub) -> Result<(), NamespaceError> {
        self.namespace(namespace)?;
        name::check_hub(&new.name)?;
        if new.partitions == 0 || new.partitions > PARTITIONS_MAX {
            return Err(NamespaceError::PartitionCount { found: new.partitions, max: PARTITIONS_MAX });
        }
        Ok(())
    }

    /// Makes the stream of a hub, or checks and adjusts the one that is there.
    async fn put_stream(&self, stream: &str, namespace: &str, new: &NewHub) -> Result<(), NamespaceError> {
        match self.create_stream(stream, namespace, new).await {
            Ok(()) => Ok(()),
            Err(StreamError::StreamExists { .. }) => {
                let found = self.streams.get(stream)?;
                let partitions = found.open_shards().count();
                if partitions != new.partitions as usize {
                    let hub = new.name.clone();
                    return Err(NamespaceError::PartitionsFixed { hub, partitions });
                }
                let there = (found.retention_hours, found.settings.retention_bytes);
                if there != (new.retention_hours, found.settings.with_retention_bytes(new.retention_bytes)) {
                    self.streams.set_kept(stream, Some(new.retention_hours), new.retention_bytes).await?;
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn create_stream(&self, stream: &str, namespace: &str, new: &NewHub) -> Result<(), StreamError> {
        let owner = if namespace == DEFAULT_NAMESPACE { StreamOwner::User } else { StreamOwner::Hub };
        let (shards, retention_hours) = (new.partitions, new.retention_hours);
        let made = NewStream { name: stream.to_owned(), owner, shards, retention_hours };
        let none = StreamSettings::default();
        let settings = StreamSettings { retention_bytes: none.with_retention_bytes(new.retention_bytes), ..none };
        self.streams.create_with(made, CapacityMode::Provisioned, BTreeMap::new(), settings).await.map(drop)
    }

    async fn define_hub(&self, namespace: &str, hub: String) -> Result<Arc<HubDefinition>, NamespaceError> {
        Ok(self.catalog.hubs.create(plain_hub(namespace, hub, self.clock.now())).await?)
    }

    /// Removes a hub with its records.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`], [`NamespaceError::Stream`].
    pub fn delete_hub<'a>(&'a self, namespace: &'a str, hub: &'a str) -> BoxFuture<'a, Result<(), NamespaceError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let (hub, namespaces) = (self.hub(namespace, hub)?, self.clone());
            to_the_end(async move {
                let _turn = turn;
                match namespaces.streams.delete(&hub.stream).await {
                    Ok(()) | Err(StreamError::StreamNotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
                namespaces.catalog.hubs.delete(&hub.id, Transaction::new()).await?;
                Ok(())
            })
            .await
        })
    }

    /// Removes the stream of exactly this name with its records, and the hub whose stream it is, if it is one's. A hub
    /// whose name differs in the case of letters is another one.
    ///
    /// # Errors
    /// [`NamespaceError::Stream`].
    pub fn delete_stream<'a>(&'a self, namespace: &'a str, name: &'a str) -> BoxFuture<'a, Result<(), NamespaceError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let (stream, hub) = (name::stream_of(namespace, name), self.catalog.hubs.get(&hub_id(namespace, name)));
            let namespaces = self.clone();
            to_the_end(async move {
                let _turn = turn;
                namespaces.streams.delete(&stream).await?;
                if let Some(hub) = hub {
                    namespaces.catalog.hubs.delete(&hub.id, Transaction::new()).await?;
                }
                Ok(())
            })
            .await
        })
    }

    /// A hub, its name in any case of letters.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`].
    pub fn hub(&self, namespace: &str, hub: &str) -> Result<Arc<HubDefinition>, NamespaceError> {
        if let Some(found) = self.catalog.hubs.get(&hub_id(namespace, hub)) {
            return Ok(found);
        }
        let all = self.catalog.hubs.list();
        all.into_iter()
            .find(|found| found.namespace == namespace && found.name.eq_ignore_ascii_case(hub))
            .ok_or_else(|| NamespaceError::NotFound { kind: "hub", name: hub.to_owned() })
    }

    /// A hub as clients of its records find it: one that was made, or in the default namespace a user's stream of exactly this
    /// name, as the hub that it is without anything of its own. A hub that was made comes first, in any case of its name: whoever
    /// has a key of it, or has always written its name so, means it.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`].
    pub fn hub_or_stream(&self, namespace: &str, name: &str) -> Result<Arc<HubDefinition>, NamespaceError> {
        let made = self.hub(namespace, name);
        if namespace == DEFAULT_NAMESPACE
            && made.is_err()
            && let Ok(stream) = self.streams.get(name)
            && stream.owner == StreamOwner::User
        {
            return Ok(Arc::new(plain_hub(namespace, name.to_owned(), stream.created)));
        }
        made
    }

    /// A namespace's hubs in the order of their names.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`].
    pub fn hubs(&self, namespace: &str) -> Result<Vec<Arc<HubDefinition>>, NamespaceError> {
        self.namespace(namespace)?;
        Ok(self.catalog.hubs.list().into_iter().filter(|hub| hub.namespace == namespace).collect())
    }

    /// A hub's stream: its shards are the hub's partitions.
    ///
    /// # Errors
    /// [`NamespaceError::Stream`] when it was removed behind the hub's back.
    pub fn stream(&self, hub: &HubDefinition) -> Result<Arc<StreamDefinition>, NamespaceError> {
        Ok(self.streams.get(&hub.stream)?)
    }
}

/// A hub with the one consumer group that every hub has, without policies.
fn plain_hub(namespace: &str, name: String, created: Millis) -> HubDefinition {
    let group = ConsumerGroupDefinition { name: DEFAULT_GROUP.to_owned(), created, metadata: String::new() };
    HubDefinition {
        id: hub_id(namespace, &name),
        namespace: namespace.to_owned(),
        stream: name::stream_of(namespace, &name),
        name,
        created,
        policies: Vec::new(),
        consumer_groups: vec![group],
    }
}

/// What a hub is found by.
fn hub_id(namespace: &str, hub: &str) -> String {
    format!("{namespace}/{hub}")
}
