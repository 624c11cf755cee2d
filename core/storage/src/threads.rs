//! The two threads of a running engine: the committer, and the checkpointer that also watches the room on the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use crate::blocks::Blocks;
use crate::engine::{Engine, lock};
use crate::error::StorageError;
use crate::journal::make_spare;
use crate::options::Durability;

/// How often the checkpointer looks at the clock and the free room.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a committer that is too far ahead of the checkpoint sleeps.
const BEHIND_SLEEP: Duration = Duration::from_millis(1);
/// Bytes that the committer's buffer keeps while nothing is to be done.
const IDLE_BUFFER_BYTES: usize = 256 << 10;

/// Running threads.
pub(crate) struct Threads {
    stop: Arc<AtomicBool>,
    committer: JoinHandle<()>,
    checkpointer: JoinHandle<()>,
}

impl Threads {
    /// Starts them.
    pub(crate) fn start(engine: &Arc<Engine>) -> Result<Self, StorageError> {
        let stop = Arc::new(AtomicBool::new(false));
        let checkpointer = {
            let (engine, stop) = (Arc::clone(engine), Arc::clone(&stop));
            spawn("checkpointer", move || run_checkpointer(&engine, &stop))?
        };
        let committer = {
            let (engine, checkpointer) = (Arc::clone(engine), checkpointer.thread().clone());
            spawn("committer", move || run_committer(&engine, &checkpointer))?
        };
        Ok(Self { stop, committer, checkpointer })
    }

    /// Refuses new transactions, commits those that wait, and ends the threads.
    pub(crate) fn stop(self, engine: &Engine) {
        lock(&engine.queue).closed = true;
        engine.work.notify_all();
        // A panic of a thread was reported when it happened.
        let _ = self.committer.join();
        self.stop.store(true, Ordering::SeqCst);
        self.checkpointer.thread().unpark();
        let _ = self.checkpointer.join();
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StorageError> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map_err(|error| StorageError::Io {
        action: "start thread",
        file: name.to_owned(),
        reason: error.to_string(),
    })
}

fn run_committer(engine: &Engine, checkpointer: &Thread) {
    let mut blocks = Blocks::default();
    let mut synced_at = Instant::now();
    loop {
        while engine.journal_is_wanted() {
            thread::yield_now();
        }
        let committed = engine.commit_once(&mut blocks);
        let due = match engine.options.durability {
            Durability::Interval(interval) => synced_at.elapsed() >= interval,
            Durability::Fsync | Durability::Os => false,
        };
        if due {
            sync(engine);
            synced_at = Instant::now();
        }
        if engine.since_checkpoint.load(Ordering::Relaxed) >= engine.options.checkpoint_bytes {
            checkpointer.unpark();
        }
        while engine.is_behind() && !engine.disk_full.load(Ordering::Relaxed) && lock(&engine.queue).poison.is_none() {
            thread::sleep(BEHIND_SLEEP);
        }
        if !committed && !wait_for_work(engine, &mut blocks) {
            return;
        }
    }
}

/// False when nothing will come any more.
fn wait_for_work(engine: &Engine, blocks: &mut Blocks) -> bool {
    let mut queue = lock(&engine.queue);
    if !queue.pending.is_empty() {
        return true;
    }
    if queue.closed {
        return false;
    }
    blocks.shrink_to(IDLE_BUFFER_BYTES);
    queue.committer_sleeps = true;
    let timeout = match engine.options.durability {
        Durability::Interval(interval) => interval,
        Durability::Fsync | Durability::Os => Duration::MAX,
    };
    let _woken = engine.work.wait_timeout(queue, timeout);
    true
}

fn sync(engine: &Engine) {
    let synced = lock(&engine.journal).sync();
    if let Err(error) = synced {
        engine.poison(&error);
    }
}

fn run_checkpointer(engine: &Engine, stop: &AtomicBool) {
    let mut last = Instant::now();
    while !stop.load(Ordering::SeqCst) {
        prepare_spare(engine);
        look_at_room(engine);
        let bytes = engine.since_checkpoint.load(Ordering::Relaxed);
        let due = bytes > 0 && last.elapsed() >= engine.options.checkpoint_interval;
        let poisoned = lock(&engine.queue).poison.is_some();
        if !poisoned && (due || bytes >= engine.options.checkpoint_bytes) {
            match engine.checkpoint(false) {
                Ok(()) => {}
                Err(StorageError::DiskFull) => {
                    engine.disk_full.store(true, Ordering::Relaxed);
                    // The next look tries again.
                    engine.since_checkpoint.fetch_add(1, Ordering::Relaxed);
                }
                Err(error) => engine.poison(&error),
            }
            last = Instant::now();
        }
        let bytes = engine.since_checkpoint.load(Ordering::Relaxed);
        if bytes < engine.options.checkpoint_bytes || poisoned {
            thread::park_timeout(LOOK_EVERY);
        }
    }
}

/// So that the committer does not have to fill a file with zeros itself.
fn prepare_spare(engine: &Engine) {
    let Some(name) = engine.journal_in_turn().wants_spare() else { return };
    match make_spare(&*engine.disk, &name, engine.options.journal_file_bytes) {
        Ok(spare) => engine.journal_in_turn().add_spare(spare),
        Err(error) => tracing::warn!(%error, "no journal file could be prepared"),
    }
}

fn look_at_room(engine: &Engine) {
    match engine.disk.available() {
        Ok(available) => {
            let full = available < engine.options.free_bytes_min;
            if engine.disk_full.swap(full, Ordering::Relaxed) != full {
                tracing::warn!(full, available, "free room on the data disk");
            }
        }
        Err(error) => tracing::warn!(%error, "the free room of the data disk cannot be read"),
    }
}
