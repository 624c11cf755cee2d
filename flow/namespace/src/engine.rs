//! The operations on namespaces, consumer groups and policies.
//! Read next: `engine/hubs.rs` (hubs themselves).

mod hubs;

use std::sync::Arc;

use millstream_catalog::{
    AccessPolicyDefinition, AccessRights, Catalog, ConsumerGroupDefinition, HubDefinition, NamespaceDefinition,
};
use millstream_storage::{Transaction, to_the_end};
use millstream_stream::Streams;
use millstream_types::{BoxFuture, Clock};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::error::NamespaceError;
use crate::name;
use crate::policy::{DEVELOPMENT_KEY, KeyName, POLICIES_MAX, ROOT_POLICY, Random, Scope, new_key, new_policy};
use crate::reader::Readers;
use crate::throughput::{Meter, Throughput, UNITS_MAX};
use crate::token::{Claims, Token, TokenError};

pub use self::hubs::NewHub;

/// The namespace that every node has. Its hubs are streams of the same name.
pub const DEFAULT_NAMESPACE: &str = "default";
/// The consumer group that every hub has.
pub const DEFAULT_GROUP: &str = "$Default";
/// Partitions that a hub may have.
pub const PARTITIONS_MAX: u32 = 32;
/// Consumer groups that a hub may have.
pub const GROUPS_MAX: usize = 20;

/// The namespace engine. Cheap to clone.
#[derive(Clone)]
pub struct Namespaces {
    catalog: Catalog,
    streams: Streams,
    clock: Arc<dyn Clock>,
    random: Random,
    development: bool,
    readers: Readers,
    throughput: Throughput,
    /// Held while a definition is changed, to the change's end, so that no change is lost to another.
    turn: Arc<Mutex<()>>,
}

impl Namespaces {
    /// The engine over a catalog and its streams; `random` makes keys, `development` lets the published key in.
    #[must_use]
    pub fn new(catalog: Catalog, streams: Streams, clock: Arc<dyn Clock>, random: Random, development: bool) -> Self {
        Self {
            catalog,
            streams,
            clock,
            random,
            development,
            readers: Readers::default(),
            throughput: Throughput::default(),
            turn: Arc::default(),
        }
    }

    /// Who reads which partition.
    #[must_use]
    pub fn readers(&self) -> &Readers {
        &self.readers
    }

