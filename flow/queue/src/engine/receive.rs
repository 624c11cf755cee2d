//! Messages are taken, or looked at.

use std::time::Duration;

use millstream_catalog::QueueDefinition;
use millstream_storage::{Ticket, Transaction};
use millstream_types::{BoxFuture, Millis};
use tokio::time::{Instant, sleep_until};

use super::{Queues, millis};
use crate::error::QueueError;
use crate::index::Plan;
use crate::message::{Message, MessageId};
use crate::record::{State, state_key};

/// The longest wait for messages.
pub const WAIT_MAX: Duration = Duration::from_secs(20);
/// Messages of one receive.
const RECEIVE_MAX: usize = 100;
/// Messages of one queue that may be in flight. Source: the service's quota.
pub const IN_FLIGHT_MAX: usize = 120_000;

/// How messages are taken.
#[derive(Debug, Clone, Copy)]
pub struct Receive {
    /// At most so many; 100 are the limit.
    pub max: usize,
    /// Milliseconds for which others do not see them; `None`: as their queue has it.
    pub hidden: Option<Millis>,
    /// How long to wait while there are none; `None`: as their queue has it.
    pub wait: Option<Duration>,
}

impl Queues {
    /// Takes messages; hidden from others, durably, when this returns. Messages that were taken too often before go to the
    /// dead-letter queue instead. Gives none when none came in time.
    ///
    /// # Errors
    /// [`QueueError::QueueNotFound`], also when the queue goes meanwhile; [`QueueError::TooManyInFlight`];
    /// [`QueueError::Storage`].
    pub fn receive<'a>(&'a self, queue: &'a str, receive: Receive) -> BoxFuture<'a, Result<Vec<Message>, QueueError>> {
        Box::pin(async move {
            let mut definition = self.get(queue)?;
            let own = Duration::from_secs(definition.settings.wait_seconds.into());
            let deadline = Instant::now() + receive.wait.unwrap_or(own).min(WAIT_MAX);
            let mut stopping = self.shared.stopping.subscribe();
            loop {
                let mut changes = self.live().queue(&definition)?.changes.subscribe();
                let (plan, ticket) = self.take(&definition, receive)?;
                if let Some(ticket) = ticket {
                    ticket.durable().await?;
                }
                let swept = !(plan.expired.is_empty() && plan.dead.is_empty());
                let messages = self.read(&definition, plan.taken).await?;
                if !messages.is_empty() {
                    self.count("received", queue, messages.len());
                    return Ok(messages);
                }
                if swept {
                    continue;
                }
                if Instant::now() >= deadline || *stopping.borrow() {
                    self.count("empty", queue, 1);
                    return Ok(messages);
                }
                let until = self.next_visible(&definition)?.map_or(deadline, |at| at.min(deadline));
                tokio::select! {
                    _ = changes.changed() => {}
                    _ = stopping.changed() => {}
                    () = sleep_until(until) => {}
                }
                definition = self.get(queue)?;
            }
        })
    }

    /// Messages that could be received now, left as they are; at most `max` and 100.
    ///
    /// # Errors
    /// [`QueueError::QueueNotFound`], [`QueueError::Storage`].
    pub fn peek<'a>(&'a self, queue: &'a str, max: usize) -> BoxFuture<'a, Result<Vec<Message>, QueueError>> {
        Box::pin(async move {
            let definition = self.get(queue)?;
            let now = self.shared.clock.now();
            let states: Vec<(MessageId, State)> =
                self.live().queue(&definition)?.index.visible(now).take(max.min(RECEIVE_MAX)).collect();
            self.read(&definition, states).await
        })
    }

    /// Decides what is taken and submits it; without a ticket nothing is.
    fn take(&self, definition: &QueueDefinition, receive: Receive) -> Result<(Plan, Option<Ticket>), QueueError> {
        let shared = &self.shared;
        let (settings, number) = (&definition.settings, definition.number);
        let hidden = receive.hidden.unwrap_or_else(|| millis(settings.visibility_seconds));
        let redrive = settings.redrive.as_ref().and_then(|redrive| {
            let target = shared.catalog.queues.get(&redrive.queue)?;
            Some((redrive.receives_max, target.number))
        });
        let mut live = self.live();
        // Without the dead-letter queue messages come again, as without a limit.
        let redrive = redrive.filter(|(_, target)| live.queues.contains_key(target));
        let now = shared.clock.now();
        let queue = live.queue(definition)?;
        let receives_max = redrive.map(|(receives_max, _)| receives_max);
        if queue.index.counts(now).in_flight >= IN_FLIGHT_MAX {
            return Err(QueueError::TooManyInFlight { queue: definition.name.clone(), max: IN_FLIGHT_MAX });
        }
        let mut plan = queue.index.plan(now, receive.max.min(RECEIVE_MAX), hidden, receives_max);
        if plan.is_empty() {
            return Ok((plan, None));
        }
        plan.dead.iter_mut().for_each(|(_, state)| state.dead_from = Some(number));
        let mut transaction = Transaction::new();
        plan.expired.iter().for_each(|id| self.remove(&mut transaction, number, *id));
        for (id, state) in &plan.taken {
            transaction.put(&shared.states, state_key(number, *id), state.encode());
        }
        if let Some((_, target)) = redrive {
            for (id, state) in &plan.dead {
                transaction.delete(&shared.states, state_key(number, *id));
                transaction.put(&shared.states, state_key(target, *id), state.encode());
            }
        }
        let ticket = shared.storage.submit(transaction)?;
        plan.expired.iter().for_each(|id| queue.index.remove(*id));
        plan.taken.iter().for_each(|(id, state)| queue.index.put(*id, *state));
        plan.dead.iter().for_each(|(id, _)| queue.index.remove(*id));
        let target = redrive.and_then(|(_, target)| live.queues.get_mut(&target));
        if let Some(target) = target.filter(|_| !plan.dead.is_empty()) {
            plan.dead.iter().for_each(|(id, state)| target.index.put(*id, *state));
            target.tell();
        }
        drop(live);
        self.count("dead_lettered", &definition.name, plan.dead.len());
        Ok((plan, Some(ticket)))
    }

    /// When the next hidden message becomes visible.
    fn next_visible(&self, definition: &QueueDefinition) -> Result<Option<Instant>, QueueError> {
        let now = self.shared.clock.now();
        let next = self.live().queue(definition)?.index.next_visible(now);
        let wait = |at: Millis| Duration::from_millis(u64::try_from(at.saturating_sub(now)).unwrap_or(0).max(1));
        Ok(next.and_then(|at| Instant::now().checked_add(wait(at))))
    }
}
