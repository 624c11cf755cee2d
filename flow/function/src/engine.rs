//! The engine: what it knows of the node, its parts, and what is asked of functions. They are made and changed in `definitions.rs` and
//! run in [`crate::invocation`].

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{AsyncPolicy, Catalog, FunctionDefinition};
use millstream_insight::Insight;
use millstream_storage::Storage;
use millstream_types::{BoxFuture, Clock, Millis};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::asynchronous::{self, Accepted};
use crate::confinement::{self, Confinement, Launcher};
use crate::destination::Destination;
use crate::error::FunctionError;
use crate::invocation::InvocationSummary;
use crate::package::Packages;
use crate::peer;
use crate::pool::Pool;
use crate::runtime::{DotnetOptions, Runtimes};
use crate::turns::Turns;

/// How long invocations under way may take to end once the node stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Something that the node knows of each function by its name.
pub type OfFunction<T> = Arc<dyn Fn(&str) -> T + Send + Sync>;

/// What the processes of a function sign their calls with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessCredentials {
    /// The key's id.
    pub access_key: String,
    /// Its secret.
    pub secret: String,
    /// What comes along with each call.
    pub session_token: String,
}

/// What the engine needs to know of the node.
#[derive(Clone)]
pub struct Options {
    /// Where packages and bootstraps lie and processes have their temporary folders.
    pub folder: PathBuf,
    /// Invocations at once on this node, and processes as a whole.
    pub concurrency_max: usize,
    /// Where functions find the node's AWS protocols.
    pub endpoint: String,
    /// The region that functions are told.
    pub region: String,
    /// The ARN of what a reference names.
    pub arn: OfFunction<String>,
    /// The log group that its lines go to, by its name.
    pub log_group: OfFunction<String>,
    /// What the processes of a function or a version sign their calls with, by its reference.
    pub credentials: OfFunction<ProcessCredentials>,
    /// Folders that Python functions may import from besides their package.
    pub python_path: Vec<PathBuf>,
    /// Folders that Node.js functions may require from besides their package.
    pub node_path: Vec<PathBuf>,
    /// Where .NET is, and what compiles its bootstrap.
    pub dotnet: DotnetOptions,
    /// What starts and confines processes; `None`: they are started directly and only limited.
    pub launcher: Option<Launcher>,
    /// Whether a machine on which not all of the confinement holds is refused.
    pub confinement_required: bool,
    /// Files and folders that processes may read besides their package, their runtime and the system's programs.
    pub readable: Vec<PathBuf>,
    /// Folders that processes do not see, as far as the machine allows: the node's data.
    pub hidden: Vec<PathBuf>,
    /// Waits before each further attempt of an asynchronous invocation.
    pub retry_waits: Arc<[Duration]>,
    /// Where the ends of asynchronous invocations are told; `None`: nobody can name such a place.
    pub destination: Option<Arc<dyn Destination>>,
}

/// The function engine. Cheap to clone.
#[derive(Clone)]
pub struct Functions {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) catalog: Catalog,
    pub(crate) insight: Insight,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) packages: Packages,
    pub(crate) runtimes: Runtimes,
    pub(crate) turns: Arc<Turns>,
    pub(crate) pool: Pool,
    pub(crate) accepted: Accepted,
    /// Ends that are told at once, as many as may run: all of them would not fit into memory.
    pub(crate) telling: Semaphore,
    pub(crate) confinement: Confinement,
    /// One change of definitions at a time, held until it stands.
    pub(crate) changes: Arc<tokio::sync::Mutex<()>>,
    pub(crate) recent: Mutex<HashMap<String, VecDeque<InvocationSummary>>>,
}

