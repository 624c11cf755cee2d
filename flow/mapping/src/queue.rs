//! One queue at work: messages are taken, brought to the function and deleted when it has them.
//!
//! What the function does not take stays hidden until its time is over and comes again then, or goes where the queue sends
//! what was received too often. Several batches are under way at once, in no order.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_types::{Millis, ReceivedMessage, WantedMessages};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::error::MappingError;
use crate::status::LastResult;
use crate::supervisor::tell_of;
use crate::work::{EVENT_BYTES_MAX, Said, Work, pause, stopping};

/// Batches of one queue at once, when the mapping has no limit of its own: what the service begins with.
const CONCURRENCY: usize = 5;
/// Messages asked of a queue at once.
const RECEIVE_MAX: usize = 100;
/// Longest wait for messages before the poller looks whether it is to stop.
const WAIT: Duration = Duration::from_secs(1);
/// Least time between two looks at a queue that gives nothing.
const LOOK: Duration = Duration::from_millis(50);
/// How often messages that the function has taken are tried to be deleted before they are left to come again.
const DELETE_ATTEMPTS: u32 = 3;

/// One queue's poller.
pub(crate) struct Poller {
    work: Arc<Work>,
    queue: String,
    stop: watch::Receiver<bool>,
    /// Messages that were taken and did not fit into the batch before.
    carried: VecDeque<ReceivedMessage>,
}

/// Messages on their way to the function.
struct Batch {
    work: Arc<Work>,
    queue: String,
    stop: watch::Receiver<bool>,
    messages: Vec<ReceivedMessage>,
    encoded: Vec<Bytes>,
}

impl Poller {
    pub(crate) fn new(work: Arc<Work>, queue: String, stop: watch::Receiver<bool>) -> Self {
        Self { work, queue, stop, carried: VecDeque::new() }
    }

    /// Works until asked to stop. What the function has begun then is ended before.
    pub(crate) async fn run(mut self) {
        let limit = self.work.definition.settings.concurrency_max.map_or(CONCURRENCY, |limit| limit as usize);
        let turns = Arc::new(Semaphore::new(limit));
        let mut under_way = JoinSet::new();
        let mut failures = 0;
        while let Some(turn) = self.turn(&turns).await {
            let mut batch = self.empty_batch();
            let gathered = self.gather(&mut batch).await;
            // What was gathered before an error is brought: it would stay hidden from everybody else.
            if !batch.messages.is_empty() {
                under_way.spawn(batch.bring(turn));
            }
            match gathered {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    let mapping = &self.work.definition.id;
                    tracing::warn!(mapping, %error, "a queue is not worked off; it is tried again");
                    self.work.status.ended(LastResult::Problem(error.to_string()));
                    pause(&self.stop, self.work.wait(failures)).await;
                }
            }
            while let Some(brought) = under_way.try_join_next() {
                // Messages of a batch that broke come again when their time is over.
                brought.unwrap_or_else(|defect| tell_of(&defect, &self.work.status, &self.work.definition.id));
            }
        }
        let carried: Vec<ReceivedMessage> = self.carried.drain(..).collect();
        release(&self.work, &self.queue, &carried).await;
        while under_way.join_next().await.is_some() {}
    }

    /// The right to have one more batch under way; `None` when asked to stop.
    async fn turn(&self, turns: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let mut stop = self.stop.clone();
        tokio::select! {
            turn = Arc::clone(turns).acquire_owned() => turn.ok().filter(|_| !stopping(&self.stop)),
            _ = stop.wait_for(|stopped| *stopped) => None,
        }
    }

    fn empty_batch(&self) -> Batch {
        Batch {
            work: Arc::clone(&self.work),
            queue: self.queue.clone(),
            stop: self.stop.clone(),
            messages: Vec::new(),
            encoded: Vec::new(),
        }
    }

    /// Gathers the next batch; it stays empty when there is none yet. After an error it has what came before.
    async fn gather(&mut self, batch: &mut Batch) -> Result<(), MappingError> {
        let settings = &self.work.definition.settings;
        let (size, window) = (settings.batch_size as usize, Duration::from_secs(settings.window_seconds.into()));
        let mut over: Option<Instant> = None;
        loop {
            let full = self.fill(batch, size).await?;
            if !batch.messages.is_empty() {
                let over = *over.get_or_insert_with(|| Instant::now() + window.min(self.patience(batch)));
                if full || Instant::now() >= over {
                    return Ok(());
                }
            }
            if stopping(&self.stop) {
                release(&self.work, &self.queue, &batch.messages).await;
                batch.messages.clear();
                return Ok(());
            }
            let wait = over.map_or(WAIT, |over| over.saturating_duration_since(Instant::now()).min(WAIT));
            let wanted = WantedMessages { max: (size - batch.messages.len()).min(RECEIVE_MAX), wait };
            self.receive(wanted).await?;
        }
    }

    /// How long a batch may gather: half of the time for which its first message is still hidden, so that the function has
    /// the other half before somebody else gets it.
    fn patience(&self, batch: &Batch) -> Duration {
        let visible = batch.messages.first().map_or(0, |first| first.visible_at);
        Duration::from_millis((visible - self.work.clock.now()).max(0).unsigned_abs() / 2)
    }

    async fn receive(&mut self, wanted: WantedMessages) -> Result<(), MappingError> {
        self.work.permitted()?;
        let next = Instant::now() + LOOK.min(wanted.wait);
        // Not to be cut off: what it takes would be hidden from everybody for a while.
        let received = self.work.outside.queues.receive_messages(self.queue.clone(), wanted).await;
        let messages = received.map_err(|error| MappingError::Receive { reason: error.message })?;
        if messages.is_empty() {
            tokio::time::sleep_until(next).await;
        }
        self.carried.extend(messages);
        Ok(())
    }

    /// Moves messages into a batch; whether it is full. What is not for the function is deleted.
    async fn fill(&mut self, batch: &mut Batch, size: usize) -> Result<bool, MappingError> {
        let mut not_wanted = Vec::new();
        let mut bytes: usize = batch.encoded.iter().map(|encoded| encoded.len() + 1).sum();
        let mut full = batch.messages.len() >= size;
        while !full && let Some(message) = self.carried.pop_front() {
            if message.visible_at <= self.work.clock.now() {
                // Others may have it again, and so may this mapping.
                continue;
            }
            let encoded = self.work.outside.codec.message(&self.queue, &message);
            if !self.work.wants(&encoded) {
                not_wanted.push(message.receipt);
                continue;
            }
            if !batch.messages.is_empty() && bytes + encoded.len() + 1 > EVENT_BYTES_MAX {
                self.carried.push_front(message);
                full = true;
                break;
            }
            bytes += encoded.len() + 1;
            batch.encoded.push(encoded);
            batch.messages.push(message);
            full = batch.messages.len() >= size;
        }
        if !not_wanted.is_empty() {
            let deleted = self.work.outside.queues.delete_messages(self.queue.clone(), not_wanted).await;
            deleted.map_err(|error| MappingError::Receive { reason: error.message })?;
        }
        Ok(full)
    }
}

