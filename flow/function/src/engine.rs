//! The operations on functions.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{Catalog, FunctionDefinition};
use millstream_insight::{Insight, Step};
use millstream_storage::{Storage, Transaction};
use millstream_types::{BoxFuture, Clock, Invocation, InvocationId, InvocationOutcome, Invoke, InvokeError, Millis};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::asynchronous::{self, AsyncStore};
use crate::error::FunctionError;
use crate::log_capture::LogCapture;
use crate::package::{self, Packages};
use crate::pool::Pool;
use crate::process::{Ended, Process, Start};
use crate::runtime::{Runtime, Runtimes};
use crate::runtime_api::Work;

/// The largest event of a synchronous invocation: the service's limit.
const PAYLOAD_BYTES_MAX: usize = 6 << 20;

/// Ended invocations that are remembered of each function.
const RECENT_MAX: usize = 100;

/// How long output may come behind an answer, through its own pipe, and still stand before the END line.
const OUTPUT_GRACE: Duration = Duration::from_millis(10);

/// How long invocations under way may take to end once the node stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Something that the node knows of each function by its name.
pub type OfFunction<T> = Arc<dyn Fn(&str) -> T + Send + Sync>;

/// What the engine needs to know of the node.
#[derive(Clone)]
pub struct Options {
    /// Where packages and bootstraps lie and processes have their temporary folders.
    pub folder: PathBuf,
    /// Invocations at once on this node.
    pub concurrency_max: usize,
    /// Where functions find the node's AWS protocols.
    pub endpoint: String,
    /// The region that functions are told.
    pub region: String,
    /// The function's ARN by its name.
    pub arn: OfFunction<String>,
    /// Key and secret of a function's processes by its name.
    pub credentials: OfFunction<(String, String)>,
    /// Folders that Python functions may import from besides their package.
    pub python_path: Vec<PathBuf>,
    /// Folders that Node.js functions may require from besides their package.
    pub node_path: Vec<PathBuf>,
    /// Waits before each further attempt of an asynchronous invocation.
    pub retry_waits: Arc<[Duration]>,
}

/// What a function is made from.
#[derive(Debug, Clone)]
pub struct NewFunction {
    /// Its name.
    pub name: String,
    /// The runtime's identifier.
    pub runtime: String,
    /// What the runtime calls.
    pub handler: String,
    /// For people.
    pub description: String,
    /// The role that the maker named.
    pub role: String,
    /// Longest run.
    pub timeout_seconds: u32,
    /// Memory limit.
    pub memory_mib: u32,
    /// Variables.
    pub environment: BTreeMap<String, String>,
    /// At most this many at once.
    pub concurrency_limit: Option<u32>,
    /// The package, a zip.
    pub package: Bytes,
}

/// A change of a function: what is `None` stays.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct FunctionChange {
    pub runtime: Option<String>,
    pub handler: Option<String>,
    pub description: Option<String>,
    pub role: Option<String>,
    pub timeout_seconds: Option<u32>,
    pub memory_mib: Option<u32>,
    pub environment: Option<BTreeMap<String, String>>,
    pub concurrency_limit: Option<Option<u32>>,
    pub package: Option<Bytes>,
}

/// An invocation that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvocationSummary {
    /// Its id.
    pub id: InvocationId,
    /// When it began.
    pub started: Millis,
    /// How long it ran.
    pub duration_ms: u64,
    /// Who asked.
    pub source: String,
    /// The error's message when it failed.
    pub error: Option<String>,
    /// Whether it had to start a process.
    pub cold: bool,
}

/// The function engine. Cheap to clone.
#[derive(Clone)]
pub struct Functions {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    storage: Storage,
    catalog: Catalog,
    insight: Insight,
    clock: Arc<dyn Clock>,
    packages: Packages,
    runtimes: Runtimes,
    pool: Arc<Pool>,
    asynchronous: AsyncStore,
    recent: Mutex<HashMap<String, VecDeque<InvocationSummary>>>,
}

