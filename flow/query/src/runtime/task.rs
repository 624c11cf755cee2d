//! One query at work: read a step of each shard, compute, commit rows with positions and state, wait for more.

use std::sync::Arc;
use std::time::Duration;

use arrow::error::ArrowError;
use futures_util::future::try_join_all;
use millstream_catalog::{
    InputProcessor, OutputTarget, QueryDefinition, QueryInput, ShardDefinition, StreamDefinition,
};
use millstream_insight::{Insight, Step};
use millstream_stream::{StreamError, Streams};
use millstream_types::{Backoff, CheckRole, LogId, Millis, RoleUse};
use tokio::sync::watch;
use tokio::time::Instant;

use super::binding::{Binding, Look};
use super::busy::busy;
use super::checkpoint::{Checkpoint, Checkpoints};
use super::error::QueryError;
use super::held::Held;
use super::pieces::Pieces;
use super::processing::{Processing, ProcessingBatch, ToDecode, not_processed};
use super::reference::References;
use super::status::Running;
use crate::decode::{Decoded, Decoder, Reading};
use crate::error::PlanErrorCode;
use crate::executor::{ExecuteError, Executor, Produced};

/// Bytes read of a shard before its rows are computed.
const STEP_BYTES: usize = 1 << 20;

/// The same where each record may make a row of the error stream, which is several times as long.
const TOLD_STEP_BYTES: usize = 256 << 10;

/// How long a query looks away when there is nothing to read: windows end without records, too.
const LOOK: Duration = Duration::from_millis(50);

/// First and longest wait before a query that failed begins again from its checkpoint.
const RETRY_WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Everything that a query needs at work.
pub(super) struct Task {
    pub(super) definition: Arc<QueryDefinition>,
    pub(super) streams: Streams,
    pub(super) checkpoints: Checkpoints,
    pub(super) insight: Insight,
    pub(super) running: Arc<Running>,
    /// `None`: no role is asked.
    pub(super) roles: Option<Arc<dyn CheckRole>>,
    pub(super) references: References,
    /// `None`: the dialect's inputs have no functions that records go through.
    pub(super) processing: Option<Processing>,
}

/// A query's place in its inputs.
pub(super) struct Work {
    pub(super) binding: Binding,
    /// Not there while a step is computed on another thread.
    pub(super) executor: Option<Executor>,
    /// By source and shard; not there while a step is decoded on another thread.
    decoders: Vec<Vec<Option<Decoder>>>,
    pub(super) checkpoint: Checkpoint,
    /// The pieces of its state that are written.
    pub(super) pieces: Pieces,
    /// What was produced and waits for the next commit.
    held: Held,
    /// The number of the next part of results that are more than one transaction holds.
    pub(super) next_part: u64,
    pub(super) kept: Instant,
    /// How long what is produced may wait for the next commit.
    pub(super) rest: Duration,
    /// When newer versions of reference data were looked for.
    pub(super) followed: Instant,
    pub(super) moved: bool,
}

/// A query bound to its streams, and where it goes on.
pub(super) struct Bound {
    pub(super) binding: Binding,
    pub(super) checkpoint: Checkpoint,
    pub(super) pieces: Pieces,
    pub(super) executor: Executor,
}

/// A shard of a source, and where to read on in it.
#[derive(Clone, Copy)]
struct Place {
    source: usize,
    index: usize,
    /// The shard's number in its stream.
    shard: u32,
    log: LogId,
    position: u64,
    /// Bytes to read at once.
    bytes: usize,
    /// Whether nothing will be added to it any more.
    closed: bool,
}

impl Place {
    /// Notes that the shard was read to its end, as it was at a time.
    fn caught_up(self, executor: &mut Executor, frontier: Millis) {
        if self.closed {
            executor.ended(self.source, self.index);
        } else {
            executor.caught_up(self.source, self.index, frontier);
        }
    }
}

/// A stream and the function that its records go through.
type Through<'t> = (&'t str, &'t InputProcessor);

/// A step of a shard, decoded.
struct Fetched {
    place: Place,
    decoder: Decoder,
    decoded: Vec<Decoded>,
    next: u64,
    /// The end of the shard before the read.
    end: u64,
}

