//! Access keys of users and of the root.

use std::sync::Arc;

use millstream_catalog::AccessKeyDefinition;
use millstream_storage::Transaction;
use millstream_types::{BoxFuture, Millis};

use super::{Access, entity};
use crate::caller::{Caller, Grant, Origin};
use crate::error::AccessError;
use crate::secret;

/// Keys of one user.
const KEYS_MAX: usize = 2;

/// Stored keys say whose they are: this, or `user:NAME`.
pub(super) const ROOT: &str = "root";
const USER: &str = "user:";

/// A key as its definition has it.
pub type AccessKey = Arc<AccessKeyDefinition>;

/// Whose a stored key is.
pub(super) fn owner(principal: &str) -> Option<Caller> {
    match principal.strip_prefix(USER) {
        Some(name) => Some(Caller::User { name: name.to_owned() }),
        None => (principal == ROOT).then_some(Caller::Root),
    }
}

impl Access {
    /// Makes a key of a user.
    ///
    /// # Errors
    /// [`AccessError::NotFound`], [`AccessError::TooMany`].
    pub fn create_key<'a>(&'a self, user: &'a str, now: Millis) -> BoxFuture<'a, Result<AccessKey, AccessError>> {
        Box::pin(async move {
            let _turn = self.changes.lock().await;
            entity::check_count("access keys of a user", self.keys_of(user)?.len() + 1, KEYS_MAX)?;
            self.store_key(&format!("{USER}{user}"), now).await
        })
    }

    /// The keys of a user, oldest first.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    pub fn keys_of(&self, user: &str) -> Result<Vec<AccessKey>, AccessError> {
        self.user(user)?;
        Ok(self.keys_with(&format!("{USER}{user}")))
    }

    /// Lets a key in, or not.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] for the user and for the key.
    pub fn set_key_active<'a>(
        &'a self,
        user: &'a str,
        id: &'a str,
        active: bool,
    ) -> BoxFuture<'a, Result<(), AccessError>> {
        Box::pin(async move {
            let _turn = self.changes.lock().await;
            let key = self.key_of(user, id)?;
            self.catalog.access_keys.put(AccessKeyDefinition { disabled: !active, ..(*key).clone() }).await?;
            Ok(())
        })
    }

    /// Removes a key.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] for the user and for the key.
    pub fn delete_key<'a>(&'a self, user: &'a str, id: &'a str) -> BoxFuture<'a, Result<(), AccessError>> {
        Box::pin(async move {
            let _turn = self.changes.lock().await;
            self.key_of(user, id)?;
            self.catalog.access_keys.delete(id, Transaction::new()).await?;
            Ok(())
        })
    }

    /// The root's keys; the first one is made when there is none, except on development nodes, where the published key is
    /// the root's.
    ///
    /// # Errors
    /// [`AccessError::Catalog`].
    pub fn root_keys(&self, now: Millis) -> BoxFuture<'_, Result<Vec<AccessKey>, AccessError>> {
        Box::pin(async move {
            let _turn = self.changes.lock().await;
            let known = self.keys_with(ROOT);
            if self.development || !known.is_empty() {
                return Ok(known);
            }
            Ok(vec![self.store_key(ROOT, now).await?])
        })
    }

    /// What a stored key grants that lets somebody in.
    pub(super) fn key_grant(&self, id: &str) -> Option<Grant> {
        // Keys of accounts have a slash in their ids: nobody signs with them.
        let known = self.catalog.access_keys.get(id).filter(|known| !known.disabled && !known.id.contains('/'))?;
        let caller = owner(&known.principal)?;
        let user = match &caller {
            Caller::User { name } => Some(self.catalog.users.get(name)?.id.clone()),
            _ => None,
        };
        Some(Grant { secret: known.secret.clone(), caller, origin: Origin::Key { id: id.to_owned(), user } })
    }

    /// Whether the lasting credentials behind temporary ones still let somebody in.
    pub(super) fn stands(&self, origin: &Origin) -> bool {
        match origin {
            Origin::Development => self.development,
            Origin::Key { id, .. } => self.key_grant(id).is_some_and(|grant| grant.origin == *origin),
            Origin::Function { name } => self.role_of_function(name).is_some(),
        }
    }

    fn key_of(&self, user: &str, id: &str) -> Result<AccessKey, AccessError> {
        let missing = || AccessError::NotFound { kind: "access key", name: id.to_owned() };
        self.keys_of(user)?.into_iter().find(|key| key.id == id).ok_or_else(missing)
    }

    fn keys_with(&self, principal: &str) -> Vec<AccessKey> {
        let mut keys = self.catalog.access_keys.list();
        // Keys of accounts are not for signing.
        keys.retain(|key| key.principal == principal && !key.id.contains('/'));
        keys.sort_by_key(|key| key.created);
        keys
    }

    async fn store_key(&self, principal: &str, now: Millis) -> Result<AccessKey, AccessError> {
        let key = AccessKeyDefinition {
            id: format!("MSAK{}", secret::letters(16)),
            secret: secret::secret(),
            principal: principal.to_owned(),
            disabled: false,
            created: now,
        };
        Ok(self.catalog.access_keys.create(key).await?)
    }
}