impl Functions {
    /// Opens the engine and takes up asynchronous invocations that had not ended. Works on the disk; needs a tokio runtime.
    ///
    /// # Errors
    /// [`FunctionError::Start`] when the folder cannot be written; [`FunctionError::Storage`].
    pub fn open(
        options: Options,
        storage: Storage,
        catalog: Catalog,
        insight: Insight,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, FunctionError> {
        let place = |error: std::io::Error| FunctionError::Start {
            program: options.folder.display().to_string(),
            reason: error.to_string(),
        };
        let _ = std::fs::remove_dir_all(options.folder.join("tmp"));
        std::fs::create_dir_all(options.folder.join("tmp")).map_err(place)?;
        let folder = options.folder.canonicalize().map_err(place)?;
        let options = Options { folder, ..options };
        let packages = Packages::new(storage.clone(), options.folder.join("packages"));
        std::fs::create_dir_all(options.folder.join("packages")).map_err(place)?;
        let runtimes = Runtimes::new(options.folder.join("bootstrap")).map_err(place)?;
        let pool = Arc::new(Pool::new(options.concurrency_max));
        let asynchronous = AsyncStore::new(storage.clone());
        let left = asynchronous.ids()?;
        let shared = Shared {
            options,
            storage,
            catalog,
            insight,
            clock,
            packages,
            runtimes,
            pool,
            asynchronous,
            recent: Mutex::default(),
        };
        let engine = Self { shared: Arc::new(shared) };
        for id in left {
            tokio::spawn(asynchronous::run(engine.clone(), engine.shared.asynchronous.clone(), id));
        }
        Ok(engine)
    }

    /// Makes a function.
    ///
    /// # Errors
    /// [`FunctionError::Exists`], [`FunctionError::Runtime`], [`FunctionError::Package`].
    pub async fn create(&self, new: NewFunction) -> Result<Arc<FunctionDefinition>, FunctionError> {
        Runtime::of(&new.runtime)?;
        if self.shared.catalog.functions.get(&new.name).is_some() {
            return Err(FunctionError::Exists { name: new.name });
        }
        let code_hash = self.keep(&new.package).await?;
        let definition = FunctionDefinition {
            name: new.name,
            runtime: new.runtime,
            handler: new.handler,
            description: new.description,
            role: new.role,
            timeout_seconds: new.timeout_seconds,
            memory_mib: new.memory_mib,
            environment: new.environment,
            concurrency_limit: new.concurrency_limit,
            code_hash,
            code_bytes: new.package.len() as u64,
            modified: self.now(),
            revision: uuid::Uuid::new_v4().to_string(),
        };
        Ok(self.shared.catalog.functions.create(definition).await?)
    }

    /// Changes a function. Invocations under way end as they began; the next one runs the new version.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`], [`FunctionError::Runtime`], [`FunctionError::Package`].
    pub async fn update(&self, name: &str, change: FunctionChange) -> Result<Arc<FunctionDefinition>, FunctionError> {
        let mut definition = (*self.get(name)?).clone();
        if let Some(runtime) = change.runtime {
            Runtime::of(&runtime)?;
            definition.runtime = runtime;
        }
        if let Some(package) = change.package {
            definition.code_hash = self.keep(&package).await?;
            definition.code_bytes = package.len() as u64;
        }
        definition.handler = change.handler.unwrap_or(definition.handler);
        definition.description = change.description.unwrap_or(definition.description);
        definition.role = change.role.unwrap_or(definition.role);
        definition.timeout_seconds = change.timeout_seconds.unwrap_or(definition.timeout_seconds);
        definition.memory_mib = change.memory_mib.unwrap_or(definition.memory_mib);
        definition.environment = change.environment.unwrap_or(definition.environment);
        definition.concurrency_limit = change.concurrency_limit.unwrap_or(definition.concurrency_limit);
        definition.modified = self.now();
        definition.revision = uuid::Uuid::new_v4().to_string();
        let definition = self.shared.catalog.functions.put(definition).await?;
        self.shared.pool.end(name);
        Ok(definition)
    }

    /// Removes a function.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`].
    pub async fn delete(&self, name: &str) -> Result<(), FunctionError> {
        self.shared.catalog.functions.delete(name, Transaction::new()).await?;
        self.shared.pool.end(name);
        Ok(())
    }

    /// A function's definition.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`].
    pub fn get(&self, name: &str) -> Result<Arc<FunctionDefinition>, FunctionError> {
        Ok(self.shared.catalog.functions.require(name)?)
    }

    /// All functions in the order of their names.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<FunctionDefinition>> {
        self.shared.catalog.functions.list()
    }

