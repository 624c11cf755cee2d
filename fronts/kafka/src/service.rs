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
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::fetch_session::FetchSessions;
use crate::record::RECORD_BYTES_MAX;
use crate::topic::TopicIds;

/// Bytes of requests that all connections together may hold: who wants more waits.
const REQUEST_BYTES_MAX: usize = 128 << 20;
/// Bytes of large answers that all connections together may hold. While slow readers hold them, others get small answers.
const ANSWER_BYTES_MAX: usize = 128 << 20;
/// Bytes of small answers that all connections together may hold then: who wants more waits.
const SMALL_ANSWERS_BYTES_MAX: usize = 64 << 20;
/// Bytes of a small answer, unless one record is larger.
const SMALL_ANSWER_BYTES: usize = 64 << 10;
/// Bytes of answers without records that all connections together may hold, of those that are small and of those that are
/// not: who wants more waits, for others of the same kind only.
const LISTS_BYTES_MAX: usize = 64 << 20;
/// Requests whose records are unpacked at once, each into as many bytes as a request may hold.
const UNPACKING_MAX: usize = 4;
/// Large answers that are made at once, or as many as there are cores: what is read for one is in memory beside it meanwhile.
const LARGE_ANSWERS_MADE_MIN: usize = 4;
/// Bytes that one permit stands for.
const PERMIT_BYTES: usize = 1 << 10;

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Kafka {
    parts: Arc<KafkaParts>,
    requests: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    small_answers: Arc<Semaphore>,
    making: Arc<Semaphore>,
    lists: Arc<Semaphore>,
    small_lists: Arc<Semaphore>,
    unpacking: Arc<Semaphore>,
    pub(crate) topic_ids: Arc<TopicIds>,
    pub(crate) fetch_sessions: Arc<FetchSessions>,
}

/// Says whether a caller may do something with a stream.
pub type Permits = Arc<dyn Fn(&Caller, Right, &str) -> bool + Send + Sync>;

/// The named values in a record's headers, whatever form they have.
pub type NamedValues = Arc<dyn Fn(&Bytes) -> Vec<(String, Bytes)> + Send + Sync>;

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
    pub permits: Permits,
    /// What records that came by another protocol have in their headers.
    pub named_values: NamedValues,
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
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let budget = |bytes: usize| Arc::new(Semaphore::new(bytes / PERMIT_BYTES));
        Self {
            topic_ids: Arc::default(),
            fetch_sessions: Arc::new(FetchSessions::new(parts.clock.now())),
            parts: Arc::new(parts),
            requests: budget(REQUEST_BYTES_MAX),
            answers: budget(ANSWER_BYTES_MAX),
            small_answers: budget(SMALL_ANSWERS_BYTES_MAX),
            making: Arc::new(Semaphore::new(cores.max(LARGE_ANSWERS_MADE_MIN))),
            lists: budget(LISTS_BYTES_MAX),
            small_lists: budget(LISTS_BYTES_MAX),
            unpacking: Arc::new(Semaphore::new(UNPACKING_MAX)),
        }
    }

    /// Waits until so many bytes of a request may be held; they are held until the permit is dropped.
    pub(crate) async fn hold_request(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.requests).acquire_many_owned(permits(bytes)).await.ok()
    }

    /// Holds bytes for an answer until the permit is dropped: as many as are wanted, or few when there are not so many. At
    /// least those of one record are held, since an answer has one whatever is wanted; see [`shrink`].
    pub(crate) async fn hold_answer(&self, bytes: usize) -> (Option<OwnedSemaphorePermit>, usize) {
        let needed = permits(bytes.max(RECORD_BYTES_MAX));
        if let Ok(permit) = Arc::clone(&self.answers).try_acquire_many_owned(needed) {
            return (Some(permit), bytes);
        }
        let (bytes, needed) = (bytes.min(SMALL_ANSWER_BYTES), permits(RECORD_BYTES_MAX));
        (Arc::clone(&self.small_answers).acquire_many_owned(needed).await.ok(), bytes)
    }

    /// Waits for the turn to read records for an answer of so many bytes; `None`: a small one needs none.
    pub(crate) async fn turn_to_read(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        if bytes <= SMALL_ANSWER_BYTES {
            return None;
        }
        Arc::clone(&self.making).acquire_owned().await.ok()
    }

    /// Waits until so many bytes of an answer without records may be held; they are held until the permit is dropped.
    pub(crate) async fn hold_list(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let budget = if bytes <= SMALL_ANSWER_BYTES { &self.small_lists } else { &self.lists };
        Arc::clone(budget).acquire_many_owned(permits(bytes.min(LISTS_BYTES_MAX))).await.ok()
    }

    /// Does what keeps a thread busy on one that may be, as soon as few others do; `None` when the node stops.
    pub(crate) async fn unpack<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let turn = Arc::clone(&self.unpacking).acquire_owned().await.ok()?;
        let work = move || {
            let _turn = turn;
            work()
        };
        tokio::task::spawn_blocking(work).await.ok()
    }
}

/// Lets go of what an answer of so many bytes does not need.
pub(crate) fn shrink(permit: &mut Option<OwnedSemaphorePermit>, bytes: usize) {
    if let Some(permit) = permit {
        let excess = permit.num_permits().saturating_sub(permits(bytes) as usize);
        drop(permit.split(excess));
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX)
}

impl std::ops::Deref for Kafka {
    type Target = KafkaParts;

    fn deref(&self) -> &KafkaParts {
        &self.parts
    }
}
