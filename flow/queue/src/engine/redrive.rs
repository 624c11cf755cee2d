//! Messages that became dead letters go back to where they came from, or elsewhere: tasks that somebody starts.
//!
//! Each step moves some messages by one transaction, so a crash loses none and doubles none; tasks themselves are in memory
//! and end with the node.

use std::sync::PoisonError;
use std::time::Duration;

use millstream_storage::{Ticket, Transaction};
use millstream_types::Millis;

use super::Queues;
use crate::error::QueueError;
use crate::message::MessageId;
use crate::record::{State, state_key};

/// Messages of one step.
const STEP_MAX: usize = 100;
/// Tasks that are remembered of each queue. Source: the service's listing.
pub const TASKS_KEPT: usize = 10;
/// The fastest that can be asked for, messages in a second.
pub const RATE_MAX: u32 = 500;

/// A task that moves messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedriveTask {
    /// What tells it from others.
    pub id: String,
    /// The queue that is emptied.
    pub source: String,
    /// Where its messages go; `None`: to the queue that each came from.
    pub destination: Option<String>,
    /// At most so many in a second.
    pub rate: Option<u32>,
    /// How it is.
    pub state: RedriveState,
    /// Messages that were moved.
    pub moved: u64,
    /// Messages that there were when it started.
    pub to_move: u64,
    /// When it started.
    pub started: Millis,
}

/// How a task is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedriveState {
    /// It moves messages.
    Running,
    /// All were moved.
    Completed,
    /// Somebody ended it.
    Cancelled,
    /// It cannot go on: why.
    Failed(String),
}

impl Queues {
    /// Starts to move the messages of a queue of dead letters. Gives the task's id.
    ///
    /// # Errors
    /// [`QueueError::QueueNotFound`], [`QueueError::OutOfRange`], [`QueueError::DeadLetterQueue`];
    /// [`QueueError::NotDeadLetters`] when no queue sends its
    /// dead letters there; [`QueueError::Redriving`] while another task does.
    pub fn start_redrive(
        &self,
        source: &str,
        destination: Option<&str>,
        rate: Option<u32>,
    ) -> Result<String, QueueError> {
        self.get(source)?;
        destination.map(|queue| self.get(queue)).transpose()?;
        if destination == Some(source) {
            // It would never end.
            let reason = "its messages cannot be moved to the queue that they are in";
            return Err(QueueError::DeadLetterQueue { queue: source.to_owned(), reason });
        }
        if let Some(rate) = rate.filter(|rate| !(1..=RATE_MAX).contains(rate)) {
            let (max, found) = (RATE_MAX.into(), rate.into());
            return Err(QueueError::OutOfRange { what: "messages in a second", min: 1, max, found });
        }
        if self.dead_letter_sources(source).is_empty() {
            return Err(QueueError::NotDeadLetters { queue: source.to_owned() });
        }
        let task = RedriveTask {
            id: uuid::Uuid::new_v4().to_string(),
            source: source.to_owned(),
            destination: destination.map(str::to_owned),
            rate,
            state: RedriveState::Running,
            moved: 0,
            to_move: self.counts(source)?.all() as u64,
            started: self.shared.clock.now(),
        };
        let id = task.id.clone();
        {
            let mut tasks = self.shared.redrives.lock().unwrap_or_else(PoisonError::into_inner);
            let same = |known: &&RedriveTask| known.source == source;
            if tasks.iter().any(|known| same(&known) && known.state == RedriveState::Running) {
                return Err(QueueError::Redriving { queue: source.to_owned() });
            }
            if tasks.iter().filter(same).count() >= TASKS_KEPT
                && let Some(oldest) = tasks.iter().position(|known| same(&known))
            {
                tasks.remove(oldest);
            }
            tasks.push(task);
        }
        tokio::spawn(self.clone().redrive(id.clone()));
        Ok(id)
    }

    /// The tasks of a queue, the latest first.
    ///
    /// # Errors
    /// [`QueueError::QueueNotFound`].
    pub fn redrives(&self, source: &str) -> Result<Vec<RedriveTask>, QueueError> {
        self.get(source)?;
        let tasks = self.shared.redrives.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(tasks.iter().rev().filter(|task| task.source == source).cloned().collect())
    }

