//! Versions of functions, which never change, and aliases that point to them. What a reference names is the catalog's matter.

use std::sync::Arc;

use millstream_catalog::{ALIAS_PARTS, AliasSplit, FunctionAlias, FunctionDefinition};
use millstream_storage::{Transaction, to_the_end};
use millstream_types::BoxFuture;

use crate::configuration::check_count;
use crate::engine::Functions;
use crate::error::FunctionError;

/// Versions that one function may have: they are kept with it and written with each change of it.
const VERSIONS_MAX: usize = 500;

/// Aliases of one function, for the same reason.
const ALIASES_MAX: usize = 100;

/// A change of an alias: what is `None` stays.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)]
pub struct AliasChange {
    pub description: Option<String>,
    /// `Some(None)`: the function as it can be changed.
    pub version: Option<Option<u32>>,
    pub split: Option<Option<AliasSplit>>,
    /// The revision of the alias that the caller has seen: another change in between refuses this one.
    pub seen_revision: Option<String>,
}

/// A version to be.
#[derive(Debug, Clone, Default)]
pub struct NewVersion {
    /// For people; `None`: as the function's own.
    pub description: Option<String>,
    /// The function's revision that the caller has seen: it is not published with another.
    pub seen_revision: Option<String>,
    /// The hash of the package that the caller has seen: it is not published with another.
    pub seen_code_hash: Option<String>,
}

impl Functions {
    /// Copies a function as it is now; without a change since its last version that one is given.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`], [`FunctionError::RevisionDiffers`], [`FunctionError::CodeDiffers`],
    /// [`FunctionError::TooMany`], [`FunctionError::Storage`].
    pub fn publish<'a>(
        &'a self,
        name: &'a str,
        new: NewVersion,
    ) -> BoxFuture<'a, Result<Arc<FunctionDefinition>, FunctionError>> {
        Box::pin(async move {
            let turn = self.turn_to_change().await;
            let mut definition = (*self.get(name)?).clone();
            check_revision(new.seen_revision.as_deref(), &definition.revision)?;
            if let Some(seen) = new.seen_code_hash.filter(|seen| *seen != definition.code_hash) {
                return Err(FunctionError::CodeDiffers { seen, current: definition.code_hash });
            }
            let last = definition.last_version;
            let version = add_version(&mut definition, new.description)?;
            if definition.last_version > last {
                definition.revision = new_revision();
                self.put(turn, definition, Transaction::new()).await?;
            }
            Ok(Arc::new(version))
        })
    }

    /// Removes a version to which no alias points.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`], [`FunctionError::VersionInUse`], [`FunctionError::Storage`].
    pub fn delete_version<'a>(&'a self, name: &'a str, number: u32) -> BoxFuture<'a, Result<(), FunctionError>> {
        Box::pin(async move {
            let turn = self.turn_to_change().await;
            let mut definition = (*self.get(name)?).clone();
            if let Some((alias, _)) = definition.aliases.iter().find(|(_, alias)| alias.names(number)) {
                return Err(FunctionError::VersionInUse { version: number, alias: alias.clone() });
            }
            let missing = || FunctionError::NotFound { name: format!("{name}:{number}") };
            let version = definition.versions.remove(&number).ok_or_else(missing)?;
            let qualifier = number.to_string();
            definition.permissions.retain(|permission| permission.qualifier.as_ref() != Some(&qualifier));
            let mut code = Transaction::new();
            self.let_go(&version, Some(&definition), &mut code);
            let engine = self.clone();
            to_the_end(async move {
                engine.put(turn, definition, code).await?;
                engine.shared.pool.end(&version.reference());
                Ok(())
            })
            .await
        })
    }

    /// Makes an alias.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`] for the function and for the versions, [`FunctionError::AliasExists`],
    /// [`FunctionError::TooMany`], [`FunctionError::Split`], [`FunctionError::Storage`].
    pub fn create_alias<'a>(
        &'a self,
        function: &'a str,
        name: &'a str,
        change: AliasChange,
    ) -> BoxFuture<'a, Result<FunctionAlias, FunctionError>> {
        Box::pin(async move {
            let turn = self.turn_to_change().await;
            let mut definition = (*self.get(function)?).clone();
            if definition.aliases.contains_key(name) {
                return Err(FunctionError::AliasExists { name: name.to_owned() });
            }
            check_count("aliases", definition.aliases.len() + 1, ALIASES_MAX)?;
            let new = FunctionAlias {
                description: String::new(),
                version: None,
                split: None,
                asynchronous: None,
                revision: String::new(),
            };
            let alias = changed(&definition, new, change)?;
            definition.aliases.insert(name.to_owned(), alias.clone());
            self.put(turn, definition, Transaction::new()).await?;
            Ok(alias)
        })
    }

    /// Changes an alias; invocations under way end as they began.
    ///
    /// # Errors
    /// As [`Functions::create_alias`]; [`FunctionError::AliasNotFound`], [`FunctionError::RevisionDiffers`].
    pub fn update_alias<'a>(
        &'a self,
        function: &'a str,
        name: &'a str,
        change: AliasChange,
    ) -> BoxFuture<'a, Result<FunctionAlias, FunctionError>> {
        Box::pin(async move {
            let turn = self.turn_to_change().await;
            let mut definition = (*self.get(function)?).clone();
            let before = self.alias(function, name)?;
            check_revision(change.seen_revision.as_deref(), &before.revision)?;
            let alias = changed(&definition, before, change)?;
            definition.aliases.insert(name.to_owned(), alias.clone());
            self.put(turn, definition, Transaction::new()).await?;
            Ok(alias)
        })
    }

    /// An alias of a function.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`], [`FunctionError::AliasNotFound`].
    pub fn alias(&self, function: &str, name: &str) -> Result<FunctionAlias, FunctionError> {
        let missing = || FunctionError::AliasNotFound { function: function.to_owned(), name: name.to_owned() };
        self.get(function)?.aliases.get(name).cloned().ok_or_else(missing)
    }

    /// Removes an alias with what was permitted to it; one that is not there is no error.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`], [`FunctionError::Storage`].
    pub fn delete_alias<'a>(&'a self, function: &'a str, name: &'a str) -> BoxFuture<'a, Result<(), FunctionError>> {
        Box::pin(async move {
            let turn = self.turn_to_change().await;
            let mut definition = (*self.get(function)?).clone();
            if definition.aliases.remove(name).is_none() {
                return Ok(());
            }
            definition.permissions.retain(|permission| permission.qualifier.as_deref() != Some(name));
            self.put(turn, definition, Transaction::new()).await.map(drop)
        })
    }
}