    /// Makes the default namespace when it is not there.
    ///
    /// # Errors
    /// [`NamespaceError::Catalog`].
    pub fn ensure_default(&self) -> BoxFuture<'_, Result<(), NamespaceError>> {
        Box::pin(async move {
            match self.create_namespace(DEFAULT_NAMESPACE).await {
                Ok(_) | Err(NamespaceError::Exists { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }

    /// Makes a namespace with its root policy.
    ///
    /// # Errors
    /// [`NamespaceError::Name`], [`NamespaceError::Exists`], [`NamespaceError::Catalog`].
    pub fn create_namespace<'a>(
        &'a self,
        namespace: &'a str,
    ) -> BoxFuture<'a, Result<Arc<NamespaceDefinition>, NamespaceError>> {
        Box::pin(async move {
            name::check_namespace(namespace)?;
            let definition = NamespaceDefinition {
                name: namespace.to_owned(),
                created: self.clock.now(),
                policies: vec![new_policy(ROOT_POLICY, AccessRights::ALL, &self.random)],
                throughput_units: 0,
                throughput_units_max: 0,
            };
            Ok(self.catalog.namespaces.create(definition).await?)
        })
    }

    /// Limits how much a namespace takes and gives in a second to `units` (0: no limit), and lets it get more by itself, up
    /// to `units_max`, when it needs them (0: it gets none).
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`], [`NamespaceError::Units`], [`NamespaceError::Catalog`].
    pub fn set_throughput<'a>(
        &'a self,
        namespace: &'a str,
        units: u32,
        units_max: u32,
    ) -> BoxFuture<'a, Result<Arc<NamespaceDefinition>, NamespaceError>> {
        Box::pin(async move {
            if units.max(units_max) > UNITS_MAX || (units_max > 0 && units_max < units) {
                return Err(NamespaceError::Units { units, units_max, max: UNITS_MAX });
            }
            let turn = self.turn().await;
            self.put_units(turn, namespace, units, units_max).await
        })
    }

    /// Gives a namespace that refused records one unit more, if it may have one. Asked as often as records are refused.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`], [`NamespaceError::Catalog`].
    pub fn inflate<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<(), NamespaceError>> {
        Box::pin(async move {
            let grows = |found: &NamespaceDefinition| (1..found.throughput_units_max).contains(&found.throughput_units);
            if !grows(&*self.namespace(namespace)?) || !self.meter(namespace)?.may_inflate() {
                return Ok(());
            }
            let turn = self.turn().await;
            let found = self.namespace(namespace)?;
            if grows(&found) {
                self.put_units(turn, namespace, found.throughput_units + 1, found.throughput_units_max).await?;
            }
            Ok(())
        })
    }

    /// As [`Namespaces::inflate`], besides what the caller does: who was held back does not wait until the namespace has grown.
    pub fn inflate_later(&self, namespace: &str) {
        let (this, namespace) = (self.clone(), namespace.to_owned());
        tokio::spawn(async move {
            if let Err(error) = this.inflate(&namespace).await {
                tracing::warn!(namespace, %error, "the namespace gets no further throughput unit");
            }
        });
    }

    async fn put_units(
        &self,
        turn: OwnedMutexGuard<()>,
        namespace: &str,
        units: u32,
        units_max: u32,
    ) -> Result<Arc<NamespaceDefinition>, NamespaceError> {
        let mut definition = (*self.namespace(namespace)?).clone();
        (definition.throughput_units, definition.throughput_units_max) = (units, units_max);
        let namespaces = self.clone();
        to_the_end(async move {
            let _turn = turn;
            let stored = namespaces.catalog.namespaces.put(definition).await?;
            namespaces.throughput.set(&stored.name, units);
            Ok(stored)
        })
        .await
    }

    /// What measures a namespace's throughput against its units.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`].
    pub fn meter(&self, namespace: &str) -> Result<Arc<Meter>, NamespaceError> {
        let found = self.namespace(namespace)?;
        Ok(self.throughput.meter(namespace, found.throughput_units, &self.clock))
    }

    /// An id for a producer that numbers its events, which none had before.
    ///
    /// # Errors
    /// [`NamespaceError::Catalog`].
    pub fn new_producer_id(&self) -> BoxFuture<'_, Result<u64, NamespaceError>> {
        Box::pin(async move { Ok(self.catalog.next_id().await?) })
    }

