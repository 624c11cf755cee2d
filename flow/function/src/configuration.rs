//! Changes of a function that leave its processes as they are: limits, policies, permissions, tags.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::{AsyncPolicy, FunctionDefinition, InvokePermission};
use millstream_storage::Transaction;
use millstream_types::BoxFuture;

use crate::engine::Functions;
use crate::error::FunctionError;
use crate::versions::{check_revision, new_revision};

/// Statements of one function's policy: as many as fit the service's 20 KiB.
const PERMISSIONS_MAX: usize = 100;

/// Tags of a function: the service's limit.
const TAGS_MAX: usize = 50;

impl Functions {
    /// Changes how asynchronous invocations of a function, or just of a version or an alias, are treated: `change` makes what is
    /// to be of what is, `None` being as by default.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`], also for the qualifier, [`FunctionError::Storage`].
    pub async fn change_async_policy(
        &self,
        name: &str,
        qualifier: Option<&str>,
        change: impl FnOnce(Option<AsyncPolicy>) -> Option<AsyncPolicy>,
    ) -> Result<Arc<FunctionDefinition>, FunctionError> {
        self.amend(name, |function| {
            let missing = not_found(function, qualifier);
            let policy = function.async_policy_of_mut(qualifier).ok_or(missing)?;
            *policy = change(policy.take());
            Ok(())
        })
        .await
    }

    /// Sets how many invocations of the function may run at once, which are kept free for it: 0 stops it, `None` lets it share
    /// with the others.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`], [`FunctionError::Storage`].
    pub fn set_concurrency_limit<'a>(
        &'a self,
        name: &'a str,
        limit: Option<u32>,
    ) -> BoxFuture<'a, Result<Arc<FunctionDefinition>, FunctionError>> {
        Box::pin(async move {
            let set = |function: &mut FunctionDefinition| {
                function.concurrency_limit = limit;
                Ok(())
            };
            self.amend(name, set).await
        })
    }

    /// Sets some tags; the others stay.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`], [`FunctionError::TooMany`], [`FunctionError::Storage`].
    pub fn tag<'a>(
        &'a self,
        name: &'a str,
        tags: BTreeMap<String, String>,
    ) -> BoxFuture<'a, Result<(), FunctionError>> {
        Box::pin(async move {
            self.amend(name, |function| {
                function.tags.extend(tags);
                check_count("tags", function.tags.len(), TAGS_MAX)
            })
            .await
            .map(drop)
        })
    }

    /// Removes tags; a key that is not there is no error.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`], [`FunctionError::Storage`].
    pub fn untag<'a>(&'a self, name: &'a str, keys: &'a [String]) -> BoxFuture<'a, Result<(), FunctionError>> {
        Box::pin(async move {
            self.amend(name, |function| {
                function.tags.retain(|key, _| !keys.contains(key));
                Ok(())
            })
            .await
            .map(drop)
        })
    }

    /// Lets somebody invoke a function, or just the version or the alias that the permission names; `seen` is the revision of
    /// that which the caller has seen.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`], [`FunctionError::RevisionDiffers`], [`FunctionError::PermissionExists`],
    /// [`FunctionError::TooMany`], [`FunctionError::Storage`].
    pub fn add_permission<'a>(
        &'a self,
        name: &'a str,
        permission: InvokePermission,
        seen: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), FunctionError>> {
        Box::pin(async move {
            self.amend(name, |function| {
                renew_revision(function, permission.qualifier.as_deref(), seen)?;
                let same =
                    |known: &InvokePermission| known.id == permission.id && known.qualifier == permission.qualifier;
                if function.permissions.iter().any(same) {
                    return Err(FunctionError::PermissionExists { id: permission.id });
                }
                function.permissions.push(permission);
                check_count("permissions", function.permissions.len(), PERMISSIONS_MAX)
            })
            .await
            .map(drop)
        })
    }

    /// Removes a permission of a function, or of its version or alias; `seen` is the revision of that which the caller has seen.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`], [`FunctionError::RevisionDiffers`], [`FunctionError::PermissionNotFound`],
    /// [`FunctionError::Storage`].
    pub fn remove_permission<'a>(
        &'a self,
        name: &'a str,
        qualifier: Option<&'a str>,
        id: &'a str,
        seen: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), FunctionError>> {
        Box::pin(async move {
            self.amend(name, |function| {
                renew_revision(function, qualifier, seen)?;
                let before = function.permissions.len();
                function.permissions.retain(|known| known.id != id || known.qualifier.as_deref() != qualifier);
                if function.permissions.len() == before {
                    return Err(FunctionError::PermissionNotFound { id: id.to_owned() });
                }
                Ok(())
            })
            .await
            .map(drop)
        })
    }

    /// Changes a definition under the lock; its processes stay.
    async fn amend(
        &self,
        name: &str,
        change: impl FnOnce(&mut FunctionDefinition) -> Result<(), FunctionError>,
    ) -> Result<Arc<FunctionDefinition>, FunctionError> {
        let turn = self.turn_to_change().await;
        let mut definition = (*self.get(name)?).clone();
        change(&mut definition)?;
        self.put(turn, definition, Transaction::new()).await
    }
}

/// Gives what a qualifier names a new revision, unless its revision is another than the caller has seen.
fn renew_revision(
    function: &mut FunctionDefinition,
    qualifier: Option<&str>,
    seen: Option<&str>,
) -> Result<(), FunctionError> {
    let missing = not_found(function, qualifier);
    let revision = function.revision_of_mut(qualifier).ok_or(missing)?;
    check_revision(seen, revision)?;
    *revision = new_revision();
    Ok(())
}

fn not_found(function: &FunctionDefinition, qualifier: Option<&str>) -> FunctionError {
    let name = qualifier.map_or_else(|| function.name.clone(), |qualifier| format!("{}:{qualifier}", function.name));
    FunctionError::NotFound { name }
}

pub(crate) fn check_count(what: &'static str, found: usize, limit: usize) -> Result<(), FunctionError> {
    if found > limit { Err(FunctionError::TooMany { what, found, limit }) } else { Ok(()) }
}
