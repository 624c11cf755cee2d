//! One process of a function: started, watched, given one invocation at a time, killed when it must be.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::error::FunctionError;
use crate::log_capture::LogCapture;
use crate::runtime::Program;
use crate::runtime_api::{Answer, RuntimeApi, Work};

/// How often a process's memory is looked at.
const MEMORY_LOOK: Duration = Duration::from_millis(50);

/// Address space for data beyond the limit on resident memory: runtimes reserve more than they use. It stops what grows
/// faster than memory is looked at.
const DATA_RESERVE_BYTES: u64 = 1 << 30;

/// Open files of a process: the service's limit.
const FILES_MAX: u64 = 1_024;

/// The largest file a process may write: the default size of its temporary folder.
const FILE_BYTES_MAX: u64 = 512 << 20;

/// What a process is started with.
pub(crate) struct Start {
    pub(crate) program: Program,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) task_root: PathBuf,
    pub(crate) memory_mib: u32,
    pub(crate) log: Arc<LogCapture>,
    pub(crate) temporary: PathBuf,
}

/// How an invocation ended.
pub(crate) struct Ended {
    pub(crate) payload: Bytes,
    /// Whether `payload` is an error document.
    pub(crate) failed: bool,
    /// Whether the process can take another invocation.
    pub(crate) reusable: bool,
}

/// A running process. Killed with its whole group when dropped.
pub(crate) struct Process {
    api: RuntimeApi,
    group: Pid,
    exit: watch::Receiver<Option<ExitStatus>>,
    memory_bytes: u64,
    temporary: PathBuf,
    pub(crate) log: Arc<LogCapture>,
    /// Which version of its function it runs.
    pub(crate) revision: String,
    pub(crate) idle_since: Instant,
    /// Whether it has run an invocation yet.
    pub(crate) warm: bool,
}

impl Process {
    pub(crate) async fn start(start: Start, revision: String) -> Result<Self, FunctionError> {
        let shown = start.program.path.display().to_string();
        let wrong = |error: std::io::Error| FunctionError::Start { program: shown.clone(), reason: error.to_string() };
        let api = RuntimeApi::listen().await.map_err(wrong)?;
        tokio::fs::create_dir_all(&start.temporary).await.map_err(wrong)?;
        let mut child = Command::new(&start.program.path)
            .args(&start.program.arguments)
            .env_clear()
            .envs(start.environment)
            .env("AWS_LAMBDA_RUNTIME_API", api.address.to_string())
            .env("TMPDIR", &start.temporary)
            .env("HOME", &start.temporary)
            .current_dir(&start.task_root)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(wrong)?;
        let group = child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
            .ok_or_else(|| FunctionError::Start { program: shown.clone(), reason: "it ended at once".to_owned() })?;
        let memory_bytes = u64::from(start.memory_mib) << 20;
        limit(group, memory_bytes);
        if let Some(pipe) = child.stdout.take() {
            tokio::spawn(Arc::clone(&start.log).read(pipe));
        }
        if let Some(pipe) = child.stderr.take() {
            tokio::spawn(Arc::clone(&start.log).read(pipe));
        }
        let exit = watch_exit(child);
        Ok(Self {
            api,
            group,
            exit,
            memory_bytes,
            temporary: start.temporary,
            log: start.log,
            revision,
            idle_since: Instant::now(),
            warm: false,
        })
    }

    /// Whether it still runs.
    pub(crate) fn alive(&self) -> bool {
        self.exit.borrow().is_none()
    }

    /// The largest resident size so far, MiB.
    pub(crate) fn peak_mib(&self) -> u64 {
        status_kib(self.group, "VmHWM:").unwrap_or(0).div_ceil(1_024)
    }