    /// The last invocations of a function that ended, newest first.
    #[must_use]
    pub fn recent(&self, name: &str) -> Vec<InvocationSummary> {
        let recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.get(name).map(|summaries| summaries.iter().rev().cloned().collect()).unwrap_or_default()
    }

    /// Accepts an invocation that nobody waits for: durable when this returns, run afterwards.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`], [`FunctionError::PayloadTooLarge`], [`FunctionError::Storage`].
    pub async fn enqueue(&self, invocation: Invocation) -> Result<InvocationId, FunctionError> {
        self.get(&invocation.function)?;
        asynchronous::accept(self, &self.shared.asynchronous, invocation, self.now()).await
    }

    /// Ends idle processes. The server calls it every half minute.
    pub fn end_idle(&self) {
        self.shared.pool.end_idle();
    }

    /// Takes no more invocations, lets those under way end, then kills what is left.
    pub async fn shutdown(&self) {
        self.shared.pool.close();
        let deadline = Instant::now() + DRAIN;
        while self.shared.pool.clear() > 0 && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn now(&self) -> Millis {
        self.shared.clock.now()
    }

    pub(crate) fn retry_waits(&self) -> Arc<[Duration]> {
        Arc::clone(&self.shared.options.retry_waits)
    }

    /// Notes that an asynchronous invocation failed for good.
    pub(crate) fn gave_up(&self, function: &str, id: &str, reason: &str) {
        tracing::warn!(function, invocation = id, reason, "an asynchronous invocation failed for good");
        self.shared.insight.metrics.counter("dropped_async", &format!("function/{function}")).add(1);
    }

    /// Checks a package and makes it durable; gives its hash.
    async fn keep(&self, package: &Bytes) -> Result<String, FunctionError> {
        let bytes = package.clone();
        let hash = tokio::task::spawn_blocking(move || package::check(&bytes).map(|()| package::hash(&bytes)))
            .await
            .map_err(|_| FunctionError::Stopping)??;
        let mut transaction = Transaction::new();
        self.shared.packages.put(&hash, package, &mut transaction);
        self.shared.storage.commit(transaction).await?;
        Ok(hash)
    }

    async fn run(&self, invocation: Invocation) -> Result<InvocationOutcome, FunctionError> {
        let found = invocation.payload.len();
        if found > PAYLOAD_BYTES_MAX {
            return Err(FunctionError::PayloadTooLarge { found, limit: PAYLOAD_BYTES_MAX });
        }
        let definition = self.get(&invocation.function)?;
        let name = definition.name.clone();
        let subject = format!("function/{name}");
        let metrics = &self.shared.insight.metrics;
        let turn = match self.shared.pool.turn(&name, definition.concurrency_limit).await {
            Ok(turn) => turn,
            Err(error) => {
                metrics.counter("throttles", &subject).add(1);
                return Err(error);
            }
        };
        metrics.gauge("concurrent", &subject).set(self.shared.pool.running(&name).cast_signed() as i64);
        let mut process = match self.shared.pool.take(&name, &definition.revision) {
            Some(process) => process,
            None => self.start(&definition).await?,
        };
        let outcome = self.run_in(&definition, &mut process, invocation).await;
        if outcome.1 {
            self.shared.pool.give_back(&name, process);
        }
        drop(turn);
        Ok(outcome.0)
    }

    /// Runs an invocation in a process; the second part says whether the process can be used again.
    async fn run_in(
        &self,
        definition: &FunctionDefinition,
        process: &mut Process,
        invocation: Invocation,
    ) -> (InvocationOutcome, bool) {
        let id = uuid::Uuid::new_v4().to_string();
        let cold = !process.warm;
        let started = self.now();
        let timeout = Duration::from_secs(definition.timeout_seconds.into());
        process.log.take_tail();
        process.log.write([format!("START RequestId: {id} Version: $LATEST")]);
        let work = Work {
            id: id.clone(),
            payload: invocation.payload,
            deadline: started + i64::from(definition.timeout_seconds) * 1_000,
            arn: (self.shared.options.arn)(&definition.name),
            trace: trace_header(&id),
            client_context: invocation.client_context,
            reply: oneshot::channel().0,
        };
        let begin = Instant::now();
        let ended = process.run(&id, work, timeout).await;
        let duration = begin.elapsed();
        if invocation.log_tail {
            tokio::time::sleep(OUTPUT_GRACE).await;
        }
        let report = report(&id, duration, definition.memory_mib, process.peak_mib());
        let log_tail = self.close_log(process, &id, &ended, report, invocation.log_tail);
        self.note(definition, &id, started, duration, invocation.source, cold, &ended);
        let error = ended.failed.then(|| "Unhandled".to_owned());
        (InvocationOutcome { id, payload: ended.payload, error, log_tail }, ended.reusable)
    }

    /// Writes the END and REPORT lines behind what was printed: at once when the caller wants the end of the log, else a
    /// moment later, so that no invocation waits for its log.
    fn close_log(&self, process: &Process, id: &str, ended: &Ended, report: String, now: bool) -> Bytes {
        let mut lines = vec![format!("END RequestId: {id}"), report];
        if !ended.reusable {
            lines.insert(0, error_message(&ended.payload));
        }
        let log = Arc::clone(&process.log);
        if now {
            log.write(lines);
            return log.take_tail();
        }
        tokio::spawn(async move {
            tokio::time::sleep(OUTPUT_GRACE).await;
            log.write(lines);
        });
        Bytes::new()
    }

    #[expect(clippy::too_many_arguments, reason = "each is one fact of the invocation")]
    fn note(
        &self,
        definition: &FunctionDefinition,
        id: &str,
        started: Millis,
        duration: Duration,
        source: String,
        cold: bool,
        ended: &Ended,
    ) {
        let error = ended.failed.then(|| error_message(&ended.payload));
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let subject = format!("function/{}", definition.name);
        let metrics = &self.shared.insight.metrics;
        metrics.counter("invocations", &subject).add(1);
        metrics.counter("duration_ms", &subject).add(duration_ms);
        metrics.counter("errors", &subject).add(u64::from(ended.failed));
        self.shared.insight.trail.mark(Step::Invoked {
            function: definition.name.clone(),
            invocation: id.to_owned(),
            duration_ms,
            outcome: error.clone().unwrap_or_else(|| "ok".to_owned()),
        });
        let mut recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let summaries = recent.entry(definition.name.clone()).or_default();
        if summaries.len() == RECENT_MAX {
            summaries.pop_front();
        }
        summaries.push_back(InvocationSummary { id: id.to_owned(), started, duration_ms, source, error, cold });
    }

    async fn start(&self, definition: &FunctionDefinition) -> Result<Process, FunctionError> {
        let runtime = Runtime::of(&definition.runtime)?;
        let (packages, hash) = (self.shared.packages.clone(), definition.code_hash.clone());
        let task_root = tokio::task::spawn_blocking(move || packages.unpacked(&hash))
            .await
            .map_err(|_| FunctionError::Stopping)??;
        let program = self.shared.runtimes.program(runtime, &task_root, definition.memory_mib).await?;
        let group = format!("/aws/lambda/{}", definition.name);
        let stream = log_stream(self.now());
        let log = LogCapture::new(self.shared.insight.logs.clone(), Arc::clone(&self.shared.clock), group, stream);
        let log = Arc::new(log);
        let start = Start {
            program,
            environment: self.environment(definition, &task_root, &log.stream),
            task_root,
            memory_mib: definition.memory_mib,
            log,
            temporary: self.shared.options.folder.join("tmp").join(uuid::Uuid::new_v4().to_string()),
        };
        Process::start(start, definition.revision.clone()).await
    }

    /// The variables of a process, as the service sets them; nothing of the node's own but PATH.
    fn environment(
        &self,
        definition: &FunctionDefinition,
        task_root: &std::path::Path,
        stream: &str,
    ) -> Vec<(String, String)> {
        let options = &self.shared.options;
        let (key, secret) = (options.credentials)(&definition.name);
        let root = task_root.display().to_string();
        let paths = |extra: &[PathBuf]| {
            let own = std::iter::once(root.clone());
            own.chain(extra.iter().map(|path| path.display().to_string())).collect::<Vec<_>>().join(":")
        };
        let mut environment = vec![
            ("PATH".to_owned(), std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned())),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("TZ".to_owned(), ":UTC".to_owned()),
            ("_HANDLER".to_owned(), definition.handler.clone()),
            ("LAMBDA_TASK_ROOT".to_owned(), root.clone()),
            ("LAMBDA_RUNTIME_DIR".to_owned(), options.folder.join("bootstrap").display().to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME".to_owned(), definition.name.clone()),
            ("AWS_LAMBDA_FUNCTION_VERSION".to_owned(), "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE".to_owned(), definition.memory_mib.to_string()),
            ("AWS_LAMBDA_LOG_GROUP_NAME".to_owned(), format!("/aws/lambda/{}", definition.name)),
            ("AWS_LAMBDA_LOG_STREAM_NAME".to_owned(), stream.to_owned()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE".to_owned(), "on-demand".to_owned()),
            ("AWS_EXECUTION_ENV".to_owned(), format!("AWS_Lambda_{}", definition.runtime)),
            ("AWS_REGION".to_owned(), options.region.clone()),
            ("AWS_DEFAULT_REGION".to_owned(), options.region.clone()),
            ("AWS_ENDPOINT_URL".to_owned(), options.endpoint.clone()),
            ("AWS_ACCESS_KEY_ID".to_owned(), key),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), secret),
            ("PYTHONPATH".to_owned(), paths(&options.python_path)),
            ("PYTHONDONTWRITEBYTECODE".to_owned(), "1".to_owned()),
            ("NODE_PATH".to_owned(), paths(&options.node_path)),
        ];
        environment.extend(definition.environment.clone());
        environment
    }
}

