//! Roles.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::{Grants, RoleDefinition};
use millstream_storage::Transaction;
use millstream_types::{BoxFuture, Millis};

use super::{Access, entity};
use crate::error::AccessError;
use crate::policy::{Policy, Use};

/// Roles of a node.
const ROLES_MAX: usize = 5_000;
/// Characters of a trust policy, white space not counted.
const TRUST_CHARS_MAX: usize = 4_096;
/// The longest session of a role unless told otherwise, and what can be told.
const SESSION_SECONDS: u32 = 3_600;
const SESSION_SECONDS_MAX: u32 = 43_200;

/// A role to be.
#[derive(Debug, Clone, Default)]
pub struct NewRole {
    /// Its name.
    pub name: String,
    /// Its path; empty: `/`.
    pub path: String,
    /// Who may take it on: a policy document.
    pub trust: String,
    /// For people.
    pub description: String,
    /// Its longest session; `None`: an hour.
    pub session_seconds_max: Option<u32>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Access {
    /// Makes a role, which grants nothing yet.
    ///
    /// # Errors
    /// [`AccessError::Exists`] (names that differ in case only are the same), [`AccessError::Malformed`],
    /// [`AccessError::Invalid`], [`AccessError::TooMany`].
    pub fn create_role(&self, new: NewRole, now: Millis) -> BoxFuture<'_, Result<Arc<RoleDefinition>, AccessError>> {
        Box::pin(async move {
            entity::check_name("role name", &new.name, entity::NAME_CHARS_MAX)?;
            let path = if new.path.is_empty() { "/".to_owned() } else { new.path };
            entity::check_path(&path)?;
            entity::check_tags(&new.tags)?;
            let role = RoleDefinition {
                name: new.name,
                path,
                id: entity::new_id(),
                description: new.description,
                trust: new.trust,
                session_seconds_max: new.session_seconds_max.unwrap_or(SESSION_SECONDS),
                grants: Grants::default(),
                tags: new.tags,
                created: now,
            };
            check(&role)?;
            let _turn = self.changes.lock().await;
            let roles = self.catalog.roles.list();
            if roles.iter().any(|other| other.name.eq_ignore_ascii_case(&role.name)) {
                return Err(AccessError::Exists { kind: "role", name: role.name });
            }
            entity::check_count("roles", roles.len() + 1, ROLES_MAX)?;
            Ok(self.catalog.roles.create(role).await?)
        })
    }

    /// A role.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    pub fn role(&self, name: &str) -> Result<Arc<RoleDefinition>, AccessError> {
        Ok(self.catalog.roles.require(name)?)
    }

    /// All roles in the order of their names.
    #[must_use]
    pub fn roles(&self) -> Vec<Arc<RoleDefinition>> {
        self.catalog.roles.list()
    }

    /// Changes a role's description, trust policy or longest session; what is `None` stays.
    ///
    /// # Errors
    /// [`AccessError::NotFound`], [`AccessError::Malformed`], [`AccessError::Invalid`].
    pub fn update_role<'a>(
        &'a self,
        name: &'a str,
        description: Option<String>,
        trust: Option<String>,
        session_seconds_max: Option<u32>,
    ) -> BoxFuture<'a, Result<Arc<RoleDefinition>, AccessError>> {
        Box::pin(async move {
            let _turn = self.changes.lock().await;
            let mut role = (*self.role(name)?).clone();
            role.description = description.unwrap_or(role.description);
            role.trust = trust.unwrap_or(role.trust);
            role.session_seconds_max = session_seconds_max.unwrap_or(role.session_seconds_max);
            check(&role)?;
            Ok(self.catalog.roles.put(role).await?)
        })
    }

    /// Removes a role that has no policies any more. Its sessions end.
    ///
    /// # Errors
    /// [`AccessError::NotFound`], [`AccessError::InUse`].
    pub fn delete_role<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), AccessError>> {
        Box::pin(async move {
            let _turn = self.changes.lock().await;
            let role = self.role(name)?;
            let in_use = |reason| AccessError::InUse { kind: "role", name: name.to_owned(), reason };
            super::grants::check_none(&role.grants).map_err(in_use)?;
            self.catalog.roles.delete(name, Transaction::new()).await?;
            Ok(())
        })
    }
}

fn check(role: &RoleDefinition) -> Result<(), AccessError> {
    entity::check_description(&role.description)?;
    Policy::parse(&role.trust, Use::Trust)?;
    let found = entity::policy_chars(&role.trust);
    if found > TRUST_CHARS_MAX {
        return Err(AccessError::TooLong { what: "trust policy", limit: TRUST_CHARS_MAX, found });
    }
    if !(SESSION_SECONDS..=SESSION_SECONDS_MAX).contains(&role.session_seconds_max) {
        return Err(AccessError::Invalid {
            what: "the longest session",
            expected: "3600 to 43200 seconds",
            found: role.session_seconds_max.to_string(),
        });
    }
    Ok(())
}
