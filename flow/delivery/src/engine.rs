//! The operations on delivery streams.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use millstream_catalog::{Catalog, DeliverySource, DeliveryStreamDefinition, ObjectDestination, StreamOwner};
use millstream_insight::Insight;
use millstream_object::Objects;
use millstream_storage::{Storage, Transaction};
use millstream_stream::{Entry, NewStream, Placement, Streams};
use millstream_types::Clock;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::DeliveryError;
use crate::plan::ProgressStore;
use crate::task::Task;

/// How long records of a direct-put delivery stream stay readable: the service keeps them for a day when its
/// destination is unavailable, and queries over them may begin at the oldest.
const DIRECT_PUT_RETENTION_HOURS: u32 = 24;

/// What a delivery stream is made from.
#[derive(Debug, Clone)]
pub struct NewDeliveryStream {
    /// Its name.
    pub name: String,
    /// Where records come from.
    pub source: DeliverySource,
    /// Where objects go.
    pub destination: ObjectDestination,
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
    running: Mutex<HashMap<String, Running>>,
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
    status: Arc<Status>,
}

impl Deliveries {
    /// Starts the engine with all delivery streams of the catalog. Needs a tokio runtime.
    #[must_use]
    pub fn start(
        objects: Objects,
        storage: Storage,
        catalog: Catalog,
        streams: Streams,
        insight: Insight,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let running = Mutex::default();
        let shared = Shared { storage, catalog, streams, insight, clock, objects, running };
        let engine = Self { shared: Arc::new(shared) };
        for definition in engine.list() {
            if let Err(error) = engine.run(Arc::clone(&definition)) {
                tracing::error!(delivery_stream = %definition.name, %error, "cannot start a delivery stream");
            }
        }
        engine
    }

    /// Makes a delivery stream.
    ///
    /// # Errors
    /// [`DeliveryError::Exists`], [`DeliveryError::BadBucket`]; [`DeliveryError::Stream`] when its source does not exist.
    pub async fn create(&self, new: NewDeliveryStream) -> Result<Arc<DeliveryStreamDefinition>, DeliveryError> {
        check_bucket(&new.destination.bucket)?;
        if self.shared.catalog.delivery_streams.get(&new.name).is_some() {
            return Err(DeliveryError::Exists { name: new.name });
        }
        let definition = DeliveryStreamDefinition {
            name: new.name,
            created: self.shared.clock.now(),
            source: new.source,
            destination: new.destination,
            version: 1,
        };
        let source = definition.source_stream();
        match &definition.source {
            DeliverySource::DirectPut => self.make_own_stream(&source).await?,
            DeliverySource::Stream { name } => {
                self.shared.streams.get(name)?;
            }
        }
        let definition = self.shared.catalog.delivery_streams.create(definition).await?;
        self.run(Arc::clone(&definition))?;
        Ok(definition)
    }

    /// A crash between making the stream and writing the definition leaves the stream: it is taken then.
    async fn make_own_stream(&self, name: &str) -> Result<(), DeliveryError> {
        if self.shared.streams.get(name).is_ok() {
            return Ok(());
        }
        let new = NewStream {
            name: name.to_owned(),
            owner: StreamOwner::DeliveryStream,
            shards: 1,
            retention_hours: DIRECT_PUT_RETENTION_HOURS,
        };
        self.shared.streams.create(new).await?;
        Ok(())
    }

    /// Changes where objects go; the buffer goes on.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`], [`DeliveryError::BadBucket`].
    pub async fn update(&self, name: &str, destination: ObjectDestination) -> Result<(), DeliveryError> {
        check_bucket(&destination.bucket)?;
        let mut definition = (*self.get(name)?).clone();
        definition.destination = destination;
        definition.version += 1;
        let definition = self.shared.catalog.delivery_streams.put(definition).await?;
        self.halt(name).await;
        self.run(definition)
    }

    /// Removes a delivery stream with what it has not delivered.
    ///
    /// # Errors
    /// [`DeliveryError::NotFound`].
    pub async fn delete(&self, name: &str) -> Result<(), DeliveryError> {
        let definition = self.get(name)?;
        self.halt(name).await;
        let mut transaction = Transaction::new();
        ProgressStore::new(&self.shared.storage, name).remove(&mut transaction);
        self.shared.catalog.delivery_streams.delete(name, transaction).await?;
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
    pub async fn put(&self, name: &str, records: Vec<Bytes>) -> Result<Vec<Placement>, DeliveryError> {
        let definition = self.get(name)?;
        if let DeliverySource::Stream { name: stream } = &definition.source {
            return Err(DeliveryError::ReadsStream { name: name.to_owned(), stream: stream.clone() });
        }
        let entry = |data| Entry { partition_key: Bytes::new(), explicit_hash_key: None, headers: Bytes::new(), data };
        let entries: Vec<Entry> = records.into_iter().map(entry).collect();
        let placements = self.shared.streams.put(&definition.source_stream(), &entries).await?;
        let subject = format!("delivery/{name}");
        self.shared.insight.metrics.counter("records_in", &subject).add(entries.len() as u64);
        let bytes = entries.iter().map(|entry| entry.data.len() as u64).sum();
        self.shared.insight.metrics.counter("bytes_in", &subject).add(bytes);
        Ok(placements)
    }

    /// Stops all deliveries; each goes on at its next start.
    pub async fn shutdown(&self) {
        let names: Vec<String> = self.running().keys().cloned().collect();
        for name in names {
            self.halt(&name).await;
        }
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.shared.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, definition: Arc<DeliveryStreamDefinition>) -> Result<(), DeliveryError> {
        let status = Arc::new(Status::default());
        let name = definition.name.clone();
        let task = Task {
            source: self.shared.streams.get(&definition.source_stream())?,
            progress: ProgressStore::new(&self.shared.storage, &name),
            streams: self.shared.streams.clone(),
            objects: self.shared.objects.clone(),
            insight: self.shared.insight.clone(),
            clock: Arc::clone(&self.shared.clock),
            status: Arc::clone(&status),
            definition,
        };
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(task.run(stopped));
        self.running().insert(name, Running { stop, task, status });
        Ok(())
    }

    async fn halt(&self, name: &str) {
        let running = self.running().remove(name);
        if let Some(running) = running {
            let _ = running.stop.send(true);
            let _ = running.task.await;
        }
    }
}

fn check_bucket(bucket: &str) -> Result<(), DeliveryError> {
    millstream_object::check_bucket(bucket).map_err(|_| DeliveryError::BadBucket { bucket: bucket.to_owned() })
}
