//! What users, roles and policies have in common: names, paths, ids, tags.

use std::collections::BTreeMap;

use millstream_catalog::{PolicyDefinition, RoleDefinition, UserDefinition};
use millstream_types::BoxFuture;

use super::Access;
use crate::error::AccessError;
use crate::secret;

/// Characters of a user's and a role's name.
pub(super) const NAME_CHARS_MAX: usize = 64;
/// Characters of a path.
const PATH_CHARS_MAX: usize = 512;
/// Tags of one user, role or policy, and their lengths.
const TAGS_MAX: usize = 50;
const TAG_KEY_CHARS_MAX: usize = 128;
const TAG_VALUE_CHARS_MAX: usize = 256;
/// Characters of what is said for people.
const DESCRIPTION_CHARS_MAX: usize = 1_000;

/// Something that has tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entity {
    /// A user by name.
    User(String),
    /// A role by name.
    Role(String),
    /// A policy by name.
    Policy(String),
}

impl Access {
    /// The tags of a user, a role or a policy.
    ///
    /// # Errors
    /// [`AccessError::NotFound`].
    pub fn tags(&self, entity: &Entity) -> Result<BTreeMap<String, String>, AccessError> {
        Ok(match entity {
            Entity::User(name) => self.catalog.users.require(name)?.tags.clone(),
            Entity::Role(name) => self.catalog.roles.require(name)?.tags.clone(),
            Entity::Policy(name) => self.catalog.policies.require(name)?.tags.clone(),
        })
    }

    /// Adds tags and takes others away.
    ///
    /// # Errors
    /// [`AccessError::NotFound`], [`AccessError::TooMany`], [`AccessError::TooLong`].
    pub fn tag<'a>(
        &'a self,
        entity: &'a Entity,
        add: BTreeMap<String, String>,
        remove: &'a [String],
    ) -> BoxFuture<'a, Result<(), AccessError>> {
        Box::pin(async move {
            let _turn = self.changes.lock().await;
            let mut tags = self.tags(entity)?;
            tags.extend(add);
            tags.retain(|key, _| !remove.contains(key));
            check_tags(&tags)?;
            match entity {
                Entity::User(name) => {
                    let user = UserDefinition { tags, ..(*self.catalog.users.require(name)?).clone() };
                    self.catalog.users.put(user).await?;
                }
                Entity::Role(name) => {
                    let role = RoleDefinition { tags, ..(*self.catalog.roles.require(name)?).clone() };
                    self.catalog.roles.put(role).await?;
                }
                Entity::Policy(name) => {
                    let policy = PolicyDefinition { tags, ..(*self.catalog.policies.require(name)?).clone() };
                    self.catalog.policies.put(policy).await?;
                }
            }
            Ok(())
        })
    }
}

/// An id that is never given twice.
pub(super) fn new_id() -> String {
    secret::letters(17)
}

pub(super) fn check_name(what: &'static str, name: &str, chars_max: usize) -> Result<(), AccessError> {
    check_length(what, name, chars_max)?;
    let allowed = |char: char| char.is_ascii_alphanumeric() || "+=,.@_-".contains(char);
    if name.is_empty() || !name.chars().all(allowed) {
        return Err(AccessError::Invalid { what, expected: "letters, digits and +=,.@_-", found: name.to_owned() });
    }
    Ok(())
}

pub(super) fn check_path(path: &str) -> Result<(), AccessError> {
    check_length("path", path, PATH_CHARS_MAX)?;
    let printable = path.chars().all(|char| char.is_ascii_graphic() && char != '*' && char != '?');
    if printable && path.starts_with('/') && path.ends_with('/') {
        return Ok(());
    }
    Err(AccessError::Invalid { what: "path", expected: "a text that begins and ends with /", found: path.to_owned() })
}

pub(super) fn check_description(text: &str) -> Result<(), AccessError> {
    check_length("description", text, DESCRIPTION_CHARS_MAX)
}

pub(super) fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), AccessError> {
    check_count("tags", tags.len(), TAGS_MAX)?;
    for (key, value) in tags {
        check_length("tag key", key, TAG_KEY_CHARS_MAX)?;
        check_length("tag value", value, TAG_VALUE_CHARS_MAX)?;
        if key.is_empty() {
            return Err(AccessError::Invalid { what: "tag key", expected: "a text", found: String::new() });
        }
    }
    Ok(())
}

pub(super) fn check_length(what: &'static str, text: &str, limit: usize) -> Result<(), AccessError> {
    let found = text.chars().count();
    if found > limit { Err(AccessError::TooLong { what, limit, found }) } else { Ok(()) }
}

/// `found` must not be over the limit.
pub(super) fn check_count(what: &'static str, found: usize, limit: usize) -> Result<(), AccessError> {
    if found > limit { Err(AccessError::TooMany { what, limit }) } else { Ok(()) }
}

/// The characters that count towards a policy's limit: white space does not.
pub(super) fn policy_chars(document: &str) -> usize {
    document.chars().filter(|char| !char.is_whitespace()).count()
}
