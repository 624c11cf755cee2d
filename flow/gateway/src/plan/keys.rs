//! Keys: made, changed, rotated, found by their values.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};

use millstream_catalog::{ApiKeyDefinition, Catalog, FormerValue};
use millstream_storage::Transaction;
use millstream_types::{BoxFuture, Millis};

use super::Plans;
use super::definitions::TAGS_MAX;
use super::usage::counter_of;
use crate::engine::new_id;
use crate::error::GatewayError;

/// Keys of a node: the service's own quota.
pub const KEYS_MAX: usize = 10_000;

/// Characters of a key's value: the service's own bounds.
pub const VALUE_CHARS: std::ops::RangeInclusive<usize> = 20..=128;

/// Characters of a key's name, description and customer.
const TEXT_CHARS_MAX: usize = 1_024;

/// Characters of a value that is made here: 238 bits that nobody can guess.
const MADE_CHARS: usize = 40;

/// Letters and digits, for values.
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What a key is made from.
#[derive(Debug, Clone, Default)]
pub struct NewApiKey {
    /// For people.
    pub name: String,
    /// For people.
    pub description: String,
    /// What callers send; `None`: made here.
    pub value: Option<String>,
    /// Whether it opens anything.
    pub enabled: bool,
    /// Whose it is at the marketplace; empty without.
    pub customer: String,
    /// Labels.
    pub tags: BTreeMap<String, String>,
    /// The usage plans that it belongs to.
    pub plans: BTreeSet<String>,
}

/// What is changed of a key; `None` stays as it is.
#[derive(Debug, Clone, Default)]
pub struct ApiKeyChange {
    /// For people.
    pub name: Option<String>,
    /// For people.
    pub description: Option<String>,
    /// Whether it opens anything.
    pub enabled: Option<bool>,
    /// Whose it is at the marketplace.
    pub customer: Option<String>,
    /// Labels with their new values; `None` removes one.
    pub tags: BTreeMap<String, Option<String>>,
}

impl Plans {
    /// Makes a key.
    ///
    /// # Errors
    /// [`GatewayError::Invalid`] for a value that is too short or too long, [`GatewayError::Exists`] when it is another
    /// key's, [`GatewayError::NotFound`] for a plan, [`GatewayError::Conflict`] when two of its plans open the same
    /// stage, [`GatewayError::TooMany`], [`GatewayError::Catalog`].
    pub fn create_key(&self, new: NewApiKey) -> BoxFuture<'_, Result<Arc<ApiKeyDefinition>, GatewayError>> {
        Box::pin(async move {
            let _turn = self.shared.edits.lock().await;
            if self.shared.catalog.api_keys.list().len() >= KEYS_MAX {
                return Err(GatewayError::TooMany { what: "API keys", limit: KEYS_MAX });
            }
            let value = new.value.unwrap_or_else(new_value);
            check_value(&value)?;
            self.check_plans(&new.plans)?;
            let now = self.shared.clock.now();
            let key = ApiKeyDefinition {
                id: new_id(),
                name: new.name,
                description: new.description,
                value,
                former: None,
                enabled: new.enabled,
                customer: new.customer,
                plans: new.plans,
                tags: new.tags,
                created: now,
                updated: now,
            };
            check_texts(&key)?;
            self.claim(&key.value, &key.id)?;
            let made = self.shared.catalog.api_keys.create(key.clone()).await;
            if made.is_err() {
                self.release(&key.value);
            }
            Ok(made?)
        })
    }

    /// A key.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`].
    pub fn key(&self, id: &str) -> Result<Arc<ApiKeyDefinition>, GatewayError> {
        Ok(self.shared.catalog.api_keys.require(id)?)
    }

    /// All keys in the order of their ids.
    #[must_use]
    pub fn keys(&self) -> Vec<Arc<ApiKeyDefinition>> {
        self.shared.catalog.api_keys.list()
    }

    /// The key that a value is of, a former one while it may be sent.
    #[must_use]
    pub fn key_of_value(&self, value: &str) -> Option<Arc<ApiKeyDefinition>> {
        let id = self.shared.values.read().unwrap_or_else(PoisonError::into_inner).get(value).cloned()?;
        self.shared.catalog.api_keys.get(&id).filter(|key| key.is_value(value, self.shared.clock.now()))
    }

    /// Changes a key.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::Invalid`], [`GatewayError::Catalog`].
    pub fn update_key<'a>(
        &'a self,
        id: &'a str,
        change: ApiKeyChange,
    ) -> BoxFuture<'a, Result<Arc<ApiKeyDefinition>, GatewayError>> {
        Box::pin(async move {
            self.edit_key(id, |key| {
                key.name = change.name.unwrap_or_else(|| key.name.clone());
                key.description = change.description.unwrap_or_else(|| key.description.clone());
                key.enabled = change.enabled.unwrap_or(key.enabled);
                key.customer = change.customer.unwrap_or_else(|| key.customer.clone());
                for (name, value) in change.tags {
                    match value {
                        Some(value) => key.tags.insert(name, value),
                        None => key.tags.remove(&name),
                    };
                }
                check_texts(key)
            })
            .await
        })
    }

    /// Gives a key a new value. The one before opens the same until a time, or until [`Plans::revoke_former`] when there
    /// is none; one that was former already opens nothing from now on. Counts go on under the key's id.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::Catalog`].
    pub fn rotate_key<'a>(
        &'a self,
        id: &'a str,
        until: Option<Millis>,
    ) -> BoxFuture<'a, Result<Arc<ApiKeyDefinition>, GatewayError>> {
        Box::pin(async move {
            let value = new_value();
            self.claim(&value, id)?;
            let oldest = self.key(id).ok().and_then(|key| key.former.clone());
            let rotated = self
                .edit_key(id, |key| {
                    let former = std::mem::replace(&mut key.value, value.clone());
                    key.former = Some(FormerValue { value: former, until });
                    Ok(())
                })
                .await;
            match (&rotated, oldest) {
                (Err(_), _) => self.release(&value),
                (Ok(_), Some(oldest)) => self.release(&oldest.value),
                (Ok(_), None) => {}
            }
            rotated
        })
    }

    /// Lets the value before the last rotation open nothing any more.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::Catalog`].
    pub fn revoke_former<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Arc<ApiKeyDefinition>, GatewayError>> {
        Box::pin(async move {
            let former = self.key(id)?.former.clone();
            let revoked = self
                .edit_key(id, |key| {
                    key.former = None;
                    Ok(())
                })
                .await?;
            if let Some(former) = former {
                self.release(&former.value);
            }
            Ok(revoked)
        })
    }

    /// Removes a key. What it used stays known.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::Catalog`], [`GatewayError::Storage`].
    pub fn delete_key<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            let _turn = self.shared.edits.lock().await;
            let gone = self.shared.catalog.api_keys.delete(id, Transaction::new()).await?;
            self.release(&gone.value);
            if let Some(former) = &gone.former {
                self.release(&former.value);
            }
            let counters: Vec<String> = gone.plans.iter().map(|plan| counter_of(plan, id)).collect();
            Ok(self.shared.quotas.remove(&counters).await?)
        })
    }

    /// Changes a key's definition, one edit at a time.
    pub(super) async fn edit_key(
        &self,
        id: &str,
        edit: impl FnOnce(&mut ApiKeyDefinition) -> Result<(), GatewayError>,
    ) -> Result<Arc<ApiKeyDefinition>, GatewayError> {
        let _turn = self.shared.edits.lock().await;
        let mut key = (*self.key(id)?).clone();
        edit(&mut key)?;
        key.updated = self.shared.clock.now();
        Ok(self.shared.catalog.api_keys.put(key).await?)
    }

    /// Keeps a value for a key.
    fn claim(&self, value: &str, id: &str) -> Result<(), GatewayError> {
        let mut values = self.shared.values.write().unwrap_or_else(PoisonError::into_inner);
        if values.contains_key(value) {
            // The value is a secret: the error names the kind only.
            return Err(GatewayError::Exists { kind: "API key", name: "of this value".to_owned() });
        }
        values.insert(value.to_owned(), id.to_owned());
        Ok(())
    }

    fn release(&self, value: &str) {
        self.shared.values.write().unwrap_or_else(PoisonError::into_inner).remove(value);
    }
}

