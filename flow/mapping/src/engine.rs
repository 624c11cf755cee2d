//! The operations on event source mappings.
//!
//! A definition says what is wanted; each mapping has a task that follows it (`supervisor.rs`). So a change is answered when it
//! is durable, and shows itself as under way until what the function has begun is ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_catalog::{
    Catalog, EventSource, EventSourceMappingDefinition, MappingSettings, MappingStart, MappingState,
};
use millstream_insight::Insight;
use millstream_storage::{Storage, Transaction, to_the_end};
use millstream_stream::Streams;
use millstream_types::{BoxFuture, Clock, LogId};
use tokio::runtime::Handle;
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::task::JoinHandle;

use crate::check::{check, check_new, check_unique, source_stream};
use crate::codec::Filter;
use crate::error::MappingError;
use crate::progress::ProgressStore;
use crate::status::{LastResult, MappingView, Phase, Status};
use crate::supervisor;
use crate::work::{Options, Outside};

/// How long invocations under way may take to end once the node stops; their batches come again else.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// What a mapping is made from.
#[derive(Debug, Clone)]
pub struct NewMapping {
    /// Where records come from.
    pub source: EventSource,
    /// The function that gets them.
    pub function: String,
    /// Where to begin; a stream needs it, a queue has none.
    pub start: Option<MappingStart>,
    /// Whether it runs from the beginning.
    pub enabled: bool,
    /// How batches are made and failures treated.
    pub settings: MappingSettings,
}

/// The mapping engine. Cheap to clone.
#[derive(Clone)]
pub struct Mappings {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) outside: Outside,
    pub(crate) storage: Storage,
    pub(crate) catalog: Catalog,
    pub(crate) streams: Streams,
    pub(crate) insight: Insight,
    pub(crate) clock: Arc<dyn Clock>,
    /// Making, changing and removing take turns, each to its end.
    changing: Arc<tokio::sync::Mutex<()>>,
    /// What runs on after a request: its tasks compute for long, and belong to nobody's connection.
    runtime: Handle,
    /// By id.
    running: Mutex<HashMap<String, Running>>,
}

struct Running {
    definition: watch::Sender<Arc<EventSourceMappingDefinition>>,
    task: JoinHandle<()>,
    status: Arc<Status>,
}

impl Mappings {
    /// Starts the engine with all mappings of the catalog. Needs a tokio runtime.
    #[must_use]
    pub fn start(
        options: Options,
        outside: Outside,
        storage: Storage,
        catalog: Catalog,
        streams: Streams,
        insight: Insight,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (changing, running) = Default::default();
        let runtime = Handle::current();
        let shared = Shared { options, outside, storage, catalog, streams, insight, clock, changing, runtime, running };
        let engine = Self { shared: Arc::new(shared) };
        for definition in engine.shared.catalog.event_source_mappings.list() {
            engine.run(definition, Phase::Enabling);
        }
        engine
    }

