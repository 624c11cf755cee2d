//! The operations on delivery streams.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use millstream_catalog::{
    Catalog, DeliverySource, DeliveryStreamDefinition, ObjectDestination, ShardDefinition, StreamDefinition,
    StreamOwner,
};
use millstream_insight::Insight;
use millstream_object::Objects;
use millstream_storage::{Storage, Transaction, to_the_end};
use millstream_stream::{Entry, NewStream, Placement, StreamError, Streams};
use millstream_types::{BoxFuture, CheckRole, Clock};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::DeliveryError;
use crate::naming::Naming;
use crate::plan::{Progress, ProgressStore};
use crate::task::{Task, off_worker};

/// How long records of a direct-put delivery stream stay readable: the service keeps them for a day when its
/// destination is unavailable, and queries over them may begin at the oldest.
const DIRECT_PUT_RETENTION_HOURS: u32 = 24;

/// Labels that one delivery stream may have: the service's quota.
const TAGS_MAX: usize = 50;

/// What a delivery stream is made from.
#[derive(Debug, Clone)]
pub struct NewDeliveryStream {
    /// Its name.
    pub name: String,
    /// Where records come from.
    pub source: DeliverySource,
    /// The role that the maker named for reading the source.
    pub source_role: String,
    /// Where objects go.
    pub destination: ObjectDestination,
    /// Labels.
    pub tags: BTreeMap<String, String>,
}

/// How a delivery stream is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryStatus {
    /// Objects written since the node started.
    pub objects: u64,
    /// The last of them.
    pub last_object: Option<String>,
    /// Why the last attempt failed; `None` once one succeeds.
    pub last_error: Option<String>,
    /// Records that were removed from the source before they could be delivered, since the node started.
    pub expired: u64,
}

#[derive(Default)]
pub(crate) struct Status(Mutex<DeliveryStatus>);

impl Status {
    fn lock(&self) -> MutexGuard<'_, DeliveryStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn fail(&self, error: String) {
        self.lock().last_error = Some(error);
    }

    pub(crate) fn expired(&self, records: u64) {
        self.lock().expired += records;
    }

    pub(crate) fn wrote(&self, object: &str) {
        let mut status = self.lock();
        status.objects += 1;
        status.last_object = Some(object.to_owned());
        status.last_error = None;
    }
}

/// The delivery engine. Cheap to clone.
#[derive(Clone)]
pub struct Deliveries {
    shared: Arc<Shared>,
}

struct Shared {
    storage: Storage,
    catalog: Catalog,
    streams: Streams,
    insight: Insight,
    clock: Arc<dyn Clock>,
    objects: Objects,
    roles: Option<Arc<dyn CheckRole>>,
    /// What runs on after a request: its tasks compute for long, and belong to nobody's connection.
    runtime: Handle,
    running: Mutex<HashMap<String, Running>>,
    /// Making, changing and removing take turns: each is several steps that belong together.
    changing: Arc<tokio::sync::Mutex<()>>,
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    status: Arc<Status>,
}

impl Deliveries {
    /// Starts the engine with all delivery streams of the catalog; `roles` is asked what the roles allow that their makers
    /// named, `None`: nobody is. Needs a tokio runtime.
    #[must_use]
    pub fn start(
        objects: Objects,
        roles: Option<Arc<dyn CheckRole>>,
        storage: Storage,
        catalog: Catalog,
        streams: Streams,
        insight: Insight,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (running, changing) = (Mutex::default(), Arc::default());
        let runtime = Handle::current();
        let shared = Shared { storage, catalog, streams, insight, clock, objects, roles, runtime, running, changing };
        let engine = Self { shared: Arc::new(shared) };
        engine.list().into_iter().for_each(|definition| engine.run(definition));
        engine
    }

