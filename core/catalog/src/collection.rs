//! How definitions are kept: in memory for reading, in the key-value store for good, each change told to watchers.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use millstream_storage::{Keyspace, Storage, Transaction, to_the_end};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::watch;

use crate::definition::{
    AccessKeyDefinition, ApiDefinition, ApiKeyDefinition, BucketDefinition, DeliveryStreamDefinition,
    DocumentContainerDefinition, DocumentDatabaseDefinition, EventSourceMappingDefinition, EventSubscriptionDefinition,
    FunctionDefinition, HubDefinition, LogGroupDefinition, ManagedServiceDefinition, MarketplaceProductDefinition,
    MarketplaceSubscriptionDefinition, NamespaceDefinition, PolicyDefinition, PortalAccountDefinition,
    PortalApiDefinition, PortalDefinition, PortalOfferDefinition, QueryDefinition, QueueDefinition, RoleDefinition,
    StorageAccountDefinition, StreamDefinition, TableDefinition, ThroughputCommitmentDefinition, TopicDefinition,
    UsagePlanDefinition, UserDefinition,
};
use crate::error::CatalogError;

/// A kind of resource.
pub trait Definition: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The kind's name for people and for its keyspace: `stream`, `table`, …
    const KIND: &'static str;

    /// What it is found by: its name, or an API's id, unique in its kind.
    fn key(&self) -> &str;
}

/// All definitions of a node. Cheap to clone.
#[derive(Clone)]
pub struct Catalog {
    /// Streams: the user's own and those that delivery streams and queries keep.
    pub streams: Collection<StreamDefinition>,
    /// What the account has committed itself to pay for streams: none or one.
    pub throughput_commitments: Collection<ThroughputCommitmentDefinition>,
    /// Delivery streams.
    pub delivery_streams: Collection<DeliveryStreamDefinition>,
    /// Functions.
    pub functions: Collection<FunctionDefinition>,
    /// Event source mappings, by their ids.
    pub event_source_mappings: Collection<EventSourceMappingDefinition>,
    /// Log groups that were made or changed by hand.
    pub log_groups: Collection<LogGroupDefinition>,
    /// Tables.
    pub tables: Collection<TableDefinition>,
    /// Databases of documents.
    pub document_databases: Collection<DocumentDatabaseDefinition>,
    /// Containers of documents.
    pub document_containers: Collection<DocumentContainerDefinition>,
    /// Continuous queries (analytics applications, jobs).
    pub queries: Collection<QueryDefinition>,
    /// Queues.
    pub queues: Collection<QueueDefinition>,
    /// HTTP APIs.
    pub apis: Collection<ApiDefinition>,
    /// Keys of callers of HTTP APIs.
    pub api_keys: Collection<ApiKeyDefinition>,
    /// Usage plans.
    pub usage_plans: Collection<UsagePlanDefinition>,
    /// Topics.
    pub topics: Collection<TopicDefinition>,
    /// Event subscriptions, of all topics.
    pub event_subscriptions: Collection<EventSubscriptionDefinition>,
    /// Namespaces of hubs.
    pub namespaces: Collection<NamespaceDefinition>,
    /// Hubs, as `NAMESPACE/HUB`.
    pub hubs: Collection<HubDefinition>,
    /// Managed API services: APIs behind products, subscriptions and policies.
    pub managed_services: Collection<ManagedServiceDefinition>,
    /// Products of the marketplace.
    pub marketplace_products: Collection<MarketplaceProductDefinition>,
    /// Who subscribed to them.
    pub marketplace_subscriptions: Collection<MarketplaceSubscriptionDefinition>,
    /// The developer portal: how it presents itself.
    pub portals: Collection<PortalDefinition>,
    /// APIs that the portal publishes.
    pub portal_apis: Collection<PortalApiDefinition>,
    /// Usage plans that the portal offers.
    pub portal_offers: Collection<PortalOfferDefinition>,
    /// Accounts of the portal, by e-mail address.
    pub portal_accounts: Collection<PortalAccountDefinition>,
    /// Access keys.
    pub access_keys: Collection<AccessKeyDefinition>,
    /// Users.
    pub users: Collection<UserDefinition>,
    /// Roles.
    pub roles: Collection<RoleDefinition>,
    /// Policies that users and roles share.
    pub policies: Collection<PolicyDefinition>,
    /// Buckets of objects, as far as their folders cannot say it themselves.
    pub buckets: Collection<BucketDefinition>,
    /// Storage accounts.
    pub storage_accounts: Collection<StorageAccountDefinition>,
    storage: Storage,
}

