//! One subscription at work: reads its topic, keeps attempts under way, and knows what waits for another one.
//! Read next: [`progress`] (what it remembers), [`job`] (what it has under way).

mod job;
mod progress;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_catalog::{EventEndpoint, EventSchema};
use millstream_insight::{Step, Trail};
use millstream_stream::Streams;
use millstream_types::{Backoff, Clock, LogId, Millis, PutObject};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::endpoint::{Courier, Report};
use crate::error::EventError;
use crate::filter::Filter;
use crate::log::{Delivery, View};
use crate::outcome::{EndReason, Outcome};
use crate::schedule::{FAILURES_BEFORE_HOLD, RetrySchedule};
use crate::schema::Event;
use job::{Done, Item, Source};
pub(crate) use progress::ProgressStore;
use progress::{Progress, Waiting};

/// First and longest wait before a subscription that the storage refused begins anew.
const RESTART_WAITS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// Bytes asked of the topic at once.
const READ_BYTES: usize = 256 << 10;

/// Deliveries of one subscription at once.
const IN_FLIGHT_MAX: usize = 32;

/// Events of one subscription that may wait for another attempt, some 100 bytes each. When it is reached, nothing new is
/// read (the topic keeps it) and the first in turn is tried ahead of its time.
const WAITING_MAX: usize = 100_000;

/// How often progress is made durable: what was delivered since is delivered again after a crash.
const SAVE_EVERY: Duration = Duration::from_millis(200);

/// Longest sleep: a clock that was set is noticed after it.
const LOOK: Duration = Duration::from_secs(60);

/// How long deliveries under way may take to end when the task stops; others are made again at the next start.
const DRAIN: Duration = Duration::from_secs(2);

/// A dead letter that could not be written is tried again for as long, at this interval.
const LETTER_LIMIT_MS: Millis = 4 * 3_600_000;
const LETTER_WAIT_MS: Millis = 30_000;

/// Everything a subscription needs at work.
pub(crate) struct Task {
    pub(crate) courier: Arc<Courier>,
    pub(crate) filter: Filter,
    /// The form in which the topic's events lie in its stream.
    pub(crate) schema: EventSchema,
    pub(crate) log: LogId,
    pub(crate) streams: Streams,
    pub(crate) store: ProgressStore,
    pub(crate) objects: Option<Arc<dyn PutObject>>,
    pub(crate) schedule: RetrySchedule,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) view: Arc<View>,
    pub(crate) trail: Trail,
}

/// An event that was read and is to be delivered for the first time.
struct Fresh {
    offset: u64,
    published: Millis,
    event: Arc<Event>,
    bytes: usize,
}

/// The state of a task.
struct Work<'t> {
    task: &'t Task,
    progress: Progress,
    jobs: JoinSet<Done>,
    fresh: VecDeque<Fresh>,
    /// Attempts that failed one behind the other.
    failures: u32,
    /// Nothing new is sent before.
    held_until: Millis,
    saved: Instant,
    /// How often progress was made durable.
    saves: u64,
}

impl Task {
    /// Delivers until asked to stop; what is not settled then goes on at the next start.
    pub(crate) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut restarts = Backoff::new(RESTART_WAITS);
        while !*stop.borrow() {
            let error = match self.store.load().await {
                Ok(progress) => {
                    let mut work = Work::new(&self, progress.unwrap_or_default());
                    // In this order: whose time is over when the node starts delivers nothing any more.
                    let ended = tokio::select! {
                        biased;
                        _ = stop.changed() => return work.finish().await,
                        () = self.over() => return work.finish().await,
                        ended = work.deliver() => ended,
                    };
                    match ended {
                        Ok(never) => match never {},
                        Err(error) => {
                            if work.saves > 0 {
                                restarts.succeeded();
                            }
                            error
                        }
                    }
                }
                Err(error) => EventError::Storage(error),
            };
            let subscription = &self.courier.definition.id;
            tracing::warn!(%subscription, %error, "deliveries stopped; they are taken up again");
            self.view.fail(error.to_string());
            tokio::select! {
                () = tokio::time::sleep(restarts.failed()) => {}
                _ = stop.changed() => return,
                () = self.over() => return,
            }
        }
    }

    /// Resolves when the subscription's time is over.
    async fn over(&self) {
        let Some(expires) = self.courier.definition.expires else { return std::future::pending().await };
        loop {
            let left = u64::try_from(expires - self.clock.now()).unwrap_or_default();
            if left == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(left).min(LOOK)).await;
        }
    }

    fn source(&self) -> Source {
        Source { streams: self.streams.clone(), log: self.log, schema: self.schema }
    }
}