impl Task {
    /// Runs until asked to stop. What fails is told and tried again from the checkpoint: a query never loses its place.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut backoff = Backoff::new(RETRY_WAITS);
        while !*stop.borrow() {
            let begun = Instant::now();
            let Err(error) = self.work(&stop).await else { continue };
            // A shard of an output was split: the rows are computed again and find the shards that came of it.
            if let QueryError::Stream(StreamError::LogClosed { .. }) = error {
                continue;
            }
            if begun.elapsed() > RETRY_WAITS.1 {
                backoff.succeeded();
            }
            let pause = if waits_for_records(&error) {
                self.running.works();
                RETRY_WAITS.0
            } else if matches!(error, QueryError::InputGone { .. }) {
                self.running.fail(&error);
                RETRY_WAITS.0
            } else {
                tracing::warn!(query = %self.definition.name, %error, "a query failed; it begins again from its checkpoint");
                self.running.fail(&error);
                backoff.failed()
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.changed() => return,
            }
        }
    }

    /// Works until asked to stop, or until the streams of its inputs are others: then it has to be bound anew.
    async fn work(&self, stop: &watch::Receiver<bool>) -> Result<(), QueryError> {
        // From before the streams are looked for: no change is missed.
        let mut changes = self.streams.changes();
        let mut work = self.begin().await?;
        self.running.works();
        while !*stop.borrow() {
            if changes.has_changed().unwrap_or(false) {
                changes.mark_unchanged();
                match work.binding.look(&self.streams) {
                    Look::Same => {}
                    // Windows that hold its rows end all the same, and other inputs are read on.
                    Look::Gone(error) => {
                        tracing::warn!(query = %self.definition.name, %error, "a query has lost an input");
                        self.running.fail(&error);
                    }
                    Look::Other => break,
                }
            }
            self.follow(&mut work).await?;
            let read = self.step(&mut work, stop).await?;
            if !read {
                tokio::time::sleep(LOOK).await;
            }
        }
        // What was read since the last checkpoint is read again by the next start, unless it is kept now.
        let held = work.held.take();
        self.commit(&mut work, held, true).await
    }

    async fn begin(&self) -> Result<Work, QueryError> {
        self.permitted()?;
        // What a crash cut off, or an edit: results of before come first.
        let parts = self.checkpoints.outbox.load(&self.definition.name).await?;
        let next_part = parts.end;
        self.hand_on(parts).await?;
        let Bound { binding, checkpoint, pieces, executor } = self.bound().await?;
        let decoders_of = |(source, stream): (usize, &Arc<StreamDefinition>)| {
            stream.shards.iter().map(|_| Some(executor.decoder(source))).collect()
        };
        let decoders = binding.streams.iter().enumerate().map(decoders_of).collect();
        let (executor, now) = (Some(executor), Instant::now());
        let mut work = Work {
            binding,
            executor,
            decoders,
            checkpoint,
            pieces,
            held: Held::default(),
            next_part,
            kept: now,
            rest: Duration::ZERO,
            followed: now,
            moved: true,
        };
        // The first positions are kept at once: `Latest` means the moment of the first start, not of the next one.
        self.commit(&mut work, Produced::default(), true).await?;
        Ok(work)
    }

    /// Whether the roles of the inputs, and of the outputs that are written together with the query's positions, allow it.
    /// Asked before each step, so that what changes in them counts at once.
    fn permitted(&self) -> Result<(), QueryError> {
        let Some(roles) = &self.roles else { return Ok(()) };
        let QueryDefinition { name: query, inputs, outputs, .. } = &*self.definition;
        let read = inputs.iter().map(|input| (&input.name, &input.role, RoleUse::ReadStream(&input.stream)));
        let written = outputs.iter().filter_map(|output| match &output.target {
            OutputTarget::Stream { name } => Some((&output.name, &output.role, RoleUse::WriteStream(name))),
            _ => None,
        });
        for (name, role, wanted) in read.chain(written) {
            let checked = roles.check(role, query, wanted);
            checked.map_err(|reason| QueryError::NotAllowed { name: name.clone(), reason })?;
        }
        Ok(())
    }

    /// Reads and computes one step of every shard and commits what came out; says whether there was anything to read.
    async fn step(&self, work: &mut Work, stop: &watch::Receiver<bool>) -> Result<bool, QueryError> {
        self.permitted()?;
        // Taken before the reads: what is read to the end then is complete up to it.
        let frontier = self.streams.frontier();
        let mut held = std::mem::take(&mut work.held);
        let mut read_any = false;
        let shards = work.places(&self.streams);
        for together in shards.chunks(self.parallelism()) {
            let fetch = |place: &Place| {
                let through = self.processed(&work.binding, place.source);
                self.fetch(*place, through, work.take_decoder(place), frontier)
            };
            let fetches: Vec<_> = together.iter().map(fetch).collect();
            let fetched = try_join_all(fetches).await?;
            for fetched in fetched {
                work.put_decoder(&fetched.place, fetched.decoder);
                let place = fetched.place;
                let caught_up = (fetched.next >= fetched.end).then_some(frontier);
                if fetched.decoded.is_empty() {
                    // Retention may have taken what was to be read.
                    if fetched.next > place.position {
                        work.checkpoint.positions.insert(place.log.0, fetched.next);
                        work.moved = true;
                    }
                    if let Some(frontier) = caught_up {
                        place.caught_up(work.executor()?, frontier);
                    }
                    continue;
                }
                read_any = true;
                held.add(self.compute(work, place, fetched.decoded, caught_up).await?);
                let Place { log, position, .. } = place;
                work.checkpoint.positions.insert(log.0, fetched.next);
                work.moved = true;
                self.insight.trail.mark(Step::Read {
                    query: self.definition.name.clone(),
                    log: log.0,
                    from: position,
                    to: fetched.next,
                });
                // All that is read at once may be more than fits into one transaction.
                if held.is_much(work.rests()) {
                    self.commit(work, held.take(), false).await?;
                }
            }
        }
        loop {
            let more = self.advance(work, &mut held).await?;
            if !work.rests() || held.is_much(true) {
                self.commit(work, held.take(), false).await?;
            }
            if !more || *stop.borrow() {
                work.held = held;
                return Ok(read_any);
            }
            self.permitted()?;
            // A part of what joins and windows give may be durable for itself.
            work.moved = true;
        }
    }

    /// Lets time pass on a thread that may be busy; says whether joins or windows have more to give.
    async fn advance(&self, work: &mut Work, held: &mut Held) -> Result<bool, QueryError> {
        let mut executor = work.executor.take().ok_or(QueryError::Stopping)?;
        let (executor, advanced) = busy(move || {
            let advanced = executor.advance_some(None).map(|(produced, more)| (Held::of(produced), more));
            (executor, advanced)
        })
        .await?;
        work.executor = Some(executor);
        let (mut some, more) = advanced?;
        self.note_errors(work, some.take_errors());
        held.add(some);
        Ok(more)
    }

    /// Shards that are read and decoded at once.
    fn parallelism(&self) -> usize {
        match self.definition.parallelism {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            units => units as usize,
        }
    }

    /// The stream of a source and the function that its records go through, if they do.
    fn processed<'t>(&'t self, binding: &Binding, source: usize) -> Option<Through<'t>> {
        let name = &binding.inputs[source].name;
        let is_of = |input: &&QueryInput| input.name == *name || input.divided.contains(name);
        let input = self.definition.inputs.iter().find(is_of)?;
        Some((&input.stream, input.processor.as_ref()?))
    }

    /// A step of a shard, processed by the input's function if it has one, and the offset that the next one begins with.
    async fn read(&self, place: Place, through: Option<Through<'_>>) -> Result<(Vec<ToDecode>, u64), QueryError> {
        let read = self.streams.read(place.log, place.position, place.bytes).await?;
        let Some((stream, processor)) = through else {
            return Ok((read.batches.into_iter().map(ToDecode::from).collect(), read.next));
        };
        let processing = self.processing.as_ref().ok_or_else(|| not_processed(processor))?;
        let query = &self.definition.name;
        let batch = ProcessingBatch { query, stream, shard: place.shard, log: place.log, records: &[] };
        processing.step(batch, (read.batches, read.next), place.position, processor).await
    }

    /// Reads a step of a shard and decodes it on a thread that may be busy.
    async fn fetch(
        &self,
        place: Place,
        through: Option<Through<'_>>,
        decoder: Result<Decoder, QueryError>,
        processed: Millis,
    ) -> Result<Fetched, QueryError> {
        let mut decoder = decoder?;
        let end = self.streams.bounds(place.log).next;
        let (batches, next) = self.read(place, through).await?;
        if batches.is_empty() {
            return Ok(Fetched { place, decoder, decoded: Vec::new(), next, end });
        }
        let decode = move || {
            let decode = |ToDecode { batch, without, failed }: ToDecode| {
                let reading = Reading { from: place.position, without: &without, shard: place.index, processed };
                let mut decoded = decoder.decode(&batch, reading)?;
                decoded.errors.extend(failed);
                Ok(decoded)
            };
            let decoded = batches.into_iter().map(decode).collect();
            (decoder, decoded)
        };
        let (decoder, decoded): (Decoder, Result<Vec<Decoded>, ArrowError>) = busy(decode).await?;
        Ok(Fetched { place, decoder, decoded: decoded.map_err(ExecuteError::from)?, next, end })
    }

    /// Computes on a thread that may be busy; what went wrong is told at once, rows may wait.
    async fn compute(
        &self,
        work: &mut Work,
        place: Place,
        decoded: Vec<Decoded>,
        caught_up: Option<Millis>,
    ) -> Result<Held, QueryError> {
        let mut executor = work.executor.take().ok_or(QueryError::Stopping)?;
        let (executor, produced) = busy(move || {
            let mut produced = Produced::default();
            executor.begin_read();
            for decoded in decoded {
                match executor.push_decoded(place.source, place.index, decoded) {
                    Ok(more) => produced.extend(more),
                    Err(error) => return (executor, Err(error)),
                }
            }
            if let Some(frontier) = caught_up {
                place.caught_up(&mut executor, frontier);
            }
            (executor, Ok(Held::of(produced)))
        })
        .await?;
        work.executor = Some(executor);
        let mut held = produced?;
        self.note_errors(work, held.take_errors());
        Ok(held)
    }
}

