//! One mapping: follows its definition, and the shards of its stream, and has them worked off.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_catalog::{EventSource, EventSourceMappingDefinition, MappingState, StreamDefinition};
use millstream_storage::Transaction;
use millstream_types::LogId;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

use crate::check::source_stream;
use crate::codec::Origin;
use crate::engine::Shared;
use crate::error::MappingError;
use crate::lane::Lane;
use crate::progress::{ProgressStore, Share};
use crate::queue::Poller;
use crate::status::{LastResult, Phase, Status};
use crate::work::{Work, pause};

/// How often a mapping's age is measured and its shards are looked at.
const TICK: Duration = Duration::from_secs(1);

/// Follows a mapping's definition until it is deleted or nobody holds the other end any more.
pub(crate) async fn run(
    shared: Arc<Shared>,
    status: Arc<Status>,
    mut definition: watch::Receiver<Arc<EventSourceMappingDefinition>>,
) {
    loop {
        let current = definition.borrow_and_update().clone();
        let changed = match current.state {
            MappingState::Deleting => {
                remove(&shared, &current.id).await;
                return;
            }
            MappingState::Disabled => {
                status.set_phase(Phase::Disabled);
                definition.changed().await
            }
            MappingState::Enabled => {
                status.set_phase(Phase::Enabled);
                let (stop, stopped) = watch::channel(false);
                // A set, so that the work goes when this task is ended.
                let mut work = JoinSet::new();
                work.spawn(work_on(Arc::clone(&shared), Arc::clone(&status), current, stopped));
                let changed = definition.changed().await;
                let _ = stop.send(true);
                while work.join_next().await.is_some() {}
                status.forget(None);
                changed
            }
        };
        if changed.is_err() {
            return;
        }
    }
}

async fn work_on(
    shared: Arc<Shared>,
    status: Arc<Status>,
    definition: Arc<EventSourceMappingDefinition>,
    stop: watch::Receiver<bool>,
) {
    let filter = match shared.filter(&definition) {
        Ok(filter) => filter,
        Err(error) => return status.ended(LastResult::Problem(error.to_string())),
    };
    let work = Arc::new(Work {
        progress: ProgressStore::new(&shared.storage, &definition.id),
        filter,
        options: shared.options,
        outside: shared.outside.clone(),
        streams: shared.streams.clone(),
        insight: shared.insight.clone(),
        clock: Arc::clone(&shared.clock),
        status,
        definition,
    });
    match &work.definition.source {
        EventSource::Stream { .. } | EventSource::Table { .. } => {
            Shards { shared, work, running: HashMap::new(), lanes: JoinSet::new(), stop }.run().await
        }
        EventSource::Queue { name } => {
            let queue = name.clone();
            Poller::new(work, queue, stop).run().await;
        }
    }
}

/// The shards of a stream and their lanes.
struct Shards {
    shared: Arc<Shared>,
    work: Arc<Work>,
    running: HashMap<LogId, Vec<AbortHandle>>,
    lanes: JoinSet<()>,
    stop: watch::Receiver<bool>,
}

impl Shards {
    async fn run(mut self) {
        let mut changes = self.shared.catalog.streams.watch();
        let mut stop = self.stop.clone();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            changes.borrow_and_update();
            if let Err(error) = self.follow().await {
                let mapping = &self.work.definition.id;
                tracing::warn!(mapping, %error, "the shards of a mapping cannot be worked off; it is tried again");
                self.work.status.ended(LastResult::Problem(error.to_string()));
                pause(&self.stop, TICK).await;
            }
            tokio::select! {
                _ = stop.wait_for(|stopped| *stopped) => break,
                _ = changes.changed() => {}
                Some(_) = self.lanes.join_next() => {
                    // Lanes end only when they are told to, or by a defect: they begin again.
                    self.running.retain(|_, lanes| lanes.iter().any(|lane| !lane.is_finished()));
                }
                _ = tick.tick() => self.measure(),
            }
        }
        while self.lanes.join_next().await.is_some() {}
    }

    /// Begins with shards that are new and ends with those that are gone.
    async fn follow(&mut self) -> Result<(), MappingError> {
        let stream = match source_stream(&self.shared.catalog, &self.work.definition.source) {
            Ok(stream) => stream,
            Err(error) => {
                self.end_with(&[]).await?;
                return Err(error);
            }
        };
        let logs: Vec<LogId> = stream.shards.iter().map(|shard| shard.log()).collect();
        self.end_with(&logs).await?;
        self.begin_with(&stream).await
    }

    async fn begin_with(&mut self, stream: &StreamDefinition) -> Result<(), MappingError> {
        let lanes = self.work.definition.settings.parallelization;
        for shard in &stream.shards {
            let log = shard.log();
            if self.running.contains_key(&log) {
                continue;
            }
            let mut started = Vec::new();
            for (lane, progress) in (0..).zip(self.work.progress.lanes(log, lanes).await?) {
                let EventSourceMappingDefinition { source, function, .. } = &*self.work.definition;
                let (source, function) = (source.clone(), function.clone());
                let origin = Origin { source, function, shard: shard.index, log };
                let share = Share { lane, lanes };
                let lane = Lane::new(Arc::clone(&self.work), origin, share, progress, self.stop.clone());
                started.push(self.lanes.spawn(lane.run()));
            }
            self.running.insert(log, started);
        }
        Ok(())
    }

    /// Ends with all shards but these.
    async fn end_with(&mut self, logs: &[LogId]) -> Result<(), MappingError> {
        let gone: Vec<LogId> = self.running.keys().copied().filter(|log| !logs.contains(log)).collect();
        let mut transaction = Transaction::new();
        for log in gone {
            self.running.remove(&log).into_iter().flatten().for_each(|lane| lane.abort());
            self.work.status.forget(Some(log));
            self.work.progress.remove(&mut transaction, Some(log)).await?;
        }
        if !transaction.is_empty() {
            self.shared.storage.commit(transaction).await?;
        }
        Ok(())
    }

    /// Measures how old what the function gets is.
    fn measure(&self) {
        let Work { status, streams, insight, clock, definition, .. } = &*self.work;
        let age = status.lag(streams, clock.now()).unwrap_or_default().age_ms;
        insight.metrics.gauge("iterator_age_ms", &self.work.subject()).set(age);
        insight.metrics.gauge("iterator_age_ms", &format!("function/{}", definition.function)).set(age);
    }
}

/// Removes a mapping with its places; tried again until the store takes it or the node stops.
async fn remove(shared: &Arc<Shared>, id: &str) {
    loop {
        match shared.remove(id).await {
            Ok(()) => return,
            Err(error) => tracing::warn!(mapping = id, %error, "a mapping is not removed; it is tried again"),
        }
        tokio::time::sleep(TICK).await;
    }
}
