//! Usage plans: keys, what plans let them do, and what they used.
//!
//! Read next: [`keys`] and [`definitions`] (what there is), [`admission`] (whether a request may pass), [`usage`] (what was
//! used and what is left).

pub mod admission;
pub mod definitions;
pub mod keys;
pub mod usage;

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use millstream_catalog::{Catalog, StreamOwner, Throttle};
use millstream_insight::Insight;
use millstream_storage::Storage;
use millstream_stream::{NewStream, StreamError, Streams};
use millstream_types::{BoxFuture, Clock};

pub use admission::{Caller, Metered};
pub use keys::{ApiKeyChange, NewApiKey};
pub use usage::QuotaState;

use crate::error::GatewayError;
use crate::limit::bucket::TokenBuckets;
use crate::limit::quota::Quotas;
use crate::metering::line::{ACCESS_STREAM, RETENTION_HOURS};
use crate::metering::usage::UsageStore;
use crate::metering::{AccessLine, Charged, Ledger};

/// What holds for all plans.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlanOptions {
    /// How fast all callers of all APIs together may call; `None`: no limit.
    pub account: Option<Throttle>,
}

/// The plans of a node with their keys and meters. Cheap to clone.
#[derive(Clone)]
pub struct Plans {
    shared: Arc<Shared>,
}

struct Shared {
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    options: PlanOptions,
    /// An edit reads a definition, changes it and writes it: one at a time, or one would undo the other.
    edits: tokio::sync::Mutex<()>,
    /// The ids of keys by their values, the former ones too.
    values: RwLock<HashMap<String, String>>,
    buckets: TokenBuckets,
    quotas: Arc<Quotas>,
    usage: UsageStore,
    ledger: Ledger,
}

impl Plans {
    /// The engine over a catalog; makes the stream of the access log when it is missing, and counts what a node that crashed
    /// did not count.
    ///
    /// # Errors
    /// [`GatewayError::Storage`], [`GatewayError::Catalog`].
    pub fn open(
        storage: Storage,
        catalog: Catalog,
        streams: Streams,
        insight: &Insight,
        clock: Arc<dyn Clock>,
        options: PlanOptions,
    ) -> BoxFuture<'_, Result<Self, GatewayError>> {
        Box::pin(async move {
            let log = access_log(&streams).await?;
            let quotas = Arc::new(Quotas::new(storage.clone()));
            let usage = UsageStore::new(storage.clone());
            let plans = catalog.usage_plans.clone();
            let charged = move |line: &AccessLine| {
                let limit = plans.get(&line.plan)?.quota.as_ref()?.limit;
                Some(Charged { counter: usage::counter_of(&line.plan, &line.key), limit })
            };
            let counted = (usage.clone(), Arc::clone(&quotas));
            let ledger = Ledger::start((storage, log), counted, charged, insight, Arc::clone(&clock)).await?;
            let values = RwLock::new(keys::values_of(&catalog));
            let (edits, buckets) = Default::default();
            let shared = Shared { catalog, clock, options, edits, values, buckets, quotas, usage, ledger };
            Ok(Self { shared: Arc::new(shared) })
        })
    }

    /// How fast all callers together may call; `None`: no limit.
    #[must_use]
    pub fn account_throttle(&self) -> Option<Throttle> {
        self.shared.options.account
    }

    /// Commits what waits and takes no more.
    pub fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.shared.ledger.shutdown().await;
        })
    }
}

/// The log of the access log's stream.
async fn access_log(streams: &Streams) -> Result<millstream_types::LogId, GatewayError> {
    let name = ACCESS_STREAM.to_owned();
    let new = NewStream { name, owner: StreamOwner::Gateway, shards: 1, retention_hours: RETENTION_HOURS };
    let stream = match streams.get(ACCESS_STREAM) {
        Ok(known) => Ok(known),
        Err(_) => streams.create(new).await,
    };
    let log = |error: StreamError| GatewayError::AccessLog(error.to_string());
    let stream = stream.map_err(log)?;
    let shard = stream.shards.first().map(|shard| shard.log());
    shard.ok_or_else(|| GatewayError::AccessLog("its stream has no shard".to_owned()))
}
