//! Asynchronous invocations: durable before they are acknowledged, run afterwards, tried again when they fail, and told
//! where their function says once they have ended.
//!
//! Read next: [`accepted`] (how they are kept), [`outcome`] (what an attempt means), [`tell`] (dead letters and
//! destinations), [`listing`] (those that wait, for people).

mod accepted;
mod listing;
mod outcome;
mod tell;

use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::FunctionDefinition;
use millstream_storage::{StorageError, to_the_end};
use millstream_types::{Backoff, BoxFuture, ErrorKind, Invocation, InvocationId, Millis};

pub(crate) use accepted::Accepted;
use accepted::{Found, Kept, Outline, WAITING_MAX, Waiting};
pub use listing::WaitingInvocation;
use outcome::{Next, after};

use crate::destination::{Condition, EndedInvocation};
use crate::engine::Functions;
use crate::error::FunctionError;
use crate::turns::Urgency;

/// The largest event of an asynchronous invocation: the service's limit.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;

/// How long an invocation waits for a store that takes no more for the moment.
const STORE_WAIT: Duration = Duration::from_secs(1);

/// First and longest wait after a throttle.
const THROTTLE_WAITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

impl Functions {
    /// Accepts an invocation that nobody waits for: durable when this returns, run afterwards.
    ///
    /// # Errors
    /// [`FunctionError::NotFound`], [`FunctionError::PayloadTooLarge`], [`FunctionError::Throttled`] when too many wait
    /// already, [`FunctionError::Storage`].
    pub fn enqueue(&self, invocation: Invocation) -> BoxFuture<'_, Result<InvocationId, FunctionError>> {
        Box::pin(async move {
            let function = self.find(&invocation.function)?;
            let found = invocation.payload.len();
            if found > PAYLOAD_BYTES_MAX {
                return Err(FunctionError::PayloadTooLarge { found, limit: PAYLOAD_BYTES_MAX });
            }
            let accepted = &self.shared.accepted;
            let waiting =
                accepted.enter().ok_or(FunctionError::Throttled { running: WAITING_MAX, limit: WAITING_MAX })?;
            let id = uuid::Uuid::new_v4().to_string();
            self.count("async_received", &function.name);
            let functions = self.clone();
            to_the_end(async move {
                let kept = Kept::new(invocation, functions.now());
                functions.shared.accepted.put(&id, &kept).await?;
                tokio::spawn(run(functions, Outline::of(&id, &kept), waiting));
                Ok(id)
            })
            .await
        })
    }

    /// Adds one to a counter of a function, of which a version or an alias may be meant.
    pub(crate) fn count(&self, counter: &str, function: &str) {
        let (name, _) = FunctionDefinition::split_reference(function);
        self.shared.insight.metrics.counter(counter, &format!("function/{name}")).add(1);
    }
}

/// Takes up invocations that an earlier run of the node accepted.
pub(crate) fn resume(functions: &Functions, left: Vec<Outline>) {
    for outline in left {
        let waiting = functions.shared.accepted.enter_again();
        tokio::spawn(run(functions.clone(), outline, waiting));
    }
}

/// Runs an accepted invocation to its end; its event is read only when it is due and has a turn.
async fn run(functions: Functions, mut outline: Outline, _waiting: Waiting) {
    let mut throttled = Backoff::new(THROTTLE_WAITS);
    loop {
        let early = outline.due - functions.now();
        tokio::time::sleep(Duration::from_millis(u64::try_from(early).unwrap_or(0))).await;
        let id = &outline.id;
        let wait = match step(&functions, &outline).await {
            Ok(Step::Ended) => return,
            Ok(Step::Wait { due }) => {
                outline.due = due;
                continue;
            }
            Ok(Step::Throttled) => throttled.failed(),
            Err(error) if matches!(error.kind(), ErrorKind::Throttled) || matches!(error, StorageError::DiskFull) => {
                tracing::warn!(invocation = %id, %error, "an asynchronous invocation waits for the store");
                STORE_WAIT
            }
            Err(error) => {
                // The store is closed or poisoned: the invocation is kept and runs after the next start.
                tracing::warn!(invocation = %id, %error, "an asynchronous invocation waits for the next start");
                return;
            }
        };
        tokio::time::sleep(wait).await;
    }
}

enum Step {
    Ended,
    Wait { due: Millis },
    Throttled,
}

