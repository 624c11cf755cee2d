//! Queues themselves: made, changed, emptied, removed.

use std::sync::Arc;

use millstream_catalog::{QueueDefinition, QueueSettings, RedriveSources};
use millstream_storage::{Transaction, to_the_end};
use millstream_types::{BoxFuture, Millis};

use super::{BATCH, LiveQueue, MESSAGE_BYTES_MAX, Pairs, Queues, retention};
use crate::error::QueueError;
use crate::message::MessageId;

/// Queues of a node.
pub const QUEUES_MAX: usize = 1_000;

/// What a queue is made from.
#[derive(Debug, Clone, Default)]
pub struct NewQueue {
    /// 1 to 80 letters, digits, `-` and `_`.
    pub name: String,
    /// How it treats its messages.
    pub settings: QueueSettings,
    /// Pairs of a storage account's client.
    pub metadata: Pairs,
    /// Pairs of a queue's client.
    pub tags: Pairs,
    /// Who else may use it, in a protocol's words.
    pub policy: Option<String>,
}

impl Queues {
    /// Makes a queue.
    ///
    /// # Errors
    /// [`QueueError::QueueExists`], [`QueueError::BadName`], [`QueueError::OutOfRange`], [`QueueError::DeadLetterQueue`],
    /// [`QueueError::TooMany`]; [`QueueError::Storage`].
    pub fn create(&self, new: NewQueue) -> BoxFuture<'_, Result<Arc<QueueDefinition>, QueueError>> {
        Box::pin(async move {
            check_name(&new.name)?;
            self.check_settings(&new.name, &new.settings)?;
            let shared = &self.shared;
            let turn = Arc::clone(&shared.definitions).lock_owned().await;
            if shared.catalog.queues.get(&new.name).is_some() {
                return Err(QueueError::QueueExists { queue: new.name });
            }
            if shared.catalog.queues.list().len() >= QUEUES_MAX {
                return Err(QueueError::TooMany { what: "queues", max: QUEUES_MAX });
            }
            let now = shared.clock.now();
            let definition = QueueDefinition {
                name: new.name,
                number: shared.catalog.next_id().await?,
                created: now,
                modified: now,
                settings: new.settings,
                metadata: new.metadata,
                tags: new.tags,
                policy: new.policy,
            };
            let queues = self.clone();
            to_the_end(async move {
                let (_turn, number) = (turn, definition.number);
                queues.live().queues.insert(number, LiveQueue::new(&definition));
                let created = queues.shared.catalog.queues.create(definition).await;
                if created.is_err() {
                    queues.live().queues.remove(&number);
                }
                Ok(created?)
            })
            .await
        })
    }

    /// A queue.
    ///
    /// # Errors
    /// [`QueueError::QueueNotFound`].
    pub fn get(&self, queue: &str) -> Result<Arc<QueueDefinition>, QueueError> {
        let found = self.shared.catalog.queues.get(queue);
        found.ok_or_else(|| QueueError::QueueNotFound { queue: queue.chars().take(80).collect() })
    }

    /// All queues in the order of their names.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<QueueDefinition>> {
        self.shared.catalog.queues.list()
    }

    /// Changes how a queue treats its messages, and what is said of it; its name and its number are to stay. `change` sees
    /// the queue as it is, and no other change comes between; what it refuses changes nothing. Another retention counts for
    /// the messages that are there too.
    ///
    /// # Errors
    /// What `change` refuses; [`QueueError::QueueNotFound`], [`QueueError::OutOfRange`], [`QueueError::DeadLetterQueue`];
    /// [`QueueError::Storage`].
    pub async fn change<E: From<QueueError>>(
        &self,
        queue: &str,
        change: impl FnOnce(&mut QueueDefinition) -> Result<(), E>,
    ) -> Result<Arc<QueueDefinition>, E> {
        let turn = Arc::clone(&self.shared.definitions).lock_owned().await;
        let mut definition = (*self.get(queue)?).clone();
        change(&mut definition)?;
        self.check_settings(queue, &definition.settings)?;
        definition.modified = self.shared.clock.now();
        let queues = self.clone();
        let changed = to_the_end(async move {
            let _turn = turn;
            let definition = queues.shared.catalog.queues.put(definition).await?;
            queues.live().queue(&definition)?.index.set_retention(retention(&definition));
            Ok::<_, QueueError>(definition)
        });
        Ok(changed.await?)
    }

    /// Removes a queue with its messages.
    ///
    /// # Errors
    /// [`QueueError::QueueNotFound`], [`QueueError::Storage`].
    pub fn delete<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(async move {
            let turn = Arc::clone(&self.shared.definitions).lock_owned().await;
            let (definition, queues) = (self.get(queue)?, self.clone());
            to_the_end(async move {
                let _turn = turn;
                // The definition goes first: messages that a crash leaves behind belong to nobody and go at the next start.
                queues.shared.catalog.queues.delete(&definition.name, Transaction::new()).await?;
                while queues.remove_batch(&definition, |index| index.ids_until(MessageId(u64::MAX), BATCH)).await? > 0 {
                }
                queues.live().queues.remove(&definition.number);
                Ok(())
            })
            .await
        })
    }

    /// Removes the messages that a queue has now. A crash meanwhile may leave the younger ones.
    ///
    /// # Errors
    /// [`QueueError::QueueNotFound`], [`QueueError::Storage`].
    pub fn purge<'a>(&'a self, queue: &'a str) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(async move {
            let (definition, queues) = (self.get(queue)?, self.clone());
            to_the_end(async move {
                let last = MessageId(queues.live().next.saturating_sub(1));
                while queues.remove_batch(&definition, |index| index.ids_until(last, BATCH)).await? > 0 {}
                Ok(())
            })
            .await
        })
    }

    /// The same, but not within `least` milliseconds of the last time.
    ///
    /// # Errors
    /// As [`Queues::purge`], and [`QueueError::PurgedLately`].
    pub fn purge_apart<'a>(&'a self, queue: &'a str, least: Millis) -> BoxFuture<'a, Result<(), QueueError>> {
        Box::pin(async move {
            let (definition, now) = (self.get(queue)?, self.shared.clock.now());
            {
                let mut live = self.live();
                let live = live.queue(&definition)?;
                if live.purged.is_some_and(|last| now - last < least) {
                    return Err(QueueError::PurgedLately { queue: definition.name.clone(), seconds: least / 1_000 });
                }
                live.purged = Some(now);
            }
            self.purge(queue).await
        })
    }

    fn check_settings(&self, queue: &str, settings: &QueueSettings) -> Result<(), QueueError> {
        let bytes_max = i64::try_from(MESSAGE_BYTES_MAX).unwrap_or(i64::MAX);
        check_range("seconds of hiding", settings.visibility_seconds, (0, 43_200))?;
        check_range("seconds of keeping messages", settings.retention_seconds, (60, 1_209_600))?;
        check_range("seconds of delay", settings.delay_seconds, (0, 900))?;
        check_range("seconds of waiting", settings.wait_seconds, (0, 20))?;
        check_range("bytes of a message", settings.message_bytes_max, (1_024, bytes_max))?;
        let Some(redrive) = &settings.redrive else { return Ok(()) };
        check_range("receives before a message is a dead letter", redrive.receives_max, (1, 1_000))?;
        let refuse = |reason| Err(QueueError::DeadLetterQueue { queue: redrive.queue.clone(), reason });
        if redrive.queue == queue {
            return refuse("it is the queue itself");
        }
        match self.get(&redrive.queue) {
            Err(_) => refuse("there is no such queue"),
            Ok(target) => match &target.settings.sources {
                RedriveSources::None => refuse("it takes none"),
                RedriveSources::Queues(sources) if !sources.iter().any(|source| source == queue) => {
                    refuse("it takes none of this queue")
                }
                _ => Ok(()),
            },
        }
    }
}

fn check_name(name: &str) -> Result<(), QueueError> {
    let fine = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if fine && (1..=80).contains(&name.len()) {
        return Ok(());
    }
    Err(QueueError::BadName { found: name.chars().take(80).collect() })
}

fn check_range(what: &'static str, found: u32, (min, max): (i64, i64)) -> Result<(), QueueError> {
    let found = i64::from(found);
    if (min..=max).contains(&found) { Ok(()) } else { Err(QueueError::OutOfRange { what, min, max, found }) }
}
