//! What is noted beside an object and changes neither it nor its ETag: its lease and its tags.

use std::collections::BTreeMap;

use millstream_storage::to_the_end;
use millstream_types::BoxFuture;

use super::{Objects, blocking, write::not_found};
use crate::condition::Conditions;
use crate::error::ObjectError;
use crate::lease::{self, LeaseAction};
use crate::name::{check_bucket, check_key};
use crate::object::{Object, Version};

/// Tags of an object: the service family's own limit.
pub const TAGS_MAX: usize = 10;

impl Objects {
    /// Acts on an object's lease; durable when this returns. Of the conditions the lease's id is not looked at: the action
    /// has its own.
    ///
    /// # Errors
    /// [`ObjectError::Lease`], [`ObjectError::NotFound`], [`ObjectError::ConditionFailed`], [`ObjectError::Unsupported`].
    pub fn act_on_lease<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        conditions: Conditions,
        action: LeaseAction,
    ) -> BoxFuture<'a, Result<Object, ObjectError>> {
        Box::pin(async move {
            let now = self.now();
            self.note(bucket, key, move |object| {
                conditions.check(&object.key, Some(object))?;
                let acted = lease::act(object.lease.take(), action, now);
                object.lease = acted.map_err(|refusal| ObjectError::Lease { key: object.key.clone(), refusal })?;
                Ok(())
            })
            .await
        })
    }

    /// Replaces an object's tags; durable when this returns.
    ///
    /// # Errors
    /// [`ObjectError::Tags`], [`ObjectError::Lease`], [`ObjectError::NotFound`], [`ObjectError::ConditionFailed`],
    /// [`ObjectError::Unsupported`].
    pub fn set_tags<'a>(
        &'a self,
        bucket: &'a str,
        key: &'a str,
        conditions: Conditions,
        tags: BTreeMap<String, String>,
    ) -> BoxFuture<'a, Result<Object, ObjectError>> {
        Box::pin(async move {
            check_tags(&tags)?;
            let now = self.now();
            self.note(bucket, key, move |object| {
                conditions.check_change(&object.key, Some(object), now)?;
                object.properties.tags = tags;
                Ok(())
            })
            .await
        })
    }

    async fn note(
        &self,
        bucket: &str,
        key: &str,
        note: impl FnOnce(&mut Object) -> Result<(), ObjectError> + Send + 'static,
    ) -> Result<Object, ObjectError> {
        check_bucket(bucket)?;
        check_key(key)?;
        let folder = self.folder("note something of objects")?;
        let (engine, bucket, key) = (self.clone(), bucket.to_owned(), key.to_owned());
        to_the_end(async move {
            let _lock = engine.shared.locks.write(&bucket, &key).await;
            let (of, name, entries) = (bucket.clone(), key.clone(), engine.shared.entries.clone());
            let (mut object, state) = blocking(move || {
                folder.require_bucket(&of)?;
                let file = folder.open(&of, &name)?.ok_or_else(|| not_found(&of, &name))?;
                Ok((entries.object(Version::current(&of, &name), file.state)?, file.state))
            })
            .await?;
            note(&mut object)?;
            engine.shared.entries.put(&bucket, &object, state, None).await?;
            Ok(object)
        })
        .await
    }
}

/// Refuses tags that are too many, or too long.
///
/// # Errors
/// [`ObjectError::Tags`].
pub fn check_tags(tags: &BTreeMap<String, String>) -> Result<(), ObjectError> {
    let refuse = |reason| Err(ObjectError::Tags { reason });
    if tags.len() > TAGS_MAX {
        return refuse("there are more than 10");
    }
    let allowed = |text: &str| text.chars().all(|char| char.is_ascii_alphanumeric() || " +-./:=_".contains(char));
    for (name, value) in tags {
        if name.is_empty() || name.len() > 128 || value.len() > 256 {
            return refuse("a name has 1 to 128 characters, a value at most 256");
        }
        if !allowed(name) || !allowed(value) {
            return refuse("only letters, digits, spaces and `+ - . / : = _` are allowed");
        }
    }
    Ok(())
}
