//! Managed APIs: services whose APIs stand behind products, subscriptions and policies.
//!
//! Read next: [`definitions`] (what there is), `users` (whose subscriptions are), [`named`] (what policies name), [`policies`]
//! (what is said about it), [`call`] (the way of a request), `counting` and `limit` (what is counted).

pub mod call;
mod counting;
pub mod definitions;
pub mod named;
pub mod policies;
mod users;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use millstream_catalog::{Catalog, ManagedServiceDefinition};
use millstream_insight::Insight;
use millstream_storage::Storage;
use millstream_types::{BoxFuture, Clock};

pub use call::{Answered, Failure, ManagedRequest, TraceStep};
pub use policies::PolicyScope;

use crate::backend::Backends;
use crate::error::GatewayError;
use crate::limit::quota::Quotas;
use crate::limit::rate::RateLimits;
use crate::traffic::Traffic;
use policies::Compiled;

/// How long what is fetched for an import may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(15);

/// The managed APIs of a node. Cheap to clone.
#[derive(Clone)]
pub struct Managed {
    catalog: Catalog,
    traffic: Traffic,
    clock: Arc<dyn Clock>,
    backends: Backends,
    /// An edit reads a definition, changes it and writes it: one at a time, or one would undo the other.
    edits: Arc<tokio::sync::Mutex<()>>,
    /// The policies of each service as they were read last.
    compiled: Arc<Mutex<Vec<Arc<Compiled>>>>,
    rates: Arc<RateLimits>,
    quotas: Arc<Quotas>,
}

impl Managed {
    /// The engine over a catalog; its quotas are kept in the store.
    #[must_use]
    pub fn new(
        storage: Storage,
        catalog: Catalog,
        insight: Insight,
        backends: Backends,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            catalog,
            traffic: Traffic::new(insight),
            clock,
            backends,
            edits: Arc::default(),
            compiled: Arc::default(),
            rates: Arc::default(),
            quotas: Arc::new(Quotas::new(storage)),
        }
    }

    /// A service.
    ///
    /// # Errors
    /// [`GatewayError::NotFound`].
    pub fn service(&self, name: &str) -> Result<Arc<ManagedServiceDefinition>, GatewayError> {
        Ok(self.catalog.managed_services.require(name)?)
    }

    /// All services in the order of their names.
    #[must_use]
    pub fn services(&self) -> Vec<Arc<ManagedServiceDefinition>> {
        self.catalog.managed_services.list()
    }

    /// What an address of a backend's kind answers to `GET`: under the same rules and bounds as a backend's answer.
    ///
    /// # Errors
    /// [`GatewayError::Invalid`] says why there is none.
    pub fn fetch<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Bytes, GatewayError>> {
        Box::pin(async move {
            let failed =
                |reason: String| GatewayError::Invalid { reason: format!("`{address}` gave nothing: {reason}") };
            let request = Request::get(address).body(Bytes::new()).map_err(|error| failed(error.to_string()))?;
            let answer = self.backends.send(request, FETCH_TIMEOUT).await.map_err(|error| failed(error.to_string()))?;
            if !answer.status().is_success() {
                return Err(failed(format!("it answered {}", answer.status())));
            }
            Ok(answer.into_body())
        })
    }

    /// Removes counters of quotas whose periods are over. Called by the clock.
    ///
    /// # Errors
    /// [`GatewayError::Storage`].
    pub fn sweep(&self) -> BoxFuture<'_, Result<(), GatewayError>> {
        Box::pin(async move {
            Ok(self.quotas.sweep(self.clock.now(), |key| !crate::plan::usage::is_counter_of_plan(key)).await?)
        })
    }

    /// A service's policies, ready to run; read again when the service has changed.
    fn compiled(&self, service: &Arc<ManagedServiceDefinition>) -> Arc<Compiled> {
        let mut known = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known.iter().find(|compiled| Arc::ptr_eq(&compiled.service, service)) {
            return Arc::clone(found);
        }
        let made = Arc::new(Compiled::new(Arc::clone(service)));
        known.retain(|compiled| compiled.service.name != service.name);
        known.push(Arc::clone(&made));
        made
    }
}