impl Functions {
    /// Opens the engine and takes up asynchronous invocations that had not ended. Works on the disk; needs a tokio runtime.
    ///
    /// # Errors
    /// [`FunctionError::Start`] when the folder cannot be written; [`FunctionError::Unconfined`] when more is demanded
    /// than this machine has; [`FunctionError::Storage`].
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
        packages.remove_unfinished().map_err(place)?;
        packages.sweep(code_hashes(&catalog.functions.list())).map_err(place)?;
        let runtimes = Runtimes::new(options.folder.join("bootstrap"), options.dotnet.clone()).map_err(place)?;
        let confinement = in_force(&options)?;
        let turns = Turns::new(options.concurrency_max);
        catalog.functions.list().iter().for_each(|function| turns.reserve(&function.name, function.concurrency_limit));
        let accepted = Accepted::new(storage.clone());
        let left = accepted.outlines()?;
        let telling = Semaphore::new(options.concurrency_max.max(1));
        let shared = Shared {
            options,
            catalog,
            insight,
            clock,
            packages,
            runtimes,
            turns,
            pool: Pool::default(),
            accepted,
            telling,
            confinement,
            changes: Arc::default(),
            recent: Mutex::default(),
        };
        let engine = Self { shared: Arc::new(shared) };
        asynchronous::resume(&engine, left);
        Ok(engine)
    }

    /// Compiles C# sources into the assembly of a package, together with the names of Amazon's packages that handlers use
    /// most: for machines without NuGet.
    ///
    /// # Errors
    /// [`FunctionError::RuntimeMissing`] without .NET or a compiler; it holds what the compiler said.
    pub fn compile_csharp<'a>(
        &'a self,
        sources: &'a [PathBuf],
        to: &'a Path,
    ) -> BoxFuture<'a, Result<(), FunctionError>> {
        Box::pin(async move { self.shared.runtimes.compile_csharp(sources, to).await })
    }

    /// A function's definition.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`].
    pub fn get(&self, name: &str) -> Result<Arc<FunctionDefinition>, FunctionError> {
        Ok(self.shared.catalog.functions.require(name)?)
    }

    /// What a reference names: a function, or a version of it. An alias stands for its own version.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`], also for a version and an alias.
    pub fn find(&self, reference: &str) -> Result<Arc<FunctionDefinition>, FunctionError> {
        self.find_by_chance(reference, 0)
    }

    /// The same; `chance` decides between the versions of an alias.
    pub(crate) fn find_by_chance(
        &self,
        reference: &str,
        chance: u32,
    ) -> Result<Arc<FunctionDefinition>, FunctionError> {
        let (name, qualifier) = FunctionDefinition::split_reference(reference);
        let function = self.get(name)?;
        if qualifier.is_none() {
            return Ok(function);
        }
        let missing = || FunctionError::NotFound { name: reference.to_owned() };
        let found = function.qualified(qualifier, chance).ok_or_else(missing)?;
        if found.version.is_none() {
            return Ok(Arc::clone(&function));
        }
        // What is reserved is reserved for all versions together.
        Ok(Arc::new(FunctionDefinition { concurrency_limit: function.concurrency_limit, ..found.clone() }))
    }

    /// How asynchronous invocations by a reference are treated: it is the name's own, not that of the version behind it.
    pub(crate) fn async_policy(&self, reference: &str) -> Option<AsyncPolicy> {
        let (name, qualifier) = FunctionDefinition::split_reference(reference);
        self.get(name).ok()?.async_policy_of(qualifier).cloned()
    }

    /// The package of what a reference names.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`], [`FunctionError::Storage`].
    pub fn package<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<Bytes, FunctionError>> {
        Box::pin(async move {
            let (packages, function) = (self.shared.packages.clone(), self.find(reference)?);
            let read = tokio::task::spawn_blocking(move || packages.get(&function.code_hash)).await;
            read.map_err(|_| FunctionError::Stopping)?
        })
    }

    /// All functions in the order of their names.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<FunctionDefinition>> {
        self.shared.catalog.functions.list()
    }

    /// What keeps functions to themselves on this machine.
    #[must_use]
    pub fn confinement(&self) -> Confinement {
        self.shared.confinement
    }

    /// Invocations at once on this node.
    #[must_use]
    pub fn concurrency_max(&self) -> usize {
        self.shared.options.concurrency_max
    }

    /// The engine's time.
    #[must_use]
    pub fn time(&self) -> Millis {
        self.now()
    }

    /// Ends idle processes and removes unpacked code that no function has any more. The server calls it every half minute.
    pub fn end_idle(&self) {
        self.shared.pool.end_idle();
        let (packages, functions) = (self.shared.packages.clone(), self.list());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = packages.sweep(code_hashes(&functions)) {
                tracing::warn!(%error, "cannot remove the code of functions that are gone");
            }
        });
    }

    /// Takes no more invocations, lets those under way end, then kills what is left.
    pub fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.shared.turns.close();
            self.shared.pool.terminate();
            let deadline = Instant::now() + DRAIN;
            while (self.shared.turns.held() > 0 || self.is_telling()) && Instant::now() < deadline {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            self.shared.pool.clear();
        })
    }

    /// Whether an end is being told that is not forgotten yet.
    fn is_telling(&self) -> bool {
        self.shared.telling.available_permits() < self.concurrency_max().max(1)
    }

    pub(crate) fn now(&self) -> Millis {
        self.shared.clock.now()
    }
}

/// The packages of functions and their versions.
fn code_hashes(functions: &[Arc<FunctionDefinition>]) -> impl Iterator<Item = &str> {
    functions.iter().flat_map(|function| function.all_versions()).map(|version| version.code_hash.as_str())
}

/// What of the confinement holds here; refuses less than all of it when all is demanded. Starts processes.
fn in_force(options: &Options) -> Result<Confinement, FunctionError> {
    let probe = |launcher| confinement::probe(launcher, options.folder.join("tmp"));
    let found = options.launcher.as_ref().map_or(Confinement::LIMITED, probe);
    let found = Confinement { peers: peer::can_be_told(), ..found };
    if options.confinement_required && !found.whole() {
        return Err(FunctionError::Unconfined { found });
    }
    Ok(found)
}
