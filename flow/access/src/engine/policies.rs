//! Policies that users and roles share: those made here, and those that every node knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::{PolicyDefinition, PolicyReference, PolicyVersion};
use millstream_storage::Transaction;
use millstream_types::{BoxFuture, Millis};

use super::{Access, Holder, entity};
use crate::error::AccessError;
use crate::policy::{Policy, Use};

/// Policies of a node.
const POLICIES_MAX: usize = 1_500;
/// Characters of a policy, white space not counted.
const POLICY_CHARS_MAX: usize = 6_144;
/// Characters of a policy's name.
const NAME_CHARS_MAX: usize = 128;
/// Versions that a policy keeps.
const VERSIONS_MAX: usize = 5;

/// A policy that is there without anybody making it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePolicy {
    /// Its name.
    pub name: String,
    /// Its path: `/`, `/service-role/`.
    pub path: String,
    /// The policy document.
    pub document: String,
}

/// A policy to be.
#[derive(Debug, Clone, Default)]
pub struct NewPolicy {
    /// Its name.
    pub name: String,
    /// Its path; empty: `/`.
    pub path: String,
    /// For people.
    pub description: String,
    /// The policy document.
    pub document: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Access {
    /// All policies that every node knows.
    #[must_use]
    pub fn service_policies(&self) -> &[ServicePolicy] {
        &self.service_policies
    }

    /// A policy that every node knows.
    #[must_use]
    pub fn service_policy(&self, name: &str) -> Option<&ServicePolicy> {
        self.service_policies.iter().find(|policy| policy.name == name)
    }

    /// Makes a policy.
    ///
    /// # Errors
    /// [`AccessError::Exists`], [`AccessError::Malformed`], [`AccessError::TooLong`], [`AccessError::TooMany`].
    pub fn create_policy(
        &self,
        new: NewPolicy,
        now: Millis,
    ) -> BoxFuture<'_, Result<Arc<PolicyDefinition>, AccessError>> {
        Box::pin(async move {
            entity::check_name("policy name", &new.name, NAME_CHARS_MAX)?;
            let path = if new.path.is_empty() { "/".to_owned() } else { new.path };
            entity::check_path(&path)?;
            entity::check_tags(&new.tags)?;
            entity::check_description(&new.description)?;
            check(&new.document)?;
            let _turn = self.changes.lock().await;
            let policies = self.policies();
            if policies.iter().any(|policy| policy.name.eq_ignore_ascii_case(&new.name)) {
                return Err(AccessError::Exists { kind: "policy", name: new.name });
            }
            entity::check_count("policies", policies.len() + 1, POLICIES_MAX)?;
            let policy = PolicyDefinition {
                name: new.name,
                path,
                id: entity::new_id(),
                description: new.description,
                versions: vec![PolicyVersion { number: 1, document: new.document, created: now }],
                default_version: 1,
                last_version: 1,
                created: now,
                modified: now,
                tags: new.tags,
            };
            Ok(self.catalog.policies.create(policy).await?)
        })
    }

    /// A policy.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    pub fn policy(&self, name: &str) -> Result<Arc<PolicyDefinition>, AccessError> {
        Ok(self.catalog.policies.require(name)?)
    }

    /// All policies that were made here, in the order of their names.
    #[must_use]
    pub fn policies(&self) -> Vec<Arc<PolicyDefinition>> {
        self.catalog.policies.list()
    }

    /// Who has a policy attached: users first, then roles.
    #[must_use]
    pub fn holders(&self, reference: &PolicyReference) -> Vec<Holder> {
        let users = self.users();
        let users = users.iter().filter(|user| user.grants.attached.contains(reference));
        let roles = self.roles();
        let roles = roles.iter().filter(|role| role.grants.attached.contains(reference));
        users
            .map(|user| Holder::User(user.name.clone()))
            .chain(roles.map(|role| Holder::Role(role.name.clone())))
            .collect()
    }

    /// Adds a text to a policy; with `holds` it is the one that holds from now on.
    ///
    /// # Errors
    /// [`AccessError::NotFound`], [`AccessError::Malformed`], [`AccessError::TooMany`], [`AccessError::TooLong`].
    pub fn create_policy_version<'a>(
        &'a self,
        name: &'a str,
        document: String,
        holds: bool,
        now: Millis,
    ) -> BoxFuture<'a, Result<PolicyVersion, AccessError>> {
        Box::pin(async move {
            check(&document)?;
            let _turn = self.changes.lock().await;
            let mut policy = (*self.policy(name)?).clone();
            entity::check_count("versions of a policy", policy.versions.len() + 1, VERSIONS_MAX)?;
            let number = policy.last_version + 1;
            let version = PolicyVersion { number, document, created: now };
            policy.versions.push(version.clone());
            policy.last_version = number;
            policy.modified = now;
            if holds {
                policy.default_version = number;
            }
            self.catalog.policies.put(policy).await?;
            Ok(version)
        })
    }

    /// Lets another of a policy's texts hold.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] for the policy and for the version.
    pub fn set_default_policy_version<'a>(
        &'a self,
        name: &'a str,
        number: u32,
        now: Millis,
    ) -> BoxFuture<'a, Result<(), AccessError>> {
        Box::pin(async move {
            let _turn = self.changes.lock().await;
            let mut policy = (*self.policy(name)?).clone();
            version(&policy, number)?;
            policy.default_version = number;
            policy.modified = now;
            self.catalog.policies.put(policy).await?;
            Ok(())
        })
    }

    /// Removes a text that does not hold.
    ///
    /// # Errors
    /// [`AccessError::NotFound`], [`AccessError::InUse`].
    pub fn delete_policy_version<'a>(&'a self, name: &'a str, number: u32) -> BoxFuture<'a, Result<(), AccessError>> {
        Box::pin(async move {
            let _turn = self.changes.lock().await;
            let mut policy = (*self.policy(name)?).clone();
            version(&policy, number)?;
            if policy.default_version == number {
                let reason = "cannot delete the default version of a policy.";
                return Err(AccessError::InUse { kind: "policy", name: name.to_owned(), reason });
            }
            policy.versions.retain(|version| version.number != number);
            self.catalog.policies.put(policy).await?;
            Ok(())
        })
    }

    /// Removes a policy that nobody has attached and that has one text only.
    ///
    /// # Errors
    /// [`AccessError::NotFound`], [`AccessError::InUse`].
    pub fn delete_policy<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), AccessError>> {
        Box::pin(async move {
            let _turn = self.changes.lock().await;
            let policy = self.policy(name)?;
            let in_use = |reason| AccessError::InUse { kind: "policy", name: name.to_owned(), reason };
            if !self.holders(&PolicyReference::Own(name.to_owned())).is_empty() {
                return Err(in_use("must detach it from all entities first."));
            }
            if policy.versions.len() > 1 {
                return Err(in_use("must delete all non-default versions first."));
            }
            self.catalog.policies.delete(name, Transaction::new()).await?;
            Ok(())
        })
    }
}

/// A version of a policy.
fn version(policy: &PolicyDefinition, number: u32) -> Result<&PolicyVersion, AccessError> {
    let found = policy.versions.iter().find(|version| version.number == number);
    found.ok_or_else(|| AccessError::NotFound { kind: "policy version", name: format!("v{number}") })
}

fn check(document: &str) -> Result<(), AccessError> {
    Policy::parse(document, Use::Identity)?;
    let found = entity::policy_chars(document);
    if found > POLICY_CHARS_MAX {
        return Err(AccessError::TooLong { what: "policy", limit: POLICY_CHARS_MAX, found });
    }
    Ok(())
}
