//! Services, APIs, operations, products and subscriptions: how they are made, changed and removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use millstream_catalog::{
    ManagedApi, ManagedOperation, ManagedServiceDefinition, ManagedSubscriptionState, Product, Subscription,
    SubscriptionScope,
};
use millstream_storage::Transaction;
use millstream_types::BoxFuture;

use super::Managed;
use crate::error::GatewayError;
use crate::policy::check_backend;

/// APIs of a service.
const APIS_MAX: usize = 500;

/// Operations of an API.
const OPERATIONS_MAX: usize = 400;

/// Products of a service.
const PRODUCTS_MAX: usize = 200;

/// Subscriptions of a service: each is written with all others when one changes.
const SUBSCRIPTIONS_MAX: usize = 5_000;

/// Characters of a name.
const NAME_CHARS_MAX: usize = 80;

/// Characters of a key that its maker chooses.
const KEY_CHARS: std::ops::RangeInclusive<usize> = 1..=256;

/// What is asked of a subscription; keys that are not given are made.
#[derive(Debug, Clone)]
pub struct NewSubscription {
    /// Unique in its service.
    pub name: String,
    /// For people.
    pub display_name: String,
    /// The user whose it is; `None`: nobody's.
    pub owner: Option<String>,
    /// What it lets call.
    pub scope: SubscriptionScope,
    /// Whether it does so now.
    pub state: ManagedSubscriptionState,
    /// The first key.
    pub primary_key: Option<String>,
    /// The second key.
    pub secondary_key: Option<String>,
}

/// One of a subscription's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyName {
    /// The first.
    Primary,
    /// The second.
    Secondary,
}

impl Managed {
    /// Makes a service, or leaves the one of that name as it is; says whether it was made.
    ///
    /// # Errors
    /// [`GatewayError::Invalid`] for a name that cannot be part of an address.
    pub fn put_service<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool, GatewayError>> {
        Box::pin(async move {
            check_name("service", name)?;
            let _turn = self.edits.lock().await;
            if self.service(name).is_ok() {
                return Ok(false);
            }
            let created = self.clock.now();
            let made =
                ManagedServiceDefinition { name: name.to_owned(), created, ..ManagedServiceDefinition::default() };
            self.catalog.managed_services.create(made).await?;
            Ok(true)
        })
    }