/// Refuses a change whose caller has seen another revision than there is; who names none is not asked.
///
/// # Errors
/// [`FunctionError::RevisionDiffers`].
pub fn check_revision(seen: Option<&str>, current: &str) -> Result<(), FunctionError> {
    match seen {
        Some(seen) if seen != current => {
            Err(FunctionError::RevisionDiffers { seen: seen.to_owned(), current: current.to_owned() })
        }
        _ => Ok(()),
    }
}

pub(crate) fn new_revision() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Adds a copy of a function to its versions, unless the last one runs as it does; gives the last one.
pub(crate) fn add_version(
    function: &mut FunctionDefinition,
    description: Option<String>,
) -> Result<FunctionDefinition, FunctionError> {
    if let Some(last) = function.versions.get(&function.last_version).filter(|last| function.runs_as(last)) {
        return Ok(last.clone());
    }
    check_count("versions", function.versions.len() + 1, VERSIONS_MAX)?;
    function.last_version += 1;
    let description = description.unwrap_or_else(|| function.description.clone());
    let version = function.as_version(function.last_version, description, new_revision());
    function.versions.insert(function.last_version, version.clone());
    Ok(version)
}

/// An alias as a change makes it; its versions must be there.
fn changed(
    function: &FunctionDefinition,
    before: FunctionAlias,
    change: AliasChange,
) -> Result<FunctionAlias, FunctionError> {
    let alias = FunctionAlias {
        description: change.description.unwrap_or(before.description),
        version: change.version.unwrap_or(before.version),
        split: change.split.unwrap_or(before.split),
        asynchronous: before.asynchronous,
        revision: new_revision(),
    };
    for number in alias.version.into_iter().chain(alias.split.map(|split| split.version)) {
        if !function.versions.contains_key(&number) {
            return Err(FunctionError::NotFound { name: format!("{}:{number}", function.name) });
        }
    }
    if let Some(split) = alias.split
        && (alias.version.is_none() || alias.version == Some(split.version) || split.parts > ALIAS_PARTS)
    {
        return Err(FunctionError::Split { version: split.version });
    }
    Ok(alias)
}
