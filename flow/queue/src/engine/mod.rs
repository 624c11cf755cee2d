//! The engine: queues and their messages.
//!
//! Which message is next is decided in memory, under one lock that is never held over an await; the transaction that says
//! so is submitted under the same lock, so the store has all changes in the order of the decisions, and what is answered is
//! durable. Read next: `definitions.rs` (queues), `send.rs`, `receive.rs`, `change.rs` (messages), `redrive.rs`, `port.rs`.

mod change;
mod definitions;
mod measure;
mod port;
mod receive;
mod redrive;
mod send;

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use millstream_catalog::{Catalog, QueueDefinition};
use millstream_insight::Insight;
use millstream_storage::{Keyspace, Storage, Transaction};
use millstream_types::{BoxFuture, Clock, Millis};
use tokio::sync::watch;

use crate::error::QueueError;
use crate::index::{Counts, QueueIndex};
use crate::message::{Message, MessageId, Receipt};
use crate::record::{Head, State, content_key, decode_content, read_state_key, state_key};

pub use change::{Changed, Update};
pub use definitions::{NewQueue, QUEUES_MAX};
pub use receive::{IN_FLIGHT_MAX, Receive, WAIT_MAX};
pub use redrive::{RedriveState, RedriveTask};
pub use send::{BATCH_MESSAGES_MAX, MESSAGE_BYTES_MAX};

/// Messages of all queues of a node: each has some 200 bytes in memory.
const MESSAGES_MAX: usize = 1_000_000;
/// Messages that are removed by one transaction, and read by one scan.
const BATCH: usize = 1_000;
/// Bits of a message's number that count within one run of the node; those above count the runs.
const COUNTER_BITS: u32 = 40;

/// The queue engine. Cheap to clone.
#[derive(Clone)]
pub struct Queues {
    shared: Arc<Shared>,
}

struct Shared {
    storage: Storage,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    states: Keyspace,
    contents: Keyspace,
    /// One change of definitions at a time; whoever has the turn takes it along to the end of the change.
    definitions: Arc<tokio::sync::Mutex<()>>,
    live: Mutex<Live>,
    stopping: watch::Sender<bool>,
    /// Tasks in the order in which they were started.
    redrives: Mutex<Vec<RedriveTask>>,
    insight: OnceLock<Insight>,
}

/// What is decided in memory.
struct Live {
    /// By the queue's number.
    queues: HashMap<u64, LiveQueue>,
    next: u64,
}

struct LiveQueue {
    index: QueueIndex,
    /// Tells waiting receivers that a message may have become visible.
    changes: watch::Sender<u64>,
    /// When it was last purged by those who may not do so at will.
    purged: Option<Millis>,
}

impl LiveQueue {
    fn new(definition: &QueueDefinition) -> Self {
        Self { index: QueueIndex::new(retention(definition)), changes: watch::Sender::new(0), purged: None }
    }

    fn tell(&self) {
        self.changes.send_modify(|version| *version += 1);
    }
}

impl Live {
    fn queue(&mut self, definition: &QueueDefinition) -> Result<&mut LiveQueue, QueueError> {
        let found = self.queues.get_mut(&definition.number);
        found.ok_or_else(|| QueueError::QueueNotFound { queue: definition.name.clone() })
    }

    fn messages(&self) -> usize {
        self.queues.values().map(|queue| queue.index.len()).sum()
    }
}

