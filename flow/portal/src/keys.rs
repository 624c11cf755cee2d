//! The gateway's plans and keys as subscriptions use them: one key a subscription, named for it, counted by its id whatever
//! its value is.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use millstream_catalog::{
    ApiKeyDefinition, PortalAccountDefinition, PortalSubscription, PortalSubscriptionState as State,
    UsagePlanDefinition,
};
use millstream_gateway::{ApiKeyChange, NewApiKey};
use millstream_types::{BoxFuture, ErrorKind};

use crate::error::PortalError;
use crate::portal::Portal;

/// The label of keys that belong to subscriptions: `ACCOUNT/SUBSCRIPTION`.
const SUBSCRIPTION_TAG: &str = "portal:subscription";

impl Portal {
    /// A usage plan.
    ///
    /// # Errors
    /// [`PortalError::NotFound`].
    pub fn plan(&self, id: &str) -> Result<Arc<UsagePlanDefinition>, PortalError> {
        let missing = |_| PortalError::NotFound { kind: "plan", name: id.to_owned() };
        self.shared.plans.plan(id).map_err(missing)
    }

    /// A key of the gateway.
    ///
    /// # Errors
    /// [`PortalError::Gateway`] when it is gone.
    pub fn key(&self, id: &str) -> Result<Arc<ApiKeyDefinition>, PortalError> {
        Ok(self.shared.plans.key(id)?)
    }

    /// What a caller sends for an active subscription.
    ///
    /// # Errors
    /// [`PortalError::NotFound`], [`PortalError::State`] when it is not active.
    pub fn key_value(&self, email: &str, subscription: &str) -> Result<String, PortalError> {
        Ok(self.key(&self.active_key(email, subscription)?)?.value.clone())
    }

    /// The APIs of the gateway that are deployed: id, name and stage.
    #[must_use]
    pub fn deployed_stages(&self) -> Vec<(String, String, String)> {
        let apis = self.shared.gateway.list();
        let stages = apis.iter().flat_map(|api| {
            api.stages.keys().map(|stage| (api.id.clone(), api.name.clone(), stage.clone())).collect::<Vec<_>>()
        });
        stages.collect()
    }

    /// Brings keys and subscriptions together again after a crash: keys that no active subscription has are removed, keys of
    /// accounts that are kept out open nothing.
    ///
    /// # Errors
    /// [`PortalError::Gateway`].
    pub fn settle(&self) -> BoxFuture<'_, Result<(), PortalError>> {
        Box::pin(async move {
            let accounts = self.accounts();
            let active: HashMap<&str, bool> = accounts
                .iter()
                .flat_map(|account| account.subscriptions.values().map(|known| (known, account.blocked)))
                .filter(|(known, _)| known.state == State::Active)
                .filter_map(|(known, blocked)| Some((known.key.as_deref()?, blocked)))
                .collect();
            let ours = self.shared.plans.keys().into_iter().filter(|key| key.tags.contains_key(SUBSCRIPTION_TAG));
            for key in ours {
                match active.get(key.id.as_str()) {
                    None => self.close_key(&key.id).await?,
                    Some(blocked) if key.enabled == *blocked => self.enable_key(&key.id, !blocked).await?,
                    Some(_) => {}
                }
            }
            Ok(())
        })
    }

    /// Makes the key of a subscription; gives its id.
    pub(crate) async fn open_key(
        &self,
        account: &PortalAccountDefinition,
        subscription: &PortalSubscription,
    ) -> Result<String, PortalError> {
        let owned = format!("{}/{}", account.id, subscription.id);
        let key = NewApiKey {
            name: format!("{}, {}", account.email, subscription.plan_name).chars().take(1_000).collect(),
            description: "a subscription of the developer portal".to_owned(),
            value: None,
            enabled: !account.blocked,
            customer: String::new(),
            tags: BTreeMap::from([(SUBSCRIPTION_TAG.to_owned(), owned)]),
            plans: BTreeSet::from([subscription.plan.clone()]),
        };
        Ok(self.shared.plans.create_key(key).await?.id.clone())
    }

    /// Removes a key; one that is gone already is fine.
    pub(crate) async fn close_key(&self, key: &str) -> Result<(), PortalError> {
        match self.shared.plans.delete_key(key).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    pub(crate) async fn rotate_key(&self, key: &str) -> Result<(), PortalError> {
        self.shared.plans.rotate_key(key, None).await?;
        Ok(())
    }

    pub(crate) async fn revoke_key(&self, key: &str) -> Result<(), PortalError> {
        self.shared.plans.revoke_former(key).await?;
        Ok(())
    }

    /// Lets a key open its plan's APIs, or nothing; one that is gone stays so.
    pub(crate) async fn enable_key(&self, key: &str, enabled: bool) -> Result<(), PortalError> {
        let change = ApiKeyChange { enabled: Some(enabled), ..ApiKeyChange::default() };
        match self.shared.plans.update_key(key, change).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }
}
