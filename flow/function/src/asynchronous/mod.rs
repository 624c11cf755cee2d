//! Asynchronous invocations: durable before they are acknowledged, run afterwards, tried again when they fail, and told
//! where their function says once they have ended.
//!
//! Read next: [`accepted`] (how they are kept), [`outcome`] (what an attempt means), [`tell`] (dead letters and destinations).

mod accepted;
mod outcome;
mod tell;

use std::time::Duration;

use bytes::Bytes;
use millstream_storage::{StorageError, to_the_end};
use millstream_types::{ErrorKind, Invocation, InvocationId, Millis};

pub(crate) use accepted::Accepted;
use accepted::{Found, Kept, WAITING_MAX, Waiting};
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
    pub async fn enqueue(&self, invocation: Invocation) -> Result<InvocationId, FunctionError> {
        self.get(&invocation.function)?;
        let found = invocation.payload.len();
        if found > PAYLOAD_BYTES_MAX {
            return Err(FunctionError::PayloadTooLarge { found, limit: PAYLOAD_BYTES_MAX });
        }
        let accepted = &self.shared.accepted;
        let waiting = accepted.enter().ok_or(FunctionError::Throttled { running: WAITING_MAX, limit: WAITING_MAX })?;
        let id = uuid::Uuid::new_v4().to_string();
        self.count("async_received", &invocation.function);
        let (functions, function) = (self.clone(), invocation.function.clone());
        to_the_end(async move {
            functions.shared.accepted.put(&id, &Kept::new(invocation, functions.now())).await?;
            tokio::spawn(run(functions, function, id.clone(), waiting));
            Ok(id)
        })
        .await
    }

    /// Adds one to a counter of a function.
    pub(crate) fn count(&self, counter: &str, function: &str) {
        self.shared.insight.metrics.counter(counter, &format!("function/{function}")).add(1);
    }
}

/// Takes up invocations that an earlier run of the node accepted. One is read after the other, for the name of its function:
/// all at once would not fit into memory.
pub(crate) async fn resume(functions: Functions, ids: Vec<InvocationId>) {
    for id in ids {
        let function = match functions.shared.accepted.get(&id).await {
            Ok(Found::Invocation(kept, _)) => kept.function,
            Ok(Found::Nothing) => continue,
            // Told of in its turn.
            Ok(Found::Unreadable { function, .. }) => function.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(invocation = %id, %error, "asynchronous invocations wait for the next start");
                return;
            }
        };
        let waiting = functions.shared.accepted.enter_again();
        tokio::spawn(run(functions.clone(), function, id, waiting));
    }
}

/// Runs an accepted invocation to its end; only its id and its function's name are held while it waits.
async fn run(functions: Functions, function: String, id: InvocationId, _waiting: Waiting) {
    let mut throttle_wait = THROTTLE_WAITS.0;
    loop {
        let wait = match step(&functions, &function, &id).await {
            Ok(Step::Ended) => return,
            Ok(Step::Wait(wait)) => wait,
            Ok(Step::Throttled) => {
                let wait = throttle_wait;
                throttle_wait = (throttle_wait * 2).min(THROTTLE_WAITS.1);
                wait
            }
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
    Wait(Duration),
    Throttled,
}

/// Waits until an invocation is due, runs it once and does what follows.
async fn step(functions: &Functions, function: &str, id: &str) -> Result<Step, StorageError> {
    let accepted = &functions.shared.accepted;
    // Read in one's turn only: the events of all that wait would not fit into memory. Who gets no turn, because its function
    // is at its limit, is read for its age.
    let turn = functions.turn(function, Urgency::Later).await;
    let (mut kept, payload) = match accepted.get(id).await? {
        Found::Invocation(kept, payload) => (kept, payload),
        Found::Nothing => return Ok(Step::Ended),
        Found::Unreadable { stored, function } => {
            put_aside(functions, id, stored, function).await?;
            return Ok(Step::Ended);
        }
    };
    let early = kept.due - functions.now();
    if early > 0 {
        return Ok(Step::Wait(Duration::from_millis(early.unsigned_abs())));
    }
    let Ok(definition) = functions.get(&kept.function) else {
        drop_event(functions, &kept.function, id, "the function is gone");
        accepted.remove(id).await?;
        return Ok(Step::Ended);
    };
    let limits = outcome::Limits::of(&definition, &functions.shared.options.retry_waits);
    let attempt = match (limits.before(&kept, functions.now()), &turn) {
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
            return Ok(Step::Wait(wait));
        }
        Next::GiveUp { condition, answer } => (condition, answer),
        Next::Succeeded { answer } => (Condition::Success, Some(answer)),
    };
    let ended = EndedInvocation {
        function: kept.function.clone(),
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
    let _telling = functions.shared.telling.acquire().await;
    drop(turn);
    // Told before it is forgotten: a crash in between tells it twice, never not at all.
    tell::tell(functions, &definition, ended).await;
    accepted.remove(id).await?;
    Ok(Step::Ended)
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