impl Catalog {
    /// Reads all definitions. Touches the disk: not for an async worker.
    ///
    /// # Errors
    /// [`CatalogError::Unreadable`] names the definition that cannot be read; [`CatalogError::Storage`].
    pub fn open(storage: &Storage) -> Result<Self, CatalogError> {
        Ok(Self {
            streams: Collection::open(storage)?,
            throughput_commitments: Collection::open(storage)?,
            delivery_streams: Collection::open(storage)?,
            functions: Collection::open(storage)?,
            event_source_mappings: Collection::open(storage)?,
            log_groups: Collection::open(storage)?,
            tables: Collection::open(storage)?,
            document_databases: Collection::open(storage)?,
            document_containers: Collection::open(storage)?,
            queries: Collection::open(storage)?,
            queues: Collection::open(storage)?,
            apis: Collection::open(storage)?,
            api_keys: Collection::open(storage)?,
            usage_plans: Collection::open(storage)?,
            topics: Collection::open(storage)?,
            event_subscriptions: Collection::open(storage)?,
            namespaces: Collection::open(storage)?,
            hubs: Collection::open(storage)?,
            managed_services: Collection::open(storage)?,
            marketplace_products: Collection::open(storage)?,
            marketplace_subscriptions: Collection::open(storage)?,
            portals: Collection::open(storage)?,
            portal_apis: Collection::open(storage)?,
            portal_offers: Collection::open(storage)?,
            portal_accounts: Collection::open(storage)?,
            access_keys: Collection::open(storage)?,
            users: Collection::open(storage)?,
            roles: Collection::open(storage)?,
            policies: Collection::open(storage)?,
            buckets: Collection::open(storage)?,
            storage_accounts: Collection::open(storage)?,
            storage: storage.clone(),
        })
    }

    /// Takes the next number of a node-wide counter that is never given twice: ids of logs, tables, ….
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub async fn next_id(&self) -> Result<u64, CatalogError> {
        self.next_ids(1).await
    }

    /// Takes as many numbers as wanted of the same counter, one behind the other; gives the first.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub async fn next_ids(&self, wanted: u64) -> Result<u64, CatalogError> {
        self.streams.ids.next(&self.storage, wanted).await
    }
}

/// The definitions of one kind. Cheap to clone.
pub struct Collection<T> {
    shared: Arc<Shared<T>>,
    ids: Arc<Ids>,
}

impl<T> Clone for Collection<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), ids: Arc::clone(&self.ids) }
    }
}

struct Shared<T> {
    storage: Storage,
    keyspace: Keyspace,
    entries: Mutex<BTreeMap<String, Arc<T>>>,
    changes: watch::Sender<u64>,
}

impl<T: Definition> Collection<T> {
    fn open(storage: &Storage) -> Result<Self, CatalogError> {
        let keyspace = Keyspace::new(&format!("catalog/{}", T::KIND));
        let mut entries = BTreeMap::new();
        for (key, value) in storage.scan(&keyspace, (Bound::Unbounded, Bound::Unbounded), false, usize::MAX)? {
            let name = String::from_utf8_lossy(&key).into_owned();
            let definition = serde_json::from_slice(&value).map_err(|error| CatalogError::Unreadable {
                kind: T::KIND,
                name: name.clone(),
                reason: error.to_string(),
            })?;
            entries.insert(name, Arc::new(definition));
        }
        let shared =
            Shared { storage: storage.clone(), keyspace, entries: Mutex::new(entries), changes: watch::Sender::new(0) };
        Ok(Self { shared: Arc::new(shared), ids: Arc::new(Ids::new()) })
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Arc<T>>> {
        self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The definition of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<T>> {
        self.entries().get(name).cloned()
    }

    /// The definition of that name.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn require(&self, name: &str) -> Result<Arc<T>, CatalogError> {
        self.get(name).ok_or_else(|| CatalogError::NotFound { kind: T::KIND, name: name.to_owned() })
    }

    /// All definitions in the order of their names.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<T>> {
        self.entries().values().cloned().collect()
    }

