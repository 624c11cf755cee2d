//! One mapping: follows its definition, and the shards of its stream, and has them worked off.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use millstream_catalog::{
    EventSource, EventSourceMappingDefinition, FunctionDefinition, MappingState, ShardDefinition, StreamDefinition,
};
use millstream_storage::Transaction;
use millstream_types::LogId;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval, timeout};

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
/// How long what broke waits before it begins anew, so that a defect does not keep the node busy.
const RESTART_WAIT: Duration = Duration::from_secs(1);

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
                let changed = tokio::select! {
                    changed = definition.changed() => changed,
                    // It ends by itself only when it cannot go on: it begins anew, or as the definition says by then.
                    Some(ended) = work.join_next() => {
                        ended.unwrap_or_else(|defect| tell_of(&defect, &status, &definition.borrow().id));
                        timeout(RESTART_WAIT, definition.changed()).await.unwrap_or(Ok(()))
                    }
                };
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

/// A task of a mapping broke, which is a defect of ours: it is said where people look, and others go on.
pub(crate) fn tell_of(defect: &JoinError, status: &Status, mapping: &str) {
    if defect.is_panic() {
        tracing::error!(mapping, %defect, "a part of a mapping broke; it begins anew");
        status.ended(LastResult::Problem(format!("a part of the mapping broke and begins anew: {defect}")));
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
            Shards { shared, work, running: HashMap::new(), lanes: JoinSet::new(), done: HashSet::new(), stop }
                .run()
                .await
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
    /// By shard and lane.
    running: HashMap<(LogId, u32), AbortHandle>,
    lanes: JoinSet<()>,
    /// Shards that were split or merged and are done.
    done: HashSet<LogId>,
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
            let broke = tokio::select! {
                // In this order: a lane that ends because it is told to is not begun anew.
                biased;
                _ = stop.wait_for(|stopped| *stopped) => break,
                _ = changes.changed() => false,
                Some(ended) = self.lanes.join_next() => self.lane_ended(ended),
                _ = tick.tick() => {
                    self.measure();
                    false
                }
            };
            if broke {
                pause(&self.stop, RESTART_WAIT).await;
            }
        }
        while self.lanes.join_next().await.is_some() {}
    }

    /// Lanes end when they are told to, with a shard that was split or merged, or by a defect: they begin anew then. Gives whether one broke.
    fn lane_ended(&mut self, ended: Result<(), JoinError>) -> bool {
        self.running.retain(|_, lane| !lane.is_finished());
        let Err(defect) = ended else { return false };
        tell_of(&defect, &self.work.status, &self.work.definition.id);
        defect.is_panic()
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

    /// Begins with the shards whose parents are done.
    async fn begin_with(&mut self, stream: &StreamDefinition) -> Result<(), MappingError> {
        loop {
            let done = self.done.len();
            for shard in stream.readable(|shard| self.done.contains(&shard.log())) {
                self.begin_shard(shard).await?;
            }
            if self.done.len() == done {
                return Ok(());
            }
        }
    }

    /// Begins with the lanes of a shard that do not run and are not done.
    async fn begin_shard(&mut self, shard: &ShardDefinition) -> Result<(), MappingError> {
        let (log, lanes) = (shard.log(), self.work.definition.settings.parallelization);
        if self.done.contains(&log) || (0..lanes).all(|lane| self.running.contains_key(&(log, lane))) {
            return Ok(());
        }
        let mut ended = 0;
        for (lane, progress) in (0..).zip(self.work.progress.lanes(log, lanes).await?) {
            if self.running.contains_key(&(log, lane)) {
                continue;
            }
            let nothing_left = progress.pieces.is_empty() && progress.window.is_none();
            if nothing_left && self.work.streams.has_ended(shard, progress.position) {
                ended += 1;
                continue;
            }
            let EventSourceMappingDefinition { source, function, .. } = &*self.work.definition;
            let (source, function) = (source.clone(), function.clone());
            let origin = Origin { source, function, shard: shard.index, log };
            let share = Share { lane, lanes };
            let at_work = Lane::new(Arc::clone(&self.work), origin, share, progress, self.stop.clone());
            self.running.insert((log, lane), self.lanes.spawn(at_work.run()));
        }
        if ended == lanes {
            self.done.insert(log);
        }
        Ok(())
    }

    /// Ends with all shards but these.
    async fn end_with(&mut self, logs: &[LogId]) -> Result<(), MappingError> {
        let gone: BTreeSet<LogId> =
            self.running.keys().map(|(log, _)| *log).filter(|log| !logs.contains(log)).collect();
        let mut transaction = Transaction::new();
        for log in gone {
            self.running.iter().filter(|((of, _), _)| *of == log).for_each(|(_, lane)| lane.abort());
            self.running.retain(|(of, _), _| *of != log);
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
        // A function may have several mappings: each has its say.
        let (function, _) = FunctionDefinition::split_reference(&definition.function);
        let of_function = format!("function/{function}");
        insight.metrics.distribution("batch_age_ms", &of_function).observe(age as f64);
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
