//! The service: the engines behind the protocol, and what is decided for all its connections.

use std::sync::Arc;

use bytes::Bytes;
use millstream_access::{Access, Caller};
use millstream_catalog::Catalog;
use millstream_group::Groups;
use millstream_insight::Insight;
use millstream_namespace::{Namespaces, Right};
use millstream_stream::{Producers, Streams};
use millstream_types::Clock;
use tokio::sync::Semaphore;

/// Bytes of requests and of answers that all connections together may hold: who wants more waits.
const HELD_BYTES_MAX: usize = 256 << 20;
/// Bytes that one permit stands for.
const PERMIT_BYTES: usize = 1 << 10;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Kafka {
    parts: Arc<KafkaParts>,
    held: Arc<Semaphore>,
}

/// What the service is made of.
pub struct KafkaParts {
    /// Topics and their records.
    pub streams: Streams,
    /// Namespaces of topics, and what connection strings prove.
    pub namespaces: Namespaces,
    /// Producers that number their batches.
    pub producers: Producers,
    /// Groups of consumers.
    pub groups: Groups,
    /// Where ids of producers come from.
    pub catalog: Catalog,
    /// Access keys.
    pub access: Access,
    /// Whether a caller who is not the owner may do something with a stream.
    pub permits: Arc<dyn Fn(&Caller, Right, &str) -> bool + Send + Sync>,
    /// The named values in the headers of records that came by another protocol.
    pub named_values: Arc<dyn Fn(&Bytes) -> Vec<(String, Bytes)> + Send + Sync>,
    /// Metrics and trail.
    pub insight: Insight,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is decided for all connections.
    pub options: KafkaOptions,
}

/// What is decided for all connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KafkaOptions {
    /// Whether clients may do everything without saying who they are.
    pub open: bool,
    /// Whether a topic that is asked for and not there is made.
    pub create_topics: bool,
}

impl Kafka {
    /// The service over its engines.
    #[must_use]
    pub fn new(parts: KafkaParts) -> Self {
        Self { parts: Arc::new(parts), held: Arc::new(Semaphore::new(HELD_BYTES_MAX / PERMIT_BYTES)) }
    }

    /// Waits until so many bytes may be held; they are held until the permit is dropped.
    pub(crate) async fn hold(&self, bytes: usize) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes.div_ceil(PERMIT_BYTES).min(HELD_BYTES_MAX / PERMIT_BYTES)).ok()?;
        Arc::clone(&self.held).acquire_many_owned(permits).await.ok()
    }
}

impl std::ops::Deref for Kafka {
    type Target = KafkaParts;

    fn deref(&self) -> &KafkaParts {
        &self.parts
    }
}
