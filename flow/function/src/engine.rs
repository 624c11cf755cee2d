//! The operations on functions. Running one is in [`crate::invocation`].

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{Catalog, FunctionDefinition};
use millstream_insight::Insight;
use millstream_storage::{Storage, Transaction, to_the_end};
use millstream_types::{BoxFuture, Clock, Millis};
use tokio::sync::{OwnedMutexGuard, Semaphore};
use tokio::time::Instant;

use crate::asynchronous::{self, Accepted};
use crate::confinement::{self, Confinement, Launcher};
use crate::destination::Destination;
use crate::error::FunctionError;
use crate::invocation::InvocationSummary;
use crate::package::{self, Packages};
use crate::peer;
use crate::pool::Pool;
use crate::runtime::{DotnetOptions, Runtime, Runtimes};
use crate::turns::Turns;
use crate::variables::check_variables;
use crate::versions::{add_version, check_revision, new_revision};

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

/// What a function is made from.
#[derive(Debug, Clone, Default)]
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
    /// Where the events of asynchronous invocations go that failed for good.
    pub dead_letter_target: Option<String>,
    /// For people and their bills.
    pub tags: BTreeMap<String, String>,
    /// The package, a zip.
    pub package: Bytes,
    /// Whether it is published at once; what is made is that version then.
    pub publish: bool,
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
    pub dead_letter_target: Option<Option<String>>,
    pub package: Option<Bytes>,
    /// The revision that the caller has seen: another change in between refuses this one.
    pub seen_revision: Option<String>,
    /// Whether what comes of it is published in the same turn; the answer is that version then.
    pub publish: bool,
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

    /// Makes a function.
    ///
    /// # Errors
    /// [`FunctionError::Exists`], [`FunctionError::Runtime`], [`FunctionError::Package`],
    /// [`FunctionError::ReservedVariables`].
    pub fn create(&self, new: NewFunction) -> BoxFuture<'_, Result<Arc<FunctionDefinition>, FunctionError>> {
        Box::pin(async move {
            check_variables(&new.environment)?;
            self.shared.runtimes.check(Runtime::of(&new.runtime)?, &new.handler).await?;
            let turn = self.turn_to_change().await;
            if self.shared.catalog.functions.get(&new.name).is_some() {
                return Err(FunctionError::Exists { name: new.name });
            }
            let (code_hash, code) = self.keep(&new.package).await?;
            let mut definition = FunctionDefinition {
                name: new.name,
                runtime: new.runtime,
                handler: new.handler,
                description: new.description,
                role: new.role,
                timeout_seconds: new.timeout_seconds,
                memory_mib: new.memory_mib,
                environment: new.environment,
                concurrency_limit: new.concurrency_limit,
                dead_letter_target: new.dead_letter_target,
                asynchronous: None,
                permissions: Vec::new(),
                tags: new.tags,
                code_hash,
                code_bytes: new.package.len() as u64,
                modified: self.now(),
                revision: new_revision(),
                generation: new_revision(),
                version: None,
                versions: BTreeMap::new(),
                last_version: 0,
                aliases: BTreeMap::new(),
            };
            let version = new.publish.then(|| add_version(&mut definition, None)).transpose()?;
            let made = self.put(turn, definition, code).await?;
            Ok(version.map_or(made, Arc::new))
        })
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

    /// Changes a function. Invocations under way end as they began; the next one runs the new version.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`], [`FunctionError::RevisionDiffers`], [`FunctionError::Runtime`],
    /// [`FunctionError::Package`], [`FunctionError::ReservedVariables`], [`FunctionError::TooMany`] versions.
    pub fn update<'a>(
        &'a self,
        name: &'a str,
        change: FunctionChange,
    ) -> BoxFuture<'a, Result<Arc<FunctionDefinition>, FunctionError>> {
        Box::pin(async move {
            change.environment.as_ref().map_or(Ok(()), check_variables)?;
            let turn = self.turn_to_change().await;
            let mut definition = (*self.get(name)?).clone();
            check_revision(change.seen_revision.as_deref(), &definition.revision)?;
            if let Some(runtime) = change.runtime {
                let handler = change.handler.as_ref().unwrap_or(&definition.handler);
                self.shared.runtimes.check(Runtime::of(&runtime)?, handler).await?;
                definition.runtime = runtime;
            }
            let mut code = Transaction::new();
            if let Some(package) = change.package {
                let before = definition.clone();
                (definition.code_hash, code) = self.keep(&package).await?;
                definition.code_bytes = package.len() as u64;
                if definition.code_hash != before.code_hash {
                    self.let_go(&before, Some(&definition), &mut code);
                }
            }
            definition.handler = change.handler.unwrap_or(definition.handler);
            definition.description = change.description.unwrap_or(definition.description);
            definition.role = change.role.unwrap_or(definition.role);
            definition.timeout_seconds = change.timeout_seconds.unwrap_or(definition.timeout_seconds);
            definition.memory_mib = change.memory_mib.unwrap_or(definition.memory_mib);
            definition.environment = change.environment.unwrap_or(definition.environment);
            definition.concurrency_limit = change.concurrency_limit.unwrap_or(definition.concurrency_limit);
            definition.dead_letter_target = change.dead_letter_target.unwrap_or(definition.dead_letter_target);
            definition.modified = self.now();
            definition.revision = new_revision();
            definition.generation = new_revision();
            let version = change.publish.then(|| add_version(&mut definition, None)).transpose()?;
            let changed = self.put(turn, definition, code).await?;
            Ok(version.map_or(changed, Arc::new))
        })
    }

    /// Removes a function with its versions and aliases.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`].
    pub fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), FunctionError>> {
        Box::pin(async move {
            let turn = self.turn_to_change().await;
            let mut code = Transaction::new();
            let definition = self.get(name)?;
            definition.all_versions().for_each(|version| self.let_go(version, None, &mut code));
            let engine = self.clone();
            to_the_end(async move {
                let _turn = turn;
                engine.shared.catalog.functions.delete(&definition.name, code).await?;
                engine.shared.turns.reserve(&definition.name, None);
                definition.all_versions().for_each(|version| engine.shared.pool.end(&version.reference()));
                Ok(())
            })
            .await
        })
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
        let asynchronous = function.async_policy_of(qualifier);
        if found.version.is_none() && asynchronous == found.asynchronous.as_ref() {
            return Ok(Arc::clone(&function));
        }
        // What is reserved is reserved for all versions together; how asynchronous invocations are treated is the name's.
        let (concurrency_limit, asynchronous) = (function.concurrency_limit, asynchronous.cloned());
        Ok(Arc::new(FunctionDefinition { concurrency_limit, asynchronous, ..found.clone() }))
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

    /// Waits until no other change is under way.
    pub(crate) async fn turn_to_change(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.shared.changes).lock_owned().await
    }

    /// Writes a definition and its code, and does what follows; a new generation ends the processes of the one before. The
    /// turn is held until all of it stands, though who asked goes away: the next change sees what this one made.
    pub(crate) async fn put(
        &self,
        turn: OwnedMutexGuard<()>,
        definition: FunctionDefinition,
        code: Transaction,
    ) -> Result<Arc<FunctionDefinition>, FunctionError> {
        let engine = self.clone();
        to_the_end(async move {
            let _turn = turn;
            let before = engine.shared.catalog.functions.get(&definition.name);
            let definition = engine.shared.catalog.functions.put_with(definition, code).await?;
            engine.shared.turns.reserve(&definition.name, definition.concurrency_limit);
            if before.is_some_and(|before| before.generation != definition.generation) {
                engine.shared.pool.end(&definition.name);
            }
            Ok(definition)
        })
        .await
    }

    /// Checks a package; gives its hash, and what keeps it once it is committed.
    async fn keep(&self, package: &Bytes) -> Result<(String, Transaction), FunctionError> {
        let bytes = package.clone();
        let hash = tokio::task::spawn_blocking(move || package::check(&bytes).map(|()| package::hash(&bytes)))
            .await
            .map_err(|_| FunctionError::Stopping)??;
        let mut transaction = Transaction::new();
        self.shared.packages.put(&hash, package, &mut transaction);
        Ok((hash, transaction))
    }

    /// Removes a package that a function or a version will not have any more, unless another has the same. `after` is what
    /// the function will be; `None`: gone.
    pub(crate) fn let_go(
        &self,
        function: &FunctionDefinition,
        after: Option<&FunctionDefinition>,
        transaction: &mut Transaction,
    ) {
        let functions = self.list();
        let others = functions.iter().filter(|other| other.name != function.name).map(Arc::as_ref);
        let mut kept = others.chain(after).flat_map(FunctionDefinition::all_versions);
        if !kept.any(|kept| kept.code_hash == function.code_hash) {
            self.shared.packages.remove(&function.code_hash, function.code_bytes, transaction);
        }
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
