//! How metered requests become durable: those that wait while a commit is under way are the next one.
//!
//! Who comes when nothing is under way begins a task that commits until nobody waits. It runs where the request runs, so that a
//! request alone wakes no thread but the store's. Counts are written a while later, by a task that ends when they are.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millstream_insight::{Counter, Insight};
use millstream_storage::{Storage, StorageError, Transaction};
use millstream_types::{Clock, EncodedRecords, LogId};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::counts::{Charged, Counts, Request};
use super::line::{ACCESS_STREAM, AccessLine};
use super::usage::UsageStore;
use crate::limit::quota::Quotas;

/// Requests that may wait for a commit; beyond them no further ones are let through.
const WAITING_MAX: usize = 20_000;

/// Requests of one transaction: with lines of some hundred bytes it stays far below a journal frame's limit.
const BATCH_MAX: usize = 4_000;

/// Bytes of a line, about.
const LINE_BYTES: usize = 400;

/// How long counts stay in memory alone: after a crash they are made again from so many milliseconds of lines.
const WRITE_EVERY: Duration = Duration::from_millis(500);

/// The ledger. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    storage: Storage,
    clock: Arc<dyn Clock>,
    log: LogId,
    queue: Mutex<Queue>,
    /// Who commits or writes has the turn.
    counts: tokio::sync::Mutex<Counts>,
    /// Requests that were let through and do not wait for a commit yet.
    under_way: AtomicUsize,
    /// Whether a task will write the counts.
    writes_soon: AtomicBool,
    /// Where that task runs: it outlives requests.
    runtime: Handle,
    records: Counter,
    bytes: Counter,
}

#[derive(Default)]
struct Queue {
    waiting: Vec<Waiting>,
    /// Whether a task commits them.
    is_worked: bool,
    closed: bool,
}

/// A request that is to be committed, and who wants to know when it is. Without a request: who wants to know when all
/// before are, and their counts are on the disk.
struct Waiting {
    request: Option<Request>,
    told: Option<oneshot::Sender<Result<(), StorageError>>>,
}