    /// Removes a service with all that it holds.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`].
    pub fn delete_service<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            let gone = {
                let _turn = self.edits.lock().await;
                self.catalog.managed_services.delete(name, Transaction::new()).await?
            };
            self.forget(gone.subscriptions.values().map(|subscription| subscription.id.clone()).collect()).await
        })
    }

    /// Makes an API, or changes the one of that name, whose operations and policies stay; says whether it was made.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::Invalid`], [`GatewayError::Exists`] when another API has its path.
    pub fn put_api<'a>(&'a self, service: &'a str, mut api: ManagedApi) -> BoxFuture<'a, Result<bool, GatewayError>> {
        Box::pin(async move {
            check_name("API", &api.name)?;
            api.path = api.path.trim_matches('/').to_owned();
            check_path(&api)?;
            if let Some(backend) = &api.backend {
                check_backend(backend).map_err(|reason| GatewayError::Invalid { reason })?;
            }
            self.edit(service, |definition| {
                if definition.apis.values().any(|other| other.name != api.name && other.path == api.path) {
                    return Err(GatewayError::Exists { kind: "API with this path", name: api.path });
                }
                let known = definition.apis.remove(&api.name);
                let made = known.is_none();
                if made {
                    room("APIs in a service", definition.apis.len(), APIS_MAX)?;
                }
                if let Some(known) = known {
                    (api.operations, api.policy) = (known.operations, known.policy);
                }
                definition.apis.insert(api.name.clone(), api);
                Ok(made)
            })
            .await
        })
    }

    /// Removes an API; it leaves its products, and subscriptions to it alone go with it.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`].
    pub fn delete_api<'a>(&'a self, service: &'a str, api: &'a str) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            let gone = self.edit(service, |definition| {
                definition.apis.remove(api).ok_or_else(|| unknown("API", api))?;
                definition.products.values_mut().for_each(|product| {
                    product.apis.remove(api);
                });
                Ok(without_scope(definition, &SubscriptionScope::Api(api.to_owned())))
            });
            self.forget(gone.await?).await
        })
    }

    /// Makes an operation, or changes the one of that name, whose policies stay; says whether it was made.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::Invalid`].
    pub fn put_operation<'a>(
        &'a self,
        service: &'a str,
        api: &'a str,
        mut operation: ManagedOperation,
    ) -> BoxFuture<'a, Result<bool, GatewayError>> {
        Box::pin(async move {
            check_name("operation", &operation.name)?;
            operation.method.make_ascii_uppercase();
            check_operation(&operation)?;
            self.edit(service, |definition| {
                let operations = &mut definition.apis.get_mut(api).ok_or_else(|| unknown("API", api))?.operations;
                let same =
                    |other: &ManagedOperation| other.method == operation.method && other.template == operation.template;
                if operations.values().any(|other| other.name != operation.name && same(other)) {
                    let name = format!("{} {}", operation.method, operation.template);
                    return Err(GatewayError::Exists { kind: "operation", name });
                }
                let known = operations.remove(&operation.name);
                let made = known.is_none();
                if made {
                    room("operations in an API", operations.len(), OPERATIONS_MAX)?;
                }
                operation.policy = known.and_then(|known| known.policy);
                operations.insert(operation.name.clone(), operation);
                Ok(made)
            })
            .await
        })
    }

    /// Puts operations in place of all that an API has; those of a name that stays keep their policies.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`]; [`GatewayError::Invalid`]; [`GatewayError::Exists`] for two of one name.
    pub fn replace_operations<'a>(
        &'a self,
        service: &'a str,
        api: &'a str,
        operations: Vec<ManagedOperation>,
    ) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            if operations.len() > OPERATIONS_MAX {
                room("operations in an API", operations.len(), OPERATIONS_MAX)?;
            }
            let mut named = BTreeMap::new();
            for operation in operations {
                check_name("operation", &operation.name)?;
                check_operation(&operation)?;
                let name = operation.name.clone();
                if named.insert(name.clone(), operation).is_some() {
                    return Err(GatewayError::Exists { kind: "operation", name });
                }
            }
            self.edit(service, |definition| {
                let known = &mut definition.apis.get_mut(api).ok_or_else(|| unknown("API", api))?.operations;
                for (name, operation) in &mut named {
                    operation.policy = known.remove(name).and_then(|known| known.policy);
                }
                *known = named;
                Ok(())
            })
            .await
        })
    }

    /// Removes an operation.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`].
    pub fn delete_operation<'a>(
        &'a self,
        service: &'a str,
        api: &'a str,
        operation: &'a str,
    ) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            self.edit(service, |definition| {
                let operations = &mut definition.apis.get_mut(api).ok_or_else(|| unknown("API", api))?.operations;
                operations.remove(operation).map(drop).ok_or_else(|| unknown("operation", operation))
            })
            .await
        })
    }

    /// Makes a product, or changes the one of that name, whose APIs and policies stay; says whether it was made.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`], [`GatewayError::Invalid`].
    pub fn put_product<'a>(
        &'a self,
        service: &'a str,
        mut product: Product,
    ) -> BoxFuture<'a, Result<bool, GatewayError>> {
        Box::pin(async move {
            check_name("product", &product.name)?;
            self.edit(service, |definition| {
                let known = definition.products.remove(&product.name);
                let made = known.is_none();
                if made {
                    room("products in a service", definition.products.len(), PRODUCTS_MAX)?;
                }
                if let Some(known) = known {
                    (product.apis, product.policy) = (known.apis, known.policy);
                }
                definition.products.insert(product.name.clone(), product);
                Ok(made)
            })
            .await
        })
    }

    /// Removes a product and the subscriptions to it.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`].
    pub fn delete_product<'a>(&'a self, service: &'a str, product: &'a str) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            let gone = self.edit(service, |definition| {
                definition.products.remove(product).ok_or_else(|| unknown("product", product))?;
                Ok(without_scope(definition, &SubscriptionScope::Product(product.to_owned())))
            });
            self.forget(gone.await?).await
        })
    }

    /// Adds an API to a product, or takes it out of it; says whether that changed anything.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`].
    pub fn link_api<'a>(
        &'a self,
        service: &'a str,
        product: &'a str,
        api: &'a str,
        linked: bool,
    ) -> BoxFuture<'a, Result<bool, GatewayError>> {
        Box::pin(async move {
            self.edit(service, |definition| {
                if !definition.apis.contains_key(api) {
                    return Err(unknown("API", api));
                }
                let product = definition.products.get_mut(product).ok_or_else(|| unknown("product", product))?;
                Ok(if linked { product.apis.insert(api.to_owned()) } else { product.apis.remove(api) })
            })
            .await
        })
    }

    /// Makes a subscription, or changes the one of that name, whose keys stay unless others are given; gives it back and
    /// says whether it was made.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`] for what it is to let call and for its owner, [`GatewayError::Invalid`],
    /// [`GatewayError::Exists`] when a key is another subscription's.
    pub fn put_subscription<'a>(
        &'a self,
        service: &'a str,
        asked: NewSubscription,
    ) -> BoxFuture<'a, Result<(Subscription, bool), GatewayError>> {
        Box::pin(async move {
            check_name("subscription", &asked.name)?;
            let now = self.clock.now();
            self.edit(service, |definition| {
                match &asked.scope {
                    SubscriptionScope::Product(product) if !definition.products.contains_key(product) => {
                        return Err(unknown("product", product));
                    }
                    SubscriptionScope::Api(api) if !definition.apis.contains_key(api) => {
                        return Err(unknown("API", api));
                    }
                    _ => {}
                }
                if let Some(owner) = asked.owner.as_ref().filter(|owner| !definition.users.contains_key(*owner)) {
                    return Err(unknown("user", owner));
                }
                let known = definition.subscriptions.remove(&asked.name);
                let made = known.is_none();
                if made {
                    room("subscriptions in a service", definition.subscriptions.len(), SUBSCRIPTIONS_MAX)?;
                }
                let (id, created) =
                    known.as_ref().map_or_else(|| (new_key(), now), |known| (known.id.clone(), known.created));
                let key = |given: Option<String>, old: fn(&Subscription) -> &String| {
                    given.or_else(|| known.as_ref().map(|known| old(known).clone())).unwrap_or_else(new_key)
                };
                let subscription = Subscription {
                    primary_key: key(asked.primary_key, |known| &known.primary_key),
                    secondary_key: key(asked.secondary_key, |known| &known.secondary_key),
                    name: asked.name,
                    id,
                    display_name: asked.display_name,
                    owner: asked.owner,
                    scope: asked.scope,
                    state: asked.state,
                    created,
                };
                check_keys(definition, &subscription)?;
                definition.subscriptions.insert(subscription.name.clone(), subscription.clone());
                Ok((subscription, made))
            })
            .await
        })
    }

    /// Removes a subscription.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`].
    pub fn delete_subscription<'a>(
        &'a self,
        service: &'a str,
        subscription: &'a str,
    ) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            let gone = self.edit(service, |definition| {
                let gone = definition.subscriptions.remove(subscription);
                gone.map(|gone| vec![gone.id]).ok_or_else(|| unknown("subscription", subscription))
            });
            self.forget(gone.await?).await
        })
    }

    /// Gives a subscription a new key in place of one.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`].
    pub fn regenerate_key<'a>(
        &'a self,
        service: &'a str,
        subscription: &'a str,
        key: KeyName,
    ) -> BoxFuture<'a, Result<(), GatewayError>> {
        Box::pin(async move {
            self.edit(service, |definition| {
                let found = definition.subscriptions.get_mut(subscription);
                let found = found.ok_or_else(|| unknown("subscription", subscription))?;
                match key {
                    KeyName::Primary => found.primary_key = new_key(),
                    KeyName::Secondary => found.secondary_key = new_key(),
                }
                Ok(())
            })
            .await
        })
    }

    /// Forgets what is counted for subscriptions that are gone.
    pub(super) async fn forget(&self, subscriptions: Vec<String>) -> Result<(), GatewayError> {
        self.quotas.forget(&subscriptions).await.map_err(|error| GatewayError::Catalog(error.into()))
    }

    pub(super) async fn edit<T>(
        &self,
        service: &str,
        change: impl FnOnce(&mut ManagedServiceDefinition) -> Result<T, GatewayError>,
    ) -> Result<T, GatewayError> {
        let _turn = self.edits.lock().await;
        let mut definition = Arc::unwrap_or_clone(self.service(service)?);
        let changed = change(&mut definition)?;
        self.catalog.managed_services.put(definition).await?;
        Ok(changed)
    }
}