    /// The queue that a task empties; `None`: no such task is remembered.
    #[must_use]
    pub fn redrive_source(&self, id: &str) -> Option<String> {
        let tasks = self.shared.redrives.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.iter().find(|task| task.id == id).map(|task| task.source.clone())
    }

    /// Ends a task that runs; gives how many messages it moved.
    ///
    /// # Errors
    /// [`QueueError::NoRedrive`].
    pub fn cancel_redrive(&self, id: &str) -> Result<u64, QueueError> {
        let mut moved = None;
        self.with_redrive(id, |task| {
            task.state = RedriveState::Cancelled;
            moved = Some(task.moved);
        });
        moved.ok_or(QueueError::NoRedrive)
    }

    /// Queues whose dead letters go to this one.
    #[must_use]
    pub fn dead_letter_sources(&self, queue: &str) -> Vec<String> {
        let sends = |redrive: &millstream_catalog::Redrive| redrive.queue == queue;
        let all = self.list().into_iter().filter(|found| found.settings.redrive.as_ref().is_some_and(sends));
        all.map(|found| found.name.clone()).collect()
    }

    /// Works on a task that runs; gives whether it does.
    fn with_redrive(&self, id: &str, work: impl FnOnce(&mut RedriveTask)) -> bool {
        let mut tasks = self.shared.redrives.lock().unwrap_or_else(PoisonError::into_inner);
        let found = tasks.iter_mut().find(|task| task.id == id && task.state == RedriveState::Running);
        found.map(work).is_some()
    }

    async fn redrive(self, id: String) {
        let mut asked = None;
        self.with_redrive(&id, |task| asked = Some(task.clone()));
        let Some(task) = asked else { return };
        loop {
            let state = match self.redrive_step(&task).await {
                Ok(0) => RedriveState::Completed,
                Ok(count) => {
                    if !self.with_redrive(&id, |task| task.moved += count as u64) {
                        return;
                    }
                    let rate = task.rate.unwrap_or(u32::MAX);
                    tokio::time::sleep(Duration::from_secs_f64(count as f64 / f64::from(rate))).await;
                    continue;
                }
                Err(error) => RedriveState::Failed(error.to_string()),
            };
            self.with_redrive(&id, |task| task.state = state);
            return;
        }
    }

    /// Moves some messages; gives how many.
    async fn redrive_step(&self, task: &RedriveTask) -> Result<usize, QueueError> {
        let source = self.get(&task.source)?;
        let to = task.destination.as_deref().map(|queue| self.get(queue)).transpose()?.map(|queue| queue.number);
        let most = task.rate.map_or(STEP_MAX, |rate| (rate as usize).min(STEP_MAX));
        let (count, ticket) = {
            let mut live = self.live();
            let now = self.shared.clock.now();
            let found: Vec<(MessageId, State)> = live.queue(&source)?.index.visible(now).take(most).collect();
            let mut transaction = Transaction::new();
            let mut moves = Vec::new();
            for (id, state) in found {
                let target = to.or(state.dead_from).filter(|target| live.queues.contains_key(target));
                let target = target.ok_or(QueueError::NoOrigin { id })?;
                let state = State {
                    sent: now,
                    visible_at: now,
                    first_received: None,
                    receives: 0,
                    turn: state.turn.wrapping_add(1),
                    dead_from: None,
                    ..state
                };
                transaction.delete(&self.shared.states, state_key(source.number, id));
                transaction.put(&self.shared.states, state_key(target, id), state.encode());
                moves.push((target, id, state));
            }
            if moves.is_empty() {
                return Ok(0);
            }
            let ticket: Ticket = self.shared.storage.submit(transaction)?;
            for (target, id, state) in &moves {
                live.queue(&source)?.index.remove(*id);
                if let Some(target) = live.queues.get_mut(target) {
                    target.index.put(*id, *state);
                    target.tell();
                }
            }
            (moves.len(), ticket)
        };
        ticket.durable().await?;
        Ok(count)
    }
}
