//! What follows from an attempt: pure, so that every way is tested without a process.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{AsyncPolicy, FunctionDefinition};
use millstream_types::{InvocationOutcome, Millis};

use super::accepted::Kept;
use crate::destination::{Answered, Condition};
use crate::error::FunctionError;

/// How long an invocation is tried unless its function says less: the service's default and limit.
const AGE_SECONDS_MAX: u32 = 6 * 3_600;

/// How long and how often an invocation is tried.
pub(super) struct Limits {
    age_ms_max: Millis,
    retries_max: u32,
    waits: Arc<[Duration]>,
    /// Whether its function may run at all.
    may_run: bool,
}

/// What follows.
#[derive(Debug)]
pub(super) enum Next {
    Succeeded { answer: Answered },
    Retry { wait: Duration },
    Throttled,
    GiveUp { condition: Condition, answer: Option<Answered> },
}

impl Limits {
    pub(super) fn of(definition: &FunctionDefinition, policy: Option<&AsyncPolicy>, waits: &Arc<[Duration]>) -> Self {
        let age_seconds = policy.and_then(|policy| policy.age_max_seconds).unwrap_or(AGE_SECONDS_MAX);
        let node = u32::try_from(waits.len()).unwrap_or(u32::MAX);
        Self {
            age_ms_max: Millis::from(age_seconds) * 1_000,
            retries_max: policy.and_then(|policy| policy.retries_max).unwrap_or(node).min(node),
            waits: Arc::clone(waits),
            may_run: definition.concurrency_limit != Some(0),
        }
    }

    /// Why an invocation is not even run.
    pub(super) fn before(&self, accepted: Millis, now: Millis) -> Option<Condition> {
        if !self.may_run {
            return Some(Condition::ZeroConcurrency);
        }
        (now - accepted > self.age_ms_max).then_some(Condition::EventAgeExceeded)
    }
}

/// What follows from an attempt; counts it when the function failed.
pub(super) fn after(
    attempt: Result<InvocationOutcome, FunctionError>,
    limits: &Limits,
    kept: &mut Kept,
    now: Millis,
) -> Next {
    let answer = match attempt {
        Ok(outcome) if outcome.error.is_none() => {
            return Next::Succeeded { answer: Answered { payload: outcome.payload, error: None } };
        }
        Ok(outcome) => Answered { payload: outcome.payload, error: outcome.error },
        // Not run: not counted, only its age ends it.
        Err(FunctionError::Throttled { .. } | FunctionError::Stopping) => {
            return if now - kept.accepted > limits.age_ms_max {
                Next::GiveUp { condition: Condition::EventAgeExceeded, answer: None }
            } else {
                Next::Throttled
            };
        }
        Err(error) => {
            let document = serde_json::json!({ "errorMessage": error.to_string() });
            Answered { payload: Bytes::from(document.to_string()), error: Some("Unhandled".to_owned()) }
        }
    };
    kept.failures += 1;
    let wait = limits.waits.get(kept.failures as usize - 1).copied().unwrap_or_default();
    if kept.failures > limits.retries_max {
        return Next::GiveUp { condition: Condition::RetriesExhausted, answer: Some(answer) };
    }
    Next::Retry { wait }
}

#[cfg(test)]
mod tests {
    use millstream_types::Invocation;

    use super::*;

    fn kept() -> Kept {
        let invocation = Invocation {
            function: "f".into(),
            payload: Bytes::new(),
            source: String::new(),
            client_context: None,
            log_tail: false,
        };
        Kept::new(invocation, 0)
    }

    fn limits(retries_max: u32) -> Limits {
        let waits = Arc::new([Duration::from_secs(60), Duration::from_secs(120)]);
        Limits { age_ms_max: 60_000, retries_max, waits, may_run: true }
    }

    fn outcome(error: Option<&str>) -> Result<InvocationOutcome, FunctionError> {
        let error = error.map(str::to_owned);
        Ok(InvocationOutcome {
            id: "i".into(),
            payload: Bytes::from_static(b"{}"),
            error,
            log_tail: Bytes::new(),
            version: None,
        })
    }

    #[test]
    fn failures_are_tried_again_as_often_as_the_function_says() {
        let (limits, mut kept) = (limits(2), kept());
        for seconds in [60, 120] {
            let next = after(outcome(Some("Unhandled")), &limits, &mut kept, 0);
            assert!(matches!(next, Next::Retry { wait } if wait == Duration::from_secs(seconds)), "{next:?}");
        }
        let last = after(outcome(Some("Unhandled")), &limits, &mut kept, 0);
        assert!(matches!(last, Next::GiveUp { condition: Condition::RetriesExhausted, answer: Some(_) }), "{last:?}");
        assert_eq!(kept.failures, 3);
        let at_once = after(outcome(Some("Unhandled")), &self::limits(0), &mut self::kept(), 0);
        assert!(matches!(at_once, Next::GiveUp { .. }));
        assert!(matches!(after(outcome(None), &limits, &mut kept, 0), Next::Succeeded { .. }));
    }

    #[test]
    fn a_throttle_counts_only_in_age() {
        let (limits, mut kept) = (limits(0), kept());
        let throttled = || Err(FunctionError::Throttled { running: 1, limit: 1 });
        assert!(matches!(after(throttled(), &limits, &mut kept, 60_000), Next::Throttled));
        let late = after(throttled(), &limits, &mut kept, 60_001);
        assert!(matches!(late, Next::GiveUp { condition: Condition::EventAgeExceeded, answer: None }));
        assert_eq!(kept.failures, 0);
        assert_eq!(limits.before(kept.accepted, 60_001), Some(Condition::EventAgeExceeded));
        assert_eq!(limits.before(kept.accepted, 60_000), None);
        let stopped = Limits { may_run: false, ..limits };
        assert_eq!(stopped.before(kept.accepted, 0), Some(Condition::ZeroConcurrency));
    }
}
