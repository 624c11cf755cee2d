//! One lane of a shard at work: gather a batch, run the function on it until it is done or given up, go on behind it.
//!
//! Durable are the place behind what is done and what is left of a batch that failed, so a record that always fails does not
//! begin anew with each start of the node. After a crash a batch may come again, never less than it was.
//! Read next: `gather.rs` (batches), `attempt.rs` (an invocation and its consequence), `window.rs`
//! (tumbling windows).

mod attempt;
mod gather;
mod window;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use millstream_storage::Ticket;
use millstream_types::{Millis, Record};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::codec::Origin;
use crate::error::MappingError;
use crate::progress::{Progress, Share};
use crate::status::LastResult;
use crate::work::{Work, pause, stopping};
use gather::Gathered;

/// One lane of a shard.
pub(crate) struct Lane {
    pub(crate) work: Arc<Work>,
    pub(crate) origin: Origin,
    pub(crate) share: Share,
    pub(crate) stop: watch::Receiver<bool>,
    progress: Progress,
    /// Records that were read and are not gathered yet.
    ahead: VecDeque<Record>,
    /// The offset behind the last record that was gathered or skipped.
    taken: u64,
    /// The place that is on its way to the disk.
    keeping: Option<Ticket>,
    /// When the place was last kept.
    kept: Instant,
    /// Whether all is done that will ever be in the shard.
    ended: bool,
    /// The last invocation with the batch at hand.
    last: Option<LastRun>,
}

/// What is told of the last invocation with a batch that is given up.
#[derive(Clone, Default)]
struct LastRun {
    invocation: String,
    version: Option<u32>,
    /// What it failed with.
    error: Option<String>,
}

/// A record of the batch at hand.
struct Item {
    offset: u64,
    append_time: Millis,
    encoded: Bytes,
}

impl Lane {
    pub(crate) fn new(
        work: Arc<Work>,
        origin: Origin,
        share: Share,
        progress: Progress,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let mut progress = progress;
        if work.definition.settings.tumbling_window_seconds.is_none() {
            // The mapping had windows before: nobody asks for this one's end.
            progress.window = None;
        }
        let taken = progress.position;
        let (ahead, kept) = (VecDeque::new(), Instant::now());
        Self { work, origin, share, stop, progress, ahead, taken, keeping: None, kept, ended: false, last: None }
    }

    /// Works until asked to stop, or until the shard is done that was split or merged. What the function has begun then is
    /// ended before.
    pub(crate) async fn run(mut self) {
        let mut failures = 0;
        while !stopping(&self.stop) && !self.ended {
            match self.batch().await {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    self.failed(&error);
                    pause(&self.stop, self.work.wait(failures)).await;
                    self.begin_anew().await;
                }
            }
        }
        if let Err(error) = self.settle().await {
            self.failed(&error);
        }
    }

    async fn batch(&mut self) -> Result<(), MappingError> {
        match self.gather().await? {
            Gathered::Batch(items) => self.work_off(items).await,
            Gathered::WindowOver => self.end_window().await,
            Gathered::Nothing => Ok(()),
        }
    }

    fn failed(&self, error: &MappingError) {
        let (mapping, shard) = (&self.work.definition.id, self.origin.shard);
        tracing::warn!(mapping, shard, %error, "a shard is not worked off; it is tried again");
        self.work.status.ended(LastResult::Problem(error.to_string()));
    }

    /// After an error nothing that is only in memory counts.
    async fn begin_anew(&mut self) {
        self.keeping = None;
        if let Ok(lanes) = self.work.progress.lanes(self.origin.log, self.share.lanes).await
            && let Some(progress) = lanes.into_iter().nth(self.share.lane as usize)
        {
            self.progress = progress;
        }
        self.taken = self.progress.position;
        self.ahead.clear();
    }

    /// Keeps the place. It is durable after the next call, or [`Lane::settle`]: the function need not wait for the disk.
    async fn keep(&mut self) -> Result<(), MappingError> {
        self.settle().await?;
        self.keeping = Some(self.work.progress.submit(self.origin.log, self.share, &self.progress)?);
        self.kept = Instant::now();
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), MappingError> {
        if let Some(ticket) = self.keeping.take() {
            ticket.durable().await?;
        }
        Ok(())
    }

    /// Tells where the lane is and what it has at hand.
    fn tell(&self, at_hand: Option<Millis>) {
        self.work.status.lane(self.origin.log, self.share.lane, self.progress.position, at_hand);
    }
}