/// Runs an invocation that is due once, when its turn has come, and does what follows.
async fn step(functions: &Functions, outline: &Outline) -> Result<Step, StorageError> {
    let (accepted, id) = (&functions.shared.accepted, outline.id.as_str());
    let (name, _) = FunctionDefinition::split_reference(&outline.function);
    let turn = functions.turn(name, Urgency::Later).await;
    if turn.is_err() && may_wait(functions, outline) {
        return Ok(Step::Throttled);
    }
    // Read in a turn, to run or to be told, only: the events of all that wait would not fit into memory.
    let early = match &turn {
        Ok(_) => None,
        Err(_) => Some(functions.shared.telling.acquire().await),
    };
    let (mut kept, payload) = match accepted.get(id).await? {
        Found::Invocation(kept, payload) => (kept, payload),
        Found::Nothing => return Ok(Step::Ended),
        Found::Unreadable { stored, function } => {
            put_aside(functions, id, stored, function).await?;
            return Ok(Step::Ended);
        }
    };
    let Ok(definition) = functions.find_for(&kept.function, id) else {
        drop_event(functions, &kept.function, id, "the function, or its version or alias, is gone");
        accepted.remove(id).await?;
        return Ok(Step::Ended);
    };
    let policy = functions.async_policy(&kept.function);
    let limits = outcome::Limits::of(&definition, policy.as_ref(), &functions.shared.options.retry_waits);
    let attempt = match (limits.before(kept.accepted, functions.now()), &turn) {
        (Some(condition), _) => Next::GiveUp { condition, answer: None },
        (None, Err(error)) => after(Err(error.clone()), &limits, &mut kept, functions.now()),
        (None, Ok(_)) => {
            let outcome = functions.run_in_turn(&definition, id, kept.invocation(payload.clone())).await;
            after(outcome, &limits, &mut kept, functions.now())
        }
    };
    let (condition, answer) = match attempt {
        Next::Throttled => return Ok(Step::Throttled),
        Next::Retry { wait } => {
            kept.due = functions.now() + Millis::try_from(wait.as_millis()).unwrap_or(Millis::MAX);
            accepted.put(id, &kept).await?;
            return Ok(Step::Wait { due: kept.due });
        }
        Next::GiveUp { condition, answer } => (condition, answer),
        Next::Succeeded { answer } => (Condition::Success, Some(answer)),
    };
    let ended = EndedInvocation {
        function: kept.function.clone(),
        version: definition.version,
        id: id.to_owned(),
        payload,
        time: functions.now(),
        condition,
        attempts: kept.failures + u32::from(condition == Condition::Success),
        answer,
    };
    if condition != Condition::Success {
        let reason = ended.answer.as_ref().map(|answer| String::from_utf8_lossy(&answer.payload).into_owned());
        drop_event(functions, &kept.function, id, &reason.unwrap_or_else(|| format!("{condition:?}")));
    }
    // Its turn is for running: a target may take its time while others run. As many as may run are told at once; those
    // behind them keep their turns, which bounds what is in memory.
    let _telling = match early {
        Some(telling) => telling,
        None => functions.shared.telling.acquire().await,
    };
    drop(turn);
    // Told before it is forgotten: a crash in between tells it twice, never not at all.
    tell::tell(functions, &definition, policy.as_ref(), ended).await;
    accepted.remove(id).await?;
    Ok(Step::Ended)
}

/// Whether an invocation that got no turn may wait for one, by its age and what its function says now.
fn may_wait(functions: &Functions, outline: &Outline) -> bool {
    let Ok(definition) = functions.find_for(&outline.function, &outline.id) else { return false };
    let policy = functions.async_policy(&outline.function);
    let limits = outcome::Limits::of(&definition, policy.as_ref(), &functions.shared.options.retry_waits);
    limits.before(outline.accepted, functions.now()).is_none()
}

/// Puts an invocation aside that cannot be read, and says so in the node's log and in its function's.
async fn put_aside(
    functions: &Functions,
    id: &str,
    stored: Bytes,
    function: Option<String>,
) -> Result<(), StorageError> {
    functions.shared.accepted.put_aside(id, stored).await?;
    let reason = "what is kept of it cannot be read: a later version wrote it or it is damaged; it is put aside";
    tracing::error!(function, invocation = id, reason, "an asynchronous invocation is not run");
    if let Some(function) = function {
        functions.count("dropped_async", &function);
        tell::log(functions, &function, format!("RequestId: {id} The invocation is not run: {reason}"));
    }
    Ok(())
}

/// Notes that an invocation was given up.
fn drop_event(functions: &Functions, function: &str, id: &str, reason: &str) {
    tracing::warn!(function, invocation = id, reason, "an asynchronous invocation failed for good");
    functions.count("dropped_async", function);
}
