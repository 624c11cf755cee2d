//! Watches what a process and all that it started take, and ends them when it is too much.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::task::JoinHandle;

use crate::usage::{self, Unlinked};

/// How often a process that runs an invocation is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Of these looks, one is taken at a process that has nothing to do,
const IDLE_LOOKS: u32 = 20;

/// one of these is at its files too,
const FILE_LOOKS: u32 = 5;

/// and one of these at files that its threads have for themselves.
const THREAD_LOOKS: u32 = 40;

/// Processes and threads of a function: the service's limit.
pub(crate) const TASKS_MAX: usize = 1_024;

/// What lies in its temporary folder, or did and is still open: the service's default, bytes.
pub(crate) const FOLDER_BYTES_MAX: u64 = 512 << 20;

/// Files of the temporary folder: about what 512 MiB of small ones are.
const FOLDER_FILES_MAX: usize = 100_000;

/// What is watched.
pub(crate) struct Watched {
    pub(crate) group: Pid,
    /// Processes between this one and the runtime.
    pub(crate) levels: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) temporary: PathBuf,
}

/// A watch over a process; it ends when this is dropped.
pub(crate) struct Watch {
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    busy: AtomicBool,
    peak_bytes: AtomicU64,
    ended_for: OnceLock<&'static str>,
}

impl Watch {
    pub(crate) fn over(watched: Watched) -> Self {
        let state = Arc::new(State::default());
        let task = tokio::spawn(watch(Arc::new(watched), Arc::clone(&state)));
        Self { state, task }
    }

    /// Says whether it runs an invocation.
    pub(crate) fn set_busy(&self, busy: bool) {
        self.state.busy.store(busy, Ordering::Relaxed);
    }

    /// The most memory that was seen, bytes.
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.state.peak_bytes.load(Ordering::Relaxed)
    }

    /// Why the process was ended, if it was.
    pub(crate) fn ended_for(&self) -> Option<&'static str> {
        self.state.ended_for.get().copied()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn watch(watched: Arc<Watched>, state: Arc<State>) {
    for turn in 1u32.. {
        tokio::time::sleep(LOOK).await;
        let idle = turn.is_multiple_of(IDLE_LOOKS);
        if !state.busy.load(Ordering::Relaxed) && !idle {
            continue;
        }
        let files = match turn {
            turn if turn.is_multiple_of(THREAD_LOOKS) => Files::OfThreads,
            turn if turn.is_multiple_of(FILE_LOOKS) => Files::OfProcesses,
            _ => Files::Unseen,
        };
        let (seen, noted) = (Arc::clone(&watched), Arc::clone(&state));
        let excess = tokio::task::spawn_blocking(move || look(&seen, &noted, files)).await.unwrap_or(None);
        if let Some(reason) = excess {
            let _ = state.ended_for.set(reason);
            // Gone already: that is what was wanted.
            let _ = kill_process_group(watched.group, Signal::KILL);
            return;
        }
    }
}

/// Which files a look is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Files {
    Unseen,
    OfProcesses,
    OfThreads,
}

/// What there is too much of.
fn look(watched: &Watched, state: &State, files: Files) -> Option<&'static str> {
    let root = watched.group.as_raw_nonzero().get();
    let usage = usage::of_tree(root, watched.levels, TASKS_MAX);
    if usage.tasks > TASKS_MAX {
        return Some("it started more than 1,024 processes and threads");
    }
    let unlinked = match files {
        Files::Unseen => Unlinked::default(),
        files => usage::unlinked(root, files == Files::OfThreads),
    };
    let memory_bytes = usage.memory_bytes + unlinked.memory_bytes;
    state.peak_bytes.fetch_max(memory_bytes, Ordering::Relaxed);
    if memory_bytes > watched.memory_bytes {
        return Some("it took more memory than it has");
    }
    let left = FOLDER_BYTES_MAX.checked_sub(unlinked.disk_bytes);
    let full =
        files != Files::Unseen && left.is_none_or(|left| usage::is_over(&watched.temporary, left, FOLDER_FILES_MAX));
    full.then_some("it wrote more than 512 MiB, or too many files, to its temporary folder")
}
