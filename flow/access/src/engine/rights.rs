//! What a caller may do, ready to be asked: its policies, read once and kept until a definition changes.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use millstream_catalog::{Catalog, Grants, PolicyReference};

use super::Access;
use crate::caller::Caller;
use crate::definition_cache::DefinitionCache;
use crate::policy::{Policy, Use};

/// Roles that do not exist and are told of.
const TOLD_MAX: usize = 4_096;

/// What a caller may do.
#[derive(Clone)]
pub(super) enum Rights {
    Everything,
    /// What these say.
    Policies(Arc<[Policy]>),
    /// The user, the role or the function is no longer there.
    Nothing,
}

/// The policies of callers, read.
pub(super) struct RightsCache {
    by_caller: DefinitionCache<Rights>,
    /// Roles that do not exist and were told of.
    told: Mutex<HashSet<String>>,
}

impl RightsCache {
    pub(super) fn new(catalog: &Catalog) -> Self {
        let changes = vec![catalog.users.watch(), catalog.roles.watch(), catalog.policies.watch()];
        Self { by_caller: DefinitionCache::new(changes), told: Mutex::default() }
    }

    fn get(&self, caller: &str, read: impl FnOnce() -> Option<Rights>) -> Rights {
        self.by_caller.get(caller, read).unwrap_or(Rights::Nothing)
    }
}

impl Access {
    pub(super) fn rights(&self, caller: &Caller) -> Rights {
        match caller {
            Caller::Root => Rights::Everything,
            Caller::User { name } => {
                self.rights.get(&format!("user/{name}"), || Some(self.read(&self.catalog.users.get(name)?.grants)))
            }
            Caller::Role(session) => match self.catalog.roles.get(&session.role) {
                Some(role) if role.id == session.role_id => self.role_rights(&session.role),
                _ => Rights::Nothing,
            },
            Caller::Function { name } => match self.role_of_function(name) {
                // A pipeline file need not name roles.
                Some(role) if role.is_empty() => Rights::Everything,
                Some(role) => self.function_rights(role_name(&role)),
                None => Rights::Nothing,
            },
        }
    }

    /// The role of a function or of a version that has one, by name; the role need not exist.
    #[must_use]
    pub fn function_role(&self, function: &str) -> Option<String> {
        let role = self.role_of_function(function)?;
        Some(role_name(&role).to_owned()).filter(|role| !role.is_empty())
    }

    /// The role of what a reference names, as its maker wrote it; `None` when it is not there.
    pub(super) fn role_of_function(&self, reference: &str) -> Option<String> {
        self.catalog.functions.referred(reference, |found| found.role.clone())
    }

    /// The tags of the user or the role that a caller is.
    #[must_use]
    pub fn caller_tags(&self, caller: &Caller) -> BTreeMap<String, String> {
        let of_role = |name: &str| self.catalog.roles.get(name).map(|role| role.tags.clone());
        let tags = match caller {
            Caller::Root => None,
            Caller::User { name } => self.catalog.users.get(name).map(|user| user.tags.clone()),
            Caller::Role(session) => of_role(&session.role),
            Caller::Function { name } => self.function_role(name).and_then(|role| of_role(&role)),
        };
        tags.unwrap_or_default()
    }

    fn function_rights(&self, role: &str) -> Rights {
        if self.catalog.roles.get(role).is_some() || !self.development {
            return self.role_rights(role);
        }
        self.tell_missing(role);
        Rights::Everything
    }

    /// Says once of each role that does not exist what a development node makes of that.
    pub(super) fn tell_missing(&self, role: &str) {
        let mut told = self.rights.told.lock().unwrap_or_else(PoisonError::into_inner);
        if self.development && told.len() < TOLD_MAX && told.insert(role.to_owned()) {
            tracing::warn!(role, "there is no such role: on this development node whatever has it may do everything");
        }
    }

    fn role_rights(&self, role: &str) -> Rights {
        self.rights.get(&format!("role/{role}"), || Some(self.read(&self.catalog.roles.get(role)?.grants)))
    }

    /// Reads all policies of a user or a role. One that cannot be read might deny something: nothing is allowed then.
    fn read(&self, grants: &Grants) -> Rights {
        let attached = grants.attached.iter().map(|reference| match reference {
            PolicyReference::Own(name) => self.catalog.policies.get(name).map(|policy| policy.document().to_owned()),
            PolicyReference::Service(name) => self.service_policy(name).map(|policy| policy.document.clone()),
        });
        let documents = grants.inline.values().cloned().chain(attached.flatten());
        let policies = documents.map(|document| Policy::parse(&document, Use::Identity)).collect::<Result<_, _>>();
        policies.map_or_else(
            |error| {
                tracing::error!(%error, "a stored policy cannot be read: whoever has it may do nothing");
                Rights::Nothing
            },
            Rights::Policies,
        )
    }
}

/// A role's name from what names it: the last part behind slashes.
pub(super) fn role_name(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or(reference)
}