impl Queues {
    /// Opens the engine: reads the states of all messages and removes those of queues that are gone.
    ///
    /// # Errors
    /// [`QueueError::Unreadable`] names the message that cannot be read; [`QueueError::Storage`].
    pub fn open(
        storage: Storage,
        catalog: Catalog,
        clock: Arc<dyn Clock>,
    ) -> BoxFuture<'static, Result<Self, QueueError>> {
        Box::pin(async move {
            let run = catalog.next_id().await?;
            let definitions = catalog.queues.list();
            let queues = definitions.iter().map(|queue| (queue.number, LiveQueue::new(queue))).collect();
            let shared = Shared {
                storage,
                catalog,
                clock,
                states: Keyspace::new("queue/states"),
                contents: Keyspace::new("queue/contents"),
                definitions: Arc::default(),
                live: Mutex::new(Live { queues, next: run << COUNTER_BITS }),
                stopping: watch::Sender::new(false),
                redrives: Mutex::default(),
                insight: OnceLock::new(),
            };
            let queues = Self { shared: Arc::new(shared) };
            let opened = queues.clone();
            let abandoned = tokio::task::spawn_blocking(move || opened.load()).await.map_err(broken)??;
            for batch in abandoned.chunks(BATCH) {
                let mut transaction = Transaction::new();
                batch.iter().for_each(|(queue, id)| queues.remove(&mut transaction, *queue, *id));
                queues.shared.storage.commit(transaction).await?;
            }
            Ok(queues)
        })
    }

    /// Lets waiting receivers go with what there is: the node stops.
    pub fn end_waiting(&self) {
        self.shared.stopping.send_replace(true);
    }

    /// Removes messages that are expired; receives do that for their own queue.
    ///
    /// # Errors
    /// [`QueueError::Storage`].
    pub fn enforce_retention(&self) -> BoxFuture<'_, Result<(), QueueError>> {
        Box::pin(async move {
            for definition in self.list() {
                let now = self.shared.clock.now();
                while self.remove_batch(&definition, |index| index.expired(now)).await? > 0 {}
            }
            Ok(())
        })
    }

    /// How many messages a queue holds.
    ///
    /// # Errors
    /// [`QueueError::QueueNotFound`].
    pub fn counts(&self, queue: &str) -> Result<Counts, QueueError> {
        let definition = self.get(queue)?;
        let now = self.shared.clock.now();
        Ok(self.live().queue(&definition)?.index.counts(now))
    }

    /// Reads the states of all messages; gives those whose queue is gone.
    fn load(&self) -> Result<Vec<(u64, MessageId)>, QueueError> {
        let shared = &self.shared;
        let mut abandoned = Vec::new();
        let mut after: Option<Bytes> = None;
        loop {
            let from = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let page = shared.storage.scan(&shared.states, (from, Bound::Unbounded), false, BATCH)?;
            let Some((last, _)) = page.last() else { return Ok(abandoned) };
            after = Some(last.clone());
            let mut live = self.live();
            for (key, value) in &page {
                let Some((queue, id)) = read_state_key(key) else { continue };
                match live.queues.get_mut(&queue) {
                    Some(queue) => {
                        let state = State::decode(value).ok_or(QueueError::Unreadable { id })?;
                        queue.index.put(id, state);
                    }
                    None => abandoned.push((queue, id)),
                }
            }
        }
    }

    /// The name of the queue with a number.
    fn name_of(&self, number: u64) -> Option<String> {
        self.list().into_iter().find(|queue| queue.number == number).map(|queue| queue.name.clone())
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.shared.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, transaction: &mut Transaction, queue: u64, id: MessageId) {
        transaction.delete(&self.shared.states, state_key(queue, id));
        transaction.delete(&self.shared.contents, content_key(id));
    }

    /// Removes the messages that `choose` names; gives how many those were.
    async fn remove_batch(
        &self,
        definition: &QueueDefinition,
        choose: impl FnOnce(&QueueIndex) -> Vec<MessageId>,
    ) -> Result<usize, QueueError> {
        let (removed, ticket) = {
            let mut live = self.live();
            let queue = live.queue(definition)?;
            let chosen = choose(&queue.index);
            if chosen.is_empty() {
                return Ok(0);
            }
            let mut transaction = Transaction::new();
            chosen.iter().for_each(|id| self.remove(&mut transaction, definition.number, *id));
            let ticket = self.shared.storage.submit(transaction)?;
            chosen.iter().for_each(|id| queue.index.remove(*id));
            (chosen.len(), ticket)
        };
        ticket.durable().await?;
        Ok(removed)
    }

    /// Messages with their contents, in their order. One whose content is not there was never taken in: it is forgotten.
    async fn read(
        &self,
        definition: &QueueDefinition,
        states: Vec<(MessageId, State)>,
    ) -> Result<Vec<Message>, QueueError> {
        let shared = Arc::clone(&self.shared);
        let contents = tokio::task::spawn_blocking(move || {
            let content = |(id, state): (MessageId, State)| -> Result<_, QueueError> {
                Ok((id, state, shared.storage.get(&shared.contents, &content_key(id))?))
            };
            states.into_iter().map(content).collect::<Result<Vec<_>, _>>()
        });
        let retention = retention(definition);
        let mut messages = Vec::new();
        for (id, state, content) in contents.await.map_err(broken)?? {
            let Some(content) = content else {
                self.live().queue(definition)?.index.remove(id);
                continue;
            };
            let (Head { attributes, trace, group }, body) =
                decode_content(&content).ok_or(QueueError::Unreadable { id })?;
            messages.push(Message {
                id,
                receipt: Receipt { message: id, turn: state.turn },
                body,
                attributes,
                sent: state.sent,
                expires: state.expires.unwrap_or_else(|| state.sent.saturating_add(retention)),
                visible_at: state.visible_at,
                receives: state.receives,
                first_received: state.first_received,
                trace,
                group,
                dead_from: state.dead_from.and_then(|number| self.name_of(number)),
            });
        }
        Ok(messages)
    }
}

fn retention(definition: &QueueDefinition) -> Millis {
    millis(definition.settings.retention_seconds)
}

fn millis(seconds: u32) -> Millis {
    Millis::from(seconds) * 1_000
}

fn broken(error: tokio::task::JoinError) -> QueueError {
    QueueError::Broken { reason: error.to_string() }
}

/// A user's own pairs.
type Pairs = BTreeMap<String, String>;
