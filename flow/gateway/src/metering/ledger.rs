//! How metered requests become durable: those that wait while a commit is under way are the next one.
//!
//! One task owns the counts in memory. Its transaction holds a line for each request, and each count, quota and rest
//! once, however many requests changed it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_insight::{Counter, Insight};
use millstream_storage::{StorageError, Transaction};
use millstream_types::{Clock, EncodedRecords, LogId, Millis};
use tokio::sync::{Notify, oneshot};

use super::line::{ACCESS_STREAM, AccessLine};
use super::usage::{HOUR, UsageStore, UsageTotals, row_of};
use crate::limit::{period, quota::Quotas};

/// Requests that may wait for a commit; beyond them no further ones are let through.
const WAITING_MAX: usize = 20_000;

/// Requests of one transaction: with lines of some hundred bytes it stays far below a journal frame's limit.
const BATCH_MAX: usize = 4_000;

/// Counts in memory; others are read again when they grow.
const COUNTS_MAX: usize = 100_000;

/// Bytes of a line, about.
const LINE_BYTES: usize = 320;

/// A quota that a request was reserved in.
#[derive(Debug, Clone)]
pub(crate) struct Charged {
    /// The quota's counter.
    pub(crate) counter: String,
    /// What it allows.
    pub(crate) limit: u64,
}

/// The way to the ledger's task. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Ledger {
    shared: Arc<Shared>,
}

struct Shared {
    usage: UsageStore,
    quotas: Arc<Quotas>,
    clock: Arc<dyn Clock>,
    log: LogId,
    waiting: Mutex<Vec<Waiting>>,
    /// Requests that were let through and do not wait for a commit yet.
    under_way: AtomicUsize,
    wake: Notify,
    closed: AtomicBool,
    records: Counter,
    bytes: Counter,
}

/// A request that is to be committed, and who wants to know when it is. Without a request: who wants to know when all
/// before are.
struct Waiting {
    request: Option<(AccessLine, Option<Charged>)>,
    told: Option<oneshot::Sender<Result<(), StorageError>>>,
}

impl Ledger {
    /// Starts the task; it ends with [`Ledger::shutdown`].
    pub(crate) fn start(
        usage: UsageStore,
        quotas: Arc<Quotas>,
        log: LogId,
        insight: &Insight,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let subject = format!("stream/{ACCESS_STREAM}");
        let shared = Arc::new(Shared {
            usage,
            quotas,
            clock,
            log,
            waiting: Mutex::default(),
            under_way: AtomicUsize::new(0),
            wake: Notify::new(),
            closed: AtomicBool::new(false),
            records: insight.metrics.counter("records_in", &subject),
            bytes: insight.metrics.counter("bytes_in", &subject),
        });
        tokio::spawn(run(Arc::clone(&shared)));
        Self { shared }
    }

