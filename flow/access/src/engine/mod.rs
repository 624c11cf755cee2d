//! The access engine: what it holds, and whose a key is.
//!
//! Read next: `users`, `roles`, `policies`, `grants` (definitions), `keys`, `assume` (temporary credentials), `decide` (the
//! verdict on a call).

mod assume;
mod decide;
mod entity;
mod function;
mod grants;
mod keys;
mod policies;
mod rights;
mod roles;
mod users;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex};

use millstream_catalog::{AccessKeyDefinition, Catalog, CatalogError};
use millstream_types::Millis;

use crate::caller::{Caller, Grant, Origin};
use crate::error::AccessError;
use crate::session::SessionKey;

pub use assume::AssumeRole;
pub use decide::{Denial, PolicyKind, ResourcePolicy};
pub use entity::Entity;
pub use grants::Holder;
pub use keys::AccessKey;
pub use policies::{NewPolicy, ServicePolicy};
pub use roles::NewRole;
pub use users::NewUser;

/// The published key of development nodes, and its secret.
pub const DEVELOPMENT_KEY: (&str, &str) = ("test", "test");

/// The published storage account of development nodes, and its key: those of the vendor's storage emulator.
pub const DEVELOPMENT_ACCOUNT: (&str, &str) =
    ("devstoreaccount1", "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==");

/// The access engine. Cheap to clone.
#[derive(Clone)]
pub struct Access {
    catalog: Catalog,
    development: bool,
    sessions: Option<SessionKey>,
    service_policies: Arc<[ServicePolicy]>,
    functions: Arc<Mutex<function::FunctionKeys>>,
    rights: Arc<rights::RightsCache>,
    /// Definitions are read, changed and written one after the other.
    changes: Arc<tokio::sync::Mutex<()>>,
}

impl Access {
    /// The engine over a catalog; `development` lets the published key in, and gives roles that do not exist all rights.
    #[must_use]
    pub fn new(catalog: Catalog, development: bool) -> Self {
        Self {
            rights: Arc::new(rights::RightsCache::new(&catalog)),
            catalog,
            development,
            sessions: None,
            service_policies: Arc::default(),
            functions: Arc::default(),
            changes: Arc::default(),
        }
    }

    /// The same with temporary credentials, which `key` seals.
    #[must_use]
    pub fn with_sessions(self, key: SessionKey) -> Self {
        Self { sessions: Some(key), ..self }
    }

    /// The same with policies that are there without anybody making them.
    #[must_use]
    pub fn with_service_policies(self, policies: Vec<ServicePolicy>) -> Self {
        Self { service_policies: policies.into(), ..self }
    }

    /// Whose a key is, and what signatures are made with. `token` is what came along with the key: temporary credentials
    /// have one, others do not.
    ///
    /// # Errors
    /// [`AccessError::UnknownKey`], [`AccessError::Expired`].
    pub fn grant(&self, key: &str, token: Option<&str>, now: Millis) -> Result<Grant, AccessError> {
        if self.development && key == DEVELOPMENT_KEY.0 {
            // Clients of development nodes may send any token along.
            let secret = DEVELOPMENT_KEY.1.to_owned();
            return Ok(Grant { secret, caller: Caller::Root, origin: Origin::Development });
        }
        if let Some(token) = token {
            if let Some(grant) = self.function_grant(key, token) {
                return Ok(grant);
            }
            let grant = self.sessions.as_ref().ok_or(AccessError::UnknownKey)?.open_token(key, token, now)?;
            return if self.stands(&grant.origin) { Ok(grant) } else { Err(AccessError::UnknownKey) };
        }
        self.key_grant(key).ok_or(AccessError::UnknownKey)
    }

    /// Both keys of a storage account, base64; `None` when there is none of that name.
    #[must_use]
    pub fn storage_account(&self, name: &str) -> Option<[String; 2]> {
        if self.development && name == DEVELOPMENT_ACCOUNT.0 {
            return Some([DEVELOPMENT_ACCOUNT.1.to_owned(), DEVELOPMENT_ACCOUNT.1.to_owned()]);
        }
        self.catalog.storage_accounts.get(name).map(|account| account.keys.clone())
    }

    /// The key of an account whose clients all share one: on development nodes `published`, else one made from `seed` at
    /// the first call and kept.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub async fn account_key(
        &self,
        account: &str,
        published: &str,
        seed: impl FnOnce() -> String,
        now: Millis,
    ) -> Result<String, CatalogError> {
        if self.development {
            return Ok(published.to_owned());
        }
        let id = format!("account/{account}");
        if let Some(known) = self.catalog.access_keys.get(&id) {
            return Ok(known.secret.clone());
        }
        let definition =
            AccessKeyDefinition { id, secret: seed(), principal: keys::ROOT.to_owned(), disabled: false, created: now };
        Ok(self.catalog.access_keys.create(definition).await?.secret.clone())
    }
}