/// Removes the subscriptions to something that goes; gives their ids.
fn without_scope(definition: &mut ManagedServiceDefinition, scope: &SubscriptionScope) -> Vec<String> {
    let gone = definition.subscriptions.extract_if(.., |_, subscription| subscription.scope == *scope);
    gone.map(|(_, subscription)| subscription.id).collect()
}

pub(super) fn unknown(kind: &'static str, name: &str) -> GatewayError {
    GatewayError::NotFound { kind, name: name.to_owned() }
}

pub(super) fn invalid(reason: String) -> GatewayError {
    GatewayError::Invalid { reason }
}

pub(super) fn room(what: &'static str, count: usize, limit: usize) -> Result<(), GatewayError> {
    if count < limit { Ok(()) } else { Err(GatewayError::TooMany { what, limit }) }
}

/// 32 hexadecimal digits that nobody can guess.
fn new_key() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

pub(super) fn check_name(kind: &str, name: &str) -> Result<(), GatewayError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if (1..=NAME_CHARS_MAX).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(invalid(format!("the name of the {kind} must be 1 to {NAME_CHARS_MAX} of a-zA-Z0-9-_., found `{name}`")))
}

fn check_path(api: &ManagedApi) -> Result<(), GatewayError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~' | '/');
    let parts_ok = api.path.is_empty() || api.path.split('/').all(|part| !part.is_empty());
    if api.path.chars().all(allowed) && parts_ok {
        return Ok(());
    }
    Err(invalid(format!("the path must be parts of a-zA-Z0-9-_.~ with `/` between them, found `{}`", api.path)))
}

