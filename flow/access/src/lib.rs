//! Who may do what: access keys and whose they are. Knows no request and no signature.

mod management;

pub use management::Management;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use millstream_catalog::{AccessKeyDefinition, Catalog, CatalogError};
use millstream_types::Millis;

/// The published key of development nodes, and its secret.
pub const DEVELOPMENT_KEY: (&str, &str) = ("test", "test");

/// The published storage account of development nodes, and its key: those of the vendor's storage emulator.
pub const DEVELOPMENT_ACCOUNT: (&str, &str) =
    ("devstoreaccount1", "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==");

/// A key's secret and its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// What signatures are made with.
    pub secret: String,
    /// A user's name, or `function:NAME`.
    pub principal: String,
}

/// The access engine. Cheap to clone.
#[derive(Clone)]
pub struct Access {
    catalog: Catalog,
    development: bool,
    functions: Arc<Mutex<FunctionKeys>>,
}

/// Keys of function processes: they live as long as the node.
#[derive(Default)]
struct FunctionKeys {
    by_function: HashMap<String, (String, String)>,
    by_key: HashMap<String, Grant>,
}

impl Access {
    /// The engine over a catalog; `development` lets the published key in.
    #[must_use]
    pub fn new(catalog: Catalog, development: bool) -> Self {
        Self { catalog, development, functions: Arc::default() }
    }

    /// What a key grants; `None` when nobody has it.
    #[must_use]
    pub fn grant(&self, key: &str) -> Option<Grant> {
        if self.development && key == DEVELOPMENT_KEY.0 {
            return Some(Grant { secret: DEVELOPMENT_KEY.1.to_owned(), principal: "root".to_owned() });
        }
        if let Some(found) = self.catalog.access_keys.get(key) {
            return Some(Grant { secret: found.secret.clone(), principal: found.principal.clone() });
        }
        self.functions.lock().unwrap_or_else(PoisonError::into_inner).by_key.get(key).cloned()
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
        // No access key id has a slash, so nobody can sign with an account's.
        let id = format!("account/{account}");
        if let Some(known) = self.catalog.access_keys.get(&id) {
            return Ok(known.secret.clone());
        }
        let definition = AccessKeyDefinition { id, secret: seed(), principal: "root".to_owned(), created: now };
        Ok(self.catalog.access_keys.create(definition).await?.secret.clone())
    }

    /// The key and secret of a function's processes, made from `seed` at the first call: whatever the function calls on
    /// this node is known to come from it.
    pub fn function_key(&self, function: &str, seed: impl FnOnce() -> (String, String)) -> (String, String) {
        let mut keys = self.functions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = keys.by_function.get(function) {
            return known.clone();
        }
        let (key, secret) = seed();
        keys.by_function.insert(function.to_owned(), (key.clone(), secret.clone()));
        let grant = Grant { secret: secret.clone(), principal: format!("function:{function}") };
        keys.by_key.insert(key.clone(), grant);
        (key, secret)
    }
}

#[cfg(test)]
mod tests {
    use millstream_storage::Storage;
    use millstream_types::ManualClock;

    use super::*;

    #[test]
    fn only_known_keys_grant_something() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(0)));
        let catalog = Catalog::open(&storage).unwrap();
        let access = Access::new(catalog.clone(), false);
        assert_eq!(access.grant("test"), None);
        assert_eq!(access.storage_account(DEVELOPMENT_ACCOUNT.0), None);
        assert!(Access::new(catalog.clone(), true).storage_account(DEVELOPMENT_ACCOUNT.0).is_some());
        assert_eq!(Access::new(catalog, true).grant("test").unwrap().secret, "test");
        let key = access.function_key("save", || ("K".into(), "S".into()));
        assert_eq!(access.function_key("save", || ("other".into(), "other".into())), key);
        assert_eq!(access.grant("K").unwrap().principal, "function:save");
    }

    #[tokio::test]
    async fn an_account_keeps_its_key() {
        let storage = Storage::in_memory(Arc::new(ManualClock::at(0)));
        let catalog = Catalog::open(&storage).unwrap();
        let access = Access::new(catalog.clone(), false);
        assert_eq!(access.account_key("a", "known", || "made".into(), 0).await.unwrap(), "made");
        assert_eq!(access.account_key("a", "known", || "again".into(), 0).await.unwrap(), "made");
        let development = Access::new(catalog, true);
        assert_eq!(development.account_key("a", "known", || "made".into(), 0).await.unwrap(), "known");
    }
}