impl<'t> Work<'t> {
    fn new(task: &'t Task, progress: Progress) -> Self {
        Self {
            task,
            progress,
            jobs: JoinSet::new(),
            fresh: VecDeque::new(),
            failures: 0,
            held_until: 0,
            saved: Instant::now(),
            saves: 0,
        }
    }

    async fn deliver(&mut self) -> Result<Infallible, EventError> {
        let mut end = self.task.streams.watch(self.task.log);
        loop {
            let now = self.task.clock.now();
            self.begin(now);
            let may_read = self.may_read(now);
            end.borrow_and_update();
            if may_read && self.read().await? {
                continue;
            }
            if self.progress.is_dirty() && self.saved.elapsed() >= SAVE_EVERY {
                self.save().await?;
            }
            let sleep = self.sleep(now);
            tokio::select! {
                Some(done) = self.jobs.join_next() => {
                    self.settle(done)?;
                    while let Some(done) = self.jobs.try_join_next() {
                        self.settle(done)?;
                    }
                }
                Ok(()) = end.changed(), if may_read => {}
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// Lets deliveries under way end, for a while, and remembers how far all is.
    async fn finish(mut self) {
        let drained = tokio::time::timeout(DRAIN, async {
            while let Some(done) = self.jobs.join_next().await {
                if self.settle(done).is_err() {
                    return;
                }
            }
        });
        let _ = drained.await;
        if let Err(error) = self.save().await {
            let subscription = &self.task.courier.definition.id;
            tracing::warn!(%subscription, %error, "the last progress is not kept; some events are delivered again");
        }
    }

    async fn save(&mut self) -> Result<(), EventError> {
        self.saved = Instant::now();
        self.task.store.save(&mut self.progress).await?;
        self.saves += 1;
        Ok(())
    }

    /// How long nothing has to be done unless something comes.
    fn sleep(&self, now: Millis) -> Duration {
        let until = |time: Millis| Duration::from_millis(u64::try_from(time - now).unwrap_or_default());
        let mut sleep = LOOK;
        if self.jobs.len() < IN_FLIGHT_MAX {
            if let Some(due) = self.progress.next_due() {
                sleep = sleep.min(until(due));
            }
            if self.held_until > now {
                sleep = sleep.min(until(self.held_until));
            }
        }
        if self.progress.is_dirty() {
            sleep = sleep.min(SAVE_EVERY.saturating_sub(self.saved.elapsed()));
        }
        sleep
    }

    /// Whether anything new may be sent.
    fn may_send_fresh(&self, now: Millis) -> bool {
        let room = if self.failures >= FAILURES_BEFORE_HOLD { 1 } else { IN_FLIGHT_MAX };
        self.jobs.len() < room && now >= self.held_until && self.progress.waiting() < WAITING_MAX
    }

    fn may_read(&self, now: Millis) -> bool {
        self.fresh.is_empty() && self.may_send_fresh(now)
    }

    /// Reads on in the topic. Gives whether there was something.
    async fn read(&mut self) -> Result<bool, EventError> {
        let from = self.progress.next;
        let read = self.task.streams.read(self.task.log, from, READ_BYTES).await?;
        let mut filtered = 0;
        for record in read.batches.iter().flat_map(|batch| batch.records()).filter(|record| record.offset >= from) {
            let bytes = record.data.len();
            // What cannot be read is no event: nobody could be told of it.
            let event = Event::stored(self.task.schema, record.data);
            let wanted = event.filter(|event| self.task.filter.wants(event));
            filtered += u64::from(wanted.is_none());
            if self.progress.read(record.offset, wanted.is_some())
                && let Some(event) = wanted
            {
                let (offset, published) = (record.offset, record.append_time);
                self.fresh.push_back(Fresh { offset, published, event: Arc::new(event), bytes });
            }
        }
        self.progress.next = self.progress.next.max(read.next);
        self.task.view.filtered.add(filtered);
        let behind = read.end.next.saturating_sub(self.progress.next);
        self.task.view.behind.set(i64::try_from(behind).unwrap_or(i64::MAX));
        Ok(self.progress.next > from)
    }

    /// Puts under way what may be.
    fn begin(&mut self, now: Millis) {
        while self.jobs.len() < IN_FLIGHT_MAX {
            let ahead = self.progress.waiting() >= WAITING_MAX && now >= self.held_until;
            let turn = if ahead { Millis::MAX } else { now };
            if let Some((offset, waiting)) = self.progress.take_due(turn) {
                self.begin_again(offset, waiting, now);
            } else if !self.fresh.is_empty() && self.may_send_fresh(now) {
                self.begin_fresh(now);
            } else {
                break;
            }
        }
        self.task.view.waiting.set(i64::try_from(self.progress.waiting()).unwrap_or(i64::MAX));
    }

    fn begin_again(&mut self, offset: u64, waiting: Waiting, now: Millis) {
        if waiting.ended.is_some() {
            return self.begin_letter(offset, waiting);
        }
        let item = Item { offset, published: waiting.published, attempts: waiting.attempts, event: None };
        if self.is_expired(item.published, now) {
            return self.end(&item, EndReason::TimeToLiveExceeded, waiting.last, now);
        }
        let mut items = vec![item];
        let batch = self.task.courier.definition.batching.events_max as usize;
        while items.len() < batch {
            let Some((offset, next)) = self.progress.take_due(now) else { break };
            if next.ended.is_some() || next.attempts != waiting.attempts || self.is_expired(next.published, now) {
                self.progress.wait(offset, next);
                break;
            }
            items.push(Item { offset, published: next.published, attempts: next.attempts, event: None });
        }
        self.attempt(items);
    }

    /// Begins with one event, or as many as a delivery holds.
    fn begin_fresh(&mut self, now: Millis) {
        let batching = self.task.courier.definition.batching;
        let bytes_max = batching.preferred_kib as usize * 1024;
        let (mut items, mut bytes) = (Vec::new(), 0);
        while let Some(fresh) = self.fresh.pop_front() {
            let item = Item { offset: fresh.offset, published: fresh.published, attempts: 0, event: Some(fresh.event) };
            if self.is_expired(fresh.published, now) {
                self.end(&item, EndReason::TimeToLiveExceeded, None, now);
                continue;
            }
            bytes += fresh.bytes;
            items.push(item);
            let next = self.fresh.front().map_or(0, |next| next.bytes);
            if items.len() >= batching.events_max as usize || bytes + next > bytes_max {
                break;
            }
        }
        if !items.is_empty() {
            self.attempt(items);
        }
    }

    fn attempt(&mut self, items: Vec<Item>) {
        let (courier, clock) = (Arc::clone(&self.task.courier), Arc::clone(&self.task.clock));
        self.jobs.spawn(job::attempt(self.task.source(), courier, clock, items));
    }

    fn begin_letter(&mut self, offset: u64, waiting: Waiting) {
        let objects = self.task.objects.clone();
        let (courier, clock) = (Arc::clone(&self.task.courier), Arc::clone(&self.task.clock));
        self.jobs.spawn(job::letter(self.task.source(), courier, objects, clock, (offset, waiting)));
    }

    fn is_expired(&self, published: Millis, now: Millis) -> bool {
        now - published >= Millis::from(self.task.courier.definition.retry.ttl_minutes) * 60_000
    }

    fn settle(&mut self, done: Result<Done, tokio::task::JoinError>) -> Result<(), EventError> {
        match done.map_err(|error| EventError::Broken { reason: error.to_string() })? {
            Done::Attempted { items, gone, report, time, duration_ms } => {
                self.drop_gone(&gone);
                let outcome = report.outcome;
                let last = self.task.courier.is_final(&report);
                self.count_failures(outcome, time);
                self.mark(&items, &report);
                for item in &items {
                    self.task.view.note(Delivery {
                        number: 0,
                        time,
                        event_id: item.event.as_ref().map(|event| event.id().to_owned()).unwrap_or_default(),
                        attempt: item.attempts + 1,
                        outcome,
                        status: report.status,
                        duration_ms,
                        detail: report.detail.clone(),
                    });
                    self.settle_item(item, outcome, last, time);
                }
            }
            Done::Lettered { offset, waiting, event_id, time, result } => {
                self.settle_letter(offset, waiting, event_id, time, result);
            }
            Done::Gone(gone) => self.drop_gone(&gone),
            Done::Unread(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Runs of functions are part of their events' trails.
    fn mark(&self, items: &[Item], report: &Report) {
        let (EventEndpoint::Function { name }, Some(invocation)) =
            (&self.task.courier.definition.endpoint, &report.invocation)
        else {
            return;
        };
        for item in items {
            self.task.trail.mark(Step::Delivered {
                log: self.task.log.0,
                from: item.offset,
                to: item.offset + 1,
                function: name.clone(),
                invocation: invocation.clone(),
                outcome: if report.outcome == Outcome::Delivered { "ok".to_owned() } else { report.detail.clone() },
            });
        }
    }

    fn count_failures(&mut self, outcome: Outcome, now: Millis) {
        if outcome == Outcome::Delivered {
            self.failures = 0;
            self.held_until = 0;
            return;
        }
        // These say something of the events and nothing of the endpoint.
        if matches!(outcome, Outcome::BadRequest | Outcome::PayloadTooLarge) {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_BEFORE_HOLD {
            let hold = self.task.schedule.hold(outcome);
            self.held_until = now + Millis::try_from(hold.as_millis()).unwrap_or_default();
        }
    }

    fn settle_item(&mut self, item: &Item, outcome: Outcome, last: bool, now: Millis) {
        let definition = &self.task.courier.definition;
        if outcome == Outcome::Delivered {
            self.task.view.delivered.add(1);
            self.task.view.notifications_delivered.add(1);
            return self.progress.settle(item.offset);
        }
        self.task.view.failed.add(1);
        let attempts = item.attempts + 1;
        let item = Item { attempts, event: None, ..*item };
        if last {
            self.end(&item, EndReason::Final(outcome), Some((now, outcome)), now);
        } else if attempts >= definition.retry.attempts_max {
            self.end(&item, EndReason::MaxDeliveryAttemptsExceeded, Some((now, outcome)), now);
        } else {
            let seed = item.offset ^ (u64::from(attempts) << 48);
            let wait = self.task.schedule.wait(attempts, outcome, seed).as_millis();
            let next = now + Millis::try_from(wait).unwrap_or_default();
            let (published, last) = (item.published, Some((now, outcome)));
            self.progress.wait(item.offset, Waiting { attempts, next, published, last, ended: None });
        }
    }

    /// Gives an event up: it becomes a dead letter or is dropped.
    fn end(&mut self, item: &Item, reason: EndReason, last: Option<(Millis, Outcome)>, now: Millis) {
        self.task.view.notifications_failed.add(1);
        let definition = &self.task.courier.definition;
        if definition.dead_letter.is_none() && definition.dead_letter_queue.is_none() {
            return self.drop_event(item.offset, reason.name());
        }
        let (attempts, published) = (item.attempts, item.published);
        // Queues get what was given up at once.
        let delay = definition.dead_letter.as_ref().map_or(0, |_| self.task.schedule.letter_delay().as_millis());
        let next = now + Millis::try_from(delay).unwrap_or_default();
        let waiting = Waiting { attempts, next, published, last, ended: Some((now, reason)) };
        self.progress.wait(item.offset, waiting);
    }

    fn settle_letter(
        &mut self,
        offset: u64,
        waiting: Waiting,
        event_id: String,
        now: Millis,
        result: Result<(), String>,
    ) {
        let since = waiting.ended.map_or(now, |(since, _)| since);
        match result {
            Ok(()) => {
                self.task.view.dead_lettered.add(1);
                self.progress.settle(offset);
            }
            Err(reason) => {
                let detail = format!("the dead letter was not written: {reason}");
                let outcome = waiting.last.map_or(Outcome::GenericError, |(_, outcome)| outcome);
                let (attempt, duration_ms) = (waiting.attempts, 0);
                let delivery =
                    Delivery { number: 0, time: now, event_id, attempt, outcome, status: None, duration_ms, detail };
                self.task.view.note(delivery);
                if now - since >= LETTER_LIMIT_MS {
                    return self.drop_event(offset, "its dead letter could not be written");
                }
                self.progress.wait(offset, Waiting { next: now + LETTER_WAIT_MS, ..waiting });
            }
        }
    }

    fn drop_gone(&mut self, gone: &[u64]) {
        gone.iter().for_each(|offset| self.drop_event(*offset, "the topic keeps it no longer"));
    }

    fn drop_event(&mut self, offset: u64, reason: &str) {
        let subscription = &self.task.courier.definition.id;
        tracing::warn!(%subscription, offset, reason, "an event was given up");
        self.task.view.dropped.add(1);
        self.progress.settle(offset);
    }
}