impl Batch {
    /// Brings the messages to the function; `turn` is held meanwhile.
    async fn bring(self, turn: OwnedSemaphorePermit) {
        let mut failures = 0;
        // What is received later has a later end: the first that others would get ends the attempts for all.
        let hidden_until = self.messages.iter().map(|message| message.visible_at).min().unwrap_or_default();
        loop {
            match self.work.run(self.work.outside.codec.event(&self.encoded), false).await {
                Ok(ran) => {
                    self.settle(&ran.said).await;
                    if let Said::Failed { .. } = ran.said {
                        // A function that fails gets less at once for a while.
                        pause(&self.stop, self.work.wait(1)).await;
                    }
                    break;
                }
                Err(_) => {
                    failures += 1;
                    let wait = self.work.wait(failures);
                    let then = self.work.clock.now() + Millis::try_from(wait.as_millis()).unwrap_or(Millis::MAX / 2);
                    pause(&self.stop, wait).await;
                    if stopping(&self.stop) {
                        release(&self.work, &self.queue, &self.messages).await;
                        break;
                    }
                    if then >= hidden_until {
                        break;
                    }
                }
            }
        }
        drop(turn);
    }

    /// Deletes what the function has.
    async fn settle(&self, said: &Said) {
        let receipts = self.taken(said);
        if receipts.is_empty() {
            return;
        }
        let metrics = &self.work.insight.metrics;
        metrics.counter("records", &self.work.subject()).add(receipts.len() as u64);
        for attempt in 1..=DELETE_ATTEMPTS {
            let deleted = self.work.outside.queues.delete_messages(self.queue.clone(), receipts.clone()).await;
            let Err(error) = deleted else { return };
            let mapping = &self.work.definition.id;
            tracing::warn!(mapping, %error, attempt, "messages that the function has are not deleted");
            tokio::time::sleep(self.work.wait(attempt)).await;
        }
    }

    /// The receipts of the messages that the function has. When it names one that it was not given, it has none.
    fn taken(&self, said: &Said) -> Vec<String> {
        let without: BTreeSet<&str> = match said {
            Said::Everything => BTreeSet::new(),
            Said::Failed { .. } => return Vec::new(),
            Said::NotThese(ids) => ids.iter().map(String::as_str).collect(),
        };
        let known = self.messages.iter().filter(|message| without.contains(message.id.as_str())).count();
        if known < without.len() {
            return Vec::new();
        }
        let taken = self.messages.iter().filter(|message| !without.contains(message.id.as_str()));
        taken.map(|message| message.receipt.clone()).collect()
    }
}

/// Lets others have messages at once.
async fn release(work: &Work, queue: &str, messages: &[ReceivedMessage]) {
    if messages.is_empty() {
        return;
    }
    let receipts = messages.iter().map(|message| message.receipt.clone()).collect();
    if let Err(error) = work.outside.queues.release_messages(queue.to_owned(), receipts).await {
        // They come again when their time is over.
        tracing::warn!(queue, %error, "messages are not released");
    }
}