impl Work {
    /// The shards that can be read, with their positions, in the order in which they are read: those that came of a split or a
    /// merge wait until all that was before is read.
    fn places(&self, streams: &Streams) -> Vec<Place> {
        let position = |shard: &ShardDefinition| self.checkpoint.positions.get(&shard.log).copied().unwrap_or_default();
        let bytes = if self.binding.program.error_step().is_some() { TOLD_STEP_BYTES } else { STEP_BYTES };
        let mut places = Vec::new();
        for (source, stream) in self.binding.streams.iter().enumerate() {
            // Shards whose rows no source has are read by nobody.
            let is_read = |shard: &ShardDefinition| {
                !self.binding.is_wanted(&stream.name, shard) || streams.has_ended(shard, position(shard))
            };
            let readable = stream.readable(is_read);
            for shard in readable.into_iter().filter(|shard| self.binding.has_shard(source, shard)) {
                let index = stream.shards.binary_search_by_key(&shard.index, |found| found.index);
                let Ok(index) = index else { continue };
                let (log, position) = (shard.log(), position(shard));
                places.push(Place {
                    source,
                    index,
                    shard: shard.index,
                    log,
                    position,
                    bytes,
                    closed: !shard.is_open(),
                });
            }
        }
        places
    }

    fn take_decoder(&mut self, place: &Place) -> Result<Decoder, QueryError> {
        self.decoders[place.source][place.index].take().ok_or(QueryError::Stopping)
    }

    fn put_decoder(&mut self, place: &Place, decoder: Decoder) {
        self.decoders[place.source][place.index] = Some(decoder);
    }

    /// Whether rows wait for each other, because the state that is written with them took long.
    fn rests(&self) -> bool {
        self.kept.elapsed() < self.rest
    }

    pub(super) fn executor(&mut self) -> Result<&mut Executor, QueryError> {
        self.executor.as_mut().ok_or(QueryError::Stopping)
    }
}

/// Whether all that is missing is a first record, from which an input's columns are found out: no failure.
fn waits_for_records(error: &QueryError) -> bool {
    let missing = |mistake: &crate::error::PlanError| mistake.code == PlanErrorCode::ColumnsUnknown;
    matches!(error, QueryError::Plan(mistakes) if mistakes.iter().all(missing))
}

#[cfg(test)]
mod tests;