fn check_operation(operation: &ManagedOperation) -> Result<(), GatewayError> {
    if operation.method.parse::<http::Method>().is_err() {
        return Err(invalid(format!("`{}` is no HTTP method", operation.method)));
    }
    let parts = operation.template.strip_prefix('/').map(|rest| rest.split('/').collect::<Vec<_>>());
    let braces_ok = |part: &&str| match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
        Some(name) => !name.is_empty() && !name.contains(['{', '}']),
        None => !part.contains(['{', '}', '?']) && (!part.contains('*') || *part == "*"),
    };
    if parts.as_ref().is_some_and(|parts| parts.iter().all(braces_ok)) {
        return Ok(());
    }
    let found = &operation.template;
    Err(invalid(format!("the URL template must be like `/orders/{{id}}`, with `*` for the rest, found `{found}`")))
}

fn check_keys(definition: &ManagedServiceDefinition, new: &Subscription) -> Result<(), GatewayError> {
    for key in [&new.primary_key, &new.secondary_key] {
        if !KEY_CHARS.contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let (least, most) = (KEY_CHARS.start(), KEY_CHARS.end());
            return Err(invalid(format!("a key has {least} to {most} visible ASCII characters")));
        }
        let taken = |other: &Subscription| other.primary_key == *key || other.secondary_key == *key;
        if definition.subscriptions.values().any(taken) {
            return Err(GatewayError::Exists { kind: "subscription with this key", name: new.name.clone() });
        }
    }
    if new.primary_key == new.secondary_key {
        return Err(invalid("the two keys must differ".to_owned()));
    }
    Ok(())
}