    /// Runs one invocation to its end, whatever that is.
    pub(crate) async fn run(&mut self, id: &str, mut work: Work, timeout: Duration) -> Ended {
        let (reply, mut answered) = oneshot::channel();
        work.reply = reply;
        self.warm = true;
        let deadline = Instant::now() + timeout;
        if self.api.work.send(work).await.is_err() {
            return self.exited(id).await;
        }
        let mut look = interval(MEMORY_LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut exit = self.exit.clone();
        loop {
            tokio::select! {
                biased;
                answer = &mut answered => match answer {
                    Ok(Answer::Response(payload)) => return Ended { payload, failed: false, reusable: true },
                    Ok(Answer::Error(payload)) => return Ended { payload, failed: true, reusable: true },
                    // The API is gone, so the process is.
                    Err(_) => return self.exited(id).await,
                },
                _ = wait_exit(&mut exit) => return self.exited(id).await,
                () = sleep_until(deadline) => {
                    self.kill();
                    let message = format!("RequestId: {id} Error: Task timed out after {:.2} seconds", timeout.as_secs_f64());
                    return died("Sandbox.Timedout", &message);
                }
                _ = look.tick() => {
                    if status_kib(self.group, "VmRSS:").unwrap_or(0) << 10 > self.memory_bytes {
                        self.kill();
                    }
                }
            }
        }
    }

    /// Kills the process and all that it started.
    fn kill(&self) {
        // Gone already: that is what was wanted.
        let _ = kill_process_group(self.group, Signal::KILL);
    }

    /// Asks the process to end.
    pub(crate) fn terminate(&self) {
        let _ = kill_process_group(self.group, Signal::TERM);
    }

    async fn exited(&mut self, id: &str) -> Ended {
        use std::os::unix::process::ExitStatusExt as _;
        let status = wait_exit(&mut self.exit).await;
        if let Some(document) = self.api.init_error() {
            return Ended { payload: document, failed: true, reusable: false };
        }
        let how = match status {
            Some(status) if status.success() => "Runtime exited without providing a reason".to_owned(),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
                (None, Some(9)) => "Runtime exited with error: signal: killed".to_owned(),
                (None, signal) => format!("Runtime exited with error: signal: {}", signal.unwrap_or_default()),
            },
            None => "Runtime exited without providing a reason".to_owned(),
        };
        died("Runtime.ExitError", &format!("RequestId: {id} Error: {how}"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        let temporary = std::mem::take(&mut self.temporary);
        // What it left behind may be much: not on an async worker.
        tokio::task::spawn_blocking(move || std::fs::remove_dir_all(temporary));
    }
}

fn died(kind: &str, message: &str) -> Ended {
    let document: Value = json!({ "errorType": kind, "errorMessage": message });
    Ended { payload: Bytes::from(document.to_string()), failed: true, reusable: false }
}

/// Waits for the child in a task of its own, so that it is never left as a zombie.
fn watch_exit(mut child: Child) -> watch::Receiver<Option<ExitStatus>> {
    let (sender, exit) = watch::channel(None);
    tokio::spawn(async move {
        if let Ok(status) = child.wait().await {
            sender.send_replace(Some(status));
        }
    });
    exit
}

/// The status with which the process ended; `None` when that cannot be known any more.
async fn wait_exit(exit: &mut watch::Receiver<Option<ExitStatus>>) -> Option<ExitStatus> {
    loop {
        let status = *exit.borrow_and_update();
        if status.is_some() || exit.changed().await.is_err() {
            return status;
        }
    }
}

fn limit(process: Pid, memory_bytes: u64) {
    let limits = [
        (Resource::Data, memory_bytes + DATA_RESERVE_BYTES),
        (Resource::Nofile, FILES_MAX),
        (Resource::Fsize, FILE_BYTES_MAX),
        (Resource::Core, 0),
    ];
    for (resource, value) in limits {
        if let Err(error) = prlimit(Some(process), resource, Rlimit { current: Some(value), maximum: Some(value) }) {
            tracing::warn!(?resource, %error, "cannot limit a function's process");
        }
    }
}

/// A line of `/proc/PID/status` in KiB.
fn status_kib(process: Pid, name: &str) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).ok()?;
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}