impl Ledger {
    /// Makes the counts that are missing. `charged` tells the counter of a line's quota. Needs a tokio runtime that lives as long
    /// as the ledger.
    pub(crate) async fn start(
        (storage, log): (Storage, LogId),
        (usage, quotas): (UsageStore, Arc<Quotas>),
        charged: impl Fn(&AccessLine) -> Option<Charged> + Send + 'static,
        insight: &Insight,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StorageError> {
        let reader = storage.clone();
        let open = move || Counts::open(&reader, log, (usage, quotas), charged);
        let mut counts = tokio::task::spawn_blocking(open).await.map_err(|_| StorageError::Closed)??;
        counts.write().await?;
        let subject = format!("stream/{ACCESS_STREAM}");
        let shared = Arc::new(Shared {
            storage,
            clock,
            log,
            queue: Mutex::default(),
            counts: tokio::sync::Mutex::new(counts),
            under_way: AtomicUsize::new(0),
            writes_soon: AtomicBool::new(false),
            runtime: Handle::current(),
            records: insight.metrics.counter("records_in", &subject),
            bytes: insight.metrics.counter("bytes_in", &subject),
        });
        Ok(Self { shared })
    }

    /// Whether another request can be taken.
    pub(crate) fn has_room(&self) -> bool {
        self.shared.queue().waiting.len() < WAITING_MAX
    }

    /// Notes that a request is let through, which is committed later.
    pub(crate) fn expect(&self) {
        self.shared.under_way.fetch_add(1, Ordering::Relaxed);
    }

    /// Commits a request that was expected; durable when this resolves.
    pub(crate) async fn commit(&self, line: AccessLine, charged: Option<Charged>) -> Result<(), StorageError> {
        let (told, known) = oneshot::channel();
        self.push(Waiting { request: Some((line, charged)), told: Some(told) });
        known.await.map_err(|_| StorageError::Closed)?
    }

    /// Commits a request that was expected and for whose end nobody waits.
    pub(crate) fn commit_later(&self, line: AccessLine, charged: Option<Charged>) {
        self.push(Waiting { request: Some((line, charged)), told: None });
    }

    /// Waits until all requests so far are counted on the disk. After the end they are.
    pub(crate) async fn flush(&self) -> Result<(), StorageError> {
        if self.shared.queue().closed {
            return Ok(());
        }
        let (told, known) = oneshot::channel();
        self.push(Waiting { request: None, told: Some(told) });
        known.await.map_err(|_| StorageError::Closed)?
    }

    /// Commits what waits and takes no more.
    pub(crate) async fn shutdown(&self) {
        if let Err(error) = self.flush().await {
            tracing::error!(%error, "the last metered requests are not kept");
        }
        self.shared.queue().closed = true;
        // Whoever has the turn comes to its end.
        drop(self.shared.counts.lock().await);
    }

    /// After the end what is pushed is dropped, which its waiter learns.
    fn push(&self, waiting: Waiting) {
        if waiting.request.is_some() {
            self.shared.under_way.fetch_sub(1, Ordering::Relaxed);
        }
        let mut queue = self.shared.queue();
        if queue.closed {
            return;
        }
        queue.waiting.push(waiting);
        if std::mem::replace(&mut queue.is_worked, true) {
            return;
        }
        // A runtime that ends drops what it is given at once, and whoever drops it looks at the queue.
        drop(queue);
        let here = Handle::try_current().unwrap_or_else(|_| self.shared.runtime.clone());
        here.spawn(work(Worked { shared: Arc::clone(&self.shared), at_home: false, to_the_end: false }));
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is committed next; `None`: nobody waits, and whoever comes begins anew.
    fn take(&self) -> Option<Vec<Waiting>> {
        let mut queue = self.queue();
        if queue.waiting.is_empty() {
            queue.is_worked = false;
            return None;
        }
        let count = queue.waiting.len().min(BATCH_MAX);
        Some(queue.waiting.drain(..count).collect())
    }
}

/// Commits until nobody waits.
async fn work(mut worked: Worked) {
    loop {
        let shared = &worked.shared;
        // Taken anew for each batch: whoever writes the counts has a turn in between.
        let mut counts = shared.counts.lock().await;
        // Requests that are about to be answered join: the fewer commits, the more of the processor is left for them.
        if shared.under_way.load(Ordering::Relaxed) > 0 {
            tokio::task::yield_now().await;
        }
        let Some(batch) = shared.take() else { break };
        commit(shared, &mut counts, batch).await;
        if counts.are_ahead() && !shared.writes_soon.swap(true, Ordering::AcqRel) {
            shared.runtime.spawn(write_later(Arc::clone(shared)));
        }
    }
    worked.to_the_end = true;
}

/// Hands on what waits when the work breaks off, which it does with the runtime of the request that began it.
struct Worked {
    shared: Arc<Shared>,
    /// Whether it runs on the ledger's own runtime.
    at_home: bool,
    to_the_end: bool,
}

impl Drop for Worked {
    fn drop(&mut self) {
        if self.to_the_end {
            return;
        }
        let mut queue = self.shared.queue();
        if self.at_home || queue.waiting.is_empty() {
            queue.is_worked = false;
            // Nobody is left who could commit it: whoever waits learns so.
            let dropped = std::mem::take(&mut queue.waiting);
            drop(queue);
            if !dropped.is_empty() {
                tracing::error!(requests = dropped.len(), "metered requests are not kept: their work broke off");
            }
            return;
        }
        drop(queue);
        let next = Self { shared: Arc::clone(&self.shared), at_home: true, to_the_end: false };
        self.shared.runtime.spawn(work(next));
    }
}

/// Writes the counts a while later; what fails is tried again.
async fn write_later(shared: Arc<Shared>) {
    let mut write_at = Instant::now() + WRITE_EVERY;
    loop {
        tokio::time::sleep_until(write_at).await;
        let mut counts = shared.counts.lock().await;
        // Whoever makes them ahead again has the turn, and so sees this.
        if write(&mut counts).await.is_ok() {
            shared.writes_soon.store(false, Ordering::Release);
            return;
        }
        write_at = Instant::now() + WRITE_EVERY;
    }
}

/// Commits the lines of a batch, counts them, and tells whoever waits.
async fn commit(shared: &Shared, counts: &mut Counts, batch: Vec<Waiting>) {
    let (mut requests, mut told, mut asked) =
        (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()), Vec::new());
    for Waiting { request, told: waiter } in batch {
        let waiters = if request.is_some() { &mut told } else { &mut asked };
        waiters.extend(waiter);
        requests.extend(request);
    }
    if !requests.is_empty() {
        let committed = commit_requests(shared, counts, requests).await;
        for told in told {
            // Whoever has gone away does not need to know.
            let _ = told.send(committed.clone());
        }
    }
    if !asked.is_empty() {
        let written = write(counts).await;
        for asked in asked {
            let _ = asked.send(written.clone());
        }
    }
}

async fn commit_requests(shared: &Shared, counts: &mut Counts, mut requests: Vec<Request>) -> Result<(), StorageError> {
    match commit_lines(shared, counts, &mut requests).await {
        Ok(offset) => {
            counts.count(requests, offset);
            Ok(())
        }
        Err(error) => {
            tracing::error!(%error, "metered requests are not counted");
            counts.give_back(&requests);
            Err(error)
        }
    }
}

/// Commits the lines of requests; gives the offset of the first. What is counted of the same before is read.
async fn commit_lines(shared: &Shared, counts: &mut Counts, requests: &mut [Request]) -> Result<u64, StorageError> {
    let hour = counts.hour(shared.clock.now()).await?;
    let mut records = EncodedRecords::with_capacity(requests.len() * LINE_BYTES);
    let mut text = Vec::with_capacity(LINE_BYTES);
    for (line, _) in requests.iter_mut() {
        line.hour = hour;
        text.clear();
        line.write(&mut text);
        records.push(line.key.as_bytes(), b"", &text);
    }
    counts.read(requests.iter().map(|(line, _)| line)).await?;
    shared.records.add(records.count().into());
    shared.bytes.add(records.len() as u64);
    let mut transaction = Transaction::new();
    transaction.append(shared.log, records);
    let receipt = shared.storage.commit(transaction).await?;
    Ok(receipt.base_offsets.first().copied().unwrap_or_default())
}

async fn write(counts: &mut Counts) -> Result<(), StorageError> {
    counts.write().await.inspect_err(|error| tracing::error!(%error, "counts of metered requests are not written"))
}
