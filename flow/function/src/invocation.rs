//! One invocation: its turn, its process, its log lines, and what is remembered of it.
//!
//! When it runs is [`crate::turns`]' matter, how a process is made [`crate::start`]'s.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use millstream_catalog::{ALIAS_PARTS, FunctionDefinition};
use millstream_insight::Step;
use millstream_types::{BoxFuture, Invocation, InvocationId, InvocationOutcome, Invoke, InvokeError, Millis};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::destination::error_message;
use crate::engine::Functions;
use crate::error::FunctionError;
use crate::process::{Ended, Process};
use crate::runtime_api::Work;
use crate::turns::{Turn, Urgency};

/// The largest event of a synchronous invocation: the service's limit.
pub const PAYLOAD_BYTES_MAX: usize = 6 << 20;

/// Ended invocations that are remembered of each function.
const RECENT_MAX: usize = 100;

/// An invocation that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvocationSummary {
    /// Its id.
    pub id: InvocationId,
    /// When it began.
    pub started: Millis,
    /// How long it ran.
    pub duration_ms: u64,
    /// Who asked.
    pub source: String,
    /// The error's message when it failed.
    pub error: Option<String>,
    /// Whether it had to start a process.
    pub cold: bool,
}

impl Invoke for Functions {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'_, Result<InvocationOutcome, InvokeError>> {
        Box::pin(async move {
            let id = uuid::Uuid::new_v4().to_string();
            self.run_for_caller(&id, invocation)
                .await
                .map_err(|error| InvokeError { kind: error.kind(), message: error.to_string() })
        })
    }
}

impl Functions {
    /// The last invocations of a function that ended, newest first.
    #[must_use]
    pub fn recent(&self, name: &str) -> Vec<InvocationSummary> {
        let recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.get(name).map(|summaries| summaries.iter().rev().cloned().collect()).unwrap_or_default()
    }

    /// Runs an invocation for a caller who waits.
    async fn run_for_caller(&self, id: &str, invocation: Invocation) -> Result<InvocationOutcome, FunctionError> {
        let found = invocation.payload.len();
        if found > PAYLOAD_BYTES_MAX {
            return Err(FunctionError::PayloadTooLarge { found, limit: PAYLOAD_BYTES_MAX });
        }
        let found = self.find(&invocation.function)?;
        let _turn = self.turn(&found.name, Urgency::Caller).await?;
        // As it is now: it may have been changed while this waited.
        let definition = self.find_for(&invocation.function, id)?;
        self.run_in_turn(&definition, id, invocation).await
    }

    /// What an invocation of a reference runs: its id decides between the versions of an alias.
    pub(crate) fn find_for(&self, reference: &str, id: &str) -> Result<Arc<FunctionDefinition>, FunctionError> {
        self.find_by_chance(reference, chance(id))
    }

    /// Waits for a turn of a function.
    pub(crate) async fn turn(&self, function: &str, urgency: Urgency) -> Result<Turn, FunctionError> {
        let turn = self.shared.turns.take(function, urgency).await;
        if matches!(turn, Err(FunctionError::Throttled { .. })) {
            self.count("throttles", function);
        }
        turn
    }

    /// Runs an invocation, whose turn its caller holds, in a warm process or a new one.
    pub(crate) async fn run_in_turn(
        &self,
        definition: &FunctionDefinition,
        id: &str,
        invocation: Invocation,
    ) -> Result<InvocationOutcome, FunctionError> {
        let name = &definition.name;
        let concurrent = self.shared.insight.metrics.gauge("concurrent", &format!("function/{name}"));
        let running = || i64::try_from(self.shared.turns.held_by(name)).unwrap_or(i64::MAX);
        concurrent.set(running());
        let reference = definition.reference();
        let mut process = match self.shared.pool.take(&reference, &definition.generation) {
            Some(process) => process,
            None => {
                let held = self.shared.turns.held();
                self.shared.pool.keep_at_most(self.shared.options.concurrency_max.saturating_sub(held));
                self.start(definition).await?
            }
        };
        let (outcome, reusable) = self.run_in(definition, &mut process, id, invocation).await;
        if reusable {
            self.shared.pool.give_back(&reference, process);
        }
        // Its own turn is given back next.
        concurrent.set(running() - 1);
        Ok(outcome)
    }

