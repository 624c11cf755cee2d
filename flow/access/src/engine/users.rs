//! Users.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::{Grants, UserDefinition};
use millstream_storage::Transaction;
use millstream_types::{BoxFuture, Millis};

use super::{Access, entity};
use crate::error::AccessError;

/// Users of a node.
const USERS_MAX: usize = 5_000;

/// A user to be.
#[derive(Debug, Clone, Default)]
pub struct NewUser {
    /// Its name.
    pub name: String,
    /// Its path; empty: `/`.
    pub path: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Access {
    /// Makes a user, who may do nothing yet.
    ///
    /// # Errors
    /// [`AccessError::Exists`] (names that differ in case only are the same), [`AccessError::Invalid`],
    /// [`AccessError::TooMany`].
    pub fn create_user(&self, new: NewUser, now: Millis) -> BoxFuture<'_, Result<Arc<UserDefinition>, AccessError>> {
        Box::pin(async move {
            entity::check_name("user name", &new.name, entity::NAME_CHARS_MAX)?;
            let path = if new.path.is_empty() { "/".to_owned() } else { new.path };
            entity::check_path(&path)?;
            entity::check_tags(&new.tags)?;
            let _turn = self.changes.lock().await;
            let users = self.catalog.users.list();
            if users.iter().any(|user| user.name.eq_ignore_ascii_case(&new.name)) {
                return Err(AccessError::Exists { kind: "user", name: new.name });
            }
            entity::check_count("users", users.len() + 1, USERS_MAX)?;
            let (id, grants) = (entity::new_id(), Grants::default());
            let user = UserDefinition { name: new.name, path, id, grants, tags: new.tags, created: now };
            Ok(self.catalog.users.create(user).await?)
        })
    }

    /// A user.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    pub fn user(&self, name: &str) -> Result<Arc<UserDefinition>, AccessError> {
        Ok(self.catalog.users.require(name)?)
    }

    /// All users in the order of their names.
    #[must_use]
    pub fn users(&self) -> Vec<Arc<UserDefinition>> {
        self.catalog.users.list()
    }

    /// Removes a user that has no keys and no policies any more.
    ///
    /// # Errors
    /// [`AccessError::NotFound`], [`AccessError::InUse`].
    pub fn delete_user<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), AccessError>> {
        Box::pin(async move {
            let _turn = self.changes.lock().await;
            let user = self.user(name)?;
            let in_use = |reason| AccessError::InUse { kind: "user", name: name.to_owned(), reason };
            if !self.keys_of(name)?.is_empty() {
                return Err(in_use("must delete access keys first."));
            }
            super::grants::check_none(&user.grants).map_err(in_use)?;
            self.catalog.users.delete(name, Transaction::new()).await?;
            Ok(())
        })
    }
}
