//! One process of a function: started, watched, given one invocation at a time, killed when it must be.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::confinement::{Confinement, Launcher, Limits, Plan, SIGNALED};
use crate::error::FunctionError;
use crate::log_capture::LogCapture;
use crate::output::Output;
use crate::package::Unpacked;
use crate::runtime::Program;
use crate::runtime_api::{Answer, Port, RuntimeApi, Work};
use crate::usage;
use crate::watch::{FOLDER_BYTES_MAX, TASKS_MAX, Watch, Watched};

/// How long a process may take before it asks for its first invocation without that counting as part of it: the
/// service's limit.
const INIT_MAX: Duration = Duration::from_secs(10);

/// Address space for data beyond the limit on resident memory: runtimes reserve more than they use. It stops what grows
/// faster than memory is looked at.
const DATA_RESERVE_BYTES: u64 = 1 << 30;

/// Open files of a process: the service's limit.
const FILES_MAX: u64 = 1_024;

/// What a process is started with.
pub(crate) struct Start {
    pub(crate) program: Program,
    pub(crate) environment: Vec<(String, String)>,
    /// Its code, and where it is started.
    pub(crate) package: Unpacked,
    pub(crate) memory_mib: u32,
    pub(crate) log: Arc<LogCapture>,
    pub(crate) temporary: PathBuf,
    /// What confines it, and with what; `None`: it is only limited.
    pub(crate) launcher: Option<(Launcher, Confinement)>,
    /// What it may read besides the system's programs.
    pub(crate) readable: Vec<PathBuf>,
    /// What it does not see.
    pub(crate) hidden: Vec<PathBuf>,
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
    watch: Watch,
    /// Processes between the one that was started and the runtime.
    levels: usize,
    /// The launcher ends when this does.
    _lifeline: Option<ChildStdin>,
    temporary: PathBuf,
    _package: Unpacked,
    pub(crate) log: Arc<LogCapture>,
    output: Vec<Arc<Output>>,
    /// Which version of its function it runs.
    pub(crate) generation: String,
    pub(crate) idle_since: Instant,
    /// Whether it has run an invocation yet.
    pub(crate) warm: bool,
}

impl Process {
    pub(crate) async fn start(start: Start, generation: String) -> Result<Self, FunctionError> {
        let shown = start.program.path.display().to_string();
        let wrong = |error: std::io::Error| FunctionError::Start { program: shown.clone(), reason: error.to_string() };
        let port = Port::take().await.map_err(wrong)?;
        tokio::fs::create_dir_all(&start.temporary).await.map_err(wrong)?;
        let levels = start.launcher.as_ref().map_or(0, |(_, confinement)| confinement.levels());
        let limits = Limits {
            data_bytes: (u64::from(start.memory_mib) << 20) + DATA_RESERVE_BYTES,
            files: FILES_MAX,
            file_bytes: FOLDER_BYTES_MAX,
            tasks: TASKS_MAX as u64,
        };
        let plan = plan(&start, &port, limits);
        let mut child = command(&start, &plan)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(wrong)?;
        let group = child
            .id()
            .and_then(|id| Pid::from_raw(id.cast_signed()))
            .ok_or_else(|| FunctionError::Start { program: shown.clone(), reason: "it ended at once".to_owned() })?;
        let mut lifeline = child.stdin.take();
        match &mut lifeline {
            // What it prints says why when it does not read.
            Some(stdin) => drop(stdin.write_all(&plan.line()).await),
            None => {
                if let Err(error) = limits.apply(Some(group)) {
                    tracing::warn!(%error, "cannot limit a function's process");
                }
            }
        }
        let output = output(&mut child, &start.log).map_err(wrong)?;
        let api = port.serve(group);
        let exit = watch_exit(child);
        let watch = Watch::over(Watched {
            group,
            levels,
            memory_bytes: u64::from(start.memory_mib) << 20,
            temporary: start.temporary.clone(),
        });
        Ok(Self {
            api,
            group,
            exit,
            watch,
            levels,
            _lifeline: lifeline,
            temporary: start.temporary,
            _package: start.package,
            log: start.log,
            output,
            generation,
            idle_since: Instant::now(),
            warm: false,
        })
    }

    /// Writes to its log what it has printed so far.
    pub(crate) fn catch_up_log(&self) {
        self.output.iter().for_each(|output| output.catch_up());
    }

    /// Whether it still runs.
    pub(crate) fn alive(&self) -> bool {
        self.exit.borrow().is_none()
    }

    /// The most memory so far, MiB.
    pub(crate) fn peak_mib(&self) -> u64 {
        let root = self.group.as_raw_nonzero().get();
        let runtime = usage::descendant(root, self.levels).and_then(usage::peak_bytes);
        runtime.unwrap_or(0).max(self.watch.peak_bytes()).div_ceil(1 << 20)
    }

