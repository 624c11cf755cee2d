//! Making, changing and removing functions: one change at a time, each to its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::FunctionDefinition;
use millstream_storage::{Transaction, to_the_end};
use millstream_types::BoxFuture;
use tokio::sync::OwnedMutexGuard;

use crate::engine::Functions;
use crate::error::FunctionError;
use crate::package;
use crate::runtime::Runtime;
use crate::variables::check_variables;
use crate::versions::{add_version, check_revision, new_revision};

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

impl Functions {
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