impl Invoke for Functions {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<InvocationOutcome, InvokeError>> {
        Box::pin(async move {
            self.run(invocation).await.map_err(|error| InvokeError { kind: error.kind(), message: error.to_string() })
        })
    }
}

/// `2026/11/21/[$LATEST]` and 32 hex digits.
fn log_stream(now: Millis) -> String {
    let at = jiff::Timestamp::from_millisecond(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{}/[$LATEST]{}", at.strftime("%Y/%m/%d"), uuid::Uuid::new_v4().simple())
}

/// The trace header of an invocation. SDKs in the function send it back with their calls; the last part names the
/// invocation, which is how a written item is known to come from it.
fn trace_header(id: &str) -> String {
    let hex: String = id.chars().filter(|char| *char != '-').collect();
    format!("Root=1-{}-{};Parent={};Sampled=0;Invocation={id}", &hex[..8], &hex[8..], &hex[..16])
}

fn report(id: &str, duration: Duration, memory_mib: u32, peak_mib: u64) -> String {
    let milliseconds = duration.as_secs_f64() * 1_000.0;
    format!(
        "REPORT RequestId: {id}\tDuration: {milliseconds:.2} ms\tBilled Duration: {} ms\tMemory Size: {memory_mib} MB\t\
         Max Memory Used: {peak_mib} MB",
        milliseconds.ceil(),
    )
}

/// The message of an error document, or the document itself.
fn error_message(document: &[u8]) -> String {
    serde_json::from_slice::<serde_json::Value>(document)
        .ok()
        .and_then(|document| document.get("errorMessage")?.as_str().map(str::to_owned))
        .unwrap_or_else(|| String::from_utf8_lossy(document).into_owned())
}
