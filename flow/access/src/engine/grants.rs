//! What users and roles may do: policies of their own, and policies that they share.

use millstream_catalog::{Grants, PolicyReference};
use millstream_types::BoxFuture;

use super::{Access, entity};
use crate::error::AccessError;
use crate::policy::{Policy, Use};

/// Characters of all own policies together, white space not counted.
const USER_INLINE_CHARS_MAX: usize = 2_048;
const ROLE_INLINE_CHARS_MAX: usize = 10_240;
/// Characters of a policy's name.
const NAME_CHARS_MAX: usize = 128;
/// Policies attached to one user or role.
const ATTACHED_MAX: usize = 10;

/// Who has policies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A user by name.
    User(String),
    /// A role by name.
    Role(String),
}

impl Access {
    /// What a user or a role has.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    pub fn grants(&self, holder: &Holder) -> Result<Grants, AccessError> {
        Ok(match holder {
            Holder::User(name) => self.user(name)?.grants.clone(),
            Holder::Role(name) => self.role(name)?.grants.clone(),
        })
    }

    /// Writes a policy of a user's or a role's own.
    ///
    /// # Errors
    /// [`AccessError::NotFound`], [`AccessError::Malformed`], [`AccessError::TooLong`].
    pub fn put_inline<'a>(
        &'a self,
        holder: &'a Holder,
        name: &'a str,
        document: String,
    ) -> BoxFuture<'a, Result<(), AccessError>> {
        Box::pin(async move {
            entity::check_name("policy name", name, NAME_CHARS_MAX)?;
            Policy::parse(&document, Use::Identity)?;
            let (what, limit) = match holder {
                Holder::User(_) => ("policies of a user", USER_INLINE_CHARS_MAX),
                Holder::Role(_) => ("policies of a role", ROLE_INLINE_CHARS_MAX),
            };
            self.change(holder, |grants| {
                grants.inline.insert(name.to_owned(), document);
                let found = grants.inline.values().map(|document| entity::policy_chars(document)).sum();
                if found > limit { Err(AccessError::TooLong { what, limit, found }) } else { Ok(()) }
            })
            .await
        })
    }

    /// A policy of a user's or a role's own.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] for the holder and for the policy.
    pub fn inline(&self, holder: &Holder, name: &str) -> Result<String, AccessError> {
        self.grants(holder)?.inline.remove(name).ok_or_else(|| no_policy(name))
    }

    /// Removes a policy of a user's or a role's own.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] for the holder and for the policy.
    pub fn delete_inline<'a>(&'a self, holder: &'a Holder, name: &'a str) -> BoxFuture<'a, Result<(), AccessError>> {
        Box::pin(async move {
            self.change(holder, |grants| grants.inline.remove(name).map(drop).ok_or_else(|| no_policy(name))).await
        })
    }

    /// Gives a user or a role a shared policy; one that it has already stays.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] for the holder and for the policy; [`AccessError::TooMany`].
    pub fn attach<'a>(&'a self, holder: &'a Holder, policy: PolicyReference) -> BoxFuture<'a, Result<(), AccessError>> {
        Box::pin(async move {
            self.change(holder, |grants| {
                let there = match &policy {
                    PolicyReference::Own(name) => self.catalog.policies.get(name).is_some(),
                    PolicyReference::Service(name) => self.service_policy(name).is_some(),
                };
                if !there {
                    return Err(no_policy(policy.name()));
                }
                grants.attached.insert(policy);
                entity::check_count("attached policies", grants.attached.len(), ATTACHED_MAX)
            })
            .await
        })
    }

    /// Takes a shared policy away.
    ///
    /// # Errors
    /// [`AccessError::NotFound`] for the holder, and when it does not have the policy.
    pub fn detach<'a>(
        &'a self,
        holder: &'a Holder,
        policy: &'a PolicyReference,
    ) -> BoxFuture<'a, Result<(), AccessError>> {
        Box::pin(async move {
            self.change(
                holder,
                |grants| {
                    if grants.attached.remove(policy) { Ok(()) } else { Err(no_policy(policy.name())) }
                },
            )
            .await
        })
    }

    /// Puts other grants in the place of a user's or a role's; gives whether they were others.
    ///
    /// # Errors
    /// [`AccessError::NotFound`], [`AccessError::Malformed`].
    pub fn set_grants<'a>(&'a self, holder: &'a Holder, wanted: Grants) -> BoxFuture<'a, Result<bool, AccessError>> {
        Box::pin(async move {
            for document in wanted.inline.values() {
                Policy::parse(document, Use::Identity)?;
            }
            let mut other = false;
            self.change(holder, |grants| {
                other = *grants != wanted;
                *grants = wanted;
                Ok(())
            })
            .await?;
            Ok(other)
        })
    }

    async fn change(
        &self,
        holder: &Holder,
        change: impl FnOnce(&mut Grants) -> Result<(), AccessError> + Send,
    ) -> Result<(), AccessError> {
        let _turn = self.changes.lock().await;
        match holder {
            Holder::User(name) => {
                let mut user = (*self.user(name)?).clone();
                change(&mut user.grants)?;
                self.catalog.users.put(user).await?;
            }
            Holder::Role(name) => {
                let mut role = (*self.role(name)?).clone();
                change(&mut role.grants)?;
                self.catalog.roles.put(role).await?;
            }
        }
        Ok(())
    }
}

/// Why a user or a role with these cannot be deleted.
pub(super) fn check_none(grants: &Grants) -> Result<(), &'static str> {
    if !grants.attached.is_empty() {
        return Err("must detach all policies first.");
    }
    if !grants.inline.is_empty() {
        return Err("must delete policies first.");
    }
    Ok(())
}

fn no_policy(name: &str) -> AccessError {
    AccessError::NotFound { kind: "policy", name: name.to_owned() }
}