    /// Why the node ended the process, if it did for what it took.
    pub(crate) fn ended_for(&self) -> Option<&'static str> {
        self.watch.ended_for()
    }

    /// Waits until a new process asks for its first invocation; gives how long that took. `None`: it has ended, or takes
    /// so long that the rest counts as part of the invocation.
    pub(crate) async fn initialise(&mut self) -> Option<Duration> {
        self.watch.set_busy(true);
        let begin = self.idle_since;
        let mut exit = self.exit.clone();
        tokio::select! {
            ready = timeout(INIT_MAX, self.api.ready()) => ready.ok().map(|()| begin.elapsed()),
            _ = wait_exit(&mut exit) => None,
        }
    }

    /// Runs one invocation to its end, whatever that is.
    pub(crate) async fn run(&mut self, id: &str, mut work: Work, timeout: Duration) -> Ended {
        let (reply, answered) = oneshot::channel();
        work.reply = reply;
        self.warm = true;
        self.watch.set_busy(true);
        let deadline = Instant::now() + timeout;
        if self.api.work.send(work).await.is_err() {
            return self.exited(id).await;
        }
        let mut exit = self.exit.clone();
        tokio::select! {
            biased;
            answer = answered => match answer {
                Ok(Answer::Response(payload)) => Ended { payload, failed: false, reusable: true },
                Ok(Answer::Error(payload)) => Ended { payload, failed: true, reusable: true },
                Ok(Answer::Fatal(payload)) => Ended { payload, failed: true, reusable: false },
                // The API is gone, so the process is.
                Err(_) => self.exited(id).await,
            },
            _ = wait_exit(&mut exit) => self.exited(id).await,
            () = sleep_until(deadline) => {
                self.kill();
                let seconds = timeout.as_secs_f64();
                died("Sandbox.Timedout", &format!("RequestId: {id} Error: Task timed out after {seconds:.2} seconds"))
            }
        }
    }

    /// It has nothing to do for now.
    pub(crate) fn rest(&mut self) {
        self.watch.set_busy(false);
        self.idle_since = Instant::now();
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
        let ended = status.map(|status| match (status.code(), status.signal()) {
            // What stood between said the signal as a number.
            (Some(code), _) if self.levels > 0 && code > SIGNALED => (None, Some(code - SIGNALED)),
            ended => ended,
        });
        let how = match ended {
            None | Some((Some(0), _)) => "Runtime exited without providing a reason".to_owned(),
            Some((Some(code), _)) => format!("Runtime exited with error: exit status {code}"),
            Some((None, signal)) => format!("Runtime exited with error: signal: {}", signal_name(signal.unwrap_or(0))),
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

/// Its stdout and stderr.
fn output(child: &mut Child, log: &Arc<LogCapture>) -> std::io::Result<Vec<Arc<Output>>> {
    let stdout = child.stdout.take().map(ChildStdout::into_owned_fd);
    let stderr = child.stderr.take().map(ChildStderr::into_owned_fd);
    [stdout, stderr].into_iter().flatten().map(|pipe| Output::follow(pipe?, Arc::clone(log))).collect()
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

/// What the launcher is told, or what is started directly without one.
fn plan(start: &Start, port: &Port, limits: Limits) -> Plan {
    let own = |name: &str, value: String| (name.to_owned(), value);
    let namespaces = start.launcher.as_ref().is_some_and(|(_, confinement)| confinement.namespaces);
    let temporary = if namespaces { "/tmp".to_owned() } else { start.temporary.display().to_string() };
    let mut environment = start.environment.clone();
    environment.extend([
        own("AWS_LAMBDA_RUNTIME_API", port.address.to_string()),
        own("TMPDIR", temporary.clone()),
        own("HOME", temporary),
    ]);
    Plan {
        program: start.program.path.clone(),
        arguments: start.program.arguments.clone(),
        environment,
        folder: start.package.folder.clone(),
        readable: start.readable.clone(),
        hidden: start.hidden.clone(),
        temporary: start.temporary.clone(),
        limits,
        namespaces,
        probe: false,
    }
}

fn command(start: &Start, plan: &Plan) -> Command {
    if let Some((launcher, _)) = &start.launcher {
        let mut command = Command::new(&launcher.program);
        command.args(&launcher.arguments).env_clear().stdin(Stdio::piped());
        return command;
    }
    let mut command = Command::new(&plan.program);
    command
        .args(&plan.arguments)
        .env_clear()
        .envs(plan.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(&plan.folder)
        .stdin(Stdio::null());
    command
}

/// A signal as the service names it.
fn signal_name(signal: i32) -> String {
    let name = match signal {
        2 => "interrupt",
        4 => "illegal instruction",
        6 => "aborted",
        7 => "bus error",
        8 => "floating point exception",
        9 => "killed",
        11 => "segmentation fault",
        15 => "terminated",
        25 => "file size limit exceeded",
        other => return other.to_string(),
    };
    name.to_owned()
}