    /// Removes a namespace that has no hubs.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`], [`NamespaceError::NotEmpty`], [`NamespaceError::Fixed`] for the default one.
    pub fn delete_namespace<'a>(&'a self, namespace: &'a str) -> BoxFuture<'a, Result<(), NamespaceError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            if namespace == DEFAULT_NAMESPACE {
                return Err(NamespaceError::Fixed { kind: "namespace", name: namespace.to_owned() });
            }
            if !self.hubs(namespace)?.is_empty() {
                return Err(NamespaceError::NotEmpty(namespace.to_owned()));
            }
            let (namespaces, namespace) = (self.clone(), namespace.to_owned());
            to_the_end(async move {
                let _turn = turn;
                namespaces.catalog.namespaces.delete(&namespace, Transaction::new()).await?;
                namespaces.throughput.remove(&namespace);
                Ok(())
            })
            .await
        })
    }

    /// A namespace.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`].
    pub fn namespace(&self, name: &str) -> Result<Arc<NamespaceDefinition>, NamespaceError> {
        Ok(self.catalog.namespaces.require(name)?)
    }

    /// All namespaces in the order of their names.
    #[must_use]
    pub fn namespaces(&self) -> Vec<Arc<NamespaceDefinition>> {
        self.catalog.namespaces.list()
    }

    /// The name of the namespace that a host stands for: the one of its first label, else the default one.
    #[must_use]
    pub fn of_host(&self, host: &str) -> String {
        let label = host.split(['.', ':']).next().unwrap_or_default();
        let named = self.namespaces().into_iter().find(|namespace| namespace.name.eq_ignore_ascii_case(label));
        named.map_or_else(|| DEFAULT_NAMESPACE.to_owned(), |namespace| namespace.name.clone())
    }

    /// Makes a consumer group, or changes its metadata.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`], [`NamespaceError::Name`], [`NamespaceError::TooMany`], [`NamespaceError::Catalog`].
    pub fn put_group<'a>(
        &'a self,
        namespace: &'a str,
        hub: &'a str,
        group: &'a str,
        metadata: &'a str,
    ) -> BoxFuture<'a, Result<Arc<HubDefinition>, NamespaceError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let mut hub = (*self.hub(namespace, hub)?).clone();
            match hub.consumer_groups.iter_mut().find(|found| found.name.eq_ignore_ascii_case(group)) {
                Some(found) => metadata.clone_into(&mut found.metadata),
                None => {
                    name::check_group(group)?;
                    if hub.consumer_groups.len() >= GROUPS_MAX {
                        return Err(NamespaceError::TooMany { kind: "consumer groups", max: GROUPS_MAX });
                    }
                    hub.consumer_groups.push(ConsumerGroupDefinition {
                        name: group.to_owned(),
                        created: self.clock.now(),
                        metadata: metadata.to_owned(),
                    });
                }
            }
            self.keep_hub(turn, hub).await
        })
    }

    async fn keep_hub(
        &self,
        turn: OwnedMutexGuard<()>,
        hub: HubDefinition,
    ) -> Result<Arc<HubDefinition>, NamespaceError> {
        let hubs = self.catalog.hubs.clone();
        to_the_end(async move {
            let _turn = turn;
            Ok(hubs.put(hub).await?)
        })
        .await
    }

    /// Waits for the turn to change definitions.
    async fn turn(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// Removes a consumer group.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`]; [`NamespaceError::Fixed`] for the one that every hub has.
    pub fn delete_group<'a>(
        &'a self,
        namespace: &'a str,
        hub: &'a str,
        group: &'a str,
    ) -> BoxFuture<'a, Result<(), NamespaceError>> {
        Box::pin(async move {
            let turn = self.turn().await;
            if group.eq_ignore_ascii_case(DEFAULT_GROUP) {
                return Err(NamespaceError::Fixed { kind: "consumer group", name: group.to_owned() });
            }
            let mut hub = (*self.hub(namespace, hub)?).clone();
            let before = hub.consumer_groups.len();
            hub.consumer_groups.retain(|found| !found.name.eq_ignore_ascii_case(group));
            if hub.consumer_groups.len() == before {
                return Err(NamespaceError::NotFound { kind: "consumer group", name: group.to_owned() });
            }
            self.keep_hub(turn, hub).await?;
            Ok(())
        })
    }

    /// The policies of a namespace or hub.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`].
    pub fn policies(&self, scope: &Scope) -> Result<Vec<AccessPolicyDefinition>, NamespaceError> {
        match &scope.hub {
            None => Ok(self.namespace(&scope.namespace)?.policies.clone()),
            Some(hub) => Ok(self.hub(&scope.namespace, hub)?.policies.clone()),
        }
    }

    /// Makes a policy with new keys, or changes the rights of one.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`], [`NamespaceError::Name`], [`NamespaceError::Rights`], [`NamespaceError::TooMany`].
    pub fn put_policy<'a>(
        &'a self,
        scope: &'a Scope,
        policy: &'a str,
        rights: AccessRights,
    ) -> BoxFuture<'a, Result<AccessPolicyDefinition, NamespaceError>> {
        Box::pin(async move {
            name::check_policy(policy)?;
            let any = rights.send || rights.listen || rights.manage;
            if !any || (rights.manage && rights != AccessRights::ALL) {
                return Err(NamespaceError::Rights);
            }
            self.change_policies(scope, |policies| {
                if let Some(found) = policies.iter_mut().find(|found| found.name == policy) {
                    found.rights = rights;
                    return Ok(found.clone());
                }
                if policies.len() >= POLICIES_MAX {
                    return Err(NamespaceError::TooMany { kind: "policies", max: POLICIES_MAX });
                }
                let new = new_policy(policy, rights, &self.random);
                policies.push(new.clone());
                Ok(new)
            })
            .await
        })
    }

    /// Gives a policy a new key in place of one of its two.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`].
    pub fn regenerate<'a>(
        &'a self,
        scope: &'a Scope,
        policy: &'a str,
        key: KeyName,
    ) -> BoxFuture<'a, Result<AccessPolicyDefinition, NamespaceError>> {
        Box::pin(async move {
            self.change_policies(scope, |policies| {
                let Some(found) = policies.iter_mut().find(|found| found.name == policy) else {
                    return Err(NamespaceError::NotFound { kind: "policy", name: policy.to_owned() });
                };
                match key {
                    KeyName::Primary => found.primary_key = new_key(&self.random),
                    KeyName::Secondary => found.secondary_key = new_key(&self.random),
                }
                Ok(found.clone())
            })
            .await
        })
    }

    /// Removes a policy.
    ///
    /// # Errors
    /// [`NamespaceError::NotFound`]; [`NamespaceError::Fixed`] for a namespace's root policy.
    pub fn delete_policy<'a>(&'a self, scope: &'a Scope, policy: &'a str) -> BoxFuture<'a, Result<(), NamespaceError>> {
        Box::pin(async move {
            if scope.hub.is_none() && policy == ROOT_POLICY {
                return Err(NamespaceError::Fixed { kind: "policy", name: policy.to_owned() });
            }
            self.change_policies(scope, |policies| {
                let before = policies.len();
                policies.retain(|found| found.name != policy);
                if policies.len() == before {
                    return Err(NamespaceError::NotFound { kind: "policy", name: policy.to_owned() });
                }
                Ok(())
            })
            .await
        })
    }

    async fn change_policies<T>(
        &self,
        scope: &Scope,
        change: impl FnOnce(&mut Vec<AccessPolicyDefinition>) -> Result<T, NamespaceError>,
    ) -> Result<T, NamespaceError> {
        let turn = self.turn().await;
        match &scope.hub {
            None => {
                let mut namespace = (*self.namespace(&scope.namespace)?).clone();
                let changed = change(&mut namespace.policies)?;
                let namespaces = self.catalog.namespaces.clone();
                to_the_end(async move {
                    let _turn = turn;
                    namespaces.put(namespace).await
                })
                .await?;
                Ok(changed)
            }
            Some(hub) => {
                let mut hub = (*self.hub(&scope.namespace, hub)?).clone();
                let changed = change(&mut hub.policies)?;
                self.keep_hub(turn, hub).await?;
                Ok(changed)
            }
        }
    }

    /// What a token proves in a namespace, now: under the policies of the hub that it names, then of the namespace.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify(&self, namespace: &str, token: &Token) -> Result<Claims, TokenError> {
        let of_hub = token.path.first().and_then(|hub| self.hub(namespace, hub).ok());
        let of_namespace = self.namespace(namespace).ok();
        let policies = of_hub
            .iter()
            .flat_map(|hub| &hub.policies)
            .chain(of_namespace.iter().flat_map(|namespace| &namespace.policies));
        let development_key = (self.development && token.policy == ROOT_POLICY).then_some(DEVELOPMENT_KEY);
        token.verify(policies, development_key, self.clock.now())
    }
}