    /// Runs an invocation in a process; the second part says whether the process can be used again.
    async fn run_in(
        &self,
        definition: &FunctionDefinition,
        process: &mut Process,
        id: &str,
        invocation: Invocation,
    ) -> (InvocationOutcome, bool) {
        let cold = !process.warm;
        let init = if cold { process.initialise().await } else { None };
        let started = self.now();
        let timeout = Duration::from_secs(definition.timeout_seconds.into());
        process.catch_up_log();
        process.log.take_tail();
        process.log.write([format!("START RequestId: {id} Version: {}", definition.version_text())]);
        let work = Work {
            id: id.to_owned(),
            payload: invocation.payload,
            deadline: started + i64::from(definition.timeout_seconds) * 1_000,
            // As the invoker named it.
            arn: (self.shared.options.arn)(&invocation.function),
            trace: trace_header(id),
            client_context: invocation.client_context,
            reply: oneshot::channel().0,
        };
        let begin = Instant::now();
        let ended = process.run(id, work, timeout).await;
        let duration = begin.elapsed();
        let report = report(id, duration, definition.memory_mib, process.peak_mib(), init);
        close_log(process, id, &ended, report);
        let log_tail = if invocation.log_tail { process.log.take_tail() } else { Bytes::new() };
        self.note(definition, id, started, duration, invocation.source, cold, &ended);
        let error = ended.failed.then(|| "Unhandled".to_owned());
        let (id, payload, version) = (id.to_owned(), ended.payload, definition.version);
        (InvocationOutcome { id, payload, error, log_tail, version }, ended.reusable)
    }

    #[expect(clippy::too_many_arguments, reason = "each is one fact of the invocation")]
    fn note(
        &self,
        definition: &FunctionDefinition,
        id: &str,
        started: Millis,
        duration: Duration,
        source: String,
        cold: bool,
        ended: &Ended,
    ) {
        let error = ended.failed.then(|| error_message(&ended.payload));
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let subject = format!("function/{}", definition.name);
        let metrics = &self.shared.insight.metrics;
        metrics.counter("invocations", &subject).add(1);
        metrics.distribution("duration_ms", &subject).observe(duration.as_secs_f64() * 1_000.0);
        metrics.counter("errors", &subject).add(u64::from(ended.failed));
        self.shared.insight.trail.mark(Step::Invoked {
            function: definition.name.clone(),
            invocation: id.to_owned(),
            duration_ms,
            outcome: error.clone().unwrap_or_else(|| "ok".to_owned()),
        });
        let mut recent = self.shared.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let summaries = recent.entry(definition.name.clone()).or_default();
        if summaries.len() == RECENT_MAX {
            summaries.pop_front();
        }
        summaries.push_back(InvocationSummary { id: id.to_owned(), started, duration_ms, source, error, cold });
    }
}

/// A number below [`ALIAS_PARTS`] that an invocation's id, which is random, stands for: the same one at each attempt.
fn chance(id: &str) -> u32 {
    let digits: String = id.chars().filter(char::is_ascii_hexdigit).take(8).collect();
    let number = u32::from_str_radix(&digits, 16).unwrap_or(0);
    // Below `ALIAS_PARTS`, so it fits.
    u32::try_from((u64::from(number) * u64::from(ALIAS_PARTS)) >> u32::BITS).unwrap_or(0)
}

/// Writes what was printed until now, then the END and REPORT lines.
fn close_log(process: &Process, id: &str, ended: &Ended, report: String) {
    process.catch_up_log();
    let reason = process.ended_for().map(|reason| format!("RequestId: {id} The process was ended: {reason}"));
    let error = (!ended.reusable).then(|| error_message(&ended.payload));
    let end = format!("END RequestId: {id}");
    process.log.write(reason.into_iter().chain(error).chain([end, report]));
}

/// The trace header of an invocation. SDKs in the function send it back with their calls; the last part names the
/// invocation, which is how a written item is known to come from it.
fn trace_header(id: &str) -> String {
    let hex: String = id.chars().filter(|char| *char != '-').collect();
    format!("Root=1-{}-{};Parent={};Sampled=0;Invocation={id}", &hex[..8], &hex[8..], &hex[..16])
}

fn report(id: &str, duration: Duration, memory_mib: u32, peak_mib: u64, init: Option<Duration>) -> String {
    let milliseconds = duration.as_secs_f64() * 1_000.0;
    let init = init.map(|init| format!("Init Duration: {:.2} ms\t", init.as_secs_f64() * 1_000.0)).unwrap_or_default();
    format!(
        "REPORT RequestId: {id}\tDuration: {milliseconds:.2} ms\tBilled Duration: {} ms\tMemory Size: {memory_mib} MB\t\
         Max Memory Used: {peak_mib} MB\t{init}",
        milliseconds.ceil(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_spread_over_the_parts_of_an_alias() {
        for (id, expected) in [("00000000-0000", 0), ("80000000-0000", 500_000), ("ffffffff-ffff", 999_999), ("", 0)] {
            assert_eq!(chance(id), expected, "{id}");
        }
    }
}