    /// Makes a mapping; durable with the place where it begins when this returns.
    ///
    /// # Errors
    /// [`MappingError::Exists`] for a second one of the same source and function; what is not there or not within its
    /// limits; [`MappingError::Storage`].
    pub fn create(&self, new: NewMapping) -> BoxFuture<'_, Result<MappingView, MappingError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let now = self.shared.clock.now();
            let definition = EventSourceMappingDefinition {
                id: uuid::Uuid::new_v4().to_string(),
                source: new.source,
                function: new.function,
                start: new.start,
                created: now,
                modified: now,
                state: if new.enabled { MappingState::Enabled } else { MappingState::Disabled },
                settings: new.settings,
            };
            check(&self.shared.catalog, &definition)?;
            self.shared.filter(&definition)?;
            let begin = self.shared.begin(&definition).await?;
            check_new(&self.shared.catalog, &definition)?;
            let mappings = self.clone();
            to_the_end(async move {
                let (_turn, shared) = (turn, &mappings.shared);
                ProgressStore::new(&shared.storage, &definition.id).begin(&begin).await?;
                let definition = shared.catalog.event_source_mappings.create(definition).await?;
                mappings.run(Arc::clone(&definition), Phase::Creating);
                Ok(MappingView { definition, phase: Phase::Creating, last: LastResult::None, lag: None })
            })
            .await
        })
    }

    /// A mapping and how it is doing.
    ///
    /// # Errors
    /// [`MappingError::NotFound`].
    pub fn get(&self, id: &str) -> Result<MappingView, MappingError> {
        let definition = self.shared.catalog.event_source_mappings.require(id)?;
        Ok(self.view(definition))
    }

    /// All mappings in the order of their ids.
    #[must_use]
    pub fn list(&self) -> Vec<MappingView> {
        let all = self.shared.catalog.event_source_mappings.list();
        all.into_iter().map(|definition| self.view(definition)).collect()
    }

    /// Changes a mapping: all but its id, its source and where it began. Invocations under way end as they began. `change`
    /// sees the mapping as it is, and no other change comes between; what it refuses changes nothing.
    ///
    /// # Errors
    /// What `change` refuses; [`MappingError::NotFound`], [`MappingError::Deleting`], and as [`Mappings::create`].
    pub async fn update<E: From<MappingError>>(
        &self,
        id: &str,
        change: impl FnOnce(&mut EventSourceMappingDefinition) -> Result<(), E>,
    ) -> Result<MappingView, E> {
        let turn = self.turn().await;
        let before = self.changeable(id)?;
        let mut definition = (*before).clone();
        change(&mut definition)?;
        check(&self.shared.catalog, &definition)?;
        self.shared.filter(&definition)?;
        check_unique(&self.shared.catalog, &definition)?;
        let phase = match (before.state, definition.state) {
            (MappingState::Disabled, MappingState::Enabled) => Phase::Enabling,
            (MappingState::Enabled, MappingState::Disabled) => Phase::Disabling,
            _ => Phase::Updating,
        };
        Ok(self.put(turn, definition, phase).await?)
    }

    /// Removes a mapping: at once for who asks, after what the function has begun in truth.
    ///
    /// # Errors
    /// [`MappingError::NotFound`], [`MappingError::Deleting`], [`MappingError::Storage`].
    pub fn delete<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<MappingView, MappingError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let mut definition = (*self.changeable(id)?).clone();
            definition.state = MappingState::Deleting;
            self.put(turn, definition, Phase::Deleting).await
        })
    }

    /// Stops all mappings; each goes on at its next start.
    pub fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let running: Vec<Running> = self.running().drain().map(|(_, running)| running).collect();
            let ends = running.into_iter().map(|Running { definition, task, .. }| {
                drop(definition);
                let abort = task.abort_handle();
                (task, abort)
            });
            let deadline = tokio::time::Instant::now() + STOP_WAIT;
            for (task, abort) in ends.collect::<Vec<_>>() {
                if tokio::time::timeout_at(deadline, task).await.is_err() {
                    abort.abort();
                }
            }
        })
    }

    /// The turn to make, change or remove; it goes along with the change to its end, whatever becomes of the caller.
    async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.shared.changing).lock_owned().await
    }

    fn running(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.shared.running()
    }

    fn changeable(&self, id: &str) -> Result<Arc<EventSourceMappingDefinition>, MappingError> {
        let definition = self.shared.catalog.event_source_mappings.require(id)?;
        match definition.state {
            MappingState::Deleting => Err(MappingError::Deleting { id: id.to_owned() }),
            MappingState::Enabled | MappingState::Disabled => Ok(definition),
        }
    }

    async fn put(
        &self,
        turn: OwnedMutexGuard<()>,
        mut definition: EventSourceMappingDefinition,
        phase: Phase,
    ) -> Result<MappingView, MappingError> {
        definition.modified = self.shared.clock.now();
        let mappings = self.clone();
        to_the_end(async move {
            let _turn = turn;
            let definition = mappings.shared.catalog.event_source_mappings.put(definition).await?;
            let mut last = LastResult::None;
            if let Some(running) = mappings.running().get(&definition.id) {
                last = running.status.last();
                running.status.set_phase(phase);
                let _ = running.definition.send(Arc::clone(&definition));
            }
            Ok(MappingView { definition, phase, last, lag: None })
        })
        .await
    }

    fn view(&self, definition: Arc<EventSourceMappingDefinition>) -> MappingView {
        let Some(status) = self.running().get(&definition.id).map(|running| Arc::clone(&running.status)) else {
            return MappingView { definition, phase: Phase::Deleting, last: LastResult::None, lag: None };
        };
        let lag = status.lag(&self.shared.streams, self.shared.clock.now());
        MappingView { definition, phase: status.phase(), last: status.last(), lag }
    }

    fn run(&self, definition: Arc<EventSourceMappingDefinition>, phase: Phase) {
        let id = definition.id.clone();
        let status = Arc::new(Status::new(phase));
        let (sender, receiver) = watch::channel(definition);
        // Held while it starts, so that a task which ends at once finds itself here.
        let mut running = self.running();
        let task = self.shared.runtime.spawn(supervisor::run(Arc::clone(&self.shared), Arc::clone(&status), receiver));
        running.insert(id, Running { definition: sender, task, status });
    }
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, HashMap<String, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What lets records through to a mapping's function; `None`: all of them.
    pub(crate) fn filter(&self, definition: &EventSourceMappingDefinition) -> Result<Option<Filter>, MappingError> {
        let patterns = &definition.settings.filters;
        if patterns.is_empty() {
            return Ok(None);
        }
        let filter = self.outside.codec.filter(&definition.source, patterns);
        filter.map(Some).map_err(|reason| MappingError::Filter { reason })
    }

    /// With which record of each shard a new mapping begins.
    async fn begin(&self, definition: &EventSourceMappingDefinition) -> Result<Vec<(LogId, u64)>, MappingError> {
        if let EventSource::Queue { .. } = definition.source {
            return match definition.start {
                Some(_) => Err(MappingError::NotForSource { setting: "a starting position", source_kind: "queue" }),
                None => Ok(Vec::new()),
            };
        }
        let start = definition.start.ok_or(MappingError::NoStart)?;
        let stream = source_stream(&self.catalog, &definition.source)?;
        let mut begin = Vec::with_capacity(stream.shards.len());
        for shard in &stream.shards {
            let bounds = self.streams.bounds(shard.log());
            let position = match start {
                MappingStart::Latest => bounds.next,
                MappingStart::TrimHorizon => bounds.first,
                MappingStart::AtTime(time) if time > self.clock.now() => return Err(MappingError::StartInFuture),
                MappingStart::AtTime(time) => self.streams.offset_at_time(shard.log(), time).await?,
            };
            begin.push((shard.log(), position));
        }
        Ok(begin)
    }

    /// Removes a mapping with its places.
    pub(crate) async fn remove(&self, id: &str) -> Result<(), MappingError> {
        let mut transaction = Transaction::new();
        ProgressStore::new(&self.storage, id).remove(&mut transaction, None).await?;
        match self.catalog.event_source_mappings.delete(id, transaction).await {
            Ok(_) | Err(millstream_catalog::CatalogError::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.running().remove(id);
        Ok(())
    }
}