/// The ids of all keys by their values.
pub(super) fn values_of(catalog: &Catalog) -> HashMap<String, String> {
    let mut values = HashMap::new();
    for key in catalog.api_keys.list() {
        values.insert(key.value.clone(), key.id.clone());
        if let Some(former) = &key.former {
            values.insert(former.value.clone(), key.id.clone());
        }
    }
    values
}

fn check_value(value: &str) -> Result<(), GatewayError> {
    let visible = value.chars().all(|char| char.is_ascii_graphic());
    if visible && VALUE_CHARS.contains(&value.len()) {
        return Ok(());
    }
    let (least, most) = (VALUE_CHARS.start(), VALUE_CHARS.end());
    let reason = format!(
        "API Key value should be {least} to {most} visible ASCII characters, found {} characters",
        value.chars().count()
    );
    Err(GatewayError::Invalid { reason })
}

fn check_texts(key: &ApiKeyDefinition) -> Result<(), GatewayError> {
    if key.tags.len() > TAGS_MAX {
        return Err(GatewayError::TooMany { what: "tags of an API key", limit: TAGS_MAX });
    }
    for (what, text) in [("name", &key.name), ("description", &key.description), ("customerId", &key.customer)] {
        if text.chars().count() > TEXT_CHARS_MAX {
            let reason = format!("{what} should be at most {TEXT_CHARS_MAX} characters");
            return Err(GatewayError::Invalid { reason });
        }
    }
    Ok(())
}

/// A value that nobody can guess.
fn new_value() -> String {
    let mut value = String::with_capacity(MADE_CHARS);
    while value.len() < MADE_CHARS {
        let random = uuid::Uuid::new_v4();
        // Bytes 6 and 8 say which kind of id it is; of the others those are taken that fall evenly on the letters.
        let even = random
            .as_bytes()
            .iter()
            .enumerate()
            .filter(|(index, byte)| !matches!(index, 6 | 8) && usize::from(**byte) < ALPHABET.len() * 4);
        value.extend(even.map(|(_, byte)| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])));
    }
    value.truncate(MADE_CHARS);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_made_are_allowed_and_differ() {
        let values: BTreeSet<String> = (0..100).map(|_| new_value()).collect();
        assert_eq!(values.len(), 100);
        assert!(values.iter().all(|value| value.len() == MADE_CHARS && check_value(value).is_ok()));
        for wrong in ["short", &"k".repeat(129), "with a blank in it, so long", "ümläüte-in-a-key-value"] {
            assert!(check_value(wrong).is_err(), "{wrong}");
        }
    }
}