    /// Makes a delivery stream. One that reads a stream begins with the records that come from now on.
    ///
    /// # Errors
    /// [`DeliveryError::Exists`], [`DeliveryError::BadBucket`], [`DeliveryError::BadNaming`], [`DeliveryError::TooManyTags`];
    /// [`DeliveryError::Stream`] when its source does not exist.
    pub fn create(
        &self,
        new: NewDeliveryStream,
    ) -> BoxFuture<'_, Result<Arc<DeliveryStreamDefinition>, DeliveryError>> {
        Box::pin(async move {
            let engine = self.clone();
            to_the_end(async move { engine.create_now(new).await }).await
        })
    }

    async fn create_now(&self, new: NewDeliveryStream) -> Result<Arc<DeliveryStreamDefinition>, DeliveryError> {
        let _turn = self.shared.changing.lock().await;
        if self.shared.catalog.delivery_streams.get(&new.name).is_some() {
            return Err(DeliveryError::Exists { name: new.name });
        }
        let definition = DeliveryStreamDefinition {
            name: new.name,
            created: self.shared.clock.now(),
            source: new.source,
            source_role: new.source_role,
            destination: new.destination,
            version: 1,
            modified: None,
            tags: new.tags,
        };
        check(&definition).await?;
        let source = match &definition.source {
            DeliverySource::DirectPut => self.make_own_stream(&definition.source_stream()).await?,
            DeliverySource::Stream { name } => self.shared.streams.get(name)?,
        };
        // Durable before the definition: a delivery stream never begins anywhere else, not even after a crash in between.
        let end = |shard: &ShardDefinition| (shard.log, self.shared.streams.bounds(shard.log()).next);
        let progress = Progress { positions: source.shards.iter().map(end).collect(), writing: None };
        ProgressStore::new(&self.shared.storage, &definition.name).save(&progress).await?;
        let definition = self.shared.catalog.delivery_streams.create(definition).await?;
        self.run(Arc::clone(&definition));
        Ok(definition)
    }

    /// A stream that lies there is what a crash left of an unfinished creation or removal: nobody was told of its records,
    /// or they were to go.
    async fn make_own_stream(&self, name: &str) -> Result<Arc<StreamDefinition>, DeliveryError> {
        if self.shared.streams.get(name).is_ok() {
            self.shared.streams.delete(name).await?;
        }
        let new = NewStream {
            name: name.to_owned(),
            owner: StreamOwner::DeliveryStream,
            shards: 1,
            retention_hours: DIRECT_PUT_RETENTION_HOURS,
        };
        Ok(self.shared.streams.create(new).await?)
    }

    /// Changes where objects go, of what is buffered too. `expected` is the version that is to be changed, `None` any.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`], [`DeliveryError::Changed`], [`DeliveryError::BadBucket`], [`DeliveryError::BadNaming`].
    pub fn update<'a>(
        &'a self,
        name: &'a str,
        destination: ObjectDestination,
        expected: Option<u32>,
    ) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let (engine, name) = (self.clone(), name.to_owned());
            to_the_end(async move { engine.update_now(&name, destination, expected).await }).await
        })
    }

    async fn update_now(
        &self,
        name: &str,
        destination: ObjectDestination,
        expected: Option<u32>,
    ) -> Result<(), DeliveryError> {
        let _turn = self.shared.changing.lock().await;
        let mut definition = (*self.get(name)?).clone();
        if let Some(expected) = expected.filter(|expected| *expected != definition.version) {
            return Err(DeliveryError::Changed { name: definition.name, version: definition.version, expected });
        }
        definition.destination = destination;
        definition.version += 1;
        definition.modified = Some(self.shared.clock.now());
        check(&definition).await?;
        let definition = self.shared.catalog.delivery_streams.put(definition).await?;
        self.halt(name).await;
        let decided_anew = self.decide_anew(name).await;
        self.run(definition);
        decided_anew
    }

    /// Forgets the object under way, so that its records go to the new destination: the old one may be the reason why it
    /// could not be written. If it had just been written, its records are delivered twice, but never lost.
    async fn decide_anew(&self, name: &str) -> Result<(), DeliveryError> {
        let store = ProgressStore::new(&self.shared.storage, name);
        let mut progress = store.load().await?;
        if progress.writing.take().is_some() {
            store.save(&progress).await?;
        }
        Ok(())
    }

    /// Changes a delivery stream's labels.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`], [`DeliveryError::TooManyTags`].
    pub async fn change_tags(
        &self,
        name: &str,
        change: impl FnOnce(&mut BTreeMap<String, String>),
    ) -> Result<(), DeliveryError> {
        let turn = Arc::clone(&self.shared.changing).lock_owned().await;
        let mut definition = (*self.get(name)?).clone();
        change(&mut definition.tags);
        check_tags(&definition)?;
        let engine = self.clone();
        to_the_end(async move {
            let _turn = turn;
            engine.shared.catalog.delivery_streams.put(definition).await?;
            Ok(())
        })
        .await
    }

    /// Removes a delivery stream with what it has not delivered. An object that is being written then may still appear,
    /// whole.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`].
    pub fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), DeliveryError>> {
        Box::pin(async move {
            let (engine, name) = (self.clone(), name.to_owned());
            to_the_end(async move { engine.delete_now(&name).await }).await
        })
    }

    async fn delete_now(&self, name: &str) -> Result<(), DeliveryError> {
        let _turn = self.shared.changing.lock().await;
        let definition = self.get(name)?;
        let mut transaction = Transaction::new();
        ProgressStore::new(&self.shared.storage, name).remove(&mut transaction);
        self.halt(name).await;
        if let Err(error) = self.shared.catalog.delivery_streams.delete(name, transaction).await {
            self.run(definition);
            return Err(error.into());
        }
        if definition.source == DeliverySource::DirectPut {
            self.shared.streams.delete(&definition.source_stream()).await?;
        }
        Ok(())
    }

    /// A delivery stream's definition.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`].
    pub fn get(&self, name: &str) -> Result<Arc<DeliveryStreamDefinition>, DeliveryError> {
        Ok(self.shared.catalog.delivery_streams.require(name)?)
    }

    /// All delivery streams in the order of their names.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<DeliveryStreamDefinition>> {
        self.shared.catalog.delivery_streams.list()
    }

    /// How a delivery stream is doing; `None` when there is none.
    #[must_use]
    pub fn status(&self, name: &str) -> Option<DeliveryStatus> {
        self.running().get(name).map(|running| running.status.lock().clone())
    }

    /// Puts records: durable when this returns, in their order.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`], [`DeliveryError::ReadsStream`], [`DeliveryError::Stream`].
    pub fn put<'a>(
        &'a self,
        name: &'a str,
        records: Vec<Bytes>,
    ) -> BoxFuture<'a, Result<Vec<Placement>, DeliveryError>> {
        Box::pin(async move {
            let definition = self.get(name)?;
            if let DeliverySource::Stream { name: stream } = &definition.source {
                return Err(DeliveryError::ReadsStream { name: name.to_owned(), stream: stream.clone() });
            }
            let entry =
                |data| Entry { partition_key: Bytes::new(), explicit_hash_key: None, headers: Bytes::new(), data };
            let entries: Vec<Entry> = records.into_iter().map(entry).collect();
            let put = self.shared.streams.put(&definition.source_stream(), &entries).await;
            let placements = put.map_err(|error| match error {
                // It was removed in the meantime.
                StreamError::StreamNotFound { .. } => DeliveryError::NotFound { name: name.to_owned() },
                other => DeliveryError::Stream(other),
            })?;
            let subject = format!("delivery/{name}");
            self.shared.insight.metrics.counter("records_in", &subject).add(entries.len() as u64);
            let bytes = entries.iter().map(|entry| entry.data.len() as u64).sum();
            self.shared.insight.metrics.counter("bytes_in", &subject).add(bytes);
            Ok(placements)
        })
    }

    /// Stops all deliveries; each goes on at its next start.
    pub fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let names: Vec<String> = self.running().keys().cloned().collect();
            for name in names {
                self.halt(&name).await;
            }
        })
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.shared.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, definition: Arc<DeliveryStreamDefinition>) {
        let status = Arc::new(Status::default());
        let name = definition.name.clone();
        let task = Task {
            progress: ProgressStore::new(&self.shared.storage, &name),
            streams: self.shared.streams.clone(),
            objects: self.shared.objects.clone(),
            insight: self.shared.insight.clone(),
            clock: Arc::clone(&self.shared.clock),
            status: Arc::clone(&status),
            roles: self.shared.roles.clone(),
            definition,
        };
        let (stop, stopped) = watch::channel(false);
        let task = self.shared.runtime.spawn(task.run(stopped));
        self.running().insert(name, Running { stop, task, status });
    }

    async fn halt(&self, name: &str) {
        let running = self.running().remove(name);
        if let Some(running) = running {
            let _ = running.stop.send(true);
            let _ = running.task.await;
        }
    }
}

fn check_tags(definition: &DeliveryStreamDefinition) -> Result<(), DeliveryError> {
    if definition.tags.len() > TAGS_MAX {
        return Err(DeliveryError::TooManyTags { name: definition.name.clone(), max: TAGS_MAX });
    }
    Ok(())
}

/// Whether objects can go where a definition says.
async fn check(definition: &DeliveryStreamDefinition) -> Result<(), DeliveryError> {
    check_bucket(&definition.destination.bucket)?;
    check_tags(definition)?;
    let definition = definition.clone();
    off_worker(move || Naming::of(&definition)).await??;
    Ok(())
}

fn check_bucket(bucket: &str) -> Result<(), DeliveryError> {
    millstream_object::check_bucket(bucket).map_err(|_| DeliveryError::BadBucket { bucket: bucket.to_owned() })
}