    /// Adds a definition. It is found by others at once and durable when this returns.
    ///
    /// # Errors
    /// [`CatalogError::Exists`] when the name is taken; [`CatalogError::Storage`], after which it is not there.
    pub async fn create(&self, definition: T) -> Result<Arc<T>, CatalogError> {
        let name = definition.key().to_owned();
        let definition = Arc::new(definition);
        {
            let mut entries = self.entries();
            if entries.contains_key(&name) {
                return Err(CatalogError::Exists { kind: T::KIND, name });
            }
            entries.insert(name.clone(), Arc::clone(&definition));
        }
        let collection = self.clone();
        to_the_end(async move {
            if let Err(error) = collection.store(&name, &definition, Transaction::new()).await {
                collection.entries().remove(&name);
                return Err(error);
            }
            collection.tell();
            Ok(definition)
        })
        .await
    }

    /// Writes a definition, new or not.
    ///
    /// # Errors
    /// [`CatalogError::Storage`], after which the one before still holds.
    pub async fn put(&self, definition: T) -> Result<Arc<T>, CatalogError> {
        self.put_with(definition, Transaction::new()).await
    }

    /// Writes a definition, new or not; `extra` is made durable together with it.
    ///
    /// # Errors
    /// [`CatalogError::Storage`], after which the one before still holds.
    pub async fn put_with(&self, definition: T, extra: Transaction) -> Result<Arc<T>, CatalogError> {
        let name = definition.key().to_owned();
        let (collection, definition) = (self.clone(), Arc::new(definition));
        to_the_end(async move {
            collection.store(&name, &definition, extra).await?;
            collection.entries().insert(name, Arc::clone(&definition));
            collection.tell();
            Ok(definition)
        })
        .await
    }

    /// Removes a definition and gives it back; `extra` is made durable together with the removal.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`]; [`CatalogError::Storage`], after which it is still there.
    pub async fn delete(&self, name: &str, mut extra: Transaction) -> Result<Arc<T>, CatalogError> {
        let definition = self.require(name)?;
        extra.delete(&self.shared.keyspace, name.as_bytes().to_vec());
        let (collection, name) = (self.clone(), name.to_owned());
        to_the_end(async move {
            collection.shared.storage.commit(extra).await?;
            collection.entries().remove(&name);
            collection.tell();
            Ok(definition)
        })
        .await
    }

    /// Tells of changes: the value rises with each; look at [`Collection::list`] then.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.shared.changes.subscribe()
    }

    fn tell(&self) {
        self.shared.changes.send_modify(|version| *version += 1);
    }

    async fn store(&self, name: &str, definition: &T, mut transaction: Transaction) -> Result<(), CatalogError> {
        let value = serde_json::to_vec(definition).map_err(|error| CatalogError::Unreadable {
            kind: T::KIND,
            name: name.to_owned(),
            reason: error.to_string(),
        })?;
        transaction.put(&self.shared.keyspace, name.as_bytes().to_vec(), value);
        self.shared.storage.commit(transaction).await?;
        Ok(())
    }
}

/// The node-wide counter.
struct Ids {
    keyspace: Keyspace,
    lock: tokio::sync::Mutex<()>,
}

impl Ids {
    fn new() -> Self {
        Self { keyspace: Keyspace::new("catalog/ids"), lock: tokio::sync::Mutex::new(()) }
    }

    async fn next(&self, storage: &Storage, wanted: u64) -> Result<u64, CatalogError> {
        let _turn = self.lock.lock().await;
        let stored = {
            let (storage, keyspace) = (storage.clone(), self.keyspace.clone());
            tokio::task::spawn_blocking(move || storage.get(&keyspace, b"next"))
                .await
                .map_err(|_| millstream_storage::StorageError::Closed)??
        };
        let next = stored.and_then(|bytes| bytes.as_ref().try_into().ok()).map_or(1, u64::from_be_bytes);
        let mut transaction = Transaction::new();
        transaction.put(&self.keyspace, b"next".to_vec(), (next + wanted).to_be_bytes().to_vec());
        storage.commit(transaction).await?;
        Ok(next)
    }
}