    /// Whether another request can be taken.
    pub(crate) fn has_room(&self) -> bool {
        self.shared.waiting().len() < WAITING_MAX
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

    /// Waits until all requests so far are durable.
    pub(crate) async fn flush(&self) -> Result<(), StorageError> {
        let (told, known) = oneshot::channel();
        self.push(Waiting { request: None, told: Some(told) });
        known.await.map_err(|_| StorageError::Closed)?
    }

    /// Commits what waits and ends the task.
    pub(crate) async fn shutdown(&self) {
        if let Err(error) = self.flush().await {
            tracing::error!(%error, "the last metered requests are not kept");
        }
        let _queue = self.shared.waiting();
        self.shared.closed.store(true, Ordering::Release);
        self.shared.wake.notify_one();
    }

    /// After the end what is pushed is dropped, which its waiter learns.
    fn push(&self, waiting: Waiting) {
        if waiting.request.is_some() {
            self.shared.under_way.fetch_sub(1, Ordering::Relaxed);
        }
        let mut queue = self.shared.waiting();
        if !self.shared.closed.load(Ordering::Acquire) {
            queue.push(waiting);
            self.shared.wake.notify_one();
        }
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting();
        if waiting.len() <= BATCH_MAX {
            return std::mem::take(&mut *waiting);
        }
        waiting.drain(..BATCH_MAX).collect()
    }
}

async fn run(shared: Arc<Shared>) {
    let mut counts = Counts::default();
    while !shared.closed.load(Ordering::Acquire) {
        shared.wake.notified().await;
        loop {
            // Requests that are about to be answered join: the fewer commits, the more of the processor is left for them.
            if shared.under_way.load(Ordering::Relaxed) > 0 {
                tokio::task::yield_now().await;
            }
            let batch = shared.take();
            if batch.is_empty() {
                break;
            }
            let (mut requests, mut told) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
            for waiting in batch {
                requests.extend(waiting.request);
                told.extend(waiting.told);
            }
            let committed = counts.commit(&shared, requests).await;
            if let Err(error) = &committed {
                tracing::error!(%error, "metered requests are not counted");
                // What is in memory may be ahead of the disk.
                counts.rows.clear();
            }
            for told in told {
                // Whoever has gone away does not need to know.
                let _ = told.send(committed.clone());
            }
        }
    }
    shared.waiting().clear();
}

/// The counts of the current hour as they are submitted.
#[derive(Default)]
struct Counts {
    hour: Millis,
    rows: HashMap<Vec<u8>, UsageTotals>,
}

impl Counts {
    async fn commit(
        &mut self,
        shared: &Shared,
        mut requests: Vec<(AccessLine, Option<Charged>)>,
    ) -> Result<(), StorageError> {
        if requests.is_empty() {
            return Ok(());
        }
        self.begin_hour(shared.clock.now());
        for (line, _) in &mut requests {
            line.hour = self.hour;
        }
        let rows: Vec<Vec<u8>> = requests.iter().map(|(line, _)| row_of(line)).collect();
        self.read_missing(shared, &rows).await?;
        let mut transaction = Transaction::new();
        let mut records = EncodedRecords::with_capacity(requests.len() * LINE_BYTES);
        let mut settled: BTreeMap<String, u32> = BTreeMap::new();
        let mut charged: HashMap<&str, (&AccessLine, u64)> = HashMap::new();
        for ((line, quota), row) in requests.iter().zip(&rows) {
            let text = serde_json::to_vec(line).unwrap_or_default();
            records.push(line.key.as_bytes(), b"", &text);
            if let Some(counted) = self.rows.get_mut(row) {
                counted.add(UsageTotals { requests: 1, bytes: line.response_bytes });
            }
            if let Some(quota) = quota {
                *settled.entry(quota.counter.clone()).or_default() += 1;
                charged.insert(&quota.counter, (line, quota.limit));
            }
        }
        shared.records.add(records.count().into());
        shared.bytes.add(records.len() as u64);
        transaction.append(shared.log, records);
        for row in rows.iter().collect::<BTreeSet<_>>() {
            let used = self.rows.get(row).copied().unwrap_or_default();
            shared.usage.put(&mut transaction, row, used);
        }
        let day = period::day(self.hour);
        let ticket = shared.quotas.settle(transaction, &settled, |transaction, counter, state| {
            if let Some((line, limit)) = charged.get(counter) {
                shared.usage.put_left(transaction, (&line.plan, &line.key), day, state.left(*limit));
            }
        })?;
        ticket.durable().await.map(drop)
    }

    /// Hours never go back, so that one that is over stays as it is.
    fn begin_hour(&mut self, now: Millis) {
        let hour = now.div_euclid(HOUR) * HOUR;
        if hour > self.hour || self.rows.len() > COUNTS_MAX {
            self.rows.clear();
        }
        self.hour = self.hour.max(hour);
    }

    async fn read_missing(&mut self, shared: &Shared, rows: &[Vec<u8>]) -> Result<(), StorageError> {
        let missing: Vec<Vec<u8>> = rows.iter().filter(|row| !self.rows.contains_key(*row)).cloned().collect();
        if missing.is_empty() {
            return Ok(());
        }
        let usage = shared.usage.clone();
        let read = tokio::task::spawn_blocking(move || {
            let counted = |row: Vec<u8>| usage.submitted(&row).map(|used| (row, used));
            missing.into_iter().map(counted).collect::<Result<Vec<_>, _>>()
        });
        self.rows.extend(read.await.map_err(|_| StorageError::Closed)??);
        Ok(())
    }
}
